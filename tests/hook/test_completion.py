"""Completion scripts and the manual are made from the parser, so neither can forget a command."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hook.cli import parser
from hook.commands.completion import script

_ROOT = Path(__file__).parents[2]
_COMMANDS = (
    "hook-script",
    "push",
    "status",
    "wait",
    "explain",
    "doctor",
    "forget",
    "upload",
    "daemon",
    "completion",
)


def _bash(*words: str, directory: Path) -> set[str]:
    """What bash would offer for the last of ``words``."""
    line = " ".join(f"'{word}'" for word in words)
    program = (
        f"{script('bash', parser())}\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _assay"
        '; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    ended = subprocess.run(["bash", "--norc", "-c", program], cwd=directory, capture_output=True, text=True, check=True)
    assert ended.stderr == ""
    return set(ended.stdout.splitlines())


def test_bash_completes_commands(tmp_path: Path) -> None:
    assert _bash("assay", "", directory=tmp_path) == {"--help", "--version", *_COMMANDS}
    assert _bash("assay", "sta", directory=tmp_path) == {"status"}


def test_bash_completes_options_and_files(tmp_path: Path) -> None:
    (tmp_path / "result a").write_text("")
    assert _bash("assay", "wait", "--", directory=tmp_path) == {"--help", "--timeout", "--all", "--json"}
    assert _bash("assay", "push", "res", directory=tmp_path) == {"result a"}
    assert _bash("assay", "completion", "", directory=tmp_path) == {"--help", "bash", "fish", "zsh"}
    assert _bash("assay", "status", "res", directory=tmp_path) == {""}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_that_is_here_takes_its_script(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"no {shell} on this machine")
    ended = subprocess.run([shell, "-n"], input=script(shell, parser()), capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_every_command_and_option_is_there(shell: str) -> None:
    said = script(shell, parser())
    for word in (*_COMMANDS, "timeout", "rejected", "once", "json", "output", "version"):
        assert word in said


def test_quotes_in_a_help_end_no_string() -> None:
    """hook-script's help has an apostrophe: `nix.conf's`."""
    assert "nix.conf'\\''s" in script("zsh", parser())
    assert "nix.conf\\'s" in script("fish", parser())


def test_man_page_and_reference_are_what_the_parser_says() -> None:
    ended = subprocess.run(
        [sys.executable, "packaging/manual/build.py", "--check"],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
