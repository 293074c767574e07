"""Store paths and content addresses against the real ones: what Nix computes, ours proves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nixcache.content_address import ContentAddress
from nixcache.errors import Code, PermanentError
from nixcache.nar import dump
from nixcache.store_path import StorePath
from nixcache.verify import VerifiedStoreObject, verify
from tests.nixcache.claims import claim
from tests.nixcache.nar_model import File, Link, Tree, write_tree
from tests.nixcache.relocated_nix import RelocatedNix

ALGORITHMS = ["md5", "sha1", "sha256", "sha512"]


def proven(nix: RelocatedNix, path: str, *options: str) -> VerifiedStoreObject:
    """Prove what Nix says of ``path`` from the bytes on disk; without a CA there would be nothing to compare."""
    information = nix.path_info(path, *options)
    data = b"".join(dump(path))
    verified = verify(
        claim(
            data,
            store_dir=nix.store_dir,
            store_path=nix.store_dir.parse(path),
            references=[nix.store_dir.parse(reference) for reference in information["references"]],
            ca=ContentAddress.parse(information["ca"]),
        ),
        [data],
    )
    assert str(verified.nar_hash) == nix.line("nix-store", "-q", "--hash", path)
    assert str(verified.ca) == information["ca"]
    return verified


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(Tree({b"f": File(b"x", executable=True), b"l": Link(b"f")}), tmp_path / "tree-1.0")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_tree(File(b"contents"), tmp_path / "file.txt")


def test_add(nix: RelocatedNix, tree: Path) -> None:
    assert proven(nix, nix.line("nix-store", "--add", tree)).store_path.name == "tree-1.0"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_add_fixed_flat(nix: RelocatedNix, file: Path, algorithm: str) -> None:
    ca = proven(nix, nix.line("nix-store", "--add-fixed", algorithm, file)).ca
    assert str(ca).startswith(f"fixed:{algorithm}:")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_add_fixed_recursive(nix: RelocatedNix, tree: Path, algorithm: str) -> None:
    ca = proven(nix, nix.line("nix-store", "--add-fixed", "--recursive", algorithm, tree)).ca
    assert str(ca).startswith(f"fixed:r:{algorithm}:")


def test_text_without_and_with_references(nix: RelocatedNix) -> None:
    plain = nix.to_file("plain.txt", "hi")
    assert proven(nix, plain).references == ()
    expression = f'builtins.toFile "with.txt" "${{builtins.toFile "plain.txt" "hi"}} {plain}"'
    path = json.loads(nix.line("nix-instantiate", "--eval", "--strict", "--read-write-mode", "--expr", expression))
    assert [reference.name for reference in proven(nix, path).references] == ["plain.txt"]


DERIVATION = """
{ name, ca ? false }: derivation ({
  inherit name;
  system = builtins.currentSystem;
  builder = "/bin/sh";
  args = [ "-c" "echo $out $out ${builtins.toFile "dependency" "hi"} > $out" ];
} // (if ca then { __contentAddressed = true; outputHashMode = "recursive"; outputHashAlgo = "sha256"; } else {}))
"""


def derivation(nix: RelocatedNix, tmp_path: Path, name: str, *options: str) -> str:
    expression = tmp_path / "default.nix"
    expression.write_text(DERIVATION)
    return nix.line("nix-instantiate", expression, "--argstr", "name", name, *options)


def test_a_derivation_file(nix: RelocatedNix, tmp_path: Path) -> None:
    drv = derivation(nix, tmp_path, "example")
    verified = proven(nix, drv, "--derivation")
    assert verified.store_path.name == "example.drv"
    assert [reference.name for reference in verified.references] == ["dependency"]


def test_make_content_addressed_with_a_self_reference(nix: RelocatedNix, tmp_path: Path) -> None:
    out = nix.line("nix-store", "-r", derivation(nix, tmp_path, "rewritten"))
    rewrites = json.loads(nix.run("nix", "store", "make-content-addressed", "--json", out))["rewrites"]
    verified = proven(nix, rewrites[out])
    assert [reference.name for reference in verified.references if reference != verified.store_path] == ["dependency"]
    assert verified.store_path in verified.references


def test_a_floating_derivation_with_a_self_reference(nix: RelocatedNix, tmp_path: Path) -> None:
    out = nix.line("nix-store", "-r", derivation(nix, tmp_path, "floating", "--arg", "ca", "true"))
    verified = proven(nix, out)
    assert verified.store_path in verified.references


@pytest.mark.parametrize("name", ["a", ".a", "..a", "...", "-", "+", "?", "=", "_", "A-9", "n" * 211])
def test_names_that_nix_takes(nix: RelocatedNix, name: str) -> None:
    assert proven(nix, nix.to_file(name, "x")).store_path.name == name


@pytest.mark.parametrize("name", ["", "n" * 212, "a b", "a~", "a:b", "a,b", "a%"])
def test_names_that_both_refuse(nix: RelocatedNix, name: str) -> None:
    expression = f"builtins.toFile {json.dumps(name)} {json.dumps('x')}"
    assert nix.attempt("nix-instantiate", "--eval", "--expr", expression).returncode != 0
    with pytest.raises(PermanentError):
        StorePath.from_base_name(f"{'0' * 32}-{name}")


@pytest.mark.parametrize("name", [".", "..", ".-a", "..-a"])
def test_names_that_only_newer_nix_refuses(nix: RelocatedNix, name: str) -> None:
    """Stricter than 2.8: such a name confuses whatever joins paths, and newer clients install none."""
    path = nix.to_file(name, "x")
    with pytest.raises(PermanentError) as caught:
        nix.store_dir.parse(path)
    assert caught.value.code is Code.STORE_PATH_MALFORMED
