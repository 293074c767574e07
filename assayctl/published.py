"""What lies in the cache bucket: who references whom, and taking a path out of it or back into it.

A path is withdrawn by its narinfo: without it no client finds the NAR. The bucket is versioned, so a deletion is a
marker, and to take that away is to restore.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from assayctl.errors import aws
from nixcache.errors import PermanentError
from nixcache.narinfo import NarInfo
from nixcache.store_path import HashPart, StoreDir, parse_hash_part
from protocol.keys import NARINFO_SUFFIX, CacheListingKey, CacheNarInfoKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AT_ONCE: Final = 32
_NO_SUCH_KEY: Final = "NoSuchKey"


class Published:
    """The narinfos of one cache bucket. All methods raise :class:`TransientError`."""

    def __init__(self, s3: S3Client, bucket: str, store_dir: StoreDir) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._store_dir = store_dir

    def hash_parts(self) -> list[HashPart]:
        """Return all that are published: a request for each thousand objects."""
        found: list[HashPart] = []
        with aws(f"s3://{self._bucket} cannot be listed"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
                found += [
                    parse_hash_part(item["Key"].removesuffix(NARINFO_SUFFIX))
                    for item in page.get("Contents", [])
                    if item["Key"].endswith(NARINFO_SUFFIX)
                ]
        return found

    def narinfos(self, hash_parts: Iterable[HashPart]) -> dict[HashPart, NarInfo]:
        """Read those that are there: a request for each."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            asked = list(hash_parts)
            return {
                hash_part: narinfo
                for hash_part, narinfo in zip(asked, pool.map(self._narinfo, asked), strict=True)
                if narinfo
            }

    def withdraw(self, hash_parts: Collection[HashPart]) -> None:
        """Take them out, each after those that reference it (I4): give them in that order."""
        for hash_part in hash_parts:
            for key in (str(CacheNarInfoKey(hash_part)), str(CacheListingKey(hash_part))):
                with aws(f"{key} cannot be deleted"):
                    self._s3.delete_object(Bucket=self._bucket, Key=key)

    def restore(self, hash_part: HashPart) -> bool:
        """Take the newest deletion of a narinfo and its listing back; whether there was one."""
        restored = False
        for key in (str(CacheListingKey(hash_part)), str(CacheNarInfoKey(hash_part))):
            with aws(f"{key} cannot be restored"):
                versions = self._s3.list_object_versions(Bucket=self._bucket, Prefix=key)
                for marker in versions.get("DeleteMarkers", []):
                    if marker["Key"] == key and marker["IsLatest"]:
                        self._s3.delete_object(Bucket=self._bucket, Key=key, VersionId=marker["VersionId"])
                        restored = True
        return restored

    def _narinfo(self, hash_part: HashPart) -> NarInfo | None:
        key = str(CacheNarInfoKey(hash_part))
        with aws(f"{key} cannot be read"):
            try:
                body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            except ClientError as error:
                if error.response["Error"].get("Code") == _NO_SUCH_KEY:
                    return None
                raise
        try:
            return NarInfo.parse(body, self._store_dir)
        except PermanentError:
            return None


def with_referrers(wanted: Collection[HashPart], narinfos: Mapping[HashPart, NarInfo]) -> list[HashPart]:
    """Return ``wanted`` and whatever references any of it, directly or not; referrers before what they reference."""
    referrers: dict[HashPart, set[HashPart]] = {}
    for hash_part, narinfo in narinfos.items():
        for reference in narinfo.references:
            if reference.hash_part != hash_part:
                referrers.setdefault(reference.hash_part, set()).add(hash_part)
    ordered: dict[HashPart, None] = {}
    for root in wanted:
        _visit(root, referrers, ordered)
    return list(ordered)


def _visit(root: HashPart, referrers: Mapping[HashPart, set[HashPart]], ordered: dict[HashPart, None]) -> None:
    """Add ``root`` to ``ordered`` once all its referrers are in; without recursion: closures are thousands deep."""
    stack: list[tuple[HashPart, bool]] = [(root, False)]
    entered: set[HashPart] = set()
    while stack:
        hash_part, is_done = stack.pop()
        if is_done:
            ordered.setdefault(hash_part)
        elif hash_part not in ordered and hash_part not in entered:
            entered.add(hash_part)
            stack.append((hash_part, True))
            stack.extend((referrer, False) for referrer in sorted(referrers.get(hash_part, ())))
