"""Quorums, over the wire: I1 (nothing is signed before enough builders agree), I3, I6 and I8."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.aws import Aws
from nixcache.content_address import ContentAddress, ContentAddressMethod
from nixcache.store_path import StorePath
from protocol.keys import BuilderName, NarFile, ResultKey, StagingNarInfoKey, StagingNarKey, VoteKey
from protocol.policy import BuilderRules, QuorumRule, SubmissionPolicy
from protocol.verdicts import Against, AwaitingQuorum, Conflict, Duplicate, Published, Rejected, Verdict, Waiting
from protocol.wake import render
from tests.ingest.requests_log import Killed, Once, RequestsLog, die
from tests.ingest.store_objects import Builder, StoreObject, derivation
from tests.ingest.world import ALICE, BOB, CAROL, KEY, World, connect, sqs_event

PUBLISHED = Published((KEY.name,))
DAVE = BuilderName("dave")
ALL = (ALICE, BOB, CAROL, DAVE)
LATER = timedelta(days=8)


def _policy(need: int = 2, **groups: str) -> SubmissionPolicy:
    """Return the policy that ``need`` groups must agree on everything; ``groups`` of builders that share one."""
    rules = {name: BuilderRules(trust_group=groups.get(str(name), str(name)), max_nar_size=1024**3) for name in ALL}
    return SubmissionPolicy(rules, (QuorumRule(("*",), need),))


@pytest.fixture
def world(aws: Aws) -> World:
    return World(aws, policy=_policy())


def _vote(world: World, builder: BuilderName, thing: StoreObject) -> Verdict:
    """Submit and run all that follows; return the verdict of ``builder``."""
    world.submit(thing, builder)
    world.run()
    return world.verdict(thing.path, builder)


def _verdicts(world: World, path: StorePath, *builders: BuilderName) -> list[Verdict]:
    return [world.verdict(path, builder) for builder in builders]


def _against_vote(standing: StoreObject, submitted: StoreObject) -> Conflict:
    return Conflict(standing.narinfo.nar_hash, submitted.narinfo.nar_hash, Against.VOTE)


def _votes(world: World) -> list[str]:
    return world.keys(world.settings.ledger_bucket, "votes/")


def _leaves_nothing_behind(world: World) -> None:
    assert world.keys(world.settings.ledger_bucket, "waiting/") == []
    world.check_cache()


def test_one_of_two_is_proven_and_not_signed(world: World, builder: Builder) -> None:
    """I1: the key is not even read, and nothing of it is in the cache bucket, the NAR neither."""
    leaf = builder.build("leaf")
    clients = connect(world.aws)
    log = RequestsLog(clients)
    world.submit(leaf)
    world.run(world.container(clients))
    assert world.verdict(leaf.path) == AwaitingQuorum(1, 2)
    assert {"GetSecretValue", "CopyObject"}.isdisjoint(log.operations)
    assert world.keys(world.settings.cache_bucket) == []
    assert _votes(world) == [str(VoteKey(leaf.path.hash_part, ALICE))]


def test_requests_of_a_quorum_of_two(world: World, builder: Builder) -> None:
    """What it costs: twelve for the first; for the second four more than for a leaf that somebody waits for."""
    leaf = builder.build("leaf")
    clients = connect(world.aws)
    log = RequestsLog(clients)
    container = world.container(clients)

    def requests(name: BuilderName) -> list[str]:
        world.submit(leaf, name)
        (message,) = world.take_messages()
        log.operations.clear()
        assert container(sqs_event(message)) == []
        return log.operations

    assert requests(ALICE) == [
        *["GetObject", "GetObject", "GetObject"],  # narinfo, is it published, once a container: what is withdrawn
        "GetObject",  # NAR
        *["PutObject", "ListObjectsV2", "GetObject"],  # the vote, all votes, each
        *["PutObject", "PutObject", "PutObject"],  # announcement, marker, result
        *["ListObjectsV2", "GetObject", "GetObject"],  # the second look: all votes, each, and is it published
    ]
    assert requests(BOB) == [
        *["GetObject", "GetObject", "GetObject"],
        *["PutObject", "ListObjectsV2", "GetObject", "GetObject"],
        *["GetSecretValue", "PutObject"],  # once a container: key, nix-cache-info
        *["CopyObject", "PutObject", "PutObject"],  # narinfo, listing
        *["PutObject", "GetObject", "PutObject", "PutObject"],  # provenance over the announcement; result
        *["ListObjectsV2", "SendMessageBatch", "DeleteObjects"],
    ]


def test_what_is_not_proven_is_no_vote(world: World, builder: Builder) -> None:
    """I1: a vote is cast after the whole verification, so no number of liars makes a quorum."""
    leaf = builder.build("leaf")
    lie = leaf.claiming(nar_hash=builder.build("other").narinfo.nar_hash)
    for name in ALL:
        verdict = _vote(world, name, lie)
        assert isinstance(verdict, Rejected)
        assert verdict.code == "nar-hash-mismatch"
    assert _votes(world) == []
    assert world.keys(world.settings.cache_bucket) == []


@pytest.mark.parametrize(("first", "second"), [(ALICE, BOB), (BOB, ALICE)], ids=str)
def test_two_of_two(world: World, builder: Builder, first: BuilderName, second: BuilderName) -> None:
    """The second publishes, and the first is woken: its builder reads that the path is there."""
    leaf = builder.build("leaf")
    assert _vote(world, first, leaf) == AwaitingQuorum(1, 2)
    assert _vote(world, second, leaf) == PUBLISHED
    assert world.verdict(leaf.path, first) == Duplicate()
    _leaves_nothing_behind(world)


def test_three_of_three_and_all_see_how_many_they_are(aws: Aws, builder: Builder) -> None:
    world = World(aws, policy=_policy(3))
    leaf = builder.build("leaf")
    assert _vote(world, ALICE, leaf) == AwaitingQuorum(1, 3)
    assert _vote(world, BOB, leaf) == AwaitingQuorum(2, 3)
    assert world.verdict(leaf.path, ALICE) == AwaitingQuorum(2, 3)
    assert world.keys(world.settings.cache_bucket) == []
    assert _vote(world, CAROL, leaf) == PUBLISHED
    assert _verdicts(world, leaf.path, ALICE, BOB) == [Duplicate(), Duplicate()]
    _leaves_nothing_behind(world)


def test_builders_of_one_trust_group_count_once(aws: Aws, builder: Builder) -> None:
    """Whoever takes over one of them has taken over all."""
    world = World(aws, policy=_policy(alice="ci", bob="ci", carol="ci"))
    leaf = builder.build("leaf")
    for name in (ALICE, BOB, CAROL):
        assert _vote(world, name, leaf) == AwaitingQuorum(1, 2)
    assert world.keys(world.settings.cache_bucket) == []
    assert _vote(world, DAVE, leaf) == PUBLISHED
    assert _verdicts(world, leaf.path, ALICE, BOB, CAROL) == [Duplicate()] * 3
    _leaves_nothing_behind(world)


def test_one_builder_votes_once_however_often_it_submits(world: World, builder: Builder) -> None:
    """By replay of an event, by the same upload again, compressed in another way, or under its own second name."""
    leaf = builder.build("leaf")
    version_id = world.submit(leaf)
    world.run()
    for _ in range(2):
        assert world.container()(sqs_event(world.event(leaf.path, version_id))) == []
    assert _vote(world, ALICE, leaf) == AwaitingQuorum(1, 2)
    assert _vote(world, ALICE, builder.build("leaf", compression=leaf.narinfo.compression.XZ)) == AwaitingQuorum(1, 2)
    world.upload(f"ALICE/{leaf.narinfo.url}", leaf.file)
    world.upload(f"ALICE/{leaf.path.hash_part}.narinfo", leaf.narinfo.render())
    world.run()
    assert _votes(world) == [str(VoteKey(leaf.path.hash_part, ALICE))]
    assert world.keys(world.settings.cache_bucket) == []


def test_a_builder_that_changes_its_mind_stands_on_one_side(world: World, builder: Builder) -> None:
    """I1: if its second vote counted, it would be everybody's second: of whoever came to agree with either object."""
    one, other = builder.build("leaf", text="one"), builder.build("leaf", text="other")
    _vote(world, ALICE, one)
    assert _vote(world, ALICE, other) == _against_vote(one, other)
    assert _vote(world, BOB, other) == _against_vote(one, other)
    assert world.keys(world.settings.cache_bucket) == []
    assert _vote(world, CAROL, other) == PUBLISHED
    # Its newest submission is what was published, though its vote was for another.
    assert _verdicts(world, one.path, ALICE, BOB) == [Duplicate(), Duplicate()]
    assert [vote["builder"] for vote in _counted(world, one.path)] == ["bob", "carol"]
    _leaves_nothing_behind(world)


