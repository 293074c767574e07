"""Real Nix before the function that asks for passwords: netrc lets it in, and nothing else does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.nixcache.relocated_nix import RelocatedNix
from tests.stacks.edge import Edge

USERS = {"alice": hashlib.sha256(b"alice:right").hexdigest()}


@pytest.fixture(scope="module")
def nix(tmp_path_factory: pytest.TempPathFactory) -> RelocatedNix:
    nix = RelocatedNix(tmp_path_factory.mktemp("nix"))
    (nix.root / "etc").mkdir()
    return nix


@pytest.fixture(scope="module")
def path(nix: RelocatedNix) -> str:
    return nix.to_file("private", "for alice")


@pytest.fixture(scope="module")
def address(nix: RelocatedNix, path: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A private cache that has the path."""
    cache = nix.root / "cache"
    nix.run("nix", "copy", "--to", f"file://{cache}?compression=none", path)
    edge = Edge(tmp_path_factory.mktemp("edge"), USERS)
    one_at_a_time = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            with one_at_a_time:
                answer = edge.ask(*self.headers.get_all("Authorization", []))["value"]
            if "statusCode" in answer:
                self._answer(answer["statusCode"], b"", {k: v["value"] for k, v in answer["headers"].items()})
                return
            file = cache / self.path.lstrip("/")
            body = file.read_bytes() if file.is_file() else None
            self._answer(404 if body is None else 200, body or b"", {})

        do_HEAD = do_GET  # noqa: N815  the standard library's name

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}"
        http.shutdown()
        thread.join()
    edge.close()


def _install(nix: RelocatedNix, address: str, path: str, root: Path, netrc: str | None) -> str:
    """Have Nix copy ``path`` into an empty store; return what it complained of."""
    file = nix.root / "etc" / "netrc"
    file.unlink(missing_ok=True)
    if netrc is not None:
        file.write_text(netrc)
        file.chmod(0o600)
    # Content-addressed, so no signature is in play; an empty HOME has no narinfo in its cache.
    home = root / "home"
    home.mkdir()
    command = ["nix", "copy", "--from", address, "--to", f"local?root={root}", path]
    done = nix.attempt("env", f"HOME={home}", f"XDG_CACHE_HOME={home}", *command)
    return done.stderr.decode() if done.returncode else ""


def test_netrc_lets_nix_in(nix: RelocatedNix, address: str, path: str, tmp_path: Path) -> None:
    netrc = "machine 127.0.0.1\nlogin alice\npassword right\n"
    assert _install(nix, address, path, tmp_path, netrc) == ""
    assert (tmp_path / "nix" / "store" / Path(path).name).read_text() == "for alice"


@pytest.mark.parametrize(
    "netrc",
    [
        pytest.param(None, id="no netrc"),
        pytest.param("machine 127.0.0.1\nlogin alice\npassword wrong\n", id="a wrong password"),
        pytest.param("machine elsewhere.example\nlogin alice\npassword right\n", id="another host's"),
    ],
)
def test_without_the_password_it_is_no_cache_to_nix(
    nix: RelocatedNix, address: str, path: str, tmp_path: Path, netrc: str | None
) -> None:
    """What docs/how-to/serve-readers.md says that Nix says."""
    assert "does not appear to be a binary cache" in _install(nix, address, path, tmp_path, netrc)
