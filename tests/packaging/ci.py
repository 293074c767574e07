"""A CI machine: real Nix in a store of its own, the local service, and a how-to page's commands run as they stand.

What a page names outside of the job (``/opt/assay``, ``/etc``) lies below the machine's directory; ``sudo`` and
``buildkite-agent`` are stand-ins. The tokens of the CI systems go to moto's STS, which exchanges any.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from local.aws import REGION
from local.provision import builder_may
from local.service import LocalService
from nixcache.store_path import StorePath
from protocol.keys import BuilderName, CacheNarInfoKey
from tests.hook.nix import Nix, derivation
from tests.packaging.units import ROOT

BUILDER = BuilderName("ci-1")
CI_ROLE, BUILDER_ROLE = "assay-ci", "assay-builder-ci-1"
TOKEN = "header.claims.signature"
# Credentials, and where they come from, are the page's affair.
_OF_THE_PAGE = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_CONFIG_FILE"}
_STAND_INS = {
    # The options of sudo that the pages use say what happens here anyway.
    "sudo": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
    "buildkite-agent": f'[ "$*" = "oidc request-token --audience sts.amazonaws.com" ] && printf %s {TOKEN}',
}


@dataclass
class World:
    """The service, and a place for machines."""

    service: LocalService
    nix: Nix
    directory: Path
    machines: int = field(default=0)

    def machine(self) -> Machine:
        """Return a fresh machine; its store is the one that all share."""
        self.machines += 1
        return Machine(self, self.directory / f"machine-{self.machines}")

    def published(self, path: StorePath) -> bool:
        """Whether the cache has the path."""
        settings = self.service.deployment.settings
        s3 = self.service.aws.client("s3", self.service.deployment.operator)
        listed = s3.list_objects_v2(Bucket=settings.cache_bucket, Prefix=str(CacheNarInfoKey(path.hash_part)))
        return listed["KeyCount"] == 1


class Machine:
    """Where a job runs."""

    def __init__(self, world: World, root: Path) -> None:
        self.world = world
        self.root = root
        self.project = root / "project"
        for directory in (self.project, root / "bin", root / "home", root / "etc/nix"):
            directory.mkdir(parents=True)
        # A path of its own for each machine, or the second would find it published.
        script = f"echo {root.name} > $out"
        (self.project / "default.nix").write_text(derivation("app", script))
        self._script("opt/assay/bin/assay", f'exec {shlex.quote(sys.executable)} -m hook "$@"')
        for name, text in _STAND_INS.items():
            self._script(f"bin/{name}", text)
        settings = world.service.deployment.settings
        service_environment = world.service.aws.environment(world.service.deployment.reader)
        self.environment = {
            **{name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ},
            **world.nix.environment,
            **{name: value for name, value in service_environment.items() if name not in _OF_THE_PAGE},
            "NIX_CONF_DIR": str(root / "etc/nix"),
            "PATH": f"{root}/bin:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": str(root / "home"),
            "ASSAY_STATE_DIR": str(root / "state"),
            "ASSAY_STAGING_BUCKET": settings.staging_bucket,
            "ASSAY_LEDGER_BUCKET": settings.ledger_bucket,
            "ASSAY_CACHE_URL": world.service.cache_url,
        }
        self._write_nix_conf("")

    def relocated(self, text: str) -> str:
        """Return a page's text with the machine's places in it."""
        return re.sub(r"/(?=opt/assay|etc/)", f"{self.root}/", text)

    def set_up_nix(self, settings: str) -> None:
        """Add lines to nix.conf, as an installer does."""
        self._write_nix_conf(self.relocated(settings))

    def run(self, commands: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a step. What the page sets for the real service is overruled by what leads to the local one."""
        given = {name: self.relocated(value) for name, value in environment.items()}
        return subprocess.run(
            ["sh", "-e", "-c", self.relocated(commands)],
            cwd=self.project,
            env={**given, **self.environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )

    def _script(self, place: str, text: str) -> None:
        file = self.root / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{text}\n")
        file.chmod(0o755)

    def _write_nix_conf(self, more: str) -> None:
        own = (self.world.nix.directory / "conf" / "nix.conf").read_text()
        (self.root / "etc/nix/nix.conf").write_text(f"{own}{more}")


@contextmanager
def ci_world(directory: Path) -> Iterator[World]:
    """Start the service for the length of a ``with`` block."""
    nix = Nix(directory / "nix")
    with (
        (directory / "log").open("w") as log,
        LocalService(store_dir=nix.store_dir, builders=(BUILDER,), log=log) as service,
    ):
        iam = service.aws.client("iam", service.deployment.operator)
        federated, chain = (textwrap.dedent(text) for text in json_blocks(page("ci-identity.md")))
        # The deployed role trusts the other by its ARN, which moto compares with the name of the session.
        anybody = [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]
        for name, trust, may in (
            (CI_ROLE, federated, chain),
            (BUILDER_ROLE, policy(anybody), policy(builder_may(BUILDER))),
        ):
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust)
            iam.put_role_policy(RoleName=name, PolicyName="may", PolicyDocument=may)
        yield World(service, nix, directory)


def assumed(world: World, role: str) -> dict[str, str]:
    """Do what configure-aws-credentials does; return the variables that it sets."""
    program = (
        "import boto3, json\n"
        f"a = boto3.client('sts').assume_role_with_web_identity(RoleArn={role!r}, RoleSessionName='ci',"
        f" WebIdentityToken={TOKEN!r})['Credentials']\n"
        "print(json.dumps({'AWS_ACCESS_KEY_ID': a['AccessKeyId'], 'AWS_SECRET_ACCESS_KEY': a['SecretAccessKey'],"
        " 'AWS_SESSION_TOKEN': a['SessionToken']}))\n"
    )
    environment = world.service.aws.environment(world.service.deployment.reader)
    ended = subprocess.run(
        [sys.executable, "-c", program],
        env={name: value for name, value in environment.items() if name not in _OF_THE_PAGE},
        check=True,
        capture_output=True,
        text=True,
    )
    variables: dict[str, str] = json.loads(ended.stdout)
    return {**variables, "AWS_REGION": REGION}


def page(name: str) -> str:
    """Return the text of a how-to page."""
    return (ROOT / "docs" / "how-to" / name).read_text()


def block(text: str, language: str) -> str:
    """Return the one block of code in that language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return str(found)


def json_blocks(text: str) -> list[str]:
    """Return the JSON blocks of a page, each indented below a point of a list."""
    return [str(found) for found in re.findall(r"^ +```json\n(.*?)^ +```", text, re.DOTALL | re.MULTILINE)]


def policy(statements: Sequence[Mapping[str, object]]) -> str:
    """Return a policy document."""
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def workflow(text: str) -> dict[str, Any]:
    """Parse the one YAML block of a page."""
    document: dict[str, Any] = yaml.safe_load(block(text, "yaml"))
    return document
