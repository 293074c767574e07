"""The evaluator that the proof of access rests on: IAM's rules, and an error for whatever it does not know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import pytest

from tests.stacks.policy_evaluator import ADMINISTRATOR, ANYBODY, ELSEWHERE, NOBODY, Account
from tests.stacks.template import ACCOUNT

Statements: TypeAlias = Sequence[Mapping[str, object]]

BUCKET = "arn:aws:s3:::b"
OBJECT = f"{BUCKET}/k"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/Role"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ALLOW = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{BUCKET}/*"}
DENY = {**ALLOW, "Effect": "Deny"}
EVERYBODY = {"AWS": "*"}


def account(*, own: Statements = (), bucket: Statements = (), trust: Statements = ()) -> Account:
    """A role with its own policy and trust policy, and a bucket with a policy."""
    return Account(
        {
            "Resources": {
                "Role": {
                    "Type": "AWS::IAM::Role",
                    "Properties": {"AssumeRolePolicyDocument": {"Statement": list(trust)}},
                },
                "Policy": {
                    "Type": "AWS::IAM::Policy",
                    "Properties": {"Roles": [{"Ref": "Role"}], "PolicyDocument": {"Statement": list(own)}},
                },
                "Bucket": {"Type": "AWS::S3::Bucket", "Properties": {"BucketName": "b"}},
                "BucketPolicy": {
                    "Type": "AWS::S3::BucketPolicy",
                    "Properties": {"Bucket": {"Ref": "Bucket"}, "PolicyDocument": {"Statement": list(bucket)}},
                },
            }
        }
    )


def reads(judge: Account, principal: str = ROLE, resource: str = OBJECT, **context: str) -> bool:
    return judge.decide(principal, "s3:GetObject", resource, **context)


def test_what_nothing_allows_is_denied() -> None:
    assert not reads(account())
    assert reads(account(own=[ALLOW]))
    assert not account(own=[ALLOW]).decide(ROLE, "s3:PutObject", OBJECT)
    assert not reads(account(own=[ALLOW]), resource=BUCKET)
    assert not reads(account(own=[ALLOW]), NOBODY)


@pytest.mark.parametrize("own", [[ALLOW, DENY], [DENY, ALLOW]])
def test_a_denial_decides_wherever_it_stands(own: list[dict[str, Any]]) -> None:
    assert not reads(account(own=own))
    assert not reads(account(own=[ALLOW], bucket=[{**DENY, "Principal": EVERYBODY}]))
    assert not reads(account(own=[DENY], bucket=[{**ALLOW, "Principal": EVERYBODY}]))
    assert not reads(account(bucket=[{**DENY, "Principal": EVERYBODY}]), ADMINISTRATOR)


def test_a_resources_policy_allows_whom_it_names() -> None:
    named = account(bucket=[{**ALLOW, "Principal": {"AWS": ROLE}}])
    assert reads(named)
    assert not reads(named, NOBODY)
    assert not reads(named, ANYBODY)
    service = account(bucket=[{**ALLOW, "Principal": {"Service": "cloudfront.amazonaws.com"}}])
    assert reads(service, "cloudfront.amazonaws.com")
    assert not reads(service)
    everybody = account(bucket=[{**ALLOW, "Principal": "*"}])
    assert all(reads(everybody, who) for who in (ROLE, NOBODY, ELSEWHERE, ANYBODY))


def test_the_accounts_root_denies_all_of_it_and_allows_none_of_it() -> None:
    assert not reads(account(bucket=[{**ALLOW, "Principal": {"AWS": ROOT}}]))
    assert not reads(account(own=[ALLOW], bucket=[{**DENY, "Principal": {"AWS": ROOT}}]))


def test_a_policy_is_about_its_own_resource() -> None:
    statement = {**ALLOW, "Resource": "*", "Principal": {"AWS": ROLE}}
    assert reads(account(bucket=[statement]))
    assert not reads(account(bucket=[statement]), resource="arn:aws:s3:::bb/k")


def test_another_accounts_administrator_needs_this_ones_word() -> None:
    assert not reads(account(), ELSEWHERE)
    assert reads(account(bucket=[{**ALLOW, "Principal": {"AWS": ELSEWHERE}}]), ELSEWHERE)


def test_actions_and_keys_know_no_case_and_values_do() -> None:
    assert reads(account(own=[{**ALLOW, "Action": "S3:getobject"}]))
    judge = account(own=[{**ALLOW, "Condition": {"StringEquals": {"S3:Prefix": "a"}}}])
    assert reads(judge, s3__prefix="a")
    assert not reads(judge, s3__prefix="A")


@pytest.mark.parametrize(
    ("operator", "wanted", "holds", "fails", "missing"),
    [
        ("StringEquals", ["a", "b"], "b", "c", False),
        ("StringEquals", "a*", "a*", "ab", False),
        ("StringEqualsIfExists", "a", "a", "b", True),
        ("StringNotEquals", ["a", "b"], "c", "b", True),
        ("StringLike", "a*c", "a/b/c", "ab", False),
        ("StringLike", "a?c", "abc", "abbc", False),
        ("StringNotLike", "a*", "b", "ab", True),
        ("ArnEquals", "arn:x:*", "arn:x:y", "arn:y:y", False),
        ("ArnLike", "arn:x:y", "arn:x:y", "arn:x:yy", False),
        ("ArnNotEquals", "arn:x:y", "arn:x:z", "arn:x:y", True),
        ("ArnNotEqualsIfExists", "arn:x:y", "arn:x:z", "arn:x:y", True),
        ("Bool", "false", "false", "true", False),
        ("Bool", False, "false", "true", False),
        ("NumericLessThan", 1.2, "1.1", "1.2", False),
        ("Null", "false", "anything", None, False),
    ],
)
def test_each_operator(operator: str, wanted: object, holds: str, fails: str | None, missing: bool) -> None:  # noqa: FBT001  a column
    judge = account(own=[{**ALLOW, "Condition": {operator: {"x:key": wanted}}}])
    assert reads(judge, x__key=holds)
    if fails is not None:
        assert not reads(judge, x__key=fails)
    assert reads(judge) is missing


def test_null_is_about_what_is_missing() -> None:
    judge = account(own=[{**ALLOW, "Condition": {"Null": {"x:key": "true"}}}])
    assert reads(judge)
    assert not reads(judge, x__key="")


def test_every_condition_has_to_hold() -> None:
    judge = account(own=[{**ALLOW, "Condition": {"StringEquals": {"x:a": "1", "x:b": "2"}, "Null": {"x:c": "true"}}}])
    assert reads(judge, x__a="1", x__b="2")
    assert not reads(judge, x__a="1", x__b="3")
    assert not reads(judge, x__a="1", x__b="2", x__c="3")


@pytest.mark.parametrize(
    "statement",
    [
        {**ALLOW, "Condition": {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}},
        {**ALLOW, "Condition": {"ForAnyValue:StringEquals": {"aws:TagKeys": "a"}}},
        {**ALLOW, "Condition": {"StringEqualsIgnoreCase": {"x:key": "a"}}},
        {**ALLOW, "Resource": f"{BUCKET}/${{aws:username}}"},
        {"Effect": "Allow", "NotAction": "s3:GetObject", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:GetObject", "NotResource": "*"},
        {**ALLOW, "Effect": "Perhaps"},
        {**ALLOW, "Resource": {"Fn::Sub": "${Bucket}"}},
    ],
)
def test_what_it_does_not_know_it_does_not_judge(statement: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match="know"):
        reads(account(own=[statement]))


@pytest.mark.parametrize(
    "kind", ["AWS::KMS::ReplicaKeyPolicy", "AWS::S3::AccessPointPolicy", "AWS::Lambda::LayerVersionPermission"]
)
def test_a_kind_of_policy_that_it_does_not_know_is_not_passed_over(kind: str) -> None:
    template = {"Resources": {"Unknown": {"Type": kind, "Properties": {}}}}
    with pytest.raises(AssertionError, match="does not know"):
        reads(Account(template))


def test_managed_policies_are_not_passed_over() -> None:
    role = {"Type": "AWS::IAM::Role", "Properties": {"ManagedPolicyArns": ["arn:aws:iam::aws:policy/ReadOnlyAccess"]}}
    with pytest.raises(AssertionError, match="managed policies"):
        reads(Account({"Resources": {"Role": role}}))


def test_trust_in_an_account_needs_the_accounts_own_word() -> None:
    judge = account(trust=[{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ROOT}}])
    assert judge.may_assume(ADMINISTRATOR, ROLE, "sts:AssumeRole", {})
    assert not judge.may_assume(NOBODY, ROLE, "sts:AssumeRole", {})
    assert not judge.may_assume(ELSEWHERE, ROLE, "sts:AssumeRole", {})
    assert not judge.may_assume(ADMINISTRATOR, ROLE, "sts:TagSession", {})
