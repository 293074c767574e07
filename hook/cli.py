"""The command line of a builder: ``assay``."""

from __future__ import annotations

import argparse
import os
import signal
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from hook import post_build
from hook.assembly import assemble
from hook.commands import status
from hook.config import KEYS, MachineConfig, machine_config, uploader_config
from hook.daemon import drain, serve
from hook.errors import BuilderCode
from hook.exit_code import ExitCode
from hook.hook_script import render
from hook.nix_store import vanished
from hook.queue.queue import Queue
from hook.queue.view import QueueView
from hook.report import Report
from hook.uploader import Uploader
from nixcache.errors import PermanentError, TransientError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from nixcache.store_path import StoreDir, StorePath

DEFAULT_TIMEOUT = 600.0

_DESCRIPTION = """\
Brings what Nix builds on this machine into an Assay cache. The hook queues each build within milliseconds; the
uploader puts it, with the part of its closure that nobody has yet, into the staging bucket, and follows it to its
verdict. This machine holds no signing key and cannot write to the cache."""

_EPILOG = f"""\
configuration:
  /etc/assay/builder.toml, or the file that ASSAY_CONFIG names, with the keys
  {", ".join(KEYS[:4])} (all four required),
  {", ".join(KEYS[4:])}; each can be set as ASSAY_<KEY> in the environment.
  Region, endpoint and credentials come from AWS's own variables and files.

exit codes:
{chr(10).join(f"  {code.value:<4} {code.meaning}" for code in ExitCode)}

first steps:
  assay hook-script --output /etc/nix/assay-hook     then, in nix.conf: post-build-hook = /etc/nix/assay-hook
  nix build ...
  assay upload --once"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; every failure is one line on standard error."""
    arguments = _parser().parse_args(argv)
    report = Report()
    try:
        return int(_run(arguments, report))
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except PermanentError as error:
        report.problem(str(error))
        return ExitCode.USAGE
    except TransientError as error:
        report.problem(str(error))
        return ExitCode.TROUBLE
    except OSError as error:
        report.problem(post_build.describe(error))
        return ExitCode.TROUBLE


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="assay", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    script = commands.add_parser(
        "hook-script",
        help="print or install the script that nix.conf's post-build-hook names",
        description="Writes a script with this Python, this installation and the state directory baked in: a Nix daemon"
        " gives its hook no other way to know them. Under a daemon it runs as root, so Assay should be installed where"
        " only root can write.",
    )
    script.add_argument("--output", type=Path, metavar="FILE", help="write it there, executable (default: print it)")

    upload = commands.add_parser(
        "upload",
        help="upload what is queued",
        description="Uploads what is queued: once, waiting for the verdicts, or, without --once, until it is stopped.",
    )
    upload.add_argument("--once", action="store_true", help="empty the queue, wait for the verdicts, and exit")
    _add_timeout(upload)

    commands.add_parser(
        "daemon",
        help="upload what is queued until stopped (the same as upload without --once)",
        description="Watches the queue and uploads until SIGTERM or Ctrl-C; what is then under way begins anew later.",
    )

    status_parser = commands.add_parser(
        "status", help="show what is queued, since when, and why", description="Shows the queue; needs no network."
    )
    status_parser.add_argument("--json", action="store_true", help="print one JSON document")

    push = commands.add_parser(
        "push",
        help="queue store paths now, upload them, wait for their verdicts",
        description="Queues store paths, or what symlinks such as ./result point to, uploads them and waits. A path"
        " that was rejected before is tried again.",
    )
    push.add_argument("paths", nargs="+", metavar="PATH")
    _add_timeout(push)
    return parser


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help="how long to wait for verdicts (default: %(default).0f)",
    )


def _run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    match arguments.command:
        case "hook-script":
            return _hook_script(machine_config(os.environ), arguments.output, report)
        case "status":
            config = machine_config(os.environ)
            view = QueueView(config.state_dir, config.store_dir)
            report.progress(status.as_json(view) if arguments.json else status.as_text(view))
            return ExitCode.DONE
        case "push":
            return _push(arguments.paths, arguments.timeout, report)
        case "upload" if arguments.once:
            queue, uploader, stop = _uploader(report)
            return drain(queue, uploader, report=report, stop=stop, timeout=arguments.timeout) or ExitCode.DONE
        case _:
            queue, uploader, stop = _uploader(report)
            return serve(queue, uploader, report=report, stop=stop)


def _hook_script(config: MachineConfig, output: Path | None, report: Report) -> ExitCode:
    script = render(config)
    if output is None:
        report.progress(script.rstrip())
        return ExitCode.DONE
    if not output.parent.is_dir():
        raise PermanentError(
            BuilderCode.CONFIG_INVALID,
            f"--output: there is no directory {output.parent}.",
            remedy="Make it first, writable for root alone.",
        )
    # Beside its place and then into it: Nix may start the old one at this very moment.
    tmp = output.with_name(f".{output.name}.tmp")
    tmp.write_text(script)
    tmp.chmod(0o755)
    tmp.replace(output)
    report.progress("Written. Add this line to nix.conf, and restart the Nix daemon if there is one:")
    report.progress(f"post-build-hook = {output.absolute()}")
    return ExitCode.DONE


def _push(texts: list[str], timeout: float, report: Report) -> ExitCode:
    queue, uploader, stop = _uploader(report)
    paths = [_store_path(text, queue.store_dir) for text in texts]
    for path in paths:
        if not os.path.lexists(full_path := queue.store_dir.render(path)):
            report.problem(str(vanished(full_path)))
            return ExitCode.REFUSED
    post_build.enqueue(str(queue.state_dir), [queue.store_dir.render(path) for path in paths])
    return drain(queue, uploader, report=report, stop=stop, timeout=timeout, only=frozenset(paths)) or ExitCode.DONE


def _store_path(text: str, store_dir: StoreDir) -> StorePath:
    """Return the store path that ``text`` is, points to, or lies in."""
    resolved = text if text.startswith(f"{store_dir.path}/") else os.path.realpath(text)
    if not resolved.startswith(f"{store_dir.path}/"):
        raise PermanentError(
            BuilderCode.CONFIG_INVALID,
            f"{text} is not in the store {store_dir.path}.",
            remedy="Name store paths, or symlinks to them such as ./result.",
        )
    base_name = resolved.removeprefix(f"{store_dir.path}/").partition("/")[0]
    return store_dir.parse(f"{store_dir.path}/{base_name}")


def _uploader(report: Report) -> tuple[Queue, Uploader, Event]:
    stop = Event()
    queue, uploader = assemble(uploader_config(os.environ), report=report, stop=stop)

    def ask_to_stop(number: int, _: FrameType | None) -> None:
        # Once only: a second Ctrl-C finds Python's own handler, and ends at once.
        signal.signal(number, signal.default_int_handler)
        stop.set()

    signal.signal(signal.SIGTERM, ask_to_stop)
    signal.signal(signal.SIGINT, ask_to_stop)
    return queue, uploader, stop
