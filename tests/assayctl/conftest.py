"""A deployed stage, as far as an operator sees it, in moto."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any

import boto3
import pytest

from assayctl import dead_letters, key_function
from assayctl.cli import main
from lambdas.emf import EventLog
from lambdas.keys.handler import Clients, handle
from local.aws import UNCHECKED, Aws
from nixcache.errors import AssayError
from protocol.keys import BuilderName
from protocol.outputs import Output, describe_role, stack_name
from protocol.settings import KeySettings

BUILDER = BuilderName("ci-1")
_STAGES = count()


@dataclass(frozen=True)
class Stage:
    """A stack's outputs in moto, with what they name."""

    name: str
    session: boto3.Session
    outputs: dict[Output, str]
    role: str

    def __getitem__(self, output: Output) -> str:
        return self.outputs[output]


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture(scope="session")
def moto(aws: Aws) -> dict[str, str]:
    return aws.environment(UNCHECKED)


class _Session(boto3.Session):
    """One for all tests: what it reads of AWS's own descriptions takes longer than a test.

    moto runs functions in containers, which are not everywhere: here the key function itself is called, on moto.
    """

    def client(self, service_name: Any, *arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401  boto3's own
        if service_name == "lambda":
            return _Functions(self)
        return super().client(service_name, *arguments, **keywords)


@dataclass(frozen=True)
class _Functions:
    session: boto3.Session

    def invoke(self, *, FunctionName: str, Payload: str) -> dict[str, object]:  # noqa: N803  boto3's
        stage = FunctionName.removesuffix("-keys")
        settings = KeySettings(
            signing_secret_id=f"assay/{stage}/signing-key",
            cache_bucket=f"{stage}-cache",
            key_name=f"{stage}.test",
            key_overlap_days=90,
        )
        clients = Clients(self.session.client("s3"), self.session.client("secretsmanager"))
        try:
            log = EventLog(service="keys", stage=stage)
            names = handle(json.loads(Payload), settings, clients, log, datetime.now(UTC))
        except AssayError as error:
            report = {"errorMessage": str(error), "errorType": type(error).__name__, "stackTrace": []}
            return {"FunctionError": "Unhandled", "Payload": io.BytesIO(json.dumps(report).encode())}
        return {"Payload": io.BytesIO(json.dumps({"keys": names}).encode())}


@pytest.fixture(scope="session")
def session() -> boto3.Session:
    return _Session()


@pytest.fixture
def stage(moto: dict[str, str], session: boto3.Session, monkeypatch: pytest.MonkeyPatch) -> Stage:
    # moto has one server, and no other to ask.
    monkeypatch.setattr(dead_letters, "_WAIT_SECONDS", 0)
    monkeypatch.setattr(key_function, "_PAUSE_SECONDS", 0)
    for variable in os.environ:
        if variable.startswith("AWS_"):
            monkeypatch.delenv(variable)
    for variable, value in moto.items():
        monkeypatch.setenv(variable, value)
    name = f"s{next(_STAGES)}"
    monkeypatch.setattr("boto3.Session", lambda: session)
    s3, sqs = session.client("s3"), session.client("sqs")
    outputs = {
        Output.KEY_FUNCTION_NAME: f"{name}-keys",
        Output.SIGNING_SECRET_NAME: f"assay/{name}/signing-key",
        Output.DISTRIBUTION_ID: _distribution(session, name),
    }
    for output, kind in ((Output.CACHE_BUCKET, "cache"), (Output.LEDGER_BUCKET, "ledger")):
        outputs[output] = f"{name}-{kind}"
        s3.create_bucket(Bucket=outputs[output])
        s3.put_bucket_versioning(Bucket=outputs[output], VersioningConfiguration={"Status": "Enabled"})
    for output, kind in ((Output.INGEST_QUEUE_URL, "queue"), (Output.DEAD_LETTER_QUEUE_URL, "dead")):
        outputs[output] = sqs.create_queue(QueueName=f"{name}-{kind}")["QueueUrl"]
    session.client("secretsmanager").create_secret(Name=outputs[Output.SIGNING_SECRET_NAME])
    role = session.client("iam").create_role(RoleName=f"{name}-role", AssumeRolePolicyDocument="{}")["Role"]
    rendered = {output.value: {"Value": value} for output, value in outputs.items()}
    rendered["Role"] = {"Value": role["Arn"], "Description": describe_role(BUILDER)}
    template = {"Resources": {"Nothing": {"Type": "AWS::SNS::Topic"}}, "Outputs": rendered}
    session.client("cloudformation").create_stack(StackName=stack_name(name), TemplateBody=json.dumps(template))
    return Stage(name, session, outputs, role["RoleName"])


@pytest.fixture
def run(stage: Stage, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Ended:
        code = main(["--stage", stage.name, *arguments])
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run


def _distribution(session: boto3.Session, name: str) -> str:
    made = session.client("cloudfront").create_distribution(
        DistributionConfig={
            "CallerReference": name,
            "Comment": "",
            "Enabled": True,
            "Origins": {
                "Quantity": 1,
                "Items": [
                    {
                        "Id": "cache",
                        "DomainName": "cache.s3.amazonaws.com",
                        "S3OriginConfig": {"OriginAccessIdentity": ""},
                    }
                ],
            },
            "DefaultCacheBehavior": {
                "TargetOriginId": "cache",
                "ViewerProtocolPolicy": "https-only",
                "ForwardedValues": {"QueryString": False, "Cookies": {"Forward": "none"}},
                "MinTTL": 0,
            },
        }
    )
    return made["Distribution"]["Id"]
