"""The straight way: what is submitted truly is published, signed, and told."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lambdas.ingest.adapters.nar_copy import NarCopy
from lambdas.ingest.ports import PinnedNar
from nixcache.compression import READABLE, Compression
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from nixcache.statement import PREDICATE_TYPE
from nixcache.store_path import NIX_STORE
from protocol.keys import CacheListingKey, CacheNarInfoKey, NarFile, StagingNarKey
from protocol.verdicts import Duplicate, Published
from tests.ingest.requests_log import RequestsLog
from tests.ingest.store_objects import Builder, StoreObject, pack, sha256, store_path
from tests.ingest.world import ALICE, BOB, KEY, World, connect, sqs_event


@pytest.mark.parametrize("compression", READABLE)
def test_a_true_submission_is_published_byte_for_byte(world: World, builder: Builder, compression: Compression) -> None:
    """I2: the NAR in the cache is the one that was submitted, under the name that its bytes give it."""
    thing = builder.build("leaf", compression=compression)
    version_id = world.submit(thing)
    world.run()
    result = world.result(thing.path)
    assert result.verdict == Published((KEY.name,))
    assert result.version_id == version_id
    assert result.store_path == thing.path
    world.check_cache()
    published = world.published(thing.path)
    assert published is not None
    assert published.url == NarFile.of(sha256(thing.file), compression).url
    assert world.admin.s3.get_object(Bucket=world.settings.cache_bucket, Key=published.url)["Body"].read() == thing.file


def test_the_cache_holds_what_nix_expects_and_nothing_else(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    world.submit(thing)
    world.run()
    published = world.published(thing.path)
    assert published is not None
    narinfo_key, listing_key = str(CacheNarInfoKey(thing.path.hash_part)), str(CacheListingKey(thing.path.hash_part))
    assert world.keys(world.settings.cache_bucket) == sorted(
        [narinfo_key, listing_key, published.url, "nix-cache-info"]
    )
    kinds = {
        key: world.admin.s3.head_object(Bucket=world.settings.cache_bucket, Key=key)["ContentType"]
        for key in world.keys(world.settings.cache_bucket)
    }
    assert kinds == {
        narinfo_key: "text/x-nix-narinfo",
        listing_key: "application/json",
        published.url: "application/x-nix-nar",
        "nix-cache-info": "text/x-nix-cache-info",
    }
    listing = world.admin.s3.get_object(Bucket=world.settings.cache_bucket, Key=listing_key)["Body"].read()
    assert json.loads(listing)["root"]["entries"]["link"] == {"target": "bin/run", "type": "symlink"}
    cache_info = world.admin.s3.get_object(Bucket=world.settings.cache_bucket, Key="nix-cache-info")["Body"].read()
    assert cache_info == b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 41\n"


def test_an_operators_own_cache_info_stays(world: World, builder: Builder) -> None:
    own = b"StoreDir: /nix/store\nWantMassQuery: 1\nPriority: 7\n"
    world.admin.s3.put_object(Bucket=world.settings.cache_bucket, Key="nix-cache-info", Body=own)
    world.submit(builder.build("leaf"))
    world.run()
    assert world.admin.s3.get_object(Bucket=world.settings.cache_bucket, Key="nix-cache-info")["Body"].read() == own


def test_no_text_of_a_builders_reaches_the_cache(world: World, builder: Builder) -> None:
    """I5: unknown fields, comments, signatures, the order of lines, object metadata and tags all stay behind."""
    thing = builder.build("leaf")
    forged = Signature(KEY.name, b"\1" * 64)
    lines = thing.narinfo.render().decode().splitlines()
    text = "\n".join(["Comment: mine", *reversed(lines), f"Sig: {forged}", "System: evil"]) + "\n"
    world.admin.s3.put_object(
        Bucket=world.settings.staging_bucket,
        Key=str(StagingNarKey(ALICE, NarFile.parse_url(thing.narinfo.url))),
        Body=thing.file,
        ContentType="text/html",
        ContentEncoding="gzip",
        CacheControl="no-store",
        Metadata={"mine": "yes"},
        Tagging="mine=yes",
    )
    world.upload(f"{ALICE}/{thing.path.hash_part}.narinfo", text.encode())
    world.run()
    assert world.verdict(thing.path) == Published((KEY.name,))
    key = str(CacheNarInfoKey(thing.path.hash_part))
    visible = world.admin.s3.get_object(Bucket=world.settings.cache_bucket, Key=key)["Body"].read()
    published = NarInfo.parse(visible, NIX_STORE)
    assert visible == published.render()
    assert forged not in published.signatures
    assert len(published.signatures) == 1
    assert b"mine" not in visible
    nar = world.admin.s3.head_object(Bucket=world.settings.cache_bucket, Key=published.url)
    assert nar["ContentType"] == "application/x-nix-nar"
    assert nar["Metadata"] == {}
    assert not nar.get("ContentEncoding")
    assert "immutable" in nar["CacheControl"]
    assert world.admin.s3.get_object_tagging(Bucket=world.settings.cache_bucket, Key=published.url)["TagSet"] == []


def test_what_the_builder_left_out_is_computed(world: World, builder: Builder) -> None:
    thing = builder.build("leaf").claiming(file_hash=None, file_size=None)
    world.submit(thing)
    world.run()
    published = world.published(thing.path)
    assert published is not None
    assert published.file_size == len(thing.file)
    world.check_cache()


def test_a_path_may_reference_itself(world: World, builder: Builder) -> None:
    thing = builder.build("selfish", itself=True)
    world.submit(thing)
    world.run()
    assert world.verdict(thing.path) == Published((KEY.name,))


def test_a_nar_that_no_listing_can_describe_is_published_without_one(world: World, tmp_path: Path) -> None:
    """Its names are bytes and no UTF-8; JSON has only text."""
    Path(os.fsdecode(bytes(tmp_path) + b"/\xff")).touch()
    thing = pack(store_path("latin1"), b"".join(dump(tmp_path)), (), Compression.ZSTD)
    world.submit(thing)
    (message,) = world.take_messages()
    clients = connect(world.aws)
    log = RequestsLog(clients)
    container = world.container(clients)
    assert container(sqs_event(message)) == []
    log.operations.clear()
    assert container(sqs_event(message)) == []
    read = ["the narinfo, staged", "the narinfo, published", "provenance", "result"]
    assert log.operations.count("GetObject") == len(read), "and no NAR, for which a listing were made in vain"
    assert "HeadObject" not in log.operations
    assert world.verdict(thing.path) == Published((KEY.name,))
    assert not any(key.endswith(".ls") for key in world.keys(world.settings.cache_bucket))


def test_provenance_names_builder_submission_and_key(world: World, builder: Builder) -> None:
    """Signed with the cache's own key, about the object that readers get."""
    thing = builder.build("leaf")
    version_id = world.submit(thing, BOB)
    world.run()
    published = world.published(thing.path)
    assert published is not None
    statement = world.provenance(thing.path)
    assert statement.is_about(published)
    assert statement.predicate_type == PREDICATE_TYPE
    predicate = statement.predicate
    assert predicate["builder"] == "bob"
    assert predicate["submission"] == {"key": f"bob/{thing.path.hash_part}.narinfo", "versionId": version_id}
    assert predicate["quorum"] is None, "one builder is enough"
    assert predicate["signedBy"] == (KEY.name,)


