"""The service's side as far as a builder sees it: two buckets, a cache over HTTP, verdicts that a test decides on."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from hook.nix_store import NixStore
from local.aws import UNCHECKED, Aws
from nixcache.compression import Compression
from nixcache.hashes import Hash
from nixcache.narinfo import NarInfo
from nixcache.store_path import StoreDir, StorePath
from protocol.keys import BuilderName, CacheNarInfoKey, NarFile, ResultKey, StagingNarInfoKey, StagingNarKey
from protocol.results import Result
from protocol.verdicts import Published, Verdict

BUILDER = BuilderName("ci-1")
Judge = Callable[[NarInfo], Verdict | None]


def publish(_: NarInfo) -> Verdict:
    """Judge every submission to be good."""
    return Published(("test-1",))


class Service:
    """Buckets of its own in a moto server that many tests share."""

    def __init__(self, aws: Aws) -> None:
        self.aws = aws
        self.s3 = aws.client("s3", UNCHECKED)
        mark = uuid.uuid4().hex[:12]
        self.staging, self.ledger = f"staging-{mark}", f"ledger-{mark}"
        self.judged: list[StorePath] = []

    def __enter__(self) -> Self:
        for bucket in (self.staging, self.ledger):
            self.s3.create_bucket(Bucket=bucket)
        self.s3.put_bucket_versioning(Bucket=self.staging, VersioningConfiguration={"Status": "Enabled"})
        self._directory = TemporaryDirectory()
        self.cache = Path(self._directory.name)
        self._server = _Server(("127.0.0.1", 0), partial(_Quiet, directory=str(self.cache)))
        self.cache_url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._directory.cleanup()
        self.s3.close()

    def put_into_cache(self, path: StorePath, store_dir: StoreDir) -> None:
        """Make the narinfo of a valid path visible, as if it were published; no builder asks for its NAR."""
        info = NixStore(store_dir).infos([path])[path]
        narinfo = NarInfo(
            store_dir=store_dir,
            store_path=path,
            url=NarFile.of(info.nar_hash, Compression.NONE).url,
            compression=Compression.NONE,
            file_hash=info.nar_hash,
            file_size=info.nar_size,
            nar_hash=info.nar_hash,
            nar_size=info.nar_size,
            references=info.references,
            deriver=info.deriver,
            signatures=(),
            ca=None,
        )
        (self.cache / str(CacheNarInfoKey(path.hash_part))).write_bytes(narinfo.render())

    def staged(self) -> list[str]:
        """Return the keys in staging, sorted, one for each version."""
        return [version["Key"] for version in self.s3.list_object_versions(Bucket=self.staging).get("Versions", [])]

    def unfinished_uploads(self) -> int:
        """Return how many multipart uploads nobody has completed or aborted."""
        return len(self.s3.list_multipart_uploads(Bucket=self.staging).get("Uploads", []))

    def submission(self, path: StorePath, store_dir: StoreDir) -> tuple[NarInfo, bytes]:
        """Return the newest narinfo submitted for ``path`` and its NAR, as staged."""
        narinfo = NarInfo.parse(self._get(str(StagingNarInfoKey(BUILDER, path.hash_part))), store_dir)
        nar_key = StagingNarKey(BUILDER, NarFile.parse_url(narinfo.url))
        return narinfo, self._get(str(nar_key))

    def tell(
        self,
        path: StorePath,
        verdict: Verdict,
        *,
        version_id: str | None = None,
        disputed_by: tuple[Hash, ...] = (),
    ) -> None:
        """Write the verdict on a submission (of the newest version, if none is named)."""
        submission = StagingNarInfoKey(BUILDER, path.hash_part)
        if version_id is None:
            version_id = self.s3.head_object(Bucket=self.staging, Key=str(submission))["VersionId"]
        result = Result(
            submission=submission,
            version_id=version_id,
            store_path=path,
            verdict=verdict,
            at=datetime.now(UTC),
            disputed_by=disputed_by,
        )
        key = str(ResultKey(BUILDER, path.hash_part))
        self.s3.put_object(Bucket=self.ledger, Key=key, Body=result.to_json())

    @contextmanager
    def judging(self, store_dir: StoreDir, judge: Judge = publish) -> Iterator[None]:
        """Give each newest submission the verdict that ``judge`` finds (None: not yet), as the service would."""
        stop = threading.Event()
        thread = threading.Thread(target=self._judge_until, args=(stop, store_dir, judge))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def _judge_until(self, stop: threading.Event, store_dir: StoreDir, judge: Judge) -> None:
        told: dict[str, Verdict] = {}
        while not stop.wait(0.05):
            for item in self.s3.list_object_versions(Bucket=self.staging).get("Versions", []):
                if not item["IsLatest"] or not item["Key"].endswith(".narinfo"):
                    continue
                version = self.s3.get_object(Bucket=self.staging, Key=item["Key"], VersionId=item["VersionId"])
                narinfo = NarInfo.parse(version["Body"].read(), store_dir)
                verdict = judge(narinfo)
                if verdict and told.get(item["VersionId"]) != verdict:
                    told[item["VersionId"]] = verdict
                    self.tell(narinfo.store_path, verdict, version_id=item["VersionId"])
                    self.judged.append(narinfo.store_path)

    def _get(self, key: str) -> bytes:
        return self.s3.get_object(Bucket=self.staging, Key=key)["Body"].read()


class _Server(ThreadingHTTPServer):
    # http.server's is 5: a client that opens more connections at once waits a second for TCP to try again.
    request_queue_size = 128


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""
