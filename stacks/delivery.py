"""How the cache reaches its readers: the distribution, its logs, and what lies at its root."""

from __future__ import annotations

from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from constructs import Construct

from protocol.settings import SiteSettings
from stacks.config import Domain, Readers
from stacks.distribution import CacheDistribution
from stacks.reader_log_bucket import ReaderLogBucket
from stacks.site_function import SiteFunction


class Delivery(Construct):
    """Everything between the cache bucket and the internet. Nothing in it can write a store object."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        stage: str,
        cache: s3.IBucket,
        access_logs: s3.IBucket,
        code: lambda_.Code,
        domain: Domain | None,
        readers: Readers,
    ) -> None:
        super().__init__(scope, construct_id)
        self.distribution = CacheDistribution(
            self,
            "Distribution",
            cache=cache,
            reader_logs=ReaderLogBucket(self, "ReaderLogs", stage=stage, access_logs=access_logs),
            domain=domain,
            readers=readers,
        )
        SiteFunction(
            self,
            "Site",
            cache=cache,
            code=code,
            settings=SiteSettings(
                cache_bucket=cache.bucket_name,
                cache_url=self.distribution.url,
                is_private=readers is not Readers.EVERYONE,
                stage=stage,
            ),
        )
