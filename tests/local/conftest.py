"""One moto for the tests that need no more than AWS itself."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from local.aws import Aws, MotoServer


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """AWS without identities: each test names its own buckets and queues."""
    with MotoServer() as server:
        yield server.aws
