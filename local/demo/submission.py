"""Submissions made by hand, with nixcache alone: what anybody with a builder's credentials can send."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from local.demo.story import DemoError
from local.service import LocalService
from nixcache import nix32
from nixcache.compression import Compression, compress
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.store_path import HASH_PART_LENGTH, HashPart, StoreDir, StorePath, parse_hash_part
from protocol.keys import BuilderName, NarFile, ResultKey, StagingNarInfoKey, StagingNarKey
from protocol.results import Result
from protocol.verdicts import Verdict, is_final

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_VERDICT_SECONDS = 120
_POLL_SECONDS = 0.05
_HASH_PART_BYTES = HASH_PART_LENGTH * 5 // 8


@dataclass(frozen=True, slots=True)
class Submission:
    """A narinfo and the bytes of the file that it names; nothing makes the two agree."""

    narinfo: NarInfo
    file: bytes


def pack(path: Path, store_dir: StoreDir, name: str, *, references: Iterable[StorePath] = ()) -> Submission:
    """Return an honest submission of the file or directory at ``path``, under a new input-addressed store path."""
    nar = b"".join(dump(path))
    store_path = StorePath(parse_hash_part(nix32.encode(os.urandom(_HASH_PART_BYTES))), name)
    return submission(nar, store_dir, store_path, references=references)


def submission(
    nar: bytes, store_dir: StoreDir, store_path: StorePath, *, references: Iterable[StorePath] = ()
) -> Submission:
    """Return a submission of ``nar`` as ``store_path``, compressed with zstd."""
    nar_hash = _sha256(nar)
    return Submission(
        NarInfo(
            store_dir=store_dir,
            store_path=store_path,
            url=NarFile.of(nar_hash, Compression.ZSTD).url,
            compression=Compression.ZSTD,
            file_hash=None,
            file_size=None,
            nar_hash=nar_hash,
            nar_size=len(nar),
            references=tuple(sorted(references)),
            deriver=None,
            signatures=(),
            ca=None,
        ),
        b"".join(compress(Compression.ZSTD, [nar])),
    )


@dataclass(frozen=True, slots=True)
class Receipt:
    """One version of one narinfo in staging."""

    key: StagingNarInfoKey
    version_id: str


class Sender:
    """One builder's credentials, and what can be done with them."""

    def __init__(self, service: LocalService, builder: BuilderName) -> None:
        """Act as ``builder``."""
        self.builder = builder
        self._settings = service.deployment.settings
        self._s3: S3Client = service.aws.client("s3", service.deployment.builders[builder])

    def submit(self, sent: Submission, *, as_hash_part: HashPart | None = None) -> Verdict:
        """Send ``sent`` and wait for the verdict."""
        return self.verdict(self.send(sent, as_hash_part=as_hash_part))

    def send(self, sent: Submission, *, as_hash_part: HashPart | None = None) -> Receipt:
        """Upload the NAR, then the narinfo, named after its store path unless ``as_hash_part`` says otherwise."""
        nar_key = StagingNarKey(self.builder, NarFile.of(sent.narinfo.nar_hash, sent.narinfo.compression))
        self.put(str(nar_key), sent.file)
        return self.send_narinfo(sent.narinfo, as_hash_part=as_hash_part)

    def send_narinfo(self, narinfo: NarInfo, *, as_hash_part: HashPart | None = None) -> Receipt:
        """Upload the narinfo alone, which submits it."""
        key = StagingNarInfoKey(self.builder, as_hash_part or narinfo.store_path.hash_part)
        return Receipt(key, self.put(str(key), narinfo.render()))

    def put(self, key: str, body: bytes) -> str:
        """Upload one object to staging and return its version; raises ClientError as AWS refuses it."""
        return self._s3.put_object(Bucket=self._settings.staging_bucket, Key=key, Body=body)["VersionId"]

    def read_ledger(self, key: str) -> bytes:
        """Return an object of the ledger; raises ClientError as AWS refuses it."""
        return self._s3.get_object(Bucket=self._settings.ledger_bucket, Key=key)["Body"].read()

    def verdict(self, receipt: Receipt, *, enough: Callable[[Verdict], bool] = is_final) -> Verdict:
        """Wait for a verdict that is ``enough`` in this builder's own results.

        Raises :class:`DemoError` after two minutes.
        """
        key = str(ResultKey(self.builder, receipt.key.hash_part))
        deadline = time.monotonic() + _VERDICT_SECONDS
        while time.monotonic() < deadline:
            try:
                result = Result.from_json(self.read_ledger(key))
            except ClientError as error:
                if error.response["Error"]["Code"] != "NoSuchKey":
                    raise
            else:
                if result.version_id == receipt.version_id and enough(result.verdict):
                    return result.verdict
            time.sleep(_POLL_SECONDS)
        raise DemoError(f"There is no verdict on {receipt.key} after {_VERDICT_SECONDS} seconds.")


def _sha256(data: bytes) -> Hash:
    return Hash(HashAlgorithm.SHA256, hashlib.sha256(data).digest())
