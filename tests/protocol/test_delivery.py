"""How the queue hands submissions over: numbers that AWS ties to one another."""

from __future__ import annotations

from protocol import delivery


def test_a_message_stays_hidden_for_six_time_outs() -> None:
    """I6: else a throttled message counts as received and ends among the dead letters unread."""
    assert delivery.FUNCTION_TIMEOUT_SECONDS <= 900, "Lambda's longest"
    assert delivery.VISIBILITY_TIMEOUT_SECONDS >= 6 * delivery.FUNCTION_TIMEOUT_SECONDS
    assert delivery.VISIBILITY_TIMEOUT_SECONDS <= 43_200, "SQS's longest"


def test_a_message_is_tried_often_enough() -> None:
    """I6: AWS asks for five deliveries at least, and the event source takes between 2 and 1,000 at once."""
    assert delivery.MAX_RECEIVE_COUNT >= 5
    rests = [
        min(delivery.MAX_RETRY_SECONDS, delivery.FIRST_RETRY_SECONDS * 4**received)
        for received in range(delivery.MAX_RECEIVE_COUNT - 1)
    ]
    assert sum(rests) >= 6 * 3600, "an outage of hours is outlasted"
    assert max(rests) <= delivery.VISIBILITY_TIMEOUT_SECONDS
    assert 2 <= delivery.MAX_CONCURRENCY <= 1000
    assert 1 <= delivery.BATCH_SIZE <= 10
