"""One store object from the real Nix into staging, where our own verifier judges it."""

from __future__ import annotations

import bz2
import hashlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event, current_thread

import pytest

from hook.errors import BuilderCode
from hook.nix_store import NixStore, PathInfo
from hook.transfer import frames
from hook.transfer.budget import Budget
from hook.transfer.build_log import BuildLog
from hook.transfer.packing import Packing
from hook.transfer.staging import Staged, Staging
from hook.transfer.transfer import Transfer
from nixcache.compression import Compression
from nixcache.errors import PermanentError, TransientError
from nixcache.store_path import StorePath
from nixcache.verify import verify
from protocol.keys import StagingNarInfoKey
from tests.hook.nix import FLOATING, Nix, derivation
from tests.hook.remembered import Remembered
from tests.hook.service import BUILDER, Service

PART = 5 * 1024 * 1024
ZSTD = Packing(Compression.ZSTD, 3)
Upload = Callable[[StorePath], Staged]


def _noise(size: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    return b"".join(hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(size // 32))


@pytest.fixture
def stop() -> Event:
    return Event()


@pytest.fixture
def store(nix: Nix) -> NixStore:
    return NixStore(nix.store_dir)


@pytest.fixture
def counted() -> list[int]:
    return []


@pytest.fixture
def transfer_with(store: NixStore, service: Service, stop: Event, counted: list[int]) -> Callable[[Packing], Transfer]:
    def one(packing: Packing) -> Transfer:
        return Transfer(
            nix_store=store,
            staging=Staging(service.s3, service.staging),
            builder=BUILDER,
            compression=packing,
            multiparts=Remembered(),
            budget=Budget(),
            stop=stop,
            sent=counted.append,
            smallest_part=PART,
        )

    return one


@pytest.fixture
def transfer(transfer_with: Callable[[Packing], Transfer]) -> Transfer:
    return transfer_with(ZSTD)


@pytest.fixture
def uploading(transfer: Transfer, store: NixStore) -> Upload:
    def one(path: StorePath) -> Staged:
        info = _info(store, path)
        transfer.put_nar(info)
        return transfer.submit(info, store.content_addresses([path]).get(path))

    return one


def _info(store: NixStore, path: StorePath) -> PathInfo:
    return store.infos([path])[path]


def test_what_is_submitted_holds_before_our_own_verifier(nix: Nix, service: Service, uploading: Upload) -> None:
    dep = derivation("dep", "echo hello > $out")
    top = derivation("top", "mkdir() { /bin/mkdir $*; }; mkdir $out; echo ${dep} $out > $out/x; : > $out/empty")
    (path,) = nix.build(f"let dep = {dep}; in {top}")
    uploading(path)
    narinfo, nar = service.submission(path, nix.store_dir)
    verified = verify(narinfo, [nar])
    assert verified.store_path == path
    assert set(verified.references) == nix.closure(path)
    assert verified.deriver
    assert verified.deriver.name == "top.drv"
    assert narinfo.signatures == ()


def test_a_content_address_goes_along(nix: Nix, service: Service, uploading: Upload) -> None:
    (floating,) = nix.build(derivation("floating", "echo hello > $out", more=FLOATING))
    for path in (floating, nix.add("file", b"data")):
        uploading(path)
        narinfo, nar = service.submission(path, nix.store_dir)
        assert narinfo.ca
        assert verify(narinfo, [nar]).ca == narinfo.ca


@pytest.mark.parametrize(
    "packing", [ZSTD, Packing(Compression.XZ, 0), Packing(Compression.NONE, 0)], ids=["zstd", "xz", "none"]
)
def test_every_compression_holds_in_one_put_and_in_parts(
    nix: Nix,
    service: Service,
    store: NixStore,
    transfer_with: Callable[[Packing], Transfer],
    monkeypatch: pytest.MonkeyPatch,
    packing: Packing,
) -> None:
    # Frames so small that several go into a part, and a part ends within a frame.
    monkeypatch.setattr(frames, "FRAME_SIZE", 1_500_000)
    monkeypatch.setattr(frames.cut, "__defaults__", (1_500_000,))
    transfer = transfer_with(packing)
    for data in (b"small", _noise(2 * PART + 100_000)):
        path = nix.add("file", data)
        transfer.put_nar(_info(store, path))
        transfer.submit(_info(store, path), store.content_addresses([path])[path])
        narinfo, nar = service.submission(path, nix.store_dir)
        assert narinfo.compression is packing.compression
        verify(narinfo, [nar])
    assert service.unfinished_uploads() == 0


def test_what_is_counted_adds_up_to_the_nar_s_size(
    nix: Nix, store: NixStore, transfer: Transfer, counted: list[int]
) -> None:
    for data in (b"small", _noise(2 * PART) + bytes(PART)):
        counted.clear()
        info = _info(store, nix.add("file", data))
        transfer.put_nar(info)
        assert sum(counted) == info.nar_size


def test_no_more_compressors_run_than_there_are_cores(
    nix: Nix, uploading: Upload, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7: at high levels each takes 100 MB, and of small paths a dozen are under way at once."""
    threads, compress = set(), frames.compress

    def noted(frame: deque[bytes], packing: Packing) -> list[bytes]:
        threads.add(current_thread().name.partition("_")[0])
        return compress(frame, packing)

    monkeypatch.setattr(frames, "compress", noted)
    uploading(nix.add("small", b"data"))
    assert threads == {"compress"}


def test_the_narinfo_comes_last_and_its_version_is_what_is_remembered(
    nix: Nix, service: Service, uploading: Upload
) -> None:
    calls: list[str] = []
    service.s3.meta.events.register("after-call.s3", lambda model, **_: calls.append(model.name))
    path = nix.add("large", _noise(2 * PART))
    staged = uploading(path)
    assert calls[0] == "CreateMultipartUpload"
    assert calls[-2:] == ["CompleteMultipartUpload", "PutObject"]
    head = service.s3.head_object(Bucket=service.staging, Key=str(StagingNarInfoKey(BUILDER, path.hash_part)))
    assert head["VersionId"] == staged.version_id


@pytest.mark.parametrize("data", [b"small", _noise(3 * PART)], ids=["one PUT", "parts"])
def test_a_path_that_is_not_what_the_database_says_is_not_submitted(
    nix: Nix, service: Service, uploading: Upload, data: bytes
) -> None:
    path = nix.add("corrupt", data)
    file = Path(nix.full(path))
    file.chmod(0o644)
    file.write_bytes(data[:-1] + b"?")
    with pytest.raises(PermanentError) as caught:
        uploading(path)
    assert caught.value.code is BuilderCode.PATH_CORRUPT
    assert path.base_name in caught.value.problem
    assert "--repair" in caught.value.remedy
    assert service.staged() == []
    assert service.unfinished_uploads() == 0


def test_a_path_that_vanishes_is_not_submitted(nix: Nix, service: Service, uploading: Upload) -> None:
    path = nix.add("gone", b"data")
    Path(nix.full(path)).unlink()
    with pytest.raises(PermanentError) as caught:
        uploading(path)
    assert caught.value.code is BuilderCode.PATH_VANISHED
    assert service.staged() == []


def test_an_upload_that_is_to_stop_submits_nothing(nix: Nix, service: Service, uploading: Upload, stop: Event) -> None:
    service.s3.meta.events.register("after-call.s3.UploadPart", lambda **_: stop.set())
    with pytest.raises(TransientError, match="interrupted"):
        uploading(nix.add("large", _noise(6 * PART)))
    assert service.staged() == []
    with pytest.raises(TransientError, match="interrupted"):
        uploading(nix.add("small", b"x"))
    assert service.staged() == []


def test_a_content_address_of_a_kind_that_no_service_takes_fails_that_path_alone(
    nix: Nix, service: Service, store: NixStore, transfer: Transfer
) -> None:
    with pytest.raises(PermanentError):
        transfer.submit(_info(store, nix.add("file", b"data")), "fixed:git:sha1:x")
    assert service.staged() == []


def test_equal_contents_under_two_paths_do_not_interleave(
    nix: Nix, service: Service, store: NixStore, transfer: Transfer
) -> None:
    """They share a NAR's key: two uploads at once would take each other's parts for their own."""
    data = _noise(2 * PART)
    paths = [nix.add(name, data) for name in ("one", "two", "three")]
    order: list[str] = []
    service.s3.meta.events.register("after-call.s3", lambda model, **_: order.append(model.name))
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda path: transfer.put_nar(_info(store, path)), paths))
    ends = [name for name in order if name in {"CreateMultipartUpload", "CompleteMultipartUpload"}]
    assert ends == ["CreateMultipartUpload", "CompleteMultipartUpload"] * 3
    assert service.unfinished_uploads() == 0


def test_a_build_log_goes_along_as_nix_keeps_it(
    nix: Nix, service: Service, store: NixStore, transfer: Transfer
) -> None:
    (path,) = nix.build(derivation("noisy", "echo made with care; echo x > $out"))
    info = _info(store, path)
    transfer.put_log(info)
    assert info.deriver
    (key,) = service.staged()
    assert key == f"{BUILDER}/log/{info.deriver.base_name}"
    log = service.s3.get_object(Bucket=service.staging, Key=key)
    assert log["ContentEncoding"] == "bzip2"
    assert bz2.decompress(log["Body"].read()) == b"made with care\n"


def test_a_log_that_is_missing_is_no_trouble(nix: Nix, service: Service, store: NixStore, transfer: Transfer) -> None:
    info = _info(store, nix.add("file", b"data"))
    transfer.put_log(info)
    transfer.put_log(replace(info, deriver=StorePath.from_base_name(f"{'0' * 32}-x.drv")))
    assert service.staged() == []


def test_a_log_that_cannot_be_read_keeps_nothing_back(
    nix: Nix, service: Service, store: NixStore, transfer: Transfer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: BuildLog) -> bytearray:
        raise PermissionError(13, "Permission denied")

    (path,) = nix.build(derivation("secretive", "echo hush; echo x > $out"))
    monkeypatch.setattr(BuildLog, "read", denied)
    transfer.put_log(_info(store, path))
    assert service.staged() == []
