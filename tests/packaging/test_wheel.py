"""`pip install .`: everything is in the package, and a builder needs two others."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest

from tests.packaging.units import ROOT

OURS = ("hook", "nixcache", "protocol")
# What checks signatures and reads NARs that somebody compressed with brotli: `pip install .[proofs]`.
PROOFS = {"nixcache.cli", "nixcache.signing", "nixcache.compression.br"}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a copy of the tree: setuptools builds in the tree itself."""
    directory = tmp_path_factory.mktemp("wheel")
    source = directory / "source"
    for name in OURS:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "LICENSE"):
        shutil.copy(ROOT / name, source)
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-index")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", str(directory / "site"), str(source)],
        check=True,
        capture_output=True,
    )
    return directory / "site"


def test_every_module_is_in_the_package(installed: Path) -> None:
    modules = {file.relative_to(ROOT) for name in OURS for file in (ROOT / name).rglob("*.py")}
    assert {file.relative_to(installed) for name in OURS for file in (installed / name).rglob("*.py")} == modules


def test_the_command_works_without_what_only_proofs_need(installed: Path, tmp_path: Path) -> None:
    """A builder checks no signature and reads no compressed NAR: neither PyNaCl nor brotli is installed on it."""
    modules = sorted(
        ".".join(file.relative_to(installed).with_suffix("").parts).removesuffix(".__init__")
        for name in OURS
        for file in (installed / name).rglob("*.py")
    )
    program = (
        "import importlib, sys\n"
        f"sys.path.insert(0, {str(installed)!r})\n"
        "sys.modules.update({'nacl': None, 'brotli': None, 'cffi': None})\n"
        f"for module in {[module for module in modules if module not in PROOFS | {'hook.__main__'}]!r}:\n"
        "    importlib.import_module(module)\n"
        "from hook.cli import main\n"
        "sys.exit(main(['--help']))"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("usage: assay")


def test_there_is_an_entry_point(installed: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [str(installed / "bin/assay"), "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("usage: assay")


def test_the_versions_are_those_that_the_tests_run_with() -> None:
    """What is pinned for builders is the whole closure of what the package asks for, and pinned alike elsewhere."""
    builder = pins("requirements-builder.txt")
    elsewhere = {**pins("requirements.txt"), **pins("requirements-lambda.txt")}
    assert builder.items() <= elsewhere.items()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = set(map(name_of, project["dependencies"]))
    while (
        more := {name_of(line) for name in wanted for line in requires(name) or () if "extra ==" not in line} - wanted
    ):
        wanted |= more
    assert builder.keys() == wanted


def needed_by(name: str) -> set[str]:
    """Return what an installed package asks for; zstd, which is not installed from Python 3.14 on, asks for nothing."""
    lines = () if name == "backports.zstd" else requires(name) or ()
    return {name_of(line) for line in lines if "extra ==" not in line}


def pins(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text().splitlines()
    return dict(line.partition(";")[0].split("==") for line in lines if re.match(r"\w.*==", line))


def name_of(requirement: str) -> str:
    found = re.match(r"[\w.-]+", requirement)
    assert found
    return found[0]
