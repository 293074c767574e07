"""The document: what is written is read back, and what nobody of ours wrote is counted anew."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambdas.site.status import Closed, Published, Status, Stored, read_status

MOMENTS = st.datetimes(
    min_value=datetime(2020, 1, 1),  # noqa: DTZ001  Hypothesis takes limits without a zone alone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))
COUNTS = st.integers(0, 10**15)
STATUSES = st.builds(
    Status,
    MOMENTS,
    st.none() | st.builds(Published, COUNTS, COUNTS, st.builds(Closed, st.dates(), COUNTS)),
    st.none() | st.builds(Stored, COUNTS, MOMENTS),
)


@given(STATUSES)
def test_what_is_written_is_read(status: Status) -> None:
    assert read_status(status.to_json()) == status


def test_the_document() -> None:
    status = Status(
        datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC),
        Published(48_211, 1_730, Closed(date(2026, 11, 22), 48_000)),
        Stored(311, datetime(2026, 11, 22, tzinfo=UTC)),
    )
    assert json.loads(status.to_json()) == {
        "version": 1,
        "updatedAt": "2026-11-23T01:02:03Z",
        "published": {"total": 48_211, "last30Days": 1_730, "closed": {"before": "2026-11-22", "total": 48_000}},
        "stored": {"bytes": 311, "measuredAt": "2026-11-22T00:00:00Z"},
    }


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b"[" * 100_000,
        b'{"version": 2, "updatedAt": "2026-11-23T01:02:03Z", "published": null, "stored": null}',
        b'{"version": 1, "updatedAt": "now", "published": null, "stored": null}',
        b'{"version": 1, "updatedAt": "2026-11-23T01:02:03Z", "published": {"total": 1}, "stored": null}',
        b'{"version": 1, "updatedAt": "2026-11-23T01:02:03Z", "published": [], "stored": null}',
        b'{"version": 1, "updatedAt": "2026-11-23T01:02:03Z", "published": null, "stored": {"bytes": "many"}}',
    ],
)
def test_what_nobody_of_ours_wrote_is_none(data: bytes) -> None:
    assert read_status(data) is None
