"""What wakes an operator: that it does, that it says what to read, and that only AWS can make it."""

from __future__ import annotations

import json
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


@pytest.mark.parametrize(
    ("name", "statistic", "threshold", "periods"),
    [
        ("DeadLetters", "Maximum", 1, 1),
        ("OldestSubmission", "Maximum", 3600, 3),
        ("Conflicts", "Sum", 1, 1),
        ("Disproved", "Sum", 1, 1),
        ("PutBack", "Sum", 20, 3),
        ("FunctionErrors", "Sum", 1, 1),
        ("FunctionThrottles", "Sum", 1, 3),
    ],
)
def test_it_alarms_at_this_much_for_so_many_times_five_minutes(
    alarms: dict[str, dict[str, Any]], name: str, statistic: str, threshold: int, periods: int
) -> None:
    """At the threshold, not above it; and where nothing is counted nothing is wrong."""
    alarm = alarms[name]
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert (alarm["Threshold"], alarm["EvaluationPeriods"]) == (threshold, periods)
    assert alarm.get("DatapointsToAlarm", periods) == periods
    assert alarm["TreatMissingData"] == "notBreaching"
    assert alarm.get("ActionsEnabled", True) is True
    measured = [(each["MetricStat"]["Stat"], each["MetricStat"]["Period"]) for each in _stats(alarm)]
    assert set(measured or [(alarm["Statistic"], alarm["Period"])]) == {(statistic, 300)}


def _stats(alarm: dict[str, Any]) -> list[dict[str, Any]]:
    return [each for each in alarm.get("Metrics", []) if "MetricStat" in each]


