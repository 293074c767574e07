"""Published paths are withdrawn, kept out, and put back."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from nixcache.compression import Compression
from nixcache.dsse import Envelope
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE, StorePath, parse_hash_part
from protocol.keys import (
    WITHDRAWN_KEY,
    BuilderName,
    CacheListingKey,
    CacheNarInfoKey,
    NarFile,
    ProvenanceKey,
    WaitingKey,
)
from protocol.outputs import Output
from protocol.withdrawn import SETTLED, Entry, Withdrawn
from tests.assayctl.conftest import Run, Stage

HASH = Hash(HashAlgorithm.SHA256, bytes(32))
LIB, TOOL, APP, OTHER = (
    StorePath.from_base_name(f"{letter * 32}-{name}")
    for letter, name in zip("abcd", ("lib", "tool", "app", "other"), strict=True)
)
REFERENCES = {LIB: (LIB,), TOOL: (LIB,), APP: (TOOL, LIB), OTHER: ()}
BUILDERS = {LIB: "ci-1", TOOL: "ci-2", APP: "ci-2", OTHER: "ci-2"}


def _narinfo(path: StorePath, nar_hash: Hash = HASH) -> bytes:
    return NarInfo(
        store_dir=NIX_STORE,
        store_path=path,
        url=NarFile.of(HASH, Compression.NONE).url,
        compression=Compression.NONE,
        file_hash=HASH,
        file_size=1,
        nar_hash=nar_hash,
        nar_size=1,
        references=tuple(sorted(REFERENCES[path])),
        deriver=None,
        signatures=(),
        ca=None,
    ).render()


def _publish(stage: Stage, path: StorePath, nar_hash: Hash = HASH) -> None:
    s3, cache = stage.session.client("s3"), stage[Output.CACHE_BUCKET]
    s3.put_object(Bucket=cache, Key=str(CacheNarInfoKey(path.hash_part)), Body=_narinfo(path, nar_hash))
    s3.put_object(Bucket=cache, Key=str(CacheListingKey(path.hash_part)), Body=b"{}")


@pytest.fixture(autouse=True)
def _published(stage: Stage) -> None:
    for day, path in enumerate(REFERENCES, 1):
        _publish(stage, path)
        votes = {"need": 2, "votes": [{"builder": "ci-9"}]} if path == OTHER else None
        predicate = {"builder": BUILDERS[path], "quorum": votes, "at": f"2026-11-{day:02}T00:00:00+00:00"}
        envelope = Envelope("application/vnd.in-toto+json", json.dumps({"predicate": predicate}).encode(), ())
        stage.session.client("s3").put_object(
            Bucket=stage[Output.LEDGER_BUCKET], Key=str(ProvenanceKey(path.hash_part)), Body=envelope.to_json()
        )


class _Requests:
    """The requests that the command sends to S3, as ``operation key``; one may be refused, or come second."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401  one of boto3's, for all clients of the tests
        self.sent: list[str] = []
        self.before: Callable[[str], None] = lambda _: None
        self._session = session

    def __call__(self, params: dict[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401
        line = f"{model.name} {params.get('Key', '')}"
        self.sent.append(line)
        self.before(line)

    def of(self, *operations: str) -> list[str]:
        return [line for line in self.sent if line.partition(" ")[0] in operations]


@pytest.fixture
def requests(stage: Stage) -> Iterator[_Requests]:
    requests = _Requests(stage.session)
    stage.session.events.register("provide-client-params.s3.*", requests, unique_id="withdraw")
    yield requests
    stage.session.events.unregister("provide-client-params.s3.*", unique_id="withdraw")


def _withdrawn(stage: Stage) -> Withdrawn:
    body = stage.session.client("s3").get_object(Bucket=stage[Output.LEDGER_BUCKET], Key=WITHDRAWN_KEY)["Body"]
    return Withdrawn.from_json(body.read())


def _invalidated(stage: Stage) -> list[list[str]]:
    cloudfront, identity = stage.session.client("cloudfront"), stage[Output.DISTRIBUTION_ID]
    listed = cloudfront.list_invalidations(DistributionId=identity)["InvalidationList"].get("Items", [])
    return [
        cloudfront.get_invalidation(DistributionId=identity, Id=one["Id"])["Invalidation"]["InvalidationBatch"][
            "Paths"
        ]["Items"]
        for one in listed
    ]


def _cdn_paths(*paths: StorePath) -> list[str]:
    return [f"/{path.hash_part}{suffix}" for path in paths for suffix in (".narinfo", ".ls")]


def _there(stage: Stage) -> set[str]:
    listed = stage.session.client("s3").list_objects_v2(Bucket=stage[Output.CACHE_BUCKET])
    return {item["Key"] for item in listed.get("Contents", []) if item["Key"].endswith(".narinfo")}


def _narinfos(*paths: StorePath) -> set[str]:
    return {str(CacheNarInfoKey(path.hash_part)) for path in paths}


def test_nothing_is_withdrawn_without_yes(stage: Stage, run: Run, requests: _Requests) -> None:
    ended = run("withdraw", f"/nix/store/{LIB.base_name}")
    assert (ended.code, ended.out.splitlines()[-1]) == (1, "3 would be withdrawn. --yes does it.")
    assert _there(stage) == _narinfos(LIB, TOOL, APP, OTHER)
    assert requests.of("PutObject", "DeleteObject") == []


def test_a_path_is_listed_and_then_goes_with_all_that_references_it_and_last(
    stage: Stage, run: Run, requests: _Requests
) -> None:
    """I4: at no moment is something offered whose references are not; nor may ingest bring back what has gone."""
    ended = run("withdraw", LIB.hash_part, "--yes")
    assert ended.code == 0
    assert ended.out.splitlines()[:-1] == [
        f"references it: {APP.base_name}",
        f"references it: {TOOL.base_name}",
        LIB.base_name,
        "3 withdrawn.",
    ]
    assert f"in {SETTLED.seconds // 60} minutes" in ended.out.splitlines()[-1]
    assert requests.of("PutObject", "DeleteObject") == [
        f"PutObject {WITHDRAWN_KEY}",
        *(f"DeleteObject {path.hash_part}{suffix}" for path in (APP, TOOL, LIB) for suffix in (".narinfo", ".ls")),
    ]
    assert _there(stage) == _narinfos(OTHER)


def test_what_is_withdrawn_is_refused_and_what_went_with_it_is_not(stage: Stage, run: Run) -> None:
    """A right build of the library makes what references it installable again."""
    run("withdraw", LIB.hash_part, "--yes")
    withdrawn = _withdrawn(stage)
    assert withdrawn.refused(LIB.hash_part) == {HASH}
    for path in (TOOL, APP):
        assert (withdrawn.names(path.hash_part), withdrawn.refused(path.hash_part)) == (True, frozenset())
    assert not withdrawn.names(OTHER.hash_part)


def test_provenance_stays_for_it_is_evidence(stage: Stage, run: Run) -> None:
    run("withdraw", OTHER.hash_part, "--yes")
    key = str(ProvenanceKey(OTHER.hash_part))
    stage.session.client("s3").head_object(Bucket=stage[Output.LEDGER_BUCKET], Key=key)
    assert f"withdrawn already: {OTHER.hash_part}" in run("withdraw", "--builder", "ci-9").out


def test_who_withdraws_at_the_same_time_loses_nothing(stage: Stage, run: Run, requests: _Requests) -> None:
    """The list is written over what was read, or not at all, and then read again."""
    theirs = Entry(TOOL.hash_part, HASH, datetime(2026, 11, 1, tzinfo=UTC))

    def write(line: str) -> None:
        if line == f"PutObject {WITHDRAWN_KEY}":
            requests.before = lambda _: None
            stage.session.client("s3").put_object(
                Bucket=stage[Output.LEDGER_BUCKET], Key=WITHDRAWN_KEY, Body=Withdrawn((theirs,)).to_json()
            )

    requests.before = write
    assert run("withdraw", OTHER.hash_part, "--yes").code == 0
    withdrawn = _withdrawn(stage)
    assert withdrawn.refuses(OTHER.hash_part, HASH)
    assert theirs in withdrawn.entries


def test_a_list_that_cannot_be_read_is_not_written_over(stage: Stage, run: Run) -> None:
    stage.session.client("s3").put_object(Bucket=stage[Output.LEDGER_BUCKET], Key=WITHDRAWN_KEY, Body=b"damaged")
    for command in (("withdraw", "--yes"), ("restore",), ("readmit",)):
        assert run(*command, OTHER.hash_part).code == (1 if command == ("restore",) else 4)
    assert _there(stage) == _narinfos(LIB, TOOL, APP, OTHER)


def test_what_a_builder_vouched_for_is_withdrawn(stage: Stage, run: Run) -> None:
    assert run("withdraw", "--builder", "ci-9", "--yes").code == 0
    assert _there(stage) == _narinfos(LIB, TOOL, APP)


def test_what_is_only_waited_for_was_published_by_nobody(stage: Stage, run: Run) -> None:
    """Whoever waits announces himself where the provenance will be, by an empty object."""
    key = str(ProvenanceKey(parse_hash_part("z" * 32)))
    stage.session.client("s3").put_object(Bucket=stage[Output.LEDGER_BUCKET], Key=key, Body=b"")
    assert run("withdraw", "--builder", "ci-9", "--yes").code == 0
    assert _there(stage) == _narinfos(LIB, TOOL, APP)


def test_since_spares_what_is_older(stage: Stage, run: Run) -> None:
    assert run("withdraw", "--builder", "ci-2", "--since", "2026-11-03", "--yes").code == 0
    assert _there(stage) == _narinfos(LIB, TOOL)


def test_a_withdrawal_is_undone(stage: Stage, run: Run) -> None:
    run("withdraw", LIB.hash_part, "--yes")
    assert run("restore", LIB.base_name, TOOL.base_name).code == 0
    assert _there(stage) == _narinfos(LIB, TOOL, OTHER)
    withdrawn = _withdrawn(stage)
    assert [withdrawn.names(path.hash_part) for path in (LIB, TOOL, APP)] == [False, False, True]
    ended = run("restore", OTHER.hash_part)
    assert (ended.code, ended.out) == (1, f"not withdrawn {OTHER.hash_part}\n0 restored.\n")


def test_what_comes_back_comes_after_what_it_references(run: Run, requests: _Requests) -> None:
    """I4: the operator gives them as the withdrawal printed them, referrers first."""
    run("withdraw", LIB.hash_part, "--yes")
    requests.sent.clear()
    assert run("restore", APP.hash_part, TOOL.hash_part, LIB.hash_part).code == 0
    restored = [line.split()[1] for line in requests.of("DeleteObject") if line.endswith(".narinfo")]
    assert restored == [str(CacheNarInfoKey(path.hash_part)) for path in (LIB, TOOL, APP)]


def test_what_references_a_path_that_stays_withdrawn_stays_as_well(stage: Stage, run: Run) -> None:
    """I4."""
    run("withdraw", LIB.hash_part, "--yes")
    ended = run("restore", APP.hash_part, TOOL.hash_part)
    assert ended.code == 1
    assert ended.out.splitlines()[:2] == [
        f"left out {TOOL.hash_part}: it references {LIB.base_name}, which is withdrawn; restore both",
        f"left out {APP.hash_part}: it references {LIB.base_name}, which is withdrawn; restore both",
    ]
    assert _there(stage) == _narinfos(OTHER)


def test_who_waits_for_what_is_restored_is_woken(stage: Stage, run: Run) -> None:
    """I6: ingest, which wakes them else, knows nothing of it; whatever else lies there keeps nobody from it."""
    run("withdraw", OTHER.hash_part, "--yes")
    waiting = WaitingKey(OTHER.hash_part, BuilderName("ci-1"), parse_hash_part("f" * 32))
    s3, sqs = stage.session.client("s3"), stage.session.client("sqs")
    for key in (f"{WaitingKey.prefix(OTHER.hash_part)}A", str(waiting)):
        s3.put_object(Bucket=stage[Output.LEDGER_BUCKET], Key=key, Body=b"")
    for told in ("1 restored.", f"not withdrawn {OTHER.hash_part}"):  # a run that broke off is made up for by the next
        ended = run("restore", OTHER.hash_part)
        assert ended.out.splitlines()[0] == told
        assert ended.out.splitlines()[-1] == "1 submissions that waited are judged again."
    messages = sqs.receive_message(QueueUrl=stage[Output.INGEST_QUEUE_URL], MaxNumberOfMessages=10)["Messages"]
    assert [json.loads(message["Body"])["submission"] for message in messages] == [f"ci-1/{'f' * 32}.narinfo"] * 2


@pytest.mark.parametrize("operation", ["PutObject", "DeleteObject"])
def test_a_restoration_that_broke_off_is_ended_by_the_next(
    stage: Stage, run: Run, requests: _Requests, operation: str
) -> None:
    """The list goes first: else the path would be there, and taken out again for what the list says."""
    run("withdraw", OTHER.hash_part, "--yes")

    def refuse(line: str) -> None:
        if line.startswith(operation):
            raise _refused(operation)

    requests.before = refuse
    assert run("restore", OTHER.hash_part).code == 4
    requests.before = lambda _: None
    assert run("restore", OTHER.hash_part).code == 0
    assert _there(stage) == _narinfos(LIB, TOOL, APP, OTHER)
    assert not _withdrawn(stage).names(OTHER.hash_part)


def test_what_two_commands_deleted_is_restored_by_one(stage: Stage, run: Run) -> None:
    for _ in range(2):
        stage.session.client("s3").delete_object(
            Bucket=stage[Output.CACHE_BUCKET], Key=str(CacheNarInfoKey(OTHER.hash_part))
        )
    assert run("restore", OTHER.hash_part).code == 0
    assert _there(stage) == _narinfos(LIB, TOOL, APP, OTHER)


def test_to_readmit_restores_nothing(stage: Stage, run: Run) -> None:
    run("withdraw", OTHER.hash_part, "--yes")
    ended = run("readmit", OTHER.base_name, LIB.hash_part)
    assert ended.code == 1
    assert ended.out.startswith(f"not withdrawn {LIB.hash_part}\n1 readmitted.")
    assert not _withdrawn(stage).names(OTHER.hash_part)
    assert _there(stage) == _narinfos(LIB, TOOL, APP)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        (LIB.hash_part, "--builder", "ci-1"),
        (LIB.hash_part, "--since", "2026-11-01"),
        (LIB.hash_part, "--again"),
        ("--again", "--since", "2026-11-01"),
    ],
)
def test_what_is_to_be_withdrawn_is_said_in_one_way(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("withdraw", *arguments).code == 2


def test_what_is_not_published_is_said(run: Run) -> None:
    ended = run("withdraw", "z" * 32, "--yes")
    assert (ended.code, ended.out) == (1, f"not published: {'z' * 32}\n0 withdrawn.\n")


def test_to_run_it_again_is_well(stage: Stage, run: Run) -> None:
    """The entry stands, nothing is published: that is what was asked for. The CDN forgets once more."""
    run("withdraw", OTHER.hash_part, "--yes")
    before = _withdrawn(stage)
    for arguments in ((), ("--yes",)):
        ended = run("withdraw", OTHER.hash_part, *arguments)
        assert (ended.code, ended.out.splitlines()[0]) == (0, f"withdrawn already: {OTHER.hash_part}")
    assert _withdrawn(stage) == before
    assert _invalidated(stage) == [_cdn_paths(OTHER)] * 2


def test_what_went_by_hand_or_with_another_is_refused_when_it_is_named(stage: Stage, run: Run) -> None:
    run("withdraw", LIB.hash_part, "--yes")
    assert run("withdraw", TOOL.hash_part).code == 1
    assert run("withdraw", TOOL.hash_part, "--yes").code == 0
    assert _withdrawn(stage).refused(TOOL.hash_part) == {HASH}


def test_another_bad_object_that_went_by_hand_is_refused_as_well(stage: Stage, run: Run) -> None:
    """The path is on the list for the first, which says nothing of the second."""
    run("withdraw", OTHER.hash_part, "--yes")
    second = Hash(HashAlgorithm.SHA256, bytes([2] * 32))
    _publish(stage, OTHER, second)
    stage.session.client("s3").delete_object(
        Bucket=stage[Output.CACHE_BUCKET], Key=str(CacheNarInfoKey(OTHER.hash_part))
    )
    assert run("withdraw", OTHER.hash_part, "--yes").code == 0
    assert _withdrawn(stage).refused(OTHER.hash_part) == {HASH, second}


def test_again_takes_what_came_back_and_nothing_else(stage: Stage, run: Run) -> None:
    """Containers went by an older list. What was built anew meanwhile has another NarHash, and stays."""
    run("withdraw", LIB.hash_part, OTHER.hash_part, "--yes")
    right = Hash(HashAlgorithm.SHA256, bytes([1] * 32))
    _publish(stage, OTHER, right)
    assert run("withdraw", "--again", "--yes").out == "There is nothing to withdraw.\n"
    _publish(stage, LIB)
    _publish(stage, TOOL)
    assert run("withdraw", "--again").code == 1
    assert run("withdraw", "--again", "--yes").code == 0
    assert _there(stage) == _narinfos(OTHER)
    _publish(stage, APP)  # it references what only went with another
    assert run("withdraw", "--again", "--yes").code == 0
    assert _there(stage) == _narinfos(OTHER)
    assert _withdrawn(stage).refused(TOOL.hash_part) == frozenset(), "nobody has named it"


def test_what_is_missing_for_longer_is_somebody_elses_to_have(stage: Stage, run: Run) -> None:
    """What references it was published since, and ingest looked: an upstream has the reference."""
    run("withdraw", LIB.hash_part, "--yes")
    _publish(stage, TOOL)
    assert run("withdraw", "--again").code == 1
    entries = tuple(Entry(one.hash_part, one.nar_hash, one.at - timedelta(days=2)) for one in _withdrawn(stage).entries)
    stage.session.client("s3").put_object(
        Bucket=stage[Output.LEDGER_BUCKET], Key=WITHDRAWN_KEY, Body=Withdrawn(entries).to_json()
    )
    assert run("withdraw", "--again", "--yes").out == "There is nothing to withdraw.\n"
    assert _there(stage) == _narinfos(TOOL, OTHER)


def test_a_path_that_was_built_anew_is_shown_as_that(stage: Stage, run: Run) -> None:
    """Whoever repeats a command may not mean it."""
    run("withdraw", OTHER.hash_part, "--yes")
    _publish(stage, OTHER, Hash(HashAlgorithm.SHA256, bytes([1] * 32)))
    assert run("withdraw", OTHER.hash_part).out.startswith("published anew, with another NarHash")


def test_the_cdn_forgets_what_was_withdrawn(stage: Stage, run: Run) -> None:
    run("withdraw", OTHER.hash_part, "--yes")
    assert _invalidated(stage) == [_cdn_paths(OTHER)]


def test_the_cdn_forgets_though_a_deletion_fails(stage: Stage, run: Run, requests: _Requests) -> None:
    """And the next run has it forget what the first had deleted, too: that may have ended before it got so far."""

    def refuse(line: str) -> None:
        if line == f"DeleteObject {TOOL.hash_part}.narinfo":
            raise _refused("DeleteObject")

    requests.before = refuse
    assert run("withdraw", LIB.hash_part, "--yes").code == 4
    assert _there(stage) == _narinfos(LIB, TOOL, OTHER)
    assert _invalidated(stage) == [_cdn_paths(LIB, APP, TOOL)]
    requests.before = lambda _: None
    assert run("withdraw", LIB.hash_part, "--yes").code == 0
    assert sorted(_invalidated(stage)[-1]) == sorted(_cdn_paths(LIB, TOOL, APP))
    assert _there(stage) == _narinfos(OTHER)


def test_a_malformed_narinfo_is_withdrawn_and_restored(stage: Stage, run: Run) -> None:
    """It has no NarHash that could be refused, so it leaves a trace."""
    s3, cache = stage.session.client("s3"), stage[Output.CACHE_BUCKET]
    key = str(CacheNarInfoKey(OTHER.hash_part))
    s3.put_object(Bucket=cache, Key=key, Body=b"StorePath: none\n")
    ended = run("withdraw", OTHER.hash_part)
    assert (ended.code, ended.out.splitlines()[0]) == (1, f"malformed: {OTHER.hash_part}")
    assert run("withdraw", OTHER.hash_part, "--yes").code == 0
    assert _there(stage) == _narinfos(LIB, TOOL, APP)
    assert _withdrawn(stage).names(OTHER.hash_part)
    assert run("withdraw", OTHER.hash_part).code == 0
    assert run("restore", OTHER.hash_part).code == 0
    assert _there(stage) == _narinfos(LIB, TOOL, APP, OTHER)


def test_stray_keys_are_named_and_passed_over(stage: Stage, run: Run) -> None:
    strays = {"foo.narinfo", ".narinfo", f"log/{'a' * 32}.narinfo", f"{'e' * 32}.narinfo"}
    for key in strays:
        stage.session.client("s3").put_object(Bucket=stage[Output.CACHE_BUCKET], Key=key, Body=b"")
    ended = run("withdraw", OTHER.hash_part, "--yes")
    assert ended.code == 0
    assert all(f"skipped {key!r}" in ended.err for key in strays)
    assert _there(stage) == _narinfos(LIB, TOOL, APP) | strays


def test_traces_are_forgotten_and_refusals_are_not(stage: Stage, run: Run) -> None:
    """A trace matters for minutes; the list is read by each container."""
    long_ago = datetime.now(UTC) - timedelta(days=2)
    old = Withdrawn((Entry(TOOL.hash_part, None, long_ago), Entry(LIB.hash_part, HASH, long_ago)))
    s3 = stage.session.client("s3")
    s3.put_object(Bucket=stage[Output.LEDGER_BUCKET], Key=WITHDRAWN_KEY, Body=old.to_json())
    run("withdraw", OTHER.hash_part, "--yes")
    withdrawn = _withdrawn(stage)
    assert not withdrawn.names(TOOL.hash_part)
    assert withdrawn.refuses(LIB.hash_part, HASH)


def _refused(operation: str) -> ClientError:
    return ClientError({"Error": {"Code": "AccessDenied", "Message": "injected"}}, operation)
