"""Every text that Nix reads as one hash, written from the digest."""

from __future__ import annotations

import base64

_NIX32 = "0123456789abcdfghijklmnpqrsvwxyz"


def nix32(data: bytes) -> str:
    """Return ``data`` in Nix32: 5 bits a digit, from the lowest of the first byte on; the last digit comes first."""
    bits = "".join(f"{byte:08b}"[::-1] for byte in data)
    digits = [_NIX32[int(bits[at : at + 5][::-1], 2)] for at in range(0, len(bits), 5)]
    return "".join(reversed(digits))


def spellings(algorithm: str, digest: bytes) -> frozenset[str]:
    """Return every spelling but for the case of hex digits, which are lower here."""
    encoded = base64.b64encode(digest).decode()
    forms = (f":{digest.hex()}", f":{nix32(digest)}", f":{encoded}", f"-{encoded}")
    return frozenset(algorithm + form for form in forms)


def is_spelling(text: str, algorithm: str, digest: bytes) -> bool:
    """Tell whether ``text`` is one of them, in whichever case its hex digits are."""
    lower = f"{algorithm}:{digest.hex()}"
    return text in spellings(algorithm, digest) or (text.startswith(f"{algorithm}:") and text.lower() == lower)
