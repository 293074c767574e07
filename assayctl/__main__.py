"""``python -m assayctl``."""

from __future__ import annotations

import sys

from assayctl.cli import main

if __name__ == "__main__":
    sys.exit(main())
