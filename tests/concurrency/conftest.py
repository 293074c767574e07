"""What builders build, for deployments that live in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.concurrency.objects import Objects
from tests.simulator.serial_pool import one_thread_a_container


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--schedules", type=int, default=150, help="schedules that each interleaving test tries")
    parser.addoption("--preemptions", type=int, default=1, help="changes of turn of which all are tried")
    parser.addoption("--waiters", type=int, default=1200, help="how many wait for one path")


@pytest.fixture
def schedules(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--schedules"))


@pytest.fixture
def preemptions(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--preemptions"))


@pytest.fixture
def waiters(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--waiters"))


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(tmp_path)


@pytest.fixture(autouse=True)
def _one_thread_a_container() -> Iterator[None]:
    with one_thread_a_container():
        yield
