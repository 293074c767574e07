"""narinfo: parsed strictly, rendered exactly (src/libstore/nar-info.cc).

A parsed :class:`NarInfo` is well-formed and no more: everything in it is a claim until :mod:`nixcache.verify` has
read the bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixcache.compression import Compression
from nixcache.content_address import ContentAddress
from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.signature import PublicKey, Signature, fingerprint
from nixcache.store_path import StoreDir, StorePath

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import TypeVar

    T = TypeVar("T")

MAX_NARINFO_SIZE = 1024 * 1024
"""Bytes. Real ones of 200 kB exist."""
MAX_REFERENCES = 10_000
"""References; 200 kB hold some 4,000. Each costs a look-up before the path can be published."""
MAX_SIGNATURES = 64
"""``Sig`` lines; each may cost a reader a verification."""

_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]*): (.*)")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_URL = re.compile(r"[!-~]{1,2048}", re.ASCII)
_KNOWN = frozenset(
    ("StorePath", "URL", "Compression", "FileHash", "FileSize", "NarHash", "NarSize", "References", "Deriver", "CA")
)
_EMPTY_IS_ABSENT = frozenset(("Compression", "References", "CA"))  # to every client; other empty fields to none
_REQUIRED = ("StorePath", "URL", "NarHash", "NarSize")


@dataclass(frozen=True, slots=True, kw_only=True)
class NarInfo:
    """What a narinfo claims of a store object.

    ``references`` are sorted and without duplicates; sizes are in bytes; ``deriver`` is None where nobody knows it.
    """

    store_dir: StoreDir
    store_path: StorePath
    url: str
    compression: Compression
    file_hash: Hash | None
    file_size: int | None
    nar_hash: Hash
    nar_size: int
    references: tuple[StorePath, ...]
    deriver: StorePath | None
    signatures: tuple[Signature, ...]
    ca: ContentAddress | None

    @classmethod
    def parse(cls, data: bytes, store_dir: StoreDir) -> NarInfo:
        """Read a narinfo of ``store_dir``; unknown fields are passed over, as Nix does.

        Raises :class:`PermanentError` (``narinfo-malformed``, ``compression-unsupported``) that names the field
        and its offset. Stricter than Nix where clients disagree or guess: see docs/reference/stricter-than-nix.md.
        """
        return _Fields(data).narinfo(store_dir)

    def render(self) -> bytes:
        """Return the narinfo's text, fields in Nix's order, hashes in Nix32."""
        lines = [
            f"StorePath: {self.store_dir.render(self.store_path)}",
            f"URL: {self.url}",
            f"Compression: {self.compression.value}",
        ]
        if self.file_hash is not None:
            lines.append(f"FileHash: {self.file_hash}")
        if self.file_size is not None:
            lines.append(f"FileSize: {self.file_size}")
        lines += [
            f"NarHash: {self.nar_hash}",
            f"NarSize: {self.nar_size}",
            # The space stays where there are no references: without it, Nix reads the next line as the value.
            f"References: {' '.join(reference.base_name for reference in self.references)}",
        ]
        if self.deriver is not None:
            lines.append(f"Deriver: {self.deriver.base_name}")
        lines += [f"Sig: {signature}" for signature in self.signatures]
        if self.ca is not None:
            lines.append(f"CA: {self.ca}")
        return "".join(f"{line}\n" for line in lines).encode("ascii")

    def fingerprint(self) -> bytes:
        """Return the bytes that a signature of this narinfo covers."""
        return fingerprint(
            store_dir=self.store_dir,
            store_path=self.store_path,
            nar_hash=self.nar_hash,
            nar_size=self.nar_size,
            references=self.references,
        )

    def is_signed_by(self, key: PublicKey) -> bool:
        """Tell whether one of the signatures holds under ``key``."""
        return bool(self.signatures_by((key,)))

    def signatures_by(self, keys: Collection[PublicKey]) -> tuple[Signature, ...]:
        """Return the signatures that hold under one of ``keys``, each once, in the order in which Nix writes them.

        The others are somebody's claim, and one that is malformed makes clients refuse the path: keep only these.
        A signature is checked against the keys of its name alone, and there are at most :data:`MAX_SIGNATURES`.
        """
        message = self.fingerprint()
        holding = {signature for signature in self.signatures if any(key.verifies(message, signature) for key in keys)}
        return tuple(sorted(holding, key=str))


class _Fields:
    """The lines of a narinfo with where each began, taken apart before any value is understood."""

    def __init__(self, data: bytes) -> None:
        if len(data) > MAX_NARINFO_SIZE:
            raise _malformed(
                f"The narinfo has {len(data)} bytes; {MAX_NARINFO_SIZE} are allowed.", offset=MAX_NARINFO_SIZE
            )
        try:
            text = data.decode("ascii")
        except UnicodeDecodeError as error:
            raise _malformed("A narinfo is ASCII text.", offset=error.start) from None
        if not text.endswith("\n"):
            raise _malformed("The last line has no newline.", offset=len(text))
        self._values: dict[str, tuple[str, int]] = {}
        self._signatures: list[tuple[str, int]] = []
        offset = 0
        for line in text[:-1].split("\n"):
            self._add(line, offset)
            offset += len(line) + 1
        for name in _REQUIRED:
            if name not in self._values:
                raise _malformed(f"{name} is missing.", field=name)

    def _add(self, line: str, offset: int) -> None:
        match = _LINE.fullmatch(line)
        if match is None or not line.isprintable():
            raise _malformed(
                f"{line[:80]!r} is not a line of a narinfo.",
                remedy="Each line is a name, a colon, one space and the value; the space stays before an empty one.",
                offset=offset,
            )
        name, value = match.groups()
        where = (value, offset + match.start(2))
        if name == "Sig":
            self._signatures.append(where)
            if len(self._signatures) > MAX_SIGNATURES:
                raise _malformed(f"There are more than {MAX_SIGNATURES} signatures.", field=name, offset=offset)
        elif name in _KNOWN:
            if name in self._values:
                raise _malformed(f"{name} is given twice.", field=name, offset=offset)
            self._values[name] = where

    def narinfo(self, store_dir: StoreDir) -> NarInfo:
        nar_hash = self._required("NarHash", _sha256)
        return NarInfo(
            store_dir=store_dir,
            store_path=self._required("StorePath", store_dir.parse),
            url=self._required("URL", _url),
            # Nix takes an absent or empty field as bzip2.
            compression=self._optional("Compression", _compression) or Compression.BZIP2,
            file_hash=self._optional("FileHash", _sha256),
            file_size=self._optional("FileSize", _size),
            nar_hash=nar_hash,
            nar_size=self._required("NarSize", _positive_size),
            references=self._optional("References", _references) or (),
            deriver=self._optional("Deriver", _deriver),
            signatures=tuple(_read("Sig", value, offset, Signature.parse) for value, offset in self._signatures),
            ca=self._optional("CA", ContentAddress.parse),
        )

    def _required(self, name: str, parse: Callable[[str], T]) -> T:
        value, offset = self._values[name]
        return _read(name, value, offset, parse)

    def _optional(self, name: str, parse: Callable[[str], T]) -> T | None:
        value, offset = self._values.get(name, ("", 0))
        absent = name not in self._values or (not value and name in _EMPTY_IS_ABSENT)
        return None if absent else _read(name, value, offset, parse)


def _read(name: str, value: str, offset: int, parse: Callable[[str], T]) -> T:
    """Parse a value; whatever is wrong with it becomes an error that says which field, and where its value begins."""
    try:
        return parse(value)
    except PermanentError as error:
        code = error.code if error.code is Code.COMPRESSION_UNSUPPORTED else Code.NARINFO_MALFORMED
        # The inner offset counts from a word or digest inside the value: added up, the two would point astray.
        raise PermanentError(code, error.problem, remedy=error.remedy, field=name, offset=offset) from error


def _sha256(text: str) -> Hash:
    parsed = Hash.parse(text)
    if parsed.algorithm is not HashAlgorithm.SHA256:
        raise _malformed("The hash is not a SHA-256.", remedy="No client imports another: write sha256:<Nix32>.")
    return parsed


def _url(text: str) -> str:
    if not _URL.fullmatch(text):
        raise _malformed("The URL has white space, is empty or is too long.")
    return text


def _compression(text: str) -> Compression:
    try:
        return Compression(text)
    except ValueError:
        # One client aborts on a name that it does not know, so an unknown one must never be published.
        raise PermanentError(
            Code.COMPRESSION_UNSUPPORTED, f"Nix knows no method {text[:40]!r}.", remedy="Use zstd, xz or none."
        ) from None


def _size(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise _malformed(
            f"{text[:40]!r} is not a size in bytes.", remedy="Write a decimal number without leading zeros."
        )
    return int(text)


def _positive_size(text: str) -> int:
    size = _size(text)
    if size == 0:
        raise _malformed("The size is 0; the smallest NAR has 96 bytes or more.")
    return size


def _references(text: str) -> tuple[StorePath, ...]:
    words = text.split(" ")
    if len(words) > MAX_REFERENCES:
        raise _malformed(
            f"There are {len(words)} references; {MAX_REFERENCES} are allowed.", remedy="Split the output."
        )
    references = [StorePath.from_base_name(word) for word in words]
    unique = sorted(set(references))
    if len(unique) != len(references):
        raise _malformed("A reference is given twice.")
    return tuple(unique)


def _deriver(text: str) -> StorePath | None:
    return None if text == "unknown-deriver" else StorePath.from_base_name(text)


def _malformed(
    problem: str,
    *,
    remedy: str = "Write the narinfo as Nix itself does.",
    field: str | None = None,
    offset: int | None = None,
) -> PermanentError:
    return PermanentError(Code.NARINFO_MALFORMED, problem, remedy=remedy, field=field, offset=offset)
