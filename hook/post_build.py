"""Nix's post-build hook: root what was built, write one durable spool entry, exit 0.

It runs in Nix's build loop, serialised with every other build, and a failing hook fails the build *and is never run
again for that path* (src/libstore/build/derivation-goal.cc). So this file is complete in itself and imports nothing
that costs. It is started as ``python3 -I -S post_build.py``, or a little faster by the script that ``assay
hook-script`` writes. It reads ``DRV_PATH`` and ``OUT_PATHS`` (set by Nix; Nix 2.8.0 leaves ``OUT_PATHS`` empty),
``ASSAY_STATE_DIR`` and ``ASSAY_NIX_BIN_DIR`` (baked into that script, because a daemon's hook sees no client variables)
and ``NIX_STATE_DIR``.
"""

# pathlib and contextlib each cost milliseconds that every build would wait for, and even __future__ half of one:
# ruff: noqa: PTH100, PTH102, PTH104, PTH108, PTH112, PTH120, PTH123, PTH211, SIM105

import os
import time

DEFAULT_STATE_DIR = "/var/lib/assay"
DEFAULT_NIX_STATE_DIR = "/nix/var/nix"
SPOOL_HEADER = "assay-spool 1"
"""First line of a spool entry; then ``drv`` (at most one) and ``path`` lines; last ``end``, which proves it whole."""
SPOOL_NEW = "spool/new"
SPOOL_TMP = "spool/tmp"
INDIRECT_ROOTS = "roots"
LOG_NAME = "hook.log"
MAX_LOG_SIZE = 1024 * 1024
"""Bytes. A hook that fails at every build of a large closure must not fill the disk with saying so."""
MAX_LINE_LENGTH = 2000
"""Characters of one line there: what Nix passes may be a hundred times longer, and comes back in the message."""

PROGRAM_SECONDS = 30.0
"""How long a program of Nix may take. A build waits for it, and its daemon may hang."""

_HASH_PART_LENGTH = 32
_PAUSE_SECONDS = 0.002
_HASH_PART = frozenset("0123456789abcdfghijklmnpqrsvwxyz")
_NAME = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+-._?=")


def run() -> None:
    """Be the hook: work, and exit 0 without the interpreter's own shutdown, which takes milliseconds."""
    main()
    os._exit(0)


def main() -> None:
    """Do the hook's work; whatever goes wrong is logged, never raised."""
    environ = os.environ
    state_dir = environ.get("ASSAY_STATE_DIR") or DEFAULT_STATE_DIR
    try:
        drv_path = environ.get("DRV_PATH", "")
        # Only spaces separate: Nix joins the paths with one, and no other white space may cut one in two.
        paths = [path for path in environ.get("OUT_PATHS", "").split(" ") if path] or _query_outputs(drv_path)
        enqueue(state_dir, paths, drv_path=drv_path)
    except Exception as error:  # noqa: BLE001 - I9: a build never fails because of Assay
        report(state_dir, describe(error))


def enqueue(state_dir: str, paths: list[str], *, drv_path: str | None = None) -> None:
    """Root ``paths`` (full store paths) and write one spool entry that survives power loss once this returns.

    With no path at all, the entry holds the derivation alone, and the uploader asks Nix again later: Nix 2.8.0 cannot
    tell the outputs of a floating content-addressed derivation while its hook runs. A root that cannot be made is
    reported, and the path queued all the same. Raises ValueError and OSError.
    """
    for path in [drv_path, *paths] if drv_path is not None else paths:
        if not is_store_path(path):
            raise ValueError(f"{path!r} is no store path; nothing was queued. Only Nix should start this hook.")
    rooted: dict[str, str] = {}
    for path in paths:
        _root(state_dir, path, rooted)
    lines = [SPOOL_HEADER, *([f"drv {drv_path}"] if drv_path else []), *(f"path {path}" for path in paths), "end", ""]
    name = f"{time.time_ns()}-{os.getpid()}-{os.urandom(4).hex()}"
    tmp, new = f"{state_dir}/{SPOOL_TMP}/{name}", f"{state_dir}/{SPOOL_NEW}/{name}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(tmp, flags, 0o644)
    except FileNotFoundError:
        # In this order: a hook that runs at the same time and finds the one for writing may rename into the other.
        for directory in (SPOOL_NEW, SPOOL_TMP):
            make_directory(f"{state_dir}/{directory}")
        descriptor = os.open(tmp, flags, 0o644)
    try:
        try:
            data = "\n".join(lines).encode()
            while data:
                data = data[os.write(descriptor, data) :]
            os.rename(tmp, new)
        except OSError:
            os.unlink(tmp)
            raise
        _root_what_was_let_go(state_dir, rooted)
        # All of it is made before any of it is synced: a journalling file system then writes once, which is what every
        # build waits for. Should the power go in between, the last line tells a torn entry, and the hook had not ended.
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    for directory in (*dict.fromkeys(rooted.values()), f"{state_dir}/{SPOOL_NEW}"):
        sync_directory(directory)


