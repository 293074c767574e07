"""A synthesised template with its references put in: what CloudFormation would do, in an account of its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

ACCOUNT = "111122223333"
REGION = "eu-central-1"

_PSEUDO_PARAMETERS = {
    "AWS::Partition": "aws",
    "AWS::AccountId": ACCOUNT,
    "AWS::Region": REGION,
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::StackName": "Assay-test",
    "AWS::StackId": f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/Assay-test/guid",
}
_ARNS = {
    "AWS::CloudFront::Distribution": f"arn:aws:cloudfront::{ACCOUNT}:distribution/%s",
    "AWS::CloudFront::KeyValueStore": f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/%s",
    "AWS::CloudWatch::Alarm": f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:%s",
    "AWS::Events::Rule": f"arn:aws:events:{REGION}:{ACCOUNT}:rule/%s",
    "AWS::IAM::Role": f"arn:aws:iam::{ACCOUNT}:role/%s",
    "AWS::Lambda::Function": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:%s",
    "AWS::Logs::LogGroup": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:%s:*",
    "AWS::SNS::Topic": f"arn:aws:sns:{REGION}:{ACCOUNT}:%s",
    "AWS::SQS::Queue": f"arn:aws:sqs:{REGION}:{ACCOUNT}:%s",
    "AWS::StepFunctions::StateMachine": f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:%s",
}
"""By type, the ARN of what CloudFormation would name like its logical id."""

_ATTRIBUTES = {"Arn", "QueueName"}


class Template:
    """The resources of a template. What it does not know raises, and does not pass for a text."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self.resources: Mapping[str, Any] = template["Resources"]

    def of_type(self, kind: str) -> Iterator[str]:
        """The logical ids of the resources of a type."""
        return (name for name, resource in self.resources.items() if resource["Type"] == kind)

    def role(self, construct_id: str) -> str:
        """The ARN of the role whose logical id begins with ``construct_id`` and CDK's eight characters of hash."""
        [name] = [name for name in self.of_type("AWS::IAM::Role") if re.fullmatch(f"{construct_id}[0-9A-F]{{8}}", name)]
        return self.arn(name)

    def arn(self, name: str) -> str:
        """The ARN of the resource with a logical id."""
        match self.resources[name]["Type"]:
            case "AWS::S3::Bucket":
                return f"arn:aws:s3:::{self._ref(name)}"
            case "AWS::SecretsManager::Secret":
                return f"{self.secret_arn(name)}-AbCdEf"
            case kind if kind in _ARNS:
                return _ARNS[kind] % name
            case kind:
                raise AssertionError(f"no ARN is known for {kind}")

    def secret_arn(self, name: str) -> str:
        """The ARN of the secret with a logical id, without the characters that Secrets Manager appends."""
        secret = self.resolve(self.resources[name]["Properties"]["Name"])
        return f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{secret}"

    def resolve(self, value: Any) -> Any:  # noqa: ANN401  whatever JSON holds
        """``value`` with CloudFormation's references and functions replaced by what they come to."""
        match value:
            case {"Ref": str(name)}:
                return _PSEUDO_PARAMETERS.get(name) or self._ref(name)
            case {"Fn::GetAtt": [str(name), str(attribute)]} if attribute in _ATTRIBUTES:
                return self.arn(name) if attribute == "Arn" else name
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(self.resolve(part) for part in parts)
            case dict() if any(key.startswith("Fn::") for key in value):
                raise AssertionError(f"{value} is not known")
            case dict():
                return {key: self.resolve(item) for key, item in value.items()}
            case list():
                return [self.resolve(item) for item in value]
            case _:
                return value

    def _ref(self, name: str) -> str:
        match self.resources[name]["Type"]:
            case "AWS::S3::Bucket":
                return str(self.resolve(self.resources[name]["Properties"]["BucketName"]))
            case "AWS::SNS::Topic":
                return self.arn(name)
            case _:
                return name
