"""The submission policy: what it says, how it is written, and which nonsense it refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.compression import READABLE, Compression
from nixcache.errors import PermanentError
from nixcache.store_path import StorePath
from protocol.keys import BuilderName
from protocol.policy import (
    LARGEST_NAR_SIZE,
    MAX_PATTERN_LENGTH,
    BuilderRules,
    PolicyCode,
    QuorumRule,
    SubmissionPolicy,
)
from tests.nixcache.strategies import NAME_ALPHABET, store_paths

ALICE, BOB, CI = BuilderName("alice"), BuilderName("bob"), BuilderName("ci")
LIMIT = 1000
OPEN = SubmissionPolicy.open_to((BOB, ALICE, CI), LIMIT)
ALL_RULES = {
    "trustGroup": "ours",
    "names": ["lib*", "hello-?"],
    "maxNarSize": 999,
    "compressions": ["zstd", "none"],
    "inputAddressed": False,
}


def path(name: str) -> StorePath:
    return StorePath.from_base_name(f"{'0' * 32}-{name}")


def read(builders: object, quorum: object = ()) -> SubmissionPolicy:
    """Read what an operator writes, for a deployment with Alice, Bob and CI."""
    quorum = list(quorum) if isinstance(quorum, tuple) else quorum
    return SubmissionPolicy.from_document({"builders": builders, "quorum": quorum}, defaults=OPEN)


def refusal(builders: object, quorum: object = ()) -> PermanentError:
    with pytest.raises(PermanentError) as caught:
        read(builders, quorum)
    assert caught.value.code is PolicyCode.POLICY_MALFORMED
    assert len(str(caught.value).splitlines()) == 1
    return caught.value


def test_without_rules_everybody_may_submit_everything_and_stands_alone() -> None:
    for builder in (ALICE, BOB, CI):
        rules = OPEN.rules(builder)
        assert rules == BuilderRules(trust_group=str(builder), max_nar_size=LIMIT)
        assert (rules.names, rules.compressions, rules.input_addressed) == (("*",), frozenset(READABLE), True)
    assert OPEN.quorum_for(path("hello")) == 1
    assert read({}) == OPEN


def test_who_is_no_builder_of_the_deployment_may_submit_nothing() -> None:
    """I8: a prefix that somebody else's rights let them write to."""
    assert OPEN.rules(BuilderName("mallory")) is None


def test_a_rule_that_is_given_replaces_the_default_and_no_other() -> None:
    everything = BuilderRules(trust_group="alice", max_nar_size=LIMIT)
    given_one_by_one: dict[str, BuilderRules] = {
        "trustGroup": replace(everything, trust_group="ours"),
        "names": replace(everything, names=("lib*", "hello-?")),
        "maxNarSize": replace(everything, max_nar_size=999),
        "compressions": replace(everything, compressions=frozenset({Compression.ZSTD, Compression.NONE})),
        "inputAddressed": replace(everything, input_addressed=False),
    }
    for field, expected in given_one_by_one.items():
        policy = read({"alice": {field: ALL_RULES[field]}})
        assert policy.rules(ALICE) == expected
        assert (policy.rules(BOB), policy.rules(CI)) == (OPEN.rules(BOB), OPEN.rules(CI))
    assert read({"alice": {}}) == OPEN


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["a", "hello-2.12.1"], []),
        ("linux-*", ["linux-", "linux-6.1"], ["linux", "Linux-6.1", "my-linux-6.1"]),
        ("*.drv", ["x.drv"], ["x.drv2", "x.DRV"]),
        ("lib?", ["lib1", "lib?"], ["lib", "lib12"]),
        ("a[?]", ["a?"], ["ab"]),
        ("gcc-1[0-3]", ["gcc-10", "gcc-13"], ["gcc-14", "gcc-1"]),
        ("x[!0-9_-]", ["xa", "x."], ["x1", "x_", "x-", "x"]),
        ("a.b+c", ["a.b+c"], ["axb+c", "a.bbc"]),
        ("a**b", ["ab", "a-b"], ["a"]),
    ],
)
def test_patterns(pattern: str, matching: list[str], others: list[str]) -> None:
    rules = read({"alice": {"names": ["nothing-else", pattern]}}).rules(ALICE)
    assert rules is not None
    assert [name for name in matching if not rules.allows_name(path(name))] == []
    assert [name for name in others if rules.allows_name(path(name))] == []


