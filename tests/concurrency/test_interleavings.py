"""I2, I3, I4, I6: several containers at once, in every order of their requests that Hypothesis can think of.

A schedule says at which requests the turn goes to somebody else: a few changes at the right places find more than many
at random ones. Builders upload while containers poll, judge, and die. A checker looks at the deployment after each
request; at the end, each builder has the one verdict that there can be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.keys import BuilderName, NarFile, StagingNarInfoKey, StagingNarKey
from protocol.policy import SubmissionPolicy
from tests.concurrency.checker import Checker
from tests.concurrency.deployment import BUILDERS, OPEN, TWO_OF_THREE, SimulatedDeployment
from tests.concurrency.end import check_end
from tests.concurrency.objects import Objects
from tests.ingest.store_objects import StoreObject
from tests.simulator.errors import Killed, RefusedError, time_out
from tests.simulator.scheduler import Scheduler, Step

MAX_POLLS = 4
"""Empty answers that a container takes before it stops asking. What is left then is delivered at the end."""


@dataclass(frozen=True)
class Upload:
    """One submission; ``text`` makes other bytes of the same path."""

    builder: BuilderName
    name: str
    text: str = ""


@dataclass(frozen=True)
class Plan:
    """Who uploads what; how many containers there are; before which requests the turn changes; what goes wrong."""

    uploads: list[Upload]
    containers: int
    changes: Mapping[int, int]
    mishaps: Mapping[tuple[str, int], Callable[[], BaseException]]


def _plans(*names: str) -> st.SearchStrategy[Plan]:
    upload = st.builds(Upload, st.sampled_from(BUILDERS), st.sampled_from(names), st.sampled_from(["", "other"]))
    step = st.tuples(st.sampled_from(["container 0", "container 1", "container 2"]), st.integers(0, 40))
    mishap = st.sampled_from([Killed, lambda: RefusedError("SlowDown"), time_out])
    return st.builds(
        Plan,
        uploads=st.lists(upload, min_size=2, max_size=6),
        containers=st.integers(2, 3),
        changes=st.dictionaries(st.integers(0, 120), st.integers(1, 3), max_size=10),
        mishaps=st.dictionaries(step, mishap, max_size=2),
    )


class Play:
    """A plan, carried out."""

    def __init__(self, plan: Plan, policy: SubmissionPolicy, catalogue: Mapping[tuple[str, str], StoreObject]) -> None:
        self._plan = plan
        self._catalogue = catalogue
        self._deployment = SimulatedDeployment(policy)
        self._check = Checker(self._deployment)
        self._last: dict[tuple[BuilderName, str], tuple[StoreObject, str]] = {}
        self._scheduler = Scheduler(self._choose, fate=self._fate, watch=self._check)

    def __call__(self) -> None:
        actors: dict[str, Callable[[], None]] = {"uploads": self._upload_all}
        for number in range(self._plan.containers):
            actors[f"container {number}"] = self._poll
        try:
            outcomes = self._scheduler.run(actors)
            errors = [outcome.error for outcome in outcomes.values() if outcome.error is not None]
            assert all(isinstance(error, Killed) for error in errors), errors
            self._deployment.drain()
            self._check()
            check_end(self._deployment, self._last)
        except BaseException as error:
            error.add_note(self._scheduler.story())
            raise

    def _choose(self, waiting: Sequence[Step]) -> int:
        """Whoever went last goes on, unless the turn changes here."""
        return self._plan.changes.get(len(self._scheduler.trace), 0) % len(waiting)

    def _fate(self, step: Step) -> BaseException | None:
        mishap = self._plan.mishaps.get((step.actor, step.number))
        if mishap is None or step.request.operation == "ReceiveMessage":  # that is Lambda's, not ours
            return None
        return mishap()

    def _upload_all(self) -> None:
        s3 = self._deployment.connect(before=self._scheduler.before).s3
        for upload in self._plan.uploads:
            thing = self._catalogue[upload.name, upload.text]
            nar_key = StagingNarKey(upload.builder, NarFile.parse_url(thing.narinfo.url))
            s3.put_object(Bucket="staging", Key=str(nar_key), Body=thing.file)
            key = StagingNarInfoKey(upload.builder, thing.path.hash_part)
            answer = s3.put_object(Bucket="staging", Key=str(key), Body=thing.narinfo.render())
            self._last[upload.builder, upload.name] = (thing, answer["VersionId"])

    def _poll(self) -> None:
        clients = self._deployment.connect(before=self._scheduler.before)
        container = self._deployment.container(clients)
        empty = 0
        while empty < MAX_POLLS:
            answer = clients.sqs.receive_message(QueueUrl=self._deployment.queue.url, MaxNumberOfMessages=1)
            received = {message["ReceiptHandle"] for message in answer.get("Messages", [])}
            messages = [message for message in self._deployment.queue.messages if message.receipt_handle in received]
            for message in messages:
                container(message)
            empty += not messages


def _catalogue(objects: Objects) -> dict[tuple[str, str], StoreObject]:
    catalogue: dict[tuple[str, str], StoreObject] = {}
    for text in ("", "other"):
        leaf = objects.build("leaf", text=text)
        middle = objects.build("middle", [leaf], text=text)
        catalogue |= {
            ("leaf", text): leaf,
            ("middle", text): middle,
            ("top", text): objects.build("top", [leaf, middle], text=text),
            ("voted-leaf", text): objects.build("voted-leaf", text=text),
            ("voted-top", text): objects.build("voted-top", [leaf], text=text),
        }
    return catalogue


@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("policy", "names"),
    [
        pytest.param(OPEN, ("leaf", "middle", "top"), id="a closure"),
        pytest.param(OPEN, ("leaf",), id="one path"),
        pytest.param(TWO_OF_THREE, ("voted-leaf",), id="votes"),
        pytest.param(TWO_OF_THREE, ("leaf", "voted-leaf", "voted-top"), id="votes in a closure"),
    ],
)
def test_every_schedule_ends_as_it_must(
    policy: SubmissionPolicy, names: tuple[str, ...], objects: Objects, schedules: int
) -> None:
    catalogue = _catalogue(objects)

    @settings(
        max_examples=schedules,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(_plans(*names))
    def play(plan: Plan) -> None:
        Play(plan, policy, catalogue)()

    cast("Any", play)()
