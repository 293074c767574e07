"""One file for each stage, and those that the project ships."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from protocol.keys import BuilderName
from protocol.policy import SubmissionPolicy
from stacks.config import Builder
from stacks.config_file import StageError, read_config
from stacks.identities.iam_principal import IamPrincipal
from stacks.identities.identity import KINDS
from tests.stacks.conftest import ROOT

LEAST = "builders: {ci: {ec2: this-account}}\nquorum: []\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "config").mkdir()
    for stage in ("dev", "prod"):
        (tmp_path / "config" / f"{stage}.yaml").write_text(LEAST)
    return tmp_path


@pytest.mark.parametrize(("stage", "name"), [(None, "dev"), ("dev", "dev"), ("prod", "prod")])
def test_the_file_is_named_like_the_stage(root: Path, stage: object, name: str) -> None:
    assert read_config(root, stage).stage == name


def test_a_stage_without_a_file_is_told_which_there_are(root: Path) -> None:
    with pytest.raises(StageError) as caught:
        read_config(root, "staging")
    assert str(caught.value) == (
        "config/staging.yaml: cannot be read: No such file or directory; the stages are dev, prod"
    )


def test_a_directory_without_any_stage(tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"the stages are none$"):
        read_config(tmp_path, None)


@pytest.mark.parametrize("stage", ["", "Prod", "prod-", "-prod", "a" * 17, "prod\n", "../prod", 1, ["prod"]])
def test_what_cannot_name_a_stage_is_no_path_either(root: Path, stage: object) -> None:
    with pytest.raises(StageError, match=r"^-c stage: .* is not 1 to 16 characters of a-z, 0-9 and -"):
        read_config(root, stage)


def test_the_stage_that_is_deployed_as_shipped() -> None:
    config = read_config(ROOT, None)
    builder = BuilderName("builder-1")
    assert config.builders == (Builder(builder, IamPrincipal("this-account")),)
    assert config.policy == SubmissionPolicy.open_to([builder], config.max_nar_size)


def test_the_example_for_production_shows_every_kind_of_builder() -> None:
    config = read_config(ROOT, "prod")
    written = (ROOT / "config/prod.yaml").read_text()
    assert {kind for kind in KINDS if re.search(rf"^    {kind}:", written, re.MULTILINE)} == set(KINDS)
    assert [rule.builders for rule in config.policy.quorum] == [1, 2]


def test_what_the_example_has_as_a_comment_is_right_too(root: Path) -> None:
    written = (ROOT / "config/prod.yaml").read_text()
    (root / "config/prod.yaml").write_text(re.sub(r"^# (?=\w+: )", "", written, flags=re.MULTILINE))
    config = read_config(root, "prod")
    assert (config.permissions_boundary, config.backup_region) == ("developers-boundary", "eu-west-1")
