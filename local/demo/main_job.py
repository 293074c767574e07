"""The main job with the real Nix: build with the hook, upload, install elsewhere; and what the client must refuse."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from local.demo.builder import Builder
from local.demo.cache_copy import CacheCopy
from local.demo.nix_machine import NixMachine, nix_machine, reader_settings
from local.demo.story import DemoError, Story, expect
from local.service import LocalService
from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey
from nixcache.signing import SecretKey
from protocol.keys import BuilderName

GRAPH: Final = Path(__file__).with_name("graph.nix")
_LARGE: Final = 50_000_000
_MANY: Final = 2_000


@dataclass(frozen=True, slots=True)
class Built:
    """What the builder built: full store paths, and what its program said there."""

    app: str
    leaves: str
    closure: tuple[str, ...]
    said: str


def main_job(service: LocalService, story: Story, directory: Path, root: Path, name: BuilderName) -> NarInfo:
    """Tell the story from ``name``'s build to the installation elsewhere; return the narinfo of what was built.

    All machines are at ``root``, one after the other: each has the same store dir, and an empty store at first.
    """
    builder = Builder(service, name, directory)
    with nix_machine(root, {"post-build-hook": str(builder.hook)}) as machine:
        with story.step(f"Set {name}'s machine up: one configuration file, and one line in nix.conf for the hook"):
            story.tell(builder.assay(machine.environment, "hook-script", "--output", str(builder.hook)))
        with story.step("Build with Nix, offline; the hook queues each path as it is built"):
            built = build(machine)
            story.tell(_describe(machine, built))
            story.tell(builder.assay(machine.environment, "status"))
        with story.step("Upload: `assay upload --once` sends what the cache lacks and waits for the verdicts"):
            story.tell(builder.assay(machine.environment, "upload", "--once"))
    with nix_machine(root, reader_settings(service.cache_url, service.deployment.public_key)) as machine:
        with story.step(
            f"Another machine, with an empty store ({name}'s is gone): install; only Assay's key is trusted"
        ):
            machine.run("nix-store", "--realise", built.app)
            story.tell(f"{len(machine.closure(built.app))} store paths arrived, {built.app} last.")
        with story.step(
            "Check there every byte of every path (nix-store --verify --check-contents), and run the program"
        ):
            check_installed(machine, built)
            story.tell(built.said)
    copy = CacheCopy.of(service, directory / "copy")
    show_refusals(service, story, root, built, copy)
    return copy.narinfo(copy.store_dir.parse(built.app).hash_part)


def build(machine: NixMachine) -> Built:
    """Build the graph on ``machine``."""
    tools = Path(shutil.which("mkdir") or "/bin/mkdir").parent
    command = ("nix-build", str(GRAPH), "--no-out-link", "--argstr", "path", str(tools))
    app = machine.run(*command, "--attr", "app").strip()
    leaves = machine.run(*command, "--attr", "leaves").strip()
    return Built(app, leaves, tuple(machine.closure(app)), machine.run(f"{app}/app"))


def _describe(machine: NixMachine, built: Built) -> str:
    """Say what the closure holds, from what really lies in the store."""
    sizes = {path: _size_and_files(Path(path)) for path in built.closure}
    largest, most = max(size for size, _ in sizes.values()), max(files for _, files in sizes.values())
    expect(largest >= _LARGE, f"The largest path has {largest} bytes only.")
    expect(most >= _MANY, f"No path has more than {most} files.")
    references = sum(len(machine.run("nix-store", "--query", "--references", path).split()) for path in built.closure)
    return (
        f"{len(sizes)} store paths with {references} references among them; one with {largest / 1e6:.0f} MB, one with "
        f"{most} files, two content-addressed, three that are outputs of one derivation."
    )


def _size_and_files(path: Path) -> tuple[int, int]:
    if not path.is_dir():
        return path.stat().st_size, 1
    files = [Path(directory, name) for directory, _, names in os.walk(path) for name in names]
    return sum(file.lstat().st_size for file in files), len(files)


def check_installed(machine: NixMachine, built: Built) -> None:
    """Raise :class:`DemoError` unless ``machine`` holds exactly what was built, every byte of it, and it runs."""
    expect(machine.closure(built.app) == list(built.closure), "The closure that arrived is not the one that was built.")
    machine.run("nix-store", "--verify", "--check-contents")
    said = machine.run(f"{built.app}/app")
    expect(said == built.said, f"The installed program says something else than it did where it was built:\n{said}")


def refusal(root: Path, path: str, *, substituter: str, public_key: PublicKey) -> str | None:
    """Try to fetch ``path`` into an empty store below ``root``.

    Return what Nix says when it refuses, in one line, and None when it takes it.
    """
    with nix_machine(root, reader_settings(substituter, public_key)) as machine:
        process = machine.attempt("nix-store", "--realise", path)
        valid = machine.attempt("nix-store", "--check-validity", path).returncode == 0
    if valid != (process.returncode == 0):
        raise DemoError(f"Nix says one thing and does another about {path}:\n{process.stderr}")
    if valid:
        return None
    return " ".join(line.strip() for line in process.stderr.splitlines() if _says_why(line))


def _says_why(line: str) -> bool:
    return any(word in line for word in ("signed", "signature", "mismatch", "specified:", "got:"))


def show_refusals(service: LocalService, story: Story, root: Path, built: Built, copy: CacheCopy) -> None:
    """Show that the real client refuses another key, an unsigned narinfo and a tampered NAR, and nothing but those.

    The path is input-addressed: content-addressed ones need no signature.
    """
    key = service.deployment.public_key
    leaves = copy.store_dir.parse(built.leaves)

    def refused(title: str, because: str, *, substituter: str, public_key: PublicKey) -> None:
        with story.step(title):
            said = refusal(root, built.leaves, substituter=substituter, public_key=public_key)
            expect(said is not None, "Nix took it.")
            expect(because in (said or ""), f"Nix refused it, but not for that reason: {said}")
            story.tell(f"Nix: {said}")

    with story.step("A copy of the cache in a directory, unaltered: Nix takes a path from it, for the signature holds"):
        expect(refusal(root, built.leaves, substituter=copy.url, public_key=key) is None, "Nix refused it.")
    another = SecretKey.generate(key.name).public_key
    refused(
        "Nix trusts another key of the same name: refused",
        "signed by any of the keys",
        substituter=service.cache_url,
        public_key=another,
    )
    with copy.kept(leaves):
        copy.unsign(leaves)
        refused(
            "The signature is taken off in the copy: refused",
            "signed by any of the keys",
            substituter=copy.url,
            public_key=key,
        )
    with copy.kept(leaves):
        copy.tamper(leaves, b"leaf 7 of branch 3\n", b"leaf 7 of branch 4\n")
        refused("One byte of its NAR is another in the copy: refused", "mismatch", substituter=copy.url, public_key=key)