def test_the_age_is_that_of_what_ingest_has_not_taken(alarms: dict[str, dict[str, Any]], synthesis: Synthesis) -> None:
    alarm = alarms["OldestSubmission"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateAgeOfOldestMessage")
    [queue] = [name for name, each in synthesis.of_type("AWS::SQS::Queue").items() if "RedrivePolicy" in each]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": queue}]


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


def test_it_looks_at_the_queue_of_what_was_given_up(alarms: dict[str, dict[str, Any]], synthesis: Synthesis) -> None:
    alarm = alarms["DeadLetters"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/SQS", "ApproximateNumberOfMessagesVisible")
    [queue] = [name for name, each in synthesis.of_type("AWS::SQS::Queue").items() if "RedrivePolicy" not in each]
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": queue}]


@pytest.mark.parametrize(("name", "metric"), [("FunctionErrors", "Errors"), ("FunctionThrottles", "Throttles")])
def test_no_function_is_left_unwatched(
    alarms: dict[str, dict[str, Any]], synthesis: Synthesis, name: str, metric: str
) -> None:
    watched = [each["MetricStat"]["Metric"] for each in alarms[name]["Metrics"] if "MetricStat" in each]
    assert {each["MetricName"] for each in watched} == {metric}
    functions = {dimension["Value"] for each in watched for dimension in each["Dimensions"]}
    assert functions == set(synthesis.of_type("AWS::Lambda::Function"))
    [expression] = [each for each in alarms[name]["Metrics"] if "Expression" in each]
    # All of them added up: none weighs less, and none that nobody calls makes the sum unknown.
    ids = [each["Id"] for each in _stats(alarms[name])]
    assert expression["Expression"] == " + ".join(f"FILL({each}, 0)" for each in ids)
    assert len(ids) == len(functions)
    assert {each["ReturnData"] for each in _stats(alarms[name])} == {False}


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
    rules = [name for name in synthesis.of_type("AWS::Events::Rule") if name.startswith("OperationsSecretWatch")]
    assert len(rules) == 2
    for rule in rules:
        here = {"aws:SecureTransport": "true", "aws:SourceAccount": ACCOUNT, "aws:SourceArn": account.arn(rule)}
        there = here | {"aws:SourceAccount": "999988887777", "aws:SourceArn": "arn:aws:events:eu-central-1:999:rule/x"}
        for service in ("cloudwatch.amazonaws.com", "events.amazonaws.com", "budgets.amazonaws.com"):
            assert account.allows(service, "sns:Publish", topic, here)
            assert not account.allows(service, "sns:Publish", topic, there)
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


def _rule(synthesis: Synthesis, account: Account, construct_id: str) -> dict[str, Any]:
    """A rule of the watch, references put in."""
    [rule] = [
        account.resolve(properties)
        for name, properties in synthesis.of_type("AWS::Events::Rule").items()
        if re.fullmatch(f"OperationsSecretWatch{construct_id}[0-9A-F]{{8}}", name)
    ]
    assert isinstance(rule, dict)
    return rule


@pytest.fixture(scope="session")
def watch(synthesis: Synthesis, account: Account) -> dict[str, Any]:
    return _rule(synthesis, account, "Rule")


@pytest.fixture(scope="session")
def code_watch(synthesis: Synthesis, account: Account) -> dict[str, Any]:
    return _rule(synthesis, account, "Code")


@pytest.fixture(scope="session")
def signers(synthesis: Synthesis) -> dict[str, str]:
    """By package, the names of the functions whose role reads the key."""
    return {
        properties["Handler"].split(".")[1]: name
        for name, properties in synthesis.of_type("AWS::Lambda::Function").items()
        if re.match("(Ingest|Keys|Resigning)Role", properties["Role"]["Fn::GetAtt"][0])
    }


def test_it_sees_reads_too(watch: dict[str, Any]) -> None:
    """An EventBridge rule that is merely enabled never gets GetSecretValue: CloudTrail calls it read-only."""
    assert watch["State"] == "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"


@pytest.mark.parametrize("construct_id", ["Rule", "Code"])
def test_it_says_who_did_what_and_what_to_read(synthesis: Synthesis, account: Account, construct_id: str) -> None:
    [target] = _rule(synthesis, account, construct_id)["Targets"]
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
        ("RestoreSecret", {}),
        ("RotateSecret", {}),
        ("CancelRotateSecret", {}),
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


def test_the_pattern_on_the_secret_is_this_one(watch: dict[str, Any], account: Account) -> None:
    """Each operator with its values: a pattern that says more is deaf to something, and nothing shows it."""
    names = [SECRET, {"wildcard": f"arn:*:secret:{SECRET}"}, {"wildcard": f"arn:*:secret:{SECRET}-*"}]
    functions = [account.role(name) for name in ("IngestRole", "KeysRole", "ResigningRole")]
    assert watch["EventPattern"] == {
        "source": ["aws.secretsmanager"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "eventSource": ["secretsmanager.amazonaws.com"],
            "eventName": [
                *("GetSecretValue", "BatchGetSecretValue", "ReplicateSecretToRegions"),
                *("PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage", "DeleteSecret", "RestoreSecret"),
                *("RotateSecret", "CancelRotateSecret", "PutResourcePolicy", "DeleteResourcePolicy"),
            ],
            "$or": [
                {"requestParameters": {"secretId": names}},
                {"requestParameters": {"secretIdList": names}},
                {"errorMessage": [{"wildcard": f"*{SECRET}*"}]},
            ],
            "userIdentity": {
                "$or": [
                    {"sessionContext": {"sessionIssuer": {"arn": [{"anything-but": functions}]}}},
                    {"sessionContext": {"sessionIssuer": {"arn": [{"exists": False}]}}},
                ]
            },
        },
    }


# And over the code that may read it.

CODE_CALLS = ("UpdateFunctionCode20150331v2", "UpdateFunctionConfiguration20150331v2", "CreateFunction20150331")
BY_CLOUDFORMATION = {"sourceIPAddress": "cloudformation.amazonaws.com"}


def _code_event(call: str, parameters: dict[str, str] | None, **detail: str) -> dict[str, Any]:
    return {
        "source": "aws.lambda",
        "detail-type": "AWS API Call via CloudTrail",
        "detail": {
            "eventSource": "lambda.amazonaws.com",
            "eventName": call,
            "userIdentity": PERSON,
            "sourceIPAddress": "192.0.2.1",
            "requestParameters": parameters,
            **detail,
        },
    }


@pytest.mark.parametrize("function", ["ingest", "keys", "resign"])
@pytest.mark.parametrize("call", CODE_CALLS[:2])
def test_whoever_changes_the_code_that_reads_the_key_is_told_of(
    code_watch: dict[str, Any], signers: dict[str, str], account: Account, function: str, call: str
) -> None:
    """I8: whoever may change a function reads what it reads. By name, by ARN, by part of an ARN; and who is refused."""
    name = signers[function]
    for given in (name, account.arn(name), f"{ACCOUNT}:function:{name}"):
        assert _matches(code_watch["EventPattern"], _code_event(call, {"functionName": given}))
    refused = f"User: X is not authorized to perform: lambda:X on resource: {account.arn(name)} because no policy"
    assert _matches(code_watch["EventPattern"], _code_event(call, None, errorMessage=refused))


@pytest.mark.parametrize("role", ["IngestRole", "KeysRole", "ResigningRole"])
@pytest.mark.parametrize("detail", [{}, BY_CLOUDFORMATION])
@pytest.mark.parametrize("call", CODE_CALLS[1:])
def test_another_function_with_a_role_that_reads_the_key_is_told_of(
    code_watch: dict[str, Any], account: Account, role: str, detail: dict[str, str], call: str
) -> None:
    """I8: a stack of somebody's own can make it, too."""
    parameters = {"functionName": "theirs", "role": account.role(role)}
    assert _matches(code_watch["EventPattern"], _code_event(call, parameters, **detail))


def test_a_deployment_is_no_message(
    code_watch: dict[str, Any], signers: dict[str, str], synthesis: Synthesis, account: Account
) -> None:
    """Each changes the code of all functions: a message that comes with each of them is read by nobody."""
    roles = {"ingest": "IngestRole", "keys": "KeysRole", "resign": "ResigningRole"}
    assert set(signers) == set(roles)
    for function, name in signers.items():
        for given in (name, account.arn(name)):
            for call in CODE_CALLS:
                for parameters in (
                    {"functionName": given},
                    {"functionName": given, "role": account.role(roles[function])},
                ):
                    event = _code_event(call, parameters, **BY_CLOUDFORMATION)
                    assert not _matches(code_watch["EventPattern"], event)
    for name in set(synthesis.of_type("AWS::Lambda::Function")) - set(signers.values()):
        for call in CODE_CALLS:
            assert not _matches(code_watch["EventPattern"], _code_event(call, {"functionName": name}))
    [ingest] = [name for package, name in signers.items() if package == "ingest"]
    for call in ("GetFunction20150331v2", "CreateFunctionUrlConfig", "TagResource20170331v2"):
        assert not _matches(code_watch["EventPattern"], _code_event(call, {"functionName": ingest}))


def test_the_pattern_on_code_is_this_one(code_watch: dict[str, Any], signers: dict[str, str], account: Account) -> None:
    names = [signers[package] for package in ("ingest", "keys", "resign")]
    roles = [account.role(name) for name in ("IngestRole", "KeysRole", "ResigningRole")]
    assert code_watch["State"] == "ENABLED"
    assert code_watch["EventPattern"] == {
        "source": ["aws.lambda"],
        "detail-type": ["AWS API Call via CloudTrail"],
        "detail": {
            "eventSource": ["lambda.amazonaws.com"],
            "eventName": [
                {"prefix": "UpdateFunctionCode"},
                {"prefix": "UpdateFunctionConfiguration"},
                {"prefix": "CreateFunction2"},
            ],
            "$or": [
                {
                    "requestParameters": {
                        "functionName": [*names, *({"suffix": f":function:{name}"} for name in names)]
                    },
                    "sourceIPAddress": [{"anything-but": ["cloudformation.amazonaws.com"]}],
                },
                {
                    "requestParameters": {
                        "role": roles,
                        "functionName": [{"anything-but": [*names, *map(account.arn, names)]}],
                    }
                },
                {"errorMessage": [{"wildcard": f"*:function:{name}*"} for name in names]},
            ],
        },
    }


@pytest.mark.parametrize("construct_id", ["Rule", "Code"])
def test_the_pattern_is_no_longer_than_eventbridge_takes(
    synthesis: Synthesis, account: Account, construct_id: str
) -> None:
    """2048 characters, unless an account asked for more; with room for names of 64, which CloudFormation makes up."""
    pattern = json.dumps(_rule(synthesis, account, construct_id)["EventPattern"], separators=(",", ":"))
    assert len(re.sub(r"(Ingest|Keys|Resigning)[A-Za-z]+[0-9A-F]{8}", "x" * 64, pattern)) <= 2048


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
        case {"prefix": str(text)}:
            return isinstance(value, str) and value.startswith(text)
        case {"suffix": str(text)}:
            return isinstance(value, str) and value.endswith(text)
        case {"anything-but": list(others)}:
            return value is not ... and value not in others
        case {"exists": False}:
            return value is ...
        case _:
            raise AssertionError(f"{wanted} is not known")
