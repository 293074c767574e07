"""The engines, each started once. The quick ones are always asked; ``--emulators`` asks the others as well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.aws import MotoServer
from tests.contract import emulators
from tests.contract.engines import Engine, EngineName, Memory, Remote

QUICK = frozenset((EngineName.MEMORY, EngineName.MOTO))
"""They need nothing that `make setup` does not install."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where this directory was named on the command line."""
    parser.addoption("--emulators", action="store_true", help="ask seaweedfs and ministack as well")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the engines that were not asked for; pytest counts them as deselected."""
    if config.getoption("--emulators", default=False):
        return
    asked = [item for item in items if _engine(item) is None or _engine(item) in QUICK]
    config.hook.pytest_deselected(items=[item for item in items if item not in asked])
    items[:] = asked


def _engine(item: pytest.Item) -> EngineName | None:
    call = getattr(item, "callspec", None)
    engine = call.params.get("engine") if call else None
    return engine if isinstance(engine, EngineName) else None


@pytest.fixture(scope="session")
def memory() -> Engine:
    return Memory()


@pytest.fixture(scope="session")
def moto() -> Iterator[Engine]:
    with MotoServer() as server:
        yield Remote(server.aws)


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with emulators.seaweedfs(tmp_path_factory.mktemp("seaweedfs")) as aws:
        yield Remote(aws)


@pytest.fixture(scope="session")
def ministack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with emulators.ministack(tmp_path_factory.mktemp("ministack")) as aws:
        yield Remote(aws)


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(request.param.value)
    return found
