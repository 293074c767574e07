"""The load of ``make load``, small: submissions in any order through real concurrency, while AWS fails now and then."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.load.complaints import Complaints
from bench.load.objects import uploaded
from bench.load.plan import BUILDERS, Planned, make_plan
from bench.load.run import run
from bench.load.send import Sent
from bench.load.usage import COPY, READ, SQS, WRITE, Usage
from bench.load.verdict_audit import Told, check_verdicts
from bench.prices import bill, total
from bench.trees import store_path
from nixcache.errors import Code
from nixcache.nar import dump
from protocol.results import Result
from protocol.verdicts import Conflict, Duplicate, Kind, Published, Rejected, Verdict, Waiting

PUBLISHED = Published(("key",))


def test_many_submissions_under_faults_all_end_as_they_must() -> None:
    """I1 to I4, I6: whoever comes first, and whatever fails; the run itself compares every verdict and the cache."""
    plan = make_plan(100)
    outcome = run(plan, processes=3, fault_rate=0.01, visibility_timeout=5)
    assert outcome.published == plan.store_paths
    kinds = Counter(told.result.verdict.kind for told in outcome.told)
    assert kinds == {Kind.PUBLISHED: 85, Kind.DUPLICATE: 10, Kind.REJECTED: 4, Kind.CONFLICT: 1}
    assert outcome.usage.faults.total() > 0
    assert outcome.usage.deliveries > len(plan.submissions), "nobody was woken"


def told(tmp_path: Path, verdict: Verdict, *, text: str = "", code: Code | None = None, by: int = 0) -> Told:
    """Return a submission of ``text`` to one path by builder number ``by``, and what it was told."""
    file = tmp_path / "file"
    file.write_text(text)
    thing = uploaded(store_path("path"), (), b"".join(dump(file)))
    planned = Planned(BUILDERS[by], thing, thing.narinfo.render(), code)
    result = Result(
        submission=planned.key, version_id="1", store_path=thing.store_path, verdict=verdict, at=datetime.now(UTC)
    )
    return Told(Sent(planned, "1", 0.0), result)


def rejected(code: Code) -> Rejected:
    return Rejected(code.value, "", "", None, None)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Waiting((store_path("other"),)), None),
        (Duplicate(), None),
        (rejected(Code.NAR_HASH_MISMATCH), None),
        (PUBLISHED, Code.NAR_HASH_MISMATCH),
        (rejected(Code.TOO_LARGE), Code.NAR_HASH_MISMATCH),
    ],
)
def test_a_wrong_verdict_is_noticed(tmp_path: Path, verdict: Verdict, code: Code | None) -> None:
    complaints = Complaints()
    check_verdicts([told(tmp_path, verdict, code=code)], complaints)
    with pytest.raises(SystemExit, match="wrong at the end"):
        complaints.raise_any()


@pytest.mark.parametrize(
    ("text", "verdict"), [("", PUBLISHED), ("", rejected(Code.NAR_MALFORMED)), ("other", Duplicate())]
)
def test_a_wrong_verdict_on_a_rival_is_noticed(tmp_path: Path, text: str, verdict: Verdict) -> None:
    complaints = Complaints()
    check_verdicts([told(tmp_path, PUBLISHED), told(tmp_path, verdict, text=text, by=1)], complaints)
    with pytest.raises(SystemExit, match="wrong at the end"):
        complaints.raise_any()


def test_a_conflict_that_its_publisher_is_not_told_of_is_noticed(tmp_path: Path) -> None:
    complaints = Complaints()
    winner, loser = told(tmp_path, PUBLISHED), told(tmp_path, PUBLISHED, text="other", by=1)
    published, submitted = (one.sent.planned.uploaded.narinfo.nar_hash for one in (winner, loser))
    check_verdicts([winner, told(tmp_path, Conflict(published, submitted), text="other", by=1)], complaints)
    with pytest.raises(SystemExit, match="not told of its conflicts"):
        complaints.raise_any()


def test_a_bill_adds_up() -> None:
    """By hand: 10,000 paths of 3 GET, 4 PUT and 1 COPY, uploaded with 2 PUT each, in batches of 5."""
    usage = Usage(
        requests=Counter({READ: 30_000, WRITE: 40_000, COPY: 10_000, SQS: 10_000}),
        invocations=2_000,
        cpu_seconds=300.0,
    )
    items = {item.name: item.dollars for item in bill(usage, submissions=10_000, log_bytes=10_000_000)}
    assert items["S3 PUT, the upload"] == pytest.approx(0.10)
    assert items["S3 GET"] == pytest.approx(0.012)
    assert items["S3 PUT, COPY, LIST"] == pytest.approx(0.25)
    assert items["SQS requests"] == pytest.approx((10_000 + 10_000 + 4_000) * 0.40 / 1_000_000)
    assert items["Lambda invocations"] == pytest.approx(0.0004)
    assert items["Lambda GB-seconds"] == pytest.approx((300 + 90_000 * 0.03) * 1769 / 1024 * 0.0000133334)
    assert items["CloudWatch Logs, GB"] == pytest.approx(0.005)
    assert total(bill(Usage(), submissions=0, log_bytes=0)) == 0
