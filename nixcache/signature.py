"""What a signature says and how it is checked: fingerprints, signatures, public keys.

Source: src/libstore/path-info.cc, src/libutil/signature/local-keys.cc. :mod:`nixcache.signing` makes them.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nixcache.errors import Code, PermanentError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nixcache.hashes import Hash
    from nixcache.store_path import StoreDir, StorePath

SIGNATURE_SIZE = 64
"""Bytes of an Ed25519 signature, the only kind that every client knows."""
MAX_SIGNATURE_SIZE = 8192
"""Bytes. Newer clients make other kinds, too (ECDSA, ML-DSA of up to 4,627 bytes): they may stand beside ours."""
PUBLIC_KEY_SIZE = 32
# Nix takes anything before the first colon. White space would split trusted-public-keys, a newline a narinfo.
_KEY_NAME = re.compile(r"[!-9;-~]{1,255}", re.ASCII)


def fingerprint(
    *, store_dir: StoreDir, store_path: StorePath, nar_hash: Hash, nar_size: int, references: Iterable[StorePath]
) -> bytes:
    """Return the bytes that a signature covers: ``1;<path>;<nar hash>;<nar size>;<sorted full references>``.

    URL, compression, file hash, deriver and content address are *not* in it.
    """
    listed = ",".join(store_dir.render(reference) for reference in sorted(references))
    return f"1;{store_dir.render(store_path)};{nar_hash};{nar_size};{listed}".encode("ascii")


def parse_named_bytes(text: str, *, sizes: range, code: Code, what: str) -> tuple[str, bytes]:
    """Split ``<key name>:<base64>``, the one form that Nix gives keys and signatures alike.

    ``sizes`` are those that the bytes may have. ``text`` may be secret, so it is never quoted in the error.
    """
    name, colon, encoded = text.partition(":")
    try:
        raw = base64.b64decode(encoded.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    canonical = base64.b64encode(raw).decode() == encoded
    if not colon or not _KEY_NAME.fullmatch(name) or len(raw) not in sizes or not canonical:
        raise PermanentError(
            code,
            f"The {what} is malformed.",
            remedy=f"It is <key name>:<base64 of {sizes.start} bytes>, on one line;"
            " the name holds neither space nor colon.",
        )
    return name, raw


def render_named_bytes(name: str, raw: bytes) -> str:
    """Return ``<key name>:<base64>``."""
    return f"{name}:{base64.b64encode(raw).decode()}"


@dataclass(frozen=True, slots=True, order=True)
class Signature:
    """A signature as a narinfo carries it: who made it, and bytes that nobody has checked yet."""

    key_name: str
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> Signature:
        """Read ``<key name>:<base64>``; raises :class:`PermanentError` (``signature-malformed``)."""
        sizes = range(SIGNATURE_SIZE, MAX_SIGNATURE_SIZE + 1)
        return cls(*parse_named_bytes(text, sizes=sizes, code=Code.SIGNATURE_MALFORMED, what="signature"))

    def __str__(self) -> str:
        """``<key name>:<base64>``."""
        return render_named_bytes(self.key_name, self.raw)


@dataclass(frozen=True, slots=True, order=True)
class PublicKey:
    """A public key as it stands in ``trusted-public-keys``."""

    name: str
    raw: bytes

    @classmethod
    def parse(cls, text: str) -> PublicKey:
        """Read ``<key name>:<base64>``; raises :class:`PermanentError` (``key-malformed``)."""
        sizes = range(PUBLIC_KEY_SIZE, PUBLIC_KEY_SIZE + 1)
        return cls(*parse_named_bytes(text, sizes=sizes, code=Code.KEY_MALFORMED, what="public key"))

    def __str__(self) -> str:
        """``<key name>:<base64>``."""
        return render_named_bytes(self.name, self.raw)

    def verifies(self, message: bytes, signature: Signature) -> bool:
        """Tell whether ``signature`` was made over ``message`` by the secret half of this key (Ed25519, RFC 8032)."""
        if signature.key_name != self.name or len(signature.raw) != SIGNATURE_SIZE:
            return False
        # Here, not above: a builder reads and writes signatures without checking any, and goes without this package.
        from nacl.exceptions import BadSignatureError  # noqa: PLC0415
        from nacl.signing import VerifyKey  # noqa: PLC0415

        try:
            VerifyKey(self.raw).verify(message, signature.raw)
        except BadSignatureError:
            return False
        return True
