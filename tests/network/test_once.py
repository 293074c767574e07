"""``assay upload --once`` meets faults of the network: one line, everything kept, all there when it is over (I9)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import pytest

from hook.errors import Cause
from hook.exit_code import ExitCode
from tests.network import faults
from tests.network.conftest import Impatient, Site
from tests.network.gateway import Fault, Gateway

ATTEMPTS = 4
"""Of one request to S3 or to a cache, before the queue waits."""
_LIMITED = ("--timeout", "60")


@dataclass(frozen=True)
class Case:
    """A fault, its cause and what else people are told about it; how many requests to S3 and cache one try may cost.

    ``hangs`` gives the gateway that answers nothing at all.
    """

    name: str
    begin: Callable[[Site], AbstractContextManager[None]]
    cause: Cause
    said: tuple[str, ...]
    requests: tuple[int, int]
    hangs: Callable[[Site], Gateway] | None = None


def _s3(fault: Fault) -> Callable[[Site], AbstractContextManager[None]]:
    return lambda site: site.s3.failing(fault)


def _cache(fault: Fault) -> Callable[[Site], AbstractContextManager[None]]:
    return lambda site: site.cache.failing(fault)


_S3, _CACHE = (lambda site: site.s3), (lambda site: site.cache)
_NETWORK = "Check the network"
_CUT = faults.only(faults.is_nar, faults.reset_in_request(50))
_LOST = faults.only(faults.is_narinfo, faults.lose_answer)
_SLOW = faults.skewed(timedelta(hours=1))
CASES = [
    Case("refused", lambda site: site.s3.refusing(), Cause.NETWORK, ("onnect", _NETWORK), (0, 1)),
    Case("hangs", _s3(faults.hang), Cause.NETWORK, ("imeout", _NETWORK), (ATTEMPTS, 1), _S3),
    Case("hangs in its answer", _s3(faults.hang_in_answer), Cause.NETWORK, ("imeout", _NETWORK), (ATTEMPTS, 1), _S3),
    Case("reset mid-body", _s3(_CUT), Cause.NETWORK, (_NETWORK,), (ATTEMPTS, 1)),
    Case("answer lost", _s3(_LOST), Cause.NETWORK, (_NETWORK,), (1 + ATTEMPTS, 1)),
    Case("throttled", _s3(faults.slow_down), Cause.THROTTLED, ("SlowDown",), (ATTEMPTS, 1)),
    Case("internal error", _s3(faults.internal_error), Cause.NETWORK, ("InternalError",), (ATTEMPTS, 1)),
    Case("expired token", _s3(faults.expired_token), Cause.CREDENTIALS, ("ExpiredToken", "Renew"), (1, 1)),
    Case("unknown key", _s3(faults.unknown_key), Cause.CREDENTIALS, ("InvalidAccessKeyId", "Check the AWS"), (1, 1)),
    Case("clock an hour slow", _s3(_SLOW), Cause.MACHINE, ("Skewed", "Set this machine's clock"), (1, 1)),
    Case("portal before S3", _s3(faults.portal), Cause.NETWORK, (_NETWORK,), (ATTEMPTS, 1)),
    Case("empty 200 before S3", _s3(faults.empty_200), Cause.NETWORK, ("answered 200", "portal"), (1, 1)),
    Case("cache refused", lambda site: site.cache.refusing(), Cause.NETWORK, ("cannot be reached", _NETWORK), (0, 0)),
    Case("cache hangs", _cache(faults.hang), Cause.NETWORK, ("cannot be reached", _NETWORK), (0, ATTEMPTS), _CACHE),
    Case("cache throttles", _cache(faults.slow_down), Cause.THROTTLED, ("503", "cache_url"), (0, ATTEMPTS)),
    Case("portal before the cache", _cache(faults.portal), Cause.NETWORK, ("not with a narinfo", "portal"), (0, 1)),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
def test_i9_whatever_the_network_does(case: Case, site: Site, impatient: Impatient) -> None:
    nix = site.builder.nix
    with case.begin(site), impatient(case.hangs(site)) if case.hangs else nullcontext():
        path = site.build("built")
        assert (site.s3.connections, site.cache.connections) == (0, 0), "no hook speaks to the network"
        ended = site.builder.assay("upload", "--once", *_LIMITED)
        assert ended.code == ExitCode.TROUBLE
        assert ended.err.startswith("assay: ")
        assert ended.err.count("\n") == 1
        for part in case.said:
            assert part in ended.err
        assert site.is_kept(path)
        seen = site.state()[path]
        assert (seen.state, seen.tries, seen.cause) == ("queued", 1, case.cause)
        assert seen.next_attempt_at > 0
        for part in case.said:
            assert part in seen.problem
        assert (len(site.s3.seen), len(site.cache.seen)) == case.requests, "nothing spins"
    with site.service.judging(nix.store_dir):
        ended = site.builder.assay("upload", "--once", *_LIMITED)
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert set(site.service.judged) == {path}
    assert site.is_clear()
