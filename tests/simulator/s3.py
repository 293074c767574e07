"""S3: what each operation does to the buckets. tests/contract compares it with other S3s."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from itertools import count, islice
from typing import TYPE_CHECKING, Final

from botocore.response import StreamingBody

from tests.simulator.bucket import NULL_VERSION, Bucket, DeleteMarker, Entry, ObjectVersion, etag
from tests.simulator.clock import Clock
from tests.simulator.errors import RefusedError, Unsimulated
from tests.simulator.requests import Answer

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        CopyObjectRequestTypeDef,
        CopySourceTypeDef,
        DeleteObjectRequestTypeDef,
        DeleteObjectsRequestTypeDef,
        GetObjectRequestTypeDef,
        HeadObjectRequestTypeDef,
        ListObjectsV2RequestTypeDef,
        ListObjectVersionsRequestTypeDef,
        PutObjectRequestTypeDef,
    )

MAX_KEYS: Final = 1000
"""In a page of a listing, and in one DeleteObjects."""
MAX_METADATA_SIZE: Final = 2048
"""Bytes of an object's metadata, names and values together."""
MAX_KEY_SIZE: Final = 1024
"""Bytes of a key in UTF-8."""
_VERSION_ID_LENGTH: Final = 32

Listener = Callable[[str, ObjectVersion], None]
"""Told of each object that is created: the event's name, such as ``ObjectCreated:Put``, and the version."""


