"""The buckets: closed, versioned where it counts, and tied to the queue."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.keys import NARINFO_SUFFIX, WAITING_PREFIX
from tests.stacks.conftest import Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, ADMINISTRATOR, REGION, Account

DAY = 24 * 60 * 60
EVERY_KIND = ["staging", "cache", "ledger", "logs"]


def _rules(synthesis: Synthesis, kind: str) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = synthesis.bucket(kind)[1]["Properties"]["LifecycleConfiguration"]["Rules"]
    return rules


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_bucket_is_closed_to_the_public(synthesis: Synthesis, kind: str) -> None:
    properties = synthesis.bucket(kind)[1]["Properties"]
    assert properties["PublicAccessBlockConfiguration"] == {
        "BlockPublicAcls": True,
        "BlockPublicPolicy": True,
        "IgnorePublicAcls": True,
        "RestrictPublicBuckets": True,
    }
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_bucket_is_encrypted_with_keys_of_s3(synthesis: Synthesis, kind: str) -> None:
    assert synthesis.bucket(kind)[1]["Properties"]["BucketEncryption"] == {
        "ServerSideEncryptionConfiguration": [{"ServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
    }


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_bucket_refuses_everybody_who_speaks_no_tls(account: Account, kind: str) -> None:
    resource = f"arn:aws:s3:::assay-test-{kind}-{ACCOUNT}-{REGION}/key"
    assert account.decide(ADMINISTRATOR, "s3:GetObject", resource)
    assert not account.decide(ADMINISTRATOR, "s3:GetObject", resource, aws__SecureTransport="false")
    assert not account.decide(ADMINISTRATOR, "s3:GetObject", resource, s3__TlsVersion="1.1")


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_bucket_gives_up_half_uploads_after_a_day(synthesis: Synthesis, kind: str) -> None:
    assert {
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
        "Status": "Enabled",
    } in _rules(synthesis, kind)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_every_bucket_outlives_its_stack(synthesis: Synthesis, kind: str) -> None:
    """CloudFormation cannot delete a bucket with anything in it: the stack's deletion would end with an error.

    Unless the stack was never made: what a failed first deployment left would have the names that the next one wants.
    """
    bucket = synthesis.bucket(kind)[1]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")


@pytest.mark.parametrize("kind", ["staging", "cache", "ledger"])
def test_versions_are_kept_and_access_is_logged(synthesis: Synthesis, kind: str) -> None:
    """I2: what is verified is a pinned version, so staging has to have versions."""
    properties = synthesis.bucket(kind)[1]["Properties"]
    assert properties["VersioningConfiguration"] == {"Status": "Enabled"}
    assert properties["LoggingConfiguration"]["DestinationBucketName"] == {"Ref": synthesis.bucket("logs")[0]}


def test_i6_staging_keeps_a_submission_for_longer_than_a_dead_letter_lives(synthesis: Synthesis) -> None:
    dead_letters_live = max(queue["MessageRetentionPeriod"] for queue in synthesis.of_type("AWS::SQS::Queue").values())
    [rule] = [rule for rule in _rules(synthesis, "staging") if "ExpirationInDays" in rule]
    assert rule["ExpirationInDays"] * DAY > dead_letters_live
    assert rule["NoncurrentVersionExpiration"]["NoncurrentDays"] * DAY > dead_letters_live


def _expiring(synthesis: Synthesis, kind: str) -> list[dict[str, Any]]:
    return [rule for rule in _rules(synthesis, kind) if "ExpirationInDays" in rule or "ExpirationDate" in rule]


@pytest.mark.parametrize(("kind", "prefixes"), [("cache", []), ("ledger", [WAITING_PREFIX])])
def test_what_is_published_and_decided_never_expires(synthesis: Synthesis, kind: str, prefixes: list[str]) -> None:
    assert [rule["Prefix"] for rule in _expiring(synthesis, kind)] == prefixes


def test_a_waiting_marker_that_was_left_over_goes_before_the_submission_that_it_would_wake(
    synthesis: Synthesis,
) -> None:
    [marker], [submission] = _expiring(synthesis, "ledger"), _expiring(synthesis, "staging")
    assert marker["Status"] == "Enabled"
    assert marker["ExpirationInDays"] < submission["ExpirationInDays"]


def test_a_new_narinfo_in_staging_becomes_a_message_and_nothing_else_does(synthesis: Synthesis) -> None:
    name, staging = synthesis.bucket("staging")
    [queue] = [name for name, queue in synthesis.of_type("AWS::SQS::Queue").items() if "RedrivePolicy" in queue]
    assert staging["Properties"]["NotificationConfiguration"] == {
        "QueueConfigurations": [
            {
                "Event": "s3:ObjectCreated:*",
                "Filter": {"S3Key": {"Rules": [{"Name": "suffix", "Value": NARINFO_SUFFIX}]}},
                "Queue": {"Fn::GetAtt": [queue, "Arn"]},
            }
        ]
    }
    others = [n for n, bucket in synthesis.of_type("AWS::S3::Bucket").items() if "NotificationConfiguration" in bucket]
    assert others == [name]
