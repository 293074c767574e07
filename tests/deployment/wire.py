"""The tables of who may do what, tried over the wire: each pair is a request, by a session of that principal's role."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws import ACCOUNT, REGION
from protocol.outputs import Output
from tests.deployment.calls import CALLS, UNASKED_ACTIONS, UNASKED_CONDITIONS, Target
from tests.deployment.cloud import ADMINISTRATOR, STACK, STAGE, Credentials
from tests.deployment.conftest import Deployed
from tests.stacks import access_table, holders_table
from tests.stacks.access_table import Pair, Resource

_AT_ONCE: Final = 8
_HASH: Final = 8
"""Characters that CDK appends to make a logical id unique."""
_DENIALS: Final = frozenset(("AccessDenied", "AccessDeniedException"))
_UNSIGNED_DENIALS: Final = _DENIALS | {"MissingAuthenticationTokenException", "UnrecognizedClientException"}
_LET_THROUGH: Final = frozenset(("", "NoSuchKey", "NoSuchUpload", "PreconditionFailed", "ResourceNotFoundException"))
_CONFIG: Final = Config(retries={"total_max_attempts": 1}, max_pool_connections=_AT_ONCE)
_UNSIGNED: Final = _CONFIG.merge(Config(signature_version=UNSIGNED))
_ELSEWHERE: Final = Credentials("999988887777", ADMINISTRATOR.secret_access_key)
"""ministack takes it for the root user of that account."""
_STRANGERS: Final = frozenset((access_table.ELSEWHERE, access_table.ANYBODY))
_EVERYTHING: Final = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Roles:
    """The stack's roles, by their logical ids without CDK's hash, and two more of the account."""

    def __init__(self, deployed: Deployed) -> None:
        self._cloud = deployed.cloud
        pages = self._cloud.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=STACK)
        self.names: dict[str, str] = {
            resource["LogicalResourceId"][:-_HASH]: resource["PhysicalResourceId"]
            for page in pages
            for resource in page["StackResourceSummaries"]
            if resource["ResourceType"] == "AWS::IAM::Role"
        }
        self.of_the_stack = tuple(self.names)

    def make_outsiders(self) -> None:
        """Make a role that may do everything in the account, and one that may do nothing."""
        iam = self._cloud.client("iam")
        trust = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        for name in (access_table.ADMINISTRATOR, access_table.NOBODY):
            iam.create_role(
                RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
            )
            self.names[name] = name
        iam.put_role_policy(
            RoleName=access_table.ADMINISTRATOR, PolicyName="everything", PolicyDocument=json.dumps(_EVERYTHING)
        )

    def called(self, principal: str) -> str:
        """Return the role's name of a principal of the tables."""
        builder = re.fullmatch("builder (.*)", principal)
        logical = f"Builder{builder[1].replace('-', '')}" if builder else principal
        return self.names[{access_table.INGEST: holders_table.INGEST}.get(logical, logical)]

    @staticmethod
    def arn(name: str) -> str:
        """Return a role's ARN."""
        return f"arn:aws:iam::{ACCOUNT}:role/{name}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a pair's request was answered with: ``code`` and ``message`` of an error, or empty."""

    pair: Pair
    code: str
    message: str

    @property
    def refused(self) -> bool:
        """Whether it was refused for want of a permission."""
        return self.code in (_UNSIGNED_DENIALS if self.pair.principal == access_table.ANYBODY else _DENIALS)

    @property
    def let_through(self) -> bool:
        """Whether the policies let it through: it was done, or what it names is not there."""
        return self.code in _LET_THROUGH

    @property
    def is_right(self) -> bool:
        """Whether it is what the table says."""
        return self.let_through if self.pair.allowed else self.refused

    @property
    def names_its_action(self) -> bool:
        """Whether a refusal says that it was this action; of strangers nobody says what they have tried."""
        return self.pair.principal in _STRANGERS or f"perform: {self.pair.action} " in self.message

    def __str__(self) -> str:
        return f"{self.pair} -> {self.code or 'done'} {self.message}".rstrip()


