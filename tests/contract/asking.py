"""How a test asks: for a refusal's code, for a body, for the winners of a race."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import ClientError

from lambdas.ingest.adapters.aws_call import error_code
from tests.contract.engines import Engine

LOST = {"PreconditionFailed", "ConditionalRequestConflict"}
"""What S3 tells those who lose a race. The second is for who was in the middle of it; ingest tries again then."""


def refusal(ask: Callable[[], object]) -> str:
    """Return the code with which ``ask`` is refused; fail if it is not."""
    try:
        answer = ask()
    except ClientError as error:
        return error_code(error)
    raise AssertionError(f"it was not refused, but answered {answer!r}")


def race(racers: Sequence[Callable[[], object]]) -> list[int]:
    """Let all ``racers`` go at once; return the positions of those who were not told that they lost."""
    start = threading.Barrier(len(racers))

    def run(racer: Callable[[], object]) -> bool:
        start.wait()
        try:
            racer()
        except ClientError as error:
            if error_code(error) not in LOST:
                raise
            return False
        return True

    with ThreadPoolExecutor(len(racers)) as pool:
        return [position for position, has_won in enumerate(pool.map(run, racers)) if has_won]


def read(engine: Engine, bucket: str, key: str) -> bytes:
    """Return an object's bytes."""
    return engine.clients.s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def keys(engine: Engine, bucket: str, prefix: str = "") -> list[str]:
    """Return the first page of a bucket's keys."""
    page = engine.clients.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for item in page.get("Contents", [])]


def put_versions(engine: Engine, bucket: str, key: str, *bodies: bytes) -> list[str]:
    """Write ``bodies`` one over the other; return their version ids."""
    return [engine.clients.s3.put_object(Bucket=bucket, Key=key, Body=body)["VersionId"] for body in bodies]
