"""IAM's decision over a synthesised template: explicit deny, else an allow, else deny.

Small, and strict about what it does not know: an unknown condition operator or CloudFormation function raises, so that
a policy which starts to use one cannot pass unjudged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

ACCOUNT = "111122223333"
REGION = "eu-central-1"
ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/administrator"

_PSEUDO_PARAMETERS = {"AWS::Partition": "aws", "AWS::AccountId": ACCOUNT, "AWS::Region": REGION}


class Account:
    """The roles and resource policies of a template, and one administrator who may do everything that is not denied."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._resources: Mapping[str, Any] = template["Resources"]

    def decide(self, principal: str, action: str, resource: str, **context: str) -> bool:
        """Tell whether ``principal`` (an ARN) may do ``action`` on ``resource``; ``context`` holds condition keys.

        A condition key's colon is written ``__``: ``s3__prefix``. Requests come over TLS 1.3 unless they say otherwise.
        """
        keys = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3", "aws:PrincipalArn": principal}
        keys |= {name.replace("__", ":").replace("_", "-"): value for name, value in context.items()}
        effects = {
            statement["Effect"]
            for statement in self._statements_for(principal)
            if _matches(statement["Action"], action)
            and _matches(self.resolve(statement["Resource"]), resource)
            and _holds(self.resolve(statement.get("Condition", {})), keys)
        }
        return "Deny" not in effects and "Allow" in effects

    def actions_of(self, principal: str) -> set[str]:
        """Everything that ``principal``'s own policies allow, on whatever resource."""
        return {
            action
            for statement in self._identity_statements(principal)
            for action in _listed(statement["Action"])
            if statement["Effect"] == "Allow"
        }

    def role(self, construct_id: str) -> str:
        """The ARN of the role whose logical id begins with ``construct_id`` and CDK's eight characters of hash."""
        [name] = [
            name for name in self._of_type("AWS::IAM::Role") if re.fullmatch(f"{construct_id}[0-9A-F]{{8}}", name)
        ]
        return self._arn(name)

    def resolve(self, value: Any) -> Any:  # noqa: ANN401  whatever JSON holds
        """``value`` with CloudFormation's references and functions replaced by what they come to."""
        match value:
            case {"Ref": str(name)}:
                return _PSEUDO_PARAMETERS.get(name) or self._ref(name)
            case {"Fn::GetAtt": [str(name), "Arn"]}:
                return self._arn(name)
            case {"Fn::Join": [str(separator), list(parts)]}:
                return separator.join(self.resolve(part) for part in parts)
            case dict() if any(key.startswith("Fn::") for key in value):
                raise AssertionError(f"the evaluator does not know {value}")
            case dict():
                return {key: self.resolve(item) for key, item in value.items()}
            case list():
                return [self.resolve(item) for item in value]
            case _:
                return value

    def _statements_for(self, principal: str) -> Iterator[Mapping[str, Any]]:
        yield from self._identity_statements(principal)
        for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SecretsManager::ResourcePolicy"):
            for name in self._of_type(kind):
                properties = self._resources[name]["Properties"]
                document = properties.get("PolicyDocument") or properties["ResourcePolicy"]
                for statement in document["Statement"]:
                    named = self.resolve(statement["Principal"]).get("AWS", [])
                    if "*" in _listed(named) or principal in _listed(named):
                        yield statement

    def _identity_statements(self, principal: str) -> Iterator[Mapping[str, Any]]:
        if principal == ADMINISTRATOR:
            yield {"Effect": "Allow", "Action": "*", "Resource": "*"}
        for name in self._of_type("AWS::IAM::Policy"):
            properties = self._resources[name]["Properties"]
            if principal in [self._arn(role["Ref"]) for role in properties["Roles"]]:
                yield from properties["PolicyDocument"]["Statement"]

    def _of_type(self, kind: str) -> Iterator[str]:
        return (name for name, resource in self._resources.items() if resource["Type"] == kind)

    def _ref(self, name: str) -> str:
        match self._resources[name]["Type"]:
            case "AWS::S3::Bucket":
                return str(self.resolve(self._resources[name]["Properties"]["BucketName"]))
            case _:
                return name

    def _arn(self, name: str) -> str:
        match self._resources[name]["Type"]:
            case "AWS::S3::Bucket":
                return f"arn:aws:s3:::{self._ref(name)}"
            case "AWS::IAM::Role":
                return f"arn:aws:iam::{ACCOUNT}:role/{name}"
            case "AWS::SQS::Queue":
                return f"arn:aws:sqs:{REGION}:{ACCOUNT}:{name}"
            case "AWS::Logs::LogGroup":
                return f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{name}:*"
            case kind:
                raise AssertionError(f"the evaluator knows no ARN for {kind}")


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def _matches(patterns: str | list[str], value: str) -> bool:
    # IAM's `*` crosses slashes and its `?` is one character; nothing else is special.
    return any(
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), value, re.DOTALL)
        for pattern in _listed(patterns)
    )


def _holds(conditions: Mapping[str, Mapping[str, str | list[str]]], keys: Mapping[str, str]) -> bool:
    return all(
        _condition(operator, wanted, keys.get(key))
        for operator, tests in conditions.items()
        for key, wanted in tests.items()
    )


def _condition(operator: str, wanted: str | float | list[str], present: str | None) -> bool:
    if operator == "Null":
        return (present is None) == (wanted == "true")
    if operator == "ArnNotEquals":
        return present is None or not _matches(str(wanted), present)
    if present is None:
        return operator.endswith("IfExists")
    match operator.removesuffix("IfExists"):
        case "Bool" | "StringEquals":
            return present in _listed(wanted) if isinstance(wanted, list) else present == wanted
        case "StringLike" | "ArnEquals" | "ArnLike":
            return _matches(wanted if isinstance(wanted, list) else str(wanted), present)
        case "NumericLessThan":
            return isinstance(wanted, (int, float)) and float(present) < wanted
        case _:
            raise AssertionError(f"the evaluator does not know the operator {operator}")
