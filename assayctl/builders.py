"""A builder whose credentials leaked: refused at once, and let in again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from assayctl.errors import aws

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient

_POLICY: Final = "AssayBlocked"


class BuilderRoles:
    """The roles of one deployment's builders. All methods raise :class:`TransientError`."""

    def __init__(self, iam: IAMClient) -> None:
        self._iam = iam

    def block(self, role: str) -> None:
        """Deny ``role`` everything, sessions that are out there included."""
        self._put(role, {"Effect": "Deny", "Action": "*", "Resource": "*"})

    def unblock(self, role: str) -> None:
        """Let new sessions in; those from before this moment stay refused, for somebody may still hold them."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self._put(
            role,
            {
                "Effect": "Deny",
                "Action": "*",
                "Resource": "*",
                "Condition": {"DateLessThan": {"aws:TokenIssueTime": now}},
            },
        )

    def _put(self, role: str, statement: dict[str, object]) -> None:
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        with aws(f"The role {role} cannot be changed"):
            self._iam.put_role_policy(RoleName=role, PolicyName=_POLICY, PolicyDocument=json.dumps(policy))
