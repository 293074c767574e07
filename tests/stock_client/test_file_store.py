"""``nix copy --to file://`` and AWS's command line instead of Assay's uploader: the same verdicts."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path
from urllib.request import urlopen

import pytest

from local.demo.submission import Sender, submission
from local.service import LocalService
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.store_path import StorePath
from protocol.keys import BuilderName
from protocol.verdicts import Conflict, Duplicate, Published, Rejected, Verdict, Waiting
from tests.hook.nix import FLOATING, Nix, derivation
from tests.stock_client.builder import PAGE, StockBuilder

OTHER = BuilderName("other")


def build(nix: Nix, name: str) -> tuple[StorePath, StorePath]:
    """Build two paths, the first of which refers to the second."""
    expression = derivation(name, "echo ${base} > $out")
    base = derivation(f"{name}-base", f"echo {name} > $out")
    path, reference = nix.build(f"let base = {base}; in [ {expression} base ]")
    return path, reference


def copy(nix: Nix, cache: Path, *paths: StorePath, options: str = "?compression=zstd") -> Path:
    """Let Nix write a binary cache with the closure of ``paths``."""
    nix.run("nix", "copy", "--to", f"file://{cache}{options}", *map(nix.full, paths))
    return cache


def narinfo_of(cache: Path, path: StorePath, nix: Nix) -> tuple[Path, NarInfo]:
    file = cache / f"{path.hash_part}.narinfo"
    return file, NarInfo.parse(file.read_bytes(), nix.store_dir)


def published(service: LocalService, path: StorePath) -> NarInfo:
    """Return what clients get."""
    with urlopen(f"{service.cache_url}/{path.hash_part}.narinfo") as response:  # noqa: S310 - our own address
        return NarInfo.parse(response.read(), service.deployment.settings.store_dir)


def install(service: LocalService, nix: Nix, store: Path, *paths: StorePath) -> subprocess.CompletedProcess[str]:
    """Install into an empty store, which trusts Assay's key alone."""
    options = {
        "substituters": service.cache_url,
        "trusted-public-keys": str(service.deployment.public_key),
        "require-sigs": "true",
    }
    given = [word for name, value in options.items() for word in ("--option", name, value)]
    return nix.run(
        "nix-store", "--store", f"local?root={store}", "--realise", *given, *map(nix.full, paths), check=False
    )


def code(verdict: Verdict) -> str:
    """Return the code of a rejection."""
    assert isinstance(verdict, Rejected), verdict
    return verdict.code


def test_the_script_on_the_page_publishes_a_closure_that_installs(
    service: LocalService, nix: Nix, builder: StockBuilder, tmp_path: Path
) -> None:
    """I4: to the letter, with a role that may put objects below its prefix and read its results, and nothing else."""
    paths = build(nix, "script")
    done = builder.send(paths[0])
    assert done.returncode == 0, done.stderr
    for path in paths:
        assert f"published {path.hash_part}" in done.stderr
        assert published(service, path).is_signed_by(service.deployment.public_key)
    done = install(service, nix, tmp_path / "empty", *paths)
    assert done.returncode == 0, done.stderr
    again = builder.send(paths[0])
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("duplicate") == len(paths)


def test_the_script_fails_with_the_reason_where_something_is_refused(
    service: LocalService, nix: Nix, builder: StockBuilder
) -> None:
    """Another builder was first, with other bytes."""
    path, _ = build(nix, "refused")
    first = submission(b"".join(dump(PAGE)), nix.store_dir, path)
    assert isinstance(Sender(service, OTHER).submit(first), Published)
    done = builder.send(path)
    assert done.returncode == 1
    assert f"conflict {path.hash_part}" in done.stderr
    assert '"submittedNarHash"' in done.stderr


@pytest.mark.parametrize("method", ["none", "xz", "bzip2", "gzip", "br", "zstd"])
def test_whatever_a_stock_client_compresses_with_is_read(
    method: str, service: LocalService, nix: Nix, builder: StockBuilder, tmp_path: Path
) -> None:
    """Xz is what Nix takes when nobody says anything; the files have names, hashes and sizes of Nix's own."""
    paths = build(nix, f"compressed-{method}")
    cache = copy(nix, tmp_path / "cache", *paths, options=f"?compression={method}")
    _, submitted = narinfo_of(cache, paths[0], nix)
    assert submitted.file_hash
    assert submitted.file_size
    assert submitted.deriver
    verdicts = builder.submit(cache)
    assert set(verdicts) == set(paths)
    assert all(isinstance(verdict, Published) for verdict in verdicts.values()), verdicts
    assert published(service, paths[0]).deriver == submitted.deriver


def test_a_compression_that_not_all_clients_read_is_rejected(nix: Nix, builder: StockBuilder, tmp_path: Path) -> None:
    path = nix.add("lz4", b"lz4")
    (verdict,) = builder.submit(copy(nix, tmp_path, path, options="?compression=lz4")).values()
    assert code(verdict) == "compression-unsupported"


