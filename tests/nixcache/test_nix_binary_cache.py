"""Whole caches against the real ones: what Nix writes ours proves and renders alike; what ours writes Nix installs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nixcache.compression import READABLE, Compression
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.signing import SecretKey
from nixcache.store_path import StorePath
from nixcache.verify import VerifiedStoreObject, verify
from tests.nixcache.claims import claim
from tests.nixcache.compressed import compressed
from tests.nixcache.relocated_nix import RelocatedNix

DERIVATION = """
let lib = derivation {
  name = "lib";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  outputs = [ "out" "dev" ];
  args = [ "-c" "echo lib > $out; echo header $out > $dev" ];
};
in derivation {
  name = "tool";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  PATH = "/bin:/usr/bin";
  args = [ "-c" ''
    mkdir -p $out/bin $out/empty
    echo ${lib} $out > $out/bin/tool
    chmod +x $out/bin/tool
    ln -s tool $out/bin/alias
    echo ${lib.dev} > $out/'a "é'
  '' ];
}
"""


@pytest.fixture(scope="module")
def built(nix: RelocatedNix) -> str:
    expression = nix.root / "tool.nix"
    expression.write_text(DERIVATION)
    return nix.line("nix-build", "--no-out-link", expression)


@pytest.fixture(scope="module", params=[method.value for method in READABLE])
def cache(nix: RelocatedNix, built: str, request: pytest.FixtureRequest) -> Path:
    """A binary cache as Nix writes it."""
    cache = nix.root / f"cache-{request.param}"
    nix.run("nix", "copy", "--to", f"file://{cache}?write-nar-listing=true&compression={request.param}", built)
    return cache


def test_what_nix_publishes_is_verified_and_rendered_alike(nix: RelocatedNix, cache: Path) -> None:
    """Byte for byte: field order, encodings, the name of the NAR, everything."""
    narinfos = sorted(cache.glob("*.narinfo"))
    assert len(narinfos) == 3
    for file in narinfos:
        narinfo = NarInfo.parse(file.read_bytes(), nix.store_dir)
        assert narinfo.render() == file.read_bytes()
        verified = verify(narinfo, [(cache / narinfo.url).read_bytes()])
        assert verified.narinfo(narinfo.signatures).render() == file.read_bytes()


def test_the_listing_says_what_nixs_says(nix: RelocatedNix, cache: Path) -> None:
    for file in cache.glob("*.narinfo"):
        narinfo = NarInfo.parse(file.read_bytes(), nix.store_dir)
        verified = verify(narinfo, [(cache / narinfo.url).read_bytes()])
        assert verified.listing is not None
        assert json.loads(verified.listing) == json.loads(file.with_suffix(".ls").read_bytes())


def published(
    nix: RelocatedNix, path: str, method: Compression, cache: Path, key: SecretKey | None
) -> VerifiedStoreObject:
    """Publish ``path`` with our own dump, compression, proof, signature and narinfo."""
    data = b"".join(dump(path))
    file = compressed(method, data)
    references = [nix.store_dir.parse(reference) for reference in nix.path_info(path)["references"]]
    subject = nix.store_dir.parse(path)
    narinfo = claim(
        data, file=file, compression=method, store_dir=nix.store_dir, store_path=subject, references=references
    )
    verified = verify(narinfo, [file])
    signed = verified.narinfo((key.sign(verified),) if key else ())
    (cache / "nar").mkdir(parents=True, exist_ok=True)
    (cache / "nix-cache-info").write_text(f"StoreDir: {nix.store_dir.path}\n")
    (cache / signed.url).write_bytes(file)
    (cache / f"{subject.hash_part}.narinfo").write_bytes(signed.render())
    return verified


def install(nix: RelocatedNix, path: str, cache: Path, store: Path, public_key: str) -> bool:
    """Let Nix install ``path`` into an empty store with signatures required and only ``public_key`` trusted."""
    trust = ["--option", "trusted-public-keys", public_key, "--option", "require-sigs", "true"]
    copy = ["nix", "copy", "--from", f"file://{cache}", "--to", f"local?root={store}"]
    return nix.attempt(*copy, *trust, path).returncode == 0


@pytest.mark.parametrize("method", READABLE)
def test_what_ours_publishes_nix_installs_byte_for_byte(
    nix: RelocatedNix, built: str, method: Compression, tmp_path: Path
) -> None:
    key = SecretKey.generate("cache-1")
    closure = nix.line("nix-store", "-q", "--requisites", built).split()
    assert len(closure) == 3
    for path in closure:
        published(nix, path, method, tmp_path / "cache", key)
    store = tmp_path / "store"
    assert install(nix, built, tmp_path / "cache", store, str(key.public_key))
    for path in closure:
        assert b"".join(dump(store / "nix/store" / Path(path).name)) == b"".join(dump(path))
    nix.run("nix-store", "--store", f"local?root={store}", "--verify", "--check-contents")


def lib(nix: RelocatedNix, built: str) -> str:
    """Return a path of the closure that refers to nothing."""
    closure = nix.line("nix-store", "-q", "--requisites", built).split()
    return next(path for path in closure if StorePath.from_base_name(Path(path).name).name == "lib")


@pytest.mark.parametrize("attack", ["unsigned", "another key", "swapped byte", "another size"])
def test_what_the_real_client_refuses(nix: RelocatedNix, built: str, attack: str, tmp_path: Path) -> None:
    """The signature is what stands between a reader and these: the same path, signed by us, installs."""
    path = lib(nix, built)
    key = SecretKey.generate("cache-1")
    cache = tmp_path / "cache"
    verified = published(nix, path, Compression.NONE, cache, None if attack == "unsigned" else key)
    narinfo = cache / f"{verified.store_path.hash_part}.narinfo"
    trusted = SecretKey.generate("cache-1") if attack == "another key" else key
    if attack == "swapped byte":
        nar = cache / verified.narinfo(()).url
        nar.write_bytes(nar.read_bytes().replace(b"lib\n", b"bil\n"))
    if attack == "another size":
        narinfo.write_bytes(narinfo.read_bytes().replace(b"NarSize: ", b"NarSize: 1"))
    assert not install(nix, path, cache, tmp_path / "store", str(trusted.public_key))
    published(nix, path, Compression.NONE, cache, key)
    assert install(nix, path, cache, tmp_path / "second", str(key.public_key))
