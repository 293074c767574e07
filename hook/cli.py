"""The command line of a builder, ``assay``: what it understands, and who is called for it."""

from __future__ import annotations

import argparse
import io
import os
import sys
from typing import TYPE_CHECKING, Final

from hook import post_build, progress
from hook.commands import completion, daemon, doctor, explain, forget, hook_script, push, status, upload, wait
from hook.config import KEYS, machine_config
from hook.exit_code import ExitCode
from nixcache.errors import PermanentError, TransientError
from protocol.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS: Final = (hook_script, push, status, wait, explain, doctor, forget, upload, daemon, completion)

_DESCRIPTION: Final = """\
Brings what Nix builds on this machine into an Assay cache. The hook queues each build within milliseconds; the
uploader puts it, with the part of its closure that nobody has yet, into the staging bucket, and follows it to its
verdict. This machine holds no signing key and cannot write to the cache."""

_EPILOG: Final = f"""\
configuration:
  /etc/assay/builder.toml, or the file that ASSAY_CONFIG names, with the keys
  {", ".join(KEYS[:4])} (all four required),
  {", ".join(KEYS[4:7])},
  {", ".join(KEYS[7:])};
  each can be set as ASSAY_<KEY> in the environment. Region, endpoint and credentials come from AWS's own variables
  and files.

exit codes:
{chr(10).join(f"  {code.value:<4} {code.meaning}" for code in ExitCode)}

first steps:
  assay hook-script --output /etc/nix/assay-hook     then, in nix.conf: post-build-hook = /etc/nix/assay-hook
  nix build ...
  assay upload --once"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; every failure is one line on standard error."""
    _fill_standard_descriptors()
    _write_what_the_locale_lacks()
    arguments = parser().parse_args(argv)
    if check := getattr(arguments, "check", None):
        check(arguments)
    report = progress.default_report()
    try:
        code: ExitCode = arguments.run(arguments, report)
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    except PermanentError as error:
        report.problem(str(error))
        code = ExitCode.USAGE
    except TransientError as error:
        report.problem(str(error))
        code = ExitCode.TROUBLE
    except OSError as error:
        report.problem(_of_os(error))
        code = ExitCode.TROUBLE
    finally:
        report.close()
    if report.is_lost and code is ExitCode.DONE:
        report.problem("standard output cannot be written. Check the free space there.")
        return ExitCode.TROUBLE
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser; what it returns has the command's ``run``, and its ``check`` if it has one."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="assay", description=_DESCRIPTION, epilog=_EPILOG, formatter_class=raw)
    parser.add_argument("--version", action="version", version=f"assay {VERSION}", help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_parser(commands)
    for module, one in zip(_COMMANDS, commands.choices.values(), strict=True):
        one.set_defaults(run=module.run, parser=parser)
    return parser


def _fill_standard_descriptors() -> None:
    """Open what is closed of 0 to 2: else the database could become standard output, and Nix write into it."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)


def _write_what_the_locale_lacks() -> None:
    """Let no character that the terminal's encoding lacks end the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _of_os(error: OSError) -> str:
    if isinstance(error, PermissionError):
        state_dir = str(machine_config(os.environ).state_dir)
        if str(error.filename).startswith(state_dir):
            return (
                f"{error.filename}: this user may not use the queue in {state_dir}. Run it as root or as the queue's"
                " user; or start the uploader (assay daemon), which tells everybody about it."
            )
    return post_build.describe(error)