def _counted(world: World, path: StorePath) -> Sequence[dict[str, object]]:
    """Return the votes that the provenance names."""
    quorum = world.provenance(path).predicate["quorum"]
    document = json.loads(json.dumps(quorum, default=dict))
    votes: list[dict[str, object]] = document["votes"]
    return votes


def test_a_disagreement_is_told_to_both_and_settled_by_a_third(world: World, builder: Builder) -> None:
    mine, theirs = builder.build("leaf", text="mine"), builder.build("leaf", text="theirs")
    assert _vote(world, ALICE, mine) == AwaitingQuorum(1, 2)
    assert _vote(world, BOB, theirs) == _against_vote(mine, theirs)
    assert world.verdict(mine.path, ALICE) == _against_vote(theirs, mine)
    assert world.keys(world.settings.cache_bucket) == []
    assert _vote(world, CAROL, mine) == PUBLISHED
    assert world.verdict(mine.path, ALICE) == Duplicate()
    assert world.verdict(mine.path, BOB) == Conflict(mine.narinfo.nar_hash, theirs.narinfo.nar_hash)
    assert world.result(mine.path, CAROL).disputed_by == (theirs.narinfo.nar_hash,)
    _leaves_nothing_behind(world)


def test_the_same_bytes_with_other_references_are_no_agreement(world: World, builder: Builder) -> None:
    """Whoever leaves references out would have everybody's closure torn, with an honest builder as witness."""
    top = builder.build("top", itself=True)
    torn = top.claiming(references=())
    assert _vote(world, ALICE, top) == AwaitingQuorum(1, 2)
    assert _vote(world, BOB, torn) == _against_vote(top, torn)
    assert world.verdict(top.path, ALICE) == _against_vote(torn, top)
    assert world.keys(world.settings.cache_bucket) == []


