"""The whole service, for the length of a ``with`` block."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any, Self

from local.aws import MOTO, REGION, Aws, MotoServer
from local.cache_server import CacheServer
from local.event_source import EventSource
from local.function import RUNTIME, ExecutionEnvironment, Report
from local.provision import Deployment, provision
from nixcache.store_path import NIX_STORE, StoreDir
from nixcache.verify import DEFAULT_MAX_NAR_SIZE
from protocol.delivery import BATCH_SIZE, FIRST_RETRY_SECONDS, FUNCTION_TIMEOUT_SECONDS
from protocol.keys import BuilderName
from protocol.policy import SubmissionPolicy
from protocol.settings import Upstream

DEFAULT_BUILDERS = (BuilderName("alice"), BuilderName("mallory"))
"""Two, so that one can try the other's prefix."""
DEFAULT_CONCURRENCY = 2
"""Enough for two submissions to race, few enough for a laptop."""


class LocalService:
    """moto, the buckets and queues in it, the ingest function behind the queue, and the cache bucket over HTTP."""

    aws: Aws
    deployment: Deployment
    cache_url: str

    def __init__(
        self,
        *,
        port: int = 0,
        store_dir: StoreDir = NIX_STORE,
        builders: Sequence[BuilderName] = DEFAULT_BUILDERS,
        max_nar_size: int = DEFAULT_MAX_NAR_SIZE,
        upstreams: tuple[Upstream, ...] = (),
        policy: SubmissionPolicy | None = None,
        first_retry_seconds: int = FIRST_RETRY_SECONDS,
        concurrency: int = DEFAULT_CONCURRENCY,
        runtime: Sequence[str] = RUNTIME,
        log: IO[str] | None = None,
    ) -> None:
        """``port`` is moto's (0: any free one), ``max_nar_size`` in bytes.

        ``policy`` is by default the one without rules; ``first_retry_seconds`` is how long a submission rests after its
        first trouble.

        ``concurrency`` is how many execution environments take batches at once; ``runtime`` is the module that runs in
        them, and its arguments.
        ``log`` (default: our standard error) takes what moto and the function say.
        """
        self._port = port
        self._store_dir = store_dir
        self._builders = builders
        self._max_nar_size = max_nar_size
        self._upstreams = upstreams
        self._policy = SubmissionPolicy.open_to(builders, max_nar_size) if policy is None else policy
        self._first_retry_seconds = first_retry_seconds
        self._concurrency = concurrency
        self._runtime = runtime
        self._log = log
        self._stack = ExitStack()
        self.reports: list[Report] = []
        """What each invocation took, in the order in which they ended."""
        self.moto_process: Sequence[str] = MOTO
        """What serves as AWS; another must be set before this is entered."""

    def __enter__(self) -> Self:
        """Start everything; raises :class:`nixcache.errors.TransientError` when this machine does not let us."""
        with ExitStack() as stack:
            policy_file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="assay-policy-")), "policy.json")
            policy_file.write_bytes(self._policy.to_json())
            self._moto = stack.enter_context(MotoServer(port=self._port, process=self.moto_process, log=self._log))
            self.aws = self._moto.aws
            self.deployment = provision(
                self.aws,
                store_dir=self._store_dir,
                builders=self._builders,
                max_nar_size=self._max_nar_size,
                upstreams=self._upstreams,
                first_retry_seconds=self._first_retry_seconds,
                policy_file=str(policy_file),
            )
            settings = self.deployment.settings
            reader = self.aws.client("s3", self.deployment.reader)
            self.cache_url = stack.enter_context(CacheServer(reader, settings.cache_bucket)).url
            stop = threading.Event()
            for _ in range(self._concurrency):
                self._start_poller(stack, stop)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """End everything, in reverse order."""
        self._stack.close()

    @property
    def alive(self) -> bool:
        """Whether moto, without which nothing works, still runs."""
        return self._moto.alive

    def outputs(self) -> dict[str, Any]:
        """Return what a client needs to know, ready for JSON."""
        deployment = self.deployment
        return {
            "endpoint": self.aws.endpoint,
            "region": REGION,
            "staging_bucket": deployment.settings.staging_bucket,
            "cache_bucket": deployment.settings.cache_bucket,
            "ledger_bucket": deployment.settings.ledger_bucket,
            "queue_url": deployment.settings.queue_url,
            "dead_letter_queue_url": deployment.dead_letter_queue_url,
            "cache_url": self.cache_url,
            "public_key": str(deployment.public_key),
            "store_dir": deployment.settings.store_dir.path,
            "builders": {
                str(builder): self.aws.environment(credentials) for builder, credentials in deployment.builders.items()
            },
            "operator": self.aws.environment(deployment.operator),
        }

    def _start_poller(self, stack: ExitStack, stop: threading.Event) -> None:
        """Add one poller with the execution environment that is its own; it ends when ``stop`` is set."""
        function = ExecutionEnvironment(
            {**self.aws.environment(self.deployment.ingest), **self.deployment.settings.to_environment()},
            timeout=FUNCTION_TIMEOUT_SECONDS,
            runtime=self._runtime,
            log=self._log,
        )
        stack.callback(function.close)
        source = EventSource(
            self.aws.client("sqs", self.deployment.ingest),
            queue_url=self.deployment.settings.queue_url,
            queue_arn=self.deployment.queue_arn,
            batch_size=BATCH_SIZE,
            invoke=self._reporting(function),
        )
        thread = threading.Thread(target=source.run, args=(stop,))
        thread.start()
        stack.callback(thread.join)
        stack.callback(stop.set)  # before the join, also when a later start fails

    def _reporting(self, function: ExecutionEnvironment) -> Callable[[dict[str, Any]], object]:
        def invoke(event: dict[str, Any]) -> object:
            report = function.invoke(event)
            self.reports.append(report)
            return report.response

        return invoke
