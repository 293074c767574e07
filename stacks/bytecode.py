"""Bytecode for the Lambda's Python, made here: the function's file system is read-only, and could not keep its own."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from nixcache.errors import AssayError

_ROOT: Final = Path(__file__).resolve().parents[1]
_NODE: Final = _ROOT / ".venv" / "bin" / "node"
_COMPILER: Final = Path(__file__).with_name("bytecode.mjs")
# The compiler's version is in it.
_LOCK: Final = _ROOT / "package-lock.json"
_KEPT: Final = _ROOT / ".venv" / "lambda-bytecode"

SUFFIX: Final = ".cpython-314.pyc"
"""How that Python names what it finds beside a module, in ``__pycache__``. Any other passes it over, and compiles."""


class BytecodeError(AssayError):
    """The compiler is not there, or a module is not Python."""


def add_bytecode(directory: Path) -> None:
    """Put compiled code beside every module below ``directory``.

    What was compiled once is kept, by the module's place and content: the compiler takes seconds to start.

    Raises `BytecodeError`.
    """
    modules = {module: _kept(module, directory) for module in sorted(directory.rglob("*.py"))}
    _compile({module: kept for module, kept in modules.items() if not kept.is_file()}, directory)
    for module, kept in modules.items():
        compiled = _compiled(module)
        compiled.parent.mkdir(exist_ok=True)
        shutil.copyfile(kept, compiled)


def _kept(module: Path, directory: Path) -> Path:
    digest = hashlib.sha256(b"\0".join(_identity(module, directory))).hexdigest()
    return _KEPT / digest


def _identity(module: Path, directory: Path) -> Iterator[bytes]:
    yield _LOCK.read_bytes()
    yield _COMPILER.read_bytes()
    yield str(module.relative_to(directory)).encode()
    yield module.read_bytes()


def _compile(modules: dict[Path, Path], directory: Path) -> None:
    if not modules:
        return
    _KEPT.mkdir(parents=True, exist_ok=True)
    # Beside the kept ones: what is moved there appears whole, whoever else is compiling.
    with tempfile.TemporaryDirectory(dir=_KEPT) as scratch:
        for module in modules:
            copy = Path(scratch) / module.relative_to(directory)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module, copy)
        try:
            finished = subprocess.run(
                [str(_NODE), str(_COMPILER), scratch], capture_output=True, text=True, check=False
            )
        except OSError as error:
            raise BytecodeError(f"{_NODE} cannot be started ({error.strerror}): run `make setup`.") from error
        if finished.returncode != 0:
            said = (finished.stdout + finished.stderr).strip()[-2000:]
            raise BytecodeError(f"The Lambdas' code cannot be compiled; after `make setup`, the compiler says: {said}")
        for module, kept in modules.items():
            os.replace(_compiled(Path(scratch) / module.relative_to(directory)), kept)  # noqa: PTH105 - replaces on every system


def _compiled(module: Path) -> Path:
    return module.parent / "__pycache__" / f"{module.stem}{SUFFIX}"
