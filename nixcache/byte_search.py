"""Searching bytes at memory speed while other threads run.

``bytes.find`` holds the interpreter lock while it searches, so a thread that decompresses waits for one that looks for
references. ``memmem``, which every C library of Linux, macOS and the BSDs has, is called without the lock, and is three
times as fast.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Final

# What a call through ctypes costs is what bytes.find needs for some kilobytes.
_WORTH_A_CALL: Final = 16 * 1024


def _load() -> Callable[[int, int, bytes, int], int | None] | None:
    try:
        memmem = ctypes.CDLL(None).memmem
    except (AttributeError, OSError, TypeError):
        return None  # a system without it: bytes.find finds the same
    memmem.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t)
    memmem.restype = ctypes.c_void_p
    return memmem


_memmem: Final = _load()


def find(text: bytes, wanted: bytes, start: int = 0) -> int:
    """Return where ``wanted`` first is in ``text`` from ``start`` on, or -1: what ``bytes.find`` returns."""
    size = len(text) - start
    if _memmem is None or size < _WORTH_A_CALL:
        return text.find(wanted, start)
    address = ctypes.cast(ctypes.c_char_p(text), ctypes.c_void_p).value or 0
    found = _memmem(address + start, size, wanted, len(wanted))
    return -1 if found is None else found - address
