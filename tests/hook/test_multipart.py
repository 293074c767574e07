"""Uploads in parts that survive a crash: nothing is sent twice, nothing is left over."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path
from random import Random
from threading import Event

import pytest

from hook.errors import BuilderCode, Cause, Trouble
from hook.nix_store import NixStore, PathInfo
from hook.transfer.budget import Budget
from hook.transfer.outgoing import MAX_PARTS, PART_SIZE, largest, minimum_memory, part_size
from hook.transfer.packing import Packing
from hook.transfer.staging import Staging
from hook.transfer.transfer import Transfer
from nixcache.compression import Compression, decompressor
from nixcache.errors import PermanentError
from tests.hook.lifecycle import Lifecycle
from tests.hook.nix import Nix
from tests.hook.remembered import Remembered
from tests.hook.service import BUILDER, Service

PART = 5 * 1024 * 1024
LEVEL = Packing(Compression.ZSTD, 1)


class _Calls(Counter[str]):
    """Counts what is asked of S3, and fails the calls that it is told to."""

    def __init__(self, service: Service) -> None:
        super().__init__()
        self.fail: dict[str, int] = {}
        service.s3.meta.events.register("before-call.s3", self._count)

    def _count(self, model: object, **_: object) -> None:
        name = model.name  # type: ignore[attr-defined]
        self[name] += 1
        if self[name] > self.fail.get(name, 1_000_000):
            raise ConnectionAbortedError(name)


@pytest.fixture
def calls(service: Service) -> _Calls:
    return _Calls(service)


@pytest.fixture
def info(nix: Nix) -> PathInfo:
    path = nix.add("large", Random(0).randbytes(6 * PART))
    return NixStore(nix.store_dir).infos([path])[path]


def _transfer(nix: Nix, service: Service, remembered: Remembered, packing: Packing = LEVEL) -> Transfer:
    """Return what a new process would have: nothing but the memory of multipart uploads."""
    return Transfer(
        nix_store=NixStore(nix.store_dir),
        staging=Staging(service.s3, service.staging),
        builder=BUILDER,
        compression=packing,
        multiparts=remembered,
        budget=Budget(),
        stop=Event(),
        sent=lambda _: None,
        smallest_part=PART,
    )


def _stored(service: Service, info: PathInfo) -> bool:
    key = f"{BUILDER}/nar/{info.nar_hash.nix32}.nar.zst"
    nar = service.s3.get_object(Bucket=service.staging, Key=key)["Body"].read()
    digest = hashlib.sha256()
    for piece in decompressor(Compression.ZSTD).feed(nar):
        digest.update(piece)
    return digest.digest() == info.nar_hash.digest


def test_a_large_nar_goes_in_parts_that_are_forgotten_at_the_end(
    nix: Nix, service: Service, calls: _Calls, info: PathInfo
) -> None:
    remembered = Remembered()
    _transfer(nix, service, remembered).put_nar(info)
    assert _stored(service, info)
    assert calls["UploadPart"] == 7
    assert remembered.all() == []
    assert service.unfinished_uploads() == 0


def test_i6_after_a_crash_only_the_parts_that_are_missing_are_sent(
    nix: Nix, service: Service, calls: _Calls, info: PathInfo
) -> None:
    remembered = Remembered()
    calls.fail["UploadPart"] = 4
    with pytest.raises(ConnectionAbortedError):
        _transfer(nix, service, remembered).put_nar(info)
    assert service.unfinished_uploads() == 1, "it is left to be resumed"
    begun = remembered.begun(remembered.all()[0][0])
    assert begun
    arrived = len(begun.parts)
    assert arrived == 4
    calls.clear()
    calls.fail.clear()
    _transfer(nix, service, remembered).put_nar(info)
    assert _stored(service, info)
    assert calls["UploadPart"] == 7 - arrived
    assert calls["CreateMultipartUpload"] == 0
    assert (remembered.all(), service.unfinished_uploads()) == ([], 0)


def test_i6_parts_of_another_level_are_sent_again(nix: Nix, service: Service, calls: _Calls) -> None:
    """The configuration may have changed meanwhile: only equal bytes are equal parts."""
    path = nix.add("text", Random(0).randbytes(3 * PART // 2).hex().encode() * 4)
    info = NixStore(nix.store_dir).infos([path])[path]
    remembered = Remembered()
    calls.fail["CompleteMultipartUpload"] = 0
    with pytest.raises(ConnectionAbortedError):
        _transfer(nix, service, remembered).put_nar(info)
    calls.clear()
    calls.fail.clear()
    _transfer(nix, service, remembered, Packing(Compression.ZSTD, 5)).put_nar(info)
    assert calls["CreateMultipartUpload"] == 0
    assert calls["UploadPart"] > 0
    assert _stored(service, info)


def test_i6_an_upload_that_the_bucket_has_forgotten_begins_anew(
    nix: Nix, service: Service, calls: _Calls, info: PathInfo
) -> None:
    remembered = Remembered()
    calls.fail["UploadPart"] = 3
    with pytest.raises(ConnectionAbortedError):
        _transfer(nix, service, remembered).put_nar(info)
    ((key, upload_id),) = remembered.all()
    Lifecycle(service).abort(key, upload_id)
    calls.clear()
    calls.fail.clear()
    _transfer(nix, service, remembered).put_nar(info)
    assert _stored(service, info)
    assert calls["CreateMultipartUpload"] == 1
    assert (remembered.all(), service.unfinished_uploads()) == ([], 0)


def test_a_bucket_that_forgets_every_upload_is_trouble(
    nix: Nix, service: Service, info: PathInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin, lifecycle = Staging.begin, Lifecycle(service)

    def forget(staging: Staging, key: str) -> str:
        upload_id = begin(staging, key)
        lifecycle.abort(key, upload_id)
        return upload_id

    monkeypatch.setattr(Staging, "begin", forget)
    remembered = Remembered()
    with pytest.raises(Trouble, match="forgets multipart uploads"):
        _transfer(nix, service, remembered).put_nar(info)
    assert (remembered.all(), service.unfinished_uploads()) == ([], 0)


def test_a_path_that_turns_out_corrupt_leaves_no_upload(nix: Nix, service: Service, info: PathInfo) -> None:
    file = Path(nix.full(info.store_path))
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    remembered = Remembered()
    with pytest.raises(PermanentError) as caught:
        _transfer(nix, service, remembered).put_nar(info)
    assert caught.value.code is BuilderCode.PATH_CORRUPT
    assert (remembered.all(), service.unfinished_uploads()) == ([], 0)


def test_clearing_up_aborts_what_nobody_is_at(nix: Nix, service: Service, calls: _Calls, info: PathInfo) -> None:
    remembered = Remembered()
    calls.fail["UploadPart"] = 2
    with pytest.raises(ConnectionAbortedError):
        _transfer(nix, service, remembered).put_nar(info)
    calls.fail.clear()
    transfer = _transfer(nix, service, remembered)
    transfer.clear_up()
    assert (remembered.all(), service.unfinished_uploads()) == ([], 0)
    transfer.clear_up()


def test_clearing_up_leaves_alone_what_is_under_way(
    nix: Nix, service: Service, info: PathInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered = Remembered()
    transfer = _transfer(nix, service, remembered)
    complete = Staging.complete

    def clear_up_first(staging: Staging, *arguments: object) -> None:
        transfer.clear_up()
        complete(staging, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Staging, "complete", clear_up_first)
    transfer.put_nar(info)
    assert _stored(service, info)


@pytest.mark.parametrize("size", [1, 120, PART_SIZE, 512 * 1024**2, 70 * 1024**3, 5 * 1024**4])
def test_no_nar_has_more_parts_than_s3_takes(size: int) -> None:
    parts = part_size(size)
    assert parts >= PART_SIZE >= PART
    assert largest(size) <= parts * MAX_PARTS
    assert largest(size) >= size


@pytest.mark.parametrize("size", [120, 1024**2, 512 * 1024**2])
def test_a_small_nar_asks_for_little_memory(size: int) -> None:
    """I7, the builder's side of it."""
    assert minimum_memory(size, PART_SIZE) <= min(2 * size + 2048, 25 * 1024**2)


