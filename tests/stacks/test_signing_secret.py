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
    assert secret["DeletionPolicy"] == "Retain"
    assert secret["UpdateReplacePolicy"] == "Retain"
