"""Store paths and content addresses against the real ones: what Nix computes, ours proves.

Everything is taken from a binary cache that Nix writes, whose format is the same in every generation.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import pytest

from nixcache.errors import Code, PermanentError
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.store_path import StorePath
from nixcache.verify import VerifiedStoreObject, verify
from tests.nixcache.nar_model import File, Link, Tree, nar, write_tree
from tests.nixcache.nix_derivations import FLOATING, instantiate, realise
from tests.nixcache.relocated_nix import RelocatedNix

ALGORITHMS = ["md5", "sha1", "sha256", "sha512"]


class Proven(NamedTuple):
    """What Nix says of a store path, and what was proven of it."""

    submitted: NarInfo
    verified: VerifiedStoreObject

    @property
    def address(self) -> str:
        """The content address that Nix gave the path."""
        return str(self.submitted.ca)

    @property
    def others(self) -> list[str]:
        """The names of the references to other paths."""
        return [path.name for path in self.verified.references if path != self.verified.store_path]


def proven(nix: RelocatedNix, path: str) -> Proven:
    """Prove what Nix writes about ``path``; without a CA there would be nothing to compare."""
    cache = nix.root / "cache"
    of_derivation = ["--derivation"] if path.endswith(".drv") else []
    nix.run("nix", "copy", *of_derivation, "--to", f"file://{cache}?compression=none", path)
    submitted = NarInfo.parse((cache / f"{Path(path).name[:32]}.narinfo").read_bytes(), nix.store_dir)
    assert submitted.ca is not None
    data = (cache / submitted.url).read_bytes()
    assert data == b"".join(dump(path))
    verified = verify(submitted, [data])
    mentions_itself = verified.store_path.hash_part.encode() in data
    assert verified.ca == (None if mentions_itself else submitted.ca), "docs/adr/0043"
    return Proven(submitted, verified)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write_tree(Tree({b"f": File(b"x", executable=True), b"l": Link(b"f")}), tmp_path / "tree-1.0")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write_tree(File(b"contents"), tmp_path / "file.txt")


def hashed(algorithm: str, data: bytes) -> str:
    return str(Hash(HashAlgorithm(algorithm), hashlib.new(algorithm, data, usedforsecurity=False).digest()))


def test_add(nix: RelocatedNix, tree: Path) -> None:
    added = proven(nix, nix.line("nix-store", "--add", tree))
    assert added.verified.store_path.name == "tree-1.0"
    assert added.address == f"fixed:r:{added.verified.nar_hash}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_add_fixed_flat(nix: RelocatedNix, file: Path, algorithm: str) -> None:
    added = proven(nix, nix.line("nix-store", "--add-fixed", algorithm, file))
    assert added.address == f"fixed:{hashed(algorithm, b'contents')}"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_add_fixed_recursive(nix: RelocatedNix, tree: Path, algorithm: str) -> None:
    added = proven(nix, nix.line("nix-store", "--add-fixed", "--recursive", algorithm, tree))
    assert added.address == f"fixed:r:{hashed(algorithm, b''.join(dump(tree)))}"


def test_add_file(nix: RelocatedNix, file: Path) -> None:
    added = proven(nix, nix.line("nix", "store", "add-file", file))
    assert added.address == f"fixed:{hashed('sha256', b'contents')}"


@pytest.mark.parametrize(("recursive", "method"), [("true", "fixed:r:sha256:"), ("false", "fixed:sha256:")])
def test_a_path_of_an_expression(nix: RelocatedNix, file: Path, recursive: str, method: str) -> None:
    expression = f'builtins.path {{ path = {file}; name = "renamed"; recursive = {recursive}; }}'
    evaluated = nix.line("nix-instantiate", "--eval", "--strict", "--read-write-mode", "--expr", expression)
    added = proven(nix, json.loads(evaluated))
    assert added.verified.store_path.name == "renamed"
    assert added.address.startswith(method)


def test_text_without_and_with_references(nix: RelocatedNix) -> None:
    plain = nix.to_file("plain.txt", "hi")
    assert proven(nix, plain).others == []
    expression = """let
        text = name: builtins.toFile name "hi";
    in builtins.toFile "with.txt" "${text "zlib"} ${text "Zlib"} ${text "a"} ${text "plain.txt"}" """
    path = json.loads(nix.line("nix-instantiate", "--eval", "--strict", "--read-write-mode", "--expr", expression))
    assert sorted(proven(nix, path).others) == ["Zlib", "a", "plain.txt", "zlib"]


DEPENDENCY = '${builtins.toFile "dependency" "hi"}'


def test_a_derivation_file(nix: RelocatedNix) -> None:
    drv = instantiate(nix, f"echo {DEPENDENCY} > $out", name="example")
    made = proven(nix, drv)
    assert made.verified.store_path.name == "example.drv"
    assert made.verified.store_path.is_derivation
    assert made.others == ["dependency"]
    assert made.address == f"text:{hashed('sha256', Path(drv).read_bytes())}"


def test_a_derivation_of_derivations(nix: RelocatedNix) -> None:
    inner = '${derivation { name = "inner"; system = "x"; builder = "/bin/sh"; }}'
    made = proven(nix, instantiate(nix, f"echo {inner} {DEPENDENCY}"))
    assert sorted(made.others) == ["dependency", "inner.drv"]


def rewritten(nix: RelocatedNix, path: str) -> str:
    """Return what `nix store make-content-addressed` makes of ``path`` and its closure."""
    return str(json.loads(nix.run("nix", "store", "make-content-addressed", "--json", path))["rewrites"][path])


def test_make_content_addressed_without_a_self_reference(nix: RelocatedNix) -> None:
    (out,) = realise(nix, instantiate(nix, f"echo {DEPENDENCY} > $out", name="rewritten-0"))
    made = proven(nix, rewritten(nix, out))
    assert made.address == f"fixed:r:{made.verified.nar_hash}"
    assert made.others == ["dependency"]


def test_make_content_addressed_with_a_self_reference(nix: RelocatedNix) -> None:
    (out,) = realise(nix, instantiate(nix, f"echo $out $out {DEPENDENCY} > $out", name="rewritten-1"))
    made = proven(nix, rewritten(nix, out))
    assert made.others == ["dependency"]
    assert made.verified.store_path in made.verified.references


def test_make_content_addressed_of_a_closure(nix: RelocatedNix) -> None:
    """Each path is rewritten after those that it references, and its address is made of their new names."""
    inner = f"""${{derivation {{
        name = "rewritten-inner"; system = builtins.currentSystem; builder = "/bin/sh";
        args = [ "-c" "echo $out {DEPENDENCY} > $out" ];
    }}}}"""
    (out,) = realise(nix, instantiate(nix, f"echo $out {inner} {DEPENDENCY} > $out", name="rewritten-outer"))
    new = rewritten(nix, out)
    closure = nix.line("nix-store", "--query", "--requisites", new).split()
    assert {Path(path).name[33:] for path in closure} == {"dependency", "rewritten-inner", "rewritten-outer"}
    assert not set(closure) & set(nix.line("nix-store", "--query", "--requisites", out).split())
    for path in closure:
        proven(nix, path)


def test_floating_outputs(nix: RelocatedNix) -> None:
    """Several, one of which references another; with mentions of itself in contents, a name and a symlink."""
    script = f"""
        echo > $lib; echo $lib $dev {DEPENDENCY} > $dev
        /bin/mkdir $out; cd $out; /bin/ln -s $out/share link; echo $lib $out $out > contents; echo > in-''${{out##*/}}
    """
    drv = instantiate(nix, script, name="floating", outputs=["out", "dev", "lib"], **FLOATING)
    made = {result.verified.store_path.name: result for result in (proven(nix, path) for path in realise(nix, drv))}
    assert {name: sorted(result.others) for name, result in made.items()} == {
        "floating": ["floating-lib"],
        "floating-dev": ["dependency", "floating-lib"],
        "floating-lib": [],
    }
    mention_themselves = {name for name, result in made.items() if result.verified.ca is None}
    assert mention_themselves == {"floating", "floating-dev"}


def test_a_floating_output_whose_references_are_discarded(nix: RelocatedNix) -> None:
    """It mentions itself, and since 2.14 does not say so: its own hash part is blotted out all the same."""
    # With structured attributes there is no $out: the shell that reads them otherwise is not everywhere.
    out = r"""out=$(/bin/sed 's/.*"out":"\([^"]*\)".*/\1/' .attrs.json)"""
    discarding = {"__structuredAttrs": "true", "unsafeDiscardReferences": "{ out = true; }"}
    drv = instantiate(nix, f"{out}; echo $out {DEPENDENCY} > $out", name="discarded", **FLOATING, **discarding)
    (out,) = realise(nix, drv)
    made = proven(nix, out)
    assert made.verified.ca is None
    assert (made.verified.store_path in made.verified.references) == (version(nix) < (2, 14))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("mode", ["flat", "recursive"])
def test_a_fixed_output(nix: RelocatedNix, algorithm: str, mode: str) -> None:
    contents = b"contents\n"
    data, method = (contents, "fixed") if mode == "flat" else (nar(File(contents)), "fixed:r")
    digest = hashlib.new(algorithm, data, usedforsecurity=False).hexdigest()
    attributes = {"outputHashMode": f'"{mode}"', "outputHashAlgo": f'"{algorithm}"', "outputHash": f'"{digest}"'}
    (out,) = realise(nix, instantiate(nix, "echo contents > $out", name="fetched-1.0.tar", **attributes))
    made = proven(nix, out)
    assert made.address == f"{method}:{hashed(algorithm, data)}"
    assert made.verified.store_path.name == "fetched-1.0.tar"


@pytest.mark.parametrize("name", ["a", ".a", "..a", "...", "-", "+", "?", "=", "_", "A-9", "a..", "n" * 211])
def test_names_that_nix_takes(nix: RelocatedNix, name: str) -> None:
    assert proven(nix, nix.to_file(name, "x")).verified.store_path.name == name


@pytest.mark.parametrize("name", ["", "n" * 212, "a b", "a~", "a:b", "a,b", "a%", "a/b", "ä", "a\n"])
def test_names_that_both_refuse(nix: RelocatedNix, name: str) -> None:
    expression = f"builtins.toFile {json.dumps(name, ensure_ascii=False)} {json.dumps('x')}"
    attempt = ["nix-instantiate", "--eval", "--read-write-mode", "--expr", expression]
    assert nix.attempt(*attempt).returncode != 0
    with pytest.raises(PermanentError):
        StorePath.from_base_name(f"{'0' * 32}-{name}")


@pytest.mark.parametrize("name", [".", "..", ".-a", "..-a"])
def test_names_that_only_older_nix_takes(nix: RelocatedNix, name: str) -> None:
    """Such a name confuses whatever joins paths, and newer clients install none."""
    expression = f"builtins.toFile {json.dumps(name)} {json.dumps('x')}"
    attempt = nix.attempt("nix-instantiate", "--eval", "--strict", "--read-write-mode", "--expr", expression)
    takes_it = attempt.returncode == 0
    assert takes_it == (version(nix) < (2, 20))
    with pytest.raises(PermanentError) as caught:
        StorePath.from_base_name(f"{'0' * 32}-{name}")
    assert caught.value.code is Code.STORE_PATH_MALFORMED


def version(nix: RelocatedNix) -> tuple[int, int]:
    return numbers(nix.line("nix", "--version").split()[-1])


def numbers(text: str) -> tuple[int, int]:
    """Return the first two numbers of a version."""
    major, minor, *_ = text.split(".")
    return int(major), int(minor)
