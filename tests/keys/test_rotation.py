"""A key's four steps, done once, twice, and after a crash anywhere."""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.client import BaseClient

from lambdas.keys.rotation import Rotation, Step
from lambdas.keys.secret import SigningSecret
from nixcache.errors import PermanentError, TransientError
from nixcache.signing import SecretKey
from protocol.signing_secret import next_key_name
from tests.keys.conftest import Keys

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_THROTTLED = (
    SimpleNamespace(status_code=400, headers={}),
    {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}, "ResponseMetadata": {"HTTPStatusCode": 400}},
)


@contextmanager
def _hooked(event: str, hook: Callable[..., Any], *clients: BaseClient) -> Iterator[None]:
    for client in clients:
        client.meta.events.register(event, hook, unique_id=event)
    try:
        yield
    finally:
        for client in clients:
            client.meta.events.unregister(event, unique_id=event)


def _drop(keys: Keys, stage: str) -> None:
    """Take a stage away, as an operator does."""
    secrets, secret_id = keys.clients.secrets, keys.settings.signing_secret_id
    versions = secrets.describe_secret(SecretId=secret_id)["VersionIdsToStages"]
    [version] = [version for version, stages in versions.items() if stage in stages]
    secrets.update_secret_version_stage(SecretId=secret_id, VersionStage=stage, RemoveFromVersionId=version)


@contextmanager
def _empty_version(keys: Keys) -> Iterator[str]:
    """Have Secrets Manager make an empty version, as it does before the first step; moto makes none without a value."""
    version_id = str(uuid.uuid4())

    def add(parsed: dict[str, Any], **_: object) -> None:
        parsed.setdefault("VersionIdsToStages", {}).setdefault(version_id, ["AWSPENDING"])

    with _hooked("after-call.secrets-manager.DescribeSecret", add, keys.clients.secrets):
        yield version_id


def test_a_new_deployment_gets_its_first_key_without_anybody(keys: Keys, capsys: pytest.CaptureFixture[str]) -> None:
    """I8: the secret half is in the secret, and in nothing that is printed or published."""
    assert keys.call() == ("cache.test-1",)
    key = keys.key()
    assert keys.get("public-keys").decode() == f"{key.public_key}\n"
    secret_half = keys.text().partition(":")[2]
    assert secret_half not in capsys.readouterr().out
    assert secret_half not in keys.get("public-keys.json").decode()


def test_two_that_find_no_key_make_one(keys: Keys) -> None:
    keys.call()
    first = keys.text()
    assert keys.call() == ("cache.test-1",)
    assert keys.text() == first


def test_a_secret_that_holds_something_else_is_left_alone(keys: Keys) -> None:
    keys.put("a note of somebody's")
    assert keys.call() == ()
    assert keys.text() == "a note of somebody's"


def test_a_rotation_makes_the_next_key_and_keeps_the_one_before(keys: Keys) -> None:
    keys.call()
    old, version = keys.text(), str(uuid.uuid4())
    assert keys.call(rotate=version) == ("cache.test-2", "cache.test-1")
    assert keys.text("AWSPREVIOUS") == old
    assert [key["name"] for key in keys.announced()] == ["cache.test-2", "cache.test-1"]
    now, before = keys.announced()
    assert now["until"] is None
    assert before["until"] is not None
    assert keys.get("public-keys").decode().splitlines() == [now["publicKey"], before["publicKey"]]


def test_the_same_rotation_twice_is_one(keys: Keys) -> None:
    keys.call()
    version = str(uuid.uuid4())
    keys.call(rotate=version)
    key = keys.text()
    assert keys.call(rotate=version) == ("cache.test-2", "cache.test-1")
    assert keys.text() == key


@pytest.mark.parametrize("twice", STEPS)
def test_a_step_that_comes_twice_is_done_once(keys: Keys, twice: str) -> None:
    keys.call()
    version = str(uuid.uuid4())
    keys.put(SecretKey.generate("cache.test-2").reveal(), version_id=version, stage="AWSPENDING")
    for step in STEPS:
        for _ in range(2 if step == twice else 1):
            keys.step(step, version)
    assert (keys.key().name, keys.key("AWSPREVIOUS").name) == ("cache.test-2", "cache.test-1")


def test_the_steps_come_one_by_one(keys: Keys) -> None:
    keys.call()
    version = str(uuid.uuid4())
    keys.put(SecretKey.generate("cache.test-2").reveal(), version_id=version, stage="AWSPENDING")
    pending = keys.text("AWSPENDING")
    for step in STEPS[:3]:
        keys.step(step, version)
        assert keys.key().name == "cache.test-1"
    keys.step(STEPS[3], version)
    assert keys.text() == pending
    assert keys.key("AWSPREVIOUS").name == "cache.test-1"


