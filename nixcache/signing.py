"""Making signatures: the only place that holds a secret key (src/libutil/signature/local-keys.cc).

A signature that Nix takes for one of a store object is made of nothing but a
:class:`~nixcache.verify.VerifiedStoreObject`, or of what another trusted key has signed, a
:class:`~nixcache.countersign.Countersignable` (invariant I1). What a key attests besides is encoded so that no client
reads it as such (docs/adr/0051).
"""

from __future__ import annotations

from nacl.signing import SigningKey

from nixcache.countersign import Countersignable
from nixcache.dsse import Envelope, EnvelopeSignature, pae
from nixcache.errors import Code, PermanentError
from nixcache.signature import PublicKey, Signature, fingerprint, parse_named_bytes, render_named_bytes
from nixcache.statement import PAYLOAD_TYPE, Statement
from nixcache.verify import VerifiedStoreObject

SECRET_KEY_SIZE = 64
"""Bytes: the 32 of the seed, then the 32 of the public key."""

_TEST = pae("application/vnd.assay.key-test", b"")


class SecretKey:
    """An Ed25519 secret key with its name. Its ``repr`` shows the name only; :meth:`reveal` alone gives the rest."""

    def __init__(self, name: str, key: SigningKey) -> None:
        """Name ``key``; use :meth:`parse` or :meth:`generate`."""
        self._key = key
        self.public_key = PublicKey(name, bytes(key.verify_key))

    @classmethod
    def parse(cls, text: str) -> SecretKey:
        """Read Nix's format, ``<key name>:<base64 of seed and public key>``, a trailing newline allowed.

        Raises :class:`PermanentError` (``key-malformed``), which never quotes the text.
        """
        sizes = range(SECRET_KEY_SIZE, SECRET_KEY_SIZE + 1)
        name, raw = parse_named_bytes(text.removesuffix("\n"), sizes=sizes, code=Code.KEY_MALFORMED, what="secret key")
        key = SigningKey(raw[:32])
        if bytes(key.verify_key) != raw[32:]:
            # Readers trust the public half that the file shows: signatures under another would verify nowhere.
            raise PermanentError(
                Code.KEY_MALFORMED, "The secret key's public half is not its own.", remedy="Make a new key."
            )
        return cls(name, key)

    @classmethod
    def generate(cls, name: str) -> SecretKey:
        """Return a new key called ``name``; raises :class:`PermanentError` (``key-malformed``) if no key can be."""
        key = SigningKey.generate()
        return cls.parse(render_named_bytes(name, bytes(key) + bytes(key.verify_key)))

    @property
    def name(self) -> str:
        """The key name."""
        return self.public_key.name

    def reveal(self) -> str:
        """Return the key in Nix's format. It is a secret: hand it to a secret store and nowhere else."""
        return render_named_bytes(self.name, bytes(self._key) + bytes(self._key.verify_key))

    def sign(self, verified: VerifiedStoreObject) -> Signature:
        """Return this key's signature of a store object that was proven; TypeError for anything else."""
        # A NarInfo has the same attributes, so without this an unproven claim would be signed by mistake.
        if type(verified) is not VerifiedStoreObject:
            raise TypeError(f"Only a VerifiedStoreObject is signed, not a {type(verified).__name__}.")
        message = fingerprint(
            store_dir=verified.store_dir,
            store_path=verified.store_path,
            nar_hash=verified.nar_hash,
            nar_size=verified.nar_size,
            references=verified.references,
        )
        return Signature(self.name, self._key.sign(message).signature)

    def countersign(self, vouched: Countersignable) -> Signature:
        """Return this key's signature beside another trusted one's; TypeError for anything else."""
        # Bytes would be anybody's: only what a signature was found to hold over is signed.
        if type(vouched) is not Countersignable:
            raise TypeError(f"Only a Countersignable is countersigned, not a {type(vouched).__name__}.")
        return Signature(self.name, self._key.sign(vouched.message).signature)

    def attest(self, statement: Statement) -> Envelope:
        """Return ``statement`` in an envelope with this key's signature; TypeError for anything else.

        The signature is over DSSE's encoding, which no fingerprint of a store object can equal. Raises
        :class:`PermanentError` (``attestation-malformed``) for a statement that is too large.
        """
        # Bytes would be the caller's, and one day a builder's: only what was rendered from values is signed.
        if type(statement) is not Statement:
            raise TypeError(f"Only a Statement is attested, not a {type(statement).__name__}.")
        payload = statement.to_json()
        raw = self._key.sign(pae(PAYLOAD_TYPE, payload)).signature
        return Envelope(PAYLOAD_TYPE, payload, (EnvelopeSignature(self.name, raw),))

    def is_sound(self) -> bool:
        """Tell whether what it signs holds under its public key: it signs a text that is neither kind of message."""
        return self.public_key.verifies(_TEST, Signature(self.name, self._key.sign(_TEST).signature))

    def __repr__(self) -> str:
        """Show the name only: a secret that reaches a log is no secret."""
        return f"SecretKey({self.name!r})"
