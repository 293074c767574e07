"""``python -m hook`` is ``assay``: where the program begins, before anything that takes time is imported."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command line and return its exit code; Ctrl-C while all of it is being imported is no traceback."""
    try:
        from hook.cli import main as assay  # noqa: PLC0415 - the import is what may be interrupted

        return assay()
    except KeyboardInterrupt:
        from hook.exit_code import ExitCode  # noqa: PLC0415 - as above

        return ExitCode.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
