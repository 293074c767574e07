"""Store paths and the store dir they live in (src/libstore/path.cc, store-dir-config.cc)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

from nixcache import nix32
from nixcache.errors import Code, PermanentError

HASH_PART_LENGTH = 32
MAX_NAME_LENGTH = 211
"""Nix's limit: 255 (a file name) less the hash part, the dash and room for ``.lock`` and friends."""

HashPart = NewType("HashPart", str)
"""The 32 Nix32 characters that start a base name; only :func:`parse_hash_part` makes one."""

_HASH_PART = re.compile(f"[{nix32.ALPHABET}]{{{HASH_PART_LENGTH}}}", re.ASCII)
# The look-ahead refuses ".", "..", and names that start with ".-" or "..-" (path.cc, checkName).
_NAME = re.compile(rf"(?!\.\.?(?:-|\Z))[0-9A-Za-z+._?=-]{{1,{MAX_NAME_LENGTH}}}", re.ASCII)
# No empty, "." or ".." component, no control character: a store dir becomes part of what is signed, and of file names.
_STORE_DIR = re.compile(r"(?:/(?!\.\.?(?:/|\Z))[0-9A-Za-z+._?=-]+)+", re.ASCII)


def parse_hash_part(text: str) -> HashPart:
    """Return ``text`` as a hash part; raises :class:`PermanentError` (``store-path-malformed``)."""
    if not _HASH_PART.fullmatch(text):
        raise PermanentError(
            Code.STORE_PATH_MALFORMED,
            f"{text[:64]!r} is not a hash part.",
            remedy=f"A hash part is {HASH_PART_LENGTH} Nix32 characters.",
        )
    return HashPart(text)


@dataclass(frozen=True, slots=True, order=True)
class StorePath:
    """A store path without its store dir. The order is that of base names, which is Nix's order of references."""

    hash_part: HashPart
    name: str

    @classmethod
    def from_base_name(cls, text: str) -> StorePath:
        """Read ``<hash part>-<name>``; raises :class:`PermanentError` (``store-path-malformed``).

        Stricter than every Nix, which makes no base name without the dash but reads any character in its place.
        """
        hash_part, dash, name = text[:HASH_PART_LENGTH], text[HASH_PART_LENGTH : HASH_PART_LENGTH + 1], text[33:]
        parsed = parse_hash_part(hash_part)
        if dash != "-" or not _NAME.fullmatch(name):
            raise PermanentError(
                Code.STORE_PATH_MALFORMED,
                f"{text[:300]!r} is not a base name.",
                remedy=f"It is <hash part>-<name>, the name 1 to {MAX_NAME_LENGTH} of 0-9 A-Z a-z + . _ ? = -.",
                offset=HASH_PART_LENGTH,
            )
        return cls(parsed, name)

    @property
    def base_name(self) -> str:
        """``<hash part>-<name>``."""
        return f"{self.hash_part}-{self.name}"

    @property
    def is_derivation(self) -> bool:
        """Tell whether clients take the store object for a derivation, which is by its name alone."""
        return self.name.endswith(".drv")


@dataclass(frozen=True, slots=True)
class StoreDir:
    """A store dir: an absolute, normalised path such as ``/nix/store``."""

    path: str

    def __post_init__(self) -> None:
        """Refuse what could not be told apart from a path inside the store."""
        if not _STORE_DIR.fullmatch(self.path):
            raise PermanentError(
                Code.STORE_PATH_MALFORMED,
                f"{self.path[:300]!r} is not a store dir.",
                remedy="Give an absolute path without '.', '..', doubled or trailing slashes, such as /nix/store.",
            )

    def parse(self, text: str) -> StorePath:
        """Read a full store path in this store dir; raises :class:`PermanentError` (``store-path-malformed``)."""
        prefix = f"{self.path}/"
        if not text.startswith(prefix):
            raise PermanentError(
                Code.STORE_PATH_MALFORMED,
                f"{text[:300]!r} is not in the store dir {self.path}.",
                remedy=f"Give a full path below {self.path}; a cache serves one store dir.",
            )
        return StorePath.from_base_name(text[len(prefix) :])

    def render(self, store_path: StorePath) -> str:
        """Return the full store path."""
        return f"{self.path}/{store_path.base_name}"


NIX_STORE = StoreDir("/nix/store")
