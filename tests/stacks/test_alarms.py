"""What wakes an operator: that it does, that it says what to read, and that only AWS can make it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from lambdas import emf
from stacks import metrics
from tests.stacks.conftest import ROOT, Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, Account

OURS = {"service": "ingest", "stage": "test"}


@pytest.fixture(scope="session")
def alarms(synthesis: Synthesis, account: Account) -> dict[str, dict[str, Any]]:
    """The alarms, references put in, by what the name says of them."""
    found = map(account.resolve, synthesis.of_type("AWS::CloudWatch::Alarm").values())
    return {alarm["AlarmName"].removeprefix("assay-test-"): alarm for alarm in found}


@pytest.fixture(scope="session")
def topic(synthesis: Synthesis, account: Account) -> str:
    [name] = synthesis.of_type("AWS::SNS::Topic")
    return account.arn(name)


def test_there_is_one_for_each_thing_that_does_not_mend_itself(alarms: dict[str, dict[str, Any]]) -> None:
    assert set(alarms) == {
        "DeadLetters",
        "OldestSubmission",
        "Conflicts",
        "Disproved",
        "PutBack",
        "FunctionErrors",
        "FunctionThrottles",
    }


def test_each_tells_the_topic_when_it_begins_and_when_it_is_over(alarms: dict[str, dict[str, Any]], topic: str) -> None:
    for alarm in alarms.values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]


def test_each_names_a_runbook_that_is_there_and_is_in_the_index(alarms: dict[str, dict[str, Any]]) -> None:
    index = (ROOT / "docs" / "runbooks" / "README.md").read_text()
    for name, alarm in alarms.items():
        [runbook] = re.findall(r"Runbook: (docs/runbooks/[a-z-]+\.md)$", alarm["AlarmDescription"])
        assert (ROOT / runbook).read_text().startswith("# ")
        assert f"`{name}`" in index
        assert f"({runbook.removeprefix('docs/runbooks/')})" in index


def test_a_deployment_that_nobody_uses_is_quiet(alarms: dict[str, dict[str, Any]]) -> None:
    assert {alarm["TreatMissingData"] for alarm in alarms.values()} == {"notBreaching"}
    assert {alarm["ComparisonOperator"] for alarm in alarms.values()} == {"GreaterThanOrEqualToThreshold"}


@pytest.mark.parametrize(
    ("name", "metric", "dimensions"),
    [
        ("Conflicts", "Submissions", OURS | {"verdict": "conflict"}),
        ("Disproved", "Disproved", OURS),
        ("PutBack", "PutBack", OURS),
    ],
)
def test_it_looks_at_what_ingest_counts(
    alarms: dict[str, dict[str, Any]], name: str, metric: str, dimensions: dict[str, str]
) -> None:
    """`tests/ingest/test_telemetry.py` holds the same names against what ingest writes."""
    alarm = alarms[name]
    assert (alarm["Namespace"], alarm["MetricName"], alarm["Statistic"]) == ("Assay", metric, "Sum")
    assert {each["Name"]: each["Value"] for each in alarm["Dimensions"]} == dimensions


def test_the_stack_looks_where_ingest_writes() -> None:
    """They share no module: what runs in Lambda imports nothing of the infrastructure, nor the other way round."""
    assert metrics.NAMESPACE == emf.NAMESPACE


def test_the_first_dead_letter_alarms(alarms: dict[str, dict[str, Any]], synthesis: Synthesis) -> None:
    alarm = alarms["DeadLetters"]
    assert (alarm["Threshold"], alarm["EvaluationPeriods"], alarm["Statistic"]) == (1, 1, "Maximum")
    assert alarm["MetricName"] == "ApproximateNumberOfMessagesVisible"
    [template] = [
        properties
        for properties in synthesis.of_type("AWS::CloudWatch::Alarm").values()
        if properties["AlarmName"].endswith("DeadLetters")
    ]
    [dimension] = template["Dimensions"]
    assert dimension["Value"]["Fn::GetAtt"][0].startswith("IngestQueueDeadLetters")


@pytest.mark.parametrize(("name", "metric"), [("FunctionErrors", "Errors"), ("FunctionThrottles", "Throttles")])
def test_no_function_is_left_unwatched(
    alarms: dict[str, dict[str, Any]], synthesis: Synthesis, name: str, metric: str
) -> None:
    watched = [each["MetricStat"]["Metric"] for each in alarms[name]["Metrics"] if "MetricStat" in each]
    assert {each["MetricName"] for each in watched} == {metric}
    functions = {dimension["Value"] for each in watched for dimension in each["Dimensions"]}
    assert functions == set(synthesis.of_type("AWS::Lambda::Function"))
    [expression] = [each["Expression"] for each in alarms[name]["Metrics"] if "Expression" in each]
    assert expression.count("FILL(") == len(functions)


def test_every_function_is_traced_and_its_log_is_kept_for_three_months(synthesis: Synthesis) -> None:
    """A log that is kept for ever is paid for for ever; one that Lambda makes by itself is."""
    kept = {name: group["RetentionInDays"] for name, group in synthesis.of_type("AWS::Logs::LogGroup").items()}
    assert set(kept.values()) == {90}
    for function in synthesis.of_type("AWS::Lambda::Function").values():
        assert function["LoggingConfig"]["LogGroup"]["Ref"] in kept
        assert function["TracingConfig"] == {"Mode": "Active"}


def test_the_operator_of_the_configuration_is_told(synthesis: Synthesis, account: Account) -> None:
    [subscription] = map(account.resolve, synthesis.of_type("AWS::SNS::Subscription").values())
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "operators@example.org")


def test_only_aws_itself_publishes_and_only_for_this_account(
    synthesis: Synthesis, account: Account, topic: str
) -> None:
    """An alarm that anybody can send is one that nobody believes."""
    [rule] = [name for name in synthesis.of_type("AWS::Events::Rule") if name.startswith("OperationsSecretWatch")]
    here = {"aws:SecureTransport": "true", "aws:SourceAccount": ACCOUNT, "aws:SourceArn": account.arn(rule)}
    elsewhere = here | {"aws:SourceAccount": "999988887777", "aws:SourceArn": "arn:aws:events:eu-central-1:999:rule/x"}
    for service in ("cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"):
        assert account.allows(service, "sns:Publish", topic, here)
        assert not account.allows(service, "sns:Publish", topic, elsewhere)
    assert not account.allows("anybody", "sns:Publish", topic, here)


def test_the_budget_is_told_before_the_money_is_spent(synthesis: Synthesis, account: Account, topic: str) -> None:
    [budget] = map(account.resolve, synthesis.of_type("AWS::Budgets::Budget").values())
    assert budget["Budget"]["BudgetLimit"] == {"Amount": 50, "Unit": "USD"}
    told = [each["Notification"] for each in budget["NotificationsWithSubscribers"]]
    assert [(each["NotificationType"], each["Threshold"]) for each in told] == [("ACTUAL", 80), ("FORECASTED", 100)]
    addresses = {
        (each["SubscriptionType"], each["Address"])
        for notification in budget["NotificationsWithSubscribers"]
        for each in notification["Subscribers"]
    }
    assert addresses == {("SNS", topic)}


# The watch over the signing key.

SECRET = "assay/test/signing-key"
ARN = f"arn:aws:secretsmanager:eu-central-1:{ACCOUNT}:secret:{SECRET}-AbCdEf"
PERSON = {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/operator"}
ROOT_OF_ACCOUNT = {"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root"}


def _session(role: str) -> dict[str, Any]:
    return {
        "type": "AssumedRole",
        "arn": f"{role.replace(':iam:', ':sts:')}/session",
        "sessionContext": {"sessionIssuer": {"type": "Role", "arn": role}},
    }


def _event(who: dict[str, Any], call: str = "GetSecretValue", **detail: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "source": "aws.secretsmanager",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {
            "eventSource": "secretsmanager.amazonaws.com",
            "eventName": call,
            "userIdentity": who,
            "requestParameters": {"secretId": SECRET, "versionStage": "AWSCURRENT"},
            **detail,
        },
    }


@pytest.fixture(scope="session")
def watch(synthesis: Synthesis, account: Account) -> dict[str, Any]:
    """The rule that watches over the signing key, references put in."""
    [rule] = [
        account.resolve(properties)
        for name, properties in synthesis.of_type("AWS::Events::Rule").items()
        if name.startswith("OperationsSecretWatch")
    ]
    assert isinstance(rule, dict)
    return rule


def test_it_sees_reads_too(watch: dict[str, Any]) -> None:
    """An EventBridge rule that is merely enabled never gets GetSecretValue: CloudTrail calls it read-only."""
    assert watch["State"] == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


def test_it_says_who_did_what_and_what_to_read(watch: dict[str, Any]) -> None:
    [target] = watch["Targets"]
    template = target["InputTransformer"]["InputTemplate"]
    assert set(re.findall("<([a-z]+)>", template)) == set(target["InputTransformer"]["InputPathsMap"])
    [runbook] = re.findall(r"Runbook: (docs/runbooks/[a-z-]+\.md)", template)
    assert (ROOT / runbook).is_file()


@pytest.mark.parametrize("who", [PERSON, ROOT_OF_ACCOUNT, _session(f"arn:aws:iam::{ACCOUNT}:role/administrator")])
@pytest.mark.parametrize(
    ("call", "detail"),
    [
        ("GetSecretValue", {}),
        ("GetSecretValue", {"requestParameters": {"secretId": ARN}}),
        ("GetSecretValue", {"requestParameters": {"secretId": ARN.removesuffix("-AbCdEf")}}),
        ("BatchGetSecretValue", {"requestParameters": {"secretIdList": ["another", SECRET]}}),
        (
            "GetSecretValue",
            {
                "requestParameters": None,
                "errorCode": "AccessDenied",
                "errorMessage": f"User: X is not authorized to perform: … on resource: {SECRET} with an explicit deny",
            },
        ),
        ("PutSecretValue", {}),
        ("UpdateSecretVersionStage", {}),
        ("DeleteResourcePolicy", {}),
        ("ReplicateSecretToRegions", {}),
    ],
)
def test_whoever_else_touches_the_key_is_told_of(
    watch: dict[str, Any], who: dict[str, Any], call: str, detail: dict[str, Any]
) -> None:
    """I8: people with an administrator's rights among them, and who tried in vain."""
    assert _matches(watch["EventPattern"], _event(who, call, **detail))


