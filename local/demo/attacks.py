"""What a builder who cannot be trusted tries, and how each of it ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from botocore.exceptions import ClientError

from local.demo.story import DemoError, Story, expect
from local.demo.submission import Sender, Submission, pack
from local.service import LocalService
from nixcache.compression import Compression, compress
from nixcache.errors import Code
from nixcache.nar import dump
from nixcache.narinfo import NarInfo
from protocol.keys import BuilderName, ResultKey, StagingNarInfoKey
from protocol.verdicts import AwaitingQuorum, Conflict, Published, Rejected, ServiceCode, Verdict, Waiting

BOMBS: Final = {1024**3: Code.NAR_SIZE_MISMATCH, 32 * 1024**3: Code.TOO_LARGE}
"""Bytes that a bomb would unpack to, and what it is rejected for. The small one's file may have its size, so it is
read; the large one's is larger than its NAR could need, and nobody reads a byte of it."""
VOTED: Final = "assay-demo-voted-"
"""What the names begin with of which the demo's policy wants two builders to send the same."""
_FRAME_SIZE: Final = 256 * 1024**2
_BOMB_SECONDS: Final = 10


def attack(
    service: LocalService, story: Story, workshop: Path, *, victim: NarInfo, victims_builder: BuilderName
) -> None:
    """Play all attacks as the builder ``mallory``; raises :class:`DemoError` as soon as one succeeds.

    ``victim`` is published, by ``victims_builder``; ``workshop`` is an empty directory.
    """
    mallory = Sender(service, BuilderName("mallory"))
    store_dir = service.deployment.settings.store_dir
    (workshop / "message").write_text("Nothing to see here, and nothing that names another store path.\n")
    honest = pack(workshop / "message", store_dir, "message.txt")
    voted = pack(workshop / "message", store_dir, f"{VOTED}tool")
    _alone(service, story, mallory, Sender(service, victims_builder), voted)
    before = published(service)

    def refused(title: str, expected: str, play: Callable[[], Verdict]) -> None:
        with story.step(title):
            verdict = play()
            told = _words(verdict)
            expect(told.startswith(expected), f"That should have ended as {expected}, but ended as {told}")
            story.tell(told)

    refused(
        "Attack: mallory swaps bytes in a NAR after its narinfo was made",
        f"rejected: {Code.NAR_HASH_MISMATCH}",
        lambda: mallory.submit(Submission(honest.narinfo, _with_swapped_bytes(workshop))),
    )
    refused(
        f"Attack: mallory sends it under the hash part of {victim.store_path.name}, which is published",
        f"rejected: {ServiceCode.HASH_PART_MISMATCH}",
        lambda: mallory.submit(honest, as_hash_part=victim.store_path.hash_part),
    )
    refused(
        f"Attack: mallory says that it is {victim.store_path.name} itself",
        "conflict",
        lambda: mallory.submit(Submission(replace(honest.narinfo, store_path=victim.store_path), honest.file)),
    )
    refused(
        "Attack: mallory declares a reference that the bytes never mention",
        f"rejected: {Code.REFERENCE_NOT_FOUND}",
        lambda: mallory.submit(Submission(replace(honest.narinfo, references=(victim.store_path,)), honest.file)),
    )
    for size, code in BOMBS.items():
        _bomb(story, mallory, honest, size=size, code=code)
    refused(
        f"Attack: mallory's narinfo points at a NAR of {victims_builder}",
        f"rejected: {Code.NARINFO_MALFORMED}",
        lambda: mallory.submit(
            Submission(replace(honest.narinfo, url=f"../{victims_builder}/{victim.url}"), honest.file)
        ),
    )
    _other_prefix(story, mallory, victims_builder, honest, victim)
    with story.step("Look into the cache bucket: nothing has appeared, and nothing has changed"):
        expect(published(service) == before, "The attacks left something in the cache bucket.")
        story.tell(f"{len(before)} object versions before, the same {len(before)} after.")


