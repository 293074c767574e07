"""Whatever a builder puts into staging ends as a verdict with a stable code, and nothing of it appears in the cache."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lambdas.ingest.adapters.cache import S3Cache
from lambdas.ingest.adapters.ledger import S3Ledger
from lambdas.ingest.adapters.nar_copy import NarCopy
from lambdas.ingest.adapters.signing_keys import SecretsManagerKeys
from lambdas.ingest.adapters.upstreams import HttpUpstreams
from lambdas.ingest.adapters.withdrawals import LedgerWithdrawals
from lambdas.ingest.claim import Claim
from lambdas.ingest.lookup import Lookup
from lambdas.ingest.ports import PinnedNar
from lambdas.ingest.publish import Publisher
from lambdas.ingest.quorum import Agreement
from lambdas.ingest.submission import Submission
from lambdas.ingest.withdrawal import WithdrawalGuard
from nixcache import nix32
from nixcache.compression import READABLE, Compression
from nixcache.content_address import ContentAddress
from nixcache.errors import Code, PermanentError
from nixcache.narinfo import MAX_NARINFO_SIZE
from nixcache.store_path import NIX_STORE, HashPart, StorePath
from nixcache.verify import DEFAULT_MAX_EXPANSION, verify
from protocol.keys import CacheListingKey, NarFile, StagingNarInfoKey, StagingNarKey
from protocol.results import Result
from protocol.verdicts import Rejected
from tests.ingest.store_objects import Builder, StoreObject, pack, sha256, store_path
from tests.ingest.world import ALICE, BOB, World, connect, s3_event, sqs_event

Lie = Callable[[StoreObject], StoreObject]


def _rejection(world: World, thing: StoreObject) -> Rejected:
    """Run what was submitted; return the verdict after making sure that no reader sees anything."""
    world.run()
    verdict = world.verdict(thing.path)
    assert isinstance(verdict, Rejected)
    assert verdict.problem
    assert [key for key in world.keys(world.settings.cache_bucket) if key.endswith((".narinfo", ".ls"))] == []
    return verdict


def _url(thing: StoreObject, compression: Compression) -> str:
    return NarFile.of(thing.narinfo.nar_hash, compression).url


_LIES: dict[str, tuple[Lie, str, str | None]] = {
    "nar hash": (lambda t: t.claiming(nar_hash=sha256(b"other")), "nar-hash-mismatch", "NarHash"),
    "nar size too large": (lambda t: t.claiming(nar_size=t.narinfo.nar_size + 8), "nar-size-mismatch", "NarSize"),
    "nar size too small": (lambda t: t.claiming(nar_size=t.narinfo.nar_size - 8), "nar-size-mismatch", "NarSize"),
    "file hash": (lambda t: t.claiming(file_hash=sha256(b"other")), "file-hash-mismatch", "FileHash"),
    "file size": (lambda t: t.claiming(file_size=1), "file-size-mismatch", "FileSize"),
    "reference to itself": (lambda t: t.claiming(references=(t.path,)), "reference-not-found", "References"),
    "content address": (
        lambda t: t.claiming(ca=ContentAddress.parse(f"fixed:r:{t.narinfo.nar_hash}")),
        "ca-mismatch",
        "CA",
    ),
    "size beyond the limit": (lambda t: t.claiming(nar_size=2 * 1024**3), "too-large", "NarSize"),
    "compression": (
        lambda t: t.claiming(compression=Compression.LZMA, url=_url(t, Compression.LZMA)),
        "compression-unsupported",
        "Compression",
    ),
    "compression other than the file's": (
        lambda t: t.claiming(compression=Compression.XZ, url=_url(t, Compression.XZ)),
        "compressed-data-malformed",
        "URL",
    ),
    "compression other than the name's": (
        lambda t: t.claiming(compression=Compression.NONE),
        "narinfo-malformed",
        "URL",
    ),
    "two references with one hash part": (
        lambda t: t.claiming(references=(StorePath(HashPart("1" * 32), "a"), StorePath(HashPart("1" * 32), "b"))),
        "narinfo-malformed",
        "References",
    ),
    "its own hash part under another name": (
        lambda t: t.claiming(references=(StorePath(t.path.hash_part, "other"),)),
        "narinfo-malformed",
        "References",
    ),
}


@pytest.mark.parametrize("lie", _LIES)
def test_a_lie_in_the_narinfo(world: World, builder: Builder, lie: str) -> None:
    tell, code, field = _LIES[lie]
    told = tell(builder.build("leaf"))
    world.submit(told)
    verdict = _rejection(world, told)
    assert (verdict.code, verdict.field) == (code, field)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/nar/x.nar",
        "//evil.example/x.nar",
        "../bob/nar/{hash}.nar.zst",
        "nar/../../bob/nar/{hash}.nar.zst",
        "nar/%2e%2e/{hash}.nar.zst",
        "bob/nar/{hash}.nar.zst",
        "nar//{hash}.nar.zst",
        "nar/{hash}.nar.zst?versionId=1",
        "nar/short.nar.zst",
        "NAR/{hash}.nar.zst",
    ],
)
def test_a_url_that_leaves_the_builders_nars(world: World, builder: Builder, url: str) -> None:
    """I8: a builder's narinfo makes ingest read nothing but that builder's own NARs."""
    theirs = builder.build("secret", text="of bob's")
    world.upload(StagingNarKey(BOB, NarFile.parse_url(theirs.narinfo.url)), theirs.file)
    mine = theirs.claiming(url=url.replace("{hash}", theirs.narinfo.nar_hash.nix32))
    world.upload(StagingNarInfoKey(ALICE, mine.path.hash_part), mine.narinfo.render())
    verdict = _rejection(world, mine)
    assert (verdict.code, verdict.field) == ("narinfo-malformed", "URL")


@pytest.mark.parametrize("method", sorted(set(Compression) - set(READABLE)))
def test_a_method_that_is_not_read_is_named(world: World, builder: Builder, method: Compression) -> None:
    """And not the file's extension, which follows from it."""
    thing = builder.build("leaf")
    narinfo = replace(thing.narinfo, url=_url(thing, method), compression=method)
    world.submit(thing, narinfo=narinfo.render())
    verdict = _rejection(world, thing)
    assert verdict.code == "compression-unsupported"
    assert method.value in verdict.problem


