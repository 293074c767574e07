"""What the local Nix knows of store paths, asked through the commands that every generation of Nix has.

``nix-store --dump-db`` prints the same format from 2.3 to 2.34 but no content address; ``nix path-info --json`` has it,
in a shape of its own in each generation. Neither takes a lock that a running garbage collection holds.
"""

from __future__ import annotations

import errno
import json
import os
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from hook.errors import BuilderCode, Cause, Trouble
from nixcache.errors import PermanentError
from nixcache.hashes import Hash
from nixcache.store_path import StoreDir, StorePath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

CHUNK_SIZE: Final = 1024 * 1024
"""Bytes of a NAR handed on at once."""
_EXHAUSTED: Final = frozenset((errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE))
PATHS_PER_CALL: Final = 500
"""Arguments of one command; 500 of the longest store paths are far below the kernel's limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathInfo:
    """What Nix's database says of a valid store path. ``references`` may hold the path itself."""

    store_path: StorePath
    nar_hash: Hash
    nar_size: int
    references: tuple[StorePath, ...]
    deriver: StorePath | None


class NixStore:
    """The local store. Without ``bin_dir``, Nix's programs are looked up on ``PATH``."""

    def __init__(
        self, store_dir: StoreDir, *, bin_dir: Path | None = None, paths_per_call: int = PATHS_PER_CALL
    ) -> None:
        self.store_dir = store_dir
        self._paths_per_call = paths_per_call
        self._bin_dir = bin_dir
        # Of `nix path-info --json`: required from some future version on, unknown before 2.33.
        self._json_format: tuple[str, ...] = ("--json-format", "1")

    def infos(self, paths: Iterable[StorePath]) -> dict[StorePath, PathInfo]:
        """Return what is known of ``paths``; those that are not valid (any more) are left out."""
        infos: dict[StorePath, PathInfo] = {}
        for batch in self._batches(paths):
            try:
                infos |= self._dump_db(batch)
            except _CommandFailedError:
                # One path that is gone fails the whole call: ask one by one, to know which.
                for path in batch:
                    try:
                        infos |= self._dump_db([path])
                    except _CommandFailedError as error:
                        if "is not valid" not in error.said:
                            raise
        return infos

    def content_addresses(self, paths: Iterable[StorePath]) -> dict[StorePath, str]:
        """Return the content address, as Nix writes it, of those among ``paths`` that have one."""
        return {
            self.store_dir.parse(path): ca
            for batch in self._batches(paths)
            for path, ca in self._path_info(batch)
            if ca
        }

    def outputs(self, drv_path: StorePath) -> list[StorePath]:
        """Return the outputs of a derivation that was built.

        The second question is for the floating content-addressed derivations of Nix 2.8, which only answers that one.
        """
        full = self.store_dir.render(drv_path)
        try:
            said = self._run("nix-store", "--query", "--outputs", full)
        except _CommandFailedError:
            said = self._run("nix", "path-info", full)
        return [path for path in map(self.store_dir.parse, said.decode().splitlines()) if path != drv_path]

    @contextmanager
    def dump(self, path: StorePath) -> Iterator[Iterator[bytes]]:
        """Give the NAR of ``path`` in chunks. Its end is only proven when the iterator is exhausted.

        Raises :class:`PermanentError` (``path-vanished``) and :class:`DumpFailedError` from the iterator.
        """
        full = self.store_dir.render(path)
        # A session of its own: Ctrl-C on a terminal must reach us alone, or the dump would look cut short.
        with self._start("nix-store", "--dump", full, new_session=True) as process:
            yield _chunks(process, full)

    def _dump_db(self, paths: list[StorePath]) -> dict[StorePath, PathInfo]:
        said = self._run("nix-store", "--dump-db", *map(self.store_dir.render, paths))
        return {info.store_path: info for info in _parse_dump_db(said, self.store_dir)}

    def _path_info(self, paths: list[StorePath]) -> list[tuple[str, str | None]]:
        """Return the full paths with their ``ca``, from whichever JSON this Nix prints."""
        arguments = [self.store_dir.render(path) for path in paths]
        try:
            said = self._run("nix", "path-info", "--json", *self._json_format, *arguments)
        except _CommandFailedError as error:
            if not self._json_format or "unrecognised flag" not in error.said:
                raise
            self._json_format = ()
            said = self._run("nix", "path-info", "--json", *arguments)
        try:
            document: Any = json.loads(said)
            # Nix up to 2.18 prints a list of objects, later ones an object of objects (null: not valid any more).
            items = [(item["path"], item) for item in document] if isinstance(document, list) else document.items()
            return [(path, item.get("ca")) for path, item in items if item is not None]
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise _unknown_output("nix path-info --json", repr(error)) from error

    def _batches(self, paths: Iterable[StorePath]) -> Iterator[list[StorePath]]:
        iterator = iter(paths)
        while batch := list(islice(iterator, self._paths_per_call)):
            yield batch

    def _run(self, program: str, *arguments: str) -> bytes:
        with self._start(program, *arguments) as process:
            said, complaint = process.communicate()
        if process.returncode:
            raise _CommandFailedError(f"{program} {arguments[0]}", complaint)
        return said

    def _start(self, program: str, *arguments: str, new_session: bool = False) -> subprocess.Popen[bytes]:
        settings = f"{os.environ.get('NIX_CONFIG', '')}\nextra-experimental-features = nix-command"
        try:
            return subprocess.Popen(
                [str(self._bin_dir / program) if self._bin_dir else program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, "NIX_CONFIG": settings},
                start_new_session=new_session,
            )
        except OSError as error:
            # Transient: nothing is wrong with what is queued, and it goes on once Nix can be started.
            raise Trouble(
                Cause.MACHINE,
                f"{program} cannot be started from {self._bin_dir or 'PATH'}: {error.strerror}.",
                remedy="Check how much memory, how many processes and how many open files this user may have."
                if error.errno in _EXHAUSTED
                else "Set nix_bin_dir to the directory that holds Nix's programs.",
            ) from error


