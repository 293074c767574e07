"""Readers with passwords: CloudFront's store, in memory below botocore's own client.

moto has no such service. What a request must hold, and what an answer means, is botocore's model of it; the signature
alone is left out, for it needs a package that is not installed here.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Callable, Iterator
from importlib.metadata import requires
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HAS_CRT, HTTPHeaders
from botocore.config import Config

from assayctl.cli import main
from local.aws import PROJECT_ROOT
from protocol.outputs import Output, stack_name
from tests.assayctl.conftest import Ended, Run, Stage

ARN = "arn:aws:cloudfront::111122223333:key-value-store/01234567-89ab-cdef-0123-456789abcdef"
NETRC = re.compile(r"machine (\S+) login (\S+) password (\S+)\n")


class Store:
    """CloudFront's key-value store: a change is taken of the state that its ETag names, and of no other."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}
        self.states = 1
        self.meddled_with = False

    def answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Stand for the network: botocore sends nothing when a handler of ``before-send`` has an answer."""
        path = unquote(urlsplit(request.url).path)
        assert path.startswith(f"/key-value-stores/{ARN}")
        name = path.removeprefix(f"/key-value-stores/{ARN}").removeprefix("/keys").removeprefix("/")
        etag = f"E{self.states}"
        if request.method != "GET":
            if self.meddled_with or request.headers["If-Match"] not in (etag, etag.encode()):
                return _response(409, {"Message": "not the state that was named"}, error="ConflictException")
            self.states += 1
            if request.method == "PUT":
                assert isinstance(request.body, bytes)
                self.entries[name] = json.loads(request.body)["Value"]
            else:
                del self.entries[name]
            return _response(200, {"ItemCount": len(self.entries), "TotalSizeInBytes": 0}, etag=f"E{self.states}")
        if name:
            if name not in self.entries:
                return _response(404, {"Message": "no such key"}, error="ResourceNotFoundException")
            return _response(200, {"Key": name, "Value": self.entries[name], "ItemCount": 1, "TotalSizeInBytes": 0})
        if path.endswith("/keys"):
            return _response(200, self._page(urlsplit(request.url).query))
        return _response(200, {"ItemCount": 1, "TotalSizeInBytes": 0, "KvsARN": ARN, "Created": 0}, etag=etag)

    def _page(self, query: str) -> dict[str, object]:
        """One entry a page, the last name first."""
        names = sorted(self.entries, reverse=True)
        at = int(query.removeprefix("NextToken=") or 0)
        items = [{"Key": name, "Value": self.entries[name]} for name in names[at : at + 1]]
        return {"Items": items} | ({"NextToken": str(at + 1)} if at + 1 < len(names) else {})


class _Body(io.BytesIO):
    def stream(self, **_: object) -> Iterator[bytes]:
        yield self.read()


def _response(status: int, body: dict[str, object], *, error: str = "", etag: str = "") -> AWSResponse:
    headers = HTTPHeaders()
    if etag:
        headers["ETag"] = etag
    if error:
        headers["x-amzn-ErrorType"] = error
    return AWSResponse("https://kvs.example.org", status, headers, _Body(json.dumps(body).encode()))


@pytest.fixture
def deployed(stage: Stage) -> str:
    """The name of a stage whose readers have passwords."""
    name = f"{stage.name}-private"
    outputs = {Output.READERS_STORE_ARN: ARN, Output.CACHE_URL: "https://cache.example.org"}
    template = {
        "Resources": {"Nothing": {"Type": "AWS::SNS::Topic"}},
        "Outputs": {output.value: {"Value": value} for output, value in outputs.items()},
    }
    stage.session.client("cloudformation").create_stack(StackName=stack_name(name), TemplateBody=json.dumps(template))
    return name


@pytest.fixture
def store(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Store:
    store = Store()
    make: Callable[..., Any] = stage.session.client

    def client(service: str, **arguments: object) -> object:
        if service != "cloudfront-keyvaluestore":
            return make(service, **arguments)
        made = make(service, config=Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1}))
        made.meta.events.register("before-send", store.answer)
        return made

    monkeypatch.setattr(stage.session, "client", client)
    return store


@pytest.fixture
def reader(deployed: str, store: Store, capsys: pytest.CaptureFixture[str]) -> Run:  # noqa: ARG001  it is in its place

    def reader(*arguments: str) -> Ended:
        code = main(["--stage", deployed, "reader", *arguments])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return reader


def test_i8_add_prints_the_line_for_netrc_once_and_aws_keeps_a_hash(reader: Run, store: Store) -> None:
    """I8: what the store holds opens nothing; `list` shows neither."""
    ended = reader("add", "alice")
    assert (ended.code, ended.err) == (0, "")
    line = NETRC.fullmatch(ended.out)
    assert line is not None
    host, name, password = line.groups()
    assert (host, name) == ("cache.example.org", "alice")
    assert len(password) >= 43
    assert store.entries == {"alice": hashlib.sha256(f"alice:{password}".encode()).hexdigest()}
    assert reader("list") == Ended(0, "alice\n", "")


def test_add_of_a_name_that_is_there_is_a_new_password_and_says_so(reader: Run, store: Store) -> None:
    first = reader("add", "alice")
    entry = store.entries["alice"]
    second = reader("add", "alice")
    assert second.code == 0
    assert second.err == "alice was there: the password before this one opens nothing any more.\n"
    assert NETRC.fullmatch(second.out)
    assert second.out != first.out
    assert store.entries["alice"] != entry


def test_who_is_removed_is_let_in_no_more(reader: Run, store: Store) -> None:
    for name in ("alice", "bob@example.org", "carol"):
        reader("add", name)
    assert reader("list").out.split() == ["alice", "bob@example.org", "carol"]
    assert reader("remove", "bob@example.org") == Ended(0, "bob@example.org is let in no more.\n", "")
    assert set(store.entries) == {"alice", "carol"}
    assert reader("remove", "bob@example.org") == Ended(1, "There is no reader bob@example.org.\n", "")


@pytest.mark.parametrize("action", ["add", "remove"])
def test_two_operators_at_once_do_not_undo_each_other(reader: Run, store: Store, action: str) -> None:
    store.entries["alice"] = "0" * 64
    store.meddled_with = True
    ended = reader(action, "alice")
    assert (ended.code, ended.out) == (4, "")
    assert "somebody else has just changed the readers. Run it once more." in ended.err
    assert store.entries == {"alice": "0" * 64}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "a:b"), "'a:b' is no reader's name."),
        (("add", "x" * 65), "is no reader's name."),
        (("add", "alice\n"), "is no reader's name."),
        (("remove", ""), "'' is no reader's name."),
        (("add",), "No reader is named."),
        (("remove",), "No reader is named."),
        (("list", "alice"), "`list` takes no name."),
    ],
)
def test_what_cannot_be_done_changes_nothing(reader: Run, store: Store, arguments: tuple[str, ...], said: str) -> None:
    ended = reader(*arguments)
    assert (ended.code, ended.out, len(ended.err.splitlines())) == (2, "", 1)
    assert said in ended.err
    assert store.states == 1


@pytest.mark.parametrize("arguments", [("add", "alice"), ("remove", "alice"), ("list",)])
def test_a_cache_that_everybody_reads_has_no_readers(run: Run, arguments: tuple[str, ...]) -> None:
    ended = run("reader", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "it asks for no password. Put `readers: basic-auth` into the stage's configuration, and deploy." in ended.err


@pytest.mark.skipif(HAS_CRT, reason="awscrt is installed here")
@pytest.mark.parametrize("arguments", [("add", "alice"), ("remove", "alice"), ("list",)])
def test_without_awscrt_it_says_what_to_install(
    deployed: str, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]
) -> None:
    """The client as it is: nothing below it is replaced."""
    assert main(["--stage", deployed, "reader", *arguments]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert "awscrt is not installed. Run `.venv/bin/python -m pip install -r requirements-readers.txt`" in captured.err


def test_the_requirement_is_the_one_of_botocore() -> None:
    [pinned] = re.findall(r"^awscrt==(.*)$", (PROJECT_ROOT / "requirements-readers.txt").read_text(), re.MULTILINE)
    [wanted] = (each for each in requires("botocore") or () if each.startswith("awscrt"))
    assert re.findall(r"==([0-9.]+)", wanted) == [pinned]
