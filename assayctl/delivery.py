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
    if len(keys) > _SINGLE:
        invalidate_everything(deployment)
    else:
        _invalidate(deployment, [f"/{key}" for key in keys])


def invalidate_everything(deployment: Deployment) -> None:
    """Have the CDN ask the bucket again, whatever a reader wants; raises PermanentError and TransientError."""
    _invalidate(deployment, ["/*"])


def _invalidate(deployment: Deployment, paths: list[str]) -> None:
    cloudfront: CloudFrontClient = deployment.session.client("cloudfront")
    with aws("The CDN cannot be told to forget"):
        cloudfront.create_invalidation(
            DistributionId=deployment.output(Output.DISTRIBUTION_ID),
            InvalidationBatch={"Paths": {"Quantity": len(paths), "Items": paths}, "CallerReference": uuid.uuid4().hex},
        )
