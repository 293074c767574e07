"""The configuration: one clear line for whatever is wrong with it."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nixcache.signature import PublicKey
from nixcache.verify import DEFAULT_MAX_EXPANSION, DEFAULT_MAX_NAR_SIZE, Policy
from protocol.keys import WAITING_PREFIX, BuilderName
from protocol.policy import SubmissionPolicy
from protocol.settings import DEFAULT_REFERENCE_POLICY, MAX_WAITING_DAYS, ReferencePolicy, Upstream
from stacks.config import Builder, Config, Domain, Readers
from stacks.config_error import ConfigError
from stacks.config_parser import parse_config
from stacks.identities.iam_principal import IamPrincipal
from tests.stacks.conftest import Synthesis

NIXOS_KEY = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
ROLE = "arn:aws:iam::444455556666:role/ci/runner"
CERTIFICATE = "arn:aws:acm:us-east-1:111122223333:certificate/01234567-89ab-cdef-0123-456789abcdef"
ANCHOR = "arn:aws:rolesanywhere:eu-central-1:111122223333:trust-anchor/01234567-89ab-cdef-0123-456789abcdef"
WHOLE: dict[str, Any] = {
    "account": "111122223333",
    "region": "eu-central-1",
    "builders": {"ci": {"iamPrincipal": ROLE}},
    "createIdentityProviders": True,
    "maxNarSize": 5_000_000,
    "maxExpansion": 100,
    "referenceNotFound": "warn",
    "referenceUndeclared": "reject",
    "upstreams": [{"url": "https://cache.nixos.org", "publicKeys": [NIXOS_KEY]}],
    "publishUpstreamPaths": True,
    "waitingDays": 13,
    "signingSecretName": "keys/assay",
    "keyName": "cache.example.org",
    "keyRotationDays": 365,
    "keyOverlapDays": 60,
    "domain": {"names": ["cache.example.org", "nix.example.org"], "certificate": CERTIFICATE},
    "readers": "basic-auth",
    "alarmEmail": "nix@example.org",
    "monthlyBudgetUsd": 20,
    "permissionsBoundary": "developers",
    "backupRegion": "eu-west-1",
    "tags": {"team": "build", "cost centre": ""},
    "protect": False,
    "quorum": [],
}
LEAST = "builders: {ci: {iamPrincipal: this-account}}\nquorum: []\n"


def parse(text: str) -> Config:
    return parse_config(text.encode(), file="config/prod.yaml", stage="prod")


def as_file(document: object) -> str:
    """A file that says ``document``: YAML takes JSON for itself."""
    return json.dumps(document, indent=1)


def test_a_whole_file_becomes_a_config() -> None:
    assert parse(as_file(WHOLE)) == Config(
        stage="prod",
        account="111122223333",
        region="eu-central-1",
        builders=(Builder(BuilderName("ci"), IamPrincipal(ROLE)),),
        create_identity_providers=True,
        max_nar_size=5_000_000,
        max_expansion=100,
        references=ReferencePolicy(not_found=Policy.WARN, undeclared=Policy.REJECT),
        upstreams=(Upstream("https://cache.nixos.org", (PublicKey.parse(NIXOS_KEY),)),),
        publish_upstream_paths=True,
        waiting_days=13,
        policy=SubmissionPolicy.open_to([BuilderName("ci")], 5_000_000),
        signing_secret_name="keys/assay",
        key_name="cache.example.org",
        key_rotation_days=365,
        key_overlap_days=60,
        domain=Domain(("cache.example.org", "nix.example.org"), CERTIFICATE),
        readers=Readers.BASIC_AUTH,
        alarm_email="nix@example.org",
        monthly_budget_usd=20,
        permissions_boundary="developers",
        backup_region="eu-west-1",
        tags={"team": "build", "cost centre": ""},
        protect=False,
    )


def test_what_may_be_left_out_has_a_default() -> None:
    assert parse(LEAST) == Config(
        stage="prod",
        account=None,
        region=None,
        builders=(Builder(BuilderName("ci"), IamPrincipal("this-account")),),
        create_identity_providers=False,
        max_nar_size=DEFAULT_MAX_NAR_SIZE,
        max_expansion=DEFAULT_MAX_EXPANSION,
        references=DEFAULT_REFERENCE_POLICY,
        upstreams=(),
        publish_upstream_paths=False,
        waiting_days=7,
        policy=SubmissionPolicy.open_to([BuilderName("ci")], DEFAULT_MAX_NAR_SIZE),
        signing_secret_name="assay/prod/signing-key",
        key_name="assay-prod",
        key_rotation_days=None,
        key_overlap_days=90,
        domain=None,
        readers=Readers.EVERYONE,
        alarm_email=None,
        monthly_budget_usd=None,
        permissions_boundary=None,
        backup_region=None,
        tags={},
        protect=True,
    )


def test_builders_keep_their_order() -> None:
    names = ["z", "a", "m"]
    config = parse(as_file({**WHOLE, "builders": {name: {"iamPrincipal": ROLE} for name in names}}))
    assert [str(builder.name) for builder in config.builders] == names


def test_whoever_waits_gives_up_before_its_marker_expires(synthesis: Synthesis) -> None:
    """I6: a marker that is gone wakes nobody, and the sweeper finds nobody either."""
    _, bucket = synthesis.bucket("ledger")
    [days] = [
        rule["ExpirationInDays"]
        for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        if rule.get("Prefix") == WAITING_PREFIX
    ]
    assert days > MAX_WAITING_DAYS


MISSING: Any = object()


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("account", "12345", "account"),
        ("account", 111122223333, "account"),
        ("account", MISSING, "region"),
        ("region", "Frankfurt", "region"),
        ("region", MISSING, "account"),
        ("builders", MISSING, "builders"),
        ("builders", {}, "builders"),
        ("builders", [{"name": "ci", "principal": ROLE}], "builders"),
        ("builders", {"CI": {"iamPrincipal": ROLE}}, "builders.CI"),
        ("builders", {"../ci": {"iamPrincipal": ROLE}}, "builders.'../ci'"),
        ("builders.ci", ROLE, "builders.ci"),
        ("builders.ci", {}, "builders.ci"),
        ("builders.ci.pricipal", ROLE, "builders.ci.pricipal"),
        (
            "builders.ci",
            {"rolesAnywhere": {"trustAnchor": ANCHOR.replace("eu-central-1", "us-east-1"), "commonName": "ci"}},
            "builders.ci.rolesAnywhere.trustAnchor",
        ),
        (
            "builders.ci",
            {"rolesAnywhere": {"trustAnchor": ANCHOR.replace("111122223333", "999988887777"), "commonName": "ci"}},
            "builders.ci.rolesAnywhere.trustAnchor",
        ),
        ("createIdentityProviders", "github", "createIdentityProviders"),
        ("maxNarSize", 0, "maxNarSize"),
        ("maxNarSize", -1, "maxNarSize"),
        ("maxNarSize", True, "maxNarSize"),
        ("maxNarSize", "10 GiB", "maxNarSize"),
        ("maxNarSize", 10**18 + 1, "maxNarSize"),
        ("maxExpansion", 0, "maxExpansion"),
        ("maxExpansion", 1.5, "maxExpansion"),
        ("referenceNotFound", "ignore", "referenceNotFound"),
        ("referenceNotFound", None, "referenceNotFound"),
        ("referenceUndeclared", "Warn", "referenceUndeclared"),
        ("referenceUndeclared", ["warn"], "referenceUndeclared"),
        ("referenceUndeclared", True, "referenceUndeclared"),
        ("upstreams", "https://cache.nixos.org", "upstreams"),
        ("upstreams.0.url", "cache.nixos.org", "upstreams[0]"),
        ("upstreams.0.publicKeys", [], "upstreams[0]"),
        ("upstreams.0.publicKeys", ["cache.nixos.org-1:AAAA"], "upstreams[0]"),
        ("upstreams.0.publicKeys", [1], "upstreams[0].publicKeys[0]"),
        ("publishUpstreamPaths", "false", "publishUpstreamPaths"),
        ("publishUpstreamPaths", 0, "publishUpstreamPaths"),
        ("publishUpstreamPaths", None, "publishUpstreamPaths"),
        ("waitingDays", 0, "waitingDays"),
        ("waitingDays", 14, "waitingDays"),
        ("waitingDays", True, "waitingDays"),
        ("signingSecretName", "with space", "signingSecretName"),
        ("signingSecretName", "assay-abc123", "signingSecretName"),
        ("keyName", "cache.example.org:1", "keyName"),
        ("keyName", "", "keyName"),
        ("keyName", "k" * 201, "keyName"),
        ("keyName", "a b", "keyName"),
        ("keyRotationDays", 29, "keyRotationDays"),
        ("keyRotationDays", 3651, "keyRotationDays"),
        ("keyRotationDays", 60, "keyRotationDays"),
        ("keyOverlapDays", 0, "keyOverlapDays"),
        ("keyOverlapDays", 365, "keyRotationDays"),
        ("domain", "cache.example.org", "domain"),
        ("domain.names", [], "domain.names"),
        ("domain.names", ["cache.example.org"] * 2, "domain.names[1]"),
        ("domain.names", ["Cache.example.org"], "domain.names[0]"),
        ("domain.names", ["https://cache.example.org"], "domain.names[0]"),
        ("domain.names", ["*.example.org"], "domain.names[0]"),
        ("domain.names", ["localhost"], "domain.names[0]"),
        ("domain.certificate", MISSING, "domain.certificate"),
        ("domain.certificate", CERTIFICATE.replace("us-east-1", "eu-central-1"), "domain.certificate"),
        ("domain.certificate", CERTIFICATE.replace("111122223333", "999988887777"), "domain.certificate"),
        ("domain.name", "cache.example.org", "domain.name"),
        ("readers", "nobody", "readers"),
        ("alarmEmail", "nix", "alarmEmail"),
        ("alarmEmail", "a@example.org, b@example.org", "alarmEmail"),
        ("monthlyBudgetUsd", 0, "monthlyBudgetUsd"),
        ("monthlyBudgetUsd", "20 USD", "monthlyBudgetUsd"),
        ("permissionsBoundary", "a/b", "permissionsBoundary"),
        ("permissionsBoundary", "arn:aws:iam::999988887777:policy/developers", "permissionsBoundary"),
        ("permissionsBoundary", ROLE, "permissionsBoundary"),
        ("backupRegion", "Ireland", "backupRegion"),
        ("backupRegion", "eu-central-1", "backupRegion"),
        ("tags", ["team"], "tags"),
        ("tags", {"aws:team": "x"}, "tags.'aws:team'"),
        ("tags", {"AWS:team": "x"}, "tags.'AWS:team'"),
        ("tags", {"team": "a;b"}, "tags.team"),
        ("tags", {"team": 5}, "tags.team"),
        ("tags", {f"tag{n}": "x" for n in range(46)}, "tags"),
        ("protect", "yes", "protect"),
        ("quorum", MISSING, "quorum"),
        ("quorum", {}, "quorum"),
        ("stage", "prod", "stage"),
        ("keyname", "x", "keyname"),
    ],
)
def test_the_error_names_the_field_and_its_line(path: str, value: object, field: str) -> None:
    document = copy.deepcopy(WHOLE)
    target: Any = document
    *parents, last = path.split(".")
    for parent in parents:
        target = target[int(parent) if parent.isdigit() else parent]
    if value is MISSING:
        del target[last]
    else:
        target[last] = value
    text = as_file(document)
    with pytest.raises(ConfigError) as caught:
        parse(text)
    error = caught.value
    assert error.field == field
    assert str(error).startswith(f"config/prod.yaml:{error.line}: {field}: ")
    assert "\n" not in str(error)
    there = re.sub(r"\[\d+\]$", "", field).rpartition(".")[2].strip("'")
    if value is not MISSING and f'"{there}"' in text:
        # JSON begins each field on a line of its own; what is in a list lies below.
        assert error.line >= text[: text.index(f'"{there}"')].count("\n") + 1 > 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "config/prod.yaml:1: builders: is missing"),
        ("- a", "config/prod.yaml:1: is ['a'], not an object"),
        ("region: eu-central-1\n", "config/prod.yaml:1: region: account and region go together: give both, or neither"),
        (
            "builders:\n  ci:\n    trustGroup: a\nquorum: []",
            (
                "config/prod.yaml:2: builders.ci: does not say who may act as this builder; "
                "write one of githubActions, gitlab, iamPrincipal, ec2, rolesAnywhere"
            ),
        ),
        (
            "builders:\n  ci:\n    iamPrincipal: this-account\n    ec2: this-account\nquorum: []",
            (
                "config/prod.yaml:4: builders.ci.ec2: is one identity too many beside iamPrincipal: "
                "give each its own builder"
            ),
        ),
        (
            "account: 111122223333\nregion: eu-central-1\n",
            "config/prod.yaml:1: account: is 111122223333, not a text; put it into quotes",
        ),
        (
            "account: 011122223333\n",
            "config/prod.yaml:1: account: is '011122223333'; write a number in decimal digits, and a text in quotes",
        ),
        (
            f"{LEAST}keyRotationDays: 30\n",
            (
                "config/prod.yaml:3: keyRotationDays: is 30, but a key signs beside the next one for 90 days "
                "(keyOverlapDays), and only one can: write 91 or more, or lower keyOverlapDays"
            ),
        ),
        (
            f"{LEAST}protect: no\n",
            "config/prod.yaml:3: protect: is 'no', which some read as a truth value: write true, false or quotes",
        ),
        (f"{LEAST}quorum: []\n", "config/prod.yaml:3: quorum: is there twice; the first is on line 2"),
        (f"{LEAST}: [", "config/prod.yaml:3: this is no YAML: expected <block end>, but found ':'"),
    ],
)
def test_the_whole_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert str(caught.value) == message


WORDS = [*WHOLE, "ci", "iamPrincipal", "githubActions", "names", "url", "trustGroup", "certificate"]
LINES = st.lists(
    st.builds(
        lambda indent, dash, word, rest: f"{indent}{dash}{word}: {rest}",
        st.sampled_from(["", "  ", "    "]),
        st.sampled_from(["", "", "- "]),
        st.sampled_from(WORDS),
        st.sampled_from(["", "{}", "[]", "[a]", "2", "true", "x", "this-account"]),
    ),
    max_size=8,
).map("\n".join)


@given(LINES.map(str.encode) | LINES.map(lambda more: f"{LEAST}{more}".encode()) | st.binary(max_size=50))
def test_any_file_is_a_config_or_an_error_with_a_line(data: bytes) -> None:
    """The fuzz contract."""
    try:
        config = parse_config(data, file="f", stage="dev")
    except ConfigError as error:
        message = str(error)
    else:
        assert config.builders
        assert set(config.policy.builders) == {builder.name for builder in config.builders}
        return
    assert re.match(r"f:[1-9][0-9]*: ", message)
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
