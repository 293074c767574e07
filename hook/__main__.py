"""``python -m hook`` is ``assay``."""

from __future__ import annotations

import sys

from hook.cli import main

if __name__ == "__main__":
    sys.exit(main())
