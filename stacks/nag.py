"""How a construct answers for what cdk-nag finds in it.

An acknowledgement names one finding on one resource; whatever else a rule finds there later still fails.
"""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
from constructs import IConstruct


def acknowledge(construct: IConstruct, finding: str, *, because: str) -> None:
    """Acknowledge a finding of the AwsSolutions pack, such as ``SMG4``, on ``construct`` and what is below it."""
    # cdk-nag 3 matches an id only with the pack's name before it; without, it says nothing and matches nothing.
    cdk.Validations.of(construct).acknowledge(
        cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{finding}", reason=because)
    )


def acknowledge_warning(construct: IConstruct, warning: str, *, because: str) -> None:
    """Acknowledge a warning that CDK itself gives of ``construct``, such as ``aws-cloudfront:someRisk``."""
    cdk.Validations.of(construct).acknowledge(cdk.Acknowledgment(id=f"Annotation::@aws-cdk/{warning}", reason=because))


def acknowledge_wildcard(construct: IConstruct, resource: str, *, because: str) -> None:
    """Acknowledge that a policy below ``construct`` names ``resource``, an ARN with a wildcard in it."""
    written = _as_nag_writes(cdk.Stack.of(construct).resolve(resource))
    acknowledge(construct, f"IAM5[Resource::{written}]", because=because)


def _as_nag_writes(value: Any) -> str:  # noqa: ANN401  whatever CloudFormation expression a token resolves to
    match value:
        case {"Fn::Join": ["", list(parts)]}:
            return "".join(map(_as_nag_writes, parts))
        case {"Fn::GetAtt": [logical_id, attribute]}:
            return f"<{logical_id}.{attribute}>"
        case _:
            return str(value)
