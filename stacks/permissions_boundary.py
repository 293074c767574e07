"""What no role of the deployment gets beyond, where the account's administrators ask for it."""

from __future__ import annotations

import aws_cdk as cdk


def permissions_boundary(policy: str | None) -> cdk.PermissionsBoundary | None:
    """Return CDK's boundary for every role of a stack; ``policy`` is the name of one of the account's, or an ARN."""
    if policy is None:
        return None
    return (cdk.PermissionsBoundary.from_arn if policy.startswith("arn:") else cdk.PermissionsBoundary.from_name)(
        policy
    )
