"""``build.py``: writes what the parsers say into docs/man/assay.1 and the references of both commands.

Run it as ``PYTHONPATH=. .venv/bin/python packaging/manual/build.py`` after every change of a command; a test fails
where somebody forgot. ``--check`` writes nothing, and exits 1 where a file is not what it would write.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
MAN: Final = ROOT / "docs" / "man" / "assay.1"
REFERENCE: Final = ROOT / "docs" / "reference" / "command-line.md"

OPERATORS: Final = ROOT / "docs" / "reference" / "assayctl.md"

_COLUMNS: Final = "100"
_HELP: Final = re.compile(r"```console\n\$ assay(?:ctl)? ([a-z-]*) ?--help\n.*?```", re.DOTALL)
_FILES: Final = (
    ("/etc/assay/builder.toml", "The configuration. ASSAY_CONFIG names another file; each key can be a variable."),
    ("/var/lib/assay", "The queue, and the log of what went wrong in the hook."),
)


def main() -> int:
    """Write both, or compare."""
    # The parser reads how wide a terminal is, and newer Pythons whether it has colours.
    os.environ |= {"COLUMNS": _COLUMNS, "NO_COLOR": "1"}
    from assayctl.cli import parser as operators_parser  # noqa: PLC0415 - after the above
    from hook.cli import parser  # noqa: PLC0415 - as above
    from hook.exit_code import ExitCode  # noqa: PLC0415 - as above

    assay, assayctl = parser(), operators_parser()
    written = {
        MAN: _man(assay, [(code.value, code.meaning) for code in ExitCode]),
        REFERENCE: _HELP.sub(lambda match: _block(assay, match[1]), REFERENCE.read_text(encoding="utf-8")),
        OPERATORS: _HELP.sub(lambda match: _block(assayctl, match[1]), OPERATORS.read_text(encoding="utf-8")),
    }
    stale = [file for file, text in written.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for file in stale:
            print(f"{file.relative_to(ROOT)} is not what the parser says: run packaging/manual/build.py")
        return 1 if stale else 0
    for file in stale:
        file.write_text(written[file], encoding="utf-8")
    return 0


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    [action] = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))  # noqa: SLF001 - argparse shows its parsers to nobody
    return dict(action.choices)


def _block(parser: argparse.ArgumentParser, command: str) -> str:
    said = (_commands(parser)[command] if command else parser).format_help()
    return f"```console\n$ {parser.prog} {f'{command} ' if command else ''}--help\n{said}```"


def _man(parser: argparse.ArgumentParser, codes: list[tuple[int, str]]) -> str:
    lines = [
        '.\\" Written by packaging/manual/build.py.',
        ".TH ASSAY 1",
        ".SH NAME",
        "assay \\- bring what Nix builds into an Assay binary cache",
        ".SH SYNOPSIS",
        ".nf",
        *(_usage(one) for one in _commands(parser).values()),
        ".fi",
        ".SH DESCRIPTION",
        _escaped(parser.description or ""),
        ".SH COMMANDS",
    ]
    for name, command in _commands(parser).items():
        lines += [f".SS {_escaped(name)}", *_paragraphs(command.description or "")]
        for action in command._actions:  # noqa: SLF001 - as above
            if action.dest != "help":
                lines += [".TP", _term(action), _help(action, command)]
    lines += [".SH EXIT STATUS"]
    for code, meaning in codes:
        lines += [".TP", f"\\fB{code}\\fR", _escaped(meaning)]
    lines += [".SH FILES"]
    for file, meaning in _FILES:
        lines += [".TP", f"\\fI{_escaped(file)}\\fR", _escaped(meaning)]
    return "\n".join([*lines, ""])


def _usage(command: argparse.ArgumentParser) -> str:
    return _escaped(" ".join(command.format_usage().removeprefix("usage: ").replace(" [-h]", "").split()))


def _paragraphs(text: str) -> list[str]:
    """Keep lines that are indented as they are: they are examples."""
    lines: list[str] = []
    for line in text.splitlines():
        lines += [".IP", ".nf", _escaped(line.strip()), ".fi"] if line.startswith("  ") else [_escaped(line)]
    return lines


def _term(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"\\fI{_escaped(str(action.metavar))}\\fR"
    value = f" \\fI{_escaped(str(action.metavar))}\\fR" if action.metavar else ""
    return f"\\fB{_escaped(', '.join(action.option_strings))}\\fR{value}"


def _help(action: argparse.Action, command: argparse.ArgumentParser) -> str:
    return _escaped((action.help or "") % {**vars(action), "prog": command.prog})


def _escaped(text: str) -> str:
    """Return ``text`` so that roff shows it: a dash would become a hyphen, and a dot in front a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^([.'])", r"\\&\1", escaped, flags=re.MULTILINE)


if __name__ == "__main__":
    sys.exit(main())
