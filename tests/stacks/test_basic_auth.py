"""The function at CloudFront's edge, run by a real engine: who gets in, who does not, and what it never says.

That its language is no newer than CloudFront's is for the list of forbidden syntax below.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from unittest.mock import MagicMock

import pytest

from assayctl.readers import Readers
from tests.stacks.edge import SOURCE, Edge

PASSWORD = "correct-horse"
_STORE = MagicMock()
DAVES_PASSWORD, _ = Readers(_STORE, "arn").set_password("dave")
USERS = {
    "alice": hashlib.sha256(f"alice:{PASSWORD}".encode()).hexdigest(),
    "bob": hashlib.sha256(b"bob:other").hexdigest(),
    "colon": hashlib.sha256(b"colon:a:b").hexdigest(),
    "cut-off": hashlib.sha256(b"cut-off:x").hexdigest()[:63],
    "dave": _STORE.put_key.call_args.kwargs["Value"],
    "empty": "",
    "too-long": hashlib.sha256(b"too-long:x").hexdigest() + "0",
    "upper": hashlib.sha256(b"upper:x").hexdigest().upper(),
}


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    edge = Edge(tmp_path_factory.mktemp("edge"), USERS)
    yield edge
    edge.close()


def basic(text: str | bytes) -> str:
    return f"Basic {base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()}"


@pytest.mark.parametrize(
    "header",
    [
        basic(f"alice:{PASSWORD}"),
        basic(f"alice:{PASSWORD}").replace("Basic", "basic"),
        basic(f"alice:{PASSWORD}").replace("Basic ", "BASIC  "),
        basic("colon:a:b"),
    ],
)
def test_who_has_the_password_gets_in_and_it_goes_no_further(edge: Edge, header: str) -> None:
    value = edge.ask(header)["value"]
    assert value["uri"] == "/nix-cache-info"
    assert value["headers"] == {"host": {"value": "cache.example.org"}}


REFUSED: Sequence[tuple[str, tuple[str, ...]]] = (
    ("nobody", ()),
    ("an empty header", ("",)),
    ("another's password", (basic("alice:other"),)),
    ("a wrong password", (basic("alice:correct-horsf"),)),
    ("a password that is longer", (basic(f"alice:{PASSWORD}x"),)),
    ("no password", (basic("alice:"),)),
    ("no colon", (basic("alice"),)),
    ("no user", (basic(f":{PASSWORD}"),)),
    ("a user that is not there", (basic(f"mallory:{PASSWORD}"),)),
    ("a user of another case", (basic(f"Alice:{PASSWORD}"),)),
    ("the hash itself", (basic(f"alice:{USERS['alice']}"),)),
    ("what every JavaScript object has", (basic("constructor:x"),)),
    ("an entry that is cut off", (basic("cut-off:x"),)),
    ("an entry that goes on", (basic("too-long:x"),)),
    ("an empty entry", (basic("empty:"),)),
    ("an empty entry, a password", (basic("empty:x"),)),
    ("an entry in upper case", (basic("upper:x"),)),
    ("a token", ("Bearer abc",)),
    ("no scheme", (base64.b64encode(f"alice:{PASSWORD}".encode()).decode(),)),
    ("something before it", (f"x {basic(f'alice:{PASSWORD}')}",)),
    ("something after it", (f"{basic(f'alice:{PASSWORD}')} x",)),
    ("no base 64", ("Basic ****",)),
    ("base 64 of URLs", ("Basic YWxpY2U_",)),
    ("two headers", (basic("alice:other"), basic(f"alice:{PASSWORD}"))),
    ("two headers, the right one first", (basic(f"alice:{PASSWORD}"), basic("alice:other"))),
    ("a line feed in the user", (basic(f"alice\n:{PASSWORD}"),)),
    ("bytes that are no UTF-8", (basic(b"alice:\xff\xfe"),)),
    ("far too much", (basic("alice:" + "x" * 100_000),)),
)


@pytest.mark.parametrize("headers", [headers for _, headers in REFUSED], ids=[name for name, _ in REFUSED])
def test_i8_everybody_else_gets_the_same_answer(edge: Edge, headers: tuple[str, ...]) -> None:
    """Whatever was wrong: who does not know the users does not learn them. Nothing of it is kept by anybody."""
    assert edge.ask(*headers) == {
        "value": {
            "statusCode": 401,
            "statusDescription": "Unauthorized",
            "headers": {
                "www-authenticate": {"value": 'Basic realm="Nix binary cache", charset="UTF-8"'},
                "cache-control": {"value": "no-store"},
            },
        }
    }


def test_a_store_that_does_not_answer_lets_nobody_in_and_is_no_401(edge: Edge) -> None:
    """CloudFront makes an error of the server of it: Nix tries that again, and takes a 401 for a missing path."""
    assert edge.ask(basic("broken:x")) == {"thrown": "the store does not answer"}


def test_it_fits_cloudfront() -> None:
    """10 KB at most, and only syntax that runtime 2.0 is documented to know: ES 5.1, and some of 6 to 12."""
    source = SOURCE.read_text()
    assert len(source.encode()) < 10_000
    code = re.sub(r"//.*", "", source)
    for newer in ("?.", "??", "...", "class ", "export ", "for await", "matchAll", "BigInt", "#"):
        assert newer not in code
    assert re.findall(r"^import .*", code, re.MULTILINE) == [
        "import cf from 'cloudfront';",
        "import crypto from 'crypto';",
    ]


def test_assayctl_makes_an_entry_that_the_function_takes(edge: Edge) -> None:
    """What `assayctl reader add` hands to CloudFront's store, and the password that it prints."""
    assert edge.ask(basic(f"dave:{DAVES_PASSWORD}"))["value"]["uri"] == "/nix-cache-info"
    assert edge.ask(basic(f"dave:{DAVES_PASSWORD}x"))["value"]["statusCode"] == 401
