"""The queue: only staging feeds it, and nothing that it holds is lost."""

from __future__ import annotations

from typing import Any

import pytest

from protocol.delivery import FUNCTION_TIMEOUT_SECONDS, MAX_RECEIVE_COUNT
from tests.stacks.conftest import Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, ADMINISTRATOR, REGION, Account


@pytest.fixture(scope="module")
def queues(synthesis: Synthesis) -> tuple[str, dict[str, Any], str, dict[str, Any]]:
    """The ingest queue's logical id and properties, and those of the dead letters."""
    every = synthesis.of_type("AWS::SQS::Queue")
    [queue] = [name for name, properties in every.items() if "RedrivePolicy" in properties]
    [dead_letters] = set(every) - {queue}
    return queue, every[queue], dead_letters, every[dead_letters]


def test_i6_what_fails_again_and_again_becomes_a_dead_letter_and_keeps_ten_days_more(
    queues: tuple[str, dict[str, Any], str, dict[str, Any]],
) -> None:
    _, properties, dead_letters, kept = queues
    assert properties["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": [dead_letters, "Arn"]},
        "maxReceiveCount": MAX_RECEIVE_COUNT,
    }
    ten_days = 10 * 24 * 60 * 60
    assert kept["MessageRetentionPeriod"] - properties["MessageRetentionPeriod"] >= ten_days
    # Every delivery and its time-out fit into a message's life, or it would expire on its way to the dead letters.
    assert MAX_RECEIVE_COUNT * properties["VisibilityTimeout"] < properties["MessageRetentionPeriod"]


def test_a_message_stays_hidden_for_six_times_the_longest_run(
    queues: tuple[str, dict[str, Any], str, dict[str, Any]],
) -> None:
    assert queues[1]["VisibilityTimeout"] >= 6 * FUNCTION_TIMEOUT_SECONDS


def test_both_queues_are_encrypted_and_speak_tls_only(synthesis: Synthesis, account: Account) -> None:
    for name, properties in synthesis.of_type("AWS::SQS::Queue").items():
        assert properties["SqsManagedSseEnabled"] is True
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        assert account.decide(ADMINISTRATOR, "sqs:SendMessage", arn)
        assert not account.decide(ADMINISTRATOR, "sqs:SendMessage", arn, aws__SecureTransport="false")


def test_i8_no_service_but_s3_sends_and_only_for_our_staging_bucket(
    queues: tuple[str, dict[str, Any], str, dict[str, Any]], synthesis: Synthesis, account: Account
) -> None:
    queue, _, _, _ = queues
    allowed = [
        account.resolve(statement)
        for policy in synthesis.of_type("AWS::SQS::QueuePolicy").values()
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Effect"] == "Allow"
    ]
    assert allowed == [
        {
            "Sid": "StagingAnnouncesNarinfos",
            "Effect": "Allow",
            "Principal": {"Service": "s3.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}",
            "Condition": {
                "ArnEquals": {"aws:SourceArn": f"arn:aws:s3:::assay-test-staging-{ACCOUNT}-{REGION}"},
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
            },
        }
    ]


def test_the_queue_accepts_events_before_the_bucket_sends_them(
    queues: tuple[str, dict[str, Any], str, dict[str, Any]], synthesis: Synthesis
) -> None:
    """S3 refuses a notification whose queue does not take its test event: without the order a deployment may fail."""
    [policy] = [
        name
        for name, properties in synthesis.of_type("AWS::SQS::QueuePolicy").items()
        if properties["Queues"] == [{"Ref": queues[0]}]
    ]
    assert policy in synthesis.bucket("staging")[1]["DependsOn"]
