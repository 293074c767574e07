"""A deployed stage: the names of its resources, as its stack's outputs tell them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import boto3
from botocore.exceptions import ClientError

from assayctl.errors import OperatorCode, aws
from nixcache.errors import PermanentError
from protocol.keys import BuilderName
from protocol.outputs import Output, describe_role, stack_name

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient


@dataclass(frozen=True, slots=True)
class Deployment:
    """One stage, and the session that acts on it."""

    stack: str
    session: boto3.Session
    outputs: Mapping[str, str]
    descriptions: Mapping[str, str]
    """The outputs once more, by their descriptions."""

    @classmethod
    def find(cls, stage: str, session: boto3.Session) -> Self:
        """Read the outputs of the stage's stack.

        Raises :class:`PermanentError` (``not-deployed``) and :class:`TransientError`.
        """
        stack = stack_name(stage)
        cloudformation: CloudFormationClient = session.client("cloudformation")
        with aws(f"The stack {stack} cannot be read"):
            try:
                described = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]
            except ClientError as error:
                if error.response["Error"].get("Code") != "ValidationError":
                    raise
                raise PermanentError(
                    OperatorCode.NOT_DEPLOYED,
                    f"There is no stack {stack} in {session.region_name}.",
                    remedy="Name the stage with --stage, and account and region with AWS_PROFILE and AWS_REGION.",
                ) from error
        outputs = described.get("Outputs", [])
        return cls(
            stack,
            session,
            {output["OutputKey"]: output["OutputValue"] for output in outputs},
            {output["Description"]: output["OutputValue"] for output in outputs if "Description" in output},
        )

    def output(self, name: Output) -> str:
        """Return an output; raises :class:`PermanentError` (``not-in-this-deployment``)."""
        try:
            return self.outputs[name]
        except KeyError:
            raise PermanentError(
                OperatorCode.NOT_IN_THIS_DEPLOYMENT,
                f"The stack {self.stack} has no output {name}.",
                remedy="Deploy this version first: `cdk deploy`.",
            ) from None

    def role(self, builder: BuilderName) -> str:
        """Return the name of a builder's role; raises :class:`PermanentError` (``not-in-this-deployment``)."""
        try:
            arn = self.descriptions[describe_role(builder)]
        except KeyError:
            raise PermanentError(
                OperatorCode.NOT_IN_THIS_DEPLOYMENT,
                f"The stack {self.stack} has no builder {builder}.",
                remedy="Name one of the stage's configuration.",
            ) from None
        return arn.rpartition("/")[2]