def _root(state_dir: str, path: str, rooted: dict[str, str]) -> None:
    """Root ``path`` and note in which directory; a root that cannot be made is reported."""
    try:
        rooted[path] = link_gc_root(state_dir, path)
    except OSError as error:
        report(state_dir, f"{path} is queued, but garbage collection may take it: {describe(error)}")


def _root_what_was_let_go(state_dir: str, rooted: dict[str, str]) -> None:
    """Root again what has no root any more, now that the spool entry is there.

    A root that was met may have been an old one, which the uploader lets go unless it sees that entry.
    """
    for path, directory in list(rooted.items()):
        if not os.path.lexists(f"{directory}/{path.rpartition('/')[2]}"):
            _root(state_dir, path, rooted)


def is_store_path(path: str) -> bool:
    """Whether ``path`` looks like ``/<store dir>/<hash part>-<name>``; the uploader parses it strictly later."""
    directory, _, base = path.rpartition("/")
    return (
        directory.startswith("/")
        and not any(character < "!" for character in directory)
        and base[_HASH_PART_LENGTH : _HASH_PART_LENGTH + 1] == "-"
        and _HASH_PART_LENGTH + 1 < len(base) <= 255  # noqa: PLR2004 - a file name's length
        and _HASH_PART.issuperset(base[:_HASH_PART_LENGTH])
        and _NAME.issuperset(base[_HASH_PART_LENGTH:])
    )


def gc_roots_dir(state_dir: str) -> str:
    """Return the directory for this queue's own roots, below Nix's ``gcroots``.

    It carries the state dir's name (escaped as systemd escapes a path), so that two queues that share a store never let
    go of each other's roots.
    """
    escaped = os.path.abspath(state_dir).strip("/").replace("\\", "\\x5c").replace("-", "\\x2d").replace("/", "-")
    return f"{os.environ.get('NIX_STATE_DIR') or DEFAULT_NIX_STATE_DIR}/gcroots/assay/{escaped}"


def add_gc_root(state_dir: str, path: str) -> None:
    """Make ``path`` survive garbage collection and power loss; raises OSError."""
    sync_directory(link_gc_root(state_dir, path))


def link_gc_root(state_dir: str, path: str) -> str:
    """Make ``path`` survive garbage collection, and, once the directory that is returned is synced, power loss, too.

    Raises OSError. A symlink below ``gcroots`` costs no process. Where that directory is not ours to write (an ordinary
    user of a daemon), ``nix-store --add-root`` has the daemon register a link in the state dir instead.
    """
    directory = gc_roots_dir(state_dir)
    base = path.rpartition("/")[2]
    link = f"{directory}/{base}"
    try:
        try:
            os.symlink(path, link)
        except FileNotFoundError:
            make_directory(directory)
            os.symlink(path, link)
    except FileExistsError:
        return directory
    except OSError as error:
        indirect = f"{os.path.abspath(state_dir)}/{INDIRECT_ROOTS}"
        make_directory(indirect)
        if _run("nix-store", "--add-root", f"{indirect}/{base}", "--indirect", "--realise", path) is None:
            raise OSError(error.errno, f"neither {directory} nor nix-store --add-root took a root") from error
        return indirect
    return directory


def make_directory(path: str) -> None:
    """Make ``path`` and the parents that it lacks, each so that it survives power loss; raises OSError.

    Without that, the first entry of all could be synced into a directory that is gone with the power.
    """
    missing = []
    path = os.path.abspath(path)
    while not os.path.isdir(path):
        missing.append(path)
        path = os.path.dirname(path)
    for directory in reversed(missing):
        try:
            # However lax the umask: who can write here can queue, and make the uploader let go of roots.
            os.mkdir(directory, 0o755)
        except FileExistsError:
            pass
        sync_directory(os.path.dirname(directory))


