"""The operator's policy file: every mistake is one line that says where, and what is shipped is right."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.compression import READABLE, Compression
from protocol.keys import BuilderName
from protocol.policy import BuilderRules, QuorumRule, SubmissionPolicy
from stacks.policy_file import PolicyFileError, parse_policy
from tests.stacks.conftest import ROOT

DEFAULTS = SubmissionPolicy.open_to(map(BuilderName, ("builder-1", "ci-linux", "laptop")), 10 * 1024**3)
REFERENCE = (ROOT / "docs/reference/policy.md").read_text()
EXAMPLE, REFUSED = re.findall(r"```(?:yaml)?\n(.*?)```", REFERENCE, re.DOTALL)


def parse(text: str) -> SubmissionPolicy:
    return parse_policy(text.encode(), file="policy.yaml", defaults=DEFAULTS)


def refusal(text: str) -> str:
    with pytest.raises(PolicyFileError) as caught:
        parse(text)
    return str(caught.value)


def test_a_whole_policy() -> None:
    assert parse(EXAMPLE) == replace(
        DEFAULTS,
        builders={
            **DEFAULTS.builders,
            BuilderName("ci-linux"): BuilderRules(
                trust_group="ci", max_nar_size=1024**3, compressions=frozenset({Compression.ZSTD, Compression.XZ})
            ),
            BuilderName("laptop"): BuilderRules(
                trust_group="laptop", names=("my-*",), max_nar_size=10 * 1024**3, input_addressed=False
            ),
        },
        quorum=(QuorumRule(("linux-doc-*",), 1), QuorumRule(("linux-*", "openssl-*"), 2)),
    )


def test_the_file_that_the_project_ships_has_no_rules() -> None:
    assert parse((ROOT / "policy.yaml").read_text()) == DEFAULTS


def test_the_example_in_it_is_a_policy_once_the_comment_signs_are_gone() -> None:
    lines = (ROOT / "policy.yaml").read_text().splitlines()
    bare = [line for line in lines if not line.endswith((": {}", ": []"))]
    uncommented = "\n".join(re.sub(r"^# (?=builders:|quorum:| )", "", line) for line in bare)
    rules = parse(uncommented).rules(BuilderName("builder-1"))
    assert rules is not None
    assert (rules.trust_group, rules.compressions) == ("ours", frozenset({Compression.ZSTD, Compression.XZ}))
    assert [rule.builders for rule in parse(uncommented).quorum] == [1, 2]


def test_the_message_in_the_reference_is_the_programs() -> None:
    assert refusal(EXAMPLE.replace("1073741824", "20000000000")) == REFUSED.strip()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "policy.yaml, line 1, builders: is missing; write {} for none"),
        ("# builders: {}\n", "policy.yaml, line 1, builders: is missing; write {} for none"),
        ("builders: {}\n", "policy.yaml, line 1, quorum: is missing; write [] for none"),
        ("\nbuilders:\n\nquorum: []", "policy.yaml, line 2, builders: is empty; leave it out, or say what it is"),
        ("- a", "policy.yaml, line 1: is ['a'], not an object"),
        (
            "builders:\n  ci-linux: {}\n  ci-macos: {}\nquorum: []",
            (
                "policy.yaml, line 3, builders.ci-macos: no builder of this deployment has this name; "
                "there are builder-1, ci-linux, laptop"
            ),
        ),
        (
            "builders:\n  laptop:\n    names:\n      - a\n      - b c\nquorum: []",
            (
                "policy.yaml, line 5, builders.laptop.names[1]: 'b c' matches no name; "
                "use 0-9 A-Z a-z + - . _ = and the wildcards *, ?, [a-z], [!a-z]"
            ),
        ),
        (
            "builders:\n  laptop:\n    maxNarSize: 10737418241\nquorum: []",
            (
                "policy.yaml, line 3, builders.laptop.maxNarSize: is 10737418241, "
                "not a number of bytes from 1 to 10737418240"
            ),
        ),
        (
            "builders:\n  laptop:\n    compressions:\n    - zstd\n    - lzma\nquorum: []",
            "policy.yaml, line 5, builders.laptop.compressions[1]: 'lzma' is no compression method that Assay reads: "
            + ", ".join(READABLE),
        ),
        (
            "builders:\n  laptop:\n    trustGroup: My_Group\nquorum: []",
            (
                "policy.yaml, line 3, builders.laptop.trustGroup: 'My_Group' cannot name a trust group: "
                "Use 1 to 63 characters of a-z, 0-9 and -, neither first nor last a dash."
            ),
        ),
        (
            "builders: {}\nquorum:\n\n  - names: [a]\n    builders: 4\n",
            (
                "policy.yaml, line 5, quorum[0].builders: 4 trust groups can never agree: "
                "the builders that may submit input-addressed paths are in 3 (builder-1, ci-linux, laptop)"
            ),
        ),
        (
            'builders: {}\nquorum:\n  - names: ["*"]\n    builders: 2\n  - names: [a]\n    builders: 3\n',
            "policy.yaml, line 5, quorum[1].names[0]: is never reached: '*' in quorum[0] decides before it",
        ),
        (
            "builders: {}\nquorum:\n  - builders: 2\n",
            'policy.yaml, line 3, quorum[0].names: is missing or empty, so it would match no name; write ["*"] for all',
        ),
        ("builders: {}\nquorum: []\nqourum: []", "policy.yaml, line 3, qourum: is no field that Assay knows"),
        (
            "builders: {}\nquorum: [\nx",
            "policy.yaml, line 3: this is no YAML: expected ',' or ']', but got '<stream end>'",
        ),
    ],
    ids=lambda text: repr(text)[:60],
)
def test_a_mistake_is_one_line_that_says_where(text: str, message: str) -> None:
    assert refusal(text) == message


def test_every_field_of_a_rule_is_in_the_reference() -> None:
    rows = re.findall(r"^\| `([A-Za-z]+)` \|", REFERENCE, re.MULTILINE)
    assert rows == ["trustGroup", "names", "maxNarSize", "compressions", "inputAddressed", "names", "builders"]


WORDS = ["builders", "quorum", "laptop", "names", "maxNarSize", "compressions", "trustGroup", "inputAddressed"]
LINES = st.lists(
    st.builds(
        lambda indent, dash, word, rest: f"{indent}{dash}{word}: {rest}",
        st.sampled_from(["", "  ", "    "]),
        st.sampled_from(["", "- "]),
        st.sampled_from(WORDS),
        st.sampled_from(["", "{}", "[]", "[a]", '["*"]', "2", "[zstd]", "true", "x", "no"]),
    ),
    max_size=8,
).map("\n".join)


@given(LINES.map(str.encode) | st.binary(max_size=50))
def test_any_file_is_a_policy_or_an_error_with_a_line(data: bytes) -> None:
    """The fuzz contract."""
    try:
        policy = parse_policy(data, file="policy.yaml", defaults=DEFAULTS)
    except PolicyFileError as error:
        message = str(error)
    else:
        assert SubmissionPolicy.from_json(policy.to_json()) == policy
        assert set(policy.builders) == set(DEFAULTS.builders), (
            "each builder of the deployment has rules, and nobody else"
        )
        return
    assert re.match(r"policy\.yaml, line [1-9][0-9]*(, [^ ]+)?: ", message)
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
