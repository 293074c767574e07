"""The bar on a terminal: what it says, when it is there, and that lines never mix with it."""

from __future__ import annotations

import fcntl
import io
import itertools
import os
import struct
import sys
import termios
from concurrent.futures import ThreadPoolExecutor

import pytest

from hook.progress import ProgressReport, report_for
from hook.report import Report

_ERASE = "\r\x1b[K"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def drawn(self) -> list[str]:
        return [line for line in self.getvalue().split(_ERASE) if line]


@pytest.mark.parametrize(
    "environ", [{}, {"TERM": "dumb"}, {"TERM": "xterm", "CI": "true"}, {"TERM": "xterm", "NO_COLOR": "1"}]
)
def test_plain_lines_where_nobody_looks_on(environ: dict[str, str]) -> None:
    assert type(report_for(environ, Terminal())) is Report


def test_a_bar_on_a_terminal_alone() -> None:
    assert type(report_for({"TERM": "xterm"}, Terminal())) is ProgressReport
    assert type(report_for({"TERM": "xterm"}, io.StringIO())) is Report
    assert type(report_for({"TERM": "xterm"}, None)) is Report


def test_the_bar_says_what_is_sent_of_what_is_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    terminal, seconds = Terminal(), itertools.count()
    report = ProgressReport(terminal, clock=lambda: float(next(seconds)))
    report.planned(2, 4 << 20)
    report.sent(1 << 20)
    assert terminal.drawn()[-1] == "[######..................] 1.0 MiB of 4.0 MiB, 0 of 2 paths"
    report.progress("submitted a (1 bytes of NAR)")
    assert terminal.drawn()[-1].endswith("1.0 MiB of 4.0 MiB, 1 of 2 paths")
    report.progress("submitted b (1 bytes of NAR)")
    assert terminal.getvalue().endswith(_ERASE), "all is through: only verdicts are left, and they are lines"


def test_what_is_sent_twice_fills_no_more_than_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    terminal, seconds = Terminal(), itertools.count()
    report = ProgressReport(terminal, clock=lambda: float(next(seconds)))
    report.planned(1, 100)
    report.sent(250)
    assert terminal.drawn()[-1].startswith(f"[{'#' * 24}] 250 B of 100 B")


def test_it_is_drawn_rarely_however_fast_things_go() -> None:
    terminal = Terminal()
    report = ProgressReport(terminal, clock=lambda: 0.0)
    report.planned(1, 1000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(report.sent, [1] * 1000))
    assert len(terminal.drawn()) == 1


def test_a_narrow_terminal_gets_no_line_that_wraps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    ProgressReport(terminal).planned(1, 1000)
    assert [len(line) for line in terminal.drawn()] == [19]


def test_the_width_is_that_of_the_terminal_it_is_drawn_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Standard output may be a file, or another terminal; a bar that wraps cannot be erased."""
    master, slave = os.openpty()
    with os.fdopen(master, "rb"), os.fdopen(slave, "w") as narrow:
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 30, 0, 0))
        terminal = Terminal()
        monkeypatch.setattr(terminal, "fileno", narrow.fileno)
        ProgressReport(terminal).planned(1, 1000)
        assert [len(line) for line in terminal.drawn()] == [29]


def test_a_terminal_that_does_not_know_its_width_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    master, slave = os.openpty()
    with os.fdopen(master, "rb"), os.fdopen(slave, "w") as serial:
        terminal = Terminal()
        monkeypatch.setattr(terminal, "fileno", serial.fileno)
        ProgressReport(terminal).planned(1, 1000)
        assert terminal.drawn()[0].startswith("[....")


def test_a_line_is_written_where_the_bar_was(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setattr(sys, "stderr", terminal)
    report = ProgressReport(terminal)
    report.planned(1, 1000)
    report.progress("waiting")
    report.problem("wrong")
    assert f"{_ERASE}waiting\n" in terminal.getvalue()
    assert f"{_ERASE}assay: wrong\n" in terminal.getvalue()
    report.close()
    assert terminal.getvalue().endswith(_ERASE)


def test_a_terminal_that_is_gone_stops_nothing() -> None:
    class Gone(Terminal):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    report = ProgressReport(Gone())
    report.planned(1, 1000)
    report.sent(10)
    report.close()
