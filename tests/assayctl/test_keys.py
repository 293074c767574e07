"""Keys come and go, and are not shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from nixcache.signing import SecretKey
from protocol.outputs import Output
from tests.assayctl.conftest import Run, Stage


def _value(stage: Stage, version_stage: str = "AWSCURRENT") -> str:
    secrets = stage.session.client("secretsmanager")
    return str(
        secrets.get_secret_value(SecretId=stage[Output.SIGNING_SECRET_NAME], VersionStage=version_stage)["SecretString"]
    )


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    file = tmp_path / "key"
    file.write_text(f"{SecretKey.generate('mine-1').reveal()}\n")
    return file


def test_a_deployment_without_a_key_is_said(run: Run) -> None:
    ended = run("status")
    assert (ended.code, "missing: assayctl rotate-key" in ended.out) == (1, True)


def test_an_imported_key_signs_and_only_its_public_half_is_shown(stage: Stage, run: Run, key_file: Path) -> None:
    """I8."""
    ended = run("import-key", str(key_file))
    secret = key_file.read_text().strip()
    assert ended.code == 0
    assert str(SecretKey.parse(secret).public_key) in ended.out
    assert secret.partition(":")[2] not in ended.out + ended.err
    assert _value(stage) == secret
    assert run("status").code == 0


@pytest.mark.parametrize("text", ["", "nonsense", "name:notbase64", "cache.example.org-1:AAAA"])
def test_what_is_no_key_is_refused_and_not_shown(
    stage: Stage, run: Run, key_file: Path, tmp_path: Path, text: str
) -> None:
    run("import-key", str(key_file))
    wrong = tmp_path / "wrong"
    wrong.write_text(text)
    ended = run("import-key", str(wrong))
    assert ended.code == 2
    assert not text or text not in ended.err
    assert _value(stage) == key_file.read_text().strip()


def test_a_retired_key_is_out_of_reach(stage: Stage, run: Run, key_file: Path, tmp_path: Path) -> None:
    run("import-key", str(key_file))
    new = tmp_path / "new"
    new.write_text(SecretKey.generate("mine-2").reveal())
    run("import-key", str(new))
    assert _value(stage, "AWSPREVIOUS") == key_file.read_text().strip()
    assert "signs beside it" in run("status").out
    assert run("retire-key").code == 0
    assert _value(stage) == new.read_text()
    with pytest.raises(stage.session.client("secretsmanager").exceptions.ResourceNotFoundException):
        _value(stage, "AWSPREVIOUS")
    ended = run("retire-key")
    assert (ended.code, ended.out) == (1, "There is no previous key.\n")


def test_a_key_is_made_by_command_and_readers_are_told(stage: Stage, run: Run, key_file: Path) -> None:
    """I8: nobody sees it on the way."""
    run("import-key", str(key_file))
    ended = run("rotate-key")
    assert (ended.code, ended.out.splitlines()[-2:]) == (0, [f"{stage.name}.test-1", "mine-1"])
    assert _value(stage).partition(":")[2] not in ended.out
    announced = stage.session.client("s3").get_object(Bucket=stage[Output.CACHE_BUCKET], Key="public-keys")["Body"]
    assert announced.read().decode().splitlines() == [
        str(SecretKey.parse(_value(stage, of)).public_key) for of in ("AWSCURRENT", "AWSPREVIOUS")
    ]
    run("retire-key")
    announced = stage.session.client("s3").get_object(Bucket=stage[Output.CACHE_BUCKET], Key="public-keys")["Body"]
    assert len(announced.read().decode().splitlines()) == 1


def test_a_function_that_fails_is_one_line(stage: Stage, run: Run) -> None:
    stage.session.client("s3").delete_bucket(Bucket=stage[Output.CACHE_BUCKET])
    ended = run("rotate-key")
    assert (ended.code, len(ended.err.splitlines())) == (4, 1)
    assert f"{stage.name}-keys failed: " in ended.err
