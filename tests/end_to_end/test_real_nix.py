"""The whole way with the real Nix: a build with the hook, the uploader, ingest, and a client in an empty store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.demo.attacks import published
from local.demo.builder import Builder
from local.demo.cache_copy import CacheCopy
from local.demo.main_job import Built, build, check_installed, refusal
from local.demo.nix_machine import NixMachine, nix_machine, reader_settings
from local.service import LocalService
from nixcache.signing import SecretKey
from nixcache.verify import verify
from protocol.keys import BuilderName

ALICE = BuilderName("alice")
ALTERED = (b"leaf 7 of branch 3\n", b"leaf 7 of branch 4\n")


@dataclass(frozen=True)
class World:
    """A service into which a build has gone by hook and uploader; the machine that built it is gone."""

    service: LocalService
    root: Path
    built: Built
    uploaded: str
    """What the uploader said."""
    second_upload: str
    """What it said when the same was built and uploaded again."""
    versions: tuple[int, int]
    """Object versions in the cache after the first upload, and after the second."""

    def copy(self, directory: Path) -> CacheCopy:
        """Return a copy of the cache, to be altered."""
        return CacheCopy.of(self.service, directory)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("real-nix").resolve()
    root = directory / "machine"
    with (
        (directory / "log").open("w") as log,
        LocalService(store_dir=NixMachine(root).store_dir, log=log) as service,
    ):
        builder = Builder(service, ALICE, directory)
        built, uploaded, first = build_and_upload(service, builder, root)
        _, uploaded_again, second = build_and_upload(service, builder, root)
        yield World(service, root, built, uploaded, uploaded_again, (first, second))


def build_and_upload(service: LocalService, builder: Builder, root: Path) -> tuple[Built, str, int]:
    """Build on a new machine; return what, what the uploader said, and how much the cache holds afterwards."""
    with nix_machine(root, {"post-build-hook": str(builder.hook)}) as machine:
        builder.assay(machine.environment, "hook-script", "--output", str(builder.hook))
        built = build(machine)
        return built, builder.assay(machine.environment, "upload", "--once"), len(published(service))


def test_an_empty_store_gets_the_whole_closure_from_assay_alone(world: World) -> None:
    """I4: signatures required, one trusted key, one substituter; every byte checked by Nix, and the program runs."""
    with nix_machine(
        world.root, reader_settings(world.service.cache_url, world.service.deployment.public_key)
    ) as machine:
        machine.run("nix-store", "--realise", world.built.app)
        check_installed(machine, world.built)


def test_every_path_that_was_built_was_published_and_content_addressed_ones_stay_so(
    world: World, tmp_path: Path
) -> None:
    """I1, I4: each narinfo is signed, its NAR proves it, and the two content-addressed paths carry their address."""
    copy = world.copy(tmp_path / "copy")
    content_addressed = set()
    for path in map(copy.store_dir.parse, world.built.closure):
        narinfo = copy.narinfo(path.hash_part)
        assert narinfo.is_signed_by(world.service.deployment.public_key)
        verify(narinfo, [(copy.directory / narinfo.url).read_bytes()])
        assert (copy.directory / f"{path.hash_part}.ls").exists()
        if narinfo.ca:
            content_addressed.add(path.name)
        assert f"published {path.base_name}" in world.uploaded
    assert content_addressed == {"licence.txt", "notice.txt"}


def test_what_is_published_already_is_not_sent_again(world: World) -> None:
    """A second machine that builds the same uploads nothing, and the cache stays as it was."""
    assert "submitted" not in world.second_upload
    assert "already published" in world.second_upload
    first, second = world.versions
    assert first == second


def test_nothing_is_left_in_the_queues(world: World) -> None:
    """I6: every event ended in a verdict."""
    sqs = world.service.aws.client("sqs", world.service.deployment.operator)
    for url in (world.service.deployment.settings.queue_url, world.service.deployment.dead_letter_queue_url):
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["ApproximateNumberOfMessages"] == "0"
        assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_nix_takes_an_unaltered_copy(world: World, tmp_path: Path) -> None:
    """The control of the three that follow."""
    copy = world.copy(tmp_path / "copy")
    key = world.service.deployment.public_key
    assert refusal(world.root, world.built.leaves, substituter=copy.url, public_key=key) is None


def test_nix_refuses_when_it_trusts_another_key_of_that_name(world: World) -> None:
    key = SecretKey.generate(world.service.deployment.public_key.name).public_key
    said = refusal(world.root, world.built.leaves, substituter=world.service.cache_url, public_key=key)
    assert said
    assert "signed by any of the keys" in said


def test_nix_refuses_an_unsigned_narinfo(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "copy")
    copy.unsign(copy.store_dir.parse(world.built.leaves))
    key = world.service.deployment.public_key
    said = refusal(world.root, world.built.leaves, substituter=copy.url, public_key=key)
    assert said
    assert "signed by any of the keys" in said


def test_nix_refuses_a_tampered_nar(world: World, tmp_path: Path) -> None:
    copy = world.copy(tmp_path / "copy")
    copy.tamper(copy.store_dir.parse(world.built.leaves), *ALTERED)
    key = world.service.deployment.public_key
    said = refusal(world.root, world.built.leaves, substituter=copy.url, public_key=key)
    assert said
    assert "hash mismatch" in said
