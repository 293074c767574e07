"""How the queue hands submissions to ingest: numbers that the infrastructure sets and the local service keeps to."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

BATCH_SIZE: Final = 5
"""Submissions in one invocation: they share a cold start, and a large NAR delays only few others."""
FUNCTION_TIMEOUT_SECONDS: Final = 900
"""Lambda's longest."""
VISIBILITY_TIMEOUT_SECONDS: Final = 6 * FUNCTION_TIMEOUT_SECONDS
"""AWS asks for six times the function's time-out, so that throttling is not counted as receiving."""
MESSAGE_RETENTION: Final = timedelta(days=4)
"""How long the queue keeps a message; nobody who published earlier than that comes again."""
MAX_RECEIVE_COUNT: Final = 12
"""Deliveries before a message goes to the dead-letter queue: with the delays below, seven hours of trouble."""
FIRST_RETRY_SECONDS: Final = 15
"""How long a submission rests that met trouble for the first time; each further time four times as long."""
MAX_RETRY_SECONDS: Final = 3600
"""The longest rest."""
MAX_CONCURRENCY: Final = 10
"""Invocations at once: the event source's own limit, since reserved concurrency would fill the dead letters."""
