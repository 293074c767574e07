"""Keys that a builder chooses: each is a submission of its own prefix, or it is nothing (I8)."""

from __future__ import annotations

import hashlib
import json
from urllib.parse import quote_plus

import pytest

from nixcache import nix32
from protocol.keys import NarFile, StagingNarInfoKey, StagingNarKey
from protocol.results import Result
from protocol.verdicts import Rejected
from tests.adversary.target import MALLORY, Target
from tests.concurrency.deployment import ALICE
from tests.concurrency.objects import Objects
from tests.ingest.world import s3_event

KEYS = {
    "another builder's, by way of its parent": "mallory/../alice/{part}.narinfo",
    "the same, encoded": "mallory/%2e%2e/alice/{part}.narinfo",
    "the same, encoded twice": "mallory/%252e%252e%252falice/{part}.narinfo",
    "another builder's, deeper": "mallory/alice/{part}.narinfo",
    "its own directory": "mallory/./{part}.narinfo",
    "backslashes": "mallory/..\\..\\alice\\{part}.narinfo",
    "two slashes": "mallory//{part}.narinfo",
    "an encoded slash": "mallory/%2f{part}.narinfo",
    "the cache's own file": "mallory/nix-cache-info.narinfo",
    "the cache's front page": "mallory/index.html.narinfo",
    "the cache's root": "mallory/../../{part}.narinfo",
    "upper case": "mallory/{PART}.narinfo",
    "the suffix in upper case": "mallory/{part}.NARINFO.narinfo",
    "letters that Nix32 lacks": "mallory/" + "e" * 32 + ".narinfo",
    "digits of another script": "mallory/" + "\uff10" * 32 + ".narinfo",
    "a combining mark": "mallory/{part}\u0301.narinfo",
    "text that runs backwards": "mallory/\u202e{part}.narinfo",
    "a space in front": "mallory/ {part}.narinfo",
    "a plus behind": "mallory/{part}+.narinfo",
    "a line break": "mallory/{part}\n.narinfo",
    "a null": "mallory/{part}\0.narinfo",
    "two suffixes": "mallory/{part}.narinfo.narinfo",
    "a query": "mallory/{part}.narinfo?versionId=1&x=.narinfo",
    "a result's name": "mallory/../../results/alice/{part}.json.narinfo",
    "nothing": "mallory/.narinfo",
    "S3's longest": "mallory/" + "0" * (1024 - len("mallory/.narinfo")) + ".narinfo",
}


@pytest.mark.parametrize("trick", KEYS)
def test_a_key_that_is_no_submission_is_told_to_its_builder_alone(target: Target, objects: Objects, trick: str) -> None:
    """I6 and I8: under a name that follows from the whole key. Nothing is read from there, and nothing published."""
    leaf = objects.build("leaf")
    part = leaf.path.hash_part
    key = KEYS[trick].replace("{part}", part).replace("{PART}", part.upper())
    for builder in (ALICE, MALLORY):
        target.upload(StagingNarKey(builder, NarFile.parse_url(leaf.narinfo.url)), leaf.file)
    target.upload(key, leaf.narinfo.render())
    target.run()
    assert target.cache.keys() == []
    name = nix32.encode(hashlib.sha256(key.encode()).digest()[:20])
    assert target.ledger.keys() == [f"results/mallory/{name}.json"]
    verdict = Result.from_json(target.ledger.read(f"results/mallory/{name}.json") or b"").verdict
    assert isinstance(verdict, Rejected)
    assert verdict.code == "object-key-malformed"
    assert {request.operation for request in target.requests} == {"PutObject"}, "and all that is its result"


STRAYS = (
    "{part}.narinfo",
    "/{part}.narinfo",
    "../alice/{part}.narinfo",
    "./alice/{part}.narinfo",
    "%2falice/{part}.narinfo",
    "alice%2f{part}.narinfo",
    "Alice/{part}.narinfo",
    "ALICE/{part}.narinfo",
    "al\u0131ce/{part}.narinfo",
    "\uff41lice/{part}.narinfo",
    "alice\u200b/{part}.narinfo",
    " alice/{part}.narinfo",
    "alice /{part}.narinfo",
    "alice\n/{part}.narinfo",
    "alice\0/{part}.narinfo",
    "-alice/{part}.narinfo",
    "a" * 64 + "/{part}.narinfo",
    "mallory\\..\\alice/{part}.narinfo",
    "nix-cache-info",
    "index.html",
    ".narinfo",
    "",
)