def test_readers_learn_nothing_about_the_builder(world: World, builder: Builder) -> None:
    """I8: what a reader gets with a narinfo, headers included, does not name who built it."""
    thing = builder.build("leaf")
    world.submit(thing, BOB)
    world.run()
    answer = world.admin.s3.get_object(
        Bucket=world.settings.cache_bucket, Key=str(CacheNarInfoKey(thing.path.hash_part))
    )
    assert "bob" not in str(answer["Metadata"])
    assert b"bob" not in answer["Body"].read()


def test_requests_for_a_published_path(world: World, builder: Builder) -> None:
    """What a path costs: eight requests for a leaf, and one more for each reference that was not seen lately."""
    leaf = builder.build("leaf")
    referrer = builder.build("referrer", [leaf])
    clients = connect(world.aws)
    log = RequestsLog(clients)
    container = world.container(clients)

    def requests() -> list[str]:
        log.operations.clear()
        world.run(container)
        return log.operations

    world.submit(leaf)
    assert sorted(requests()) == sorted(
        [
            *["GetObject", "GetObject", "GetObject", "CopyObject"],  # narinfo, is it published, NAR
            *["PutObject", "PutObject"],  # narinfo, listing
            *["PutObject", "PutObject"],  # provenance (nobody has announced himself: no markers are listed), result
            *["GetObject", "GetSecretValue", "PutObject"],  # once a container: what is withdrawn, key, nix-cache-info
        ]
    )
    world.submit(referrer)
    assert len(requests()) == 9
    another = builder.build("another", [leaf])
    world.submit(another)
    assert len(requests()) == 8  # the leaf is remembered
    world.submit(another, BOB)
    assert requests() == ["GetObject", "GetObject", "PutObject", "ListObjectsV2"]
    assert world.verdict(another.path, BOB) == Duplicate()


