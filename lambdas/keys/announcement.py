"""What readers are to trust, as two objects of the cache: lines for nix.conf, and a document for programs."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import ABSENT, TAKEN, aws_call, error_code
from lambdas.keys.secret import SigningSecret
from nixcache.errors import TransientError
from protocol.keys import PUBLIC_KEYS_JSON_KEY, PUBLIC_KEYS_KEY
from protocol.public_keys import MAX_PUBLIC_KEYS_SIZE, AnnouncedKey, PublicKeys
from protocol.signing_secret import CURRENT, PREVIOUS

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CACHE_CONTROL: Final = "public, max-age=300"


@dataclass(frozen=True, slots=True)
class Announcement:
    """The document as it was read, and by which ETag it is replaced; None where there is none."""

    public_keys: PublicKeys
    etag: str | None


class Announcements:
    """The two objects in ``bucket``. All methods raise :class:`TransientError`."""

    def __init__(self, s3: S3Client, bucket: str) -> None:
        """Read and write through ``s3``."""
        self._s3 = s3
        self._bucket = bucket

    def last(self) -> Announcement:
        """Return what readers were told last."""
        with aws_call(f"GetObject of s3://{self._bucket}/{PUBLIC_KEYS_JSON_KEY}"):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=PUBLIC_KEYS_JSON_KEY)
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return Announcement(PublicKeys(), None)
                raise
            with closing(answer["Body"]) as body:
                data = body.read(MAX_PUBLIC_KEYS_SIZE)
        return Announcement(PublicKeys.from_json(data), answer["ETag"])

    def announce(self, secret: SigningSecret, overlap: timedelta) -> tuple[str, ...]:
        """Write which keys there are, the present one first; returns their names.

        The key before stays announced for as long as the secret has it, past the day from which it signs no more: what
        nobody has re-signed bears its signature alone.
        """
        last = self.last()
        current = secret.in_stage(CURRENT)
        if current is None:
            return ()
        keys = [AnnouncedKey(current.key.public_key, current.made_at, None)]
        previous = secret.in_stage(PREVIOUS)
        if previous is not None and previous.key.name != current.key.name:
            keys.append(AnnouncedKey(previous.key.public_key, previous.made_at, current.made_at + overlap))
        public_keys = last.public_keys.follow(tuple(keys))
        self._put_document(public_keys.to_json(), last.etag)
        with aws_call(f"PutObject of s3://{self._bucket}/{PUBLIC_KEYS_KEY}"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=PUBLIC_KEYS_KEY,
                Body=public_keys.lines(),
                ContentType="text/plain; charset=utf-8",
                CacheControl=_CACHE_CONTROL,
            )
        return tuple(key.public_key.name for key in keys)

    def _put_document(self, document: bytes, etag: str | None) -> None:
        """Replace what was read. Of two at once, one has not read what the other wrote: `past` may forget nothing."""
        put = partial(
            self._s3.put_object,
            Bucket=self._bucket,
            Key=PUBLIC_KEYS_JSON_KEY,
            Body=document,
            ContentType="application/json",
            CacheControl=_CACHE_CONTROL,
        )
        with aws_call(f"PutObject of s3://{self._bucket}/{PUBLIC_KEYS_JSON_KEY}"):
            try:
                put(IfNoneMatch="*") if etag is None else put(IfMatch=etag)
            except ClientError as error:
                if error_code(error) not in TAKEN:
                    raise
                raise TransientError("Somebody else announces keys just now.", remedy="Announce them again.") from error
