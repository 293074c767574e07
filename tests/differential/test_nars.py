"""The NAR parser against each generation's ``nix-store --restore``.

Ours accepts nothing that a client cannot restore identically, and refuses nothing that the newest restores, but for the
listed reasons.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from nixcache.errors import Code
from tests.differential.clients import Client, Restored
from tests.differential.real_paths import RealPath
from tests.differential.sample import sample
from tests.differential.tally import Finding, Tally
from tests.nixcache.nar_cases import NarCase, nar_cases
from tests.nixcache.nar_traps import TRAPS, NarTrap
from tests.nixcache.outcomes import Failure, outcome, parse_nar

STRICTER: dict[str, str] = {
    Code.NAR_TRAILING_DATA: "bytes after the archive's end: clients disagree whether they belong to it",
}
"""Why ours refuses what the newest Nix restores, by the code that ours gives."""
NEWEST_REFUSES = "what the newest Nix refuses, too"


def compare(failure: Failure | None, restored: Restored) -> Finding:
    """Compare our verdict with a client's."""
    if failure is None:
        return Finding.BOTH_ACCEPT if restored is Restored.SAME else Finding.LAXER
    return Finding.BOTH_REFUSE if restored is Restored.REFUSED else Finding.STRICTER


@pytest.mark.timeout(3600)
def test_generated_nars(
    clients: list[Client],
    closure: list[RealPath],
    cases: int,
    seed: int,
    tally: Tally,
    workers: ThreadPoolExecutor,
) -> None:
    tally.title = "NAR"
    drawn = sample(nar_cases([path.nar for path in closure]), cases, seed)
    tally.cases = len(drawn)
    answers = workers.map(lambda case: [client.restore(case.data) for client in clients], drawn)
    wrong = [
        complaint
        for number, (case, answer) in enumerate(zip(drawn, answers, strict=True))
        for complaint in judge(number, case, dict(zip(clients, answer, strict=True)), tally)
    ]
    assert not wrong, "\n".join(wrong)


def judge(number: int, case: NarCase, answers: dict[Client, Restored], tally: Tally) -> list[str]:
    """Count the findings on one case, and return what must not be."""
    result = outcome(lambda: parse_nar([case.data]))
    failure = result if isinstance(result, Failure) else None
    findings = {client: compare(failure, restored) for client, restored in answers.items()}
    for client, finding in findings.items():
        tally.add(client.name, finding)
    described = f"case {number} ({case.kind}), {case.data[:3000].hex()}"
    wrong = [f"laxer than {client}: {described}" for client in findings if findings[client] is Finding.LAXER]
    if failure and Finding.STRICTER in findings.values():
        newest = list(answers)[-1]
        reason = STRICTER.get(failure.code) if findings[newest] is Finding.STRICTER else NEWEST_REFUSES
        if reason is None or answers[newest] is Restored.SAME:
            wrong.append(f"stricter than {newest} without a reason: {failure}: {described}")
        else:
            tally.refused(reason, by_all=Finding.BOTH_REFUSE not in findings.values())
    return wrong


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_traps(clients: list[Client], trap: NarTrap) -> None:
    """Exactly who restores what is written down: an entry that is no longer true fails."""
    answers = {client.generation: client.restore(trap.data) for client in clients}
    assert [name for name, restored in answers.items() if restored is not Restored.REFUSED] == list(trap.restored_by)
    result = outcome(lambda: parse_nar([trap.data]))
    if trap.accepted:
        assert not isinstance(result, Failure)
        assert set(answers.values()) == {Restored.SAME}
    else:
        assert isinstance(result, Failure)
