"""Three generations of real Nix, from Debian's own packages, unpacked beside each other inside the clone.

``python -m tests.differential.nix_generations`` fetches what is missing. It needs Debian's apt-get and dpkg-deb, the
mirror that apt is configured with, and nothing of the machine's own Nix; it installs nothing and runs no maintainer
script. Each generation runs outside any namespace, by its own dynamic loader and libraries: a thousand cases a minute
would not go through a new mount namespace each.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

SUITES = {"bookworm": "2.8", "trixie": "2.26", "sid": "2.34"}
"""Debian's suites, oldest Nix first, and the Nix that each had when this was written. Only sid's still moves."""
DIRECTORY = Path(__file__).parents[2] / ".nix-generations"
"""Where they are kept; git ignores it. Some 120 MB each."""

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Nix asks its build hook whether another machine builds.
_BUILD_HOOK = "#!/bin/sh\necho '# decline-permanently' >&2\n"
_COMMANDS = ("nix", "nix-build", "nix-hash", "nix-instantiate", "nix-store")
_UNNEEDED = ("./usr/share/*", "./usr/include/*", "./var/*", "./etc/*")


@dataclass(frozen=True, slots=True)
class Generation:
    """One Nix: its version, as it says itself, and the directory that holds its commands."""

    version: str
    commands: Path

    def __str__(self) -> str:
        """The version."""
        return self.version

    @property
    def configuration(self) -> str:
        """The setting without which it does not build: it looks for its build hook where it was made to be.

        For 2.8 that is one path, and none is an error; newer ones read words, and none stands for no hook.
        """
        return f"build-hook = {self.commands / 'build-hook' if self.version.startswith('2.8.') else ''}\n"


def generations() -> list[Generation]:
    """Return what has been fetched, oldest first; raises FileNotFoundError if one is missing."""
    return [_generation(suite) for suite in SUITES]


def available() -> list[Generation]:
    """Return those that have been fetched, oldest first."""
    return [_generation(suite) for suite in SUITES if (DIRECTORY / suite / "version").exists()]


def fetch(suite: str) -> None:
    """Fetch and unpack the Nix of ``suite``, unless it is there; raises CalledProcessError with apt's own words."""
    home = DIRECTORY / suite
    if (home / "version").exists():
        return
    shutil.rmtree(home, ignore_errors=True)  # what an interrupted run left
    root = home / "root"
    for directory in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / directory).mkdir(parents=True)
        (root / directory).symlink_to(f"usr/{directory}")  # older packages still put files there
    with tempfile.TemporaryDirectory(dir=DIRECTORY) as scratch:
        for package in _download(suite, Path(scratch)):
            _unpack(package, root)
    _write_commands(home)
    answer = subprocess.run([home / "bin" / "nix", "--version"], capture_output=True, check=True)
    # Last of all: it tells that everything before it is whole.
    (home / "version").write_bytes(answer.stdout.split()[-1] + b"\n")


def _generation(suite: str) -> Generation:
    home = DIRECTORY / suite
    return Generation((home / "version").read_text(encoding="ascii").strip(), home / "bin")


def _download(suite: str, scratch: Path) -> list[Path]:
    """Let apt resolve nix-bin against ``suite`` alone, as if nothing were installed, and return the packages."""
    for directory in ("lists/partial", "archives/partial"):
        (scratch / directory).mkdir(parents=True)
    (scratch / "status").touch()
    sources = scratch / "sources.list"
    sources.write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {suite} main\n")
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": "/dev/null",
        "Dir::State": scratch,
        "Dir::State::Lists": scratch / "lists",
        "Dir::State::status": scratch / "status",
        "Dir::Cache": scratch,
        "Dir::Cache::Archives": scratch / "archives",
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",  # apt's own user may not write here
        "Acquire::Languages": "none",
        "Acquire::Retries": "3",
    }
    apt = ["apt-get", *(f"-o{name}={value}" for name, value in options.items()), "--quiet=2", "--yes"]
    _run(*apt, "update")
    _run(*apt, "--download-only", "install", "nix-bin")
    return sorted((scratch / "archives").glob("*.deb"))


def _mirror() -> str:
    """Return the address of the Debian mirror that this machine's apt uses; its security archive has other suites."""
    targets = ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI) $(ORIGIN)", "Created-By: Packages"]
    release = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    codename = release.get("VERSION_CODENAME", "").strip('"')
    # Who made an archive is known from the last `apt-get update`; before the first, the suite's name has to do.
    for options, origin in (([], "Debian"), (["--no-release-info"], "$(ORIGIN)")):
        for line in _run(*targets, *options).decode().splitlines():
            suite, address, made_by = line.split(" ", 2)
            if made_by == origin and suite in {codename, *SUITES}:
                return address
    sys.exit("nix_generations: apt knows no Debian mirror: these Nix generations come from Debian's packages")


def _unpack(package: Path, root: Path) -> None:
    archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE)
    unpacking = ["tar", "--extract", f"--directory={root}", "--keep-directory-symlink", "--no-same-owner"]
    excluded = [f"--exclude={pattern}" for pattern in _UNNEEDED]
    subprocess.run([*unpacking, *excluded], stdin=archive.stdout, check=True)
    if archive.wait():
        raise subprocess.CalledProcessError(archive.returncode, "dpkg-deb")


def _write_commands(home: Path) -> None:
    """Write a wrapper for each command: the generation's own loader, libraries and binary, found from the wrapper."""
    root = home / "root"
    (loader,) = root.glob("usr/lib/*/ld-linux*.so.*")
    libraries = [loader.parent, root / "usr/lib/nix"]  # 2.8 has its own beside it
    path = ":".join(f"$r/{directory.relative_to(root)}" for directory in libraries)
    (home / "bin").mkdir()
    scripts = {
        name: f"#!/bin/sh\nr=${{0%/*}}/../root\n"
        f'exec "$r/{loader.relative_to(root)}" --library-path "{path}" --argv0 {name} "$r/usr/bin/nix" "$@"\n'
        for name in _COMMANDS
    }
    for name, script in {**scripts, "build-hook": _BUILD_HOOK}.items():
        command = home / "bin" / name
        command.write_text(script)
        command.chmod(0o755)


def _run(*command: str | Path) -> bytes:
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def main() -> None:
    """Fetch every generation that is missing, and say which there are."""
    DIRECTORY.mkdir(exist_ok=True)
    if missing := [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]:
        sys.exit(f"nix_generations: {' and '.join(missing)} not found: this needs Debian")
    os.umask(0o022)
    for suite in SUITES:
        fetch(suite)
    sys.stdout.write(f"Nix {', '.join(map(str, generations()))} in {os.path.relpath(DIRECTORY)}\n")


if __name__ == "__main__":
    main()
