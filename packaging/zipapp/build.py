"""``build.py FILE``: makes assay.pyz of this tree and the wheels that `make setup` fetched (docs/adr/0059), offline.

The same tree and wheels give the same bytes, whoever builds them and when.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
WHEELS: Final = ROOT / ".venv" / "zipapp"

OURS: Final = ("hook", "protocol", "nixcache")
SERVICES: Final = frozenset({"s3", "sts", "sso", "sso-oidc", "signin"})
"""What a builder asks AWS for, and what its credentials may come from. botocore knows 400 more, 27 of its 30 MB."""


def main() -> None:
    """Build it; what fails is said by the tool that failed."""
    output = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        packages = Path(directory)
        _unpack_wheels(packages)
        _leave_out_services(packages / "botocore" / "data")
        for name in OURS:
            shutil.copytree(ROOT / name, packages / name, ignore=shutil.ignore_patterns("__pycache__"))
        _same_modes(packages)
        output.parent.mkdir(exist_ok=True)
        shiv = Path(sysconfig.get_path("scripts"), "shiv")
        command = (
            *(sys.executable, str(shiv), "--site-packages", str(packages), "--entry-point", "hook.__main__:main"),
            *("--preamble", str(Path(__file__).with_name("check_python.py"))),
            *("--python", "/usr/bin/env python3", "--reproducible", "--output-file", str(output)),
        )
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(f"{output}: {output.stat().st_size / 1e6:.1f} MB")


def _unpack_wheels(packages: Path) -> None:
    """Unpack all wheels over one another: those of one package differ in a compiled file, whose name tells for whom."""
    for wheel in sorted(WHEELS.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(packages)


def _leave_out_services(data: Path) -> None:
    for service in data.iterdir():
        if service.is_dir() and service.name not in SERVICES:
            shutil.rmtree(service)


def _same_modes(packages: Path) -> None:
    """Give every file the mode that it will have when unpacked, whatever the umask is here."""
    for file in packages.rglob("*"):
        file.chmod(0o755 if file.is_dir() else 0o644)


if __name__ == "__main__":
    main()
