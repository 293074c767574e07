"""The secret: there before the key is, and there after the stack is gone."""

from __future__ import annotations

from tests.stacks.conftest import Synthesis


def test_the_template_holds_no_key_and_makes_none(synthesis: Synthesis) -> None:
    """A generated value would be no Nix key, and a value in a template is no secret."""
    [secret] = synthesis.of_type("AWS::SecretsManager::Secret").values()
    assert secret["Name"] == "assay/test/signing-key"
    assert not {"SecretString", "GenerateSecretString"} & set(secret)


def test_the_key_outlives_the_stack(synthesis: Synthesis) -> None:
    [secret] = [r for r in synthesis.template["Resources"].values() if r["Type"] == "AWS::SecretsManager::Secret"]
    assert secret["DeletionPolicy"] == "RetainExceptOnCreate"
    assert secret["UpdateReplacePolicy"] == "Retain"


def test_i8_the_key_stays_closed_when_the_stack_is_gone(synthesis: Synthesis) -> None:
    """The secret is left behind, and who may read everything in the account would read it."""
    [policy] = [
        resource
        for resource in synthesis.template["Resources"].values()
        if resource["Type"] == "AWS::SecretsManager::ResourcePolicy"
    ]
    assert (policy["DeletionPolicy"], policy["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    # By ARN, in a condition: in a Principal, IAM would put a number in place of a role that is gone.
    for statement in policy["Properties"]["ResourcePolicy"]["Statement"]:
        assert statement["Principal"] == {"AWS": "*"}
        assert set(statement["Condition"]) == {"ArnNotEquals"}