class ObjectStore:
    """All buckets. The state's lock is held by whoever calls an operation."""

    def __init__(self, clock: Clock, state: threading.RLock) -> None:
        """Start without a bucket."""
        self._clock = clock
        self._state = state
        self._buckets: dict[str, Bucket] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._serial = count()

    def create_bucket(self, name: str, *, versioned: bool) -> Bucket:
        """Add a bucket."""
        bucket = self._buckets[name] = Bucket(name, self._state, versioned=versioned)
        return bucket

    def listen(self, bucket: str, listener: Listener) -> None:
        """Have ``listener`` told of everything that is created in ``bucket``."""
        self._listeners.setdefault(bucket, []).append(listener)

    def bucket(self, name: str) -> Bucket:
        """Return a bucket; refused when there is none."""
        try:
            return self._buckets[name]
        except KeyError:
            raise RefusedError("NoSuchBucket", "The specified bucket does not exist") from None

    def now(self) -> datetime:
        """Return the time in S3's resolution."""
        return self._clock.now.replace(microsecond=0)

    def new_id(self) -> str:
        """Return a version or upload id: as long as S3's, never twice the same, and in no order."""
        digest = hashlib.blake2b(next(self._serial).to_bytes(8, "big"), digest_size=24).digest()
        return base64.urlsafe_b64encode(digest).decode().replace("-", ".")

    # Operations.

    def get_object(self, request: GetObjectRequestTypeDef) -> Answer:
        version = self._find(request["Bucket"], request["Key"], request.get("VersionId"))
        _check_if_match(version, request.get("IfMatch"))
        return self._describe(version, request["Bucket"]) | {
            "Body": StreamingBody(io.BytesIO(version.data), len(version.data))
        }

    def head_object(self, request: HeadObjectRequestTypeDef) -> Answer:
        version = self._find(request["Bucket"], request["Key"], request.get("VersionId"))
        _check_if_match(version, request.get("IfMatch"))
        return self._describe(version, request["Bucket"])

    def put_object(self, request: PutObjectRequestTypeDef) -> Answer:
        data = read_body(request.get("Body", b""))
        version = self.create(
            request["Bucket"],
            request["Key"],
            data,
            etag(data),
            request,
            event="ObjectCreated:Put",
            if_none_match=request.get("IfNoneMatch"),
            if_match=request.get("IfMatch"),
        )
        return {"ETag": version.etag} | self._version_of(request["Bucket"], version)

    def copy_object(self, request: CopyObjectRequestTypeDef) -> Answer:
        source = self.source(request["CopySource"], request.get("CopySourceIfMatch"))
        replaced = request.get("MetadataDirective") == "REPLACE"
        version = self.create(
            request["Bucket"],
            request["Key"],
            source.data,
            etag(source.data),
            request if replaced else {**source.headers, "Metadata": source.metadata},
            event="ObjectCreated:Copy",
            if_none_match=request.get("IfNoneMatch"),
            if_match=request.get("IfMatch"),
        )
        answer: Answer = {"CopyObjectResult": {"ETag": version.etag, "LastModified": version.modified}}
        if source.version_id != NULL_VERSION:
            answer["CopySourceVersionId"] = source.version_id
        return answer | self._version_of(request["Bucket"], version)

    def list_objects_v2(self, request: ListObjectsV2RequestTypeDef) -> Answer:
        limit = _page_size(request.get("MaxKeys", MAX_KEYS))
        prefix = request.get("Prefix", "")
        token = request.get("ContinuationToken")
        after = request.get("StartAfter", "") if token is None else _read_token(token)
        found = self.bucket(request["Bucket"]).listed(prefix, after)
        page = list(islice(found, limit + 1))
        answer: Answer = {
            "Name": request["Bucket"],
            "Prefix": prefix,
            "MaxKeys": limit,
            "KeyCount": min(len(page), limit),
            "IsTruncated": 0 < limit < len(page),
        }
        if contents := page[:limit]:
            answer["Contents"] = [
                {
                    "Key": version.key,
                    "LastModified": version.modified,
                    "ETag": version.etag,
                    "Size": len(version.data),
                    "StorageClass": "STANDARD",
                }
                for version in contents
            ]
            if len(page) > limit:
                answer["NextContinuationToken"] = _token(contents[-1].key)
        return answer

    def list_object_versions(self, request: ListObjectVersionsRequestTypeDef) -> Answer:
        limit = _page_size(request.get("MaxKeys", MAX_KEYS))
        prefix = request.get("Prefix", "")
        bucket = self.bucket(request["Bucket"])
        found = _behind(bucket.all_entries(prefix), request.get("KeyMarker", ""), request.get("VersionIdMarker", ""))
        page = list(islice(found, limit + 1))
        shown = page[:limit]
        answer: Answer = {
            "Name": request["Bucket"],
            "Prefix": prefix,
            "MaxKeys": limit,
            "IsTruncated": 0 < limit < len(page),
        }
        if 0 < limit < len(page):
            answer |= {"NextKeyMarker": shown[-1].key, "NextVersionIdMarker": shown[-1].version_id}
        versions = [
            _place(entry, bucket) | {"ETag": entry.etag, "Size": len(entry.data), "StorageClass": "STANDARD"}
            for entry in shown
            if isinstance(entry, ObjectVersion)
        ]
        markers = [_place(entry, bucket) for entry in shown if isinstance(entry, DeleteMarker)]
        # Two lists, as botocore parses them: how versions and markers of a key alternate is told by IsLatest alone.
        return answer | ({"Versions": versions} if versions else {}) | ({"DeleteMarkers": markers} if markers else {})

    def delete_object(self, request: DeleteObjectRequestTypeDef) -> Answer:
        return self._delete(self.bucket(request["Bucket"]), request["Key"], request.get("VersionId"))

    def delete_objects(self, request: DeleteObjectsRequestTypeDef) -> Answer:
        bucket = self.bucket(request["Bucket"])
        objects = request["Delete"]["Objects"]
        if not 0 < len(objects) <= MAX_KEYS:
            raise RefusedError("MalformedXML", "The XML you provided was not well-formed")
        deleted = []
        for item in objects:
            if unknown := item.keys() - {"Key", "VersionId"}:
                raise Unsimulated(f"DeleteObjects with {', '.join(unknown)}")
            done = self._delete(bucket, item["Key"], item.get("VersionId"))
            marker = (
                {"DeleteMarker": True, "DeleteMarkerVersionId": done["VersionId"]} if "DeleteMarker" in done else {}
            )
            deleted.append({**item, **marker})
        return {} if request["Delete"].get("Quiet") else {"Deleted": deleted}

    # What multipart uploads share with these.

    def source(self, copy_source: str | CopySourceTypeDef, if_match: str | None) -> ObjectVersion:
        """Return what a copy is of."""
        if isinstance(copy_source, str):
            raise Unsimulated("a CopySource that is a string")
        version_id = copy_source.get("VersionId")
        if (
            isinstance(self._find_entry(copy_source["Bucket"], copy_source["Key"], version_id), DeleteMarker)
            and version_id
        ):
            raise RefusedError(
                "InvalidRequest", "The source of a copy request may not specifically refer to a delete marker"
            )
        version = self._find(copy_source["Bucket"], copy_source["Key"], version_id)
        _check_if_match(version, if_match)
        return version

    def create(
        self,
        bucket_name: str,
        key: str,
        data: bytes,
        tag: str,
        about: Mapping[str, object],
        *,
        event: str,
        if_none_match: str | None,
        if_match: str | None,
    ) -> ObjectVersion:
        """Write an object on its condition, and tell of it. ``about`` holds its headers and metadata."""
        bucket = self.bucket(bucket_name)
        self.check_condition(bucket, key, if_none_match, if_match)
        headers, metadata = read_about(about)
        version_id = self.new_id() if bucket.versioned else NULL_VERSION
        version = ObjectVersion(key, version_id, self.now(), data, tag, headers, metadata)
        bucket.add(version)
        for listener in self._listeners.get(bucket_name, ()):
            listener(event, version)
        return version

    def check_condition(self, bucket: Bucket, key: str, if_none_match: str | None, if_match: str | None) -> None:
        """Refuse a write whose condition does not hold."""
        if not 0 < len(key.encode()) <= MAX_KEY_SIZE:
            raise RefusedError("InvalidArgument", "a key of this length")
        current = bucket.current(key)
        if if_none_match is not None:
            if if_none_match != "*":
                raise RefusedError("NotImplemented", "If-None-Match other than * on a write")
            if current is not None:
                raise RefusedError(
                    "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"
                )
        if if_match is not None:
            if current is None:
                raise RefusedError("NoSuchKey", "The specified key does not exist.")
            _check_if_match(current, if_match)

    # Inside.

    def _find_entry(self, bucket_name: str, key: str, version_id: str | None) -> Entry | None:
        bucket = self.bucket(bucket_name)
        return bucket.top(key) if version_id is None else bucket.entry(key, version_id)

    def _find(self, bucket_name: str, key: str, version_id: str | None) -> ObjectVersion:
        entry = self._find_entry(bucket_name, key, version_id)
        if isinstance(entry, ObjectVersion):
            return entry
        if version_id is None:
            raise RefusedError("NoSuchKey", "The specified key does not exist.")
        if entry is not None:
            raise RefusedError("MethodNotAllowed", "The specified method is not allowed against this resource.")
        if version_id != NULL_VERSION and len(version_id) != _VERSION_ID_LENGTH:
            raise RefusedError("InvalidArgument", "Invalid version id specified")
        raise RefusedError("NoSuchVersion", "The specified version does not exist.")

    def _describe(self, version: ObjectVersion, bucket_name: str) -> Answer:
        return {
            "ContentLength": len(version.data),
            "ETag": version.etag,
            "LastModified": version.modified,
            "Metadata": dict(version.metadata),
            "ContentType": "binary/octet-stream",
            **version.headers,
            **self._version_of(bucket_name, version),
        }

    def _version_of(self, bucket_name: str, version: ObjectVersion) -> Answer:
        return {"VersionId": version.version_id} if self.bucket(bucket_name).versioned else {}

    def _delete(self, bucket: Bucket, key: str, version_id: str | None) -> Answer:
        if version_id is not None:
            removed = bucket.remove(key, version_id)
            return {"VersionId": version_id} | ({"DeleteMarker": True} if isinstance(removed, DeleteMarker) else {})
        if not bucket.versioned:
            bucket.remove(key, NULL_VERSION)
            return {}
        # Even where nothing was: S3 leaves a marker then, too.
        marker = DeleteMarker(key, self.new_id(), self.now())
        bucket.add(marker)
        return {"DeleteMarker": True, "VersionId": marker.version_id}


