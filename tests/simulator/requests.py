"""A request on its way to the simulated AWS and back, with a hook on either side of its effect."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar, cast

from botocore.exceptions import ClientError

from tests.simulator.errors import RefusedError, Unsimulated

Answer: TypeAlias = dict[str, object]
"""What a client's method returns, as botocore parses it."""
P = TypeVar("P")

_S3_OBJECT: Final = frozenset(("Bucket", "Key"))
_HEADERS: Final = frozenset(("ContentType", "CacheControl", "Metadata", "Tagging"))
KNOWN_PARAMETERS: Final[Mapping[str, frozenset[str]]] = {
    "GetObject": _S3_OBJECT | {"VersionId", "IfMatch"},
    "HeadObject": _S3_OBJECT | {"VersionId", "IfMatch"},
    "PutObject": _S3_OBJECT | _HEADERS | {"Body", "IfNoneMatch", "IfMatch"},
    "CopyObject": _S3_OBJECT
    | _HEADERS
    | {"CopySource", "CopySourceIfMatch", "IfNoneMatch", "IfMatch", "MetadataDirective", "TaggingDirective"},
    "ListObjectsV2": frozenset(("Bucket", "Prefix", "StartAfter", "MaxKeys", "ContinuationToken")),
    "ListObjectVersions": frozenset(("Bucket", "Prefix", "MaxKeys", "KeyMarker", "VersionIdMarker")),
    "DeleteObject": _S3_OBJECT | {"VersionId"},
    "DeleteObjects": frozenset(("Bucket", "Delete")),
    "CreateMultipartUpload": _S3_OBJECT | _HEADERS,
    "UploadPart": _S3_OBJECT | {"UploadId", "PartNumber", "Body"},
    "UploadPartCopy": _S3_OBJECT | {"UploadId", "PartNumber", "CopySource", "CopySourceRange", "CopySourceIfMatch"},
    "CompleteMultipartUpload": _S3_OBJECT | {"UploadId", "MultipartUpload", "IfNoneMatch", "IfMatch"},
    "AbortMultipartUpload": _S3_OBJECT | {"UploadId"},
    "ListMultipartUploads": frozenset(("Bucket", "Prefix")),
    "SendMessage": frozenset(("QueueUrl", "MessageBody", "DelaySeconds")),
    "SendMessageBatch": frozenset(("QueueUrl", "Entries")),
    "ReceiveMessage": frozenset(
        ("QueueUrl", "MaxNumberOfMessages", "VisibilityTimeout", "WaitTimeSeconds", "MessageSystemAttributeNames")
    ),
    "ChangeMessageVisibility": frozenset(("QueueUrl", "ReceiptHandle", "VisibilityTimeout")),
    "DeleteMessage": frozenset(("QueueUrl", "ReceiptHandle")),
    "DeleteMessageBatch": frozenset(("QueueUrl", "Entries")),
    "GetSecretValue": frozenset(("SecretId", "VersionStage")),
}
"""The operations there are, and what may be said with each."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request: ``number`` counts from 0 in its own client set; ``operation`` is AWS's name, such as PutObject."""

    number: int
    operation: str
    parameters: Mapping[str, object]

    @property
    def target(self) -> str:
        """What it is about, to be read by people: ``bucket/key``, ``bucket/prefix*``, a queue, a secret."""
        match self.parameters:
            case {"Bucket": bucket, "Key": key}:
                return f"{bucket}/{key}"
            case {"Bucket": bucket, "Delete": {"Objects": [{"Key": first}, *rest]}}:
                return f"{bucket}/{first}" + (f" and {len(rest)} more" if rest else "")
            case {"Bucket": bucket}:
                return f"{bucket}/{self.parameters.get('Prefix', '')}*"
            case {"QueueUrl": url}:
                return str(url).rsplit("/", 1)[-1]
        return str(self.parameters.get("SecretId", ""))

    def __str__(self) -> str:
        return f"{self.operation} {self.target}"


Before: TypeAlias = Callable[[Request], None]
"""Called before a request reaches AWS. What it raises, the sender gets: a :class:`RefusedError` as botocore's error for
it, other exceptions as they are; a BaseException such as ``Killed`` ends the container."""
After: TypeAlias = Callable[[Request, Answer | None], None]
"""Called when a request has had its effect, with the answer, which it may change; None if AWS refused. It may raise."""


class Line:
    """What the requests of one client set pass: its container's line to AWS."""

    def __init__(self, state: threading.RLock, before: Before | None, after: After | None) -> None:
        """``state`` is held while a request has its effect, so that each is atomic; never while a hook runs."""
        self._state = state
        self._before = before
        self._after = after
        self._numbers = threading.Lock()
        self._sent = 0
        self._death: BaseException | None = None

    def send(self, operation: str, parameters: P, effect: Callable[[P], Answer]) -> Answer:
        """Send a request. Once a hook has killed the container, none of its threads gets another one through."""
        given = cast("Mapping[str, object]", parameters)
        if unknown := given.keys() - KNOWN_PARAMETERS[operation]:
            raise Unsimulated(f"{operation} with {', '.join(sorted(unknown))}")
        if self._death is not None:
            raise self._death
        with self._numbers:
            request = Request(self._sent, operation, given)
            self._sent += 1
        try:
            return self._exchange(request, lambda: effect(parameters))
        except RefusedError as refusal:
            raise refusal.to_client_error(operation) from None
        except Exception:
            raise
        except BaseException as death:
            self._death = death
            raise

    def _exchange(self, request: Request, effect: Callable[[], Answer]) -> Answer:
        if self._before:
            self._before(request)
        try:
            with self._state:
                answer = effect()
        except (RefusedError, ClientError):
            if self._after:
                self._after(request, None)
            raise
        answer.setdefault("ResponseMetadata", {"HTTPStatusCode": 200, "HTTPHeaders": {}, "RetryAttempts": 0})
        if self._after:
            self._after(request, answer)
        return answer
