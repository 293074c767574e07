"""One deployment for all tests here, which are a story: they run in their order, in one process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from nixcache.store_path import StorePath
from tests.contract import emulators
from tests.deployment.certificate import write_certificate
from tests.deployment.cloud import Cloud
from tests.hook.nix import Nix

CONFIG = """\
builders:
  ci:
    iamPrincipal: this-account
  ci-2:
    iamPrincipal: this-account
protect: false
quorum: []
"""


@dataclass(frozen=True, slots=True)
class Deployed:
    """The account, the stack's outputs, the machine that builds, and what it has published so far, by name.

    ``figures`` are lines for the end of the run.
    """

    cloud: Cloud
    outputs: Mapping[str, str]
    nix: Nix
    paths: dict[str, StorePath] = field(default_factory=dict)
    figures: list[str] = field(default_factory=list)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Known where this directory was named on the command line."""
    parser.addoption("--deployment", action="store_true", help="deploy with the CDK into an emulator")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these out unless they were asked for; pytest counts them as deselected."""
    if config.getoption("--deployment", default=False):
        return
    mine = [item for item in items if Path(__file__).parent in item.path.parents]
    config.hook.pytest_deselected(items=mine)
    items[:] = [item for item in items if item not in mine]


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    directory = tmp_path_factory.mktemp("deployment")
    certificate = directory / "localhost.pem"
    write_certificate(certificate)
    nix = Nix(directory / "builder")
    app = directory / "app"
    app.mkdir()
    data = directory / "ministack"
    data.mkdir()
    with emulators.ministack(data, certificate=certificate) as aws:
        cloud = Cloud(aws.endpoint, certificate, app, nix.store_dir.path)
        cloud.configure(CONFIG)
        cloud.bootstrap()
        story = Deployed(cloud, cloud.deploy(), nix)
        yield story
        seconds = ", ".join(f"{command} {seconds:.1f}" for command, seconds in cloud.seconds.items())
        print("", *story.figures, f"seconds: {seconds}", f"left out: {', '.join(cloud.left_out)}", sep="\n")  # noqa: T201
