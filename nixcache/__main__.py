"""``python -m nixcache``: where the program begins, before any package is imported that may not be installed."""

from __future__ import annotations

import signal
import sys
from typing import Final

_USAGE: Final = 2


def main() -> int:
    """Run the command line and return its exit code."""
    try:
        from nixcache.cli import main as nixcache  # noqa: PLC0415 - the import is what may fail
    except ModuleNotFoundError as error:
        print(f"nixcache: the Python package {error.name} is missing: pip install '.[proofs]'", file=sys.stderr)
        return _USAGE
    return nixcache()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it as it ends any filter, without a traceback
    sys.exit(main())
