"""Store paths that look like others: one hash part is one path, and a reader gets what it asked for, or nothing."""

from __future__ import annotations

import pytest

from nixcache.store_path import StorePath
from protocol.verdicts import Conflict, Kind, Published, Waiting
from tests.adversary.target import MALLORY, Target
from tests.concurrency.deployment import ALICE, KEY
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import store_path

PUBLISHED = Published((KEY.name,))


@pytest.mark.parametrize("name", ["leaf-1", "Leaf", "lea", "leaf.drv.x", "voted-leaf"])
def test_a_hash_part_that_is_taken_under_another_name(target: Target, objects: Objects, name: str) -> None:
    """I3: nothing is replaced, and clients refuse a narinfo whose StorePath is not the one that they asked for.

    It does keep the true path out: that needs a builder with credentials, its provenance says which one, and an
    operator has to take the squatter away.
    """
    leaf = objects.build("leaf")
    squatter = leaf.claiming(store_path=StorePath(leaf.path.hash_part, name))
    if name.startswith("voted-"):
        target.attack(squatter, ALICE)
    target.attack(squatter)
    seen = target.visible(leaf.path)
    published = target.published(leaf.path)
    assert published is not None
    assert published.store_path == squatter.path != leaf.path
    target.attack(leaf, ALICE)
    assert isinstance(target.result(leaf.path, ALICE).verdict, Conflict)
    assert target.visible(leaf.path) == seen


def test_a_squatter_under_a_name_without_a_quorum_is_not_taken_for_the_path_that_needs_one(
    target: Target, objects: Objects
) -> None:
    """I1 and I4: neither readers nor references get it for the path that two have to agree on."""
    glibc = objects.build("voted-glibc")
    squatter = objects.build("x", text="evil").claiming(store_path=StorePath(glibc.path.hash_part, "glibc"))
    target.attack(squatter)
    target.attack(glibc, ALICE)
    assert isinstance(target.result(glibc.path, ALICE).verdict, Conflict)
    published = target.published(glibc.path)
    assert published is not None
    assert published.store_path != glibc.path
    user = objects.build("user", [glibc])
    target.attack(user, ALICE)
    rejection = target.rejection(user.path, ALICE)
    assert (rejection.code, rejection.field) == ("narinfo-malformed", "References")


@pytest.mark.parametrize("name", ["other", "leaf.", "LEAF", "leaf-bin", "le"])
def test_a_reference_to_itself_under_another_name(target: Target, objects: Objects, name: str) -> None:
    """I4 and I6: it could never be had beside the path, which would wait for itself."""
    leaf = objects.build("leaf")
    itself = StorePath(leaf.path.hash_part, name)
    target.attack(leaf.claiming(references=(itself,)))
    assert (target.rejection(leaf.path).code, target.rejection(leaf.path).field) == ("narinfo-malformed", "References")
    target.attack(leaf.claiming(references=tuple(sorted((itself, leaf.path)))))
    assert target.rejection(leaf.path).field == "References"
    assert target.ledger.keys("waiting/") == []


def test_two_that_wait_for_one_another_wait_and_cost_nothing_more(target: Target, objects: Objects) -> None:
    """I4 and I6: no store makes such a pair; neither is published before the other, and nothing spins."""
    one, other = objects.build("one"), objects.build("other")
    target.attack(one.claiming(references=(other.path,)))
    target.attack(other.claiming(references=(one.path,)))
    assert target.result(one.path, MALLORY).verdict == Waiting((other.path,))
    assert target.result(other.path, MALLORY).verdict == Waiting((one.path,))
    assert target.deliveries == 2
    assert target.cache.keys() == []


def test_a_narinfo_under_another_paths_key(target: Target, objects: Objects) -> None:
    """I3: the key says which path a submission is about, and the narinfo has to agree."""
    leaf, trojan = objects.build("leaf"), objects.build("trojan")
    target.submit(trojan, MALLORY)
    lie = trojan.claiming(store_path=StorePath(leaf.path.hash_part, trojan.path.name))
    target.upload(f"mallory/{trojan.path.hash_part}.narinfo", lie.narinfo.render())
    target.upload(f"mallory/{trojan.narinfo.url}", trojan.file)
    target.run()
    assert target.rejection(trojan.path).code == "hash-part-mismatch"
    assert target.visible(leaf.path) is None


def test_an_output_that_is_called_a_derivation_is_none(target: Target, objects: Objects) -> None:
    """I1: clients take derivations as content-addressed, so nothing else may stand under such a name."""
    evil = objects.build("evil").claiming(store_path=store_path("glibc.drv"))
    target.attack(evil)
    assert target.rejection(evil.path).code == "ca-mismatch"
    assert target.cache.keys() == []


def test_names_at_the_edge_of_the_grammar(target: Target, objects: Objects) -> None:
    """A name that is a path, a key or a command elsewhere is a name here, or none."""
    leaf = objects.build("leaf")
    part = leaf.path.hash_part
    text = leaf.narinfo.render()
    good = ("nix-cache-info", "index.html", "x.narinfo", "..x", "=?UTF-8?Q?=22?=", "a" * 211)
    bad = (".", "..", ".-x", "..-x", "a/b", "a\\b", "a b", "a\0b", "%2e%2e", "a" * 212, "\u00e9", "$(id)", "a;b", "")
    for name in (*bad, *good):
        target.upload(f"mallory/{leaf.narinfo.url}", leaf.file)
        target.upload(f"mallory/{part}.narinfo", text.replace(f"{part}-leaf".encode(), f"{part}-{name}".encode()))
        target.run()
        kind = target.result(leaf.path, MALLORY).verdict.kind
        if name in bad:
            assert (kind, target.narinfos()) == (Kind.REJECTED, []), name
        else:
            assert kind in {Kind.PUBLISHED, Kind.CONFLICT}, name
    assert sorted(target.cache.keys())[-1:] == ["nix-cache-info"]
