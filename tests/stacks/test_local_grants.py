"""What identities may in a local Assay is what the stack's roles may: what works here works there.

Except what moto does not have. Each exception is written down below, and nothing else differs.
"""

from __future__ import annotations

from collections.abc import Sequence

from local import provision
from protocol.keys import BuilderName
from tests.stacks.policy_evaluator import ACCOUNT, REGION, Account

Grants = set[tuple[str, str]]
BUCKETS = {
    f"assay-test-{kind}-{ACCOUNT}-{REGION}": local
    for kind, local in (
        ("staging", provision.STAGING_BUCKET),
        ("cache", provision.CACHE_BUCKET),
        ("ledger", provision.LEDGER_BUCKET),
    )
}


def _local(statements: Sequence[provision.Statement]) -> Grants:
    assert {statement["Effect"] for statement in statements} == {"Allow"}
    return {(action, resource) for each in statements for action in each["Action"] for resource in each["Resource"]}


def _in_the_stack(account: Account, role: str) -> Grants:
    """What the role is granted, with the buckets' local names, and without its log and its trace."""
    grants = set()
    for action, resource in account.grants_of(account.role(role)):
        for there, here in BUCKETS.items():
            resource = resource.replace(there, here)  # noqa: PLW2901  each is in one bucket at most
        if action.partition(":")[0] not in {"logs", "xray"}:
            grants.add((action, resource))
    return grants


def _of_s3(grants: Grants) -> Grants:
    return {grant for grant in grants if grant[0].startswith("s3:")}


def test_ingest_may_the_same_in_the_same_buckets(account: Account) -> None:
    only_here = {("s3:DeleteObject", f"arn:aws:s3:::{provision.LEDGER_BUCKET}")}
    assert _of_s3(_local(provision.INGEST_MAY)) == _of_s3(_in_the_stack(account, "IngestRole")) | only_here


def test_ingest_may_the_same_elsewhere(account: Account) -> None:
    """Actions alone: moto does not look at what they act on. Batches it calls by names of their own."""
    here = {action.removesuffix("*") for action, _ in _local(provision.INGEST_MAY)}
    assert here == {action for action, _ in _in_the_stack(account, "IngestRole")}


def test_a_builder_may_the_same(account: Account) -> None:
    """Its ListBucket has a condition, which moto does not evaluate: there a builder could list everybody's results."""
    only_there = {("s3:ListBucket", f"arn:aws:s3:::{provision.LEDGER_BUCKET}")}
    here = _local(provision.builder_may(BuilderName("ci")))
    assert here | only_there == _in_the_stack(account, "Builderci")
    assert not here & only_there