def test_a_version_that_nobody_makes_is_refused(keys: Keys) -> None:
    keys.call()
    with pytest.raises(TransientError, match="is not being made"):
        keys.step("createSecret", str(uuid.uuid4()))
    with pytest.raises(PermanentError, match="is no step"):
        keys.step("dropSecret", str(uuid.uuid4()))


def test_what_is_no_key_never_becomes_current(keys: Keys) -> None:
    """I1: what cannot sign must not take the place of what can."""
    keys.call()
    version = keys.begin()
    with pytest.raises(TransientError, match="holds no key"):
        keys.step("testSecret", version)
    assert keys.key().name == "cache.test-1"


def test_secrets_manager_rotates_an_empty_version(keys: Keys) -> None:
    """Its four calls, the first of which finds nothing and makes the key: no other step makes one."""
    keys.call()
    old = keys.text()
    with _empty_version(keys) as version_id:
        for step in STEPS:
            assert keys.text() == old
            keys.step(step, version_id)
    assert (keys.key().name, keys.text("AWSPREVIOUS")) == ("cache.test-2", old)


def test_a_schedule_can_be_set_before_there_is_any_key(keys: Keys) -> None:
    """Secrets Manager tries a new schedule by testSecret alone: it must not fail, and nothing may become current."""
    with _empty_version(keys) as version_id:
        assert keys.step("testSecret", version_id) == ()
        with pytest.raises(TransientError, match="Another key came before"):
            keys.step("finishSecret", version_id)
    assert keys.call() == ("cache.test-1",)


def test_a_schedule_is_tried_with_a_copy_of_the_present_key(keys: Keys) -> None:
    keys.call()
    version_id, text = str(uuid.uuid4()), keys.text()
    keys.put(text, version_id=version_id, stage="AWSPENDING")
    assert keys.step("testSecret", version_id) == ("cache.test-1",)


@pytest.mark.parametrize("turns", sorted({("a", *rest) for rest in itertools.permutations("aabbb")}), ids="".join)
def test_two_rotations_at_once_lose_no_key_and_share_no_name(keys: Keys, turns: tuple[str, ...]) -> None:
    """The key before is what readers trust: that of two is refused which did not follow from the present one."""
    keys.call()
    # Without an overlap, which would refuse the second of them for a reason of its own.
    secret = SigningSecret(keys.clients.secrets, keys.settings.signing_secret_id)
    rotation = Rotation(secret, "cache.test", overlap=timedelta(0), known=["cache.test-1"], now=datetime.now(UTC))
    versions = {turn: str(uuid.uuid4()) for turn in turns}
    left = {turn: iter((Step.CREATE, Step.TEST, Step.FINISH)) for turn in turns}
    failed, chain = set(), [keys.text()]
    for turn in turns:
        step = next(left[turn])
        if turn in failed:
            continue
        try:
            rotation._do(step, versions[turn])
        except TransientError:
            failed.add(turn)
        if keys.text() != chain[-1]:
            assert keys.text("AWSPREVIOUS") == chain[-1]
            chain.append(keys.text())
    assert [SecretKey.parse(text).name for text in chain] == [f"cache.test-{n + 1}" for n in range(3 - len(failed))]
    # Whatever was left lying about, the next rotation works, when the overlap is over.
    present = keys.text()
    keys.without_overlap().call(rotate=str(uuid.uuid4()))
    assert keys.text("AWSPREVIOUS") == present


def test_no_key_is_pushed_out_while_readers_may_trust_it_alone(keys: Keys) -> None:
    """The secret has room for one key before the present one; `until` in public-keys.json is a promise."""
    keys.call()
    first = keys.text()
    keys.call(rotate=str(uuid.uuid4()))
    second = keys.text()
    with pytest.raises(
        PermanentError, match=r"^overlap-not-over: Until .* readers may trust cache\.test-1 alone"
    ) as caught:
        keys.call(rotate=str(uuid.uuid4()))
    assert "assayctl retire-key cache.test-1" in caught.value.remedy
    dropped: list[object] = []

    def drop(params: dict[str, Any], **_: object) -> object:
        dropped.append(json.loads(params["body"]))
        return SimpleNamespace(status_code=200, headers={}), {}

    with (
        _empty_version(keys) as version_id,
        _hooked("before-call.secrets-manager.UpdateSecretVersionStage", drop, keys.clients.secrets),
        pytest.raises(PermanentError, match=r"^overlap-not-over"),
    ):
        keys.step("createSecret", version_id)
    # Else Secrets Manager would see a rotation under way, and begin none when it is time.
    secret_id = keys.settings.signing_secret_id
    assert dropped == [{"SecretId": secret_id, "VersionStage": "AWSPENDING", "RemoveFromVersionId": version_id}]
    assert (keys.text(), keys.text("AWSPREVIOUS")) == (second, first)
    # Over, or ended by an operator.
    assert keys.without_overlap().call(rotate=str(uuid.uuid4())) == ("cache.test-3", "cache.test-2")
    _drop(keys, "AWSPREVIOUS")
    assert keys.call(rotate=str(uuid.uuid4())) == ("cache.test-4", "cache.test-3")


