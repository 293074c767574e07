"""``python -m local up`` and ``python -m local demo``."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time

from local.service import LocalService
from nixcache.errors import AssayError
from nixcache.store_path import NIX_STORE, StoreDir

_HIGHEST_PORT = 65535


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exits 0 done, 1 failed, 2 used wrongly."""
    parser = argparse.ArgumentParser(prog="python -m local", description="Assay on one machine, with moto as AWS.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="run the whole service until Ctrl-C; one JSON line on standard output")
    up.add_argument(
        "--port",
        type=_port,
        default=0,
        help="port of the AWS endpoint on loopback (default: any free one)",
    )
    up.add_argument(
        "--store-dir", type=_store_dir, default=NIX_STORE, help="store dir that the cache serves (default: /nix/store)"
    )
    commands.add_parser(
        "demo", help="the main job from build to installation, then the attacks; exit 0 if all of it held"
    )
    options = parser.parse_args(arguments)
    for ending in (signal.SIGTERM, signal.SIGHUP):  # a service manager's, a closed terminal's: to us what Ctrl-C is
        signal.signal(ending, signal.default_int_handler)
    try:
        if options.command == "up":
            return _up(options.port, options.store_dir)
        from local.demo import run  # noqa: PLC0415 - `up` needs nothing of it

        return run()
    except AssayError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0 if options.command == "up" else 130


def _up(port: int, store_dir: StoreDir) -> int:
    with LocalService(port=port, store_dir=store_dir) as service:
        print(json.dumps(service.outputs()), flush=True)
        print("Assay is up; Ctrl-C ends it.", file=sys.stderr)
        while service.alive:
            time.sleep(0.5)
    print("moto's server ended unexpectedly, and everything that it held is gone.", file=sys.stderr)
    return 1


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= _HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text} is not a port.")
    return port


def _store_dir(text: str) -> StoreDir:
    try:
        return StoreDir(text)
    except AssayError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


if __name__ == "__main__":
    sys.exit(main())
