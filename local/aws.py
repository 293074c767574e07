"""moto as AWS: the process, and clients of it that nothing on this machine can send to the real AWS."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal, Self, overload
from urllib.request import ProxyHandler, Request, build_opener

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config

from nixcache.errors import TransientError

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sqs import SQSClient

LOOPBACK = "127.0.0.1"
REGION = "us-east-1"
ACCOUNT = "123456789012"
"""The account that moto gives to every access key that it made itself."""

MOTO = ("local.moto_process",)
"""The module that :class:`MotoServer` runs."""

PROJECT_ROOT = Path(__file__).parent.parent
_STOP_SECONDS = 10
_LOADER = botocore.loaders.create_loader()
"""For all clients: what it reads of a service takes ten times as long as making a client of it."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One identity's access key. The secret half stays out of logs and of test failures."""

    access_key_id: str
    secret_access_key: str = field(repr=False)


UNCHECKED = Credentials("unchecked", "unchecked")
"""Good for everything until :meth:`Aws.enforce_iam`, for nothing afterwards."""


@dataclass(frozen=True, slots=True)
class Aws:
    """Where moto listens."""

    endpoint: str

    def environment(self, credentials: Credentials) -> dict[str, str]:
        """Return the variables that make any AWS SDK in a subprocess speak to this AWS, with these credentials only."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            # A profile or a session token of the developer's own must not be mixed in, nor an instance asked for one.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @overload
    def client(self, service: Literal["iam"], credentials: Credentials) -> IAMClient: ...
    @overload
    def client(self, service: Literal["s3"], credentials: Credentials) -> S3Client: ...
    @overload
    def client(self, service: Literal["secretsmanager"], credentials: Credentials) -> SecretsManagerClient: ...
    @overload
    def client(self, service: Literal["sqs"], credentials: Credentials) -> SQSClient: ...

    def client(
        self, service: Literal["iam", "s3", "secretsmanager", "sqs"], credentials: Credentials
    ) -> IAMClient | S3Client | SecretsManagerClient | SQSClient:
        """Return a client that neither reads this machine's AWS configuration nor goes through its proxy."""
        core = botocore.session.Session(
            session_vars={
                "profile": (None, [], None, None),
                "config_file": (None, None, os.devnull, None),
                "credentials_file": (None, None, os.devnull, None),
            }
        )
        core.register_component("data_loader", _LOADER)
        return boto3.session.Session(botocore_session=core).client(
            service,
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key,
            config=Config(proxies={}, signature_version="s3v4" if service == "s3" else "v4", max_pool_connections=32),
        )

    def enforce_iam(self) -> None:
        """From now on every request must be signed by a known access key whose policies allow it on that resource."""
        # "0": how many more requests go unchecked. As a form, which is urllib's default, moto would not see it.
        request = Request(  # noqa: S310 - our own address on loopback
            f"{self.endpoint}/moto-api/reset-auth", data=b"0", headers={"Content-Type": "text/plain"}, method="POST"
        )
        with build_opener(ProxyHandler({})).open(request):
            pass


class MotoServer:
    """A moto server on loopback, in a process of its own, for the length of a ``with`` block."""

    def __init__(self, *, port: int = 0, process: Sequence[str] = MOTO, log: IO[str] | None = None) -> None:
        """``port`` 0 takes any free one; ``log`` (default: our standard error) gets what moto has to say.

        ``process`` is the module that serves, and its arguments; the port comes after them.
        """
        self._port = port
        self._process_arguments = process
        self._log = log

    def __enter__(self) -> Self:
        """Start it and wait until it listens; raises :class:`TransientError` when it cannot."""
        if importlib.util.find_spec("moto") is None:
            raise TransientError(
                "The Python package moto is not installed.", remedy="Run `pip install -r requirements-dev.txt`."
            )
        _refuse_taken_port(self._port)
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self._process_arguments, str(self._port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            cwd=PROJECT_ROOT,
            # A terminal's Ctrl-C goes to the whole process group: moto must outlive those who are still using it.
            start_new_session=True,
        )
        line = self._process.stdout.readline() if self._process.stdout else b""
        if not line:
            self.__exit__()
            raise TransientError("moto's server did not start.", remedy="What it said stands above.")
        self.aws = Aws(f"http://{LOOPBACK}:{int(line)}")
        return self

    def __exit__(self, *_: object) -> None:
        """Cut its lifeline and wait for its end."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None


def _refuse_taken_port(port: int) -> None:
    """Say it in one line here: moto's server would die of it in a thread, and leave us waiting for its word."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise TransientError(
                f"Port {port} on {LOOPBACK} cannot be used: {error.strerror}.", remedy="Choose another with --port."
            ) from None
