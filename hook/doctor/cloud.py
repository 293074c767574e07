"""Checks of what AWS thinks of this machine: who it is, what time it is, what it may do. Nothing is left behind."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from threading import Lock
from typing import TYPE_CHECKING, Final

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import ClientError, NoCredentialsError
from botocore.handlers import disable_signing

from hook.aws import aws_trouble, s3_client
from hook.doctor.check import Check, fail, failed, ok, skip, warn
from hook.errors import Cause, Trouble
from hook.transfer.staging import Staging
from nixcache.store_path import HASH_PART_LENGTH, HashPart
from protocol.keys import NarFile, ResultKey, StagingNarKey

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sts import STSClient

    from hook.config import UploaderConfig

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 10.0
CLOCK_WARN_SECONDS: Final = 60.0
CLOCK_FAIL_SECONDS: Final = 15 * 60.0
"""From here on S3 refuses what is signed (RequestTimeTooSkewed)."""
_DEFAULT_REGION: Final = "us-east-1"
_SHA256_LENGTH: Final = 52
_WRONG_REGION: Final = frozenset(
    ("301", "PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
)


class Cloud:
    """One client for all of these checks, with short time-outs; ``now`` is in seconds since the epoch."""

    def __init__(self, config: UploaderConfig, *, now: Callable[[], float] = time.time) -> None:
        self._config = config
        self._now = now
        self._client: S3Client | None = None
        self._client_lock = Lock()

    def credentials(self) -> list[Check]:
        """Whether there are credentials, and whose."""
        name = "credentials"
        session = botocore.session.Session()
        with aws_trouble("AWS credentials cannot be had"):
            try:
                found = session.get_credentials()
                if found is None:
                    raise NoCredentialsError
                key_id = found.get_frozen_credentials().access_key
            except (OSError, RuntimeError, ValueError, KeyError) as error:
                raise Trouble(
                    Cause.CREDENTIALS,
                    f"AWS credentials cannot be had: {error}.",
                    remedy="Check the AWS credentials that this user (for a service: root) has.",
                ) from error
        expiry = getattr(found, "_expiry_time", None)
        until = f", until {expiry:%Y-%m-%d %H:%M:%S %Z} (renewed before)" if expiry else ""
        source = f"{key_id} from {found.method or 'its settings'}{until}"
        try:
            with aws_trouble("AWS does not tell whose credentials these are"):
                client: STSClient = Session(botocore_session=session).client(
                    "sts",
                    region_name=session.get_config_variable("region") or _DEFAULT_REGION,
                    config=Config(
                        connect_timeout=CONNECT_SECONDS,
                        read_timeout=READ_SECONDS,
                        retries={"mode": "standard", "total_max_attempts": 1},
                    ),
                )
                identity = client.get_caller_identity()
        except Trouble as error:
            if error.cause is Cause.CREDENTIALS:
                return [failed(name, error)]
            # S3 may well take them where STS cannot be reached, as over a VPC endpoint, or is not there at all.
            finding = f"{source}; whose they are could not be asked: {error.problem}"
            return [warn(name, finding, "None, if the staging bucket below is ok.")]
        return [ok(name, f"{identity.get('Arn', 'somebody')} ({source})")]

    def clock(self) -> list[Check]:
        """Whether our clock agrees with S3's, which is asked without credentials: a refusal is dated, too."""
        name = "clock"
        try:
            headers = self._bucket_headers()
        except Trouble as error:
            return [skip(name, error.problem, "See what becomes of the staging bucket below, then ask again.")]
        try:
            theirs = parsedate_to_datetime(headers["date"]).timestamp()
        except (KeyError, ValueError):
            return [skip(name, "S3 did not say what time it is.", "Compare this machine's clock with another.")]
        off = self._now() - theirs
        finding = f"{abs(off):.0f} s {'ahead of' if off > 0 else 'behind'} S3's"
        fix = "Set this machine's clock, and have it kept (NTP)."
        if abs(off) > CLOCK_FAIL_SECONDS:
            return [fail(name, f"{finding}: S3 refuses everything that is more than 15 minutes off", fix)]
        if abs(off) > CLOCK_WARN_SECONDS:
            return [warn(name, finding, fix)]
        return [ok(name, "agrees with S3's")]

    def staging(self) -> list[Check]:
        """Whether this role may upload below its own prefix: a multipart upload is begun and given up."""
        name = "staging bucket"
        bucket, builder = self._config.staging_bucket, self._config.builder
        # All zeros are nobody's NAR hash: no upload that is under way can be meant.
        key = str(StagingNarKey(builder, NarFile("0" * _SHA256_LENGTH, "")))
        where = f"s3://{bucket}/{builder.staging_prefix}"
        staging = Staging(self._s3(), bucket)
        try:
            upload_id = staging.begin(key)
        except Trouble as error:
            return [_of_bucket(name, error, bucket, "staging_bucket", f"this role may not upload to {where}*")]
        try:
            staging.abort(key, upload_id)
        except Trouble as error:
            return [
                warn(
                    name,
                    f"{where}* can be uploaded to, but an upload cannot be given up: {error.problem}",
                    f"Allow the role s3:AbortMultipartUpload on {where}*; a lifecycle rule clears up until then.",
                )
            ]
        return [ok(name, f"may upload to {where}*")]

    def ledger(self) -> list[Check]:
        """Whether verdicts can be read, as far as that can be told before there is one."""
        name = "ledger bucket"
        bucket, builder = self._config.ledger_bucket, self._config.builder
        where = f"s3://{bucket}/{builder.results_prefix}"
        # No store path has this hash part but by a chance of 2^-160.
        key = str(ResultKey(builder, HashPart("0" * HASH_PART_LENGTH)))
        client = self._s3()
        try:
            with aws_trouble(f"The verdicts in s3://{bucket} cannot be read"):
                client.get_object(Bucket=bucket, Key=key)["Body"].close()
        except Trouble as error:
            match _code(error):
                case "NoSuchKey":
                    return [ok(name, f"may read {where}*")]
                case "AccessDenied" if self._may_list(client):
                    return [
                        fail(
                            name,
                            f"this role may list {where}*, but may not read what is there.",
                            f"Allow it s3:GetObject on {where}*.",
                        )
                    ]
                case "AccessDenied":
                    return [
                        warn(
                            name,
                            f"S3 says AccessDenied for a result below {where} that is not there: that is what it says"
                            " to who may not list, which does no harm, and to who may not read, which does.",
                            "If verdicts never arrive, check that the role is this builder's, and may s3:GetObject"
                            f" {where}*.",
                        )
                    ]
            return [_of_bucket(name, error, bucket, "ledger_bucket", "")]
        return [ok(name, f"may read {where}*")]

    def _may_list(self, client: S3Client) -> bool:
        try:
            with aws_trouble("The verdicts cannot be listed"):
                client.list_objects_v2(
                    Bucket=self._config.ledger_bucket, Prefix=self._config.builder.results_prefix, MaxKeys=1
                )
        except Trouble:
            return False
        return True

    def _bucket_headers(self) -> Mapping[str, str]:
        """Return the headers of S3's answer about the staging bucket, whatever it says; raises :class:`Trouble`."""
        with aws_trouble("S3 cannot be asked for the time"):
            try:
                answer = self._s3().head_bucket(Bucket=self._config.staging_bucket)
            except ClientError as error:
                return error.response["ResponseMetadata"]["HTTPHeaders"]
            return answer["ResponseMetadata"]["HTTPHeaders"]

    def _s3(self) -> S3Client:
        """Return the client; raises :class:`Trouble`. To make one takes longer than all that it is then asked."""
        with self._client_lock:
            if self._client is None:
                self._client = s3_client(connect_seconds=CONNECT_SECONDS, read_seconds=READ_SECONDS, attempts=1)
                self._client.meta.events.register("choose-signer.s3.HeadBucket", disable_signing)
            return self._client


def _code(error: Trouble) -> str:
    """Return the code with which S3 refused, if it was S3."""
    cause = error.__cause__
    return str(cause.response["Error"].get("Code", "")) if isinstance(cause, ClientError) else ""


def _of_bucket(name: str, error: Trouble, bucket: str, setting: str, denied: str) -> Check:
    code = _code(error)
    if code == "NoSuchBucket":
        return fail(name, f"There is no bucket {bucket}.", f"Correct {setting}, AWS_REGION or AWS_ENDPOINT_URL.")
    if code in _WRONG_REGION:
        return fail(name, f"{bucket} is in another region: {error.problem}", "Set AWS_REGION to the bucket's region.")
    if code == "AccessDenied" and denied:
        return fail(
            name,
            f"S3 says AccessDenied: {denied}.",
            "Check `builder`, the role that these credentials are of, and that it is that builder's.",
        )
    return failed(name, error)
