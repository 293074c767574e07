"""What S3 answers with, whole or not at all: the beginning of an answer looks like a truncated object."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Final

from lambdas.ingest.adapters.aws_call import aws_call
from nixcache.errors import TransientError
from nixcache.narinfo import MAX_NARINFO_SIZE

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

CHUNK_SIZE: Final = 1024 * 1024
"""Bytes in memory at once while a NAR streams by."""


def read_narinfo(answer: GetObjectOutputTypeDef, operation: str) -> bytes:
    """Return the object's bytes, of a large one only the first: one more than the parser allows.

    Raises :class:`TransientError` when the answer breaks off. botocore compares an answer with its length only for who
    reads past its end, and nobody here does: an object may have any size.
    """
    limit = MAX_NARINFO_SIZE + 1
    with aws_call(operation), closing(answer["Body"]) as body:
        data = body.read(limit)
    if len(data) < min(answer["ContentLength"], limit):
        raise TransientError(f"{operation} ended early.", remedy="It is tried again.")
    return data


def read_chunks(body: StreamingBody, operation: str) -> Iterator[bytes]:
    """Yield what ``body`` holds; an answer that breaks off is :class:`TransientError`, never the end of the data."""
    with aws_call(operation):
        yield from body.iter_chunks(CHUNK_SIZE)
