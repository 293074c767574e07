"""``dying_hook.py ORDER PROGRAM``: run the hook's program until just before one of its system calls, and be killed.

The file ORDER says before which of them, counted from 0; it is moved to the directory ``killed`` beside the directory
it lies in, with the call's name in it. A hook that makes fewer calls dies of its last, the exit.
"""

# Run by the hook's own interpreter, without site-packages, and as cheap as the hook itself:
# ruff: noqa: PTH104, PTH120, PTH123, S102

import os
import signal
import sys
from collections.abc import Callable

_CALLS = ("symlink", "mkdir", "open", "write", "fsync", "close", "rename", "unlink", "posix_spawnp")


def main(order: str, program: str) -> None:
    """Run ``program``; never returns from its end."""
    directory, name = os.path.split(order)
    killed = f"{os.path.dirname(directory)}/killed/{name}"
    os.rename(order, killed)  # first: the next try, if the hook's script makes one, is to live
    with open(killed, encoding="ascii") as file:
        left = int(file.read())
    write, open_file = os.write, os.open

    def dying(call: str) -> Callable[..., object]:
        real: Callable[..., object] = getattr(os, call)

        def instead(*arguments: object, **options: object) -> object:
            nonlocal left
            if left == 0 or call == "_exit":
                write(open_file(killed, os.O_WRONLY | os.O_TRUNC), call.encode())
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return real(*arguments, **options)

        return instead

    for call in (*_CALLS, "_exit"):
        setattr(os, call, dying(call))
    exec(program)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
