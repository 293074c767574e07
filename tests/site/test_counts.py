"""What was published, added up from a memory of 455 days, by whoever runs and however often."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st
from mypy_boto3_cloudwatch import CloudWatchClient

from lambdas.site.counts import CloudWatchCounts
from lambdas.site.status import Closed, Stored
from nixcache.errors import TransientError
from tests.site.conftest import NOW, Site

TODAY = NOW.date()
DAY = timedelta(days=1)


class ForgetfulCloudWatch:
    """Knows sums of days, of the last 455 alone, and nothing of a day that has not come."""

    def __init__(self, by_day: Mapping[date, int]) -> None:
        self._by_day = by_day

    def get_metric_statistics(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401  as botocore has it
        start, end = request["StartTime"], request["EndTime"]
        assert request["Period"] == 86_400
        assert (end - start).total_seconds() / 86_400 <= 1_440, "CloudWatch answers with 1,440 points at most"
        assert start.time() == time(), "a day's sum is a day's only if it begins with it"
        oldest = end - 455 * DAY
        return {
            "Datapoints": [
                {"Timestamp": moment, "Sum": float(count)}
                for day, count in reversed(list(self._by_day.items()))
                if max(start, oldest) <= (moment := datetime.combine(day, time(), UTC)) < end
            ]
        }


def _counts(by_day: Mapping[date, int]) -> CloudWatchCounts:
    cloudwatch = cast("CloudWatchClient", ForgetfulCloudWatch(by_day))
    return CloudWatchCounts(cloudwatch, stage="test", bucket="cache")


@given(
    by_day=st.dictionaries(st.integers(0, 1500), st.integers(1, 1000), max_size=30),
    gaps=st.lists(st.integers(0, 454), max_size=20),
)
def test_the_total_outlives_cloudwatch_and_no_run_counts_twice(by_day: dict[int, int], gaps: list[int]) -> None:
    """Whenever it runs, as long as that is once in 454 days: nothing is lost, nothing comes in twice."""
    first = TODAY - 1500 * DAY
    published = {first + day * DAY: count for day, count in by_day.items()}
    counts = _counts(published)
    closed: Closed | None = None
    now = datetime.combine(first, time(12), UTC)
    for gap in (0, *gaps):
        now += gap * DAY
        told = counts.published(closed, now)
        assert told.total == sum(count for day, count in published.items() if day <= now.date())
        assert told.last_30_days == sum(
            count for day, count in published.items() if now.date() - 29 * DAY <= day <= now.date()
        )
        closed = told.closed


def test_two_at_once_come_to_the_same() -> None:
    """I6: what one has closed, the other closes in the same way."""
    by_day = {TODAY - n * DAY: n + 1 for n in range(40)}
    closed = Closed(TODAY - 20 * DAY, 1_000)
    counts = _counts(by_day)
    one = counts.published(closed, NOW)
    assert counts.published(closed, NOW) == one
    assert counts.published(one.closed, NOW) == one


def test_what_comes_in_late_is_counted_as_long_as_its_day_is_open() -> None:
    by_day = {TODAY - DAY: 5, TODAY: 1}
    before = _counts(by_day).published(None, NOW)
    assert (before.total, before.closed) == (6, Closed(TODAY - DAY, 0))
    by_day[TODAY - DAY] = 9
    assert _counts(by_day).published(before.closed, NOW).total == 10


def test_a_clock_that_was_set_back_takes_nothing_away() -> None:
    by_day = {TODAY - 3 * DAY: 7, TODAY: 2}
    told = _counts(by_day).published(None, NOW)
    assert _counts(by_day).published(told.closed, NOW - 2 * DAY).closed == told.closed


def test_of_this_stage_and_of_published_alone(site: Site) -> None:
    site.count(3, ago=timedelta(hours=1))
    site.count(4, ago=timedelta(days=3))
    site.count(100, ago=timedelta(hours=1), verdict="rejected")
    site.count(100, ago=timedelta(hours=1), stage="another")
    counts = CloudWatchCounts(site.clients.cloudwatch, stage=site.settings.stage, bucket=site.settings.cache_bucket)
    told = counts.published(None, NOW)
    assert (told.total, told.last_30_days) == (7, 7)


def test_s3s_newest_measurement() -> None:
    class Measured:
        def get_metric_statistics(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401
            assert request["Dimensions"] == [
                {"Name": "BucketName", "Value": "cache"},
                {"Name": "StorageType", "Value": "StandardStorage"},
            ]
            return {
                "Datapoints": [
                    {"Timestamp": NOW - DAY, "Average": 20.0},
                    {"Timestamp": NOW - 2 * DAY, "Average": 10.0},
                ]
            }

    counts = CloudWatchCounts(cast("CloudWatchClient", Measured()), stage="test", bucket="cache")
    assert counts.stored(NOW) == Stored(20, NOW - DAY)


def test_before_the_first_measurement_there_is_none() -> None:
    class NotMeasured:
        def get_metric_statistics(self, **_request: Any) -> dict[str, Any]:  # noqa: ANN401
            return {"Datapoints": []}

    counts = CloudWatchCounts(cast("CloudWatchClient", NotMeasured()), stage="test", bucket="cache")
    assert counts.stored(NOW) is None


def test_trouble_is_said_with_what_was_tried() -> None:
    class Broken:
        def get_metric_statistics(self, **_request: Any) -> dict[str, Any]:  # noqa: ANN401
            raise ClientError({"Error": {"Code": "Throttling"}}, "GetMetricStatistics")

    counts = CloudWatchCounts(cast("CloudWatchClient", Broken()), stage="test", bucket="cache")
    with pytest.raises(TransientError, match="GetMetricStatistics of Submissions failed: Throttling"):
        counts.published(None, NOW)
    with pytest.raises(TransientError, match="GetMetricStatistics of BucketSizeBytes failed: Throttling"):
        counts.stored(NOW)
