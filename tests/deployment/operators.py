"""What an operator does: ``assayctl`` as a process, with an administrator's credentials."""

from __future__ import annotations

import subprocess

from protocol.outputs import Output
from tests.deployment import builders
from tests.deployment.cloud import STAGE
from tests.deployment.conftest import Deployed


def assayctl(deployed: Deployed, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command of ``assayctl``."""
    return builders.run(
        deployed,
        "tests.deployment.assayctl_elsewhere",
        deployed.nix.store_dir.path,
        "--stage",
        STAGE,
        *arguments,
        environment=deployed.cloud.environment(),
        stdin=stdin,
    )


def public_keys(deployed: Deployed) -> list[str]:
    """Return what readers are told to trust: the key that signs first."""
    body = (
        deployed.cloud.client("s3")
        .get_object(Bucket=deployed.outputs[Output.CACHE_BUCKET], Key="public-keys")["Body"]
        .read()
    )
    lines: list[str] = body.decode().splitlines()
    return lines


def restart_functions(deployed: Deployed) -> None:
    """Have keys read anew: a container keeps what it has read for five minutes (docs/adr/0023)."""
    functions = deployed.cloud.client("lambda")
    for function in functions.list_functions()["Functions"]:
        if "Ingest" in function["FunctionName"]:
            variables = dict(function["Environment"]["Variables"])
            variables["RESTARTED"] = str(int(variables.get("RESTARTED", "0")) + 1)
            functions.update_function_configuration(
                FunctionName=function["FunctionName"], Environment={"Variables": variables}
            )


def cache_keys(deployed: Deployed) -> list[str]:
    """Return all keys of the cache."""
    listed = deployed.cloud.client("s3").list_objects_v2(Bucket=deployed.outputs[Output.CACHE_BUCKET])
    return [item["Key"] for item in listed["Contents"]]
