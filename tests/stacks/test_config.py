"""The configuration: one clear line for whatever is wrong with it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from nixcache.signature import PublicKey
from nixcache.verify import DEFAULT_MAX_EXPANSION, DEFAULT_MAX_NAR_SIZE, Policy
from protocol.keys import WAITING_PREFIX, BuilderName
from protocol.policy import BuilderRules, SubmissionPolicy
from protocol.settings import DEFAULT_REFERENCE_POLICY, MAX_WAITING_DAYS, ReferencePolicy, Upstream
from stacks.config import Builder, Config, ConfigError
from stacks.policy_file import PolicyFileError
from tests.stacks.conftest import ROOT, Synthesis

NIXOS_KEY = "cache.nixos.org-1:6NCHdD59X431o0gWypbMrAURkbJ16ZPMQFGspcDShjY="
ROLE = "arn:aws:iam::444455556666:role/ci/runner"
WHOLE = {
    "stage": "prod",
    "account": "111122223333",
    "region": "eu-central-1",
    "builders": [{"name": "ci", "principal": ROLE}],
    "maxNarSize": 5_000_000,
    "maxExpansion": 100,
    "referenceNotFound": "warn",
    "referenceUndeclared": "reject",
    "upstreams": [{"url": "https://cache.nixos.org", "publicKeys": [NIXOS_KEY]}],
    "publishUpstreamPaths": True,
    "waitingDays": 13,
    "policy": "policy.yaml",
    "signingSecretName": "keys/assay",
}


def test_a_whole_context_becomes_a_config() -> None:
    assert Config.from_context(WHOLE, directory=ROOT) == Config(
        stage="prod",
        account="111122223333",
        region="eu-central-1",
        builders=(Builder(BuilderName("ci"), ROLE),),
        max_nar_size=5_000_000,
        max_expansion=100,
        references=ReferencePolicy(not_found=Policy.WARN, undeclared=Policy.REJECT),
        upstreams=(Upstream("https://cache.nixos.org", (PublicKey.parse(NIXOS_KEY),)),),
        publish_upstream_paths=True,
        waiting_days=13,
        policy=SubmissionPolicy.open_to([BuilderName("ci")], 5_000_000),
        signing_secret_name="keys/assay",
    )


def test_what_may_be_left_out_has_a_default() -> None:
    config = Config.from_context(
        {"stage": "dev", "builders": [{"name": "ci", "principal": "this-account"}]}, directory=ROOT
    )
    assert (config.account, config.region, config.upstreams) == (None, None, ())
    assert (config.max_nar_size, config.max_expansion) == (DEFAULT_MAX_NAR_SIZE, DEFAULT_MAX_EXPANSION)
    assert config.references == DEFAULT_REFERENCE_POLICY
    assert (config.waiting_days, config.publish_upstream_paths) == (7, False)
    assert config.policy == SubmissionPolicy.open_to([BuilderName("ci")], DEFAULT_MAX_NAR_SIZE)
    assert config.signing_secret_name == "assay/dev/signing-key"


def test_the_policy_is_that_of_the_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "ours.yaml").write_text("builders: {ci: {maxNarSize: 5}}\nquorum: []\n")
    config = Config.from_context({**WHOLE, "policy": "rules/ours.yaml"}, directory=tmp_path)
    assert config.policy == SubmissionPolicy({BuilderName("ci"): BuilderRules(trust_group="ci", max_nar_size=5)})


def test_a_policy_is_held_against_the_builders_and_the_limit_of_the_same_context(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("builders:\n  ci: {maxNarSize: 5000001}\nquorum: []\n")
    with pytest.raises(PolicyFileError, match=r"^policy\.yaml, line 2, builders\.ci\.maxNarSize: is 5000001, "):
        Config.from_context(WHOLE, directory=tmp_path)
    with pytest.raises(
        PolicyFileError, match=r"line 2, builders\.ci: no builder of this deployment .* there are ci-2$"
    ):
        Config.from_context({**WHOLE, "builders": [{"name": "ci-2", "principal": ROLE}]}, directory=tmp_path)


def test_a_policy_file_that_is_not_there_is_no_open_policy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"assay\.policy: 'policy\.yaml' cannot be read: No such file or directory$"):
        Config.from_context(WHOLE, directory=tmp_path)


def test_whoever_waits_gives_up_before_its_marker_expires(synthesis: Synthesis) -> None:
    """I6: a marker that is gone wakes nobody, and the sweeper finds nobody either."""
    _, bucket = synthesis.bucket("ledger")
    [days] = [
        rule["ExpirationInDays"]
        for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"]
        if rule.get("Prefix") == WAITING_PREFIX
    ]
    assert days > MAX_WAITING_DAYS


def test_the_context_that_the_project_ships_is_right() -> None:
    Config.from_context(json.loads((ROOT / "cdk.json").read_text())["context"]["assay"], directory=ROOT)


MISSING: Any = object()


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("stage", MISSING, "assay.stage"),
        ("stage", "", "assay.stage"),
        ("stage", "Prod", "assay.stage"),
        ("stage", "prod-", "assay.stage"),
        ("stage", "a" * 17, "assay.stage"),
        ("stage", "prod\n", "assay.stage"),
        ("stage", 1, "assay.stage"),
        ("account", "12345", "assay.account"),
        ("account", 111122223333, "assay.account"),
        ("region", "Frankfurt", "assay.region"),
        ("region", MISSING, "assay.account"),
        ("account", MISSING, "assay.account"),
        ("builders", MISSING, "assay.builders"),
        ("builders", [], "assay.builders"),
        ("builders", {"ci": ROLE}, "assay.builders"),
        ("builders", [{"name": "ci", "principal": ROLE}] * 2, "assay.builders"),
        ("builders", ["ci"], "assay.builders[0]"),
        ("builders.0.name", MISSING, "assay.builders[0].name"),
        ("builders.0.name", "CI", "assay.builders[0].name"),
        ("builders.0.name", "../ci", "assay.builders[0].name"),
        ("builders.0.principal", MISSING, "assay.builders[0].principal"),
        ("builders.0.principal", "*", "assay.builders[0].principal"),
        ("builders.0.principal", "arn:aws:iam::444455556666:role/*", "assay.builders[0].principal"),
        ("builders.0.principal", "arn:aws:iam::*:root", "assay.builders[0].principal"),
        ("builders.0.principal", f"{ROLE}\n", "assay.builders[0].principal"),
        ("builders.0.pricipal", ROLE, "assay.builders[0].pricipal"),
        ("maxNarSize", 0, "assay.maxNarSize"),
        ("maxNarSize", -1, "assay.maxNarSize"),
        ("maxNarSize", True, "assay.maxNarSize"),
        ("maxNarSize", "10 GiB", "assay.maxNarSize"),
        ("maxNarSize", 10**18 + 1, "assay.maxNarSize"),
        ("maxExpansion", 0, "assay.maxExpansion"),
        ("maxExpansion", 1.5, "assay.maxExpansion"),
        ("referenceNotFound", "ignore", "assay.referenceNotFound"),
        ("referenceNotFound", None, "assay.referenceNotFound"),
        ("referenceUndeclared", "Warn", "assay.referenceUndeclared"),
        ("referenceUndeclared", ["warn"], "assay.referenceUndeclared"),
        ("referenceUndeclared", True, "assay.referenceUndeclared"),
        ("upstreams", "https://cache.nixos.org", "assay.upstreams"),
        ("upstreams.0.url", "cache.nixos.org", "assay.upstreams[0]"),
        ("upstreams.0.publicKeys", [], "assay.upstreams[0]"),
        ("upstreams.0.publicKeys", ["cache.nixos.org-1:AAAA"], "assay.upstreams[0]"),
        ("upstreams.0.publicKeys", [1], "assay.upstreams[0].publicKeys[0]"),
        ("publishUpstreamPaths", "false", "assay.publishUpstreamPaths"),
        ("publishUpstreamPaths", 0, "assay.publishUpstreamPaths"),
        ("publishUpstreamPaths", None, "assay.publishUpstreamPaths"),
        ("waitingDays", 0, "assay.waitingDays"),
        ("waitingDays", 14, "assay.waitingDays"),
        ("waitingDays", True, "assay.waitingDays"),
        ("policy", "", "assay.policy"),
        ("policy", "a\0b", "assay.policy"),
        ("policy", None, "assay.policy"),
        ("policy", "stacks", "assay.policy"),
        ("policy", "x" * 300, "assay.policy"),
        ("signingSecretName", "with space", "assay.signingSecretName"),
        ("signingSecretName", "assay-abc123", "assay.signingSecretName"),
        ("stag", "dev", "assay.stag"),
    ],
)
def test_the_error_names_the_field(path: str, value: object, field: str) -> None:
    context = copy.deepcopy(WHOLE)
    target: Any = context
    *parents, last = path.split(".")
    for parent in parents:
        target = target[int(parent) if parent.isdigit() else parent]
    if value is MISSING:
        del target[last]
    else:
        target[last] = value
    with pytest.raises(ConfigError) as caught:
        Config.from_context(context, directory=ROOT)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"cdk.json, context, {field}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("context", [None, [], "dev"])
def test_a_context_that_is_no_object_is_said_to_be_none(context: object) -> None:
    with pytest.raises(ConfigError, match=r"^cdk\.json, context, assay: is "):
        Config.from_context(context, directory=ROOT)
