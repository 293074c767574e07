"""The key function: what it may do, who calls it, and the schedule that an operator may ask for."""

from __future__ import annotations

import aws_cdk as cdk
import pytest
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk.assertions import Match, Template

from protocol.settings import KeySettings
from stacks.key_function import KeyFunction
from stacks.signing_secret import SigningSecret
from tests.stacks.conftest import Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, REGION, Account


def _template(rotation_days: int | None) -> Template:
    stack = cdk.Stack(cdk.App(), "Assay-test")
    secret = SigningSecret(stack, "SigningSecret", name="assay/test/signing-key")
    keys = KeyFunction(
        stack,
        "Keys",
        secret=secret,
        cache=s3.Bucket(stack, "Cache"),
        code=lambda_.Code.from_inline("pass"),
        rotation_days=rotation_days,
        settings=KeySettings(
            signing_secret_id=secret.name, cache_bucket="cache", key_name="cache.test", key_overlap_days=90
        ),
    )
    secret.readable_only_by(keys.role)
    return Template.from_stack(stack)


@pytest.fixture(scope="module")
def scheduled() -> Template:
    return _template(365)


def test_secrets_manager_calls_it_for_this_account_alone_and_makes_no_key_beside_the_first(scheduled: Template) -> None:
    """Another account's secret could otherwise have it make keys: a confused deputy."""
    scheduled.has_resource_properties(
        "AWS::Lambda::Permission",
        {"Principal": "secretsmanager.amazonaws.com", "SourceAccount": {"Ref": "AWS::AccountId"}},
    )
    scheduled.has_resource(
        "AWS::SecretsManager::RotationSchedule",
        {
            "Properties": {
                "RotateImmediatelyOnUpdate": False,
                "RotationRules": {"AutomaticallyAfterDays": 365},
                "HostedRotationLambda": Match.absent(),
            },
            # Secrets Manager refuses a function that it may not call.
            "DependsOn": Match.array_with([Match.string_like_regexp("SecretsManagerRotates")]),
        },
    )


def test_without_a_schedule_only_an_operator_rotates(synthesis: Synthesis) -> None:
    assert not synthesis.of_type("AWS::SecretsManager::RotationSchedule")
    permissions = synthesis.of_type("AWS::Lambda::Permission").values()
    assert "secretsmanager.amazonaws.com" not in {permission["Principal"] for permission in permissions}


def test_i8_nobody_but_the_functions_reads_the_key(synthesis: Synthesis, account: Account) -> None:
    """Of all principals there are, in this account and elsewhere, the Deny leaves out these three roles."""
    [policy] = synthesis.of_type("AWS::SecretsManager::ResourcePolicy").values()
    assert policy["BlockPublicPolicy"] is True
    [statement] = account.resolve(policy["ResourcePolicy"]["Statement"])
    assert statement == {
        "Sid": "OnlyFunctionsReadTheKey",
        "Effect": "Deny",
        "Principal": {"AWS": "*"},
        "Action": "secretsmanager:GetSecretValue",
        "Resource": "*",
        "Condition": {
            "ArnNotEquals": {
                "aws:PrincipalArn": [account.role(name) for name in ("IngestRole", "KeysRole", "ResigningRole")]
            }
        },
    }


def test_it_writes_what_it_announces_and_nothing_else_in_any_bucket(account: Account) -> None:
    cache = f"arn:aws:s3:::assay-test-cache-{ACCOUNT}-{REGION}"
    granted = account.grants_of(account.role("KeysRole"))
    assert {grant for grant in granted if not _is_its_own(grant[0])} == {
        ("s3:PutObject", f"{cache}/public-keys"),
        ("s3:PutObject", f"{cache}/public-keys.json"),
        ("s3:GetObject", f"{cache}/public-keys.json"),
        # Else S3 says 403 of a document that is not there yet, as of one that it must not see.
        ("s3:ListBucket", cache),
    }


def _is_its_own(action: str) -> bool:
    """Its log, its trace; and the secret, of which `test_ingest_role.py` has everybody's grants."""
    return action.partition(":")[0] in {"logs", "xray", "secretsmanager"}


def test_the_first_key_is_made_when_the_deployment_is_done(scheduled: Template) -> None:
    scheduled.has_resource_properties(
        "AWS::Events::Rule",
        {
            "EventPattern": {
                "source": ["aws.cloudformation"],
                "detail": {
                    "stack-id": [{"Ref": "AWS::StackId"}],
                    "status-details": {"status": Match.array_with(["CREATE_COMPLETE", "UPDATE_COMPLETE"])},
                },
            }
        },
    )