def test_a_signature_of_the_builders_own_is_not_published(
    service: LocalService, nix: Nix, builder: StockBuilder, tmp_path: Path
) -> None:
    """I5: it may trust its key, its readers trust Assay's."""
    path, _ = build(nix, "signed")
    secret, public = tmp_path / "secret", tmp_path / "public"
    nix.run("nix-store", "--generate-binary-cache-key", "stock-1", str(secret), str(public))
    cache = copy(nix, tmp_path / "cache", path, options=f"?compression=none&secret-key={secret}")
    _, submitted = narinfo_of(cache, path, nix)
    assert [signature.key_name for signature in submitted.signatures] == ["stock-1"]
    assert isinstance(builder.submit(cache)[path], Published)
    (signature,) = published(service, path).signatures
    assert signature.key_name == service.deployment.public_key.name


def test_what_else_nix_writes_is_ignored(
    service: LocalService, nix: Nix, builder: StockBuilder, tmp_path: Path
) -> None:
    """Cache info, listings, build trace entries, logs: nothing is judged, nothing fails, nothing of it is published."""
    (path,) = nix.build(derivation("trace", "echo trace; echo trace > $out", more=FLOATING))
    cache = copy(nix, tmp_path / "cache", path, options="?write-nar-listing=true")
    (cache / "log/x.drv").write_text("a log")
    (cache / "realisations/x.doi").write_text("{}")
    written = {file.name for file in cache.iterdir()}
    assert written >= {"nix-cache-info", f"{path.hash_part}.ls", "realisations", "log", "nar"}
    verdicts = builder.submit(cache)
    assert {type(verdict) for verdict in verdicts.values()} == {Published}
    s3 = service.aws.client("s3", service.deployment.operator)
    contents = s3.list_objects_v2(Bucket=service.deployment.settings.cache_bucket)["Contents"]
    assert not [found["Key"] for found in contents if found["Key"].startswith(("realisations/", "log/"))]
    sqs = service.aws.client("sqs", service.deployment.operator)
    attributes = sqs.get_queue_attributes(
        QueueUrl=service.deployment.dead_letter_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]
    assert attributes["ApproximateNumberOfMessages"] == "0"


@pytest.mark.parametrize(("hides", "expected"), [("", "file-hash-mismatch"), ("FileHash", "nar-hash-mismatch")])
def test_other_bytes_are_rejected(hides: str, expected: str, nix: Nix, builder: StockBuilder, tmp_path: Path) -> None:
    """I1: with Nix's own FileHash that tells first; whoever leaves it out, as our uploader does, meets the NAR hash."""
    path, _ = build(nix, f"other-bytes-{expected}")
    cache = copy(nix, tmp_path, path, options="?compression=none")
    file, submitted = narinfo_of(cache, path, nix)
    nar = cache / submitted.url
    altered = nar.read_bytes().replace(b"-other-bytes", b"-OTHER-bytes")
    assert altered != nar.read_bytes()
    nar.write_bytes(altered)
    if hides:
        file.write_bytes(replace(submitted, file_hash=None).render())
    assert code(builder.submit(cache)[path]) == expected


def test_a_reference_that_was_not_sent_is_waited_for(nix: Nix, builder: StockBuilder, tmp_path: Path) -> None:
    """I4, I6: whoever sends a part of a closure has it published once the rest is there."""
    path, base = build(nix, "waits")
    cache = copy(nix, tmp_path, path)
    file, _ = narinfo_of(cache, path, nix)
    builder.submit(cache, only=[])
    receipt = builder.put_narinfo(file, path)
    assert builder.first_verdict(receipt) == Waiting((base,))
    assert isinstance(builder.submit(cache, only=[base])[base], Published)
    assert isinstance(builder.verdict(receipt), Published)


def test_narinfos_before_nars_are_rejected_and_may_be_sent_again(
    nix: Nix, builder: StockBuilder, tmp_path: Path
) -> None:
    """Why the page has two passes."""
    path = nix.add("too-early", b"too early")
    cache = copy(nix, tmp_path / "cache", path)
    file, _ = narinfo_of(cache, path, nix)
    assert code(builder.verdict(builder.put_narinfo(file, path))) == "nar-missing"
    assert isinstance(builder.submit(cache)[path], Published)


def test_synchronising_needs_what_a_builder_may_not(builder: StockBuilder, tmp_path: Path) -> None:
    """I8: ``aws s3 sync`` lists the bucket first, as the page says."""
    (tmp_path / "nix-cache-info").write_text("StoreDir: /nix/store\n")
    done = builder.aws("sync", tmp_path)
    assert done.returncode != 0
    assert "AccessDenied" in done.stderr
    assert "ListObjectsV2" in done.stderr
    assert builder.aws("cp --recursive", tmp_path).returncode == 0


def test_conflicts_and_duplicates_are_those_of_any_builder(
    service: LocalService, nix: Nix, builder: StockBuilder, tmp_path: Path
) -> None:
    """I3: the stock client meets what our own way of sending has published, and the other way round."""
    path = nix.add("both-ways", b"both ways")
    cache = copy(nix, tmp_path / "cache", path)
    assert isinstance(builder.submit(cache)[path], Published)
    same = submission(b"".join(dump(Path(nix.full(path)))), nix.store_dir, path)
    assert Sender(service, OTHER).submit(same) == Duplicate()
    other = submission(b"".join(dump(PAGE)), nix.store_dir, path)
    assert isinstance(Sender(service, OTHER).submit(other), Conflict)
