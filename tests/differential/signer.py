"""The one key that clients trust here, and signatures over what nobody has proven."""

from __future__ import annotations

import base64

from nacl.signing import SigningKey

from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from nixcache.signing import SecretKey

_SEED = SigningKey(b"key of the differential suite...")
KEY = SecretKey.parse("cache-1:" + base64.b64encode(bytes(_SEED) + bytes(_SEED.verify_key)).decode())
"""Signs what Assay publishes."""


def signature(narinfo: NarInfo) -> Signature:
    """Sign a claim with :data:`KEY`, as a careless cache would. Assay's own code cannot."""
    return Signature(KEY.name, _SEED.sign(narinfo.fingerprint()).signature)
