"""Names for what CloudFront keeps once for an account, and not once for each region."""

from __future__ import annotations

from typing import Final

import aws_cdk as cdk
from constructs import IConstruct

_LONGEST: Final = 48  # with the longest region's name, below the 64 that CloudFront takes


def account_wide_name(scope: IConstruct) -> str:
    """Return a name for the one resource of its kind in ``scope``, with the region in it.

    CDK's own names are the same in every region: a stage could be deployed in one region of an account only.
    """
    return f"{cdk.Names.unique_resource_name(scope, max_length=_LONGEST)}-{cdk.Stack.of(scope).region}"