def test_requests_of_who_has_to_wait(world: World, builder: Builder) -> None:
    """Seven to wait; the publisher pays five more to find and wake it; woken, two more than without waiting."""
    leaf = builder.build("leaf")
    top = builder.build("top", [leaf])
    clients = connect(world.aws)
    log = RequestsLog(clients)
    container = world.container(clients)

    def requests(thing: StoreObject | None = None) -> list[str]:
        if thing is not None:
            world.submit(thing)
        log.operations.clear()
        for body in world.take_messages():
            assert container(sqs_event(body)) == []
        return log.operations

    requests(builder.build("first"))  # which has the container read its key
    assert requests(top) == [
        *["GetObject", "GetObject", "GetObject"],  # narinfo, is it published, is its reference
        *["PutObject", "PutObject", "PutObject"],  # announcement, marker, result
        "GetObject",  # the second look
    ]
    assert requests(leaf) == [
        *["GetObject", "GetObject", "GetObject", "CopyObject", "PutObject", "PutObject"],  # as for any leaf
        *["PutObject", "GetObject", "PutObject", "PutObject"],  # provenance over the announcement; result
        *["ListObjectsV2", "SendMessageBatch", "DeleteObjects"],
    ]
    assert requests() == [
        *["GetObject", "GetObject", "GetObject", "GetObject", "CopyObject"],  # narinfo, published, reference, NAR
        *["PutObject", "PutObject", "PutObject"],  # narinfo, listing, provenance
        *["GetObject", "PutObject"],  # result
    ]
    assert world.verdict(top.path) == Published((KEY.name,))


def test_a_nar_beyond_the_limit_of_one_copy_is_copied_in_parts(world: World) -> None:
    """I2: of the pinned version, also when the key holds something else by then; and not again when it is there."""
    data = os.urandom(11 * 1024**2 + 1)
    key = StagingNarKey(ALICE, NarFile.parse_url(f"nar/{'0' * 52}.nar"))
    version_id = world.upload(key, data)
    world.upload(key, b"swapped")
    clients = connect(world.aws)
    log = RequestsLog(clients)
    copy = NarCopy(
        clients.s3,
        staging_bucket=world.settings.staging_bucket,
        cache_bucket=world.settings.cache_bucket,
        max_single_copy_size=5 * 1024**2,
        part_size=5 * 1024**2,
    )
    target = f"nar/{'1' * 52}.nar"
    assert copy.copy(PinnedNar(key, version_id, len(data)), target)
    assert log.operations.count("UploadPartCopy") == 3
    answer = world.admin.s3.get_object(Bucket=world.settings.cache_bucket, Key=target)
    assert answer["Body"].read() == data
    assert answer["ContentType"] == "application/x-nix-nar"
    log.operations.clear()
    assert copy.copy(PinnedNar(key, version_id, len(data)), target)
    assert log.operations == ["HeadObject"]


@pytest.mark.parametrize(
    ("operation", "size"), [("CopyObject", 1), ("CompleteMultipartUpload", 6 * 1024**2)], ids=["at once", "in parts"]
)
def test_a_nar_is_written_only_where_there_is_none(world: World, operation: str, size: int) -> None:
    """I2: asked of S3 itself, as moto does not look at a copy's condition."""
    key = StagingNarKey(ALICE, NarFile.parse_url(f"nar/{'0' * 52}.nar"))
    version_id = world.upload(key, bytes(size))
    clients = connect(world.aws)
    conditions: list[str | None] = []
    clients.s3.meta.events.register(
        f"provide-client-params.s3.{operation}", lambda params, **_: conditions.append(params.get("IfNoneMatch"))
    )
    copy = NarCopy(
        clients.s3,
        staging_bucket=world.settings.staging_bucket,
        cache_bucket=world.settings.cache_bucket,
        max_single_copy_size=5 * 1024**2,
        part_size=5 * 1024**2,
    )
    assert copy.copy(PinnedNar(key, version_id, size), "nar/x.nar")
    assert conditions == ["*"]


@pytest.mark.parametrize("size", [1, 6 * 1024**2])
def test_a_version_that_is_gone_is_not_copied(world: World, size: int) -> None:
    key = StagingNarKey(ALICE, NarFile.parse_url(f"nar/{'0' * 52}.nar"))
    version_id = world.upload(key, bytes(size))
    world.admin.s3.delete_object(Bucket=world.settings.staging_bucket, Key=str(key), VersionId=version_id)
    copy = NarCopy(
        world.admin.s3,
        staging_bucket=world.settings.staging_bucket,
        cache_bucket=world.settings.cache_bucket,
        max_single_copy_size=5 * 1024**2,
        part_size=5 * 1024**2,
    )
    assert not copy.copy(PinnedNar(key, version_id, size), "nar/x.nar")
    assert world.keys(world.settings.cache_bucket) == []


def test_the_same_event_twice_changes_nothing(world: World, builder: Builder) -> None:
    """I6: S3 sends events at least once."""
    world.submit(builder.build("leaf"))
    (body,) = world.take_messages()
    container = world.container()
    assert container(sqs_event(body, body)) == []
    once = world.state()
    assert container(sqs_event(body)) == []
    assert world.state() == once
    assert world.verdict(store_path("leaf")) == Published((KEY.name,))
