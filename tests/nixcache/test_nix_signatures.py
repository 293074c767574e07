"""Keys and signatures against the real ones: bit for bit, in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest

from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey
from nixcache.signing import SecretKey
from nixcache.verify import VerifiedStoreObject, verify
from tests.nixcache.claims import claim
from tests.nixcache.relocated_nix import RelocatedNix

DERIVATION = """
derivation {
  name = "signed";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "echo $out ${builtins.toFile "dependency" "hi"} > $out" ];
}
"""


@pytest.fixture(scope="module")
def built(nix: RelocatedNix) -> str:
    """An input-addressed path with references: a content-addressed one needs no signature."""
    expression = nix.root / "signed.nix"
    expression.write_text(DERIVATION)
    return nix.line("nix-build", "--no-out-link", expression)


@pytest.fixture(scope="module")
def verified(nix: RelocatedNix, built: str) -> VerifiedStoreObject:
    data = b"".join(dump(built))
    references = [nix.store_dir.parse(reference) for reference in nix.path_info(built)["references"]]
    assert len(references) == 2
    path = nix.store_dir.parse(built)
    return verify(claim(data, store_dir=nix.store_dir, store_path=path, references=references), [data])


def signatures(nix: RelocatedNix, path: str, key: SecretKey, tmp_path: Path) -> list[str]:
    """Let Nix sign with ``key``, and return every signature that it then knows."""
    file = tmp_path / "secret"
    file.write_text(key.reveal())
    nix.run("nix", "store", "sign", "--key-file", file, path)
    known = nix.path_info(path)["signatures"]
    assert isinstance(known, list)
    return known


def test_our_key_in_nixs_hands(nix: RelocatedNix, built: str, verified: VerifiedStoreObject, tmp_path: Path) -> None:
    key = SecretKey.generate("ours-1")
    assert str(key.sign(verified)) in signatures(nix, built, key, tmp_path)
    assert nix.run("nix", "key", "convert-secret-to-public", data=key.reveal().encode()).decode() == str(key.public_key)


def test_nixs_key_in_our_hands(nix: RelocatedNix, built: str, verified: VerifiedStoreObject, tmp_path: Path) -> None:
    secret, public = tmp_path / "s", tmp_path / "p"
    nix.run("nix-store", "--generate-binary-cache-key", "theirs-1", secret, public)
    key = SecretKey.parse(secret.read_text())
    assert key.reveal() == secret.read_text()
    assert PublicKey.parse(public.read_text()) == key.public_key
    assert str(key.sign(verified)) in signatures(nix, built, key, tmp_path)


def test_the_newer_command_makes_keys_that_ours_reads(nix: RelocatedNix) -> None:
    key = SecretKey.parse(nix.run("nix", "key", "generate-secret", "--key-name", "theirs-2").decode())
    assert key.name == "theirs-2"


@pytest.mark.parametrize("name", ["a", "-", "cache.example.org-1", "!#$%&'()*+,-./;<=>?@[]^_`{|}~", '"\\', "n" * 255])
def test_key_names_that_both_take(
    nix: RelocatedNix, built: str, verified: VerifiedStoreObject, tmp_path: Path, name: str
) -> None:
    key = SecretKey.parse(nix.run("nix", "key", "generate-secret", "--key-name", name).decode())
    assert key.name == name
    assert nix.run("nix", "key", "convert-secret-to-public", data=key.reveal().encode()).decode() == str(key.public_key)
    assert str(key.sign(verified)) in signatures(nix, built, key, tmp_path)


@pytest.mark.parametrize("name", ["two words", "tab\t", "schlüssel"])
def test_key_names_that_only_nix_takes(nix: RelocatedNix, name: str) -> None:
    """White space would split `trusted-public-keys`, and a narinfo is ASCII."""
    text = nix.run("nix", "key", "generate-secret", "--key-name", name).decode()
    assert nix.attempt("nix", "key", "convert-secret-to-public", data=text.encode()).returncode == 0
    with pytest.raises(PermanentError) as caught:
        SecretKey.parse(text)
    assert caught.value.code is Code.KEY_MALFORMED


@pytest.mark.parametrize("damage", ["a:", ":", ""], ids=["colon in the name", "no name", "no colon"])
def test_keys_that_both_refuse(nix: RelocatedNix, damage: str) -> None:
    text = f"{damage}{SecretKey.generate('n').reveal().removeprefix('n:' if damage != 'a:' else '')}"
    assert nix.attempt("nix", "key", "convert-secret-to-public", data=text.encode()).returncode != 0
    with pytest.raises(PermanentError):
        SecretKey.parse(text)


def test_a_key_file_may_end_with_a_newline(nix: RelocatedNix) -> None:
    key = SecretKey.generate("newline-1")
    data = f"{key.reveal()}\n".encode()
    assert nix.run("nix", "key", "convert-secret-to-public", data=data).decode() == str(key.public_key)
    assert SecretKey.parse(data.decode()).public_key == key.public_key


def test_nixs_signature_holds_under_our_check(nix: RelocatedNix, built: str, tmp_path: Path) -> None:
    key = SecretKey.generate("check-1")
    signatures(nix, built, key, tmp_path)
    cache = tmp_path / "cache"
    nix.run("nix", "copy", "--to", f"file://{cache}?compression=none", built)
    narinfo = NarInfo.parse((cache / f"{Path(built).name[:32]}.narinfo").read_bytes(), nix.store_dir)
    assert narinfo.is_signed_by(key.public_key)
    assert not narinfo.is_signed_by(SecretKey.generate("check-1").public_key)


def test_our_signature_holds_under_nixs_check(nix: RelocatedNix, built: str, verified: VerifiedStoreObject) -> None:
    """And under no other key, nor over another hash: `nix store verify` with only ours trusted."""
    key = SecretKey.generate("trusted-1")

    def trusted_by(public_key: PublicKey) -> bool:
        check = ["nix", "store", "verify", "--no-contents", "--sigs-needed", "1", "--trusted-public-keys"]
        return nix.attempt(*check, str(public_key), built).returncode == 0

    assert not trusted_by(key.public_key)
    cache = nix.root / "signed-cache"
    nix.run("nix", "copy", "--to", f"file://{cache}?compression=none", built)
    published = verified.narinfo((key.sign(verified),))
    (cache / f"{verified.store_path.hash_part}.narinfo").write_bytes(published.render())
    nix.run("nix", "store", "copy-sigs", "--substituter", f"file://{cache}", built)
    assert trusted_by(key.public_key)
    assert not trusted_by(SecretKey.generate("trusted-1").public_key)


def test_the_fingerprint_has_the_hash_in_nix32(verified: VerifiedStoreObject) -> None:
    message = verified.narinfo(()).fingerprint().decode()
    path, nar_hash, nar_size, references = message.split(";")[1:]
    assert path == verified.store_dir.render(verified.store_path)
    assert Hash.parse(nar_hash) == verified.nar_hash
    assert nar_hash == f"sha256:{verified.nar_hash.nix32}"
    assert int(nar_size) == verified.nar_size
    assert references.split(",") == [verified.store_dir.render(reference) for reference in verified.references]
