"""What a reader does: install with real Nix, which trusts one key and requires a signature of it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from tempfile import mkdtemp

from local.cache_server import CacheServer
from nixcache.signature import PublicKey
from nixcache.store_path import StorePath
from protocol.outputs import Output
from tests.deployment.conftest import Deployed
from tests.hook.nix import Nix


def install(
    deployed: Deployed, path: StorePath, *, trusting: PublicKey, below: Path
) -> subprocess.CompletedProcess[str]:
    """Install ``path`` from the cache into an empty store below ``below``, on a machine that knows nothing yet."""
    directory = Path(mkdtemp(dir=below))
    reader = Nix(directory / "reader")
    with CacheServer(deployed.cloud.client("s3"), deployed.outputs[Output.CACHE_BUCKET]) as cache:
        return subprocess.run(
            ["nix-store", "--realise", deployed.nix.full(path)],
            env={
                "PATH": os.environ["PATH"],
                # Nix keeps what it was told of a cache there.
                "HOME": str(directory),
                **reader.environment,
                # Its store dir has to be the builder's: a store of its own, in front of which nothing else stands.
                "NIX_STORE_DIR": deployed.nix.store_dir.path,
                "NIX_REMOTE": f"local?root={directory / 'root'}",
                "NIX_CONFIG": f"substituters = {cache.url}\ntrusted-public-keys = {trusting}\nrequire-sigs = true\n",
            },
            capture_output=True,
            text=True,
            check=False,
        )


def assert_installs(deployed: Deployed, path: StorePath, *, trusting: PublicKey, below: Path) -> None:
    """A reader that trusts this key alone has the path in the end."""
    installed = install(deployed, path, trusting=trusting, below=below)
    assert installed.returncode == 0, installed.stderr


def assert_refuses(deployed: Deployed, path: StorePath, *, trusting: PublicKey, below: Path) -> None:
    """A reader that trusts this key alone takes nothing, for want of its signature."""
    installed = install(deployed, path, trusting=trusting, below=below)
    assert installed.returncode != 0
    assert "is not signed by any of the keys" in installed.stderr, installed.stderr
