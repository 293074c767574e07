"""The rules of a configuration: every mistake is one line that says where."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from nixcache.compression import READABLE, Compression
from protocol.keys import BuilderName
from protocol.policy import BuilderRules, QuorumRule, SubmissionPolicy
from stacks.config_error import ConfigError
from stacks.config_parser import parse_config
from tests.stacks.conftest import ROOT

OPEN = SubmissionPolicy.open_to(map(BuilderName, ("builder-1", "ci-linux", "laptop")), 10 * 1024**3)
REFERENCE = (ROOT / "docs/reference/policy.md").read_text()
EXAMPLE, REFUSED = re.findall(r"```(?:yaml)?\n(.*?)```", REFERENCE, re.DOTALL)

# Three builders on lines 1 to 7, the last of which has what a case has to say.
BUILDERS = """builders:
  builder-1:
    ec2: this-account
  ci-linux:
    ec2: this-account
  laptop:
    ec2: this-account
"""


def parse(text: str) -> SubmissionPolicy:
    return parse_config(text.encode(), file="config/prod.yaml", stage="prod").policy


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return str(caught.value)


def test_a_builder_without_rules_may_submit_everything() -> None:
    assert parse(f"{BUILDERS}quorum: []") == OPEN


def test_the_example_of_the_reference() -> None:
    everything = replace(OPEN, builders={n: r for n, r in OPEN.builders.items() if str(n) != "builder-1"})
    assert parse(EXAMPLE) == replace(
        everything,
        builders={
            BuilderName("ci-linux"): BuilderRules(
                trust_group="ci", max_nar_size=1024**3, compressions=frozenset({Compression.ZSTD, Compression.XZ})
            ),
            BuilderName("laptop"): BuilderRules(
                trust_group="laptop", names=("my-*",), max_nar_size=10 * 1024**3, input_addressed=False
            ),
            BuilderName("mac"): BuilderRules(trust_group="mac", max_nar_size=10 * 1024**3),
        },
        quorum=(QuorumRule(("linux-doc-*",), 1), QuorumRule(("linux-*", "openssl-*"), 2)),
    )


def test_the_message_in_the_reference_is_the_programs() -> None:
    assert refusal(EXAMPLE.replace("1073741824", "20000000000")) == REFUSED.strip()


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("", "1: quorum: is missing; write [] for none"),
        ("quorum:\n", "8: quorum: is empty; leave it out, or say what it is"),
        ("    maxNarSise: 5\nquorum: []", "8: builders.laptop.maxNarSise: is no field that Assay knows"),
        (
            "    names:\n      - a\n      - b c\nquorum: []",
            (
                "10: builders.laptop.names[1]: 'b c' matches no name; "
                "use 0-9 A-Z a-z + - . _ = and the wildcards *, ?, [a-z], [!a-z]"
            ),
        ),
        (
            "    names: []\nquorum: []",
            '8: builders.laptop.names: is missing or empty, so it would match no name; write ["*"] for all',
        ),
        (
            "    maxNarSize: 10737418241\nquorum: []",
            "8: builders.laptop.maxNarSize: is 10737418241, not a number of bytes from 1 to 10737418240",
        ),
        (
            "    compressions:\n    - zstd\n    - lzma\nquorum: []",
            "10: builders.laptop.compressions[1]: 'lzma' is no compression method that Assay reads: "
            + ", ".join(READABLE),
        ),
        (
            "    trustGroup: My_Group\nquorum: []",
            (
                "8: builders.laptop.trustGroup: 'My_Group' cannot name a trust group: "
                "Use 1 to 63 characters of a-z, 0-9 and -, neither first nor last a dash."
            ),
        ),
        (
            "quorum:\n\n  - names: [a]\n    builders: 4\n",
            (
                "11: quorum[0].builders: 4 trust groups can never agree: "
                "the builders that may submit input-addressed paths are in 3 (builder-1, ci-linux, laptop)"
            ),
        ),
        (
            'quorum:\n  - names: ["*"]\n    builders: 2\n  - names: [a]\n    builders: 3\n',
            "11: quorum[1].names[0]: is never reached: '*' in quorum[0] decides before it",
        ),
        (
            "quorum:\n  - builders: 2\n",
            '9: quorum[0].names: is missing or empty, so it would match no name; write ["*"] for all',
        ),
        ("quorum:\n  - names: [a]\n    build: 2\n", "9: quorum[0].builders: is missing"),
        ("quorum: [\nx", "9: this is no YAML: expected ',' or ']', but got '<stream end>'"),
    ],
    ids=lambda text: repr(text)[:60],
)
def test_a_mistake_is_one_line_that_says_where(rules: str, message: str) -> None:
    assert refusal(f"{BUILDERS}{rules}") == f"config/prod.yaml:{message}"
