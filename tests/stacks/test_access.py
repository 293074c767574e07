"""The proof of access: the table of who may do what, held against the synthesised policies (I3, I8)."""

from __future__ import annotations

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from stacks.config_parser import parse_config
from tests.stacks import access_table, holders_table, trust_table
from tests.stacks.access_table import Pair, Resource
from tests.stacks.conftest import CONFIG, Synthesis
from tests.stacks.policy_evaluator import ADMINISTRATOR, ANYBODY, ELSEWHERE, NOBODY, Account
from tests.stacks.template import ACCOUNT, REGION

BUILDERS = [
    str(builder.name) for builder in parse_config(CONFIG.encode(), file="config/test.yaml", stage="test").builders
]
TABLE = list(access_table.whole_table(BUILDERS))
ATTEMPTS = list(trust_table.every_attempt())
_HASH = 8
"""Characters that CDK appends to make a logical id unique."""


class Deployment:
    """A template, asked in the table's words."""

    def __init__(self, template: dict[str, Any]) -> None:
        self._account = Account(template)
        self._principals = {
            access_table.ADMINISTRATOR: ADMINISTRATOR,
            access_table.NOBODY: NOBODY,
            access_table.ELSEWHERE: ELSEWHERE,
            access_table.ANYBODY: ANYBODY,
            access_table.INGEST: self._account.role("IngestRole"),
            **{access_table.builder(name): self.role(name) for name in BUILDERS},
        }
        queues = {"RedrivePolicy" in template["Resources"][n]["Properties"]: n for n in self._of("AWS::SQS::Queue")}
        functions = {
            template["Resources"][name]["Properties"]["Handler"].split(".")[1]: self._account.arn(name)
            for name in self._of("AWS::Lambda::Function")
        }
        self._resources = {
            **{kind: f"arn:aws:s3:::assay-test-{kind}-{ACCOUNT}-{REGION}" for kind in access_table.BUCKETS},
            "ingest queue": self._account.arn(queues[True]),
            "dead letters": self._account.arn(queues[False]),
            access_table.SECRET: f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:assay/test/signing-key-AbCdEf",
            **{f"function {name}": arn for name, arn in functions.items()},
            **{f"role {who}": arn for who, arn in self._principals.items()},
        }

    def role(self, builder: str) -> str:
        return self._account.role(f"Builder{re.sub('-', '', builder)}")

    def allows(self, pair: Pair) -> bool:
        return self._account.allows(
            self._principals[pair.principal], pair.action, self.arn(pair.resource), dict(pair.context)
        )

    def arn(self, resource: Resource) -> str:
        arn = self._resources[resource.name]
        return f"{arn}/{resource.key}" if resource.key else arn

    def trusts(self, attempt: trust_table.Attempt) -> bool:
        return self._account.may_assume(
            attempt.principal, self.role(attempt.builder), attempt.action, dict(attempt.context)
        )

    def wrong(self) -> Iterator[str]:
        """Yield every line of both tables that the policies do not bear out."""
        yield from (str(attempt) for attempt in ATTEMPTS if self.trusts(attempt) != attempt.allowed)
        yield from (str(pair) for pair in TABLE if self.allows(pair) != pair.allowed)

    def holders(self, deed: holders_table.Deed) -> set[str]:
        """The logical ids, without CDK's hash, of the stack's roles that may do a deed."""
        return {
            role[:-_HASH]
            for role in self._of("AWS::IAM::Role")
            if self._account.allows(self._account.arn(role), deed.action, self.arn(deed.resource), dict(deed.context))
        }

    def asked_by(self, service: holders_table.Service, *, source: str, account: str) -> bool:
        """Whether a service may do its deed for the resource ``source`` (an ARN) of ``account``."""
        context = {"aws:SourceArn": source, "aws:SourceAccount": account}
        return self._account.allows(service.principal, service.action, self.arn(service.resource), context)

    def source_of(self, service: holders_table.Service) -> str:
        [name] = [name for name in self._of(service.source_type) if name[:-_HASH] == service.source]
        return self._account.arn(name)

    def _of(self, kind: str) -> list[str]:
        return list(self._account.of_type(kind))


