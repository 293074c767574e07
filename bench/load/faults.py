"""AWS at its worst, inside a function's process: requests that fail, and some that only seem to.

botocore retries an attempt up to three times, so a fault of one attempt hardly ever reaches ingest; what does is an
outage that outlasts the retries. Both are made here, in equal shares, and of both one part has its effect all the same:
an answer that was lost tells nobody whether the request was carried out.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Any, Final

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session
from urllib3 import HTTPResponse

from bench.load.usage import UsageLog


class Fault(StrEnum):
    """What happens to a request."""

    THROTTLED = "throttled"
    BROKEN = "broken"
    TIMED_OUT = "timed out after its effect"
    ONE_ATTEMPT_THROTTLED = "one attempt throttled"
    ONE_ATTEMPT_TIMED_OUT = "one attempt timed out after its effect"


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: HTTPStatus
    code: str


_REFUSALS: Final = {
    Fault.THROTTLED: _Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "SlowDown"),
    Fault.BROKEN: _Refusal(HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError"),
}
_FATE: Final = "bench_fate"
"""Where a call's request context keeps what will happen to it."""


class Faults:
    """Handlers of botocore's events, which see every call and every attempt of the process."""

    def __init__(self, rate: float, chooser: random.Random, log: UsageLog) -> None:
        """Let a share of ``rate`` of all calls fail, as ``chooser`` says, and write down in ``log`` what was sent."""
        self._rate = rate
        self._chooser = chooser
        self._log = log
        self._session = URLLib3Session()
        self._thread = threading.local()

    def before_call(self, context: dict[str, Any], **_: object) -> tuple[AWSResponse, dict[str, Any]] | None:
        """Choose a call's fate; answer it at once where it is to be refused, as if all retries had been in vain."""
        fate = self._chooser.choice(tuple(Fault)) if self._chooser.random() < self._rate else None
        context[_FATE] = fate
        if fate is None:
            return None
        self._log.faulted(fate)
        if fate in {Fault.ONE_ATTEMPT_THROTTLED, Fault.ONE_ATTEMPT_TIMED_OUT}:
            self._thread.fate = fate  # a call and its attempts run on one thread
        refusal = _REFUSALS.get(fate)
        if refusal is None:
            return None
        return _empty_answer(refusal.status), {
            "Error": {"Code": refusal.code, "Message": "by the bench"},
            "ResponseMetadata": {"HTTPStatusCode": int(refusal.status), "HTTPHeaders": {}, "RetryAttempts": 3},
        }

    def before_send(self, request: AWSPreparedRequest, event_name: str, **_: object) -> AWSResponse | None:
        """Let one attempt fail where that is its call's fate; botocore then tries again."""
        fate, self._thread.fate = getattr(self._thread, "fate", None), None
        if fate is Fault.ONE_ATTEMPT_THROTTLED:
            return _empty_answer(HTTPStatus.SERVICE_UNAVAILABLE)
        self._log.sent(event_name.rpartition(".")[2])
        if fate is Fault.ONE_ATTEMPT_TIMED_OUT:
            self._session.send(request)
            raise ReadTimeoutError(endpoint_url=request.url)
        return None

    def after_call(self, context: dict[str, Any], **_: object) -> None:
        """Lose the answer to a call where that is its fate."""
        if context.get(_FATE) is Fault.TIMED_OUT:
            raise ReadTimeoutError(endpoint_url="by the bench")


def _empty_answer(status: HTTPStatus) -> AWSResponse:
    return AWSResponse("", int(status), HTTPHeaders(), HTTPResponse(body=b"", preload_content=False))