def test_what_is_meant_to_happen_is_not(watch: dict[str, Any], account: Account) -> None:
    ingest = _session(account.role("IngestRole"))
    person = _session(f"arn:aws:iam::{ACCOUNT}:role/administrator")
    assert not _matches(watch["EventPattern"], _event(ingest))
    assert not _matches(watch["EventPattern"], _event(person, "DescribeSecret"))
    assert not _matches(watch["EventPattern"], _event(person, requestParameters={"secretId": "another/key"}))
    assert not _matches(watch["EventPattern"], _event(person) | {"source": "aws.s3"})


def _matches(pattern: dict[str, Any], event: object) -> bool:
    """EventBridge's decision, as far as our pattern uses its language; what it does not know raises."""
    fields = event if isinstance(event, dict) else {}
    return all(
        any(_matches(each, fields) for each in wanted) if name == "$or" else _field(wanted, fields.get(name, ...))
        for name, wanted in pattern.items()
    )


def _field(wanted: Any, value: object) -> bool:  # noqa: ANN401  a pattern, or the values that match
    if isinstance(wanted, dict):
        return _matches(wanted, value)
    values = value if isinstance(value, list) else [value]
    return any(_value(each, one) for each in wanted for one in values)


def _value(wanted: object, value: object) -> bool:
    match wanted:
        case str():
            return value == wanted
        case {"wildcard": str(text)}:
            return isinstance(value, str) and bool(re.fullmatch(re.escape(text).replace(r"\*", ".*"), value))
        case {"anything-but": list(others)}:
            return value is not ... and value not in others
        case {"exists": False}:
            return value is ...
        case _:
            raise AssertionError(f"{wanted} is not known")
