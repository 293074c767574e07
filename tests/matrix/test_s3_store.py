"""``nix copy --to s3://…`` of the newest Nix into a builder's staging prefix."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import pytest

from local.demo.nix_machine import remove_tree
from local.demo.submission import Receipt, Sender, submission
from local.service import LocalService
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from nixcache.store_path import StorePath
from protocol.keys import NIX_CACHE_INFO_KEY, BuilderName, StagingNarInfoKey
from protocol.verdicts import Conflict, Duplicate, Published, Rejected, Verdict
from tests.hook.nix import derivation
from tests.matrix.machine import Installation, Machine, store_dir_of
from tests.matrix.signing_proxy import SigningProxy, signing_proxy

BUILDER, OTHER = BuilderName("stock"), BuilderName("other")


@dataclass(frozen=True)
class World:
    """A service, and a machine whose Nix writes into staging through a proxy that signs for the builder."""

    service: LocalService
    machine: Machine
    proxy: SigningProxy
    _numbers: Iterator[int] = field(default_factory=count)

    def build(self) -> tuple[StorePath, StorePath]:
        """Build two new paths, the first of which refers to the second."""
        number = next(self._numbers)
        base = derivation(f"base-{number}", f"echo {number} > $out")
        path, reference = self.machine.build(
            f"let base = {base}; in [ {derivation(f'path-{number}', 'echo ${base} > $out')} base ]"
        )
        return path, reference

    def copy(self, path: StorePath, *, options: str = "") -> tuple[int, str]:
        """Run ``nix copy``; return its exit code and what it said."""
        bucket = self.service.deployment.settings.staging_bucket
        url = f"s3://{bucket}/{BUILDER}?endpoint={self.proxy.endpoint}&region=us-east-1{options}"
        done = self.machine.attempt("nix", "copy", "--to", url, self.machine.full(path))
        return done.returncode, done.stderr

    def verdict(self, path: StorePath) -> Verdict:
        """Return the verdict on the newest submission of a path."""
        s3 = self.service.aws.client("s3", self.service.deployment.operator)
        key = StagingNarInfoKey(BUILDER, path.hash_part)
        head = s3.head_object(Bucket=self.service.deployment.settings.staging_bucket, Key=str(key))
        return Sender(self.service, BUILDER).verdict(Receipt(key, head["VersionId"]))

    def let_read_cache_info(self) -> None:
        """Allow what stacks/builder_role.py does, and write what the how-to page asks for."""
        settings = self.service.deployment.settings
        key = f"{BUILDER.staging_prefix}{NIX_CACHE_INFO_KEY}"
        statement = {
            "Effect": "Allow",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{settings.staging_bucket}/{key}",
        }
        self.service.aws.client("iam", self.service.deployment.operator).put_user_policy(
            UserName=f"builder-{BUILDER}",
            PolicyName="cache-info",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        info = f"StoreDir: {settings.store_dir.path}\n".encode()
        self.service.aws.client("s3", self.service.deployment.operator).put_object(
            Bucket=settings.staging_bucket, Key=key, Body=info
        )


@pytest.fixture(scope="module")
def unprepared(installations: list[Installation], tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The role of a builder, less what is there for Nix's own store alone."""
    newest = next(each for each in reversed(installations) if not each.has_daemon)
    root = Path(tempfile.mkdtemp(prefix="assay-s3-")).resolve()
    log = tmp_path_factory.mktemp("service") / "log"
    try:
        with (
            log.open("w") as said,
            LocalService(store_dir=store_dir_of(root), builders=(BUILDER, OTHER), log=said) as service,
            signing_proxy(service.aws, service.deployment.builders[BUILDER]) as proxy,
        ):
            yield World(service, Machine(newest, root, service, BUILDER), proxy)
    finally:
        remove_tree(root)


@pytest.fixture(scope="module")
def refusal(unprepared: World) -> tuple[int, str, list[tuple[str, str, int]]]:
    """What becomes of a copy before the role is given more: exit code, complaint, requests."""
    code, said = unprepared.copy(unprepared.build()[0])
    return code, said, list(unprepared.proxy.requests)


@pytest.fixture(scope="module")
def world(unprepared: World, refusal: object) -> World:  # noqa: ARG001 - it has to be first
    """A role that may also read that one file, which is there."""
    unprepared.let_read_cache_info()
    return unprepared


