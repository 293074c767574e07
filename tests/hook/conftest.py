"""Real Nix in a store of its own, a cache over HTTP, and the builder's command line."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.aws import Aws
from tests.hook.builder import Builder
from tests.hook.nix import Nix
from tests.hook.service import Service


@pytest.fixture
def nix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nix:
    nix = Nix(tmp_path / "nix")
    for name, value in nix.environment.items():
        monkeypatch.setenv(name, value)
    return nix


@pytest.fixture
def service(aws: Aws) -> Iterator[Service]:
    with Service(aws) as service:
        yield service


@pytest.fixture
def judging(nix: Nix, service: Service) -> Iterator[None]:
    """A service that publishes whatever is submitted."""
    with service.judging(nix.store_dir):
        yield


@pytest.fixture
def builder(
    nix: Nix, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Builder]:
    """A configured builder; its command line runs in this process, with the signal handlers put back afterwards."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Builder(nix, service, tmp_path / "assay", monkeypatch, capfd)
    for number, handler in handlers.items():
        signal.signal(number, handler)