class _CommandFailedError(PermanentError):
    """A Nix command ended with an error; ``said`` is its complaint."""

    def __init__(self, command: str, complaint: bytes) -> None:
        self.said = " ".join(complaint.decode(errors="replace").split())
        super().__init__(
            BuilderCode.NIX_FAILED, f"{command} failed: {self.said[-500:]}.", remedy="Try that command by hand."
        )


class DumpFailedError(Trouble):
    """The dump of one path ended too early although the path is there; it says nothing of other paths."""

    def __init__(self, problem: str, *, remedy: str = "") -> None:
        """Remember what is wrong, and what to do about it."""
        super().__init__(Cause.MACHINE, problem, remedy=remedy)


def _chunks(process: subprocess.Popen[bytes], full_path: str) -> Iterator[bytes]:
    assert process.stdout is not None  # noqa: S101 - started with a pipe
    assert process.stderr is not None  # noqa: S101 - the same
    while chunk := process.stdout.read(CHUNK_SIZE):
        yield chunk
    complaint = process.stderr.read()
    if process.wait() == 0:
        return
    if not os.path.lexists(full_path):
        raise vanished(full_path)
    # Killed (by the kernel for its memory, at a shutdown) or replaced in mid-dump: the path is not to blame, and a
    # refusal would let go of its root. Nix exits with 1 for a SIGTERM too, so no exit code tells these apart.
    said = " ".join(complaint.decode(errors="replace").split())[-500:] or f"exit code {process.returncode}"
    raise DumpFailedError(
        f"nix-store --dump {full_path} failed: {said}.", remedy="Try that command by hand, should it fail every time."
    )


def vanished(full_path: str) -> PermanentError:
    """Return the error for a store path that is not there (any more)."""
    return PermanentError(
        BuilderCode.PATH_VANISHED,
        f"{full_path} is not in the store (any more).",
        remedy="Build it again; was its root below gcroots/assay removed by hand?",
    )


def _parse_dump_db(said: bytes, store_dir: StoreDir) -> Iterator[PathInfo]:
    """Read ``path, hash in base 16, size, deriver or nothing, number of references, references``, a line each.

    That is what src/nix-store/nix-store.cc (opDumpDB) and LocalStore's ``--load-db`` agree on.
    """
    lines = iter(said.decode().split("\n")[:-1])
    try:
        for path in lines:
            nar_hash, nar_size, deriver, count = next(lines), next(lines), next(lines), int(next(lines))
            references = [next(lines) for _ in range(count)]
            yield PathInfo(
                store_path=store_dir.parse(path),
                nar_hash=Hash.parse(f"sha256:{nar_hash}"),
                nar_size=int(nar_size),
                references=tuple(sorted(map(store_dir.parse, references))),
                deriver=store_dir.parse(deriver) if deriver else None,
            )
    except (StopIteration, ValueError, PermanentError) as error:
        raise _unknown_output("nix-store --dump-db", str(error) or "it ends too early") from error


def _unknown_output(command: str, problem: str) -> PermanentError:
    return PermanentError(
        BuilderCode.NIX_OUTPUT_UNKNOWN,
        f"{command} printed something that this version cannot read: {problem[:300]}.",
        remedy="Report it with the output of `nix --version`.",
    )
