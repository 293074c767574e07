"""The copy in another region: it takes all that is published, and outlives it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from cdk_nag import AwsSolutionsChecks

from stacks.backup_stack import BackupError, BackupStack
from stacks.config_parser import parse_config
from tests.stacks.conftest import CONFIG, Synthesis
from tests.stacks.policy_evaluator import ACCOUNT, Account

BACKUP = f"arn:aws:s3:::assay-test-backup-{ACCOUNT}-eu-west-1"


@pytest.fixture(scope="module")
def backup(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """The other stack's template; nothing is bundled for it."""
    directory = tmp_path_factory.mktemp("cdk.out")
    app = cdk.App(outdir=str(directory))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    BackupStack(app, "Backup", config=parse_config(CONFIG.encode(), file="config/test.yaml", stage="test"))
    app.synth()
    template = json.loads(Path(directory / "Backup.template.json").read_text())
    assert isinstance(template, dict)
    return template


@pytest.mark.parametrize(("kind", "prefixes"), [("cache", [""]), ("ledger", ["provenance/", "withdrawn.json"])])
def test_what_is_published_and_who_vouched_for_it_is_copied(
    synthesis: Synthesis, account: Account, kind: str, prefixes: list[str]
) -> None:
    _, bucket = synthesis.bucket(kind)
    configuration = account.resolve(bucket["Properties"]["ReplicationConfiguration"])
    assert configuration["Role"] == account.role("BackupRole")
    rules = configuration["Rules"]
    assert [(rule["Status"], rule["Filter"], rule["Priority"]) for rule in rules] == [
        ("Enabled", {"Prefix": prefix}, number) for number, prefix in enumerate(prefixes, start=1)
    ]
    assert {rule["Destination"]["Bucket"] for rule in rules} == {BACKUP}


def test_what_is_deleted_here_stays_there(synthesis: Synthesis, account: Account) -> None:
    role = account.role("BackupRole")
    for kind in ("cache", "ledger"):
        for rule in synthesis.bucket(kind)[1]["Properties"]["ReplicationConfiguration"]["Rules"]:
            assert rule["DeleteMarkerReplication"] == {"Status": "Disabled"}
    key = f"{BACKUP}/{'a' * 32}.narinfo"
    assert account.allows(role, "s3:ReplicateObject", key, {})
    for action in ("s3:ReplicateDelete", "s3:DeleteObject", "s3:DeleteObjectVersion", "s3:PutObject"):
        assert not account.allows(role, action, key, {})


def test_nothing_else_of_the_ledger_leaves_the_region(account: Account) -> None:
    """I8: what builders were told and what they voted is read by them alone."""
    role, ledger = account.role("BackupRole"), f"arn:aws:s3:::assay-test-ledger-{ACCOUNT}-eu-central-1"
    read = "s3:GetObjectVersionForReplication"
    secure = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}
    assert account.allows(role, read, f"{ledger}/provenance/x.json", secure)
    assert account.allows(role, read, f"{ledger}/withdrawn.json", secure)
    assert not account.allows(role, read, f"{ledger}/results/ci/x.json", secure)
    assert not account.allows(role, "s3:GetObject", f"{ledger}/provenance/x.json", secure)


def test_the_bucket_there_is_the_one_that_is_named_here(backup: Mapping[str, Any]) -> None:
    [bucket] = [each for each in backup["Resources"].values() if each["Type"] == "AWS::S3::Bucket"]
    assert BACKUP.endswith(bucket["Properties"]["BucketName"])
    assert bucket["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    assert all(bucket["Properties"]["PublicAccessBlockConfiguration"].values())


def test_it_is_a_bucket_and_its_policy_and_nothing_else(backup: Mapping[str, Any]) -> None:
    assert sorted(each["Type"] for each in backup["Resources"].values()) == [
        "AWS::S3::Bucket",
        "AWS::S3::BucketPolicy",
    ]


def test_of_a_stage_without_a_region_for_it_there_is_none() -> None:
    without = CONFIG.replace("backupRegion: eu-west-1\n", "")
    with pytest.raises(BackupError, match="test has no backupRegion"):
        BackupStack(cdk.App(), "Backup", config=parse_config(without.encode(), file="x.yaml", stage="test"))
