"""The staging bucket, call by call: what S3 answers is believed only if it says what S3 says."""

from __future__ import annotations

from base64 import b64encode
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final, cast

from botocore.exceptions import ClientError

from hook.aws import aws_trouble
from hook.errors import Cause, Trouble
from hook.transfer.multipart import Part
from hook.transfer.pace import PacedBody

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import IO

    from botocore.awsrequest import AWSPreparedRequest
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import PutObjectRequestTypeDef

    from hook.transfer.pace import Pace
    from protocol.keys import StagingNarInfoKey

NAR_CONTENT_TYPE: Final = "application/x-nix-nar"
NARINFO_CONTENT_TYPE: Final = "text/x-nix-narinfo"
LOG_CONTENT_TYPE: Final = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Staged:
    """A narinfo in staging: exactly this version awaits its verdict. ``at`` is the bucket's clock, not ours."""

    version_id: str
    at: datetime


class UploadGoneError(Exception):
    """The bucket knows the multipart upload, or a part of it, no more.

    It was aborted by a lifecycle rule, or completed long ago; or another upload of the part took its place.
    """


class Staging:
    """Writes below this builder's prefix, which is all that its role can do. All methods raise :class:`Trouble`.

    Each body goes with its SHA-256, which S3 checks; for parts AWS wants the algorithm named when the upload is begun
    and the checksums repeated when it is completed.
    """

    def __init__(self, client: S3Client, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def keep_pace(self, pace: Pace) -> None:
        """Send every body from now on as ``pace`` lets it go."""

        def paced(request: AWSPreparedRequest, **_: object) -> None:
            # Here and not as the call's argument: boto3 reads a body for its signature before it sends it.
            if isinstance(request.body, bytearray):
                request.body = cast("IO[bytes]", PacedBody(request.body, pace))

        self._client.meta.events.register("before-send.s3", paced)

    def put(self, key: str, data: bytearray, *, sha256: bytes, content_type: str, encoding: str = "") -> Staged:
        """Upload an object in one request."""
        request: PutObjectRequestTypeDef = {
            "Bucket": self._bucket,
            "Key": key,
            "Body": _body(data),
            "ChecksumSHA256": b64encode(sha256).decode(),
            "ContentType": content_type,
        }
        if encoding:
            request["ContentEncoding"] = encoding
        with self._trouble("The object cannot be put into"):
            answer = self._client.put_object(**request)
        self._expect(answer.get("ETag"), "an entity tag")
        return Staged(self._versioned(answer.get("VersionId")), _date(answer["ResponseMetadata"]["HTTPHeaders"]))

    def put_narinfo(self, key: StagingNarInfoKey, data: bytes, *, sha256: bytes) -> Staged:
        """Upload a narinfo, which submits it."""
        return self.put(str(key), bytearray(data), sha256=sha256, content_type=NARINFO_CONTENT_TYPE)

    def begin(self, key: str) -> str:
        """Begin a multipart upload of a NAR and return its id."""
        with self._trouble("A multipart upload cannot be begun in"):
            answer = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=key, ContentType=NAR_CONTENT_TYPE, ChecksumAlgorithm="SHA256"
            )
        return self._expect(answer.get("UploadId"), "an upload id")

    def put_part(self, key: str, upload_id: str, number: int, data: bytearray, *, sha256: bytes) -> Part:
        """Upload one part; raises :class:`UploadGoneError`."""
        with self._trouble("A part of a NAR cannot be put into"):
            answer = self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=_body(data),
                ChecksumSHA256=b64encode(sha256).decode(),
            )
        return Part(sha256, len(data), self._expect(answer.get("ETag"), "an entity tag"))

    def complete(self, key: str, upload_id: str, parts: Mapping[int, Part]) -> None:
        """Make an object of ``parts``; raises :class:`UploadGoneError`."""
        with self._trouble("The parts of a NAR cannot be put together in"):
            answer = self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MultipartUpload={
                    "Parts": [
                        {
                            "PartNumber": number,
                            "ETag": part.etag,
                            "ChecksumSHA256": b64encode(part.sha256).decode(),
                        }
                        for number, part in sorted(parts.items())
                    ]
                },
            )
        self._expect(answer.get("ETag"), "an entity tag")
        self._versioned(answer.get("VersionId"))

    def abort(self, key: str, upload_id: str) -> None:
        """Give a multipart upload up; one that is gone is none."""
        try:
            with self._trouble("A multipart upload cannot be given up in"):
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id)
        except UploadGoneError:
            return

    @contextmanager
    def _trouble(self, doing: str) -> Iterator[None]:
        with aws_trouble(f"{doing} s3://{self._bucket}"):
            try:
                yield
            except ClientError as error:
                if error.response["Error"].get("Code") in {"NoSuchUpload", "InvalidPart"}:
                    raise UploadGoneError from error
                raise

    def _expect(self, value: str | None, what: str) -> str:
        """Return ``value``. A portal or a proxy that answers 200 in the bucket's place does not know what S3 says."""
        if not value:
            raise Trouble(
                Cause.NETWORK,
                f"Something answered 200 for s3://{self._bucket}, but without {what}, which S3 never leaves out.",
                remedy="Check whether a portal, a proxy or another AWS_ENDPOINT_URL answers in its place.",
            )
        return value

    def _versioned(self, version_id: str | None) -> str:
        if not version_id:
            raise Trouble(
                Cause.SERVICE,
                f"The bucket {self._bucket} keeps no versions, so no verdict can name a submission in it.",
                remedy="Check staging_bucket: Assay's own staging bucket has versioning enabled. Or check whether"
                " something else answers in its place.",
            )
        return version_id


def _body(data: bytearray) -> bytes:
    """Say what boto3 takes although its types do not.

    Never bytes: boto3 makes a file of them, asks the server for leave (Expect: 100-continue, a round trip more), and
    sends that file at its own pace.
    """
    return cast("bytes", data)


def _date(headers: Mapping[str, str]) -> datetime:
    """Return the server's time, to the second; ours where a server sends none."""
    try:
        return parsedate_to_datetime(headers["date"]).astimezone(UTC)
    except (KeyError, ValueError):
        return datetime.now(UTC)
