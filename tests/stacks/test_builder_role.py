"""What a builder may do, and everything that it may not (I8)."""

from __future__ import annotations

import pytest

from nixcache.store_path import parse_hash_part
from protocol.keys import (
    BuilderName,
    CacheNarInfoKey,
    NarFile,
    ProvenanceKey,
    ResultKey,
    StagingNarInfoKey,
    StagingNarKey,
    WaitingKey,
)
from tests.stacks.conftest import Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, REGION, Account

CI, CI_2 = BuilderName("ci"), BuilderName("ci-2")
HASH_PART = parse_hash_part("0123456789abcdfghijklmnpqrsvwxyz")
NAR = NarFile("0" * 52, ".zst")


def _arn(bucket: str, key: object = "") -> str:
    name = f"arn:aws:s3:::assay-test-{bucket}-{ACCOUNT}-{REGION}"
    return f"{name}/{key}" if key else name


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        ("s3:PutObject", _arn("staging", StagingNarInfoKey(CI, HASH_PART)), {}),
        ("s3:PutObject", _arn("staging", StagingNarKey(CI, NAR)), {}),
        ("s3:PutObject", _arn("staging", StagingNarKey(CI, NAR)), {"s3__x_amz_storage_class": "STANDARD"}),
        ("s3:AbortMultipartUpload", _arn("staging", StagingNarKey(CI, NAR)), {}),
        ("s3:GetObject", _arn("ledger", ResultKey(CI, HASH_PART)), {}),
        ("s3:ListBucket", _arn("ledger"), {"s3__prefix": str(ResultKey(CI, HASH_PART))}),
    ],
)
def test_a_builder_uploads_below_its_prefix_and_reads_its_results(
    account: Account, action: str, resource: str, context: dict[str, str]
) -> None:
    assert account.decide(account.role("Builderci"), action, resource, **context)


@pytest.mark.parametrize(
    ("action", "resource", "context"),
    [
        pytest.param("s3:PutObject", _arn("staging", StagingNarInfoKey(CI_2, HASH_PART)), {}, id="another's narinfo"),
        pytest.param("s3:PutObject", _arn("staging", StagingNarKey(CI_2, NAR)), {}, id="another's NAR"),
        pytest.param("s3:PutObject", _arn("staging", CacheNarInfoKey(HASH_PART)), {}, id="outside every prefix"),
        pytest.param("s3:PutObject", _arn("staging", "ci"), {}, id="its prefix without the slash"),
        *(
            pytest.param("s3:PutObject", _arn("staging", StagingNarKey(CI, NAR)), context, id=f"what S3 {refuses}")
            for refuses, context in (
                ("hands out after hours", {"s3__x_amz_storage_class": "GLACIER"}),
                ("cannot decrypt", {"s3__x_amz_server_side_encryption_customer_algorithm": "AES256"}),
                ("may not decrypt", {"s3__x_amz_server_side_encryption": "aws:kms"}),
            )
        ),
        pytest.param("s3:PutObject", _arn("ledger", ResultKey(CI, HASH_PART)), {}, id="a verdict of its own making"),
        pytest.param("s3:PutObject", _arn("cache", CacheNarInfoKey(HASH_PART)), {}, id="the cache"),
        pytest.param(
            "s3:PutObject", _arn("cache", CacheNarInfoKey(HASH_PART)), {"s3__if_none_match": "*"}, id="the cache, new"
        ),
        pytest.param("s3:GetObject", _arn("staging", StagingNarKey(CI, NAR)), {}, id="reading back its upload"),
        pytest.param("s3:GetObjectVersion", _arn("staging", StagingNarKey(CI, NAR)), {}, id="an older upload"),
        pytest.param("s3:GetObject", _arn("staging", StagingNarKey(CI_2, NAR)), {}, id="another's upload"),
        pytest.param("s3:DeleteObject", _arn("staging", StagingNarKey(CI, NAR)), {}, id="deleting its upload"),
        pytest.param("s3:DeleteObjectVersion", _arn("staging", StagingNarKey(CI, NAR)), {}, id="deleting a version"),
        pytest.param("s3:PutObjectTagging", _arn("staging", StagingNarKey(CI, NAR)), {}, id="tags"),
        pytest.param("s3:PutObjectAcl", _arn("staging", StagingNarKey(CI, NAR)), {}, id="access control lists"),
        pytest.param("s3:GetObject", _arn("ledger", ResultKey(CI_2, HASH_PART)), {}, id="another's result"),
        pytest.param("s3:GetObject", _arn("ledger", ProvenanceKey(HASH_PART)), {}, id="provenance"),
        pytest.param("s3:GetObject", _arn("ledger", WaitingKey(HASH_PART, CI, HASH_PART)), {}, id="waiting markers"),
        pytest.param("s3:ListBucket", _arn("ledger"), {}, id="listing the whole ledger"),
        pytest.param("s3:ListBucket", _arn("ledger"), {"s3__prefix": "results/"}, id="listing all builders"),
        pytest.param(
            "s3:ListBucket", _arn("ledger"), {"s3__prefix": "results/ci"}, id="listing names that begin alike"
        ),
        pytest.param(
            "s3:ListBucket", _arn("ledger"), {"s3__prefix": CI_2.results_prefix}, id="listing another's results"
        ),
        pytest.param("s3:ListBucket", _arn("staging"), {"s3__prefix": "ci/"}, id="listing staging"),
        pytest.param("s3:ListBucket", _arn("cache"), {}, id="listing the cache"),
        pytest.param("s3:PutBucketNotification", _arn("staging"), {}, id="the notification"),
        pytest.param(
            "secretsmanager:GetSecretValue",
            f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:assay/test/signing-key-AbCdEf",
            {},
            id="the signing key",
        ),
        pytest.param("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/administrator", {}, id="another role"),
    ],
)
def test_i8_a_builder_may_do_nothing_else(
    account: Account, action: str, resource: str, context: dict[str, str]
) -> None:
    assert not account.decide(account.role("Builderci"), action, resource, **context)


def test_i8_no_action_that_the_table_above_does_not_name(account: Account) -> None:
    assert account.actions_of(account.role("Builderci")) == {
        "s3:PutObject",
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:ListBucket",
    }


def test_i8_a_builder_cannot_send_itself_a_submission_through_the_queue(account: Account, synthesis: Synthesis) -> None:
    for queue in synthesis.of_type("AWS::SQS::Queue"):
        arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{queue}"
        for action in ("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:PurgeQueue"):
            assert not account.decide(account.role("Builderci"), action, arn)


def test_an_upload_over_plain_http_is_refused(account: Account) -> None:
    resource = _arn("staging", StagingNarKey(CI, NAR))
    assert not account.decide(account.role("Builderci"), "s3:PutObject", resource, aws__SecureTransport="false")
    assert not account.decide(account.role("Builderci"), "s3:PutObject", resource, s3__TlsVersion="1.1")


@pytest.mark.parametrize(
    ("construct", "principal"),
    [
        ("Builderci", f"arn:aws:iam::{ACCOUNT}:root"),
        ("Builderci2", "arn:aws:iam::444455556666:role/runner"),
    ],
)
def test_only_the_configured_principal_assumes_the_role(
    account: Account, synthesis: Synthesis, construct: str, principal: str
) -> None:
    role = synthesis.of_type("AWS::IAM::Role")[account.role(construct).rpartition("/")[2]]
    assert account.resolve(role["AssumeRolePolicyDocument"]["Statement"]) == [
        {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"AWS": principal}}
    ]
