"""The function that verifies, signs and publishes."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as event_sources
from aws_cdk import aws_logs as logs
from constructs import Construct

from protocol.delivery import BATCH_SIZE, FUNCTION_TIMEOUT_SECONDS, MAX_CONCURRENCY
from protocol.settings import IngestSettings
from stacks.ingest_queue import IngestQueue

INGEST_MEMORY_MIB: Final = 1769
"""One whole vCPU, which Lambda gives at this size.

Verifying runs on two threads, but they wait for one stream: S3 gives some 90 MB/s on a connection, and one core
verifies 130 MB/s of zstd (400 MB/s of NAR, measured). Small paths wait for S3's answers. A second core costs twice as
much a second and would be idle but for xz, which one thread decompresses anyway. The memory itself is far more than
ingest uses (I7).
"""


class IngestFunction(lambda_.Function):
    """Takes batches from the queue; each message fails or succeeds alone."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        role: iam.IRole,
        log_group: logs.ILogGroup,
        queue: IngestQueue,
        code: lambda_.Code,
        settings: IngestSettings,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            description="Assay: verifies submissions, signs and publishes them",
            runtime=lambda_.Runtime.PYTHON_3_14,
            architecture=lambda_.Architecture.ARM_64,
            handler="lambdas.ingest.handler.handler",
            code=code,
            memory_size=INGEST_MEMORY_MIB,
            timeout=cdk.Duration.seconds(FUNCTION_TIMEOUT_SECONDS),
            role=role,
            log_group=log_group,
            tracing=lambda_.Tracing.ACTIVE,
            environment=settings.to_environment(),
            # A publication wakes whoever waits for it through the queue, so a chain of n paths is a chain of n
            # invocations. Lambda takes that for a runaway loop and stops it after about 16, unless told that it is
            # meant. It ends by itself: each wake-up takes away the marker that caused it.
            recursive_loop=lambda_.RecursiveLoop.ALLOW,
        )
        self.add_event_source(
            event_sources.SqsEventSource(
                queue,
                batch_size=BATCH_SIZE,
                max_concurrency=MAX_CONCURRENCY,
                report_batch_item_failures=True,
            )
        )
