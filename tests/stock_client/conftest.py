"""The service, and a machine with Nix and AWS's command line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.service import LocalService
from protocol.keys import BuilderName
from tests.hook.nix import Nix
from tests.stock_client.builder import StockBuilder


@pytest.fixture(scope="module")
def nix(tmp_path_factory: pytest.TempPathFactory) -> Nix:
    return Nix(tmp_path_factory.mktemp("nix"))


@pytest.fixture(scope="module")
def service(nix: Nix, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalService]:
    builders = (BuilderName("stock"), BuilderName("other"))
    log = tmp_path_factory.mktemp("service") / "log"
    with log.open("w") as said, LocalService(store_dir=nix.store_dir, builders=builders, log=said) as running:
        yield running


@pytest.fixture(scope="module")
def builder(service: LocalService, nix: Nix, tmp_path_factory: pytest.TempPathFactory) -> StockBuilder:
    return StockBuilder(service, BuilderName("stock"), nix, tmp_path_factory.mktemp("builder"))