def test_i3_i8_the_policies_allow_what_the_table_allows_and_nothing_that_it_denies(
    synthesis: Synthesis, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(Deployment(dict(synthesis.template)).wrong()) == []
    lines = [*(pair.allowed for pair in TABLE), *(attempt.allowed for attempt in ATTEMPTS)]
    allowed = sum(lines)
    assert allowed > 100
    assert len(lines) - allowed > 8000
    with capsys.disabled():
        sys.stderr.write(f"\naccess: {len(lines)} pairs, {allowed} allowed, {len(lines) - allowed} denied, as wanted\n")


def test_no_line_of_the_tables_contradicts_another() -> None:
    pairs: dict[object, bool] = {}
    for pair in TABLE:
        asked = (pair.principal, pair.action, pair.resource, pair.context)
        assert pairs.setdefault(asked, pair.allowed) is pair.allowed, str(pair)
    attempts: dict[object, bool] = {}
    for attempt in ATTEMPTS:
        tried = (attempt.builder, attempt.principal, attempt.action, attempt.context)
        assert attempts.setdefault(tried, attempt.allowed) is attempt.allowed, str(attempt)


def test_every_builder_is_in_the_tables_allowed_and_denied() -> None:
    for name in BUILDERS:
        me = access_table.builder(name)
        assert {pair.allowed for pair in TABLE if pair.principal == me} == {True, False}
        assert {attempt.allowed for attempt in ATTEMPTS if attempt.builder == name} == {True, False}


@pytest.mark.parametrize("deed", holders_table.DEEDS, ids=lambda deed: deed.what)
def test_i3_i8_who_of_everybody_may_do_what_counts(synthesis: Synthesis, deed: holders_table.Deed) -> None:
    deployment = Deployment(dict(synthesis.template))
    assert deployment.holders(deed) == deed.roles
    for principal in (access_table.ADMINISTRATOR, access_table.NOBODY, access_table.ELSEWHERE, access_table.ANYBODY):
        pair = Pair(principal, deed.action, deed.resource, allowed=False, why="", context=deed.context)
        assert deployment.allows(pair) is (deed.administrator and principal == access_table.ADMINISTRATOR), principal


@pytest.mark.parametrize("service", holders_table.SERVICES, ids=lambda service: service.principal)
def test_a_service_acts_for_our_resource_and_for_nobody_elses(
    synthesis: Synthesis, service: holders_table.Service
) -> None:
    """A service acts for every account: what it is asked for by somebody else it must not do (the confused deputy)."""
    deployment = Deployment(dict(synthesis.template))
    right = deployment.source_of(service)
    assert deployment.asked_by(service, source=right, account=ACCOUNT)
    assert not deployment.asked_by(service, source=f"{right}2", account=ACCOUNT)
    assert deployment.asked_by(service, source=right, account="999988887777") is not service.account_too
    for other in {each.principal for each in holders_table.SERVICES} - {service.principal}:
        assert not deployment.asked_by(replace(service, principal=other), source=right, account=ACCOUNT)
    for action in ("s3:DeleteObject", "s3:PutBucketPolicy", "sqs:PurgeQueue", "sqs:ReceiveMessage"):
        assert not deployment.asked_by(replace(service, action=action), source=right, account=ACCOUNT)


def _replace(old: str, new: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    def change(template: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(template)
        assert old in text
        changed: dict[str, Any] = json.loads(text.replace(old, new))
        return changed

    return change


def _without(*words: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Take every statement away in which all of ``words`` stand."""

    def change(template: dict[str, Any]) -> dict[str, Any]:
        taken = 0
        for resource in template["Resources"].values():
            for document in resource.get("Properties", {}).values():
                if isinstance(document, dict) and isinstance(document.get("Statement"), list):
                    kept = [s for s in document["Statement"] if not all(word in json.dumps(s) for word in words)]
                    taken += len(document["Statement"]) - len(kept)
                    document["Statement"] = kept
        assert taken
        return template

    return change


@pytest.mark.parametrize(
    ("break_it", "noticed"),
    [
        (_replace('"/ci/*"', '"/ci*"'), "builder ci may not s3:PutObject on staging/ci-2/"),
        (_replace('"/ci/*"', '"/*"'), "builder ci may not s3:PutObject on staging/gitlab/"),
        (_replace('"/results/ci/*"', '"/results/*"'), "builder ci may not s3:GetObject on ledger/results/ci-2/"),
        (_replace('"results/ci/*"', '"results/ci*"'), "builder ci may not s3:ListBucket on ledger"),
        (_replace('"s3:AbortMultipartUpload", ', '"s3:DeleteObject", '), "may not s3:DeleteObject on staging"),
        (_replace('"s3:x-amz-server-side-encryption-customer-algorithm"', '"s3:x"'), "customer-algorithm"),
        (_replace('"s3:x-amz-storage-class": "STANDARD"', '"s3:x": "STANDARD"'), "GLACIER"),
        (_without("PublishedNarinfoIsNeverReplaced"), "administrator may not s3:PutObject on cache"),
        (_without("VoteIsNeverReplaced"), "ingest may not s3:PutObject on ledger/votes/"),
        (_without("OnlyFunctionsReadTheKey"), "administrator may not secretsmanager:GetSecretValue"),
        (_without("s3:TlsVersion"), "'s3:TlsVersion': '1.1'"),
        (_without("aws:SecureTransport"), "'aws:SecureTransport': 'false'"),
        (_replace("repo:example/app:ref:refs/heads/main", "repo:example/app:ref:refs/heads/dev"), "github-branch"),
        (_replace('"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"', '"x": "y"'), "become github"),
        (_replace('"aws:PrincipalTag/x509Subject/CN": "mac.example.org"', '"x": "y"'), "may become mac"),
        (_replace('"arn:aws:iam::444455556666:role/runner"', '"*"'), "may not become ci-2"),
    ],
)
def test_the_table_notices_what_was_opened(
    synthesis: Synthesis, break_it: Callable[[dict[str, Any]], dict[str, Any]], noticed: str
) -> None:
    """I3, I8: each of these changes of a policy lets somebody in, or out."""
    broken = break_it(copy.deepcopy(dict(synthesis.template)))
    assert any(noticed in line for line in Deployment(broken).wrong())


def test_i8_no_action_that_the_table_does_not_name(synthesis: Synthesis) -> None:
    account, deployment = Account(synthesis.template), Deployment(dict(synthesis.template))
    for name in BUILDERS:
        allowed = {pair.action for pair in TABLE if pair.allowed and pair.principal == access_table.builder(name)}
        assert account.actions_of(deployment.role(name)) == allowed
