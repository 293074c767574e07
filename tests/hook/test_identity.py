"""The builder before the whole service, with IAM enforced: its own role is enough; any other is told in one line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from hook.exit_code import ExitCode
from hook.queue.entry import Queued
from local.aws import Credentials
from local.service import LocalService
from nixcache.narinfo import NarInfo
from protocol.keys import BuilderName
from tests.hook.builder import Builder
from tests.hook.nix import Nix, derivation

ALICE = BuilderName("alice")


@pytest.fixture
def deployed(nix: Nix) -> Iterator[LocalService]:
    with Path(os.devnull).open("w") as nowhere, LocalService(store_dir=nix.store_dir, log=nowhere) as service:
        yield service


def _become(builder: Builder, service: LocalService, name: str, credentials: Credentials) -> None:
    settings = service.deployment.settings
    builder.configure(
        ASSAY_BUILDER=name,
        ASSAY_STAGING_BUCKET=settings.staging_bucket,
        ASSAY_LEDGER_BUCKET=settings.ledger_bucket,
        ASSAY_CACHE_URL=service.cache_url,
        **service.aws.environment(credentials),
    )


def test_a_builder_s_own_role_is_enough_from_build_to_signed_path(builder: Builder, deployed: LocalService) -> None:
    _become(builder, deployed, "alice", deployed.deployment.builders[ALICE])
    low = derivation("low", "echo low > $out")
    built = builder.nix.build(
        f"let low = {low}; in [ low {derivation('top', 'echo ${low} > $out')} ]", hook=builder.install_hook()
    )
    ended = builder.assay("upload", "--once", "--timeout", "60")
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    operator = deployed.aws.client("s3", deployed.deployment.operator)
    for path in built:
        key = f"{path.hash_part}.narinfo"
        body = operator.get_object(Bucket=deployed.deployment.settings.cache_bucket, Key=key)["Body"].read()
        assert NarInfo.parse(body, builder.nix.store_dir).is_signed_by(deployed.deployment.public_key)
    operator.close()
    again = builder.assay("push", *map(builder.nix.full, built), "--timeout", "0")
    assert sorted(again.out.splitlines()) == sorted(f"already published {path.base_name}" for path in built)


def test_a_wrong_key_and_another_builder_s_name_are_one_line_and_keep_the_queue(
    builder: Builder, deployed: LocalService
) -> None:
    (path,) = builder.nix.build(derivation("x", "echo 1 > $out"), hook=builder.install_hook())
    for name, credentials, said in (
        ("alice", Credentials("AKIAIOSFODNN7EXAMPLE", "wrong"), "InvalidAccessKeyId"),
        ("mallory", deployed.deployment.builders[ALICE], "AccessDenied"),
    ):
        _become(builder, deployed, name, credentials)
        ended = builder.assay("upload", "--once", "--timeout", "5")
        assert ended.code == ExitCode.TROUBLE
        assert ended.err.startswith("assay: The object cannot be put into s3://")
        assert ended.err.count("\n") == 1
        assert said in ended.err
        assert "Check " in ended.err, "what to do"
        progress = builder.entries()[path].progress
        assert isinstance(progress, Queued)
        assert said in progress.problem
