"""What all tests need of the process that they run in, and the one AWS that most of them share."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import botocore.loaders
import botocore.session
import pytest
from hypothesis import HealthCheck, settings

from local.aws import Aws, MotoServer

# A test run in the background starts with SIGINT ignored, and whatever it starts inherits that: Ctrl-C could not be
# tested there.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Neither a deadline nor "too slow": how long an example takes says more about the machine's other work than about ours.
# The same examples each time: a change is judged by itself, and new inputs are for `make fuzz` and `make differential`.
settings.register_profile("assay", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("assay")


@pytest.fixture(scope="session", autouse=True)
def _one_loader() -> Iterator[None]:
    """What botocore reads of a service takes ten times as long as making a client of it: once is enough for all."""
    loader = botocore.loaders.create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(botocore.session, "create_loader", lambda _: loader)
        yield


@pytest.fixture(scope="session")
def aws() -> Iterator[Aws]:
    """AWS without identities: each test names its own buckets, queues and secrets."""
    with MotoServer() as server:
        yield server.aws
