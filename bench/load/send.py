"""The builders: they upload as fast as ingest takes it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.load.plan import BUILDERS, Planned
from bench.load.queues import Queues
from local.service import LocalService
from protocol.keys import BuilderName, NarFile, StagingNarKey

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_THREADS: Final = 3
_BACKLOG: Final = 250
"""Messages in the queue at which uploads pause: moto's queue is a list, and each request to it walks over all."""
_POLL_SECONDS: Final = 0.2


@dataclass(frozen=True, slots=True)
class Sent:
    """A submission that was uploaded as ``version_id`` at ``at``, seconds since the epoch."""

    planned: Planned
    version_id: str
    at: float


class Senders:
    """All builders, each with credentials of its own."""

    def __init__(self, service: LocalService, queues: Queues) -> None:
        """Upload to ``service``."""
        self._clients: dict[BuilderName, S3Client] = {
            builder: service.aws.client("s3", service.deployment.builders[builder]) for builder in BUILDERS
        }
        self._bucket = service.deployment.settings.staging_bucket
        self._queues = queues
        self._may_send = threading.Event()

    def send_all(self, submissions: Sequence[Planned]) -> tuple[Sent, ...]:
        """Upload everything, in about this order."""
        with self._paced(), ThreadPoolExecutor(_THREADS) as pool:
            return tuple(pool.map(self._send, submissions))

    def _send(self, planned: Planned) -> Sent:
        self._may_send.wait()
        s3 = self._clients[planned.builder]
        nar_key = StagingNarKey(planned.builder, NarFile.parse_url(planned.uploaded.narinfo.url))
        s3.put_object(Bucket=self._bucket, Key=str(nar_key), Body=planned.uploaded.file)
        answer = s3.put_object(Bucket=self._bucket, Key=str(planned.key), Body=planned.narinfo)
        return Sent(planned, answer["VersionId"], time.time())

    @contextmanager
    def _paced(self) -> Iterator[None]:
        stop = threading.Event()

        def pace() -> None:
            while not stop.wait(_POLL_SECONDS):
                if self._queues.depth < _BACKLOG:
                    self._may_send.set()
                else:
                    self._may_send.clear()

        self._may_send.set()
        thread = threading.Thread(target=pace)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()
            self._may_send.set()
