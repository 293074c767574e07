"""The secret key: where it comes from, when it is read again, and that it goes nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from lambdas.ingest.adapters.signing_keys import KEPT_SECONDS, SecretsManagerKeys
from nixcache.dsse import Envelope
from nixcache.errors import TransientError
from nixcache.signing import SecretKey
from protocol.keys import ProvenanceKey
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


def _names(keys: SecretsManagerKeys) -> list[str]:
    return [key.name for key in keys.signing()]


def test_a_rotation_arrives_within_minutes_and_the_key_is_not_read_for_each_path(world: World) -> None:
    clock, clients = Clock(), connect(world.aws)
    log = RequestsLog(clients)
    keys = SecretsManagerKeys(clients.secrets, world.settings.signing_secret_id, overlap=timedelta(0), monotonic=clock)
    assert _names(keys) == _names(keys) == [KEY.name]
    assert log.operations == ["GetSecretValue"]
    new = SecretKey.generate("cache.test-2")
    world.admin.secrets.put_secret_value(SecretId=world.settings.signing_secret_id, SecretString=new.reveal())
    clock.now += KEPT_SECONDS - 1
    assert _names(keys) == [KEY.name]
    clock.now += 1
    assert _names(keys) == [new.name]


def test_a_key_that_cannot_be_read_again_is_not_used_any_longer(world: World) -> None:
    """It may have been replaced because it leaked."""
    clock = Clock()
    keys = SecretsManagerKeys(
        world.admin.secrets, world.settings.signing_secret_id, overlap=timedelta(0), monotonic=clock
    )
    keys.signing()
    world.admin.secrets.delete_secret(SecretId=world.settings.signing_secret_id, ForceDeleteWithoutRecovery=True)
    clock.now += KEPT_SECONDS
    with pytest.raises(TransientError):
        keys.signing()


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


def test_during_the_overlap_both_keys_sign_and_after_it_the_new_one_alone(world: World, builder: Builder) -> None:
    """Whoever trusts one of them installs: no reader has a flag day."""
    new = SecretKey.generate("cache.test-2")
    world.admin.secrets.put_secret_value(SecretId=world.settings.signing_secret_id, SecretString=new.reveal())
    settings = replace(world.settings, key_overlap_days=90)
    first, second = builder.build("first"), builder.build("second")
    world.submit(first)
    world.run(world.container(settings=settings))
    assert world.verdict(first.path) == Published((new.name, KEY.name))
    world.check_cache(signed_by=(new,))
    world.check_cache(signed_by=(KEY,))
    # Who verifies the provenance may trust either, too.
    for key in (new, KEY):
        envelope = world.admin.s3.get_object(
            Bucket=settings.ledger_bucket, Key=str(ProvenanceKey(first.path.hash_part))
        )["Body"].read()
        assert Envelope.from_json(envelope).verify([key.public_key]) == (key.name,)
    world.now = lambda: datetime.now(UTC) + timedelta(days=91)
    world.submit(second)
    world.run(world.container(settings=settings))
    assert world.verdict(second.path) == Published((new.name,))


def test_a_key_that_was_retired_signs_nothing_more(world: World) -> None:
    """It may have leaked: the overlap ends when an operator says so."""
    secrets, secret_id = world.admin.secrets, world.settings.signing_secret_id
    new = SecretKey.generate("cache.test-2")
    secrets.put_secret_value(SecretId=secret_id, SecretString=new.reveal())
    clock = Clock()
    keys = SecretsManagerKeys(secrets, secret_id, overlap=timedelta(days=90), monotonic=clock)
    assert _names(keys) == [new.name, KEY.name]
    previous = secrets.get_secret_value(SecretId=secret_id, VersionStage="AWSPREVIOUS")["VersionId"]
    secrets.update_secret_version_stage(SecretId=secret_id, VersionStage="AWSPREVIOUS", RemoveFromVersionId=previous)
    clock.now += KEPT_SECONDS
    assert _names(keys) == [new.name]


@pytest.mark.parametrize("previous", ["no key at all", "cache.test-2"])
def test_what_cannot_sign_beside_a_key_does_not_keep_it_from_signing(world: World, previous: str) -> None:
    """A mistake that was put right, or two keys of one name, of which clients know one."""
    secrets, secret_id = world.admin.secrets, world.settings.signing_secret_id
    before = SecretKey.generate(previous).reveal() if previous.startswith("cache") else previous
    for text in (before, SecretKey.generate("cache.test-2").reveal()):
        secrets.put_secret_value(SecretId=secret_id, SecretString=text)
    assert _names(SecretsManagerKeys(secrets, secret_id, overlap=timedelta(days=90))) == ["cache.test-2"]


@pytest.mark.parametrize("secret", ["", "cache.test-1:c2VjcmV0LXdvcmQ=", "hush:" + KEY.reveal(), None])
def test_without_a_key_submissions_stay_in_the_queue(
    world: World,
    builder: Builder,
    secret: str | None,
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
    said = capsys.readouterr().out
    assert secret_id in said
    if secret:
        assert secret.rpartition(":")[2] not in said
    if secret is not None:
        world.admin.secrets.put_secret_value(SecretId=secret_id, SecretString=KEY.reveal())
        assert container(sqs_event(*messages)) == []
        assert world.verdict(thing.path) == Published((KEY.name,))
