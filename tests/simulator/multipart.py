"""Multipart uploads: parts that nobody sees until they are put together on a condition."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Final

from tests.simulator.bucket import etag
from tests.simulator.errors import RefusedError, Unsimulated
from tests.simulator.requests import Answer
from tests.simulator.s3 import ObjectStore, read_about, read_body

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import (
        AbortMultipartUploadRequestTypeDef,
        CompleteMultipartUploadRequestTypeDef,
        CreateMultipartUploadRequestTypeDef,
        ListMultipartUploadsRequestTypeDef,
        UploadPartCopyRequestTypeDef,
        UploadPartRequestTypeDef,
    )

MIN_PART_SIZE: Final = 5 * 1024**2
"""Bytes, for each part but the last."""
_RANGE: Final = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass(slots=True)
class _Upload:
    bucket: str
    key: str
    about: dict[str, object]
    initiated: datetime
    parts: dict[int, bytes] = field(default_factory=dict)


class MultipartUploads:
    """The uploads under way in an :class:`ObjectStore`."""

    def __init__(self, store: ObjectStore) -> None:
        """Write into ``store``."""
        self._store = store
        self._uploads: dict[str, _Upload] = {}

    def create_multipart_upload(self, request: CreateMultipartUploadRequestTypeDef) -> Answer:
        bucket = self._store.bucket(request["Bucket"])
        headers, metadata = read_about(request)
        upload_id = self._store.new_id()
        about: dict[str, object] = {**headers, "Metadata": metadata}
        self._uploads[upload_id] = _Upload(bucket.name, request["Key"], about, self._store.now())
        return {"Bucket": bucket.name, "Key": request["Key"], "UploadId": upload_id}

    def upload_part(self, request: UploadPartRequestTypeDef) -> Answer:
        upload = self._find(request["Bucket"], request["Key"], request["UploadId"])
        data = read_body(request.get("Body", b""))
        upload.parts[request["PartNumber"]] = data
        return {"ETag": etag(data)}

    def upload_part_copy(self, request: UploadPartCopyRequestTypeDef) -> Answer:
        upload = self._find(request["Bucket"], request["Key"], request["UploadId"])
        source = self._store.source(request["CopySource"], request.get("CopySourceIfMatch"))
        data = _cut(source.data, request.get("CopySourceRange"))
        upload.parts[request["PartNumber"]] = data
        answer: Answer = {"CopyPartResult": {"ETag": etag(data), "LastModified": self._store.now()}}
        return answer | {"CopySourceVersionId": source.version_id}

    def complete_multipart_upload(self, request: CompleteMultipartUploadRequestTypeDef) -> Answer:
        upload = self._find(request["Bucket"], request["Key"], request["UploadId"])
        named = request.get("MultipartUpload", {}).get("Parts", ())
        if not named:
            raise RefusedError("MalformedXML", "The XML you provided was not well-formed")
        numbers = [part["PartNumber"] for part in named]
        if numbers != sorted(set(numbers)):
            raise RefusedError("InvalidPartOrder", "The list of parts was not in ascending order.")
        parts = []
        for part in named:
            data = upload.parts.get(part["PartNumber"])
            if data is None or etag(data).strip('"') != part["ETag"].strip('"'):
                raise RefusedError("InvalidPart", "One or more of the specified parts could not be found.")
            parts.append(data)
        if any(len(data) < MIN_PART_SIZE for data in parts[:-1]):
            raise RefusedError(
                "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed object size."
            )
        digests = b"".join(hashlib.md5(data, usedforsecurity=False).digest() for data in parts)
        version = self._store.create(
            upload.bucket,
            upload.key,
            b"".join(parts),
            f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(parts)}"',
            upload.about,
            event="ObjectCreated:CompleteMultipartUpload",
            if_none_match=request.get("IfNoneMatch"),
            if_match=request.get("IfMatch"),
        )
        del self._uploads[request["UploadId"]]
        answer: Answer = {"Bucket": upload.bucket, "Key": upload.key, "ETag": version.etag}
        return answer | ({"VersionId": version.version_id} if self._store.bucket(upload.bucket).versioned else {})

    def abort_multipart_upload(self, request: AbortMultipartUploadRequestTypeDef) -> Answer:
        self._find(request["Bucket"], request["Key"], request["UploadId"])
        del self._uploads[request["UploadId"]]
        return {}

    def list_multipart_uploads(self, request: ListMultipartUploadsRequestTypeDef) -> Answer:
        bucket, prefix = self._store.bucket(request["Bucket"]).name, request.get("Prefix", "")
        found = sorted(
            (upload.key, upload.initiated, upload_id)
            for upload_id, upload in self._uploads.items()
            if upload.bucket == bucket and upload.key.startswith(prefix)
        )
        uploads = [{"Key": key, "Initiated": initiated, "UploadId": upload_id} for key, initiated, upload_id in found]
        answer: Answer = {"Bucket": bucket, "Prefix": prefix, "IsTruncated": False}
        return answer | ({"Uploads": uploads} if uploads else {})

    def _find(self, bucket: str, key: str, upload_id: str) -> _Upload:
        self._store.bucket(bucket)
        upload = self._uploads.get(upload_id)
        if upload is None or (upload.bucket, upload.key) != (bucket, key):
            raise RefusedError("NoSuchUpload", "The specified upload does not exist.")
        return upload


def _cut(data: bytes, wanted: str | None) -> bytes:
    if wanted is None:
        return data
    found = _RANGE.fullmatch(wanted)
    if found is None:
        raise Unsimulated(f"the range {wanted}")
    first, last = int(found[1]), int(found[2])
    if not first <= last < len(data):
        raise RefusedError("InvalidRange", "The requested range is not satisfiable")
    return data[first : last + 1]
