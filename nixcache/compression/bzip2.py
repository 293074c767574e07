"""bzip2: the standard library's. It holds one block of 900 kB in some 4 MB of memory, whatever the stream says."""

from __future__ import annotations

import bz2
from typing import Final

from nixcache.compression.codec import FrameFormat

BZIP2: Final = FrameFormat(frame="stream", error=OSError, open_file=lambda: bz2.BZ2Decompressor)
