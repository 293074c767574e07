"""Keys come and go, and are not shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from lambdas.keys.announcement import Announcements
from nixcache.errors import TransientError
from nixcache.signing import SecretKey
from protocol.outputs import Output
from tests.assayctl.conftest import Ended, Run, Stage


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
    assert (ended.code, "missing: assayctl announce-keys" in ended.out) == (1, True)


def test_an_imported_key_signs_and_only_its_public_half_is_shown(stage: Stage, run: Run, key_file: Path) -> None:
    """I8."""
    ended = run("import-key", str(key_file))
    secret = key_file.read_text().strip()
    assert ended.code == 0
    assert str(SecretKey.parse(secret).public_key) in ended.out
    assert secret.partition(":")[2] not in ended.out + ended.err
    assert _value(stage) == secret
    assert run("status").code == 0


def test_a_file_that_is_no_text_is_no_key(run: Run, tmp_path: Path) -> None:
    (tmp_path / "key.gpg").write_bytes(b"\x99\xff\x00")
    ended = run("import-key", str(tmp_path / "key.gpg"))
    assert (ended.code, "no secret key" in ended.err) == (2, True)


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


def _import(run: Run, directory: Path, key: SecretKey) -> Ended:
    file = directory / key.name
    file.write_text(f"{key.reveal()}\n")
    return run("import-key", str(file))


def test_a_retired_key_is_out_of_reach(stage: Stage, run: Run, tmp_path: Path) -> None:
    old, new = SecretKey.generate("mine-1"), SecretKey.generate("mine-2")
    for key in (old, new):
        assert _import(run, tmp_path, key).code == 0
    assert _value(stage, "AWSPREVIOUS") == old.reveal()
    status = run("status").out
    assert re.search(r"^  mine-2: signs since 20", status, re.MULTILINE)
    assert re.search(r"^  mine-1: signs beside it until 20", status, re.MULTILINE)
    assert run("retire-key", "mine-1").code == 0
    assert _value(stage) == new.reveal()
    with pytest.raises(stage.session.client("secretsmanager").exceptions.ResourceNotFoundException):
        _value(stage, "AWSPREVIOUS")
    ended = run("retire-key", "mine-1")
    assert (ended.code, ended.out.splitlines()[-1]) == (1, "mine-1 is not the previous key: there is none.")
    assert "mine-1" not in run("status").out
    # It may have leaked: a command from somebody's history must not have it sign again.
    ended = _import(run, tmp_path, old)
    assert (ended.code, "mine-1 was this cache's key before" in ended.err) == (2, True)
    assert _value(stage) == new.reveal()


def test_only_the_key_that_was_named_is_retired(stage: Stage, run: Run, tmp_path: Path) -> None:
    """Whoever is too late, or mistaken about which of the two leaked, must not retire the other."""
    old, new = SecretKey.generate("mine-1"), SecretKey.generate("mine-2")
    for key in (old, new):
        _import(run, tmp_path, key)
    ended = run("retire-key", "mine-2")
    assert (ended.code, "mine-2 is the key that signs" in ended.err) == (2, True)
    ended = run("retire-key", "mine-0")
    assert (ended.code, ended.out.splitlines()[-1]) == (1, "mine-0 is not the previous key: mine-1.")
    assert (_value(stage), _value(stage, "AWSPREVIOUS")) == (new.reveal(), old.reveal())


def test_a_retired_key_does_not_come_back_as_one_that_is_being_made(stage: Stage, run: Run, tmp_path: Path) -> None:
    """Secrets Manager leaves AWSPENDING at what a rotation has made, and would end the next rotation with it."""
    _import(run, tmp_path, SecretKey.generate("mine-1"))
    assert run("rotate-key").code == 0
    secrets, secret_id = stage.session.client("secretsmanager"), stage[Output.SIGNING_SECRET_NAME]

    def holder(of: str) -> str:
        versions = secrets.describe_secret(SecretId=secret_id)["VersionIdsToStages"]
        [version] = [version for version, stages in versions.items() if of in stages]
        return version

    # Back to the first, by AWS's own command: moto's PutSecretValue does not find what was made current by its stage.
    secrets.update_secret_version_stage(
        SecretId=secret_id,
        VersionStage="AWSCURRENT",
        MoveToVersionId=holder("AWSPREVIOUS"),
        RemoveFromVersionId=holder("AWSCURRENT"),
    )
    assert holder("AWSPENDING") == holder("AWSPREVIOUS")
    assert run("retire-key", f"{stage.name}.test-1").code == 0
    stages = secrets.describe_secret(SecretId=secret_id)["VersionIdsToStages"]
    assert {name for names in stages.values() for name in names}.isdisjoint({"AWSPREVIOUS", "AWSPENDING"})


def test_the_same_key_again_changes_nothing(stage: Stage, run: Run, tmp_path: Path) -> None:
    """Else it would push itself to the place of the one before, and that one out."""
    old, new = SecretKey.generate("mine-1"), SecretKey.generate("mine-2")
    for key in (old, new, new):
        assert _import(run, tmp_path, key).code == 0
    # Nor where nobody has learned of the first time.
    stage.session.client("s3").delete_object(Bucket=stage[Output.CACHE_BUCKET], Key="public-keys.json")
    assert _import(run, tmp_path, new).code == 0
    assert (_value(stage), _value(stage, "AWSPREVIOUS")) == (new.reveal(), old.reveal())


def test_an_import_goes_by_what_is_in_the_secret_and_not_by_what_was_announced(
    stage: Stage, run: Run, tmp_path: Path
) -> None:
    """After a change of which nobody was told, a second one would push out what readers trust."""
    first, second = SecretKey.generate("mine-1"), SecretKey.generate("mine-2")
    _import(run, tmp_path, first)
    s3, bucket = stage.session.client("s3"), stage[Output.CACHE_BUCKET]
    told = s3.get_object(Bucket=bucket, Key="public-keys.json")["Body"].read()
    _import(run, tmp_path, second)
    s3.put_object(Bucket=bucket, Key="public-keys.json", Body=told)
    ended = _import(run, tmp_path, SecretKey.generate("mine-3"))
    assert (ended.code, "readers may trust mine-1 alone" in ended.err) == (2, True)
    assert (_value(stage), _value(stage, "AWSPREVIOUS")) == (second.reveal(), first.reveal())


def test_back_to_the_key_before_loses_none(stage: Stage, run: Run, tmp_path: Path) -> None:
    old, new = SecretKey.generate("mine-1"), SecretKey.generate("mine-2")
    versions = []
    for key in (old, new, old):
        assert _import(run, tmp_path, key).code == 0
        secrets = stage.session.client("secretsmanager")
        versions.append(secrets.get_secret_value(SecretId=stage[Output.SIGNING_SECRET_NAME])["VersionId"])
    assert (_value(stage), _value(stage, "AWSPREVIOUS")) == (old.reveal(), new.reveal())
    # A version of its own, for the overlap counts from its date: the key between signs on beside it.
    assert len(set(versions)) == 3


def test_no_import_ends_an_overlap(stage: Stage, run: Run, tmp_path: Path) -> None:
    old, new = SecretKey.generate("mine-1"), SecretKey.generate("mine-2")
    for key in (old, new):
        _import(run, tmp_path, key)
    for ended in (_import(run, tmp_path, SecretKey.generate("mine-3")), run("rotate-key")):
        assert (ended.code, "readers may trust mine-1 alone" in ended.err) == (2, True)
        assert "assayctl retire-key mine-1" in ended.err
    assert (_value(stage), _value(stage, "AWSPREVIOUS")) == (new.reveal(), old.reveal())


def test_no_imported_key_takes_the_name_of_another(stage: Stage, run: Run, tmp_path: Path) -> None:
    """A reader knows one key by a name: even one that was retired long ago may be in its configuration."""
    _import(run, tmp_path, SecretKey.generate("mine-1"))
    _import(run, tmp_path, SecretKey.generate("mine-2"))
    run("retire-key", "mine-1")
    before = _value(stage)
    for name in ("mine-1", "mine-2"):
        ended = _import(run, tmp_path, SecretKey.generate(name))
        assert (ended.code, f"another key that is named {name}" in ended.err) == (2, True)
    assert _value(stage) == before


@pytest.mark.parametrize("failures", [1, 2])
def test_a_rotation_whose_announcement_fails_is_one_rotation(
    stage: Stage, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """Tried again under the same id: two new keys would push out what readers trust."""
    _import(run, tmp_path, SecretKey.generate("mine-1"))
    left = iter(range(failures))
    announce = Announcements.announce

    def fail_first(*arguments: Any) -> tuple[str, ...]:  # noqa: ANN401  whatever the method takes
        for _ in left:
            raise TransientError("S3 is away.")
        return announce(*arguments)

    monkeypatch.setattr(Announcements, "announce", fail_first)
    ended = run("rotate-key")
    assert (ended.code, ended.out.splitlines()[-2:]) == (0, [f"{stage.name}.test-1", "mine-1"])
    assert SecretKey.parse(_value(stage, "AWSPREVIOUS")).name == "mine-1"


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
    run("retire-key", "mine-1")
    announced = stage.session.client("s3").get_object(Bucket=stage[Output.CACHE_BUCKET], Key="public-keys")["Body"]
    assert len(announced.read().decode().splitlines()) == 1


def test_a_function_that_fails_is_one_line(stage: Stage, run: Run) -> None:
    stage.session.client("s3").delete_bucket(Bucket=stage[Output.CACHE_BUCKET])
    ended = run("rotate-key")
    assert (ended.code, len(ended.err.splitlines())) == (4, 1)
    assert f"{stage.name}-keys failed: " in ended.err
    assert "A new key may have been made all the same" in ended.err
