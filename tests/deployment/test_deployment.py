"""From `cdk bootstrap` to `cdk destroy`, with every function, role, bucket and queue that the stack makes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from local.aws import PROJECT_ROOT
from local.cache_server import CacheServer
from nixcache.narinfo import NarInfo
from nixcache.signature import PublicKey
from nixcache.store_path import StorePath
from protocol import wake
from protocol.keys import BuilderName, CacheNarInfoKey, StagingNarInfoKey
from protocol.outputs import Output, describe_role
from tests.deployment.cloud import STACK, STAGE
from tests.deployment.conftest import CONFIG, Deployed
from tests.hook.nix import Nix, derivation

_SECONDS = 60.0


def _role(deployed: Deployed, builder: str) -> str:
    stacks = deployed.cloud.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    [arn] = [
        output["OutputValue"]
        for output in stacks[0]["Outputs"]
        if output.get("Description") == describe_role(BuilderName(builder))
    ]
    return str(arn)


def _run(
    deployed: Deployed, module: str, *arguments: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT_ROOT), **deployed.nix.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )


def _assay(deployed: Deployed, builder: str, cache_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the builder's command line with its own role's session, and nothing else."""
    outputs = deployed.outputs
    return _run(
        deployed,
        "hook",
        *arguments,
        environment={
            **deployed.cloud.environment(deployed.cloud.assume(_role(deployed, builder))),
            "ASSAY_CONFIG": "",
            "ASSAY_BUILDER": builder,
            "ASSAY_STAGING_BUCKET": outputs[Output.STAGING_BUCKET],
            "ASSAY_LEDGER_BUCKET": outputs[Output.LEDGER_BUCKET],
            "ASSAY_CACHE_URL": cache_url,
            "ASSAY_STATE_DIR": str(deployed.nix.directory / f"assay-{builder}"),
        },
    )


def _assayctl(deployed: Deployed, *arguments: str) -> subprocess.CompletedProcess[str]:
    return _run(deployed, "assayctl", "--stage", STAGE, *arguments, environment=deployed.cloud.environment())


def _wait_for(what: Callable[[], bool]) -> None:
    end = time.monotonic() + _SECONDS
    while not what():
        assert time.monotonic() < end
        time.sleep(0.2)


def _build(deployed: Deployed, builder: str, cache_url: str, name: str) -> StorePath:
    hook = deployed.nix.directory / f"hook-{builder}"
    written = _assay(deployed, builder, cache_url, "hook-script", "--output", str(hook))
    assert written.returncode == 0, written.stderr
    low = derivation(f"{name}-low", "echo low > $out")
    [path] = deployed.nix.build(derivation(name, f"echo ${{{low}}} > $out"), hook=hook)
    return path


def _upload(deployed: Deployed, builder: str, name: str) -> tuple[StorePath, NarInfo]:
    """Build, upload with the builder's own role, and return what the deployed functions published."""
    s3 = deployed.cloud.client("s3")
    with CacheServer(s3, deployed.outputs[Output.CACHE_BUCKET]) as cache:
        path = _build(deployed, builder, cache.url, name)
        ended = _assay(deployed, builder, cache.url, "upload", "--once", "--timeout", "120")
        assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    return path, _published(deployed, path)


def _published(deployed: Deployed, path: StorePath) -> NarInfo:
    body = (
        deployed.cloud.client("s3")
        .get_object(Bucket=deployed.outputs[Output.CACHE_BUCKET], Key=str(CacheNarInfoKey(path.hash_part)))["Body"]
        .read()
    )
    return NarInfo.parse(body, deployed.nix.store_dir)


def _public_keys(deployed: Deployed) -> list[str]:
    body = (
        deployed.cloud.client("s3")
        .get_object(Bucket=deployed.outputs[Output.CACHE_BUCKET], Key="public-keys")["Body"]
        .read()
    )
    lines: list[str] = body.decode().splitlines()
    return lines


def test_the_first_key_is_made_by_the_deployed_function(deployed: Deployed) -> None:
    """I8: in the account, with its own role, and seen by nobody."""
    ended = _assayctl(deployed, "announce-keys")
    assert (ended.returncode, ended.stdout) == (0, f"assay-{STAGE}-1\n"), ended.stderr
    [key] = _public_keys(deployed)
    assert key.startswith(f"assay-{STAGE}-1:")


