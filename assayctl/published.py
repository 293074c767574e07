"""What lies in the cache bucket: who references whom, and taking a path out of it or back into it.

A path is withdrawn by its narinfo: without it no client finds the NAR. The bucket is versioned, so a deletion is a
marker, and to take that away is to restore.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from assayctl.errors import aws
from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.narinfo import NarInfo
from nixcache.store_path import HashPart, StoreDir
from protocol.keys import NARINFO_SUFFIX, CacheListingKey, CacheNarInfoKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_AT_ONCE: Final = 32
_NO_SUCH_KEY: Final = "NoSuchKey"


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was taken out under a hash part and can come back: ``narinfo`` is None where nobody can read it."""

    hash_part: HashPart
    narinfo: NarInfo | None

    @property
    def nar_hash(self) -> Hash | None:
        """What the list of what is withdrawn knows it by."""
        return self.narinfo.nar_hash if self.narinfo is not None else None


class Published:
    """The narinfos of one cache bucket. All methods raise :class:`TransientError`."""

    def __init__(self, s3: S3Client, bucket: str, store_dir: StoreDir) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._store_dir = store_dir

    def hash_parts(self) -> tuple[list[HashPart], list[str]]:
        """Return all that are published, a request for each thousand objects, and keys of narinfos that name none."""
        found: list[HashPart] = []
        strays: list[str] = []
        with aws(f"s3://{self._bucket} cannot be listed"):
            for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket):
                for item in page.get("Contents", []):
                    if not item["Key"].endswith(NARINFO_SUFFIX):
                        continue
                    try:
                        found.append(CacheNarInfoKey.parse(item["Key"]).hash_part)
                    except PermanentError:
                        strays.append(item["Key"])
        return found, strays

    def narinfos(self, hash_parts: Iterable[HashPart]) -> dict[HashPart, NarInfo | None]:
        """Read those that are there, a request for each; None for one that is malformed."""
        asked = list(hash_parts)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            bodies = pool.map(lambda hash_part: self._read(str(CacheNarInfoKey(hash_part))), asked)
            return {
                hash_part: self._parse(body) for hash_part, body in zip(asked, bodies, strict=True) if body is not None
            }

    def withdraw(self, hash_parts: Iterable[HashPart]) -> None:
        """Take them out, each after those that reference it (I4): give them in that order."""
        for hash_part in hash_parts:
            for key in (str(CacheNarInfoKey(hash_part)), str(CacheListingKey(hash_part))):
                with aws(f"{key} cannot be deleted"):
                    self._s3.delete_object(Bucket=self._bucket, Key=key)

    def deletion(self, hash_part: HashPart) -> Deletion | None:
        """Return what :meth:`restore` would bring back: None where nothing was taken out, or where it is gone."""
        key = str(CacheNarInfoKey(hash_part))
        markers, versions = self._versions(key)
        if not markers or not versions:
            return None
        return Deletion(hash_part, self._parse(self._read(key, versions[0]) or b""))

    def restore(self, deletion: Deletion) -> None:
        """Take the deletions of a narinfo and its listing back, until the newest version is there again."""
        for key in (str(CacheListingKey(deletion.hash_part)), str(CacheNarInfoKey(deletion.hash_part))):
            # Of two commands at once each has left a marker, and what lies below one shows only without it.
            while True:
                markers, versions = self._versions(key)
                if not markers or not versions:
                    break
                with aws(f"{key} cannot be restored"):
                    self._s3.delete_object(Bucket=self._bucket, Key=key, VersionId=markers[0])

    def _versions(self, key: str) -> tuple[list[str], list[str]]:
        """Return the deletion that hides ``key``, if any does, and the versions that there are, the newest first."""
        with aws(f"The versions of {key} cannot be listed"):
            listed = self._s3.list_object_versions(Bucket=self._bucket, Prefix=key)
        return (
            [item["VersionId"] for item in listed.get("DeleteMarkers", []) if item["Key"] == key and item["IsLatest"]],
            [item["VersionId"] for item in listed.get("Versions", []) if item["Key"] == key],
        )

    def _read(self, key: str, version_id: str | None = None) -> bytes | None:
        with aws(f"{key} cannot be read"):
            try:
                if version_id is None:
                    return self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
                return self._s3.get_object(Bucket=self._bucket, Key=key, VersionId=version_id)["Body"].read()
            except ClientError as error:
                if error.response["Error"].get("Code") == _NO_SUCH_KEY:
                    return None
                raise

    def _parse(self, data: bytes) -> NarInfo | None:
        try:
            return NarInfo.parse(data, self._store_dir)
        except PermanentError:
            return None


def with_referrers(wanted: Collection[HashPart], narinfos: Mapping[HashPart, NarInfo | None]) -> list[HashPart]:
    """Return ``wanted`` and whatever references any of it, directly or not; referrers before what they reference.

    What a malformed narinfo, None, references nobody knows.
    """
    referrers: dict[HashPart, set[HashPart]] = {}
    for hash_part, narinfo in narinfos.items():
        for reference in narinfo.references if narinfo else ():
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
