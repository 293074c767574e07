"""What the gate remembers, and for how long."""

from __future__ import annotations

import pytest

from lambdas.ingest import gate as gate_module
from lambdas.ingest.adapters.cache import S3Cache
from lambdas.ingest.adapters.nar_copy import NarCopy
from lambdas.ingest.adapters.upstreams import HttpUpstreams
from lambdas.ingest.gate import REMEMBERED_SECONDS, Gate
from lambdas.ingest.lookup import Lookup
from nixcache.store_path import NIX_STORE
from tests.ingest.store_objects import Builder
from tests.ingest.world import World


def _whenever() -> None:
    """There is time."""


def _lookup(world: World) -> Lookup:
    s3, settings = world.admin.s3, world.settings
    copy = NarCopy(s3, staging_bucket=settings.staging_bucket, cache_bucket=settings.cache_bucket)
    return Lookup(S3Cache(s3, settings.cache_bucket, NIX_STORE, copy), HttpUpstreams((), NIX_STORE, connections=1))


def test_presence_is_remembered_for_minutes_and_in_bounded_memory(
    world: World, builder: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I7; and who deletes from the cache knows how long a path may still be taken as present."""
    monkeypatch.setattr(gate_module, "REMEMBERED_PATHS", 2)
    things = [builder.build(name) for name in ("one", "two", "three")]
    for thing in things:
        world.submit(thing)
    world.run()
    s3, settings = world.admin.s3, world.settings
    now = [0.0]
    gate = Gate(_lookup(world), monotonic=lambda: now[0])
    one, two, three = (thing.path for thing in things)
    assert gate.missing([one, two], pulse=_whenever) == ()
    for path in (one, two, three):
        s3.delete_object(Bucket=settings.cache_bucket, Key=f"{path.hash_part}.narinfo")
    assert gate.missing([one, two, three], pulse=_whenever) == (three,)
    now[0] = REMEMBERED_SECONDS
    assert gate.missing([one, two, three], pulse=_whenever) == (one, two, three)


def test_the_oldest_is_forgotten_first(world: World, builder: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "REMEMBERED_PATHS", 1)
    one, two = builder.build("one"), builder.build("two")
    world.submit(one)
    world.submit(two)
    world.run()
    s3, settings = world.admin.s3, world.settings
    gate = Gate(_lookup(world))
    assert gate.missing([one.path], pulse=_whenever) == gate.missing([two.path], pulse=_whenever) == ()
    for thing in (one, two):
        s3.delete_object(Bucket=settings.cache_bucket, Key=f"{thing.path.hash_part}.narinfo")
    assert gate.missing([one.path, two.path], pulse=_whenever) == (one.path,)
