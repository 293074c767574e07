"""What moto's server needs before many clients may use it at once.

Its queue loses a message that arrives while another is deleted, which would be taken for a submission that we lost. And
it reads its own directory at each request, copies messages in depth, and asks for the time, by the calendar, some
thirty times a message: that is most of what its requests take. It looks and then writes, so of those who create or
replace one object at once, two may be told that they were first. And once it checks signatures, it wants one on the
request that brings a CI job its first credentials, which has none by nature.
"""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Iterable

from moto import backends
from moto.core.common_types import TYPE_RESPONSE
from moto.s3.responses import S3Response
from moto.sqs import models
from moto.sqs.exceptions import ReceiptHandleIsInvalid
from moto.sqs.models import Message, Queue
from moto.sts.responses import TokenResponse

_deleting = threading.Lock()
_putting = threading.Lock()
_put_object = S3Response.put_object


def repair() -> None:
    """Mend this process's moto; to be called before its server starts."""
    Queue.delete_message = _delete_message  # type: ignore[method-assign, assignment]
    Queue.messages = property(_messages)  # type: ignore[method-assign, assignment]
    # The copy is given other attributes as a whole, so what it shares with the message in the queue stays as it is.
    models.deepcopy = copy.copy  # type: ignore[assignment, attr-defined]
    models.unix_time_millis = _now  # type: ignore[assignment, attr-defined]
    S3Response.put_object = _put_one_at_a_time  # type: ignore[method-assign, assignment]
    checked = TokenResponse._authenticate_and_authorize_normal_action  # noqa: SLF001 - moto's own method

    def authenticate(response: TokenResponse, resource: str = "*") -> None:
        """Let the one request through that carries a token of an identity provider in a signature's stead."""
        if response._get_action() != "AssumeRoleWithWebIdentity":  # noqa: SLF001 - the same
            checked(response, resource)

    TokenResponse._authenticate_and_authorize_normal_action = authenticate  # type: ignore[method-assign, assignment]  # noqa: SLF001
    modules = tuple(backends.list_of_moto_modules())

    def known_modules() -> Iterable[str]:
        return modules

    backends.list_of_moto_modules = known_modules


def _put_one_at_a_time(response: S3Response) -> TYPE_RESPONSE:
    """Look and write as one step; unconditional writes too, or one could come between the two."""
    with _putting:
        return _put_object(response)


def _delete_message(queue: Queue, receipt_handle: str) -> None:
    """Take the message out of the list, where moto would put a list of all others in its place."""
    with _deleting:
        if receipt_handle in queue.deleted_messages:
            return
        for message in tuple(queue._messages):  # noqa: SLF001 - moto's own method, written again
            if message.had_receipt_handle(receipt_handle):
                queue.pending_messages.discard(message)
                queue.deleted_messages.update(handle for handle in message.all_receipt_handles if handle)
                queue._messages.remove(message)  # noqa: SLF001 - the same
                return
    raise ReceiptHandleIsInvalid


def _now() -> float:
    """Return milliseconds since the epoch."""
    return time.time() * 1000


def _messages(queue: Queue) -> list[Message]:
    """Return those that can be received, asking for the time once and not twice a message."""
    now = _now()
    return [
        message
        for message in tuple(queue._messages)  # noqa: SLF001 - the same
        if message.visible_at < now and message.delayed_until <= now
    ]
