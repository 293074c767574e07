"""The sweeper: it lists waiting markers and sends messages, once a day, and can do nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from nixcache.store_path import parse_hash_part
from protocol.keys import (
    BuilderName,
    CacheNarInfoKey,
    ProvenanceKey,
    ResultKey,
    StagingNarInfoKey,
    VoteKey,
    WaitingKey,
)
from protocol.settings import SweepSettings
from tests.stacks.conftest import Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, REGION, Account

CI = BuilderName("ci")
HASH_PART = parse_hash_part("0123456789abcdfghijklmnpqrsvwxyz")
MARKER = WaitingKey(HASH_PART, CI, HASH_PART)


def _arn(bucket: str, key: object = "") -> str:
    name = f"arn:aws:s3:::assay-test-{bucket}-{ACCOUNT}-{REGION}"
    return f"{name}/{key}" if key else name


@pytest.fixture(scope="module")
def function(synthesis: Synthesis) -> dict[str, Any]:
    return synthesis.function("sweep")


@pytest.mark.parametrize("prefix", ["waiting/", WaitingKey.prefix(HASH_PART)])
def test_it_lists_markers(account: Account, prefix: str) -> None:
    assert account.decide(account.role("SweeperRole"), "s3:ListBucket", _arn("ledger"), s3__prefix=prefix)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        pytest.param("s3:ListBucket", _arn("ledger"), {}, id="listing the whole ledger"),
        pytest.param("s3:ListBucket", _arn("ledger"), {"s3__prefix": "results/"}, id="listing results"),
        pytest.param("s3:ListBucket", _arn("ledger"), {"s3__prefix": "waiting"}, id="a prefix without its slash"),
        pytest.param("s3:ListBucket", _arn("staging"), {"s3__prefix": "waiting/"}, id="listing another bucket"),
        pytest.param("s3:GetObject", _arn("ledger", MARKER), {}, id="reading a marker"),
        pytest.param("s3:PutObject", _arn("ledger", MARKER), {}, id="leaving a marker"),
        pytest.param("s3:DeleteObject", _arn("ledger", MARKER), {}, id="taking a marker away"),
        pytest.param("s3:GetObject", _arn("ledger", ResultKey(CI, HASH_PART)), {}, id="reading a result"),
        pytest.param("s3:PutObject", _arn("ledger", ResultKey(CI, HASH_PART)), {}, id="rejecting somebody"),
        pytest.param(
            "s3:PutObject", _arn("ledger", VoteKey(HASH_PART, CI)), {"s3__if_none_match": "*"}, id="casting a vote"
        ),
        pytest.param("s3:GetObject", _arn("ledger", ProvenanceKey(HASH_PART)), {}, id="reading provenance"),
        pytest.param("s3:GetObject", _arn("staging", StagingNarInfoKey(CI, HASH_PART)), {}, id="reading a submission"),
        pytest.param("s3:GetObject", _arn("cache", CacheNarInfoKey(HASH_PART)), {}, id="reading the cache"),
        pytest.param(
            "s3:PutObject", _arn("cache", CacheNarInfoKey(HASH_PART)), {"s3__if_none_match": "*"}, id="publishing"
        ),
        pytest.param(
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:assay/test/signing-key-AbCdEf",
            {},
            id="the signing key",
        ),
        pytest.param("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/administrator", {}, id="another role"),
    ],
)
def test_i8_it_may_do_nothing_else(account: Account, action: str, resource: str, context: dict[str, str]) -> None:
    assert not account.decide(account.role("SweeperRole"), action, resource, **context)


def test_i8_no_action_that_the_table_above_does_not_name(account: Account) -> None:
    assert account.actions_of(account.role("SweeperRole")) == {
        "s3:ListBucket",
        "sqs:SendMessage",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
    }


def test_it_sends_to_ingests_queue_alone_and_takes_nothing_from_it(account: Account, synthesis: Synthesis) -> None:
    for name, properties in synthesis.of_type("AWS::SQS::Queue").items():
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        assert account.decide(account.role("SweeperRole"), "sqs:SendMessage", arn) is ("RedrivePolicy" in properties)
        for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:PurgeQueue"):
            assert not account.decide(account.role("SweeperRole"), action, arn)


def test_only_lambda_assumes_the_role_and_only_the_sweeper_has_it(
    account: Account, synthesis: Synthesis, function: dict[str, Any]
) -> None:
    name = account.role("SweeperRole").rpartition("/")[2]
    assert synthesis.of_type("AWS::IAM::Role")[name]["AssumeRolePolicyDocument"]["Statement"] == [
        {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    ]
    having = [f for f in synthesis.of_type("AWS::Lambda::Function").values() if f["Role"]["Fn::GetAtt"][0] == name]
    assert having == [function]


def test_once_a_day_and_by_our_rule_alone(synthesis: Synthesis) -> None:
    permissions = synthesis.of_type("AWS::Lambda::Permission").values()
    functions = synthesis.of_type("AWS::Lambda::Function")
    [permission] = [
        permission
        for permission in permissions
        if functions[permission["FunctionName"]["Fn::GetAtt"][0]] == synthesis.function("sweep")
    ]
    rule = permission["SourceArn"]["Fn::GetAtt"][0]
    properties = synthesis.of_type("AWS::Events::Rule")[rule]
    [target] = properties["Targets"]
    assert (properties["ScheduleExpression"], properties["State"]) == ("rate(1 day)", "ENABLED")
    assert target["Arn"] == permission["FunctionName"]
    assert synthesis.of_type("AWS::Lambda::Function")[target["Arn"]["Fn::GetAtt"][0]] == synthesis.function("sweep")
    assert permission["Principal"] == "events.amazonaws.com"
    assert permission["SourceArn"] == {"Fn::GetAtt": [rule, "Arn"]}


def test_the_handler_reads_from_its_environment_what_the_stack_was_configured_with(
    function: dict[str, Any], synthesis: Synthesis, account: Account
) -> None:
    [queue] = [name for name, queue in synthesis.of_type("AWS::SQS::Queue").items() if "RedrivePolicy" in queue]
    assert SweepSettings.from_environment(account.resolve(function["Environment"]["Variables"])) == SweepSettings(
        ledger_bucket=f"assay-test-ledger-{ACCOUNT}-{REGION}",
        queue_url=queue,
        max_waiting_seconds=3 * 86400,
        stage="test",
    )


def test_it_runs_like_ingest_is_traced_and_its_logs_expire(function: dict[str, Any], synthesis: Synthesis) -> None:
    ingest = synthesis.function("ingest")
    assert [function[name] for name in ("Runtime", "Architectures")] == [
        ingest[name] for name in ("Runtime", "Architectures")
    ]
    assert function["TracingConfig"] == {"Mode": "Active"}
    log_group = function["LoggingConfig"]["LogGroup"]["Ref"]
    assert log_group != ingest["LoggingConfig"]["LogGroup"]["Ref"]
    assert synthesis.of_type("AWS::Logs::LogGroup")[log_group]["RetentionInDays"] == 90
