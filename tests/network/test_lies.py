"""Answers of 200 to which nothing corresponds: no path is lost, and what can be known is said."""

from __future__ import annotations

from hook.exit_code import ExitCode
from nixcache.narinfo import NarInfo
from protocol.keys import NarFile, StagingNarKey
from protocol.verdicts import Published, Rejected, Verdict
from tests.hook.service import BUILDER, Judge
from tests.network import faults
from tests.network.conftest import Site
from tests.network.gateway import Exchange, none

MAX_UPLOADS = 3


def _asking_for_the_nar(site: Site) -> Judge:
    """Return a service that looks whether the NAR is there, as the real one does."""

    def judge(narinfo: NarInfo) -> Verdict:
        if str(StagingNarKey(BUILDER, NarFile.parse_url(narinfo.url))) in site.service.staged():
            return Published(("test-1",))
        return Rejected("nar-missing", "The NAR is not in staging.", "Upload it again.", "URL", None)

    return judge


def test_i6_a_nar_that_was_never_stored_is_sent_again_thrice_and_then_told(site: Site) -> None:
    path = site.build("lied")
    with site.service.judging(site.builder.nix.store_dir, _asking_for_the_nar(site)):
        with site.s3.failing(faults.only(faults.is_nar, faults.lie)):
            ended = site.builder.assay("upload", "--once", "--timeout", "60")
        assert ended.code == ExitCode.REFUSED
        assert "nar-missing" in ended.err
        assert site.state()[path].state == "rejected", "it stands there until somebody has read why"
        assert sum(map(faults.is_nar, site.s3.seen)) == MAX_UPLOADS
        ended = site.builder.assay("push", site.builder.nix.full(path), "--timeout", "60")
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert site.is_clear()


def test_i6_a_lie_that_ends_in_time_costs_one_upload(site: Site) -> None:
    site.build("lied")
    lies = [faults.lie]

    def lie_once(exchange: Exchange) -> None:
        (lies.pop() if lies else none)(exchange)

    with (
        site.service.judging(site.builder.nix.store_dir, _asking_for_the_nar(site)),
        site.s3.failing(faults.only(faults.is_nar, lie_once)),
    ):
        ended = site.builder.assay("upload", "--once", "--timeout", "60")
    assert (ended.code, ended.err) == (ExitCode.DONE, "")
    assert sum(map(faults.is_nar, site.s3.seen)) == 2
    assert site.is_clear()


def test_i6_a_narinfo_that_was_never_stored_is_kept_rooted_and_said_to_have_no_verdict(site: Site) -> None:
    """The service never hears of it."""
    path = site.build("lied")
    with (
        site.service.judging(site.builder.nix.store_dir),
        site.s3.failing(faults.only(faults.is_narinfo, faults.lie)),
    ):
        ended = site.builder.assay("upload", "--once", "--timeout", "1")
    assert ended.code == ExitCode.TIMED_OUT
    assert ended.err.count("\n") == 1
    assert "no verdict in time; everything is kept" in ended.err
    assert site.is_kept(path)
    assert site.state()[path].state == "submitted"


def test_i9_a_portal_before_the_ledger_is_no_verdict(site: Site) -> None:
    path = site.build("judged")
    with (
        site.service.judging(site.builder.nix.store_dir),
        site.s3.failing(faults.only(lambda seen: "/results/" in seen.path, faults.portal)),
    ):
        ended = site.builder.assay("upload", "--once", "--timeout", "1")
    assert ended.code == ExitCode.TROUBLE, ended
    assert site.state()[path].state == "submitted"
    assert site.is_kept(path)
    with site.service.judging(site.builder.nix.store_dir):
        assert site.builder.assay("upload", "--once", "--timeout", "60").code == ExitCode.DONE
    assert site.is_clear()


def test_i9_a_verdict_that_was_cut_off_is_no_verdict(site: Site) -> None:
    site.build("judged")
    cut = [faults.truncate(20)] * 2

    def cut_twice(exchange: Exchange) -> None:
        answer = exchange.forward()
        (cut.pop() if cut and answer.status == 200 else none)(exchange)

    with (
        site.service.judging(site.builder.nix.store_dir),
        site.s3.failing(faults.only(lambda seen: "/results/" in seen.path, cut_twice)),
    ):
        ended = site.builder.assay("upload", "--once", "--timeout", "60")
    assert ended.code == ExitCode.DONE, ended
    assert cut == []
    assert site.is_clear()
