"""Nix's own way: a hook that copies what was built, as Nix's manual advises, or one copy at the end."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.builder.machine import Machine
from local.aws import REGION, Aws

XZ: Final = "xz"
"""What Nix takes unless it is told otherwise."""
ZSTD: Final = "zstd"


@dataclass(frozen=True, slots=True)
class Peer:
    """``nix copy --to url``; ``bucket`` is where that ends, unless it is a directory."""

    name: str
    url: str
    bucket: str | None

    def hook(self, machine: Machine, file: Path) -> Path:
        """Write the manual's hook into ``file``: it copies, and the build waits."""
        copy = shlex.join(map(str, machine.nix("copy", "--to", self.url)))
        query = shlex.join([str(machine.generation.commands / "nix-store"), "--query", "--outputs"])
        # Nix 2.8.0 passes no outputs; the manual's own words would copy nothing there.
        return script(file, f"set -euf\nexec {copy} ${{OUT_PATHS:-$({query} $DRV_PATH)}}\n")


def s3(aws: Aws, bucket: str, compression: str) -> Peer:
    """Return Nix's S3 store, without credentials: Debian's builds cannot sign."""
    address = aws.endpoint.removeprefix("http://")
    url = f"s3://{bucket}?endpoint={address}&scheme=http&region={REGION}&compression={compression}"
    return Peer(f"nix copy --to s3://, {compression}", url, bucket)


def directory(path: Path, compression: str) -> Peer:
    """Return a cache in a directory: no network, no server."""
    return Peer(f"nix copy --to file://, {compression}", f"file://{path}?compression={compression}", None)


def empty_hook(file: Path) -> Path:
    """Write the least that a hook can be."""
    return script(file, "exit 0\n")


def script(file: Path, body: str) -> Path:
    """Write a script that may be run."""
    file.write_text(f"#!/bin/sh\n{body}")
    file.chmod(0o755)
    return file