def test_the_first_quorum_rule_that_matches_decides() -> None:
    policy = read(
        {},
        (
            {"names": ["linux-doc-*", "x"], "builders": 1},
            {"names": ["linux-*", "openssl-*"], "builders": 2},
            {"names": ["*"], "builders": 3},
        ),
    )
    names = ["linux-doc-6.1", "x", "linux-6.1", "openssl-3", "hello"]
    assert [policy.quorum_for(path(name)) for name in names] == [1, 1, 2, 2, 3]


LONG = "a" * MAX_PATTERN_LENGTH


@pytest.mark.parametrize(
    ("builders", "field", "problem"),
    [
        ([], "builders", "is [], not an object"),
        ({"mallory": {}}, "builders.mallory", "no builder of this deployment has this name; there are alice, bob, ci"),
        ({"Alice": {}}, "builders.Alice", "no builder"),
        ({"a\nb": {}}, "builders.'a\\nb'", "no builder"),
        ({"alice": None}, "builders.alice", "is missing"),
        ({"alice": "*"}, "builders.alice", "is '*', not an object"),
        ({"alice": {"name": ["*"]}}, "builders.alice.name", "is no field that Assay knows"),
        ({"alice": {"trustGroup": "Ours"}}, "builders.alice.trustGroup", "'Ours' cannot name a trust group"),
        ({"alice": {"trustGroup": ""}}, "builders.alice.trustGroup", "'' cannot name a trust group"),
        ({"alice": {"trustGroup": 5}}, "builders.alice.trustGroup", "is 5, not a text"),
        ({"alice": {"trustGroup": None}}, "builders.alice.trustGroup", "is missing"),
        ({"alice": {"names": []}}, "builders.alice.names", "is missing or empty"),
        ({"alice": {"names": None}}, "builders.alice.names", "is None, not a list"),
        ({"alice": {"names": "*"}}, "builders.alice.names", "is '*', not a list"),
        ({"alice": {"names": ["a", 5]}}, "builders.alice.names[1]", "is 5, not a text"),
        ({"alice": {"names": [""]}}, "builders.alice.names[0]", "'' matches no name"),
        ({"alice": {"names": ["a", "b", "a"]}}, "builders.alice.names[2]", "'a' is there twice"),
        ({"alice": {"names": [LONG, LONG + "a"]}}, "builders.alice.names[1]", "has 257 characters; 256 are allowed"),
        ({"alice": {"names": [f"{n}" for n in range(65)]}}, "builders.alice.names", "has 65 patterns; 64 are allowed"),
        ({"alice": {"maxNarSize": 1001}}, "builders.alice.maxNarSize", "is 1001, not a number of bytes from 1 to 1000"),
        ({"alice": {"maxNarSize": 0}}, "builders.alice.maxNarSize", "is 0, not a number"),
        ({"alice": {"maxNarSize": True}}, "builders.alice.maxNarSize", "is True, not a number"),
        ({"alice": {"maxNarSize": 1e2}}, "builders.alice.maxNarSize", "is 100.0, not a number"),
        ({"alice": {"compressions": []}}, "builders.alice.compressions", "is empty"),
        ({"alice": {"compressions": "zstd"}}, "builders.alice.compressions", "is 'zstd', not a list"),
        ({"alice": {"compressions": ["zstd", "lz4"]}}, "builders.alice.compressions[1]", "'lz4' is no compression"),
        ({"alice": {"compressions": ["xz", "xz"]}}, "builders.alice.compressions[1]", "'xz' is there twice"),
        ({"alice": {"compressions": [["xz"]]}}, "builders.alice.compressions[0]", "is ['xz'], not a text"),
        ({"alice": {"inputAddressed": "false"}}, "builders.alice.inputAddressed", "is 'false', not true or false"),
        ({"alice": {"inputAddressed": 0}}, "builders.alice.inputAddressed", "is 0, not true or false"),
        ({"alice": {"inputAddressed": None}}, "builders.alice.inputAddressed", "is missing"),
    ],
)
def test_wrong_rules_of_a_builder_are_named(builders: object, field: str, problem: str) -> None:
    error = refusal(builders)
    assert error.field == field
    assert error.problem.startswith(problem)


@pytest.mark.parametrize(
    "pattern",
    ["a b", "a/b", "a\n", "ä", "a{b,c}", "[abc", "abc]", "[]", "[!]", "[^a]", "[a*]", "[--a]", "[a-c-e]", "\\*", "٣"],
)
def test_a_pattern_that_can_match_no_name_or_means_another_thing_elsewhere_is_refused(pattern: str) -> None:
    """A rule that silently matches nothing leaves open what its author believes closed."""
    error = refusal({}, ({"names": [pattern], "builders": 2},))
    assert (error.field, error.problem.partition(";")[0]) == ("quorum[0].names[0]", f"{pattern!r} matches no name")


