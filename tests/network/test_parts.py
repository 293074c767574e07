"""A NAR of several parts meets a network that fails in its middle: it arrives whole, and no part is left over."""

from __future__ import annotations

import pytest

from hook.exit_code import ExitCode
from nixcache.store_path import StorePath
from nixcache.verify import verify
from tests.network import faults
from tests.network.conftest import Impatient, Site
from tests.network.gateway import Exchange, Fault, Seen, none

_SIZE = 10_000_000
"""Bytes that nothing compresses: two parts."""


def _is_second_part(seen: Seen) -> bool:
    return "partNumber=2" in seen.query


CASES = {
    "reset in the second part": (faults.only(_is_second_part, faults.reset_in_request(1_000_000)), "Check the network"),
    "error in a completion's 200": (faults.only(faults.is_completion, faults.error_in_200), "InternalError"),
    "truncated answer to a completion": (faults.only(faults.is_completion, faults.truncate(40)), "Check"),
    "portal instead of a completion": (faults.only(faults.is_completion, faults.portal), "Check the network"),
}


@pytest.mark.parametrize(("fault", "said"), CASES.values(), ids=[name.replace(" ", "-") for name in CASES])
def test_i6_what_was_cut_in_the_middle_goes_on_where_it_was(site: Site, fault: Fault, said: str) -> None:
    path = site.build("large", size=_SIZE)
    with site.s3.failing(fault):
        _check_trouble(site, path, said)
    _check_arrival(site, path)
    assert sum("partNumber=1" in seen.query for seen in site.s3.seen) == 1, "what has arrived is not sent again"


def test_i6_what_hung_in_the_middle_arrives_whole(site: Site, impatient: Impatient) -> None:
    path = site.build("large", size=_SIZE)
    with site.s3.failing(faults.only(_is_second_part, faults.hang)), impatient(site.s3):
        _check_trouble(site, path, "Check the network")
    _check_arrival(site, path)


def _check_trouble(site: Site, path: StorePath, said: str) -> None:
    ended = site.builder.assay("upload", "--once", "--timeout", "60")
    assert (ended.code, ended.err.count("\n")) == (ExitCode.TROUBLE, 1), ended
    assert said in ended.err
    assert site.is_kept(path)


def _check_arrival(site: Site, path: StorePath) -> None:
    with site.service.judging(site.builder.nix.store_dir):
        ended = site.builder.assay("upload", "--once", "--timeout", "60")
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    narinfo, nar = site.service.submission(path, site.builder.nix.store_dir)
    verify(narinfo, [nar])
    assert site.is_clear()


def test_i6_a_completion_whose_answer_was_lost_is_found_to_have_happened(site: Site) -> None:
    """S3 then knows the upload no more; without a look at what is there, it would be sent again, or for ever."""
    site.build("large", size=_SIZE)
    left = [1]

    def lose_the_first(exchange: Exchange) -> None:
        (faults.lose_answer if left and left.pop() else none)(exchange)

    with (
        site.service.judging(site.builder.nix.store_dir),
        site.s3.failing(faults.only(faults.is_completion, lose_the_first)),
    ):
        ended = site.builder.assay("upload", "--once", "--timeout", "60")
        assert ended.code in {ExitCode.DONE, ExitCode.TROUBLE}, ended
        if ended.code == ExitCode.TROUBLE:
            ended = site.builder.assay("upload", "--once", "--timeout", "60")
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert sum(map(faults.is_nar, site.s3.seen)) <= 4
    assert site.is_clear()
