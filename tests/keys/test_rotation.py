"""A key's four steps, done once, twice, and after a crash anywhere."""

from __future__ import annotations

import itertools
import uuid

import pytest

from nixcache.errors import PermanentError, TransientError
from nixcache.signing import SecretKey
from protocol.signing_secret import next_key_name
from tests.keys.conftest import Keys

STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")


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


@pytest.mark.parametrize("after", range(11))
def test_a_rotation_that_dies_after_any_call_is_ended_by_the_next_try(keys: Keys, after: int) -> None:
    """I6: one new key in the end, whatever was lost on the way."""
    keys.call()
    version = str(uuid.uuid4())
    counter = itertools.count()

    def lose(**_: object) -> None:
        if next(counter) == after:
            raise ConnectionError("lost")

    for client in (keys.clients.s3, keys.clients.secrets):
        client.meta.events.register("after-call", lose, unique_id="lose")
    try:
        for _ in range(2):
            try:
                keys.call(rotate=version)
                break
            except TransientError:
                continue
    finally:
        for client in (keys.clients.s3, keys.clients.secrets):
            client.meta.events.unregister("after-call", unique_id="lose")
    assert [key["name"] for key in keys.announced()] == ["cache.test-2", "cache.test-1"]
    assert keys.key().name == "cache.test-2"
    assert next(counter) > after, "no such call any more: lower the range"


@pytest.mark.parametrize(
    ("current", "following"),
    [
        (None, "cache.test-1"),
        ("cache.test-1", "cache.test-2"),
        ("cache.test-9", "cache.test-10"),
        ("cache.test-0", "cache.test-1"),
        ("cache.test", "cache.test-1"),
        ("imported.example.org-7", "cache.test-1"),
        ("cache.test-1-2", "cache.test-1"),
    ],
)
def test_keys_are_numbered(current: str | None, following: str) -> None:
    assert next_key_name("cache.test", current) == following
