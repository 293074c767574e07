"""IAM's decision over a synthesised template: explicit deny, else an allow, else deny.

Small, and strict about what it does not know: an unknown condition operator, policy variable, element of a statement,
kind of policy or CloudFormation function raises, so that a policy which starts to use one cannot pass unjudged.

Principals are ARNs of roles, users and identity providers, names of services (``lambda.amazonaws.com``), or `ANYBODY`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from tests.stacks.template import ACCOUNT, REGION, Template

__all__ = ["ACCOUNT", "ADMINISTRATOR", "ANYBODY", "ELSEWHERE", "NOBODY", "REGION", "Account"]

ADMINISTRATOR = f"arn:aws:iam::{ACCOUNT}:role/administrator"
ELSEWHERE = "arn:aws:iam::999988887777:role/administrator"
"""Whoever may do everything in another account."""
NOBODY = f"arn:aws:iam::{ACCOUNT}:role/without-policies"
ANYBODY = "anybody"
"""Whoever signs no request."""

_ELEMENTS = {"Sid", "Effect", "Action", "Resource", "Principal", "Condition"}
# What is called a policy and says nothing about who may do what.
_NO_ACCESS_POLICIES = {
    "AWS::CloudFront::CachePolicy",
    "AWS::CloudFront::OriginRequestPolicy",
    "AWS::CloudFront::ResponseHeadersPolicy",
}


@dataclass(frozen=True, slots=True)
class _Statement:
    allows: bool
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Operator, key in lower case, values."""
    principals: Mapping[str, tuple[str, ...]] | None = None
    """By kind (AWS, Service, Federated), whom a policy of a resource names."""
    attached_to: str = "*"
    """The resource whose policy this is, as a pattern: its ``*`` means that one."""

    def applies(self, action: str, resource: str, keys: Mapping[str, str]) -> bool:
        return (
            any(_like(pattern.lower(), action.lower()) for pattern in self.actions)
            and any(_like(pattern, resource) for pattern in self.resources)
            and (_like(self.attached_to, resource) or _like(f"{self.attached_to}/*", resource))
            and all(_condition(operator, wanted, keys.get(key)) for operator, key, wanted in self.conditions)
        )

    def names(self, principal: str) -> bool:
        """Tell whether this statement of a resource's policy is about ``principal``."""
        assert self.principals is not None
        if principal == ANYBODY:
            return "*" in self.principals.get("AWS", ())
        if "oidc-provider" in principal:
            return principal in self.principals.get("Federated", ())
        if not principal.startswith("arn:"):
            return principal in self.principals.get("Service", ()) or "*" in self.principals.get("AWS", ())
        named = self.principals.get("AWS", ())
        # The account's root is everybody there in a denial; an allowance leaves it to the account's own policies.
        return "*" in named or principal in named or (not self.allows and _root_of(principal) in named)

    def delegates_to(self, principal: str) -> bool:
        """Tell whether it leaves ``principal`` to the policies of its own account."""
        assert self.principals is not None
        return self.allows and principal.startswith("arn:") and _root_of(principal) in self.principals.get("AWS", ())


