"""The secret key: where it comes from, when it is read again, and that it goes nowhere."""

from __future__ import annotations

import pytest

from lambdas.ingest.adapters.signing_keys import KEPT_SECONDS, SecretsManagerKeys
from nixcache.errors import TransientError
from nixcache.signing import SecretKey
from protocol.verdicts import Published
from tests.ingest.requests_log import RequestsLog
from tests.ingest.store_objects import Builder
from tests.ingest.world import KEY, World, connect, sqs_event


class Clock:
    """Tells the seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_rotation_arrives_within_minutes_and_the_key_is_not_read_for_each_path(world: World) -> None:
    clock, clients = Clock(), connect(world.aws)
    log = RequestsLog(clients)
    keys = SecretsManagerKeys(clients.secrets, world.settings.signing_secret_id, monotonic=clock)
    assert keys.current().name == keys.current().name == KEY.name
    assert log.operations == ["GetSecretValue"]
    new = SecretKey.generate("cache.test-2")
    world.admin.secrets.put_secret_value(SecretId=world.settings.signing_secret_id, SecretString=new.reveal())
    clock.now += KEPT_SECONDS - 1
    assert keys.current().name == KEY.name
    clock.now += 1
    assert keys.current().name == new.name


def test_a_key_that_cannot_be_read_again_is_not_used_any_longer(world: World) -> None:
    """It may have been replaced because it leaked."""
    clock = Clock()
    keys = SecretsManagerKeys(world.admin.secrets, world.settings.signing_secret_id, monotonic=clock)
    keys.current()
    world.admin.secrets.delete_secret(SecretId=world.settings.signing_secret_id, ForceDeleteWithoutRecovery=True)
    clock.now += KEPT_SECONDS
    with pytest.raises(TransientError):
        keys.current()


def test_what_is_published_after_a_rotation_is_signed_by_the_new_key(world: World, builder: Builder) -> None:
    first, second = builder.build("first"), builder.build("second")
    world.submit(first)
    world.run()
    new = SecretKey.generate("cache.test-2")
    world.admin.secrets.put_secret_value(SecretId=world.settings.signing_secret_id, SecretString=new.reveal())
    world.submit(second)
    world.run()
    assert world.verdict(first.path) == Published((KEY.name,))
    assert world.verdict(second.path) == Published((new.name,))
    world.check_cache(signed_by=(KEY, new))


@pytest.mark.parametrize("secret", ["", "cache.test-1:c2VjcmV0LXdvcmQ=", "hush:" + KEY.reveal(), None])
def test_without_a_key_submissions_stay_in_the_queue(
    world: World,
    builder: Builder,
    secret: str | None,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is the operator's fault: no builder gets a verdict for it, and nobody gets to read what is in the secret."""
    thing = builder.build("leaf")
    world.submit(thing)
    messages = world.take_messages()
    secret_id = world.settings.signing_secret_id
    if secret is None:
        world.admin.secrets.delete_secret(SecretId=secret_id, ForceDeleteWithoutRecovery=True)
    else:
        world.admin.secrets.put_secret_value(SecretId=secret_id, SecretString=secret or " ")
    container = world.container()
    assert container(sqs_event(*messages)) == messages
    assert world.keys(world.settings.cache_bucket) == world.keys(world.settings.ledger_bucket) == []
    said = capsys.readouterr().out + "".join(str(record.__dict__) for record in caplog.records)
    assert secret_id in said
    if secret:
        assert secret.rpartition(":")[2] not in said
    if secret is not None:
        world.admin.secrets.put_secret_value(SecretId=secret_id, SecretString=KEY.reveal())
        assert container(sqs_event(*messages)) == []
        assert world.verdict(thing.path) == Published((KEY.name,))
