"""An account in the emulator, and the CDK's own command line on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import boto3
from botocore.config import Config

from local.aws import ACCOUNT, PROJECT_ROOT, REGION
from protocol.outputs import stack_name
from tests.deployment.assembly import fit

STAGE: Final = "emulated"
STACK: Final = stack_name(STAGE)
_CDK: Final = PROJECT_ROOT / "node_modules" / ".bin" / "cdk"
_BIN: Final = PROJECT_ROOT / ".venv" / "bin"
_SECONDS: Final = 300


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, and the token of a session."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None


ADMINISTRATOR: Final = Credentials("test", "testing")
"""ministack's own."""


@dataclass(slots=True)
class Cloud:
    """The account at ``endpoint``; the app is synthesised in ``directory``, with its configuration there."""

    endpoint: str
    certificate: Path
    directory: Path
    store_dir: str
    seconds: dict[str, float] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)

    def environment(self, credentials: Credentials = ADMINISTRATOR) -> dict[str, str]:
        """Return the variables that make any AWS SDK in a subprocess speak to this account, with these credentials."""
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CA_BUNDLE": str(self.certificate),
            "NODE_EXTRA_CA_CERTS": str(self.certificate),
        }
        return variables | ({"AWS_SESSION_TOKEN": credentials.session_token} if credentials.session_token else {})

    def client(self, service: Any, credentials: Credentials = ADMINISTRATOR, config: Config | None = None) -> Any:  # noqa: ANN401  whatever boto3 makes
        """Return a client."""
        return boto3.client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            aws_session_token=credentials.session_token,
            verify=str(self.certificate),
            config=config,
        )

    def assume(self, role_arn: str) -> Credentials:
        """Return a session of a role."""
        said = self.client("sts").assume_role(RoleArn=role_arn, RoleSessionName="test")["Credentials"]
        return Credentials(said["AccessKeyId"], said["SecretAccessKey"], said["SessionToken"])

    def configure(self, text: str) -> None:
        """Write the stage's configuration, and synthesise it."""
        config = self.directory / "config"
        config.mkdir(exist_ok=True)
        (config / f"{STAGE}.yaml").write_text(text)
        for file in ("app.py", "cdk.json"):
            shutil.copy(PROJECT_ROOT / file, self.directory)
        shutil.rmtree(self.directory / "cdk.out", ignore_errors=True)
        self._cdk("synth", "--quiet", "--app", f"{sys.executable} app.py", "-c", f"stage={STAGE}")

    def bootstrap(self) -> None:
        """Do what an operator does once in an account."""
        self._cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}", "--app", "cdk.out")

    def deploy(self) -> Mapping[str, str]:
        """Deploy what was configured; returns the stack's outputs."""
        self.left_out = fit(self.directory / "cdk.out", STACK, store_dir=self.store_dir)
        self._cdk("deploy", "--app", "cdk.out", "--require-approval", "never", "--outputs-file", "outputs.json")
        outputs: Mapping[str, str] = json.loads((self.directory / "outputs.json").read_text())[STACK]
        return outputs

    def destroy(self) -> None:
        """Take the stack away."""
        self._cdk("destroy", "--app", "cdk.out", "--force")

    def _cdk(self, command: str, *arguments: str) -> None:
        started = time.monotonic()
        ended = subprocess.run(
            [str(_CDK), command, *arguments],
            cwd=self.directory,
            env={
                "PATH": f"{_BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                "HOME": str(self.directory),
                "PYTHONPATH": str(PROJECT_ROOT),
                "CI": "true",
                **self.environment(),
            },
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        self.seconds[command] = time.monotonic() - started
        assert ended.returncode == 0, f"cdk {command}:\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"
