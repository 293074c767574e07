"""What the CDN remembers, forgotten."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from assayctl.deployment import Deployment
from assayctl.errors import aws
from protocol.outputs import Output

if TYPE_CHECKING:
    from mypy_boto3_cloudfront import CloudFrontClient

_SINGLE: Final = 100
"""Beyond it everything is forgotten: AWS counts each path of an invalidation, and a wildcard as one."""


def invalidate(deployment: Deployment, keys: Sequence[str]) -> None:
    """Have the CDN ask the bucket again for ``keys``; raises PermanentError and TransientError."""
    cloudfront: CloudFrontClient = deployment.session.client("cloudfront")
    paths = [f"/{key}" for key in keys] if len(keys) <= _SINGLE else ["/*"]
    with aws("The CDN cannot be told to forget"):
        cloudfront.create_invalidation(
            DistributionId=deployment.output(Output.DISTRIBUTION_ID),
            InvalidationBatch={"Paths": {"Quantity": len(paths), "Items": paths}, "CallerReference": uuid.uuid4().hex},
        )
