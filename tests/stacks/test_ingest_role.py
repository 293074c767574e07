"""What ingest may do: no more than its work needs."""

from __future__ import annotations

import ast

import botocore
import botocore.loaders
import pytest

from tests.stacks.conftest import ROOT, Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, ADMINISTRATOR, ANYBODY, ELSEWHERE, NOBODY, REGION, Account

HASH_PART = "0123456789abcdfghijklmnpqrsvwxyz"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:assay/test/signing-key"


# What a call of the API needs (Service Authorization Reference). An operation that is not here fails the test by name.
ACTIONS = {
    "complete_multipart_upload": {"s3:PutObject"},
    "copy_object": {"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"},
    "create_multipart_upload": {"s3:PutObject"},
    "delete_objects": {"s3:DeleteObject"},
    "get_object": {"s3:GetObject", "s3:GetObjectVersion"},
    "get_secret_value": {"secretsmanager:GetSecretValue"},
    "head_object": {"s3:GetObject"},
    "list_object_versions": {"s3:ListBucketVersions"},
    "list_objects_v2": {"s3:ListBucket"},
    "put_object": {"s3:PutObject"},
    "send_message_batch": {"sqs:SendMessage"},
    "change_message_visibility": {"sqs:ChangeMessageVisibility"},
    "upload_part_copy": {"s3:GetObject", "s3:GetObjectVersion", "s3:PutObject"},
}


def _arn(bucket: str, key: str = "") -> str:
    name = f"arn:aws:s3:::assay-test-{bucket}-{ACCOUNT}-{REGION}"
    return f"{name}/{key}" if key else name


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        ("s3:GetObject", _arn("staging", f"ci/{HASH_PART}.narinfo")),
        ("s3:GetObjectVersion", _arn("staging", f"ci/nar/{'0' * 52}.nar.zst")),
        ("s3:ListBucket", _arn("staging")),
        ("s3:ListBucketVersions", _arn("staging")),
        ("s3:GetObject", _arn("cache", f"{HASH_PART}.narinfo")),
        ("s3:PutObject", _arn("cache", f"nar/{'0' * 52}.nar.zst")),
        ("s3:PutObject", _arn("cache", f"{HASH_PART}.ls")),
        ("s3:PutObject", _arn("cache", "nix-cache-info")),
        ("s3:ListBucket", _arn("cache")),
        ("s3:PutObject", _arn("ledger", f"results/ci/{HASH_PART}.json")),
        ("s3:GetObject", _arn("ledger", f"results/ci/{HASH_PART}.json")),
        ("s3:PutObject", _arn("ledger", f"provenance/{HASH_PART}.json")),
        ("s3:GetObject", _arn("ledger", f"provenance/{HASH_PART}.json")),
        ("s3:GetObject", _arn("ledger", f"votes/{HASH_PART}/ci.json")),
        ("s3:PutObject", _arn("ledger", f"orphans/{'0' * 52}.nar.zst")),
        ("s3:PutObject", _arn("ledger", f"waiting/{HASH_PART}/ci/{HASH_PART}")),
        ("s3:DeleteObject", _arn("ledger", f"waiting/{HASH_PART}/ci/{HASH_PART}")),
        ("s3:ListBucket", _arn("ledger")),
        ("secretsmanager:GetSecretValue", f"{SECRET}-AbCdEf"),
    ],
)
def test_ingest_may_do_its_work(account: Account, action: str, resource: str) -> None:
    assert account.decide(account.role("IngestRole"), action, resource)


@pytest.mark.parametrize(
    ("action", "resource"),
    [
        pytest.param("s3:DeleteObject", _arn("cache", f"{HASH_PART}.narinfo"), id="unpublishing"),
        pytest.param("s3:DeleteObjectVersion", _arn("cache", f"{HASH_PART}.narinfo"), id="unpublishing a version"),
        pytest.param("s3:DeleteObject", _arn("ledger", f"votes/{HASH_PART}/ci.json"), id="deleting a vote"),
        pytest.param("s3:DeleteObject", _arn("ledger", f"provenance/{HASH_PART}.json"), id="deleting provenance"),
        pytest.param("s3:GetObjectVersion", _arn("ledger", f"votes/{HASH_PART}/ci.json"), id="reading what was"),
        pytest.param("s3:ListBucketVersions", _arn("cache"), id="listing what was published"),
        pytest.param("s3:ListBucketVersions", _arn("ledger"), id="listing what was decided"),
        pytest.param("s3:PutObject", _arn("cache", "index.html"), id="a kind of key that it does not publish"),
        pytest.param("s3:PutObject", _arn("staging", f"ci/{HASH_PART}.narinfo"), id="submitting"),
        pytest.param("s3:DeleteObject", _arn("staging", f"ci/{HASH_PART}.narinfo"), id="deleting a submission"),
        pytest.param("s3:DeleteObject", _arn("ledger", f"results/ci/{HASH_PART}.json"), id="deleting a verdict"),
        pytest.param("s3:PutBucketPolicy", _arn("cache"), id="its own limits"),
        pytest.param("secretsmanager:PutSecretValue", f"{SECRET}-AbCdEf", id="changing the key"),
        pytest.param("secretsmanager:GetSecretValue", f"{SECRET}-2-AbCdEf", id="a secret with a longer name"),
        pytest.param("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/administrator", id="another role"),
    ],
)
def test_ingest_may_do_nothing_beyond_it(account: Account, action: str, resource: str) -> None:
    assert not account.decide(account.role("IngestRole"), action, resource, s3__if_none_match="*")