def test_a_nar_in_another_builders_prefix_is_not_there(world: World, builder: Builder) -> None:
    """I8: nor does the narinfo alone, without the bytes, get another builder's NAR published."""
    thing = builder.build("leaf")
    world.upload(StagingNarKey(BOB, NarFile.parse_url(thing.narinfo.url)), thing.file)
    world.upload(StagingNarInfoKey(ALICE, thing.path.hash_part), thing.narinfo.render())
    assert _rejection(world, thing).code == "nar-missing"


@pytest.mark.parametrize(
    "text",
    [
        b"\0\xff\x80 not text",
        b"<html>",
        b"StorePath: /nix/store/x\n",
        b"\n" * 10,
        b"a: b\n" * (MAX_NARINFO_SIZE // 5 + 1),
    ],
)
def test_a_narinfo_that_is_none(world: World, builder: Builder, text: bytes) -> None:
    thing = builder.build("leaf")
    world.submit(thing, narinfo=text)
    assert _rejection(world, thing).code == "narinfo-malformed"
    assert world.result(thing.path).store_path is None


def test_what_is_hopeless_does_not_wait_first(world: World, builder: Builder) -> None:
    thing = builder.build("top", [builder.build("leaf")]).claiming(nar_size=2 * 1024**3)
    world.submit(thing)
    assert _rejection(world, thing).code == "too-large"


def test_an_empty_narinfo(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    world.upload(StagingNarInfoKey(ALICE, thing.path.hash_part), b"")
    assert _rejection(world, thing).code == "narinfo-malformed"


def test_an_injected_field(world: World, builder: Builder) -> None:
    """I5: a newline is no part of any value: what follows it is a field like any other, and here given twice."""
    thing = builder.build("leaf")
    text = thing.narinfo.render().replace(b"URL: ", b"URL: x\nURL: ")
    world.submit(thing, narinfo=text)
    verdict = _rejection(world, thing)
    assert (verdict.code, verdict.field) == ("narinfo-malformed", "URL")


def test_another_store_dir(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    world.submit(thing, narinfo=thing.narinfo.render().replace(b"/nix/store/", b"/gnu/store/"))
    verdict = _rejection(world, thing)
    assert (verdict.code, verdict.field) == ("narinfo-malformed", "StorePath")


def test_another_paths_hash_part(world: World, builder: Builder) -> None:
    victim, thing = builder.build("glibc"), builder.build("trojan")
    world.submit(thing)
    world.take_messages()
    world.upload(StagingNarInfoKey(ALICE, victim.path.hash_part), thing.narinfo.render())
    verdict = _rejection(world, victim)
    assert (verdict.code, verdict.field) == ("hash-part-mismatch", "StorePath")
    assert world.published(thing.path) is None


def test_no_nar(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    world.upload(StagingNarInfoKey(ALICE, thing.path.hash_part), thing.narinfo.render())
    assert _rejection(world, thing).code == "nar-missing"


@pytest.mark.parametrize("archived", ["NAR", "narinfo"])
def test_what_s3_does_not_hand_out(world: World, builder: Builder, archived: str) -> None:
    """I6: a builder chooses how S3 stores its objects, and an archived one would be tried for ever."""
    thing = builder.build("leaf")
    keys = {
        "NAR": (StagingNarKey(ALICE, NarFile.parse_url(thing.narinfo.url)), thing.file),
        "narinfo": (StagingNarInfoKey(ALICE, thing.path.hash_part), thing.narinfo.render()),
    }
    for name, (key, data) in keys.items():
        world.admin.s3.put_object(
            Bucket=world.settings.staging_bucket,
            Key=str(key),
            Body=data,
            StorageClass="GLACIER" if name == archived else "STANDARD",
        )
    world.run()
    verdict = world.verdict(thing.path)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "object-unreadable"


def test_a_narinfo_that_is_gone_before_its_event(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    version_id = world.submit(thing)
    key = f"{ALICE}/{thing.path.hash_part}.narinfo"
    world.admin.s3.delete_object(Bucket=world.settings.staging_bucket, Key=key, VersionId=version_id)
    world.take_messages()
    event = sqs_event(s3_event(world.settings.staging_bucket, key, version_id=version_id))
    assert world.container()(event) == []
    assert _rejection(world, thing).code == "narinfo-missing"
    assert world.result(thing.path).version_id == version_id


def _nar_of_a_file(contents: bytes) -> bytes:
    words = (b"nix-archive-1", b"(", b"type", b"regular", b"contents", contents, b")")
    return b"".join(len(word).to_bytes(8, "little") + word + bytes(-len(word) % 8) for word in words)


_NAR = _nar_of_a_file(b"hello")


@pytest.mark.parametrize(
    ("nar", "code"),
    [
        (b"not a NAR at all, but sixty-four bytes long, as that is plenty..", "nar-malformed"),
        (_NAR[:-8], "nar-malformed"),
        (_NAR + bytes(8), "nar-trailing-data"),
    ],
)
def test_a_nar_that_is_none(world: World, nar: bytes, code: str) -> None:
    """Also when every hash and size of it is told truly."""
    thing = pack(store_path("raw"), nar, (), Compression.ZSTD)
    world.submit(thing)
    assert _rejection(world, thing).code == code


@pytest.mark.parametrize(
    "file",
    [lzma.compress(_NAR)[:-4], lzma.compress(_NAR) + b"garbage", b"", b"random" * 20],
    ids=["truncated", "followed by garbage", "empty", "something else"],
)
def test_a_file_that_does_not_decompress(world: World, file: bytes) -> None:
    true = pack(store_path("raw"), _NAR, (), Compression.XZ)
    thing = StoreObject(file, true.claiming(file_hash=sha256(file), file_size=len(file)).narinfo)
    world.submit(thing)
    assert _rejection(world, thing).code == "compressed-data-malformed"


def test_a_bomb(world: World) -> None:
    """I7: it is left alone as soon as it is larger than it was said to be."""
    thing = pack(store_path("bomb"), _nar_of_a_file(bytes(64 * 1024**2)), (), Compression.ZSTD).claiming(nar_size=1024)
    assert len(thing.file) < 100_000
    world.submit(thing)
    verdict = _rejection(world, thing)
    assert (verdict.code, verdict.offset) == ("nar-size-mismatch", 1024)


def _padded(thing: StoreObject, size: int) -> StoreObject:
    """Return it with a zstd frame behind it that decompresses to nothing, and says nothing of the file's size."""
    skippable = b"\x50\x2a\x4d\x18" + size.to_bytes(4, "little") + bytes(size)
    return StoreObject(thing.file + skippable, thing.claiming(file_hash=None, file_size=None).narinfo)


def test_a_file_beyond_what_its_nar_needs(world: World, builder: Builder) -> None:
    """I7: frames that decompress to nothing would otherwise be read for ever, whatever NarSize says."""
    padded = _padded(builder.build("padded"), 1024**2)
    world.submit(padded)
    clients = connect(world.aws)
    bodies: list[Any] = []
    clients.s3.meta.events.register("after-call.s3.GetObject", lambda parsed, **_: bodies.append(parsed.get("Body")))
    world.run(world.container(clients))
    assert bodies[-1]._amount_read == 0, "S3 says its size before its first byte"
    verdict = _rejection(world, padded)
    assert (verdict.code, verdict.field) == ("too-large", "FileSize")
    padded = _padded(builder.build("padded"), 32 * 1024)
    world.submit(padded)
    world.run()
    assert world.published(padded.path) is not None  # what made it fail is the size alone


def test_a_file_that_is_said_to_be_larger_than_its_nar_needs_does_not_wait_first(
    world: World, builder: Builder
) -> None:
    thing = builder.build("top", [builder.build("leaf")]).claiming(file_size=1024**2)
    world.submit(thing)
    verdict = _rejection(world, thing)
    assert (verdict.code, verdict.field) == ("too-large", "FileSize")


def test_a_nar_beyond_the_allowed_expansion(world: World) -> None:
    """I7: it is not even begun; where the operator allows more, it is published, and completed after a crash."""
    thing = pack(store_path("zeros"), _nar_of_a_file(bytes(65 * 1024**2)), (), Compression.ZSTD)
    thing = thing.claiming(file_size=None)
    assert len(thing.file) * DEFAULT_MAX_EXPANSION < thing.narinfo.nar_size
    world.submit(thing)
    verdict = _rejection(world, thing)
    assert (verdict.code, verdict.field) == ("too-large", "NarSize")
    assert str(DEFAULT_MAX_EXPANSION) in verdict.problem
    generous = World(world.aws, max_expansion=100_000)
    generous.submit(thing)
    messages = generous.take_messages()
    assert generous.container()(sqs_event(*messages)) == []
    assert generous.published(thing.path) is not None
    listing = str(CacheListingKey(thing.path.hash_part))
    generous.admin.s3.delete_object(Bucket=generous.settings.cache_bucket, Key=listing)
    assert generous.container()(sqs_event(*messages)) == []
    assert listing in generous.keys(generous.settings.cache_bucket)


def test_a_narinfo_that_leaves_no_room_for_a_signature(world: World) -> None:
    """What is published must be readable by ingest itself, as a reference of others."""
    references = [store_path("r" * (211 if number else 102), str(number)) for number in range(4279)]
    mentions = b" ".join(path.hash_part.encode() for path in references)
    thing = pack(store_path("many"), _nar_of_a_file(mentions), references, Compression.NONE)
    assert MAX_NARINFO_SIZE - 100 < len(thing.narinfo.render()) <= MAX_NARINFO_SIZE
    s3, settings = world.admin.s3, world.settings
    copy = NarCopy(s3, staging_bucket=settings.staging_bucket, cache_bucket=settings.cache_bucket)
    cache = S3Cache(s3, settings.cache_bucket, NIX_STORE, copy)
    publisher = Publisher(
        cache,
        S3Ledger(s3, settings.ledger_bucket),
        SecretsManagerKeys(world.admin.secrets, settings.signing_secret_id, overlap=timedelta(0)),
        (),
        WithdrawalGuard(
            LedgerWithdrawals(s3, settings.ledger_bucket), Lookup(cache, HttpUpstreams((), NIX_STORE, connections=1))
        ),
    )
    submission = Submission(StagingNarInfoKey(ALICE, thing.path.hash_part), "1")
    nar = PinnedNar(StagingNarKey(ALICE, NarFile.parse_url(thing.narinfo.url)), "1", len(thing.file))
    claim = Claim(submission, thing.narinfo, datetime.now(UTC))
    verified = verify(thing.narinfo, [thing.file])
    with pytest.raises(PermanentError) as caught:
        publisher.publish(claim, verified, nar, (), Agreement(1))
    assert caught.value.code is Code.TOO_LARGE
    assert world.keys(settings.cache_bucket) == []


@pytest.mark.parametrize(
    "key",
    ["alice/not-a-hash-part.narinfo", "alice/deeper/x.narinfo", "alice/.narinfo", "alice/é ü+%2e.narinfo"],
)
def test_a_narinfo_where_no_submission_can_be(world: World, key: str) -> None:
    """I6: it cannot be judged, but its builder is told, under a name that follows from the key."""
    world.upload(key, b"anything")
    world.run()
    name = nix32.encode(hashlib.sha256(key.encode()).digest()[:20])
    assert world.keys(world.settings.ledger_bucket) == [f"results/alice/{name}.json"]
    answer = world.admin.s3.get_object(Bucket=world.settings.ledger_bucket, Key=f"results/alice/{name}.json")
    verdict = Result.from_json(answer["Body"].read()).verdict
    assert isinstance(verdict, Rejected)
    assert verdict.code == "object-key-malformed"
    assert repr(key) in verdict.problem
