"""The cache bucket: what readers see, and the conditional write that decides who was first."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import ABSENT, TAKEN, aws_call, error_code
from lambdas.ingest.adapters.body import read_chunks, read_narinfo
from lambdas.ingest.adapters.nar_copy import NarCopy
from lambdas.ingest.ports import PinnedNar, PublishedNarInfo
from nixcache.errors import PermanentError, TransientError
from nixcache.narinfo import NarInfo
from nixcache.store_path import HashPart, StoreDir
from protocol.cache_info import CACHE_INFO_TYPE, cache_info
from protocol.keys import NIX_CACHE_INFO_KEY, CacheListingKey, CacheNarInfoKey, CacheNarKey, NarFile
from protocol.results import metadata_text, read_warnings, warnings_document

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

SUBMISSION_METADATA: Final = "assay-submission"
"""Object metadata of a narinfo, written in the same instant as it: the digest of the submission that it came from."""
LISTING_METADATA: Final = "assay-listing"
"""The same for whether a NAR listing belongs to it: :data:`NO_LISTING` where there can be none."""
NO_LISTING: Final = "none"
WARNINGS_METADATA: Final = "assay-warnings"
"""The same for the warnings that it was published with, where there are any, as a result lists them (docs/adr/0027)."""

_NARINFO_TYPE: Final = "text/x-nix-narinfo"
_LISTING_TYPE: Final = "application/json"
_REVALIDATE_HOURLY: Final = "public, max-age=3600"


class S3Cache:
    """Reads and writes ``bucket``."""

    def __init__(self, s3: S3Client, bucket: str, store_dir: StoreDir, nar_copy: NarCopy) -> None:
        """Work on ``bucket`` through ``s3``, for a cache of ``store_dir``."""
        self._s3 = s3
        self._bucket = bucket
        self._store_dir = store_dir
        self._nar_copy = nar_copy
        self._has_cache_info = False

    def find(self, hash_part: HashPart) -> PublishedNarInfo | None:
        """See :class:`lambdas.ingest.ports.Cache`."""
        key = str(CacheNarInfoKey(hash_part))
        operation = f"GetObject of s3://{self._bucket}/{key}"
        with aws_call(operation):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return None
                raise
        data = read_narinfo(answer, operation)
        try:
            return replace(self._read(data, answer["Metadata"]), stored_at=answer["LastModified"])
        except (PermanentError, ValueError, KeyError, TypeError) as error:
            # Ingest wrote it, so somebody else has been here: no submission may be blamed for it.
            raise TransientError(f"s3://{self._bucket}/{key} cannot be read: {error}") from error

    def _read(self, data: bytes, metadata: Mapping[str, str]) -> PublishedNarInfo:
        return PublishedNarInfo(
            NarInfo.parse(data, self._store_dir),
            metadata.get(SUBMISSION_METADATA),
            is_listed=metadata.get(LISTING_METADATA) != NO_LISTING,
            warnings=read_warnings(json.loads(metadata.get(WARNINGS_METADATA, "[]"))),
        )

    def ensure_cache_info(self) -> None:
        """See :class:`lambdas.ingest.ports.Cache`; asks S3 once per container."""
        if not self._has_cache_info:
            self._create(NIX_CACHE_INFO_KEY, cache_info(self._store_dir), CACHE_INFO_TYPE, {})
            self._has_cache_info = True

    def copy_nar(self, source: PinnedNar, file: NarFile) -> bool:
        """See :class:`lambdas.ingest.ports.Cache`."""
        return self._nar_copy.copy(source, str(CacheNarKey(file)))

    def commit(self, publication: PublishedNarInfo) -> bool:
        """See :class:`lambdas.ingest.ports.Cache`."""
        narinfo = publication.narinfo
        metadata = {} if publication.is_listed else {LISTING_METADATA: NO_LISTING}
        if publication.submission_digest is not None:
            metadata[SUBMISSION_METADATA] = publication.submission_digest
        if publication.warnings:
            metadata[WARNINGS_METADATA] = metadata_text(
                json.dumps(warnings_document(publication.warnings), separators=(",", ":"))
            )
        key = str(CacheNarInfoKey(narinfo.store_path.hash_part))
        return self._create(key, narinfo.render(), _NARINFO_TYPE, metadata)

    def has_listing(self, hash_part: HashPart) -> bool:
        """See :class:`lambdas.ingest.ports.Cache`."""
        key = str(CacheListingKey(hash_part))
        with aws_call(f"HeadObject of s3://{self._bucket}/{key}"):
            try:
                self._s3.head_object(Bucket=self._bucket, Key=key)
            except ClientError as error:
                if error_code(error) in ABSENT:
                    return False
                raise
        return True

    def put_listing(self, hash_part: HashPart, listing: bytes) -> None:
        """See :class:`lambdas.ingest.ports.Cache`."""
        key = str(CacheListingKey(hash_part))
        with aws_call(f"PutObject of s3://{self._bucket}/{key}"):
            self._s3.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=listing,
                ContentType=_LISTING_TYPE,
                CacheControl=_REVALIDATE_HOURLY,
            )

    @contextmanager
    def nar(self, file: NarFile) -> Iterator[Iterator[bytes]]:
        """See :class:`lambdas.ingest.ports.Cache`."""
        key = str(CacheNarKey(file))
        operation = f"GetObject of s3://{self._bucket}/{key}"
        with aws_call(operation):
            answer = self._s3.get_object(Bucket=self._bucket, Key=key)
        with closing(answer["Body"]) as body:
            yield read_chunks(body, operation)

    def _create(self, key: str, data: bytes, content_type: str, metadata: dict[str, str]) -> bool:
        """Write an object that is not there yet; False when it is."""
        with aws_call(f"PutObject of s3://{self._bucket}/{key}"):
            try:
                self._s3.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    IfNoneMatch="*",
                    ContentType=content_type,
                    CacheControl=_REVALIDATE_HOURLY,
                    Metadata=metadata,
                )
            except ClientError as error:
                if error_code(error) in TAKEN:
                    return False
                raise
        return True