def published(service: LocalService) -> dict[tuple[str, str], str]:
    """Return every version of every object in the cache bucket, deletions included: (key, version) to ETag."""
    s3 = service.aws.client("s3", service.deployment.operator)
    found: dict[tuple[str, str], str] = {}
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=service.deployment.settings.cache_bucket):
        found |= {(version["Key"], version["VersionId"]): version["ETag"] for version in page.get("Versions", [])}
        found |= {(marker["Key"], marker["VersionId"]): "deleted" for marker in page.get("DeleteMarkers", [])}
    return found


def _with_swapped_bytes(workshop: Path) -> bytes:
    nar = b"".join(dump(workshop / "message"))
    return b"".join(compress(Compression.ZSTD, [nar.replace(b"Nothing", b"gnihtoN")]))


def _bomb(story: Story, mallory: Sender, honest: Submission, *, size: int, code: Code) -> None:
    frame = b"".join(compress(Compression.ZSTD, [bytes(_FRAME_SIZE)], level=1))
    bomb = honest.file + frame * (size // _FRAME_SIZE)
    sizes = f"{len(bomb) / 1e3:.0f} kB that unpack to {size // 1024**3} GiB"
    with story.step(f"Attack: {sizes}, said to be {honest.narinfo.nar_size} bytes"):
        started = time.monotonic()
        verdict = mallory.submit(Submission(honest.narinfo, bomb))
        seconds = time.monotonic() - started
        story.tell(_words(verdict))
        expect(
            isinstance(verdict, Rejected) and verdict.code == code,
            "The bomb should have been rejected for its size.",
        )
        expect(seconds < _BOMB_SECONDS, f"The bomb kept ingest busy for {seconds:.0f} seconds.")


def _alone(service: LocalService, story: Story, mallory: Sender, other: Sender, voted: Submission) -> None:
    name, before = voted.narinfo.store_path.name, published(service)
    with story.step(f"Attack: mallory alone submits {name}, for which the policy wants two builders to agree"):
        verdict = mallory.verdict(mallory.send(voted), enough=lambda verdict: not isinstance(verdict, Waiting))
        expect(verdict == AwaitingQuorum(1, 2), f"That should have been awaiting a quorum, but is {_words(verdict)}")
        expect(published(service) == before, "Something of it is in the cache bucket.")
        story.tell(f"{_words(verdict)}; nothing is signed, and nothing of it is in the cache bucket")
    with story.step(f"{other.builder} has built the same: that makes two, and it is signed"):
        verdict = other.submit(voted)
        expect(isinstance(verdict, Published), f"That should have been published, but is {_words(verdict)}")
        story.tell(f"{other.builder}: {_words(verdict)}")


def _other_prefix(story: Story, mallory: Sender, other: BuilderName, honest: Submission, victim: NarInfo) -> None:
    with story.step(f"Attack: mallory writes below {other}'s prefix, and reads {other}'s results"):
        hash_part = honest.narinfo.store_path.hash_part
        for what, attempt in (
            ("PutObject", lambda: mallory.put(str(StagingNarInfoKey(other, hash_part)), honest.narinfo.render())),
            ("GetObject", lambda: mallory.read_ledger(str(ResultKey(other, victim.store_path.hash_part)))),
        ):
            try:
                attempt()
            except ClientError as error:
                code = error.response["Error"]["Code"]
                expect(code == "AccessDenied", f"{what} was answered with {code}, not AccessDenied.")
                story.tell(f"{what}: {code}, by the policy of mallory's own credentials")
            else:
                raise DemoError(f"{what} went through.")


def _words(verdict: Verdict) -> str:
    """Say a verdict as a builder reads it."""
    match verdict:
        case Rejected(code=code, problem=problem, remedy=remedy):
            return f"rejected: {code}: {problem} {remedy}".rstrip()
        case Conflict(other_nar_hash=theirs, submitted_nar_hash=ours):
            return f"conflict: published is {theirs}, submitted was {ours}; what is published stays"
        case AwaitingQuorum(have=have, need=need):
            return f"awaiting-quorum: {have} of {need} builders agree"
    return verdict.kind.value
