"""assay.pyz: built as `make zipapp` does, and used as on a host that has Python and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from protocol.version import VERSION
from tests.packaging.units import ROOT

BUILD = ROOT / "packaging" / "zipapp"
PATH = "/nix/store/00000000000000000000000000000000-app"


def build(output: Path, umask: int) -> Path:
    assert (ROOT / ".venv/zipapp/requirements-builder.txt").exists(), "run `make setup`: it fetches what is packed"
    command = [sys.executable, str(BUILD / "build.py"), str(output)]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run(command, check=True, capture_output=True, umask=umask, env=environment)
    return output


@pytest.fixture(scope="module")
def pyz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("zipapp") / "assay.pyz", 0o022)


def run(pyz: Path, place: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run it by a Python that sees no other package, as its own shebang would."""
    return subprocess.run(
        [getattr(sys, "_base_executable", sys.executable), "-s", str(pyz), *arguments],
        cwd=place,
        env={"PATH": os.environ["PATH"], "SHIV_ROOT": str(place / "cache"), "HOME": str(place), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_same_tree_gives_the_same_bytes(pyz: Path, tmp_path: Path) -> None:
    """Whoever has the commit can tell whether a file is what it says; the umask of the builder shows nowhere."""
    again = build(tmp_path / "assay.pyz", 0o077)
    assert again.read_bytes() == pyz.read_bytes()


def test_it_carries_nothing_that_a_builder_does_not_need(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        names = [name.removeprefix("site-packages/") for name in archive.namelist()]
    tops = {
        name.partition("/")[0] for name in names if name.startswith(("lambdas", "stacks", "local", "nacl", "tests"))
    }
    assert tops == set()
    assert not [name for name in names if name.endswith(".pyc")]
    services = {Path(name).parts[2] for name in names if name.startswith("botocore/data/") and name.count("/") > 2}
    assert services == {"s3", "sts", "sso", "sso-oidc", "signin"}


def test_it_carries_zstd_for_each_python_before_the_one_that_has_it(pyz: Path) -> None:
    with zipfile.ZipFile(pyz) as archive:
        compiled = {Path(name).name for name in archive.namelist() if name.endswith(".so")}
    assert compiled == {
        f"_zstd.cpython-{python}-{platform}.so"
        for python in ("311", "312", "313")
        for platform in ("x86_64-linux-gnu", "aarch64-linux-gnu", "darwin")
    }


def test_it_runs_and_finds_all_that_it_asks_aws_for(pyz: Path, tmp_path: Path) -> None:
    ended = run(pyz, tmp_path, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "usage: assay" in ended.stdout
    program = (
        "import boto3, hook, protocol.version\n"
        "for service in ('s3', 'sts', 'sso', 'sso-oidc', 'signin'):\n"
        "    boto3.client(service, region_name='eu-west-1')\n"
        "from nixcache.compression import Compression, compress\n"
        "assert b''.join(compress(Compression.ZSTD, [b'x']))\n"
        "print(protocol.version.VERSION, hook.__file__)"
    )
    ended = run(pyz, tmp_path, "-c", program, SHIV_INTERPRETER="1")
    version, place = ended.stdout.split() or [ended.stderr, ""]
    assert version == VERSION
    assert place.startswith(str(tmp_path / "cache"))


def test_the_hook_works_after_the_cache_is_gone(pyz: Path, tmp_path: Path) -> None:
    """I9: what the zipapp unpacked may be cleared at any time; nix.conf goes on naming the hook."""
    script, state = tmp_path / "hook", tmp_path / "state"
    variables = {"ASSAY_STATE_DIR": str(state), "ASSAY_CONFIG": "", "NIX_STATE_DIR": str(tmp_path / "nix")}
    ended = run(pyz, tmp_path, "hook-script", "--output", str(script), **variables)
    assert ended.returncode == 0, ended.stderr
    shutil.rmtree(tmp_path / "cache")
    ended = subprocess.run(
        [str(script)],
        cwd="/",
        env={"OUT_PATHS": PATH, "DRV_PATH": f"{PATH}.drv", "NIX_STATE_DIR": str(tmp_path / "nix")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    [entry] = (state / "spool/new").iterdir()
    assert f"path {PATH}" in entry.read_text()


def test_an_old_python_is_told_so_in_one_line() -> None:
    program = f"import runpy, sys\nsys.version_info = (3, 9, 18)\nrunpy.run_path({str(BUILD / 'check_python.py')!r})"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert ended.stderr.startswith("assay: Python 3.11 or newer is needed, and this is 3.9.")
    assert len(ended.stderr.splitlines()) == 1
