"""What a builder does: build with real Nix, and upload with the real uploader and its own role's session."""

from __future__ import annotations

import os
import subprocess
import sys

from local.aws import PROJECT_ROOT
from local.cache_server import CacheServer
from nixcache.narinfo import NarInfo
from nixcache.store_path import StorePath
from protocol.keys import BuilderName, CacheNarInfoKey
from protocol.outputs import Output, describe_role
from tests.deployment.cloud import STACK, Credentials
from tests.deployment.conftest import Deployed
from tests.hook.nix import derivation

_SECONDS = 180


def session(deployed: Deployed, builder: str) -> Credentials:
    """Return a session of a builder's role."""
    stacks = deployed.cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    [arn] = [
        output["OutputValue"]
        for output in stacks[0]["Outputs"]
        if output.get("Description") == describe_role(BuilderName(builder))
    ]
    return deployed.cloud.assume(str(arn))


def run(
    deployed: Deployed, *command: str, environment: dict[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a module of ours with ``environment`` and nothing else of this machine's."""
    return subprocess.run(
        [sys.executable, "-m", *command],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT_ROOT), **deployed.nix.environment, **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=_SECONDS,
    )


def assay(deployed: Deployed, builder: str, cache_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the builder's command line with its own role's session, and nothing else."""
    outputs = deployed.outputs
    return run(
        deployed,
        "hook",
        *arguments,
        environment={
            **deployed.cloud.environment(session(deployed, builder)),
            "ASSAY_CONFIG": "",
            "ASSAY_BUILDER": builder,
            "ASSAY_STAGING_BUCKET": outputs[Output.STAGING_BUCKET],
            "ASSAY_LEDGER_BUCKET": outputs[Output.LEDGER_BUCKET],
            "ASSAY_CACHE_URL": cache_url,
            "ASSAY_STATE_DIR": str(deployed.nix.directory / f"assay-{builder}"),
        },
    )


def build(deployed: Deployed, builder: str, cache_url: str, name: str) -> StorePath:
    """Build ``name``, which references ``<name>-low``, with the hook that queues both."""
    hook = deployed.nix.directory / f"hook-{builder}"
    written = assay(deployed, builder, cache_url, "hook-script", "--output", str(hook))
    assert written.returncode == 0, written.stderr
    low = derivation(f"{name}-low", "echo low > $out")
    [path] = deployed.nix.build(derivation(name, f"echo ${{{low}}} > $out"), hook=hook)
    return path


def upload(deployed: Deployed, builder: str, name: str) -> tuple[StorePath, NarInfo]:
    """Build, upload with the builder's own role, and return what the deployed functions published."""
    with CacheServer(deployed.cloud.client("s3"), deployed.outputs[Output.CACHE_BUCKET]) as cache:
        path = build(deployed, builder, cache.url, name)
        ended = assay(deployed, builder, cache.url, "upload", "--once", "--timeout", "120")
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    return path, published(deployed, path)


def push(deployed: Deployed, builder: str, path: StorePath) -> subprocess.CompletedProcess[str]:
    """Submit a path, whoever has built it, and wait for the verdict."""
    with CacheServer(deployed.cloud.client("s3"), deployed.outputs[Output.CACHE_BUCKET]) as cache:
        return assay(deployed, builder, cache.url, "push", "--timeout", "120", deployed.nix.full(path))


def published(deployed: Deployed, path: StorePath) -> NarInfo:
    """Return the cache's narinfo of a path."""
    body = (
        deployed.cloud.client("s3")
        .get_object(Bucket=deployed.outputs[Output.CACHE_BUCKET], Key=str(CacheNarInfoKey(path.hash_part)))["Body"]
        .read()
    )
    return NarInfo.parse(body, deployed.nix.store_dir)
