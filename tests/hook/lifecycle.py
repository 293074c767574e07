"""What moto does not do: forget a multipart upload, and say so of its parts as S3 does (moto answers 500)."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import cast

from botocore.awsrequest import AWSPreparedRequest, AWSResponse, HeadersDict

from tests.hook.service import Service

_ANSWER = b"<?xml version='1.0'?><Error><Code>NoSuchUpload</Code><Message>It does not exist.</Message></Error>"


class _Raw(BytesIO):
    def stream(self, **_: object) -> list[bytes]:
        return [self.read()]


class Lifecycle:
    """Aborts uploads of a service's staging bucket, as its rule does after a day."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._gone: set[str] = set()
        service.s3.meta.events.register("before-send.s3", cast("Callable[..., None]", self._answer))

    def abort(self, key: str, upload_id: str) -> None:
        """Abort one."""
        self._service.s3.abort_multipart_upload(Bucket=self._service.staging, Key=key, UploadId=upload_id)
        self._gone.add(upload_id)

    def _answer(self, request: AWSPreparedRequest, **_: object) -> AWSResponse | None:
        if not any(f"uploadId={upload_id}" in request.url for upload_id in self._gone):
            return None
        headers = HeadersDict({"Content-Type": "application/xml"})
        return AWSResponse(request.url, 404, headers, _Raw(_ANSWER))  # type: ignore[arg-type]