def test_how_the_file_is_compressed_is_no_disagreement(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    assert _vote(world, ALICE, leaf) == AwaitingQuorum(1, 2)
    assert _vote(world, BOB, builder.build("leaf", compression=leaf.narinfo.compression.XZ)) == PUBLISHED


def test_what_its_bytes_prove_needs_nobodys_word(world: World, builder: Builder) -> None:
    """Content-addressed paths and derivations: a quorum could only agree with the address."""
    for thing in (builder.build_addressed("addressed"), derivation("example")):
        assert _vote(world, ALICE, thing) == PUBLISHED
        assert world.provenance(thing.path).predicate["quorum"] is None
    assert _votes(world) == []


def test_a_content_address_that_is_not_proven_gets_around_no_quorum(world: World, builder: Builder) -> None:
    """I1: neither does a name that ends in .drv."""
    leaf = builder.build("leaf")
    named = derivation("leaf")
    for lie in (
        leaf.claiming(ca=ContentAddress(ContentAddressMethod.NAR, leaf.narinfo.nar_hash)),
        named.claiming(store_path=StorePath(leaf.path.hash_part, "leaf.drv")),
    ):
        verdict = _vote(world, ALICE, lie)
        assert isinstance(verdict, Rejected)
        assert verdict.code == "ca-mismatch"
    assert world.keys(world.settings.cache_bucket) == []


def test_only_names_that_a_rule_matches_need_it(aws: Aws, builder: Builder) -> None:
    policy = replace(_policy(), quorum=(QuorumRule(("linux-doc",), 1), QuorumRule(("linux-*", "openssl"), 2)))
    world = World(aws, policy=policy)
    for name in ("linux-doc", "Linux-6", "openssl-3"):
        assert _vote(world, ALICE, builder.build(name)) == PUBLISHED
    for name in ("linux-6", "openssl"):
        assert _vote(world, ALICE, builder.build(name)) == AwaitingQuorum(1, 2)


def test_nobody_votes_before_the_references_are_there(world: World, builder: Builder) -> None:
    """I4: what has its quorum is published at once, so it must not have it any earlier."""
    leaf = builder.build_addressed("leaf")
    top = builder.build("top", [leaf])
    assert _vote(world, ALICE, top) == Waiting((leaf.path,))
    assert _vote(world, BOB, top) == Waiting((leaf.path,))
    assert _votes(world) == []
    assert _vote(world, CAROL, leaf) == PUBLISHED
    assert set(map(str, _verdicts(world, top.path, ALICE, BOB))) == {str(PUBLISHED), str(Duplicate())}
    _leaves_nothing_behind(world)


def test_whoever_waits_for_a_path_is_woken_by_its_quorum_and_not_before(world: World, builder: Builder) -> None:
    leaf, top = builder.build("leaf"), builder.build("top", [builder.build("leaf")])
    assert _vote(world, CAROL, top) == Waiting((leaf.path,))
    _vote(world, ALICE, leaf)
    assert world.verdict(top.path, CAROL) == Waiting((leaf.path,))
    _vote(world, BOB, leaf)
    assert world.verdict(top.path, CAROL) == AwaitingQuorum(1, 2)


def _wake(world: World, path: StorePath, builder: BuilderName = ALICE) -> None:
    """Wake a submission as the sweeper does."""
    assert world.container()(sqs_event(render(StagingNarInfoKey(builder, path.hash_part)))) == []
    world.run()


def test_a_policy_that_asks_for_less_lets_go_of_who_waits(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    _vote(world, ALICE, leaf)
    world.policy = _policy(1)
    _wake(world, leaf.path)
    assert world.verdict(leaf.path) == PUBLISHED
    _leaves_nothing_behind(world)


def test_a_policy_that_asks_for_more_holds_for_votes_that_are_there(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    _vote(world, ALICE, leaf)
    world.policy = _policy(3)
    assert _vote(world, BOB, leaf) == AwaitingQuorum(2, 3)
    assert world.verdict(leaf.path, ALICE) == AwaitingQuorum(2, 3)
    assert _vote(world, CAROL, leaf) == PUBLISHED


@pytest.mark.parametrize("change", ["removed", "of one group"])
def test_votes_are_counted_by_the_policy_of_now(world: World, builder: Builder, change: str) -> None:
    """I1: the vote of a builder that was taken over, and therefore removed, must not count any more."""
    leaf = builder.build("leaf")
    _vote(world, ALICE, leaf)
    if change == "removed":
        rules = {name: rule for name, rule in world.policy.builders.items() if name != ALICE}
        world.policy = replace(world.policy, builders=rules)
    else:
        world.policy = _policy(alice="ci", bob="ci")
    assert _vote(world, BOB, leaf) == AwaitingQuorum(1, 2)
    assert world.keys(world.settings.cache_bucket) == []
    assert _vote(world, CAROL, leaf) == PUBLISHED


def test_a_last_voter_whose_nar_is_gone_leaves_the_publication_to_the_others(world: World, builder: Builder) -> None:
    """I6: they were told that one more is missing, and nobody else would come."""
    leaf = builder.build("leaf")
    _vote(world, ALICE, leaf)
    world.submit(leaf, BOB)
    (message,) = world.take_messages()
    clients = connect(world.aws)
    key = str(StagingNarKey(BOB, NarFile.parse_url(leaf.narinfo.url)))

    def expire() -> None:
        (version,) = world.admin.s3.list_object_versions(Bucket=world.settings.staging_bucket, Prefix=key)["Versions"]
        world.admin.s3.delete_object(Bucket=world.settings.staging_bucket, Key=key, VersionId=version["VersionId"])

    Once(clients, "CopyObject", "nar/", expire)
    assert world.container(clients)(sqs_event(message)) == []
    verdict = world.verdict(leaf.path, BOB)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "nar-missing"
    world.run()
    assert world.verdict(leaf.path, ALICE) == PUBLISHED
    assert [vote["builder"] for vote in _counted(world, leaf.path)] == ["alice", "bob"]
    _leaves_nothing_behind(world)


def test_of_two_quorums_the_first_publication_stays(world: World, builder: Builder) -> None:
    """I3: both objects have enough builders behind them, and both are about to be published."""
    mine, theirs = builder.build("leaf", text="mine"), builder.build("leaf", text="theirs")
    _vote(world, ALICE, mine)
    _vote(world, CAROL, theirs)
    world.submit(mine, BOB)
    (message,) = world.take_messages()
    clients = connect(world.aws)

    def win() -> None:
        assert _vote(world, DAVE, theirs) == PUBLISHED

    Once(clients, "PutObject", f"{mine.path.hash_part}.narinfo", win)
    assert world.container(clients)(sqs_event(message)) == []
    world.run()
    lost = Conflict(theirs.narinfo.nar_hash, mine.narinfo.nar_hash)
    assert _verdicts(world, mine.path, ALICE, BOB, CAROL) == [lost, lost, Duplicate()]
    assert world.result(mine.path, DAVE).disputed_by == (mine.narinfo.nar_hash,)
    assert [vote["builder"] for vote in _counted(world, mine.path)] == ["carol", "dave"]
    _leaves_nothing_behind(world)


def test_whoever_waited_long_enough_is_told_and_revived_by_submitting_again(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    _vote(world, ALICE, leaf)
    world.now = lambda: datetime.now(UTC) + LATER
    _wake(world, leaf.path)
    verdict = world.verdict(leaf.path)
    assert isinstance(verdict, Rejected)
    assert (verdict.code, verdict.field) == ("quorum-missing", "StorePath")
    assert "2 trust groups" in verdict.problem
    world.now = lambda: datetime.now(UTC)
    assert _vote(world, ALICE, leaf) == AwaitingQuorum(1, 2)
    assert _vote(world, BOB, leaf) == PUBLISHED
    assert world.verdict(leaf.path) == Duplicate()
    _leaves_nothing_behind(world)


def test_a_vote_counts_after_its_builder_has_waited_in_vain(world: World, builder: Builder) -> None:
    """I6: and its builder reads that the path is there after all."""
    leaf = builder.build("leaf")
    _vote(world, ALICE, leaf)
    world.now = lambda: datetime.now(UTC) + LATER
    _wake(world, leaf.path)
    world.now = lambda: datetime.now(UTC)
    assert _vote(world, BOB, leaf) == PUBLISHED
    assert world.verdict(leaf.path) == Duplicate()


def test_who_is_contradicted_and_waited_long_enough_still_reads_why(world: World, builder: Builder) -> None:
    mine, theirs = builder.build("leaf", text="mine"), builder.build("leaf", text="theirs")
    _vote(world, ALICE, mine)
    _vote(world, BOB, theirs)
    world.now = lambda: datetime.now(UTC) + LATER
    _wake(world, mine.path)
    assert world.verdict(mine.path) == _against_vote(theirs, mine)


def test_provenance_names_who_agreed(aws: Aws, builder: Builder) -> None:
    world = World(aws, policy=_policy(alice="ci"))
    one, other = builder.build("leaf", text="one"), builder.build("leaf", text="other")
    version_ids = [world.submit(thing, name) for name, thing in ((ALICE, one), (CAROL, other), (BOB, one))]
    world.run()
    predicate = world.provenance(one.path).predicate
    votes = _counted(world, one.path)
    assert [(vote["builder"], vote["trustGroup"]) for vote in votes] == [("alice", "ci"), ("bob", "bob")]
    assert [vote["submission"] for vote in votes] == [
        {"key": f"{name}/{one.path.hash_part}.narinfo", "versionId": version_ids[position]}
        for name, position in (("alice", 0), ("bob", 2))
    ]
    assert predicate["builder"] == "bob"


def test_provenance_that_a_crash_left_out_names_them_too(world: World, builder: Builder) -> None:
    """I6."""
    leaf = builder.build("leaf")
    _vote(world, ALICE, leaf)
    version_id = world.submit(leaf, BOB)
    world.take_messages()
    event = sqs_event(world.event(leaf.path, version_id, BOB))
    clients = connect(world.aws)
    Once(clients, "PutObject", "provenance/", die)
    with pytest.raises(Killed):
        world.container(clients)(event)
    assert world.published(leaf.path) is not None
    assert world.container()(event) == []
    world.run()
    assert [vote["builder"] for vote in _counted(world, leaf.path)] == ["alice", "bob"]
    assert _verdicts(world, leaf.path, ALICE, BOB) == [Duplicate(), PUBLISHED]


def test_voters_learn_nothing_of_one_another(world: World, builder: Builder) -> None:
    """I8."""
    mine, theirs = builder.build("leaf", text="mine"), builder.build("leaf", text="theirs")
    _vote(world, ALICE, mine)
    _vote(world, BOB, theirs)
    for reader, other in ((ALICE, b"bob"), (BOB, b"alice")):
        key = str(ResultKey(reader, mine.path.hash_part))
        document = world.admin.s3.get_object(Bucket=world.settings.ledger_bucket, Key=key)["Body"].read()
        assert other not in document


MOMENTS = (3, 5, 8, 12)
"""Some of a waiting voter's requests: the vote; a look at all votes; the result; another look.

Every moment, and what comes of it, is tried in memory (tests/concurrency/test_races.py); here moto judges the requests.
"""


def _interleave(world: World, moment: int, first: StoreObject, second: StoreObject) -> None:
    """Have Alice vote for ``first``; right before her request ``moment``, Bob votes for ``second``, start to end."""
    world.submit(first)
    (mine,) = world.take_messages()
    world.submit(second, BOB)
    (theirs,) = world.take_messages()
    clients = connect(world.aws)
    container = world.container()
    delivered: list[str] = []

    def deliver(number: int, _: str) -> None:
        if number == moment:
            delivered.append(theirs)
            assert container(sqs_event(theirs)) == []
            world.run(container)

    RequestsLog(clients, before=deliver)
    assert world.container(clients)(sqs_event(mine)) == []
    if not delivered:
        deliver(moment, "")
    world.run(container)


def test_two_that_agree_at_the_same_time(world: World, builder: Builder) -> None:
    """I6: whichever way their requests interleave, one of them sees that they are enough."""
    for moment in MOMENTS:
        leaf = builder.build(f"leaf-{moment}")
        _interleave(world, moment, leaf, leaf)
        verdicts = _verdicts(world, leaf.path, ALICE, BOB)
        assert sorted(verdicts, key=str) == [Duplicate(), PUBLISHED], moment
    _leaves_nothing_behind(world)


def test_two_that_disagree_at_the_same_time(world: World, builder: Builder) -> None:
    """I6: each of them is told of the other."""
    for moment in MOMENTS:
        mine, theirs = builder.build(f"leaf-{moment}", text="mine"), builder.build(f"leaf-{moment}", text="theirs")
        _interleave(world, moment, mine, theirs)
        expected = [_against_vote(theirs, mine), _against_vote(mine, theirs)]
        assert _verdicts(world, mine.path, ALICE, BOB) == expected, moment
    assert world.keys(world.settings.cache_bucket) == []


def test_two_of_three_at_the_same_time(aws: Aws, builder: Builder) -> None:
    """I6: both read how many they are, and the third completes them."""
    world = World(aws, policy=_policy(3))
    for moment in MOMENTS:
        leaf = builder.build(f"leaf-{moment}")
        _interleave(world, moment, leaf, leaf)
        assert _verdicts(world, leaf.path, ALICE, BOB) == [AwaitingQuorum(2, 3)] * 2, moment
    assert world.keys(world.settings.cache_bucket) == []


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"[]", b'{"schema": 2}', "another's"],
    ids=["empty", "object", "list", "another schema", "another's vote"],
)
def test_a_vote_that_somebody_damaged_is_not_guessed_at(world: World, builder: Builder, damage: bytes | str) -> None:
    """It counts for nobody, and no submission is blamed: the operator is told, and may delete it."""
    leaf = builder.build("leaf")
    _vote(world, ALICE, leaf)
    s3, ledger, key = world.admin.s3, world.settings.ledger_bucket, str(VoteKey(leaf.path.hash_part, ALICE))
    vote = s3.get_object(Bucket=ledger, Key=key)["Body"].read()
    wrong = vote.replace(b"alice/", b"carol/") if isinstance(damage, str) else damage
    s3.put_object(Bucket=ledger, Key=key, Body=wrong)
    world.submit(leaf, BOB)
    messages = world.take_messages()
    assert world.container()(sqs_event(*messages)) == messages
    assert world.keys(world.settings.cache_bucket) == []
    assert world.keys(ledger, f"results/{BOB}/") == []
    s3.put_object(Bucket=ledger, Key=key, Body=vote)
    assert world.container()(sqs_event(*messages)) == []
    world.run()
    assert _verdicts(world, leaf.path, ALICE, BOB) == [Duplicate(), PUBLISHED]


def test_what_is_no_vote_among_the_votes_is_blamed_on_nobody(world: World, builder: Builder) -> None:
    leaf = builder.build("leaf")
    world.admin.s3.put_object(
        Bucket=world.settings.ledger_bucket, Key=f"{VoteKey.prefix(leaf.path.hash_part)}README", Body=b""
    )
    world.submit(leaf)
    messages = world.take_messages()
    assert world.container()(sqs_event(*messages)) == messages
    assert world.keys(world.settings.ledger_bucket, "results/") == []
