"""One store object from the real Nix into staging, where our own verifier judges it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Event

import pytest

from hook.errors import BuilderCode
from hook.nix_store import NixStore
from hook.transfer.staging import Staged, Staging
from hook.transfer.upload import upload
from nixcache.errors import PermanentError, TransientError
from nixcache.store_path import StorePath
from nixcache.verify import verify
from protocol.keys import StagingNarInfoKey
from tests.hook.nix import FLOATING, Nix, derivation
from tests.hook.service import BUILDER, Service

PART = 5 * 1024 * 1024
Upload = Callable[[StorePath], Staged]


def _noise(size: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    return b"".join(hashlib.sha256(number.to_bytes(8, "big")).digest() for number in range(size // 32))


@pytest.fixture
def stop() -> Event:
    return Event()


@pytest.fixture
def uploading(nix: Nix, service: Service, stop: Event) -> Upload:
    store = NixStore(nix.store_dir)

    def one(path: StorePath) -> Staged:
        return upload(
            store.infos([path])[path],
            store.content_addresses([path]).get(path),
            nix_store=store,
            staging=Staging(service.s3, service.staging, part_size=PART),
            builder=BUILDER,
            zstd_level=3,
            stop=stop,
        )

    return one


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


def test_a_large_nar_goes_in_parts_and_holds(nix: Nix, service: Service, uploading: Upload) -> None:
    path = nix.add("large", _noise(3 * PART))
    uploading(path)
    narinfo, nar = service.submission(path, nix.store_dir)
    assert len(nar) > 2 * PART
    verify(narinfo, [nar])
    assert service.unfinished_uploads() == 0


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


def test_an_upload_that_is_to_stop_stops_without_a_trace(
    nix: Nix, service: Service, uploading: Upload, stop: Event
) -> None:
    service.s3.meta.events.register("after-call.s3.UploadPart", lambda **_: stop.set())
    with pytest.raises(TransientError, match="interrupted"):
        uploading(nix.add("large", _noise(6 * PART)))
    assert service.unfinished_uploads() == 0
    assert service.staged() == []


def test_a_content_address_of_a_kind_that_no_service_takes_fails_that_path_alone(nix: Nix, service: Service) -> None:
    store = NixStore(nix.store_dir)
    path = nix.add("file", b"data")
    with pytest.raises(PermanentError):
        upload(
            store.infos([path])[path],
            "fixed:git:sha1:x",
            nix_store=store,
            staging=Staging(service.s3, service.staging),
            builder=BUILDER,
            zstd_level=3,
            stop=Event(),
        )
    assert service.staged() == []