def test_what_a_builder_uploads_is_verified_signed_and_installed(deployed: Deployed, tmp_path: Path) -> None:
    """I1 and I4, with nothing of ours in between but what was deployed."""
    path, narinfo = _upload(deployed, "ci-1", "first")
    [key] = map(PublicKey.parse, _public_keys(deployed))
    assert narinfo.is_signed_by(key)
    reader = Nix(tmp_path / "reader")
    with CacheServer(deployed.cloud.client("s3"), deployed.outputs[Output.CACHE_BUCKET]) as cache:
        # Its store dir has to be the builder's: a store of its own, in front of which nothing else stands.
        installed = subprocess.run(
            ["nix-store", "--realise", deployed.nix.full(path)],
            env={
                "PATH": os.environ["PATH"],
                **reader.environment,
                "NIX_STORE_DIR": deployed.nix.store_dir.path,
                "NIX_REMOTE": f"local?root={tmp_path / 'root'}",
                "NIX_CONFIG": f"substituters = {cache.url}\ntrusted-public-keys = {key}\nrequire-sigs = true\n",
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert installed.returncode == 0, installed.stderr


@pytest.mark.parametrize("builder", ["ci-1", "ci-2"])
def test_a_builder_is_refused_what_it_may_not_do(deployed: Deployed, builder: str) -> None:
    """I8, over the wire, with the builder's own session."""
    other = {"ci-1": "ci-2", "ci-2": "ci-1"}[builder]
    session = deployed.cloud.assume(_role(deployed, builder))
    staging, cache, ledger = (
        deployed.outputs[output] for output in (Output.STAGING_BUCKET, Output.CACHE_BUCKET, Output.LEDGER_BUCKET)
    )
    s3, sqs, secrets = (deployed.cloud.client(service, session) for service in ("s3", "sqs", "secretsmanager"))
    key = f"{'a' * 32}.narinfo"
    refused: list[tuple[str, Callable[[], object]]] = [
        ("write under another's prefix", lambda: s3.put_object(Bucket=staging, Key=f"{other}/{key}", Body=b"")),
        (
            "write under a prefix that begins like its own",
            lambda: s3.put_object(Bucket=staging, Key=f"{builder}0/{key}"),
        ),
        ("write at the top of staging", lambda: s3.put_object(Bucket=staging, Key=key, Body=b"")),
        ("read what it uploaded", lambda: s3.get_object(Bucket=staging, Key=f"{builder}/{key}")),
        ("read what another uploaded", lambda: s3.get_object(Bucket=staging, Key=f"{other}/{key}")),
        ("delete what it uploaded", lambda: s3.delete_object(Bucket=staging, Key=f"{builder}/{key}")),
        ("list staging", lambda: s3.list_objects_v2(Bucket=staging)),
        ("list its own prefix", lambda: s3.list_objects_v2(Bucket=staging, Prefix=f"{builder}/")),
        ("write a narinfo into the cache", lambda: s3.put_object(Bucket=cache, Key=key, Body=b"", IfNoneMatch="*")),
        ("write a NAR into the cache", lambda: s3.put_object(Bucket=cache, Key="nar/x.nar", Body=b"")),
        ("write the page", lambda: s3.put_object(Bucket=cache, Key="index.html", Body=b"")),
        ("write the keys", lambda: s3.put_object(Bucket=cache, Key="public-keys", Body=b"")),
        ("read the cache bucket", lambda: s3.get_object(Bucket=cache, Key=key)),
        ("list the cache", lambda: s3.list_objects_v2(Bucket=cache)),
        ("read another's results", lambda: s3.get_object(Bucket=ledger, Key=f"results/{other}/{'a' * 32}.json")),
        ("list another's results", lambda: s3.list_objects_v2(Bucket=ledger, Prefix=f"results/{other}/")),
        ("read votes", lambda: s3.get_object(Bucket=ledger, Key=f"votes/{'a' * 32}/{builder}.json")),
        ("read provenance", lambda: s3.get_object(Bucket=ledger, Key=f"provenance/{'a' * 32}.json")),
        ("write its own verdict", lambda: s3.put_object(Bucket=ledger, Key=f"results/{builder}/x.json", Body=b"")),
        ("read the key", lambda: secrets.get_secret_value(SecretId=deployed.outputs[Output.SIGNING_SECRET_NAME])),
        (
            "replace the key",
            lambda: secrets.put_secret_value(SecretId=deployed.outputs[Output.SIGNING_SECRET_NAME], SecretString="x"),
        ),
        (
            "send a message",
            lambda: sqs.send_message(QueueUrl=deployed.outputs[Output.INGEST_QUEUE_URL], MessageBody="{}"),
        ),
        ("read messages", lambda: sqs.receive_message(QueueUrl=deployed.outputs[Output.INGEST_QUEUE_URL])),
        ("read dead letters", lambda: sqs.receive_message(QueueUrl=deployed.outputs[Output.DEAD_LETTER_QUEUE_URL])),
    ]
    done = []
    for what, attempt in refused:
        try:
            attempt()
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
                done.append(f"{what}: {error}")
        else:
            done.append(what)
    assert done == []
    # And what it may do, it does: else all of it was refused for another reason.
    s3.put_object(Bucket=staging, Key=f"{builder}/nar/{'0' * 52}.nar", Body=b"")


def test_a_rotation_changes_who_signs_and_leaves_nobody_behind(deployed: Deployed) -> None:
    ended = _assayctl(deployed, "rotate-key")
    assert ended.returncode == 0, ended.stderr
    new, old = map(PublicKey.parse, _public_keys(deployed))
    assert (new.name, old.name) == (f"assay-{STAGE}-2", f"assay-{STAGE}-1")
    _restart_functions(deployed)
    _, narinfo = _upload(deployed, "ci-2", "second")
    assert narinfo.is_signed_by(new)
    assert narinfo.is_signed_by(old)


def test_a_dead_letter_is_looked_at_and_redriven(deployed: Deployed) -> None:
    """I6: what ingest gave up is not lost, and an operator gives it back."""
    sqs = deployed.cloud.client("sqs")
    path, _ = _upload(deployed, "ci-1", "third")
    submission = StagingNarInfoKey(BuilderName("ci-1"), path.hash_part)
    sqs.send_message(QueueUrl=deployed.outputs[Output.DEAD_LETTER_QUEUE_URL], MessageBody=wake.render(submission))
    listed = _assayctl(deployed, "dead-letters")
    assert (listed.returncode, str(submission) in listed.stdout) == (1, True), listed.stderr
    assert _assayctl(deployed, "dead-letters", "redrive", "--all").returncode == 0
    assert _assayctl(deployed, "dead-letters").returncode == 0
    _wait_for(lambda: "queue  0" in _assayctl(deployed, "status").stdout)


def test_an_update_keeps_everything(deployed: Deployed) -> None:
    before = (_public_keys(deployed), _keys(deployed))
    deployed.cloud.configure(
        CONFIG.replace(
            "  ci-2:\n    iamPrincipal: this-account\n",
            '  ci-2:\n    iamPrincipal: this-account\n    names: ["allowed*"]\n',
        )
    )
    assert deployed.cloud.deploy() == deployed.outputs
    assert (_public_keys(deployed), _keys(deployed)) == before
    s3 = deployed.cloud.client("s3")
    with CacheServer(s3, deployed.outputs[Output.CACHE_BUCKET]) as cache:
        _build(deployed, "ci-2", cache.url, "not-allowed")
        ended = _assay(deployed, "ci-2", cache.url, "upload", "--once", "--timeout", "120")
    assert ended.returncode == 1
    assert "not-allowed" in ended.stderr


def test_what_holds_something_outlives_the_stack(deployed: Deployed) -> None:
    keys, key = _keys(deployed), _public_keys(deployed)
    deployed.cloud.destroy()
    assert (_keys(deployed), _public_keys(deployed)) == (keys, key)
    secret = deployed.cloud.client("secretsmanager").describe_secret(
        SecretId=deployed.outputs[Output.SIGNING_SECRET_NAME]
    )
    assert secret["VersionIdsToStages"]


def _keys(deployed: Deployed) -> list[str]:
    listed = deployed.cloud.client("s3").list_objects_v2(Bucket=deployed.outputs[Output.CACHE_BUCKET])
    return [item["Key"] for item in listed["Contents"]]


def _restart_functions(deployed: Deployed) -> None:
    """A container keeps the key for five minutes (docs/adr/0023): a new one reads it anew."""
    functions = deployed.cloud.client("lambda")
    for function in functions.list_functions()["Functions"]:
        if "Ingest" in function["FunctionName"]:
            variables = {**function["Environment"]["Variables"], "RESTARTED": "1"}
            functions.update_function_configuration(
                FunctionName=function["FunctionName"], Environment={"Variables": variables}
            )
