"""One provenance: a statement about the golden store object, and the envelope that the golden key makes of it."""

from __future__ import annotations

from nixcache.hashes import Hash
from nixcache.signing import SecretKey
from nixcache.statement import PREDICATE_TYPE, Statement
from nixcache.store_path import NIX_STORE, StorePath
from tests.nixcache.golden import HELLO, HELLO_NAR_HASH, SECRET_KEY

STATEMENT = Statement(
    store_dir=NIX_STORE,
    store_path=StorePath.from_base_name(HELLO),
    nar_hash=Hash.parse(HELLO_NAR_HASH),
    predicate_type=PREDICATE_TYPE,
    predicate={"builder": "builder-1", "quorum": None, "narSize": 976, "references": [], "policy": {"x": "warn"}},
)
STATEMENT_JSON = (
    b'{"_type":"https://in-toto.io/Statement/v1",'
    b'"predicate":{"builder":"builder-1","narSize":976,"policy":{"x":"warn"},"quorum":null,"references":[]},'
    b'"predicateType":"urn:assay:publication:v1",'
    b'"subject":[{"digest":{"sha256":"6a05dcfff99e60a392469ab3a887ba3f38dadaffdf081916b6b1300bde6a5253"},"name":"/nix/store/8v5wq9sk6zp7b3n2xqd1c4mmhy8fvgrc-hello-2.12"}]}'
)
KEY = SecretKey.parse(SECRET_KEY)
ENVELOPE = KEY.attest(STATEMENT)
