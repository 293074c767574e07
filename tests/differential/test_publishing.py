"""What each generation builds and uploads, Assay publishes; what Assay publishes, each generation installs.

Byte for byte, with signatures required; ``nix-store --verify --check-contents`` agrees afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import pytest

from nixcache import nix32
from nixcache.compression import READABLE
from nixcache.narinfo import NarInfo
from nixcache.store_path import HashPart, StorePath
from nixcache.verify import VerifiedStoreObject, verify
from tests.differential.cache import Cache
from tests.differential.clients import Client
from tests.differential.nix_generations import SUITES, Generation
from tests.differential.real_paths import build
from tests.differential.signer import KEY
from tests.nixcache.claims import claim
from tests.nixcache.compressed import compressed
from tests.nixcache.nar_model import File, Link, Node, Tree, nar, nested, write_tree
from tests.nixcache.nix_derivations import FLOATING, instantiate, realise
from tests.nixcache.relocated_nix import RelocatedNix
from tests.nixcache.test_nix_dump import EVERYTHING
from tests.nixcache.test_nix_store_paths import rewritten


@dataclass(frozen=True, slots=True)
class Built:
    """A store object as one generation uploads it."""

    narinfo: NarInfo
    nar: bytes


@pytest.fixture(scope="module", params=SUITES)
def builder(
    request: pytest.FixtureRequest, generation_list: list[Generation], tmp_path_factory: pytest.TempPathFactory
) -> RelocatedNix:
    """One generation, to build with."""
    generation = generation_list[list(SUITES).index(request.param)]
    root = tmp_path_factory.mktemp(f"builder-{request.param}")
    return RelocatedNix(root, commands=generation.commands, configuration=generation.configuration)


@pytest.fixture(scope="module")
def readers(
    builder: RelocatedNix, generation_list: list[Generation], tmp_path_factory: pytest.TempPathFactory
) -> list[Client]:
    """Every generation as a client of a cache for the builder's store dir."""
    return [
        Client(generation, shared=builder.root, own=tmp_path_factory.mktemp(f"reader-{generation}"))
        for generation in generation_list
    ]


@pytest.fixture(scope="module")
def built(builder: RelocatedNix) -> list[Built]:
    """Store objects of every kind, read from the cache that the builder's own ``nix copy`` fills."""
    cache = builder.root / "cache"
    paths = [builder.store_dir.render(real.path) for real in build(builder)]
    paths += [builder.line("nix-store", "--add", source) for source in sources(builder.root)]
    for algorithm in ("md5", "sha1", "sha256", "sha512"):
        for options in ([], ["--recursive"]):
            file = write_tree(File(f"{algorithm} {options}".encode()), builder.root / f"{algorithm}{len(options)}")
            paths.append(builder.line("nix-store", "--add-fixed", *options, algorithm, file))
    dependency = '${builtins.toFile "dependency" "hi"}'
    ordinary = instantiate(builder, f"echo $out {dependency} > $out", name="ordinary")
    paths += [ordinary, *realise(builder, ordinary)]
    paths.append(rewritten(builder, paths[-1]))
    paths += realise(builder, instantiate(builder, f"echo $out {dependency} > $out", name="floating", **FLOATING))
    paths += realise(builder, instantiate(builder, f"echo {dependency} > $out", name="floating-without", **FLOATING))
    for path in paths:
        options = ["--derivation"] if path.endswith(".drv") else []
        builder.run("nix", "copy", *options, "--to", f"file://{cache}?compression=none", path)
    narinfos = [NarInfo.parse(file.read_bytes(), builder.store_dir) for file in sorted(cache.glob("*.narinfo"))]
    found = [Built(narinfo, (cache / narinfo.url).read_bytes()) for narinfo in narinfos]
    return found + [invented(name, node, builder) for name, node in AT_THE_LIMITS.items()]


# Nix 2.26 restores these, but its own `nix-store --add` overflows its stack on trees as deep as that.
AT_THE_LIMITS: dict[str, Node] = {
    "everything": EVERYTHING,
    "deepest": nested(64),
    "deepest-directory": nested(64, Tree()),
    "longest-target": Link(b"t" * 4095),
    "longest-name": Tree({b"n" * 255: File()}),
    "many": Tree({b"%d" % number: File(b"%d" % number) for number in range(5000)}),
    "large": File(bytes(range(251)) * 40_000),
}


def invented(name: str, node: Node, builder: RelocatedNix) -> Built:
    """Return a store object that nobody built."""
    data = nar(node)
    path = StorePath(HashPart(nix32.encode(hashlib.sha256(name.encode()).digest()[:20])), name)
    return Built(claim(data, store_dir=builder.store_dir, store_path=path), data)


def sources(root: Path) -> list[Path]:
    """Return a root of every kind."""
    nodes: dict[str, Node] = {
        "file": File(b"x"),
        "empty-file": File(),
        "executable": File(b"#!/bin/sh\n", executable=True),
        "directory": Tree(),
        "link": Link(b"nowhere"),
        "tree": Tree({b"a": Tree({b"b": Link(b"../c"), b"c": File()}), b"\xff\n": File(b"odd")}),
    }
    return [write_tree(node, root / name) for name, node in nodes.items()]


def publish(built: Sequence[Built], cache: Cache, *, signed: bool) -> list[VerifiedStoreObject]:
    """Prove and publish everything, in each compression in turn."""
    proven = []
    for one, method in zip(built, cycle(READABLE), strict=False):
        file = compressed(method, one.nar)
        submitted = claim(
            one.nar,
            file=file,
            compression=method,
            references=one.narinfo.references,
            store_dir=one.narinfo.store_dir,
            store_path=one.narinfo.store_path,
            deriver=one.narinfo.deriver,
            ca=one.narinfo.ca,
        )
        verified = verify(submitted, [file])
        cache.put(verified.narinfo((KEY.sign(verified),) if signed else ()), file)
        proven.append(verified)
    return proven


def test_everything_installs_everywhere(built: list[Built], readers: list[Client], tmp_path: Path) -> None:
    names = {one.narinfo.store_path.name for one in built}
    assert {"tool-1.0", "everything", "link", "ordinary.drv", "ordinary", "floating", "text", "md50"} <= names
    cache = Cache(tmp_path, readers[0].store_dir)
    proven = publish(built, cache, signed=True)
    assert {verified.compression for verified in proven} == set(READABLE)
    for reader in readers:
        assert reader.install(cache.directory, KEY.public_key, *(verified.store_path for verified in proven))
        assert [reader.dump(one.narinfo.store_path) == one.nar for one in built] == [True] * len(built)
        assert reader.problems() == []


def test_a_published_address_needs_no_signature(built: list[Built], readers: list[Client], tmp_path: Path) -> None:
    """Each client computes the store path anew from the bytes: what Assay calls content-addressed, it finds so, too."""
    addressed = [one for one in built if one.narinfo.ca and not one.narinfo.references]
    cache = Cache(tmp_path, readers[0].store_dir)
    proven = publish(addressed, cache, signed=False)
    assert {str(verified.ca).rpartition(":")[0] for verified in proven} >= {
        *(f"fixed:{algorithm}" for algorithm in ("md5", "sha1", "sha256", "sha512")),
        *(f"fixed:r:{algorithm}" for algorithm in ("md5", "sha1", "sha256", "sha512")),
        "text:sha256",
    }
    for reader in readers:
        paths = [verified.store_path for verified in proven]
        assert reader.install(cache.directory, KEY.public_key, *paths, store="unsigned")