def test_an_empty_range_is_refused() -> None:
    error = refusal({}, ({"names": ["[a-cz-x]"], "builders": 2},))
    assert error.problem == "'[a-cz-x]' has the range z-x, which is empty"


@pytest.mark.parametrize(
    ("quorum", "field", "problem"),
    [
        ({}, "quorum", "is {}, not a list"),
        (["linux-*"], "quorum[0]", "is 'linux-*', not an object"),
        ([{"builders": 2}], "quorum[0].names", "is missing or empty"),
        ([{"names": [], "builders": 2}], "quorum[0].names", "is missing or empty"),
        ([{"names": ["a"]}], "quorum[0].builders", "is missing"),
        ([{"names": ["a"], "builders": 0}], "quorum[0].builders", "is 0, not a number of trust groups from 1 to 64"),
        ([{"names": ["a"], "builders": True}], "quorum[0].builders", "is True, not a number"),
        ([{"names": ["a"], "builders": 65}], "quorum[0].builders", "is 65, not a number"),
        ([{"names": ["a"], "builders": 2, "of": 3}], "quorum[0].of", "is no field"),
        (
            [{"names": ["a"], "builders": 2}, {"names": ["b"], "builders": 4}],
            "quorum[1].builders",
            "4 trust groups can never agree: the builders that may submit input-addressed paths are in 3",
        ),
        (
            [{"names": ["a", "*"], "builders": 2}, {"names": ["b"], "builders": 3}],
            "quorum[1].names[0]",
            "is never reached: '*' in quorum[0] decides before it",
        ),
        (
            [{"names": ["***"], "builders": 2}, {"names": ["b"], "builders": 3}],
            "quorum[1].names[0]",
            "is never reached: '*' in quorum[0] decides before it",
        ),
        (
            [
                {"names": ["x", "a*"], "builders": 2},
                {"names": ["y"], "builders": 2},
                {"names": ["z", "a**"], "builders": 2},
            ],
            "quorum[2].names[1]",
            "is never reached: 'a*' in quorum[0] decides before it",
        ),
        ([{"names": [f"n{n}"], "builders": 2} for n in range(65)], "quorum", "has 65 rules; 64 are allowed"),
    ],
)
def test_wrong_quorum_rules_are_named(quorum: object, field: str, problem: str) -> None:
    error = refusal({}, quorum)
    assert error.field == field
    assert error.problem.startswith(problem)


def test_builders_of_one_trust_group_are_one_voice() -> None:
    """I1: two builders of one owner must not be enough where two owners are asked for."""
    quorum = ({"names": ["*"], "builders": 2},)
    ours = {"trustGroup": "ours"}
    assert read({"alice": ours, "bob": ours}, quorum).quorum_for(path("x")) == 2
    # The group of a builder without `trustGroup` has the builder's name.
    assert read({"alice": {"trustGroup": "bob"}}, quorum).quorum_for(path("x")) == 2
    error = refusal({"alice": ours, "bob": ours, "ci": ours}, quorum)
    assert error.problem.endswith("are in 1 (ours)")
    assert refusal({"alice": {"trustGroup": "bob"}, "ci": {"trustGroup": "bob"}}, quorum).problem.endswith("1 (bob)")


def test_who_may_submit_content_addressed_paths_only_has_nothing_to_vote_on() -> None:
    addressed = {"inputAddressed": False}
    quorum = ({"names": ["*"], "builders": 3},)
    assert refusal({"alice": addressed}, quorum).problem.endswith("are in 2 (bob, ci)")
    everybody = dict.fromkeys(("alice", "bob", "ci"), addressed)
    assert refusal(everybody, quorum).problem.endswith("are in 0 (none)")
    assert read(everybody, ({"names": ["*"], "builders": 1},)).quorum_for(path("x")) == 1


@pytest.mark.parametrize("left", ["builders", "quorum"])
def test_a_document_that_was_cut_off_opens_nothing(left: str) -> None:
    whole: dict[str, object] = {"builders": {}, "quorum": []}
    del whole[left]
    with pytest.raises(PermanentError, match="is missing; write") as caught:
        SubmissionPolicy.from_document(whole, defaults=OPEN)
    assert caught.value.field == left


