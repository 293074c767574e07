"""seaweedfs and ministack: servers from PyPI, in a virtual environment of their own.

Both listen on loopback only, keep what they are told in a temporary directory, and end with us (see lifeline.py).
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.error import HTTPError
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

from local.aws import ACCOUNT, LOOPBACK, PROJECT_ROOT, REGION, Aws
from nixcache.errors import TransientError

HOME: Final = PROJECT_ROOT / ".venv" / "emulators"
"""Where ``make contract`` installs them."""
START_SECONDS: Final = 60.0
"""How long a server may take until it answers."""
_STOP_SECONDS: Final = 10
_GRPC_OFFSET: Final = 10_000
"""seaweedfs listens there as well, seen from each of its ports."""


@contextmanager
def seaweedfs(directory: Path) -> Iterator[Aws]:
    """Run SeaweedFS's S3 gateway and what it needs, with its data in ``directory``."""
    master, volume, filer, s3 = free_ports(4, also=_GRPC_OFFSET)
    options = {
        "dir": str(directory),
        "ip": LOOPBACK,
        "ip.bind": LOOPBACK,
        "master.port": master,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.port": volume,
        "volume.max": 0,
        "filer": "true",
        "filer.port": filer,
        "filer.localSocket": str(directory / "filer.sock"),
        "s3": "true",
        "s3.port": s3,
        "s3.localSocket": str(directory / "s3.sock"),
        # Two servers beside S3, on ports that another seaweedfs on this machine may have.
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.iam": "false",
    }
    command = [_program("weed"), "server", *(f"-{name}={value}" for name, value in options.items())]
    try:
        with _server("seaweedfs", command, directory, {}) as process:
            _wait_until_it_answers(process, f"http://{LOOPBACK}:{s3}/", log=directory / "seaweedfs.log")
            yield Aws(f"http://{LOOPBACK}:{s3}")
    finally:
        for part, port in (("master", master), ("volume", volume), ("filer", filer), ("s3", s3)):
            # It says nowhere that it puts these there, and takes no option for it.
            Path(f"/tmp/seaweedfs-{part}-grpc-{port + _GRPC_OFFSET}.sock").unlink(missing_ok=True)  # noqa: S108


@contextmanager
def ministack(directory: Path, *, certificate: Path | None = None) -> Iterator[Aws]:
    """Run ministack with its data in ``directory``.

    With a ``certificate`` for localhost (PEM, with its key), it speaks TLS, and asks IAM about every request.
    """
    (port,) = free_ports(1)
    environment = {
        "BIND_HOST": LOOPBACK,  # it would listen on every interface
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "S3_DATA_DIR": str(directory),
        "TMPDIR": str(directory),
    }
    endpoint = f"http://{LOOPBACK}:{port}"
    context = None
    if certificate:
        endpoint = f"https://localhost:{port}"
        context = ssl.create_default_context(cafile=str(certificate))
        environment |= {
            "AUTH": "true",
            "USE_SSL": "1",
            "MINISTACK_SSL_CERT": str(certificate),
            "MINISTACK_SSL_KEY": str(certificate),
            # For the functions that it runs, which speak to it.
            "AWS_CA_BUNDLE": str(certificate),
        }
    with _server("ministack", [_program("ministack")], directory, environment) as process:
        health = f"{endpoint}/_ministack/health"
        _wait_until_it_answers(process, health, log=directory / "ministack.log", context=context)
        yield Aws(endpoint)


def free_ports(number: int, *, also: int = 0) -> tuple[int, ...]:
    """Return ports on loopback that nobody listens on; with ``also``, nor on the ones that much above."""
    with ExitStack() as held:
        found: list[int] = []
        while len(found) < number:
            probe = held.enter_context(socket.socket())
            probe.bind((LOOPBACK, 0))
            port = probe.getsockname()[1]
            if also:
                port = port % 20_000 + 20_000  # where there is room above
                with socket.socket() as itself, socket.socket() as above:
                    try:
                        itself.bind((LOOPBACK, port))
                        above.bind((LOOPBACK, port + also))
                    except OSError:
                        continue
            if port not in found:
                found.append(port)
        return tuple(found)


def _program(name: str) -> str:
    path = HOME / "bin" / name
    if not path.exists():
        raise TransientError(f"The emulator {name} is not installed.", remedy="Run `make .venv/.emulators`.")
    return str(path)


@contextmanager
def _server(
    name: str, command: Sequence[str], directory: Path, environment: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.lifeline", *command],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=PROJECT_ROOT,
            # Nothing of this machine's AWS configuration or proxy.
            env={"PATH": os.environ.get("PATH", os.defpath), "HOME": str(directory), **environment},
            start_new_session=True,  # a terminal's Ctrl-C is for us: tests that end may still need it
        )
    try:
        yield process
    finally:
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_it_answers(
    process: subprocess.Popen[bytes], url: str, *, log: Path, context: ssl.SSLContext | None = None
) -> None:
    opener = build_opener(ProxyHandler({}), HTTPSHandler(context=context))
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with opener.open(url, timeout=5):
                return
        except HTTPError as error:
            error.close()
            return  # any answer is one
        except OSError:
            time.sleep(0.1)
    raise TransientError(f"An emulator does not answer at {url}.", remedy=f"See {log} for what it had to say.")
