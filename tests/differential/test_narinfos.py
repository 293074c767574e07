"""narinfo against each generation's substituter, with signatures required.

Whatever ours accepts, what Assay publishes for it installs in every client; what ours refuses and a client installs has
a listed reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from nixcache.compression import Compression
from tests.differential.clients import Client
from tests.differential.narinfo_cases import NarInfoCase, narinfo_cases, single_edits
from tests.differential.narinfo_reasons import REASONS, reason_for
from tests.differential.narinfo_traps import TRAPS, NarInfoTrap
from tests.differential.real_paths import RealPath
from tests.differential.sample import sample
from tests.differential.service import Served, Service
from tests.differential.store_objects import KINDS
from tests.differential.tally import Finding, Tally

BATCH = 50
"""Paths that a client installs at once of what Assay publishes: all of them must come."""

_NUMBERS = count()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, closure: list[RealPath]) -> Service:
    return Service(tmp_path_factory.mktemp("service"), closure)


@pytest.mark.timeout(3600)
def test_generated_narinfos(
    clients: list[Client], service: Service, cases: int, seed: int, tally: Tally, workers: ThreadPoolExecutor
) -> None:
    """Every single edit, and as many cases again as were asked for, drawn."""
    tally.title = "narinfo"
    each = [
        NarInfoCase(KINDS[number % len(KINDS)], Compression.ZSTD, (edit,)) for number, edit in enumerate(single_edits())
    ]
    served = [service.serve(next(_NUMBERS), case) for case in [*each, *sample(narinfo_cases(), cases, seed)]]
    tally.cases = len(served)
    installed = workers.map(lambda one: [service.client_installs_submitted(client, one) for client in clients], served)
    wrong = [
        complaint
        for one, answers in zip(served, installed, strict=True)
        for complaint in judge(one, dict(zip(clients, answers, strict=True)), tally)
    ]
    published = [one for one in served if one.published]
    for client in clients:
        refused = not_installing(client, service, published, workers)
        tally.findings[client.name][Finding.LAXER] += len(refused)
        wrong += [f"laxer than {client}: {one}" for one in refused]
        assert client.problems(store="published") == []
    assert not wrong, "\n".join(wrong)


def judge(one: Served, answers: dict[Client, bool], tally: Tally) -> list[str]:
    """Count the findings on one case, and return what must not be."""
    for client, installed in answers.items():
        if one.failure:
            tally.add(client.name, Finding.STRICTER if installed else Finding.BOTH_REFUSE)
        else:
            tally.add(client.name, Finding.BOTH_ACCEPT if installed else Finding.MENDED)
    if not one.failure:
        # What builders submit is unsigned. For any other fault that all clients see, ours must see it, too.
        faultless = any(answers.values()) or not one.signed
        return [] if faultless else [f"ours reads what no client reads: {one}"]
    if not any(answers.values()):
        return []
    reason = reason_for(one.failure)
    if reason is None:
        return [f"stricter than {', '.join(map(str, answers))} without a reason: {one}"]
    tally.refused(reason, by_all=all(answers.values()))
    return []


def not_installing(
    client: Client, service: Service, published: Sequence[Served], workers: ThreadPoolExecutor
) -> list[Served]:
    """Return whatever Assay published and ``client`` does not install."""
    batches = [published[start : start + BATCH] for start in range(0, len(published), BATCH)]
    came = workers.map(lambda batch: service.client_installs_published(client, *batch), batches)
    return [
        one
        for batch, whole in zip(batches, came, strict=True)
        if not whole
        for one in batch
        if not service.client_installs_published(client, one)
    ]


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: f"{trap.kind} {' '.join(trap.edit)!a}")
def test_traps(clients: list[Client], service: Service, trap: NarInfoTrap) -> None:
    """Exactly who installs what is written down: an entry that is no longer true fails."""
    one = service.serve(next(_NUMBERS), NarInfoCase(trap.kind, Compression.ZSTD, (trap.edit,)))
    assert (one.failure is None) == trap.accepted
    installing = [client for client in clients if service.client_installs_submitted(client, one)]
    assert [client.generation for client in installing] == list(trap.installed_by)
    if one.failure:
        assert not installing or reason_for(one.failure)
    else:
        assert all(service.client_installs_published(client, one) for client in clients)


def test_every_reason_has_a_trap(service: Service) -> None:
    """A reason for what no longer happens is taken off the list."""
    failures = [
        one.failure
        for trap in TRAPS
        if trap.installed_by
        for one in [service.serve(next(_NUMBERS), NarInfoCase(trap.kind, Compression.ZSTD, (trap.edit,)))]
        if one.failure
    ]
    assert {reason_for(failure) for failure in failures} == {reason.why for reason in REASONS}
