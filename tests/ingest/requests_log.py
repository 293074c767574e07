"""Every request that a set of clients sends: to be counted, to be failed, and to do something in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError

from lambdas.ingest.adapters.clients import Clients

Hook = Callable[[int, str], AWSResponse | None]
"""Gets the number of a request (from 0) and its operation; an answer that it returns is taken instead of AWS's."""


class Killed(BaseException):
    """The container dies, as on a time-out of the function: nothing catches it, and nothing is reported."""


class RequestsLog:
    """The operations that ``clients`` have sent, in order, with a hook before each is sent and one after its effect."""

    def __init__(self, clients: Clients, *, before: Hook | None = None, after: Hook | None = None) -> None:
        self.operations: list[str] = []

        def on_send(event_name: str, **_: object) -> AWSResponse | None:
            operation = event_name.rsplit(".", 1)[-1]
            self.operations.append(operation)
            return before(len(self.operations) - 1, operation) if before else None

        def on_answer(event_name: str, parsed: dict[str, Any], **_: object) -> None:
            try:
                if after:
                    after(len(self.operations) - 1, event_name.rsplit(".", 1)[-1])
            except BaseException:
                if "Body" in parsed:
                    parsed["Body"].close()  # nobody else will
                raise

        for client in (clients.s3, clients.sqs, clients.secrets):
            hooks: Any = client.meta.events  # the stubs say that a hook returns nothing
            hooks.register("before-send.*", on_send)
            hooks.register("after-call.*", on_answer)


class Once:
    """Does ``what`` right before ``clients`` send their ``number``-th ``operation`` on a key that begins so."""

    def __init__(
        self, clients: Clients, operation: str, prefix: str, what: Callable[[], object], *, number: int = 1
    ) -> None:
        self.seen = 0

        def on_request(params: dict[str, Any], **_: object) -> None:
            if str(params.get("Key", params.get("Prefix", ""))).startswith(prefix):
                self.seen += 1
                if self.seen == number:
                    what()

        clients.s3.meta.events.register(f"provide-client-params.s3.{operation}", on_request)


def die() -> None:
    """Kill the container, as what a :class:`Once` does."""
    raise Killed


class _Body:
    """What botocore reads an answer from."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, *_: object, **__: object) -> list[bytes]:
        return [self._data]


def reply(status: int, body: bytes) -> AWSResponse:
    """Return an answer of AWS's."""
    return AWSResponse("http://injected/", status, HTTPHeaders(), _Body(body))


def answer(status: int, code: str) -> AWSResponse:
    """Return an error as S3 answers it."""
    return reply(status, f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode() if code else b"")


def timeout() -> ReadTimeoutError:
    """Return the error of a connection on which no answer came."""
    return ReadTimeoutError(endpoint_url="http://injected/")