def test_a_key_that_became_promised_meanwhile_is_not_pushed_out_by_the_last_step(keys: Keys) -> None:
    keys.call()
    version_id = str(uuid.uuid4())
    keys.put(SecretKey.generate("cache.test-2").reveal())
    first, second = keys.text("AWSPREVIOUS"), keys.text()
    keys.put(SecretKey.generate("cache.test-3").reveal(), version_id=version_id, stage="AWSPENDING")
    with pytest.raises(PermanentError, match=r"^overlap-not-over"):
        keys.step("finishSecret", version_id)
    assert (keys.text(), keys.text("AWSPREVIOUS")) == (second, first)
    with pytest.raises(keys.clients.secrets.exceptions.ResourceNotFoundException):
        keys.text("AWSPENDING")


def test_a_name_is_given_once_in_the_life_of_a_cache(keys: Keys) -> None:
    """A reader knows one key by a name: a new secret, or an import in between, must not begin at 1 again."""
    keys.call()
    keys.call(rotate=str(uuid.uuid4()))
    secrets, old = keys.clients.secrets, keys.settings.signing_secret_id
    secrets.delete_secret(SecretId=old, ForceDeleteWithoutRecovery=True)
    secrets.create_secret(Name=old)
    assert keys.call() == ("cache.test-3",)
    keys.put(SecretKey.generate("imported-7").reveal())
    assert keys.call() == ("imported-7", "cache.test-3")
    _drop(keys, "AWSPREVIOUS")
    assert keys.call() == ("imported-7",)
    assert keys.call(rotate=str(uuid.uuid4())) == ("cache.test-4", "imported-7")
    assert [key["name"] for key in json.loads(keys.get("public-keys.json"))["past"]] == [
        "cache.test-3",
        "cache.test-2",
        "cache.test-1",
    ]


def test_without_what_was_announced_no_key_is_made(keys: Keys) -> None:
    """It says which names are taken: a document that cannot be read is mended first."""
    keys.clients.s3.put_object(Bucket=keys.settings.cache_bucket, Key="public-keys.json", Body=b"{")
    with pytest.raises(TransientError, match=r"public-keys\.json cannot be read"):
        keys.call()
    with pytest.raises(keys.clients.secrets.exceptions.ResourceNotFoundException):
        keys.text()


def test_of_two_announcements_at_once_the_later_has_read_the_earlier(keys: Keys) -> None:
    keys.call()

    def overtake(**_: object) -> None:
        keys.clients.s3.meta.events.unregister("before-call.s3.PutObject", unique_id="before-call.s3.PutObject")
        keys.clients.s3.put_object(Bucket=keys.settings.cache_bucket, Key="public-keys.json", Body=b"{}")

    with (
        _hooked("before-call.s3.PutObject", overtake, keys.clients.s3),
        pytest.raises(TransientError, match="Somebody else announces"),
    ):
        keys.call()


def test_a_key_that_was_left_unfinished_is_dropped_after_a_day(keys: Keys) -> None:
    """Secrets Manager would begin no rotation beside it, and nobody knows who has seen it."""
    keys.call()
    first, version_id = keys.text(), keys.begin()
    keys.put(SecretKey.generate("cache.test-2").reveal(), version_id=version_id, stage="AWSPENDING")
    keys.call_at(datetime.now(UTC) + timedelta(hours=23))
    assert keys.key("AWSPENDING").name == "cache.test-2"
    tomorrow = datetime.now(UTC) + timedelta(hours=25)
    with pytest.raises(TransientError, match="was made on"):
        keys.call_at(tomorrow, Step="finishSecret", ClientRequestToken=version_id)
    keys.call_at(tomorrow)
    with pytest.raises(keys.clients.secrets.exceptions.ResourceNotFoundException):
        keys.text("AWSPENDING")
    assert keys.text() == first


def test_a_version_that_never_got_a_key_is_dropped_after_a_day(keys: Keys) -> None:
    """Secrets Manager begins with one, and a function that is broken that hour never gives it a value."""
    keys.call()
    keys.begin()
    keys.call_at(datetime.now(UTC) + timedelta(hours=23))
    assert keys.text("AWSPENDING") == "being made"
    keys.call_at(datetime.now(UTC) + timedelta(hours=25))
    with pytest.raises(keys.clients.secrets.exceptions.ResourceNotFoundException):
        keys.text("AWSPENDING")


