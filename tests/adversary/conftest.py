"""A deployment to attack, which is checked when the attack is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adversary.target import Target
from tests.concurrency.objects import Objects
from tests.simulator.serial_pool import one_thread_a_container


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path)


@pytest.fixture
def target() -> Iterator[Target]:
    """I1 to I5 and I8 hold at the end of each test that asks for it."""
    target = Target()
    yield target
    target.check()


@pytest.fixture(autouse=True)
def _one_thread_a_container() -> Iterator[None]:
    with one_thread_a_container():
        yield