class Account(Template):
    """The roles and resource policies of a template, and one administrator who may do everything that is not denied."""

    def decide(self, principal: str, action: str, resource: str, **context: str) -> bool:
        """Tell whether ``principal`` may do ``action`` on ``resource``; ``context`` holds condition keys.

        A condition key's colon is written ``__``: ``s3__prefix``. Requests come over TLS 1.3 unless they say otherwise.
        """
        return self.allows(
            principal,
            action,
            resource,
            {name.replace("__", ":").replace("_", "-"): value for name, value in context.items()},
        )

    def allows(self, principal: str, action: str, resource: str, context: Mapping[str, str]) -> bool:
        """Like :meth:`decide`, with condition keys as AWS writes them."""
        keys = {"aws:securetransport": "true", "s3:tlsversion": "1.3"}
        if principal.startswith("arn:"):
            keys |= {"aws:principalarn": principal, "aws:principalaccount": principal.split(":")[4]}
        keys |= {name.lower(): value for name, value in context.items()}
        own = [s for s in self._own(principal) if s.applies(action, resource, keys)]
        theirs = [s for s in self._of_resources if s.names(principal) and s.applies(action, resource, keys)]
        if not all(s.allows for s in (*own, *theirs)):
            return False
        # Across accounts, both sides have to agree; an own policy is all that counts for an administrator elsewhere.
        return bool(theirs) if principal == ELSEWHERE else bool(own or theirs)

    def may_assume(self, principal: str, role: str, action: str, context: Mapping[str, str]) -> bool:
        """Tell whether the trust policy of ``role`` (an ARN), and the principal's own, let it become the role."""
        keys = {name.lower(): value for name, value in context.items()}
        if principal.startswith("arn:"):
            keys = {"aws:principalarn": principal, **keys}
        trust = [s for s in self._trust(role) if s.applies(action, role, keys)]
        own = [s for s in self._own(principal) if s.applies(action, role, keys)]
        if not all(s.allows for s in (*own, *(s for s in trust if s.names(principal)))):
            return False
        if any(s.names(principal) for s in trust):
            return True
        return bool(own) and any(s.delegates_to(principal) for s in trust)

    def actions_of(self, principal: str) -> set[str]:
        """Everything that ``principal``'s own policies allow, on whatever resource."""
        return {action for statement in self._own(principal) if statement.allows for action in statement.actions}

    def grants_of(self, principal: str) -> set[tuple[str, str]]:
        """Each action with each resource that ``principal``'s own policies allow, as they write them.

        What a resource's policy denies, and whatever conditions there are, changes nothing here.
        """
        return {
            (action, resource)
            for statement in self._own(principal)
            if statement.allows
            for action in statement.actions
            for resource in statement.resources
        }

    def roles(self) -> Iterator[str]:
        """The ARNs of all roles of the template."""
        return map(self.arn, self.of_type("AWS::IAM::Role"))

    def _own(self, principal: str) -> Iterator[_Statement]:
        if principal in {ADMINISTRATOR, ELSEWHERE}:
            yield _Statement(allows=True, actions=("*",), resources=("*",), conditions=())
        yield from self._of_roles.get(principal, ())

    @cached_property
    def _of_roles(self) -> Mapping[str, tuple[_Statement, ...]]:
        """By ARN, the statements of each role's own policies."""
        documents: dict[str, list[Any]] = {}
        for name in self.of_type("AWS::IAM::Role"):
            properties = self.resources[name].get("Properties", {})
            if properties.get("ManagedPolicyArns"):
                raise AssertionError(f"the evaluator knows no managed policies, and {name} has some")
            documents[self.arn(name)] = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        for name in self.of_type("AWS::IAM::Policy"):
            properties = self.resources[name]["Properties"]
            for role in properties["Roles"]:
                documents[self.arn(role["Ref"])].append(properties["PolicyDocument"])
        return {
            role: tuple(statement for document in found for statement in self._statements(document))
            for role, found in documents.items()
        }

    @cached_property
    def _of_resources(self) -> tuple[_Statement, ...]:
        """The statements of every resource's policy."""
        statements: list[_Statement] = []
        for resource in self.resources.values():
            properties = resource.get("Properties", {})
            match resource["Type"]:
                case "AWS::IAM::Policy":
                    pass
                case "AWS::S3::BucketPolicy":
                    bucket = f"arn:aws:s3:::{self.resolve(properties['Bucket'])}"
                    statements += self._statements(properties["PolicyDocument"], attached_to=bucket)
                case "AWS::SQS::QueuePolicy" | "AWS::SNS::TopicPolicy":
                    for attached in properties.get("Queues") or properties["Topics"]:
                        arn = self.arn(attached["Ref"])
                        statements += self._statements(properties["PolicyDocument"], attached_to=arn)
                case "AWS::SecretsManager::ResourcePolicy":
                    secret = f"{self.secret_arn(properties['SecretId']['Ref'])}-??????"
                    statements += self._statements(properties["ResourcePolicy"], attached_to=secret)
                case "AWS::Lambda::Permission":
                    statements.append(self._permission(properties))
                case kind if kind.endswith(("Policy", "Permission")) and kind not in _NO_ACCESS_POLICIES:
                    raise AssertionError(f"the evaluator does not know {kind}")
        return tuple(statements)

    def _trust(self, role: str) -> Iterator[_Statement]:
        document = self.resources[role.rpartition("/")[2]]["Properties"]["AssumeRolePolicyDocument"]
        # A trust policy names no resource: it is the role's.
        return self._statements(document, resources=("*",), attached_to=role)

    def _statements(
        self, document: Mapping[str, Any], *, resources: tuple[str, ...] | None = None, attached_to: str = "*"
    ) -> Iterator[_Statement]:
        for statement in self.resolve(document["Statement"]):
            if unknown := set(statement) - _ELEMENTS:
                raise AssertionError(f"the evaluator does not know {unknown} in {statement}")
            if statement["Effect"] not in {"Allow", "Deny"} or "${" in str(statement):
                raise AssertionError(f"the evaluator does not know what {statement} says")
            principals = statement.get("Principal")
            if principals == "*":
                principals = {"AWS": "*"}
            yield _Statement(
                allows=statement["Effect"] == "Allow",
                actions=_listed(statement["Action"]),
                resources=resources or _listed(statement["Resource"]),
                conditions=tuple(
                    (operator, key.lower(), _listed(wanted))
                    for operator, tests in statement.get("Condition", {}).items()
                    for key, wanted in tests.items()
                ),
                principals=None if principals is None else {kind: _listed(who) for kind, who in principals.items()},
                attached_to=attached_to,
            )

    def _permission(self, properties: Mapping[str, Any]) -> _Statement:
        """What a permission of Lambda comes to."""
        keys = {"SourceAccount": ("StringEquals", "aws:sourceaccount"), "SourceArn": ("ArnLike", "aws:sourcearn")}
        if unknown := set(properties) - set(keys) - {"Action", "FunctionName", "Principal"}:
            raise AssertionError(f"the evaluator does not know {unknown} of a permission of Lambda")
        function = self.resolve(properties["FunctionName"])
        return _Statement(
            allows=True,
            actions=(properties["Action"],),
            resources=("*",),
            conditions=tuple(
                (*keys[name], (str(self.resolve(properties[name])),)) for name in keys if name in properties
            ),
            principals={"Service": (properties["Principal"],)},
            attached_to=function if function.startswith("arn:") else self.arn(function),
        )


