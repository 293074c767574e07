"""Envelopes: a payload, its type, and signatures over both (DSSE 1.0, github.com/secure-systems-lab/dsse).

:meth:`nixcache.signing.SecretKey.attest` makes signed ones.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from nixcache.errors import Code, PermanentError
from nixcache.signature import PublicKey, Signature
from nixcache.strict_json import Json, read_object

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_ENVELOPE_SIZE: Final = 4 * 1024**2
"""Bytes. The largest statement, in base64, is below 3 MiB."""
MAX_ENVELOPE_SIGNATURES: Final = 16
"""Each costs a reader a verification for every key that it trusts, over the whole payload."""


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return the bytes that are signed, DSSE's pre-authentication encoding: type and payload, each with its length.

    It begins with ``DSSEv1``, and what Nix signs never does: the signatures of one are none of the other's.
    """
    encoded = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(encoded), encoded, len(payload), payload)


@dataclass(frozen=True, slots=True)
class EnvelopeSignature:
    """A signature in an envelope. ``keyid`` is a hint that nobody signed, and may be empty."""

    keyid: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Envelope:
    """A payload that nobody may rely on before :meth:`verify` has returned."""

    payload_type: str
    payload: bytes
    signatures: tuple[EnvelopeSignature, ...]

    @classmethod
    def from_json(cls, data: bytes) -> Envelope:
        """Read DSSE's JSON envelope; fields that it does not define are passed over, as it says.

        Raises :class:`PermanentError` (``attestation-malformed``), which names the field. base64 is read in either
        alphabet, the standard or the URL-safe one, and padded.
        """
        document = read_object(data, max_size=MAX_ENVELOPE_SIZE, code=Code.ATTESTATION_MALFORMED, what="envelope")
        listed = document.get("signatures")
        if not isinstance(listed, list):
            raise _malformed("The envelope has no list of signatures.", field="signatures")
        if len(listed) > MAX_ENVELOPE_SIGNATURES:
            raise _malformed(
                f"There are {len(listed)} signatures; {MAX_ENVELOPE_SIGNATURES} are allowed.", field="signatures"
            )
        return cls(
            payload_type=_text(document.get("payloadType"), "payloadType"),
            payload=_base64(document.get("payload"), "payload"),
            signatures=tuple(map(_signature, listed)),
        )

    def to_json(self) -> bytes:
        """Return the JSON envelope, on one line; the same bytes for equal envelopes."""
        document = {
            "payloadType": self.payload_type,
            "payload": base64.b64encode(self.payload).decode(),
            "signatures": [
                {"keyid": signature.keyid, "sig": base64.b64encode(signature.raw).decode()}
                for signature in self.signatures
            ],
        }
        return json.dumps(document).encode() + b"\n"

    def verify(self, keys: Iterable[PublicKey]) -> tuple[str, ...]:
        """Return the names of those ``keys`` under which a signature holds, each once, in the order of ``keys``.

        Raises :class:`PermanentError` (``attestation-unsigned``) if there is none. What a ``keyid`` says is not asked.
        """
        message = pae(self.payload_type, self.payload)
        names = tuple(dict.fromkeys(key.name for key in keys if self._is_signed_by(key, message)))
        if not names:
            raise PermanentError(
                Code.ATTESTATION_UNSIGNED,
                "No signature of the envelope holds under a given key.",
                remedy="Give the public key of the cache that published the store path; if it is the right one, trust"
                " nothing that the envelope says.",
                field="signatures",
            )
        return names

    def _is_signed_by(self, key: PublicKey, message: bytes) -> bool:
        # Under the key's own name: a keyid is no part of what is signed, so anybody can have changed it.
        return any(key.verifies(message, Signature(key.name, signature.raw)) for signature in self.signatures)


def _signature(value: Json) -> EnvelopeSignature:
    if not isinstance(value, dict):
        raise _malformed("A signature is no JSON object.", field="signatures")
    return EnvelopeSignature(
        keyid=_text(value.get("keyid", ""), "signatures.keyid"), raw=_base64(value.get("sig"), "signatures.sig")
    )


def _text(value: Json, field: str) -> str:
    if not isinstance(value, str):
        raise _malformed(f"{field} is missing, or no string.", field=field)
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON can write half of a surrogate pair; it has no UTF-8, so nothing can sign it
        raise _malformed(f"{field} is no Unicode text.", field=field) from None
    return value


def _base64(value: Json, field: str) -> bytes:
    text = _text(value, field)
    alphabet = b"-_" if "-" in text or "_" in text else b"+/"
    try:
        raw = base64.b64decode(text.encode("ascii"), altchars=alphabet, validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raw = b""
    # Spare bits, doubled padding, mixed alphabets: not everybody reads those alike.
    if base64.b64encode(raw, altchars=alphabet).decode() != text:
        raise _malformed(f"{field} is not base64, padded, in one alphabet.", field=field)
    return raw


def _malformed(problem: str, *, field: str) -> PermanentError:
    return PermanentError(
        Code.ATTESTATION_MALFORMED, problem, remedy="Fetch the envelope again, whole and unchanged.", field=field
    )
