"""The hook as Nix starts it, except that some runs are killed, each at a system call that was chosen beforehand."""

from __future__ import annotations

import shlex
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

LAST_CALL: Final = 18
"""About as many calls as a hook makes for one path; one that makes fewer dies at its exit."""


class KilledHooks:
    """Some runs of the hook are killed: one each of the derivations named, whichever attempt comes first."""

    def __init__(self, directory: Path, script: Path, orders: Mapping[str, int]) -> None:
        """``script`` is what ``assay hook-script`` wrote; it is changed to start a Python that may die.

        ``orders`` are names of derivations, and before which system call, counted from 0, their hook dies.
        """
        self._orders = directory / "orders"
        self._killed = directory / "killed"
        for place in (self._orders, self._killed):
            place.mkdir(parents=True)
        for name, call in orders.items():
            (self._orders / name).write_text(str(call))
        python = directory / "python"
        dying = Path(__file__).with_name("dying_hook.py")
        executable = shlex.quote(sys.executable)
        # What the script runs is: PYTHON -I -S -c PROGRAM
        python.write_text(
            "#!/bin/sh\nname=${DRV_PATH##*/}; name=${name#*-}\n"
            f'order={shlex.quote(str(self._orders))}/"${{name%.drv}}"\n'
            f'[ -e "$order" ] && exec {executable} -I -S {shlex.quote(str(dying))} "$order" "$4"\n'
            f'exec {executable} "$@"\n'
        )
        python.chmod(0o755)
        text = script.read_text()
        if executable not in text:
            raise AssertionError(f"the hook's script does not name its Python:\n{text}")
        script.write_text(text.replace(executable, shlex.quote(str(python))))

    def kills(self) -> Counter[str]:
        """Return how many were killed, by the call that they did not live to make."""
        return Counter(file.read_text() for file in self._killed.iterdir())