def test_ingest_may_do_what_its_code_calls_and_what_its_platform_needs_and_no_more(account: Account) -> None:
    platform = {
        # The event source's poller acts as this role.
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:GetQueueAttributes",
        "sqs:GetQueueUrl",
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTraceSegments",
        "xray:PutTelemetryRecords",
        # So that S3 answers 404 for what is not there.
        "s3:ListBucket",
    }
    called = {action for operation in _operations_called() for action in ACTIONS[operation]}
    assert account.actions_of(account.role("IngestRole")) == platform | called


def _operations_called() -> set[str]:
    """AWS operations of the services that ingest speaks to, as its code names them."""
    loader = botocore.loaders.Loader()
    known = {
        botocore.xform_name(operation)
        for service in ("s3", "sqs", "secretsmanager")
        for operation in loader.load_service_model(service, "service-2")["operations"]
    }
    return {
        node.func.attr
        for source in (ROOT / "lambdas" / "ingest").rglob("*.py")
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in known
    }


@pytest.mark.parametrize("who", ["ingest", "administrator"])
def test_i3_nobody_overwrites_a_narinfo(account: Account, who: str) -> None:
    principal = account.role("IngestRole") if who == "ingest" else ADMINISTRATOR
    narinfo = _arn("cache", f"{HASH_PART}.narinfo")
    assert not account.decide(principal, "s3:PutObject", narinfo)
    assert account.decide(principal, "s3:PutObject", narinfo, s3__if_none_match="*")


@pytest.mark.parametrize("who", ["ingest", "administrator"])
def test_nobody_replaces_a_vote(account: Account, who: str) -> None:
    """One builder, one vote: S3 holds ingest to it, whatever its code says."""
    principal = account.role("IngestRole") if who == "ingest" else ADMINISTRATOR
    vote = _arn("ledger", f"votes/{HASH_PART}/ci.json")
    assert not account.decide(principal, "s3:PutObject", vote)
    assert not account.decide(principal, "s3:PutObject", vote, s3__if_match="etag")
    assert account.decide(principal, "s3:PutObject", vote, s3__if_none_match="*")


def test_i8_three_functions_read_the_signing_key_and_nobody_else(account: Account) -> None:
    everybody = {*account.roles(), ADMINISTRATOR, ELSEWHERE, NOBODY, ANYBODY}
    readers = {who for who in everybody if account.decide(who, "secretsmanager:GetSecretValue", f"{SECRET}-AbCdEf")}
    assert readers == {account.role(name) for name in ("IngestRole", "KeysRole", "ResigningRole")}


def test_i8_no_role_is_granted_more_of_any_secret_than_this(account: Account) -> None:
    """What the secret's own policy denies counts as granted here: that policy is a second wall, not the first."""
    read = ("secretsmanager:GetSecretValue", f"{SECRET}-??????")
    granted = {
        who: secrets
        for who in account.roles()
        if (secrets := {grant for grant in account.grants_of(who) if _is_of_secrets(*grant)})
    }
    assert granted == {
        account.role("IngestRole"): {read},
        account.role("ResigningRole"): {read},
        account.role("KeysRole"): {
            read,
            ("secretsmanager:DescribeSecret", f"{SECRET}-??????"),
            ("secretsmanager:PutSecretValue", f"{SECRET}-??????"),
            ("secretsmanager:UpdateSecretVersionStage", f"{SECRET}-??????"),
        },
    }


def _is_of_secrets(action: str, resource: str) -> bool:
    """Whether a grant may be one, as far as its wildcards go."""
    service = action.partition(":")[0].lower()
    return service == "secretsmanager" or "*" in service or ":secretsmanager:" in resource


def test_an_operator_can_put_the_key_in(account: Account) -> None:
    assert account.decide(ADMINISTRATOR, "secretsmanager:PutSecretValue", f"{SECRET}-AbCdEf")


def test_ingest_reads_its_queue_and_wakes_through_it_and_leaves_the_dead_letters_alone(
    account: Account, synthesis: Synthesis
) -> None:
    for name, properties in synthesis.of_type("AWS::SQS::Queue").items():
        is_ingest_queue = "RedrivePolicy" in properties
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
        for action in ("sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:SendMessage"):
            assert account.decide(account.role("IngestRole"), action, arn) is is_ingest_queue


def test_only_lambda_assumes_the_role(account: Account, synthesis: Synthesis) -> None:
    role = synthesis.of_type("AWS::IAM::Role")[account.role("IngestRole").rpartition("/")[2]]
    assert role["AssumeRolePolicyDocument"]["Statement"] == [
        {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}}
    ]
