"""What ingest takes for a submission: ``python -m bench.ingest_memory [--megabytes N]``.

The handler runs in a process of its own, moto in another, so moto's memory is not in the figures. Peak memory is the
most that the handler's process has held up to then (resident set); the AWS requests are those that it sent for this
submission, the polling and deleting of messages, which Lambda does, left out.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Final

from local.demo.submission import Receipt, Sender, Submission, pack
from local.function import Report
from local.service import LocalService
from nixcache.compression import Compression, compress
from nixcache.hashes import Hash, HashAlgorithm
from nixcache.nar import dump
from nixcache.store_path import NIX_STORE, StorePath
from protocol.keys import BuilderName, NarFile, StagingNarKey
from protocol.verdicts import Published

_MEBIBYTE: Final = 1024 * 1024
_REFERENCES: Final = 10
_ALICE: Final = BuilderName("alice")


def main() -> None:
    """Publish small paths and one large one, and print what each took."""
    parser = argparse.ArgumentParser(prog="bench.ingest_memory", description=__doc__.splitlines()[0])
    parser.add_argument("--megabytes", type=int, default=1024, help="size of the large NAR, MiB (default: %(default)s)")
    megabytes = parser.parse_args().megabytes
    with (
        tempfile.TemporaryDirectory() as directory,
        Path(directory, "log").open("w") as log,
        LocalService(builders=(_ALICE,), concurrency=1, log=log) as service,
    ):
        bench = _Bench(service, Path(directory))
        print(f"{'':36}{'peak memory':>12}{'AWS requests':>14}{'seconds':>9}")
        _show("before any submission", bench.next_report())
        _show("first path of a container", bench.publish("first"))
        references = [bench.submission(f"reference-{number}") for number in range(_REFERENCES)]
        for reference in references:
            bench.send(reference)
        _show("small path", bench.publish("small"))
        paths = [reference.narinfo.store_path for reference in references]
        _show(f"small path, {_REFERENCES} references", bench.publish("referrer", references=paths))
        _show(f"NAR of {megabytes} MiB", bench.publish_large(megabytes * _MEBIBYTE))


def _show(title: str, report: Report) -> None:
    print(f"{title:36}{report.peak_memory / _MEBIBYTE:8.1f} MiB{report.aws_requests:14}{report.seconds:9.2f}")


class _Bench:
    def __init__(self, service: LocalService, directory: Path) -> None:
        self._service = service
        self._directory = directory
        self._sender = Sender(service, _ALICE)
        self._reports_seen = 0

    def next_report(self) -> Report:
        while len(self._service.reports) == self._reports_seen:
            time.sleep(0.05)
        self._reports_seen += 1
        return self._service.reports[self._reports_seen - 1]

    def submission(self, name: str, *, references: Iterable[StorePath] = ()) -> Submission:
        file = self._directory / name
        file.write_text(" ".join([name, *map(NIX_STORE.render, references)]))
        return pack(file, NIX_STORE, name, references=references)

    def publish(self, name: str, *, references: Iterable[StorePath] = ()) -> Report:
        return self.send(self.submission(name, references=references))

    def send(self, submission: Submission) -> Report:
        return self._published(self._sender.send(submission))

    def publish_large(self, size: int) -> Report:
        """Publish a file of random bytes, which zstd cannot shrink: the most bytes to carry at a given size."""
        contents, compressed = self._directory / "contents", self._directory / "compressed"
        with contents.open("wb") as file:
            for _ in range(size // _MEBIBYTE):
                file.write(os.urandom(_MEBIBYTE))
        nar_hash, nar_size = hashlib.sha256(), 0
        for chunk in dump(contents):
            nar_hash.update(chunk)
            nar_size += len(chunk)
        with compressed.open("wb") as file:
            file.writelines(compress(Compression.ZSTD, dump(contents), level=1))
        digest = Hash(HashAlgorithm.SHA256, nar_hash.digest())
        nar_file = NarFile.of(digest, Compression.ZSTD)
        s3 = self._service.aws.client("s3", self._service.deployment.builders[_ALICE])
        bucket = self._service.deployment.settings.staging_bucket
        s3.upload_file(str(compressed), bucket, str(StagingNarKey(_ALICE, nar_file)))
        small = self.submission("large")
        narinfo = replace(small.narinfo, url=nar_file.url, nar_hash=digest, nar_size=nar_size)
        return self._published(self._sender.send_narinfo(narinfo))

    def _published(self, receipt: Receipt) -> Report:
        verdict = self._sender.verdict(receipt)
        if not isinstance(verdict, Published):
            raise SystemExit(f"{receipt.key} is not published: {verdict}")
        return self.next_report()


if __name__ == "__main__":
    main()
