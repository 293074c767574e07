"""How AWS says no, and how a container dies."""

from __future__ import annotations

from typing import Final

from botocore.exceptions import ClientError, ReadTimeoutError

STATUS: Final = {
    "AccessDenied": 403,
    "AWS.SimpleQueueService.BatchEntryIdsNotDistinct": 400,
    "AWS.SimpleQueueService.EmptyBatchRequest": 400,
    "AWS.SimpleQueueService.NonExistentQueue": 400,
    "AWS.SimpleQueueService.TooManyEntriesInBatchRequest": 400,
    "ConditionalRequestConflict": 409,
    "EntityTooSmall": 400,
    "InternalError": 500,
    "InvalidArgument": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidParameterValue": 400,
    "InvalidRange": 416,
    "InvalidRequest": 400,
    "MalformedXML": 400,
    "MetadataTooLarge": 400,
    "MethodNotAllowed": 405,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
    "ReceiptHandleIsInvalid": 400,
    "ResourceNotFoundException": 400,
    "ServiceUnavailable": 503,
    "SlowDown": 503,
    "ThrottlingException": 400,
}
"""The HTTP status that comes with each code."""
_HEAD_MESSAGES: Final = {400: "Bad Request", 403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed"}


class RefusedError(Exception):
    """AWS refuses a request with ``code``. Whoever sent it gets the :class:`ClientError` that botocore makes of it."""

    def __init__(self, code: str, message: str = "simulated") -> None:
        """``code`` is one of :data:`STATUS`."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message

    def to_client_error(self, operation: str) -> ClientError:
        """Return what botocore raises: for a HEAD request, whose answer has no body, the status stands for the code."""
        status = STATUS[self.code]
        code, message = self.code, self.message
        if operation.startswith("Head"):
            code, message = str(status), _HEAD_MESSAGES.get(status, "simulated")
        return ClientError(
            {
                "Error": {"Code": code, "Message": message},
                "ResponseMetadata": {
                    "RequestId": "simulated",
                    "HTTPStatusCode": status,
                    "HTTPHeaders": {},
                    "RetryAttempts": 0,
                    "HostId": "simulated",
                },
            },
            operation,
        )


class Killed(BaseException):
    """The container dies, as on a time-out of the function: nothing catches it, and nothing is reported."""


class Unsimulated(BaseException):
    """A request uses what the simulator does not know. No code under test shall mistake that for a fault of AWS's."""


def time_out() -> ReadTimeoutError:
    """Return the error of a connection on which no answer came."""
    return ReadTimeoutError(endpoint_url="http://simulated/")
