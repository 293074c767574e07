"""How a builder comes to its role. What the role may do, and who may assume it: test_access.py."""

from __future__ import annotations

from protocol.keys import BuilderName
from protocol.outputs import describe_role
from tests.stacks.conftest import Synthesis
from tests.stacks.policy_evaluator import Account
from tests.stacks.template import ACCOUNT


def _role(account: Account, builder: str) -> str:
    return account.role(f"Builder{builder}").rpartition("/")[2]


def test_an_operators_command_line_finds_each_role_by_its_builders_name(synthesis: Synthesis) -> None:
    """Two names may differ in a dash alone, which a logical id does not have."""
    described = [output.get("Description") for output in synthesis.template["Outputs"].values()]
    for builder in ("ci", "ci-2", "github-branch"):
        assert described.count(describe_role(BuilderName(builder))) == 1


def _outputs(synthesis: Synthesis, prefix: str) -> list[object]:
    return [output["Value"] for name, output in synthesis.template["Outputs"].items() if name.startswith(prefix)]


def test_each_role_is_an_output(account: Account, synthesis: Synthesis) -> None:
    for builder in ("ci", "ci2", "githubbranch", "githubenvironment", "gitlab", "farm", "mac"):
        arn = {"Fn::GetAtt": [_role(account, builder), "Arn"]}
        assert arn in _outputs(synthesis, f"Builder{builder}RoleArn")


def test_instances_get_the_role_through_a_profile_of_its_own(account: Account, synthesis: Synthesis) -> None:
    [(name, profile)] = synthesis.of_type("AWS::IAM::InstanceProfile").items()
    assert profile == {"Roles": [{"Ref": _role(account, "farm")}]}
    assert _outputs(synthesis, "BuilderfarmInstanceProfileName") == [{"Ref": name}]


def test_certificates_get_the_role_through_a_profile_of_its_own(account: Account, synthesis: Synthesis) -> None:
    [(name, profile)] = synthesis.of_type("AWS::RolesAnywhere::Profile").items()
    assert profile == {
        "Enabled": True,
        "Name": "assay-test-mac",
        "RoleArns": [{"Fn::GetAtt": [_role(account, "mac"), "Arn"]}],
    }
    assert _outputs(synthesis, "BuildermacProfileArn") == [{"Fn::GetAtt": [name, "ProfileArn"]}]


def test_certificates_may_be_named_in_a_session(account: Account, synthesis: Synthesis) -> None:
    """Roles Anywhere sets tags and a source identity with each session, and gets none where it may not."""
    [statement] = synthesis.of_type("AWS::IAM::Role")[_role(account, "mac")]["AssumeRolePolicyDocument"]["Statement"]
    assert sorted(statement["Action"]) == ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]


def test_each_issuer_is_made_known_once_and_for_good(synthesis: Synthesis) -> None:
    """Another stage or team may have come to trust it, too."""
    providers = {
        name: resource
        for name, resource in synthesis.template["Resources"].items()
        if resource["Type"] == "AWS::IAM::OIDCProvider"
    }
    assert sorted(resource["Properties"]["Url"] for resource in providers.values()) == [
        "https://gitlab.example.org",
        "https://token.actions.githubusercontent.com",
    ]
    for resource in providers.values():
        assert resource["Properties"]["ClientIdList"] == ["sts.amazonaws.com"]
        assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain")


def test_a_role_trusts_the_provider_of_its_own_account(account: Account, synthesis: Synthesis) -> None:
    role = synthesis.of_type("AWS::IAM::Role")[_role(account, "gitlab")]
    [statement] = account.resolve(role["AssumeRolePolicyDocument"]["Statement"])
    assert statement["Principal"] == {"Federated": f"arn:aws:iam::{ACCOUNT}:oidc-provider/gitlab.example.org"}
