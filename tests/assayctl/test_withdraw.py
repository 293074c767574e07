"""Published paths are withdrawn, and put back."""

from __future__ import annotations

import json

import pytest

from nixcache.compression import Compression
from nixcache.dsse import Envelope
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE, StorePath
from protocol.keys import CacheListingKey, CacheNarInfoKey, NarFile, ProvenanceKey
from protocol.outputs import Output
from tests.assayctl.conftest import Run, Stage

HASH = Hash(HashAlgorithm.SHA256, bytes(32))
LIB, TOOL, APP, OTHER = (
    StorePath.from_base_name(f"{letter * 32}-{name}")
    for letter, name in zip("abcd", ("lib", "tool", "app", "other"), strict=True)
)
REFERENCES = {LIB: (LIB,), TOOL: (LIB,), APP: (TOOL, LIB), OTHER: ()}
BUILDERS = {LIB: "ci-1", TOOL: "ci-2", APP: "ci-2", OTHER: "ci-2"}


@pytest.fixture(autouse=True)
def _published(stage: Stage) -> None:
    s3 = stage.session.client("s3")
    for day, (path, references) in enumerate(REFERENCES.items(), 1):
        narinfo = NarInfo(
            store_dir=NIX_STORE,
            store_path=path,
            url=NarFile.of(HASH, Compression.NONE).url,
            compression=Compression.NONE,
            file_hash=HASH,
            file_size=1,
            nar_hash=HASH,
            nar_size=1,
            references=tuple(sorted(references)),
            deriver=None,
            signatures=(),
            ca=None,
        )
        cache = stage[Output.CACHE_BUCKET]
        s3.put_object(Bucket=cache, Key=str(CacheNarInfoKey(path.hash_part)), Body=narinfo.render())
        s3.put_object(Bucket=cache, Key=str(CacheListingKey(path.hash_part)), Body=b"{}")
        votes = {"need": 2, "votes": [{"builder": "ci-9"}]} if path == OTHER else None
        predicate = {"builder": BUILDERS[path], "quorum": votes, "at": f"2026-11-{day:02}T00:00:00+00:00"}
        envelope = Envelope("application/vnd.in-toto+json", json.dumps({"predicate": predicate}).encode(), ())
        s3.put_object(
            Bucket=stage[Output.LEDGER_BUCKET], Key=str(ProvenanceKey(path.hash_part)), Body=envelope.to_json()
        )


def _there(stage: Stage) -> set[str]:
    listed = stage.session.client("s3").list_objects_v2(Bucket=stage[Output.CACHE_BUCKET])
    return {item["Key"] for item in listed.get("Contents", []) if item["Key"].endswith(".narinfo")}


def _narinfos(*paths: StorePath) -> set[str]:
    return {str(CacheNarInfoKey(path.hash_part)) for path in paths}


def test_nothing_is_withdrawn_without_yes(stage: Stage, run: Run) -> None:
    ended = run("withdraw", f"/nix/store/{LIB.base_name}")
    assert (ended.code, ended.out.splitlines()[-1]) == (1, "3 would be withdrawn. --yes does it.")
    assert _there(stage) == _narinfos(LIB, TOOL, APP, OTHER)


def test_a_path_goes_with_all_that_references_it_and_last(stage: Stage, run: Run) -> None:
    """I4: at no moment is something offered whose references are not."""
    ended = run("withdraw", LIB.hash_part, "--yes")
    assert ended.code == 0
    assert ended.out.splitlines() == [
        f"references it: {APP.base_name}",
        f"references it: {TOOL.base_name}",
        LIB.base_name,
        "3 withdrawn.",
    ]
    assert _there(stage) == _narinfos(OTHER)


def test_what_a_builder_vouched_for_is_withdrawn(stage: Stage, run: Run) -> None:
    assert run("withdraw", "--builder", "ci-9", "--yes").code == 0
    assert _there(stage) == _narinfos(LIB, TOOL, APP)


def test_since_spares_what_is_older(stage: Stage, run: Run) -> None:
    assert run("withdraw", "--builder", "ci-2", "--since", "2026-11-03", "--yes").code == 0
    assert _there(stage) == _narinfos(LIB, TOOL)


def test_a_withdrawal_is_undone(stage: Stage, run: Run) -> None:
    run("withdraw", LIB.hash_part, "--yes")
    assert run("restore", LIB.base_name, TOOL.base_name).code == 0
    assert _there(stage) == _narinfos(LIB, TOOL, OTHER)
    ended = run("restore", OTHER.hash_part)
    assert (ended.code, ended.out) == (1, f"not withdrawn {OTHER.hash_part}\n0 restored.\n")


@pytest.mark.parametrize(
    "arguments", [(), (LIB.hash_part, "--builder", "ci-1"), (LIB.hash_part, "--since", "2026-11-01")]
)
def test_what_is_to_be_withdrawn_is_said_in_one_way(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("withdraw", *arguments).code == 2


def test_what_is_not_published_is_said(run: Run) -> None:
    ended = run("withdraw", "z" * 32, "--yes")
    assert (ended.code, ended.out) == (1, f"not published: {'z' * 32}\n")


def test_the_cdn_forgets_what_was_withdrawn(stage: Stage, run: Run) -> None:
    run("withdraw", OTHER.hash_part, "--yes")
    cloudfront = stage.session.client("cloudfront")
    identity = stage[Output.DISTRIBUTION_ID]
    listed = cloudfront.list_invalidations(DistributionId=identity)["InvalidationList"]["Items"]
    paths = [
        cloudfront.get_invalidation(DistributionId=identity, Id=one["Id"])["Invalidation"]["InvalidationBatch"]["Paths"]
        for one in listed
    ]
    assert paths == [{"Quantity": 1, "Items": [f"/{OTHER.hash_part}.narinfo"]}]
