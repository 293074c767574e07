"""A whole local service, and the two roles that the CI recipes speak of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.packaging.ci import World, ci_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("ci").resolve()
    with ci_world(directory) as world:
        yield world
