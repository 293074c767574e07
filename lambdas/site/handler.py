"""What EventBridge calls: when the stack was created or updated, and by the clock."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, cast

import botocore.session
from botocore.config import Config

from lambdas.context import Context
from lambdas.emf import EventLog
from lambdas.site.bucket import SiteBucket
from lambdas.site.counts import CloudWatchCounts
from lambdas.site.page import Cache, render
from lambdas.site.status import MAX_STATUS_SIZE, Status, read_status
from nixcache.errors import TransientError
from protocol.keys import PUBLIC_KEYS_JSON_KEY, STATUS_KEY
from protocol.public_keys import MAX_PUBLIC_KEYS_SIZE, PublicKeys
from protocol.settings import SiteSettings

if TYPE_CHECKING:
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_s3 import S3Client

SERVICE: Final = "site"
_CONFIG: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 4}, connect_timeout=5, read_timeout=10, signature_version="v4"
)


@dataclass(frozen=True, slots=True)
class Clients:
    """The AWS that the site is written with."""

    s3: S3Client
    cloudwatch: CloudWatchClient

    @classmethod
    def connect(cls) -> Clients:
        """Return clients as the environment says; sends nothing yet."""
        session = botocore.session.get_session()
        s3 = session.create_client("s3", config=_CONFIG.merge(Config(signature_version="s3v4")))
        return cls(
            s3=cast("S3Client", s3),
            cloudwatch=cast("CloudWatchClient", session.create_client("cloudwatch", config=_CONFIG)),
        )


def write_site(settings: SiteSettings, clients: Clients, log: EventLog, now: datetime) -> None:
    """Write all there is to write; done twice, or by two at once, it comes to the same.

    Raises :class:`TransientError`; what can be written without what is missing has been written then.
    """
    bucket = SiteBucket(clients.s3, settings.cache_bucket)
    bucket.ensure_cache_info(settings.store_dir)
    announced = bucket.read(PUBLIC_KEYS_JSON_KEY, limit=MAX_PUBLIC_KEYS_SIZE)
    keys = () if announced is None else PublicKeys.from_json(announced).keys
    status, trouble = _count(settings, clients, bucket, now)
    bucket.put_status(status.to_json())
    bucket.put_page(render(Cache(settings.cache_url, is_private=settings.is_private), keys, status))
    log.write("site written", {"keys": [key.public_key.name for key in keys]})
    if trouble is not None:
        raise trouble
    if not keys:
        # At the first deployment the key may be minutes away: Lambda tries again after one minute, and two more.
        raise TransientError(f"{PUBLIC_KEYS_JSON_KEY} is not there yet.", remedy="It is tried again.")


def handler(_event: object, _context: Context) -> None:
    """Write the site once."""
    settings = SiteSettings.from_environment(os.environ)
    write_site(settings, Clients.connect(), EventLog(service=SERVICE, stage=settings.stage), datetime.now(UTC))


def _count(
    settings: SiteSettings, clients: Clients, bucket: SiteBucket, now: datetime
) -> tuple[Status, TransientError | None]:
    """Return what is to be told, and what went wrong: then it is what was told before, with the time of that."""
    written = bucket.read(STATUS_KEY, limit=MAX_STATUS_SIZE)
    before = None if written is None else read_status(written)
    closed = before.published.closed if before and before.published else None
    counts = CloudWatchCounts(clients.cloudwatch, stage=settings.stage, bucket=settings.cache_bucket)
    try:
        return Status(now, counts.published(closed, now), counts.stored(now)), None
    except TransientError as error:
        return before or Status(now, None, None), error
