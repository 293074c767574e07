"""``assay completion``: what a shell needs to complete this command line, made from the parser itself."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from hook.exit_code import ExitCode

if TYPE_CHECKING:
    from hook.report import Report


@dataclass(frozen=True, slots=True)
class Command:
    """One command: its options with their help, what its words are, and which words there are to choose from."""

    name: str
    help: str
    options: tuple[tuple[str, str], ...]
    takes_files: bool
    choices: tuple[str, ...]


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "completion",
        help="print what bash, zsh or fish needs to complete this command line",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="""\
Prints a script. Once for all, where the package of the shell's completions looks:
  assay completion bash > /usr/share/bash-completion/completions/assay
  assay completion zsh > /usr/share/zsh/site-functions/_assay
  assay completion fish > /usr/share/fish/vendor_completions.d/assay.fish""",
    )
    parser.add_argument("shell", choices=sorted(_SHELLS), metavar="SHELL", help="bash, fish or zsh")


def run(arguments: argparse.Namespace, report: Report) -> ExitCode:
    """Print it."""
    report.document(script(arguments.shell, arguments.parser).rstrip())
    return ExitCode.DONE


def script(shell: str, parser: argparse.ArgumentParser) -> str:
    """Return the script for ``shell`` that completes what ``parser`` takes."""
    return _SHELLS[shell](_commands(parser))


def _commands(parser: argparse.ArgumentParser) -> list[Command]:
    [subparsers] = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))  # noqa: SLF001 - argparse shows its parsers to nobody
    helps = {action.dest: action.help or "" for action in subparsers._choices_actions}  # noqa: SLF001 - as above
    return [_command(name, helps.get(name, ""), one) for name, one in subparsers.choices.items()]


def _command(name: str, text: str, parser: argparse.ArgumentParser) -> Command:
    options: list[tuple[str, str]] = []
    choices: tuple[str, ...] = ()
    takes_files = False
    for action in parser._actions:  # noqa: SLF001 - argparse shows its actions to nobody
        if action.option_strings:
            options.append((action.option_strings[-1], _plain(action, parser)))
            takes_files = takes_files or action.metavar == "FILE"
        elif action.choices:
            choices = tuple(map(str, action.choices))
        else:
            takes_files = True
    return Command(name, text, tuple(options), takes_files, choices)


def _plain(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    values = {**vars(action), "prog": parser.prog}
    return re.sub(r" \(.*\)$", "", (action.help or "") % values)


def _bash(commands: list[Command]) -> str:
    cases = "\n".join(
        f"    {command.name}) words={_quoted(' '.join([*(name for name, _ in command.options), *command.choices]))}"
        f"{'; files=1' if command.takes_files else ''} ;;"
        for command in commands
    )
    return f"""\
# Completion of assay for bash.
_assay() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} words files=
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W {_quoted(" ".join(["--help", "--version", *(one.name for one in commands)]))} -- "$word"))
    return
  fi
  case ${{COMP_WORDS[1]}} in
{cases}
    *) return ;;
  esac
  case $word in
    -*) files= ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$word"))
  if [ -n "$files" ]; then
    compopt -o filenames 2>/dev/null
    local IFS=$'\\n'
    COMPREPLY+=($(compgen -f -- "$word"))
  fi
}}
complete -F _assay assay
"""


def _zsh(commands: list[Command]) -> str:
    described = "\n".join(f"    {_quoted(f'{one.name}:{one.help}')}" for one in commands)
    cases = "\n".join(f"    {one.name}) _arguments {' '.join(_zsh_arguments(one))} ;;" for one in commands)
    return f"""\
#compdef assay
# Completion of assay for zsh.
_assay() {{
  local -a commands
  commands=(
{described}
    '--help:show help'
    '--version:show the version'
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  local command=$words[2]
  shift words
  (( CURRENT-- ))
  case $command in
{cases}
  esac
}}
if [ "$funcstack[1]" = _assay ]; then _assay "$@"; else compdef _assay assay; fi
"""


def _zsh_arguments(command: Command) -> list[str]:
    arguments = [_quoted(f"{name}[{_escaped(text)}]") for name, text in command.options]
    if command.choices:
        arguments.append(_quoted(f"1:word:({' '.join(command.choices)})"))
    elif command.takes_files:
        arguments.append(_quoted("*:path:_files"))
    return arguments


def _escaped(text: str) -> str:
    return re.sub(r"([\[\]:\\])", r"\\\1", text)


def _fish(commands: list[Command]) -> str:
    names = " ".join(one.name for one in commands)
    lines = [
        "# Completion of assay for fish.",
        "complete -c assay -f",
        f"complete -c assay -n 'not __fish_seen_subcommand_from {names}' -l help -d 'show help'",
        f"complete -c assay -n 'not __fish_seen_subcommand_from {names}' -l version -d 'show the version'",
    ]
    for one in commands:
        lines.append(
            f"complete -c assay -n 'not __fish_seen_subcommand_from {names}' -a {one.name} -d {_fish_quoted(one.help)}"
        )
        here = f"complete -c assay -n '__fish_seen_subcommand_from {one.name}'"
        lines += [f"{here} -l {name.removeprefix('--')} -d {_fish_quoted(text)}" for name, text in one.options]
        if one.choices:
            lines.append(f"{here} -a '{' '.join(one.choices)}'")
        elif one.takes_files:
            lines.append(f"{here} -F")
    return "\n".join([*lines, ""])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def _fish_quoted(text: str) -> str:
    # In fish, unlike in a POSIX shell, a backslash escapes within single quotes.
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_SHELLS: Final[dict[str, Callable[[list[Command]], str]]] = {"bash": _bash, "fish": _fish, "zsh": _zsh}