@pytest.mark.parametrize("key", STRAYS)
def test_a_key_in_nobodys_prefix_is_nobodys(target: Target, objects: Objects, key: str) -> None:
    """I8: whatever looks like a builder's name to people is none to ingest, which tells nobody and reads nothing."""
    leaf = objects.build("leaf")
    target.submit(leaf, ALICE)
    for message in target.queue.receive():
        target.queue.delete(message.receipt_handle)
    assert target.deliver(s3_event("staging", quote_plus(key.replace("{part}", leaf.path.hash_part), safe="/")))
    assert target.cache.keys() == target.ledger.keys() == []
    assert target.requests == []


URLS = (
    "nar/{hash}.nar.zst%00",
    "nar/{hash}.nar.zst#",
    "nar/{hash}.nar.zst/",
    "nar/{hash}.nar.zst/../../../alice/nar/{hash}.nar.zst",
    "nar/./{hash}.nar.zst",
    "./nar/{hash}.nar.zst",
    "/alice/nar/{hash}.nar.zst",
    "alice/nar/{hash}.nar.zst",
    "..\\alice\\nar\\{hash}.nar.zst",
    "%2e%2e/alice/nar/{hash}.nar.zst",
    "%252e%252e/alice/nar/{hash}.nar.zst",
    "..%2falice%2fnar%2f{hash}.nar.zst",
    "nar%2f{hash}.nar.zst",
    "nar/{HASH}.nar.zst",
    "nar/{hash}.NAR.zst",
    "nar/{hash}.nar.zst.zst",
    "nar/{hash}.nar+zst",
    "nar/+{hash}.nar.zst",
    "nar/" + "0" * 2000 + ".nar.zst",
    "s3://staging/alice/nar/{hash}.nar.zst",
    "file:///proc/self/environ",
    "http://169.254.169.254/nar/{hash}.nar.zst",
    "{part}.narinfo",
    "nix-cache-info",
    "index.html",
)


@pytest.mark.parametrize("url", URLS)
def test_a_url_makes_ingest_read_nothing_but_the_builders_own_nars(target: Target, objects: Objects, url: str) -> None:
    """I8: ingest may read the whole staging bucket, so the grammar alone keeps it in one builder's prefix."""
    secret = objects.build("secret")
    target.upload(StagingNarKey(ALICE, NarFile.parse_url(secret.narinfo.url)), secret.file)
    digest = secret.narinfo.nar_hash.nix32
    url = url.replace("{hash}", digest).replace("{HASH}", digest.upper()).replace("{part}", secret.path.hash_part)
    lie = secret.claiming(url=url)
    target.upload(StagingNarInfoKey(MALLORY, lie.path.hash_part), lie.narinfo.render())
    target.run()
    assert target.rejection(lie.path).code == "narinfo-malformed"
    read = {request.target for request in target.requests if request.target.startswith("staging/")}
    assert read == {f"staging/mallory/{lie.path.hash_part}.narinfo"}
    assert target.narinfos() == []


def test_a_key_forges_no_line_of_the_log(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    """An operator's alarms count lines: a key with a line break in it must not write one of its own."""
    forged = json.dumps({"_aws": {"CloudWatchMetrics": []}, "Submissions": 1000})
    for prefix in ("mallory", "NOBODY"):
        assert target.deliver(s3_event("staging", quote_plus(f"{prefix}/\n{forged}\r\n{forged}\u2028.narinfo")))
    captured = capsys.readouterr()
    lines = (captured.out + captured.err).removesuffix("\n").split("\n")
    metrics = [json.loads(line) for line in lines if '"_aws"' in line]
    assert [sorted({"Submissions", "Stray"} & set(metric)) for metric in metrics] == [["Submissions"], ["Stray"]]
    assert all(isinstance(json.loads(line), dict) for line in lines)