def _root_of(principal: str) -> str:
    return f"arn:aws:iam::{principal.split(':')[4]}:root"


def _listed(value: Any) -> tuple[str, ...]:  # noqa: ANN401  a value or a list of them
    return tuple(map(_text, value)) if isinstance(value, list) else (_text(value),)


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@cache
def _pattern(pattern: str) -> re.Pattern[str]:
    # IAM's `*` crosses slashes and its `?` is one character; nothing else is special.
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _like(pattern: str, value: str) -> bool:
    return _pattern(pattern).fullmatch(value) is not None


_OPERATORS: Mapping[str, Callable[[tuple[str, ...], str], bool]] = {
    "StringEquals": lambda wanted, present: present in wanted,
    "StringNotEquals": lambda wanted, present: present not in wanted,
    "StringLike": lambda wanted, present: any(_like(pattern, present) for pattern in wanted),
    "StringNotLike": lambda wanted, present: not any(_like(pattern, present) for pattern in wanted),
    "ArnEquals": lambda wanted, present: any(_like(pattern, present) for pattern in wanted),
    "ArnLike": lambda wanted, present: any(_like(pattern, present) for pattern in wanted),
    "ArnNotEquals": lambda wanted, present: not any(_like(pattern, present) for pattern in wanted),
    "ArnNotLike": lambda wanted, present: not any(_like(pattern, present) for pattern in wanted),
    "Bool": lambda wanted, present: present in wanted,
    "NumericLessThan": lambda wanted, present: any(float(present) < float(number) for number in wanted),
}


def _condition(operator: str, wanted: tuple[str, ...], present: str | None) -> bool:
    """Judge one condition. Several values are alternatives, and for a negated operator none of them may be there."""
    if operator == "Null":
        return wanted == (("true",) if present is None else ("false",))
    bare = operator.removesuffix("IfExists")
    if bare not in _OPERATORS:
        raise AssertionError(f"the evaluator does not know the operator {operator}")
    if present is None:
        # What is not there is unlike everything, and otherwise fulfils nothing.
        return bare != operator or "Not" in bare
    return _OPERATORS[bare](wanted, present)
