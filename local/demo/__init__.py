"""``make demo``: the main job from a build to an installation, then the attacks; all of it must hold."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Final

from botocore.exceptions import BotoCoreError, ClientError

from local.demo.attacks import VOTED, attack
from local.demo.main_job import main_job
from local.demo.nix_bin import have_nix
from local.demo.nix_machine import NixMachine, remove_tree
from local.demo.story import Story
from local.demo.without_nix import NOT_SHOWN, publish_and_read
from local.service import DEFAULT_BUILDERS, LocalService
from nixcache.errors import AssayError
from nixcache.verify import DEFAULT_MAX_NAR_SIZE
from protocol.keys import BuilderName
from protocol.policy import QuorumRule, SubmissionPolicy

_BUILDER: Final = BuilderName("alice")
_LOG_LINES: Final = 20


def run() -> int:
    """Tell and prove the whole story; return the exit code: 0 if all of it held, 1 if not."""
    story = Story()
    story.say("Assay on one machine: alice builds, mallory cheats, and readers trust neither of them but one key.")
    with _workshop() as directory, (directory / "service.log").open("w+") as log:
        try:
            _tell(story, directory, log)
        except (AssayError, BotoCoreError, ClientError, OSError, subprocess.SubprocessError) as error:
            log.seek(0)
            sys.stderr.writelines(log.readlines()[-_LOG_LINES:])
            print(f"\nThe demo failed: {error}", file=sys.stderr)
            return 1
    return 0


def _tell(story: Story, directory: Path, log: IO[str]) -> None:
    nix = have_nix(story)
    root = directory / "machine"
    with ExitStack() as stack:
        with story.step("Start Assay: buckets, queue, key and identities in moto, and ingest behind the queue"):
            service = stack.enter_context(LocalService(store_dir=NixMachine(root).store_dir, policy=_policy(), log=log))
            story.tell(f"The cache is at {service.cache_url}, its public key is {service.deployment.public_key}.")
        if nix:
            victim = main_job(service, story, directory, root, _BUILDER)
        else:
            victim = publish_and_read(service, story, directory, _BUILDER)
        attack(service, story, directory, victim=victim, victims_builder=_BUILDER)
        outputs = service.outputs()
    if not nix:
        story.say(NOT_SHOWN)
    story.say(f"All of it held. [{story.seconds:.1f} s]")
    story.say(
        "A reader's nix.conf needs two lines and nothing of ours (this cache ended with the demo; "
        "`python -m local up` keeps one running):"
    )
    print(f"substituters = {outputs['cache_url']}\ntrusted-public-keys = {outputs['public_key']}")
    story.say("A builder's needs one, after `python -m hook hook-script --output /etc/nix/assay-hook`:")
    print("post-build-hook = /etc/nix/assay-hook")


def _policy() -> SubmissionPolicy:
    """Everything is open to all, but of one kind of path two builders have to send the same."""
    open_to_all = SubmissionPolicy.open_to(DEFAULT_BUILDERS, DEFAULT_MAX_NAR_SIZE)
    return replace(open_to_all, quorum=(QuorumRule((f"{VOTED}*",), 2),))


@contextmanager
def _workshop() -> Iterator[Path]:
    """Provide a directory, and remove it with everything in it, store paths included."""
    # Resolved: a store dir may not lie behind a symlink, as macOS's temporary directory does.
    directory = Path(tempfile.mkdtemp(prefix="assay-demo-")).resolve()
    try:
        yield directory
    finally:
        remove_tree(directory)
