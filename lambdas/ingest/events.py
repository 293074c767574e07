"""What the queue brings: S3's event notifications and our own wake messages, parsed into values.

Nothing in an event is trusted beyond its shape: the key was chosen by a builder, and whether the object exists, and
what is in it, is read from S3.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias
from urllib.parse import unquote_plus

from lambdas.ingest.submission import Submission
from nixcache.errors import AssayError, PermanentError
from protocol import wake
from protocol.keys import NARINFO_SUFFIX, BuilderName, StagingNarInfoKey

_CREATED: Final = "ObjectCreated:"


class MessageError(AssayError):
    """A message that neither S3 nor ingest writes.

    No builder can send one (the queue takes messages from the staging bucket and from ingest only), so this is for the
    operator: the message fails until it lies in the dead-letter queue, where it is kept and seen (docs/adr/0024).
    """


@dataclass(frozen=True, slots=True)
class Misnamed:
    """A builder put a ``.narinfo`` where no submission can be; it shall be told."""

    builder: BuilderName
    key: str
    version_id: str | None


@dataclass(frozen=True, slots=True)
class Stray:
    """An event about something that is no builder's submission: there is nobody to tell, and nothing to do."""

    problem: str
    key: str


Notice: TypeAlias = Submission | Misnamed | Stray


def parse_message(body: str, *, staging_bucket: str) -> tuple[Notice, ...]:
    """Return what a message's ``body`` is about, in its order; empty for S3's test event.

    Raises :class:`MessageError`.
    """
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise _unintelligible("it is not JSON") from None
    match document:
        case {"Event": "s3:TestEvent"}:  # sent whenever the notification is configured, that is, at each deployment
            return ()
        case {"Records": list(records)}:
            return tuple(_parse_record(record, staging_bucket) for record in records)
        case Mapping() if wake.is_wake(document):
            try:
                return (Submission(wake.parse(document), is_woken=True),)
            except PermanentError as error:
                raise _unintelligible(f"it wakes nothing: {error.problem}") from error
    raise _unintelligible("it is neither an S3 event nor a wake message")


def _parse_record(record: object, staging_bucket: str) -> Notice:
    match record:
        case {
            "eventSource": "aws:s3",
            "eventName": str(name),
            "s3": {"bucket": {"name": str(bucket)}, "object": {"key": str(encoded_key), **about}},
        }:
            pass
        case _:
            raise _unintelligible("a record in it is not one of S3's")
    key = unquote_plus(encoded_key)  # S3 encodes keys as a form would
    if bucket != staging_bucket:
        return Stray(f"The event is of the bucket {bucket}, which is not the staging bucket.", key)
    if not name.startswith(_CREATED):
        return Stray(f"The event is {name}, which creates nothing.", key)
    version_id = about.get("versionId")
    return _parse_key(key, version_id if isinstance(version_id, str) else None)


def _parse_key(key: str, version_id: str | None) -> Notice:
    try:
        return Submission(StagingNarInfoKey.parse(key), version_id)
    except PermanentError:
        builder, slash, _ = key.partition("/")
    if not key.endswith(NARINFO_SUFFIX):
        return Stray("The object is no narinfo.", key)
    try:
        return Misnamed(BuilderName(builder if slash else ""), key, version_id)
    except PermanentError as error:
        return Stray(f"The object is in no builder's prefix: {error.problem}", key)


def _unintelligible(why: str) -> MessageError:
    return MessageError(
        f"A message in the queue cannot be understood: {why}.",
        remedy="See who may send to the queue; the message will be in the dead-letter queue.",
    )