def sync_directory(path: str) -> None:
    """Make a new name in ``path`` survive power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def report(state_dir: str, problem: str) -> None:
    """Say ``problem`` on standard error (Nix shows it to whoever builds) and in the log; never raises."""
    line = f"assay: {problem}".replace("\n", " ")[:MAX_LINE_LENGTH]
    try:
        os.write(2, f"{line}\n".encode(errors="replace"))
    except OSError:
        pass
    try:
        log = f"{state_dir}/{LOG_NAME}"
        make_directory(state_dir)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o644)
        try:
            stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            os.write(descriptor, f"{stamp} {line}\n".encode(errors="replace"))
            full = os.fstat(descriptor).st_size > MAX_LOG_SIZE
        finally:
            os.close(descriptor)
        if full:
            os.rename(log, f"{log}.old")
    except OSError:
        pass


def describe(error: Exception) -> str:
    """One line: what an OSError of the operating system, or any other exception, means here."""
    if isinstance(error, OSError):
        place = f": {error.filename}" if error.filename else ""
        return f"{error.strerror}{place}. Check the free space and the permissions there."
    return str(error) or type(error).__name__


def _query_outputs(drv_path: str) -> list[str]:
    """Return the outputs of ``drv_path`` that were built; none when nobody can tell now."""
    if not is_store_path(drv_path):
        return []
    paths = _declared_outputs(drv_path)
    if not paths:
        answer = _run("nix-store", "--query", "--outputs", drv_path) or _run("nix", "path-info", drv_path) or b""
        paths = answer.decode().splitlines()
    return [path for path in paths if os.path.lexists(path)]


def _declared_outputs(drv_path: str) -> list[str]:
    """Read the output paths where the derivation's own text names them: 20 ms faster than asking Nix.

    It begins ``Derive([("out","/nix/store/…","",""),…],[`` (src/libstore/derivations.cc); a floating content-addressed
    output has an empty path, and then, as for any other text, the answer is none.
    """
    try:
        with open(drv_path, encoding="ascii", errors="replace") as file:
            head, end, _ = file.read().partition("],[")
    except OSError:
        return []
    if not end or not head.startswith('Derive([("'):
        return []
    fields = [output.split('","') for output in head[len("Derive([(") : -1].split("),(")]
    paths = [field[1] for field in fields if len(field) == 4 and is_store_path(field[1])]  # noqa: PLR2004 - the tuple's length
    return paths if len(paths) == len(fields) else []


def _run(program: str, *arguments: str) -> bytes | None:
    """Return what ``program`` prints, ``None`` when it fails or takes longer than :data:`PROGRAM_SECONDS`.

    Without the subprocess module, which costs 8 ms, and the select module, which is a file of its own to load.
    """
    directory = os.environ.get("ASSAY_NIX_BIN_DIR")
    executable = f"{directory}/{program}" if directory else program
    # path-info belongs to an experimental command set, which a hook may not expect its caller to have enabled.
    settings = f"{os.environ.get('NIX_CONFIG', '')}\nextra-experimental-features = nix-command"
    reading, writing = os.pipe()
    try:
        process = os.posix_spawnp(
            executable,
            [program, *arguments],
            {**os.environ, "NIX_CONFIG": settings},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, writing, 1),
                (os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0),
            ],
        )
    except OSError:
        os.close(reading)
        return None
    finally:
        os.close(writing)
    deadline = time.monotonic() + PROGRAM_SECONDS
    try:
        answer = _read_until(reading, deadline)
    finally:
        os.close(reading)
    status = _ended(process, deadline)
    if status is None:
        os.kill(process, 9)
        # Not for ever: what hangs in the kernel does not even die.
        _ended(process, time.monotonic() + 1)
    return answer if status == 0 else None


def _read_until(pipe: int, deadline: float) -> bytes:
    """Return what comes through ``pipe`` until it ends, or time does."""
    os.set_blocking(pipe, False)
    answer = b""
    while time.monotonic() < deadline:
        try:
            piece = os.read(pipe, 65536)
        except BlockingIOError:
            time.sleep(_PAUSE_SECONDS)
            continue
        if not piece:
            break
        answer += piece
    return answer


def _ended(process: int, deadline: float) -> int | None:
    """Return the status with which ``process`` ended; ``None`` when it has not by then."""
    while True:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() >= deadline:
            return None
        time.sleep(_PAUSE_SECONDS)


if __name__ == "__main__":
    run()