@pytest.mark.parametrize(
    "rules",
    [
        {"trust_group": "-"},
        {"names": ()},
        {"max_nar_size": 0},
        {"max_nar_size": LARGEST_NAR_SIZE + 1},
        {"compressions": frozenset()},
        {"compressions": frozenset({Compression.LZ4})},
    ],
)
def test_no_program_makes_what_no_file_may_say(rules: dict[str, Any]) -> None:
    good = BuilderRules(trust_group="a", max_nar_size=5)
    with pytest.raises(PermanentError, match="policy-malformed"):
        SubmissionPolicy({ALICE: replace(good, **rules)})


def test_no_program_makes_a_quorum_of_nobody() -> None:
    with pytest.raises(PermanentError, match=r"quorum\[0\]\.builders"):
        replace(OPEN, quorum=(QuorumRule(("a",), 0),))


def test_a_policy_does_not_change() -> None:
    builders = {ALICE: BuilderRules(trust_group="alice", max_nar_size=5)}
    policy = SubmissionPolicy(builders)
    builders.clear()
    assert policy.rules(ALICE) is not None
    with pytest.raises(TypeError):
        policy.builders[BOB] = BuilderRules(trust_group="bob", max_nar_size=5)  # type: ignore[index]


GOLDEN = b"""{
 "builders": {
  "alice": {
   "trustGroup": "ours",
   "names": [
    "lib*",
    "hello-?"
   ],
   "maxNarSize": 999,
   "compressions": [
    "none",
    "zstd"
   ],
   "inputAddressed": false
  },
  "bob": {
   "trustGroup": "bob",
   "names": [
    "*"
   ],
   "maxNarSize": 1000,
   "compressions": [
    "br",
    "bzip2",
    "gzip",
    "none",
    "xz",
    "zstd"
   ],
   "inputAddressed": true
  }
 },
 "quorum": [
  {
   "names": [
    "linux-*"
   ],
   "builders": 1
  }
 ]
}
"""


def test_the_canonical_document() -> None:
    defaults = SubmissionPolicy.open_to((BOB, ALICE), LIMIT)
    document = {"quorum": [{"builders": 1, "names": ["linux-*"]}], "builders": {"alice": ALL_RULES}}
    policy = SubmissionPolicy.from_document(document, defaults=defaults)
    assert policy.to_json() == GOLDEN
    assert SubmissionPolicy.from_json(GOLDEN) == policy


def _without(path: str) -> bytes:
    document = json.loads(GOLDEN)
    *parents, last = path.split(".")
    target = document
    for parent in parents:
        target = target[int(parent)] if parent.isdigit() else target[parent]
    del target[last]
    return json.dumps(document, indent=1).encode() + b"\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"{}",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"builders": 1' + b"0" * 5000 + b"}",
        GOLDEN[:-1],
        GOLDEN + b" ",
        GOLDEN[: len(GOLDEN) // 2],
        GOLDEN.replace(b'"bob": {', b'"alice": {'),
        GOLDEN.replace(b'"bob": {', b'"Bob": {'),
        GOLDEN.replace(b' "quorum"', b' "quorum": [],\n "quorum"'),
        GOLDEN.replace(b'"builders": 1', b'"builders": 1.0'),
        GOLDEN.replace(b'"builders": 1', b'"builders": 2'),
        GOLDEN.replace(b'"none",\n    "zstd"', b'"zstd",\n    "none"'),
        GOLDEN.replace(b"lib*", b"li\\u0062*"),
        *(_without(f"builders.alice.{field}") for field in ALL_RULES),
        *(_without(field) for field in ("builders", "quorum", "quorum.0.names", "quorum.0.builders")),
    ],
    ids=lambda data: repr(data[:30]),
)
def test_a_document_that_no_stack_wrote_is_refused(data: bytes) -> None:
    """What is left out has no default here: a rule that got lost must not open what it closed."""
    with pytest.raises(PermanentError) as caught:
        SubmissionPolicy.from_json(data)
    assert caught.value.code is PolicyCode.POLICY_MALFORMED
    assert len(str(caught.value).splitlines()) == 1


def patterns() -> st.SearchStrategy[str]:
    """Any pattern that the grammar allows, its sequences among a few."""
    parts = st.sampled_from([*NAME_ALPHABET, "*", "[a-z]", "[!0-9-]", "[?_]"])
    return st.lists(parts, min_size=1, max_size=8).map("".join)


def distinct_patterns() -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(patterns(), min_size=1, max_size=4, unique=True).map(tuple)


def builder_names() -> st.SearchStrategy[BuilderName]:
    return st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\Z").map(BuilderName)


