"""Every installation of Nix with a service of its own: what is built on it, and whoever installs that elsewhere."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from local.demo.nix_machine import remove_tree
from local.service import LocalService
from protocol.keys import BuilderName
from tests.differential.nix_generations import SUITES, generations
from tests.matrix.machine import Installation, Machine, Mode, store_dir_of
from tests.matrix.world import World

_CELLS = list(product(SUITES, Mode))


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave this directory alone unless it is asked for: it needs generations of Nix to be fetched."""
    here = Path(__file__).parent
    asked = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    return None if any(here in (path, *path.parents) for path in asked) else True


@pytest.fixture(scope="session")
def installations() -> list[Installation]:
    """Every cell of the matrix, oldest generation first."""
    try:
        by_suite = dict(zip(SUITES, generations(), strict=True))
    except FileNotFoundError as error:
        pytest.fail(f"{error.filename} is missing: python -m tests.differential.nix_generations fetches it")
    return [Installation(by_suite[suite], mode) for suite, mode in _CELLS]


@pytest.fixture(
    scope="session",
    params=range(len(_CELLS)),
    ids=[f"{SUITES[suite]}-{mode}" for suite, mode in _CELLS],
)
def world(
    request: pytest.FixtureRequest, installations: list[Installation], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    """One installation that builds, and a service for its store dir."""
    installation = installations[request.param]
    # Not pytest's own, whose length nobody knows: a socket's address may have 107 bytes.
    root = Path(tempfile.mkdtemp(prefix="assay-matrix-")).resolve()
    builder = BuilderName("builder")
    log = tmp_path_factory.mktemp("service") / "log"
    try:
        with (
            log.open("w") as said,
            LocalService(store_dir=store_dir_of(root), builders=(builder,), log=said) as service,
        ):
            machine = Machine(installation, root, service, builder)
            # The same mode, the next generation: what one uploads, another installs.
            other = installations[(request.param + len(Mode)) % len(installations)]
            with machine.running():
                yield World(service, machine, (installation, other), root)
    finally:
        remove_tree(root)
