"""The daemon lives through every fault: builds go on, nothing spins, nothing grows, and it ends when it is told to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from hook import gc_roots
from hook.exit_code import ExitCode
from nixcache.store_path import StorePath
from tests.network import faults
from tests.network.conftest import Site

_PATIENCE = 100.0
_ATTEMPTS = 4
_MEMORY = 300 * 1024 * 1024


@contextmanager
def _daemon(*, patience: float = 30.0) -> Iterator[subprocess.Popen[str]]:
    """The daemon beside the test; it must end by itself, and quietly, when it is asked to.

    It gives a request up after ``patience`` seconds: only where all of them hang may those be few.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.network.impatient", str(patience), "daemon"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    try:
        yield process
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=_PATIENCE)
        assert process.returncode == ExitCode.DONE, said
        assert "Traceback" not in said
    finally:
        process.kill()
        process.communicate()


def _until(happened: Callable[[], object], *, what: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def _has_tried(site: Site, path: StorePath, times: int) -> bool:
    entry = site.state().get(path)
    return entry is not None and entry.tries >= times


def test_i9_builds_go_on_through_one_fault_after_the_other_and_nothing_spins(site: Site) -> None:
    built = []
    with site.service.judging(site.builder.nix.store_dir), _daemon():
        for fault in (faults.slow_down, faults.expired_token, faults.reset_in_request(0)):
            site.s3.forget()
            with site.s3.failing(fault):
                path = site.build("weather")
                _until(partial(_has_tried, site, path, 2), what="tried, and postponed")
                seen = len(site.s3.seen)  # first: it goes on trying
                entry = site.state()[path]
                assert entry.cause
                assert seen <= (entry.tries + 1) * _ATTEMPTS
                assert site.is_kept(path)
            built.append(path)
            _until(lambda: not site.state(), what="it goes on by itself")
        with site.s3.refusing():
            path = site.build("weather")
            _until(partial(_has_tried, site, path, 2), what="tried, and postponed")
            assert site.is_kept(path)
        built.append(path)
        _until(lambda: not site.state(), what="it goes on by itself")
    assert set(site.service.judged) == set(built)
    assert gc_roots.rooted(site.builder.state_dir) == {}


def test_i9_a_daemon_whose_bucket_hangs_ends_when_it_is_told_to(site: Site) -> None:
    with site.s3.failing(faults.hang), _daemon(patience=1.0):
        path = site.build("hangs")
        _until(lambda: site.s3.seen, what="it asks")
    assert site.is_kept(path)


def test_i7_memory_stays_bounded_while_a_large_path_fails_again_and_again(site: Site) -> None:
    path = site.build("large", size=40_000_000)
    with _daemon() as process:
        with site.s3.failing(faults.only(faults.is_nar, faults.reset_in_request(3_000_000))):
            _until(partial(_has_tried, site, path, 3), what="tried")
            assert _peak_memory(process.pid) < _MEMORY
        _until(lambda: site.state()[path].state == "submitted", what="it goes on by itself")
        assert _peak_memory(process.pid) < _MEMORY
    assert site.service.unfinished_uploads() == 0


def test_i9_at_a_megabit_a_second_builds_are_not_slow_and_all_arrives(site: Site) -> None:
    with site.service.judging(site.builder.nix.store_dir), site.s3.slow(1_000_000), _daemon():
        large = site.build("slow", size=100_000)
        _until(lambda: site.s3.seen, what="it is on its way")
        small = site.build("meanwhile")
        _until(lambda: not site.state(), what="all arrives")
    assert set(site.service.judged) == {large, small}
    assert site.is_clear()


def _peak_memory(pid: int) -> int:
    """Return the most bytes that a process has held (resident set); 0 where nobody can tell."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