def policies() -> st.SearchStrategy[SubmissionPolicy]:
    """Any policy, with quorum rules that its builders can fulfil."""
    rules = st.builds(
        BuilderRules,
        trust_group=builder_names().map(str),
        names=distinct_patterns(),
        max_nar_size=st.integers(1, LARGEST_NAR_SIZE),
        compressions=st.frozensets(st.sampled_from(READABLE), min_size=1),
        input_addressed=st.booleans(),
    )

    def with_quorum(builders: dict[BuilderName, BuilderRules]) -> st.SearchStrategy[SubmissionPolicy]:
        voters = len({rule.trust_group for rule in builders.values() if rule.input_addressed})
        # Names that begin with the rule's position: no rule hides another.
        quorum = st.lists(st.tuples(distinct_patterns(), st.integers(1, max(1, voters))), max_size=4)
        return quorum.map(
            lambda rules: SubmissionPolicy(
                builders,
                tuple(
                    QuorumRule(tuple(f"{position}{name}" for name in names), number)
                    for position, (names, number) in enumerate(rules)
                ),
            )
        )

    return st.dictionaries(builder_names(), rules, max_size=4).flatmap(with_quorum)


@given(policies())
def test_a_policy_survives_its_document(policy: SubmissionPolicy) -> None:
    data = policy.to_json()
    assert SubmissionPolicy.from_json(data) == policy
    assert SubmissionPolicy.from_json(data).to_json() == data


@given(policies(), store_paths())
def test_the_quorum_of_any_path_can_be_reached(policy: SubmissionPolicy, store_path: StorePath) -> None:
    """I6: a submission that waits for more groups than there are would wait for good."""
    voters = {rules.trust_group for rules in policy.builders.values() if rules.input_addressed}
    assert 1 <= policy.quorum_for(store_path) <= max(1, len(voters))


def naive_match(pattern: str, name: str) -> bool:
    """Match as the reference says, one character after another."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(naive_match(pattern[1:], name[n:]) for n in range(len(name) + 1))
    if not name:
        return False
    if pattern[0] == "?":
        return naive_match(pattern[1:], name[1:])
    if pattern[0] != "[":
        return pattern[0] == name[0] and naive_match(pattern[1:], name[1:])
    sequence, _, rest = pattern[1:].partition("]")
    negated = sequence.startswith("!")
    listed = sequence.removeprefix("!")
    members = {"-"} if listed.endswith("-") else set()
    for n, character in enumerate(listed.removesuffix("-")):
        last = listed[n + 2] if listed[n + 1 : n + 2] == "-" and n + 2 < len(listed) else character
        members |= {chr(code) for code in range(ord(character), ord(last) + 1)} if character != "-" else set()
    return (name[0] in members) != negated and naive_match(rest, name[1:])


@given(
    st.lists(
        st.sampled_from([*"ab.*?-", "[a-c]", "[!a]", "[?b]", "[!.-]", "[a-bz-]", "[+-9]"]), min_size=1, max_size=6
    ),
    st.text("abcz-?.5", max_size=6).map(lambda end: f"a{end}"),
)
def test_patterns_match_what_the_reference_says(parts: list[str], name: str) -> None:
    pattern = "".join(parts)
    rules = read({"alice": {"names": [pattern]}}).rules(ALICE)
    assert rules is not None
    assert rules.allows_name(path(name)) == naive_match(pattern, name)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["alice", "*", "xz"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["builders", "quorum", "alice", "names", "trustGroup", "compressions", "maxNarSize", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


def check(error: PermanentError) -> None:
    assert error.code is PolicyCode.POLICY_MALFORMED
    assert len(str(error).splitlines()) == 1
    assert len(str(error)) < 1000


@given(st.fixed_dictionaries({"builders": JSON, "quorum": JSON}) | JSON)
def test_any_document_is_a_policy_or_an_error_with_a_place(document: object) -> None:
    """The fuzz contract."""
    try:
        policy = SubmissionPolicy.from_document(document, defaults=OPEN)
    except PermanentError as error:
        check(error)
    else:
        assert SubmissionPolicy.from_json(policy.to_json()) == policy


@given(st.binary(max_size=200) | JSON.map(lambda document: json.dumps(document).encode()))
def test_any_bytes_are_a_policy_or_an_error(data: bytes) -> None:
    """The fuzz contract."""
    try:
        assert SubmissionPolicy.from_json(data).to_json() == data
    except PermanentError as error:
        check(error)
