"""What the differential suite shares: clients, store paths to start from, the seed, and the table at the end."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings

from tests.differential.clients import Client
from tests.differential.nix_generations import SUITES, Generation, generations
from tests.differential.real_paths import RealPath, build
from tests.differential.tally import Tally
from tests.nixcache.relocated_nix import RelocatedNix

settings.register_profile("assay", deadline=None, print_blob=True)
settings.load_profile("assay")

_TALLIES = pytest.StashKey[list[Tally]]()


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave this directory alone unless it is asked for: it takes minutes, and generations of Nix to be fetched."""
    named = any(Path(__file__).parent in (path, *path.parents) for path in _arguments(config))
    return None if named else True


def _arguments(config: pytest.Config) -> list[Path]:
    return [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let whoever runs the suite say how long, and which cases."""
    parser.addoption("--cases", type=int, default=1000, help="cases of each format to ask every client about")
    parser.addoption("--seed", type=int, default=secrets.randbelow(2**32), help="what the cases are drawn from")


def pytest_configure(config: pytest.Config) -> None:
    """Make room for the tables."""
    config.stash[_TALLIES] = []


def pytest_report_header(config: pytest.Config) -> str:
    """Say with what to repeat this run."""
    return f"cases: {config.getoption('cases')}, seed: {config.getoption('seed')}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the tables."""
    for tally in config.stash[_TALLIES]:
        terminalreporter.section(f"{tally.title}, seed {config.getoption('seed')}")
        for line in tally.lines():
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def cases(request: pytest.FixtureRequest) -> int:
    """How many cases to draw."""
    return int(request.config.getoption("cases"))


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """What to draw them from."""
    return int(request.config.getoption("seed"))


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Tally:
    """Return a table that is printed at the end; the test names it."""
    table = Tally(request.node.name)
    request.config.stash[_TALLIES].append(table)
    return table


@pytest.fixture(scope="session")
def generation_list() -> list[Generation]:
    """Every generation, oldest first."""
    try:
        return generations()
    except FileNotFoundError as error:
        pytest.fail(f"{error.filename} is missing: python -m tests.differential.nix_generations fetches it")


@pytest.fixture(scope="session", params=SUITES)
def nix(
    request: pytest.FixtureRequest, generation_list: list[Generation], tmp_path_factory: pytest.TempPathFactory
) -> RelocatedNix:
    """One generation with a store of its own; a test that takes this runs once for each."""
    generation = generation_list[list(SUITES).index(request.param)]
    root = tmp_path_factory.mktemp(request.param)
    return RelocatedNix(root, commands=generation.commands, configuration=generation.configuration)


@pytest.fixture(scope="session")
def clients(generation_list: list[Generation], tmp_path_factory: pytest.TempPathFactory) -> list[Client]:
    """Every generation as a client, oldest first."""
    shared = tmp_path_factory.mktemp("shared")
    return [
        Client(generation, shared=shared, own=tmp_path_factory.mktemp(str(generation)))
        for generation in generation_list
    ]


@pytest.fixture(scope="session")
def closure(clients: list[Client]) -> list[RealPath]:
    """Store paths in the clients' store dir, dependencies first."""
    return build(clients[0].nix)


@pytest.fixture(scope="session")
def workers() -> Iterator[ThreadPoolExecutor]:
    """Threads that wait for clients: one more than two processors can run, so that neither is idle."""
    with ThreadPoolExecutor(max_workers=3) as pool:
        yield pool