def test_clearing_up_tries_each_and_forgets_what_another_builder_s_name_was_begun_under(
    nix: Nix, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that cannot be aborted keeps none behind it; and a renamed builder's role would be denied for ever."""
    remembered = Remembered()
    for key in (f"{BUILDER}/nar/a", "renamed/nar/b", f"{BUILDER}/nar/c"):
        remembered.begin(key, "id")
    tried: list[str] = []

    def abort(_: Staging, key: str, upload_id: str) -> None:
        tried.append(f"{key} {upload_id}")
        if key.endswith("a"):
            raise Trouble(Cause.SERVICE, "denied")

    monkeypatch.setattr(Staging, "abort", abort)
    with pytest.raises(Trouble, match="denied"):
        _transfer(nix, service, remembered).clear_up()
    assert tried == [f"{BUILDER}/nar/a id", f"{BUILDER}/nar/c id"]
    assert remembered.all() == [(f"{BUILDER}/nar/a", "id")]


def test_clearing_up_ends_where_nobody_answers(nix: Nix, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand uploads, each tried until it times out, would hold up everything for hours."""
    remembered = Remembered()
    for key in (f"{BUILDER}/nar/a", f"{BUILDER}/nar/b"):
        remembered.begin(key, "id")
    tried: list[str] = []

    def abort(_: Staging, key: str, upload_id: str) -> None:
        tried.append(f"{key} {upload_id}")
        raise Trouble(Cause.NETWORK, "no answer")

    monkeypatch.setattr(Staging, "abort", abort)
    with pytest.raises(Trouble, match="no answer"):
        _transfer(nix, service, remembered).clear_up()
    assert tried == [f"{BUILDER}/nar/a id"]
    assert len(remembered.all()) == 2


def test_an_upload_whose_parts_the_bucket_does_not_know_any_more_begins_anew(
    nix: Nix, service: Service, calls: _Calls, info: PathInfo
) -> None:
    remembered = Remembered()
    calls.fail["CompleteMultipartUpload"] = 0
    with pytest.raises(ConnectionAbortedError):
        _transfer(nix, service, remembered).put_nar(info)
    ((key, _),) = remembered.all()
    begun = remembered.begun(key)
    assert begun
    remembered.part(key, 1, replace(begun.parts[1], etag=f'"{"0" * 32}"'))
    calls.clear()
    calls.fail.clear()
    _transfer(nix, service, remembered).put_nar(info)
    assert _stored(service, info)
    assert (calls["CreateMultipartUpload"], calls["AbortMultipartUpload"]) == (1, 1)
    assert (remembered.all(), service.unfinished_uploads()) == ([], 0)
