"""The template as a whole: nothing hidden in it, and nothing that the checkers object to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.stacks.conftest import Synthesis

ALL_TYPES = {
    "AWS::Budgets::Budget",
    "AWS::CloudFront::CachePolicy",
    "AWS::CloudFront::Distribution",
    "AWS::CloudFront::OriginAccessControl",
    "AWS::CloudFront::ResponseHeadersPolicy",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::Events::Rule",
    "AWS::IAM::InstanceProfile",
    "AWS::IAM::OIDCProvider",
    "AWS::IAM::Policy",
    "AWS::IAM::Role",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::RolesAnywhere::Profile",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::ResourcePolicy",
    "AWS::SecretsManager::Secret",
    "AWS::StepFunctions::StateMachine",
}


def test_no_resource_of_a_kind_that_we_did_not_write(synthesis: Synthesis) -> None:
    """CDK's conveniences bring custom resources (`Custom::…`), each a Lambda with rights of its own."""
    assert {resource["Type"] for resource in synthesis.template["Resources"].values()} == ALL_TYPES


def test_the_only_lambdas_are_ours_and_run_the_same_code(synthesis: Synthesis) -> None:
    functions = synthesis.of_type("AWS::Lambda::Function").values()
    assert sorted(properties["Handler"] for properties in functions) == [
        "lambdas.ingest.handler.handler",
        "lambdas.keys.handler.handler",
        "lambdas.resign.handler.handler",
        "lambdas.site.handler.handler",
        "lambdas.sweep.handler.handler",
    ]
    [_] = {properties["Code"]["S3Key"] for properties in functions}


def test_cdk_nag_finds_nothing_that_was_not_answered_for(synthesis: Synthesis) -> None:
    [report] = synthesis.nag["pluginReports"]
    assert report["pluginName"] == "AwsSolutions"
    assert report["violations"] == []
    assert report["conclusion"] == "success"


def test_only_what_the_design_means_is_answered_for(synthesis: Synthesis) -> None:
    [report] = synthesis.nag["pluginReports"]
    rules = {violation["ruleName"].partition("[")[0] for violation in report["suppressedViolations"]}
    assert rules == {
        "AwsSolutions-CFR1",  # readers of all countries
        "AwsSolutions-CFR2",  # no firewall before immutable objects
        "AwsSolutions-CFR4",  # without a domain, CloudFront's own certificate
        "AwsSolutions-IAM5",
        "AwsSolutions-SMG4",
    }


def test_cfn_lint_finds_nothing(synthesis: Synthesis) -> None:
    # W3005: CDK writes a DependsOn from the function to its role beside the reference that says the same.
    command = [str(Path(sys.executable).with_name("cfn-lint")), "--ignore-checks", "W3005", "--"]
    template = synthesis.directory / "Assay.template.json"
    answer = subprocess.run([*command, str(template)], capture_output=True, text=True, check=False)
    assert (answer.returncode, answer.stdout) == (0, "")