@pytest.mark.parametrize("token", ["", "x", "a" * 31, "a" * 65])
def test_a_token_that_secrets_manager_would_not_take_is_said(keys: Keys, token: str) -> None:
    with pytest.raises(PermanentError, match=r"^event-malformed \(rotate\): .* is no version's id"):
        keys.call(rotate=token)


@pytest.mark.parametrize("event", [{"rotate": 7}, {"rotate": None}, {"Rotate": "x"}, {"Step": "createSecret"}])
def test_what_asks_for_a_rotation_wrongly_is_no_announcement(keys: Keys, event: dict[str, object]) -> None:
    """Whoever wrote it by hand would go on as if it had rotated."""
    keys.call()
    first = keys.text()
    with pytest.raises(PermanentError, match=r"^event-malformed: That asks for a rotation"):
        keys.call(**event)
    assert keys.text() == first


def test_an_import_in_the_middle_of_a_rotation_stands(keys: Keys) -> None:
    """What was being made must not push out what an operator has put in, and the key before with it."""
    keys.call()
    first, version_id, imported = keys.text(), str(uuid.uuid4()), SecretKey.generate("imported-1").reveal()
    keys.put(SecretKey.generate("cache.test-2").reveal(), version_id=version_id, stage="AWSPENDING")
    keys.put(imported)

    def a_second_later(parsed: dict[str, Any], **_: object) -> None:
        # moto's versions have whole seconds, and both were made in one.
        if "AWSCURRENT" in parsed["VersionStages"]:
            parsed["CreatedDate"] += timedelta(seconds=1)

    with (
        _hooked("after-call.secrets-manager.GetSecretValue", a_second_later, keys.clients.secrets),
        pytest.raises(TransientError, match="Another key came before"),
    ):
        keys.step("finishSecret", version_id)
    assert (keys.text(), keys.text("AWSPREVIOUS")) == (imported, first)


def test_after_an_import_no_past_key_is_taken_for_one_that_is_being_made(keys: Keys) -> None:
    """Secrets Manager leaves AWSPENDING at what has become current, and rotates no more while a past version has it."""
    keys.call()
    keys.call(rotate=str(uuid.uuid4()))
    secrets, secret_id = keys.clients.secrets, keys.settings.signing_secret_id

    def stages() -> dict[str, list[str]]:
        return secrets.describe_secret(SecretId=secret_id)["VersionIdsToStages"]

    [rotated] = [version for version, of_it in stages().items() if "AWSCURRENT" in of_it]
    imported = str(uuid.uuid4())
    # In two steps: moto's PutSecretValue does not find the version that was made current by its stage.
    keys.put(SecretKey.generate("imported-1").reveal(), version_id=imported, stage="imported")
    secrets.update_secret_version_stage(
        SecretId=secret_id, VersionStage="AWSCURRENT", MoveToVersionId=imported, RemoveFromVersionId=rotated
    )
    assert "AWSPENDING" in stages()[rotated]
    assert keys.call() == ("imported-1", "cache.test-2")
    assert stages()[rotated] == ["AWSPREVIOUS"]


@pytest.mark.parametrize("fault", ["lost", "throttled"])
@pytest.mark.parametrize("after", range(18))
def test_a_rotation_that_fails_at_any_call_is_ended_by_the_next_try(keys: Keys, after: int, fault: str) -> None:
    """I6: one new key in the end, whatever was lost on the way, the call or its answer."""
    keys.call()
    version = str(uuid.uuid4())
    counter = itertools.count()

    def lose(**_: object) -> None:
        if next(counter) == after:
            raise ConnectionError("lost")

    def throttle(**_: object) -> object:
        return _THROTTLED if next(counter) == after else None

    event, hook = ("after-call", lose) if fault == "lost" else ("before-call", throttle)
    with _hooked(event, hook, keys.clients.s3, keys.clients.secrets):
        with pytest.raises(TransientError):
            keys.call(rotate=version)
        keys.call(rotate=version)
    assert [key["name"] for key in keys.announced()] == ["cache.test-2", "cache.test-1"]
    assert keys.key().name == "cache.test-2"


@pytest.mark.parametrize(
    ("known", "following"),
    [
        ([], "cache.test-1"),
        (["cache.test-1"], "cache.test-2"),
        (["cache.test-9"], "cache.test-10"),
        (["cache.test-10", "cache.test-9"], "cache.test-11"),
        (["cache.test-0"], "cache.test-1"),
        (["cache.test"], "cache.test-1"),
        (["imported.example.org-7"], "cache.test-1"),
        (["cache.test-1-2"], "cache.test-1"),
        (["imported.example.org-7", "cache.test-2"], "cache.test-3"),
    ],
)
def test_keys_are_numbered(known: list[str], following: str) -> None:
    assert next_key_name("cache.test", known) == following