def unasked(pair: Pair) -> str:
    """Return what it is in a pair that cannot be made a request: an action, a condition, or nothing."""
    if pair.action in UNASKED_ACTIONS:
        return pair.action
    return next((key for key, _ in pair.context if key in UNASKED_CONDITIONS), "")


class Wire:
    """Sends pairs as requests."""

    def __init__(self, deployed: Deployed, roles: Roles) -> None:
        self._cloud = deployed.cloud
        self._roles = roles
        self._session = cache(self._assume)
        self._client = cache(self._connect)
        self._targets = {**self._buckets(), **self._queues(deployed), **self._others(deployed)}

    def try_all(self, pairs: Iterable[Pair]) -> list[Answer]:
        """Ask each, some at once."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(self._try, pairs))

    def target(self, resource: Resource) -> Target:
        """Return what a table's resource is called in this deployment."""
        if resource.name.startswith("role "):
            name = self._roles.called(resource.name.removeprefix("role "))
            return Target(name, self._roles.arn(name))
        found = self._targets[resource.name]
        return replace(found, arn=f"{found.arn}/{resource.key}", key=resource.key) if resource.key else found

    @staticmethod
    def _buckets() -> dict[str, Target]:
        names = {kind: f"assay-{STAGE}-{kind}-{ACCOUNT}-{REGION}" for kind in access_table.BUCKETS}
        return {kind: Target(name, f"arn:aws:s3:::{name}") for kind, name in names.items()}

    @staticmethod
    def _queues(deployed: Deployed) -> dict[str, Target]:
        outputs = (Output.INGEST_QUEUE_URL, Output.DEAD_LETTER_QUEUE_URL)
        urls = dict(zip(access_table.QUEUES, map(deployed.outputs.__getitem__, outputs), strict=True))
        return {
            queue: Target(url, f"arn:aws:sqs:{REGION}:{ACCOUNT}:{url.rpartition('/')[2]}")
            for queue, url in urls.items()
        }

    def _others(self, deployed: Deployed) -> dict[str, Target]:
        name = deployed.outputs[Output.SIGNING_SECRET_NAME]
        secret = self._cloud.client("secretsmanager").describe_secret(SecretId=name)
        return {access_table.SECRET: Target(name, secret["ARN"])} | {
            f"function {function['Handler'].split('.')[1]}": Target(function["FunctionName"], function["FunctionArn"])
            for function in self._cloud.client("lambda").list_functions()["Functions"]
        }

    def _try(self, pair: Pair) -> Answer:
        call = CALLS[pair.action]
        client = self._client(call.service, pair.principal)
        try:
            call.send(client, self.target(pair.resource), pair.context)
        except ClientError as error:
            said = error.response["Error"]
            return Answer(pair, said["Code"], said.get("Message", ""))
        return Answer(pair, "", "")

    def _assume(self, principal: str) -> Credentials:
        if principal == access_table.ELSEWHERE:
            return _ELSEWHERE
        return self._cloud.assume(self._roles.arn(self._roles.called(principal)))

    def _connect(self, service: str, principal: str) -> Any:  # noqa: ANN401  whatever boto3 makes
        if principal == access_table.ANYBODY:
            return self._cloud.client(service, config=_UNSIGNED)
        return self._cloud.client(service, self._session(principal), _CONFIG)


def every_pair(builders: Iterable[str], roles: Iterable[str]) -> Iterator[Pair]:
    """Yield the whole table of ``builders``, and for each deed of the other one whether each of ``roles`` may do it."""
    yield from access_table.whole_table(tuple(builders))
    for deed in holders_table.DEEDS:
        for role in roles:
            allowed = role in deed.roles
            yield Pair(role, deed.action, deed.resource, allowed=allowed, why=deed.what, context=deed.context)