def test_nix_asks_for_its_cache_info_first(refusal: tuple[int, str, list[tuple[str, str, int]]]) -> None:
    """Without `nix-cache-info` it gives up at the first 403, and has written nothing by then."""
    code, said, requests = refusal
    assert code != 0
    assert "nix-cache-info" in said
    assert [(method, path.rpartition("/")[2], status) for method, path, status in requests] == [
        ("GET", "nix-cache-info", 403)
    ]


@pytest.mark.parametrize("options", ["", "&compression=zstd&write-nar-listing=true"])
def test_a_closure_is_published(world: World, options: str) -> None:
    """NARs before narinfos, references before what refers to them; a 403 for what is missing is no trouble."""
    path, base = world.build()
    world.proxy.requests.clear()
    code, said = world.copy(path, options=options)
    assert code == 0, said
    prefix = f"/{world.service.deployment.settings.staging_bucket}/{BUILDER}/"
    put = [path.removeprefix(prefix) for method, path, _ in world.proxy.requests if method == "PUT"]
    narinfos = [f"{base.hash_part}.narinfo", f"{path.hash_part}.narinfo"]
    assert [key for key in put if key.endswith(".narinfo")] == narinfos
    nars = [number for number, key in enumerate(put) if key.startswith("nar/")]
    assert len(nars) == 2
    assert all(nar < put.index(narinfo) for nar, narinfo in zip(nars, narinfos, strict=True))
    assert {status for method, _, status in world.proxy.requests if method == "HEAD"} == {403}
    assert isinstance(world.verdict(path), Published)
    assert isinstance(world.verdict(base), Published)


def test_what_is_published_is_judged_a_duplicate(world: World) -> None:
    """Nix remembers for itself what it has sent; another machine, or another day, sends it again."""
    path, base = world.build()
    assert world.copy(path)[0] == 0
    assert isinstance(world.verdict(path), Published)
    world.proxy.requests.clear()
    assert world.copy(path)[0] == 0
    assert world.proxy.requests == []
    world.machine.forget_caches()
    assert world.copy(path)[0] == 0
    assert world.verdict(path) == Duplicate()
    assert world.verdict(base) == Duplicate()


def test_another_object_under_the_same_path_is_a_conflict(world: World) -> None:
    """I3: another builder was first."""
    _, base = world.build()
    other = submission(b"".join(dump(Path(__file__))), world.machine.store_dir, base)
    assert isinstance(Sender(world.service, OTHER).submit(other), Published)
    assert world.copy(base)[0] == 0
    assert isinstance(world.verdict(base), Conflict)


def test_a_compressed_narinfo_is_rejected(world: World) -> None:
    """Assay reads no Content-Encoding: what is not a narinfo as it stands is none."""
    _, base = world.build()
    assert world.copy(base, options="&narinfo-compression=zstd")[0] == 0
    verdict = world.verdict(base)
    assert isinstance(verdict, Rejected)
    assert verdict.code == "narinfo-malformed"


def test_a_signature_of_the_builders_own_is_not_published(world: World, tmp_path: Path) -> None:
    """I5: readers trust Assay's key."""
    _, base = world.build()
    secret = tmp_path / "secret"
    world.machine.run("nix-store", "--generate-binary-cache-key", "stock-1", secret, tmp_path / "public")
    assert world.copy(base, options=f"&secret-key={secret}")[0] == 0
    assert isinstance(world.verdict(base), Published)
    s3 = world.service.aws.client("s3", world.service.deployment.operator)
    bucket = world.service.deployment.settings.cache_bucket
    text = s3.get_object(Bucket=bucket, Key=f"{base.hash_part}.narinfo")["Body"].read()
    (signature,) = NarInfo.parse(text, world.machine.store_dir).signatures
    assert signature.key_name == world.service.deployment.public_key.name


def test_large_files_may_come_in_parts(world: World) -> None:
    """``multipart-upload`` is off unless somebody asks for it, and without it nothing above 5 GiB can be sent."""
    world.proxy.requests.clear()
    (path,) = world.machine.build(derivation("large", "for i in 1 2 3 4 5 6 7 8 9 10; do echo $i; done > $out"))
    code, said = world.copy(path, options="&compression=none&multipart-upload=true&multipart-threshold=1")
    assert code == 0, said
    assert "POST" in {method for method, _, _ in world.proxy.requests}
    assert isinstance(world.verdict(path), Published)
