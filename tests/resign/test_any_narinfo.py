"""I3: whatever a narinfo holds, re-signing changes its Sig lines and nothing else."""

from __future__ import annotations

import base64
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.signing import SigningKey

from lambdas.emf import EventLog
from lambdas.ingest.deadline import Deadline
from lambdas.resign.handler import handle
from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from protocol.keys import CacheNarInfoKey
from tests.concurrency.deployment import KEY
from tests.nixcache.strategies import narinfos
from tests.resign.conftest import NEXT, SETTINGS, event
from tests.simulator.aws import SimulatedAws

_METADATA = {"assay-submission": "digest", "assay-warnings": "[]"}


def _signature(narinfo: NarInfo) -> Signature:
    seed = base64.b64decode(KEY.reveal().partition(":")[2])[:32]
    return Signature(KEY.name, SigningKey(seed).sign(narinfo.fingerprint()).signature)


def _resign(aws: SimulatedAws, narinfo: NarInfo, key: str) -> dict[str, int]:
    return handle(
        event([key]),
        replace(SETTINGS, store_dir=narinfo.store_dir),
        aws.connect(),
        Deadline(lambda: 900.0).begin(),
        EventLog(service="resign", stage="test"),
    )


@settings(max_examples=100)
@given(narinfos(), st.booleans())
def test_only_signatures_change_and_only_where_one_holds(narinfo: NarInfo, is_ours: bool) -> None:  # noqa: FBT001
    if is_ours:
        narinfo = replace(narinfo, signatures=(*narinfo.signatures, _signature(narinfo)))
    aws = SimulatedAws()
    bucket = aws.create_bucket("cache", versioned=True)
    for secret in (KEY, NEXT):
        aws.put_secret("key", secret.reveal())
    key = str(CacheNarInfoKey(narinfo.store_path.hash_part))
    aws.connect().s3.put_object(
        Bucket="cache", Key=key, Body=narinfo.render(), ContentType="text/x-nix-narinfo", Metadata=_METADATA
    )
    before = bucket.current(key)
    counts = _resign(aws, narinfo, key)
    after = bucket.current(key)
    assert before is not None
    assert after is not None
    if not is_ours:
        assert counts == {"notSigned": 1}
        assert after is before
        return
    assert counts == {}
    signed = NarInfo.parse(after.data, narinfo.store_dir)
    assert signed.is_signed_by(NEXT.public_key)
    assert signed.signatures[1:] == narinfo.signatures
    assert [line for line in after.data.split(b"\n") if not line.startswith(b"Sig: ")] == [
        line for line in before.data.split(b"\n") if not line.startswith(b"Sig: ")
    ]
    assert signed.fingerprint() == narinfo.fingerprint()
    assert (after.headers, after.metadata) == (before.headers, before.metadata)
    _resign(aws, narinfo, key)
    assert bucket.current(key) is after
