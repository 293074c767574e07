"""A builder's signatures: those of trusted upstreams that hold are kept, all others are dropped (I5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from local.aws import Aws
from nixcache.narinfo import NarInfo
from nixcache.signature import Signature
from nixcache.signing import SecretKey
from nixcache.verify import verify
from protocol.settings import Upstream
from protocol.verdicts import Published
from tests.ingest.store_objects import Builder, StoreObject, sha256
from tests.ingest.world import KEY, World

UPSTREAM, SECOND = SecretKey.generate("upstream.test-1"), SecretKey.generate("a-second.test-1")
STRANGER = SecretKey.generate("stranger.test-1")
IMPOSTOR = SecretKey.generate(UPSTREAM.name)
NAMESAKE = SecretKey.generate(KEY.name)
"""An upstream's key that has our own key's name."""


def _sign(key: SecretKey, thing: StoreObject) -> Signature:
    return key.sign(verify(thing.narinfo, [thing.file]))


@pytest.fixture
def world(aws: Aws) -> World:
    return _mirror(aws, UPSTREAM, SECOND, NAMESAKE, UPSTREAM)


def _mirror(aws: Aws, *keys: SecretKey) -> World:
    """Return a cache that publishes what its upstream has, too: there an upstream's signatures come from."""
    world = World(aws, upstreams=(Upstream("http://127.0.0.1:9", tuple(key.public_key for key in keys)),))
    world.settings = replace(world.settings, publish_upstream_paths=True)
    return world


def _published(world: World, thing: StoreObject, *signatures: Signature) -> NarInfo:
    world.submit(thing.claiming(signatures=signatures))
    world.run()
    narinfo = world.published(thing.path)
    assert narinfo is not None
    assert narinfo.signatures[0].key_name == KEY.name
    assert narinfo.is_signed_by(KEY.public_key)
    assert world.verdict(thing.path) == Published(tuple(signature.key_name for signature in narinfo.signatures))
    return narinfo


def test_an_upstreams_signature_is_kept_behind_ours(world: World, builder: Builder) -> None:
    """Whoever trusts the upstream alone can take the path from here."""
    thing = builder.build("leaf")
    narinfo = _published(world, thing, _sign(UPSTREAM, thing), _sign(STRANGER, thing), _sign(SECOND, thing))
    assert narinfo.signatures[1:] == (_sign(SECOND, thing), _sign(UPSTREAM, thing))


def test_each_is_kept_once(world: World, builder: Builder) -> None:
    thing = builder.build("leaf")
    narinfo = _published(world, thing, *[_sign(UPSTREAM, thing)] * 3)
    assert narinfo.signatures[1:] == (_sign(UPSTREAM, thing),)


def test_one_of_a_name_is_enough(aws: Aws, builder: Builder) -> None:
    """Where an upstream replaced its key under the same name, a path may have signatures under both."""
    world = _mirror(aws, UPSTREAM, IMPOSTOR)
    thing = builder.build("leaf")
    both = _sign(UPSTREAM, thing), _sign(IMPOSTOR, thing)
    (_, kept) = _published(world, thing, *both).signatures
    assert kept == min(both, key=str), "the same one whatever their order was (I6)"


Forge = Callable[[StoreObject, Builder], Signature]

FORGERIES: dict[str, Forge] = {
    "another key of that name": lambda thing, _: _sign(IMPOSTOR, thing),
    "an unknown key": lambda thing, _: _sign(STRANGER, thing),
    "a trusted key under another name": lambda thing, _: replace(_sign(UPSTREAM, thing), key_name="upstream.test-2"),
    "another trusted key's name": lambda thing, _: replace(_sign(UPSTREAM, thing), key_name=SECOND.name),
    "random bytes": lambda thing, _: Signature(UPSTREAM.name, sha256(thing.file).digest * 2),
    "over other contents": lambda thing, builder: _sign(UPSTREAM, builder.build(thing.path.name, text="other")),
    "over another path": lambda _, builder: _sign(UPSTREAM, builder.build("other")),
    "over other references": lambda thing, builder: _sign(UPSTREAM, builder.build(thing.path.name, itself=True)),
    "our own key's name": lambda thing, _: _sign(NAMESAKE, thing),
    "our own key's name and nonsense": lambda *_: Signature(KEY.name, bytes(64)),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_what_does_not_hold_is_dropped(world: World, builder: Builder, forgery: str) -> None:
    """Clients that trust the name would refuse the path for it, or take it for another's word."""
    thing = builder.build("leaf")
    narinfo = _published(world, thing, FORGERIES[forgery](thing, builder), _sign(SECOND, thing))
    assert narinfo.signatures[1:] == (_sign(SECOND, thing),)


def test_without_upstreams_nothing_is_kept(aws: Aws, builder: Builder) -> None:
    thing = builder.build("leaf")
    assert len(_published(World(aws), thing, _sign(UPSTREAM, thing)).signatures) == 1
