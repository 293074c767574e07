"""What an account's administrators ask of every stack: boundaries, tags, protection."""

from __future__ import annotations

import json
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_iam as iam

from stacks.permissions_boundary import permissions_boundary
from tests.stacks.conftest import Synthesis
from tests.stacks.policy_evaluator import Account
from tests.stacks.template import ACCOUNT


@pytest.fixture(scope="module")
def stack(synthesis: Synthesis) -> dict[str, Any]:
    """The stack, as the manifest hands it to the CDK command line."""
    manifest = json.loads((synthesis.directory / "manifest.json").read_text())
    properties: dict[str, Any] = manifest["artifacts"]["Assay"]["properties"]
    return properties


def test_every_role_has_the_boundary(synthesis: Synthesis, account: Account) -> None:
    roles = synthesis.of_type("AWS::IAM::Role").values()
    assert {account.resolve(role["PermissionsBoundary"]) for role in roles} == {
        f"arn:aws:iam::{ACCOUNT}:policy/developers"
    }


def test_a_boundary_of_another_path_is_written_as_an_arn() -> None:
    boundary = f"arn:aws:iam::{ACCOUNT}:policy/path/developers"
    stack = cdk.Stack(cdk.App(), "Stack", permissions_boundary=permissions_boundary(boundary))
    iam.Role(stack, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
    [role] = cdk.assertions.Template.from_stack(stack).find_resources("AWS::IAM::Role").values()
    assert role["Properties"]["PermissionsBoundary"] == boundary


def test_without_one_there_is_none() -> None:
    assert permissions_boundary(None) is None


def test_the_tags_are_the_stacks_which_cloudformation_gives_to_every_resource(stack: dict[str, Any]) -> None:
    assert stack["tags"] == {"team": "build"}


def test_the_stack_is_protected_unless_told_otherwise(stack: dict[str, Any]) -> None:
    assert stack["terminationProtection"] is True