def read_body(body: object) -> bytes:
    """Return what a request carries."""
    if isinstance(body, bytes | bytearray):
        return bytes(body)
    if isinstance(body, str):
        return body.encode()
    raise Unsimulated(f"a body of {type(body).__name__}")


def read_about(about: Mapping[str, object]) -> tuple[dict[str, str], dict[str, str]]:
    """Return headers and metadata of a request, as S3 keeps them."""
    headers = {name: str(about[name]) for name in ("ContentType", "CacheControl") if name in about}
    given = about.get("Metadata", {})
    if not isinstance(given, Mapping):
        raise Unsimulated(f"metadata of {type(given).__name__}")
    metadata = {str(name).lower(): str(value) for name, value in given.items()}
    if not all(text.isascii() and text.isprintable() for pair in metadata.items() for text in pair):
        raise Unsimulated("metadata that is not plain ASCII: botocore refuses it")
    if sum(len(name) + len(value) for name, value in metadata.items()) > MAX_METADATA_SIZE:
        raise RefusedError("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")
    return headers, metadata


def _check_if_match(version: ObjectVersion, expected: str | None) -> None:
    if expected is not None and expected != "*" and expected.strip('"') != version.etag.strip('"'):
        raise RefusedError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")


def _page_size(asked: int) -> int:
    if asked < 0:
        raise RefusedError("InvalidArgument", "MaxKeys")
    return min(asked, MAX_KEYS)


def _token(key: str) -> str:
    return base64.b64encode(key.encode()).decode()


def _read_token(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except ValueError:
        raise RefusedError("InvalidArgument", "The continuation token provided is incorrect") from None


def _behind(entries: Iterator[Entry], key_marker: str, version_id_marker: str) -> Iterator[Entry]:
    """Yield what comes after a page that ended with this version of this key; without a version, after the key."""
    passed = not version_id_marker
    for entry in entries:
        if entry.key > key_marker or (entry.key == key_marker and version_id_marker and passed):
            if not passed:
                break
            yield entry
        elif entry.key == key_marker and entry.version_id == version_id_marker:
            passed = True
    if not passed:
        raise Unsimulated("going on after a version that has been deleted meanwhile")


def _place(entry: Entry, bucket: Bucket) -> Answer:
    return {
        "Key": entry.key,
        "VersionId": entry.version_id,
        "IsLatest": bucket.is_top(entry),
        "LastModified": entry.modified,
    }
