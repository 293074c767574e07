"""Whether the cache holds what was published: all of it, whole, signed, closed, once, and nothing else."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.load.complaints import Complaints
from bench.load.plan import Planned
from local.service import LocalService
from nixcache.narinfo import NarInfo
from nixcache.store_path import NIX_STORE, HashPart
from protocol.keys import (
    NARINFO_SUFFIX,
    ORPHANS_PREFIX,
    PROVENANCE_PREFIX,
    WAITING_PREFIX,
    CacheListingKey,
    CacheNarInfoKey,
    ProvenanceKey,
    WaitingKey,
)

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_THREADS: Final = 4
_ONE_PAGE: Final = 10_000_000
"""For each page moto sorts all there is, or copies it: S3 would give a thousand at most, moto gives all at once."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """An object as S3 lists it; the ETag of one that came in one piece is its MD5."""

    size: int
    etag: str


class CacheAudit:
    """Looks at a service that has nothing left to do."""

    def __init__(self, service: LocalService, complaints: Complaints) -> None:
        """Look as an operator."""
        self._s3: S3Client = service.aws.client("s3", service.deployment.operator)
        self._settings = service.deployment.settings
        self._public_key = service.deployment.public_key
        self._complaints = complaints

    def check(self, published: Mapping[HashPart, Planned]) -> None:
        """Compare cache and ledger with what was ``published`` (I1 to I4)."""
        expect = self._complaints.expect
        objects = self._objects(self._settings.cache_bucket)
        visible = {key for key in objects if key.endswith(NARINFO_SUFFIX)}
        due = {str(CacheNarInfoKey(hash_part)) for hash_part in published}
        expect(visible == due, f"{len(visible)} narinfos are visible, {len(due)} paths were published")
        replaced = [key for key, versions in self._narinfo_versions().items() if versions > 1]
        expect(not replaced, f"narinfos were replaced: {replaced}")
        with ThreadPoolExecutor(_THREADS) as pool:
            checks = [pool.submit(self._check_narinfo, key, of, objects) for key, of in published.items()]
            urls = {check.result() for check in checks}
        self._check_ledger(published, {key for key in objects if key.startswith("nar/")} - urls)

    def _check_narinfo(self, hash_part: HashPart, planned: Planned, objects: Mapping[str, _Listed]) -> str:
        expect, key = self._complaints.expect, str(CacheNarInfoKey(hash_part))
        if key not in objects:
            return ""
        answer = self._s3.get_object(Bucket=self._settings.cache_bucket, Key=key)
        narinfo = NarInfo.parse(answer["Body"].read(), NIX_STORE)
        expect(narinfo.is_signed_by(self._public_key), f"{key} is not signed")
        expect(narinfo.fingerprint() == planned.uploaded.narinfo.fingerprint(), f"{key} is not what was submitted")
        digest = hashlib.md5(planned.uploaded.file, usedforsecurity=False).hexdigest()
        is_whole = objects.get(narinfo.url) == _Listed(len(planned.uploaded.file), f'"{digest}"')
        expect(is_whole, f"{narinfo.url} of {key} is not there, or is not what was uploaded")
        missing = [path for path in narinfo.references if str(CacheNarInfoKey(path.hash_part)) not in objects]
        expect(not missing, f"{key} references what is not there: {missing}")
        expect(str(CacheListingKey(hash_part)) in objects, f"{key} has no listing")
        return narinfo.url

    def _check_ledger(self, published: Collection[HashPart], unnamed: Collection[str]) -> None:
        expect, ledger = self._complaints.expect, self._objects(self._settings.ledger_bucket)
        orphans = {f"nar/{key.removeprefix(ORPHANS_PREFIX)}" for key in ledger if key.startswith(ORPHANS_PREFIX)}
        expect(not set(unnamed) - orphans, f"NARs that no narinfo names are not listed: {set(unnamed) - orphans}")
        attested = {key for key, of in ledger.items() if key.startswith(PROVENANCE_PREFIX) and of.size > 0}
        expect(attested == {str(ProvenanceKey(hash_part)) for hash_part in published}, "provenance is amiss")
        # A marker may be left of somebody who saw the publication himself; the sweeper takes it.
        waiting = [key for key in ledger if key.startswith(WAITING_PREFIX)]
        stuck = [key for key in waiting if WaitingKey.parse(key).missing not in published]
        expect(not stuck, f"these wait for what never came: {stuck}")

    def _objects(self, bucket: str) -> dict[str, _Listed]:
        page = self._s3.list_objects_v2(Bucket=bucket, MaxKeys=_ONE_PAGE)
        return {item["Key"]: _Listed(item["Size"], item["ETag"]) for item in page.get("Contents", [])}

    def _narinfo_versions(self) -> Counter[str]:
        page = self._s3.list_object_versions(Bucket=self._settings.cache_bucket, MaxKeys=_ONE_PAGE)
        keys = [item["Key"] for item in page.get("Versions", [])] + [
            item["Key"] for item in page.get("DeleteMarkers", [])
        ]
        return Counter(key for key in keys if key.endswith(NARINFO_SUFFIX))
