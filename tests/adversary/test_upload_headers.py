"""What an upload carries beside its bytes: it stays in staging (I5), and nothing is read otherwise for it (I2)."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from lambdas.ingest.adapters.cache import SUBMISSION_METADATA, WARNINGS_METADATA
from local.aws import Aws
from protocol.keys import CacheNarInfoKey, NarFile, StagingNarInfoKey, StagingNarKey
from protocol.verdicts import Published, Rejected
from tests.adversary.target import MALLORY, Target, headers_of
from tests.concurrency.deployment import ALICE as ALICE_THERE
from tests.concurrency.objects import Objects
from tests.ingest.world import ALICE, KEY, World
from tests.simulator.errors import RefusedError
from tests.simulator.requests import Request

EVERYTHING: dict[str, Any] = {
    "ContentType": "text/html",
    "ContentEncoding": "gzip",
    "ContentDisposition": 'attachment; filename="evil.exe"',
    "ContentLanguage": "xx",
    "CacheControl": "no-store",
    "WebsiteRedirectLocation": "https://evil.example/",
    "Metadata": {
        SUBMISSION_METADATA: "0" * 64,
        WARNINGS_METADATA: "[]",
        "assay-listing": "none",
        "evil": "=?UTF-8?Q?=22?=",
    },
    "Tagging": "evil=yes&public=yes",
}
"""All that a PUT may say about an object, the names of our own metadata among it."""


def test_nothing_beside_the_bytes_reaches_the_cache(aws: Aws, objects: Objects) -> None:
    """I5, on the wire: a reader who got a builder's headers would be sent elsewhere, or read something else."""
    leaf = objects.build("leaf")
    seen = []
    for more in ({}, EVERYTHING):
        world = World(aws)
        s3, staging, cache = world.admin.s3, world.settings.staging_bucket, world.settings.cache_bucket
        uploads: dict[object, bytes] = {
            StagingNarKey(ALICE, NarFile.parse_url(leaf.narinfo.url)): leaf.file,
            StagingNarInfoKey(ALICE, leaf.path.hash_part): leaf.narinfo.render(),
        }
        for upload, data in uploads.items():
            s3.put_object(Bucket=staging, Key=str(upload), Body=data, **more)
        world.run()
        assert world.verdict(leaf.path) == Published((KEY.name,))
        found: dict[str, list[object]] = {}
        for key in world.keys(cache):
            answer = s3.get_object(Bucket=cache, Key=key)
            metadata = dict(answer["Metadata"])
            if key == str(CacheNarInfoKey(leaf.path.hash_part)):
                assert metadata.pop(SUBMISSION_METADATA) != "0" * 64
            assert metadata == {}
            tags = s3.get_object_tagging(Bucket=cache, Key=key)["TagSet"]
            about = {name: answer.get(name) for name in EVERYTHING if name != "Metadata"}
            found[key] = [answer["Body"].read(), about, tags]
        seen.append(found)
    assert seen[0] == seen[1]


def test_bytes_are_taken_as_they_lie_there_whatever_their_encoding_is_said_to_be(aws: Aws, objects: Objects) -> None:
    """I2: what were decoded on the way in would be hashed, and served undecoded."""
    world = World(aws)
    leaf = objects.build("leaf")
    s3, staging = world.admin.s3, world.settings.staging_bucket
    s3.put_object(
        Bucket=staging,
        Key=str(StagingNarKey(ALICE, NarFile.parse_url(leaf.narinfo.url))),
        Body=gzip.compress(leaf.file),
        ContentEncoding="gzip",
    )
    world.upload(StagingNarInfoKey(ALICE, leaf.path.hash_part), leaf.narinfo.render())
    world.run()
    verdict = world.verdict(leaf.path)
    assert isinstance(verdict, Rejected)
    assert verdict.code != "nar-missing"
    s3.put_object(
        Bucket=staging,
        Key=str(StagingNarInfoKey(ALICE, leaf.path.hash_part)),
        Body=gzip.compress(leaf.narinfo.render()),
        ContentEncoding="gzip",
    )
    world.run()
    verdict = world.verdict(leaf.path)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "narinfo-malformed"
    assert world.keys(world.settings.cache_bucket) == []


@pytest.mark.parametrize("what", ["narinfo", "nar.zst"])
def test_an_object_that_only_its_builder_can_decrypt(target: Target, objects: Objects, what: str) -> None:
    """I6: S3 answers InvalidRequest to whoever has not the key; it would be tried for ever."""
    leaf = objects.build("leaf")

    def refuse(request: Request) -> None:
        if request.operation == "GetObject" and request.target.startswith("staging/") and request.target.endswith(what):
            raise RefusedError("InvalidRequest")

    target.submit(leaf, MALLORY)
    target.run(refuse)
    assert target.rejection(leaf.path).code == "object-unreadable"
    assert target.cache.keys() == []


def test_an_object_that_s3_may_not_decrypt_is_in_the_queue_until_it_may(target: Target, objects: Objects) -> None:
    """I6: access denied may as well be the operator's fault. A builder's role cannot upload with a key of KMS."""
    leaf = objects.build("leaf")
    target.submit(leaf, MALLORY)
    (message,) = target.queue.messages
    assert target.queue.take(message)

    def refuse(request: Request) -> None:
        if request.target.startswith("staging/mallory/nar/"):
            raise RefusedError("AccessDenied")

    assert not target.container(target.connect(before=refuse))(message)
    assert target.ledger.keys() == []
    target.run()
    assert target.result(leaf.path, MALLORY).verdict == Published((KEY.name,))


def test_metadata_of_ours_on_a_staged_narinfo_is_nobodys_submission(target: Target, objects: Objects) -> None:
    """I3: who claims another's digest would have its own contents taken for that one's publication."""
    leaf, evil = objects.build("leaf"), objects.build("leaf", text="evil")
    target.attack(leaf, ALICE_THERE)
    _, metadata = headers_of(target.cache.current(str(CacheNarInfoKey(leaf.path.hash_part))))
    target.upload(StagingNarKey(MALLORY, NarFile.parse_url(evil.narinfo.url)), evil.file)
    target.connect().s3.put_object(
        Bucket="staging",
        Key=str(StagingNarInfoKey(MALLORY, evil.path.hash_part)),
        Body=evil.narinfo.render(),
        Metadata=metadata,  # type: ignore[arg-type]
    )
    target.run()
    assert target.result(evil.path, MALLORY).verdict.kind == "conflict"
