"""A deployment that is attacked, and what must hold in it after whatever was tried."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from nixcache.narinfo import MAX_NARINFO_SIZE
from nixcache.store_path import StorePath
from nixcache.verify import DEFAULT_MAX_NAR_SIZE
from protocol.keys import NARINFO_SUFFIX, RESULTS_PREFIX, BuilderName, CacheNarInfoKey
from protocol.policy import BuilderRules, QuorumRule, SubmissionPolicy
from protocol.verdicts import Rejected
from tests.concurrency.checker import Checker
from tests.concurrency.deployment import ALICE, BOB, SimulatedDeployment
from tests.ingest.store_objects import StoreObject
from tests.simulator.aws import SimulatedAws
from tests.simulator.bucket import Entry, ObjectVersion
from tests.simulator.requests import Answer, Request

MALLORY, MALLORY_2 = BuilderName("mallory"), BuilderName("mallory-2")
"""One attacker with the credentials of two builders."""

POLICY = SubmissionPolicy(
    {
        name: BuilderRules(trust_group="evil" if name in {MALLORY, MALLORY_2} else str(name), max_nar_size=size)
        for name, size in ((name, DEFAULT_MAX_NAR_SIZE) for name in (ALICE, BOB, MALLORY, MALLORY_2))
    },
    (QuorumRule(("voted-*",), 2),),
)
"""The attacker's builders are one trust group; whatever is called ``voted-…`` needs two."""


@dataclass
class Target(SimulatedDeployment):
    """The attacked deployment; ``requests`` are all that ingest has sent, in order."""

    policy: SubmissionPolicy = POLICY
    aws: SimulatedAws = field(default_factory=SimulatedAws)
    requests: list[Request] = field(default_factory=list)

    def run(self, before: Callable[[Request], None] | None = None) -> None:
        """Deliver until the queue is empty; ``before`` is called ahead of each request, as others come in between."""

        def log(request: Request) -> None:
            self.requests.append(request)
            if before:
                before(request)

        self.drain(lambda: self.container(self.connect(before=log)))

    def attack(self, thing: StoreObject, builder: BuilderName = MALLORY) -> None:
        """Submit and deliver."""
        self.submit(thing, builder)
        self.run()

    def deliver(self, body: str) -> bool:
        """Deliver a message that was not S3's own doing; tell whether ingest is done with it."""
        message = self.queue.send(body)
        assert self.queue.take(message)
        return self.container(self.connect(before=self.requests.append))(message)

    def rejection(self, path: StorePath, builder: BuilderName = MALLORY) -> Rejected:
        """Return why ``builder``'s submission was rejected."""
        verdict = self.result(path, builder).verdict
        assert isinstance(verdict, Rejected), verdict
        return verdict

    def visible(self, path: StorePath) -> bytes | None:
        """Return the text that readers get for a store path."""
        return self.cache.read(str(CacheNarInfoKey(path.hash_part)))

    def narinfos(self) -> list[str]:
        """Return the keys of all that is published."""
        return [key for key in self.cache.keys() if key.endswith(NARINFO_SUFFIX)]  # noqa: SIM118 - it is no dict

    def check(self) -> None:
        """Raise for a broken invariant: I1 to I5 in the cache, I8 in what builders and readers get to see."""
        Checker(self)()
        submitted = {
            builder: [entry.version_id for entry in self.staging.all_entries(builder.staging_prefix)]
            for builder in self.policy.builders
        }
        for key in self.ledger.keys(RESULTS_PREFIX):
            owner = BuilderName(key.split("/")[1])
            text = (self.ledger.read(key) or b"").decode()
            # It may read what it has written itself, and a liar writes other builders' names everywhere.
            own = "".join(_text(entry) for entry in self.staging.all_entries(owner.staging_prefix))
            for builder, versions in submitted.items():
                if builder != owner and not _names(builder, own):
                    _expect_nothing_of(builder, versions, text, key)
        for key in self.cache.keys():  # noqa: SIM118 - a bucket is no dict
            version = self.cache.current(key)
            assert version is not None
            text = str((version.headers, version.metadata))
            if not key.startswith("nar/"):
                text += version.data.decode()
            for builder, versions in submitted.items():
                _expect_nothing_of(builder, versions, text, key)


def _expect_nothing_of(builder: BuilderName, versions: list[str], text: str, where: str) -> None:
    assert not _names(builder, text), f"I8: {where} names {builder}"
    assert not any(version in text for version in versions), f"I8: {where} names a submission of {builder}"


def _text(entry: Entry) -> str:
    data = entry.data if isinstance(entry, ObjectVersion) and entry.key.endswith(NARINFO_SUFFIX) else b""
    return f"{entry.key}\n{data[:MAX_NARINFO_SIZE].decode('latin-1')}\n"


def _names(builder: BuilderName, text: str) -> bool:
    return re.search(rf"(?<![\w.-]){builder}(?![\w.-])", text) is not None


def on(operation: str, target: str, do: Callable[[], object]) -> Callable[[Request], None]:
    """Return a hook that does something once, ahead of the first ``operation`` on a key that ends with ``target``."""
    done: list[Request] = []

    def before(request: Request) -> None:
        if not done and request.operation == operation and request.target.endswith(target):
            done.append(request)
            do()

    return before


def body_of(answer: Answer | None) -> int:
    """Return how many bytes of an answer's body were read."""
    return 0 if answer is None or "Body" not in answer else int(answer["Body"]._amount_read)  # type: ignore[attr-defined]


def headers_of(version: ObjectVersion | None) -> tuple[object, object]:
    """Return what an object carries beside its bytes."""
    assert version is not None
    return dict(version.headers), dict(version.metadata)
