"""The hook in real builds: queues, roots, and never fails one (I9)."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hook import post_build
from hook.post_build import LOG_NAME, MAX_LINE_LENGTH, MAX_LOG_SIZE, SPOOL_NEW, SPOOL_TMP, gc_roots_dir
from hook.queue import spool
from hook.queue.queue import Queue
from hook.report import Report
from nixcache.store_path import StoreDir, StorePath
from tests.hook.builder import Builder
from tests.hook.nix import FLOATING, Nix, derivation

_HOOK = [sys.executable, "-I", "-S", post_build.__file__]
_STORE_PATH = "/nix/store/00000000000000000000000000000000-x"


def _run_hook(state_dir: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the hook as Nix does: with its own variables, and as a single file."""
    environment = {
        "PATH": os.environ["PATH"],
        "ASSAY_STATE_DIR": str(state_dir),
        "NIX_STATE_DIR": str(state_dir / "nix"),
        **variables,
    }
    return subprocess.run(_HOOK, env=environment, capture_output=True, text=True, check=False, cwd="/")


def _spooled(state_dir: Path, store_dir: StoreDir) -> list[spool.SpoolEntry]:
    files = sorted((state_dir / SPOOL_NEW).iterdir())
    return [spool.parse(file.read_bytes(), store_dir) for file in files]


def test_i9_a_build_queues_each_output_and_garbage_collection_leaves_it_alone(builder: Builder) -> None:
    nix = builder.nix
    dep = derivation("dep", "echo hello > $out")
    top = derivation("top", "echo ${dep} > $out; echo $out > $dev; echo doc > $doc", outputs="out dev doc")
    built = nix.build(f"let dep = {dep}; top = {top}; in [ top top.dev top.doc dep ]", hook=builder.install_hook())
    assert set(builder.entries()) == set(built)
    assert len(built) == 4
    nix.collect_garbage()
    assert [path for path in built if not nix.has(path)] == []


def test_without_a_hook_the_same_garbage_collection_takes_it(nix: Nix) -> None:
    (path,) = nix.build(derivation("unrooted", "echo hello > $out"))
    nix.collect_garbage()
    assert not nix.has(path)


def test_every_character_that_a_name_may_have_reaches_the_queue(builder: Builder) -> None:
    name = "0aZ+-._?="
    (path,) = builder.nix.build(derivation(name, "echo hello > $out"), hook=builder.install_hook())
    assert path.name == name
    assert set(builder.entries()) == {path}


def test_floating_content_addressed_outputs_are_queued_although_nix_names_them_nowhere(builder: Builder) -> None:
    """Nix 2.8 leaves OUT_PATHS empty, and its `nix-store --query --outputs` fails for these."""
    dep = derivation("dep", "echo hello > $out", more=FLOATING)
    top = derivation("top", "echo ${dep} > $out; echo > $dev", outputs="out dev", more=FLOATING)
    built = builder.nix.build(f"let dep = {dep}; top = {top}; in [ dep top top.dev ]", hook=builder.install_hook())
    assert set(builder.entries()) == set(built)
    assert not (builder.state_dir / LOG_NAME).exists()


def test_parallel_builds_are_all_queued(builder: Builder) -> None:
    one = derivation("many-${toString n}", "echo ${toString n} > $out")
    built = builder.nix.build(f"builtins.genList (n: {one}) 24", hook=builder.install_hook(), jobs=4)
    assert set(builder.entries()) == set(built)
    assert len(built) == 24


def test_hooks_that_run_at_once_write_one_whole_entry_each(tmp_path: Path) -> None:
    store_dir = StoreDir("/nix/store")
    paths = [f"/nix/store/{number:032d}-x" for number in range(1, 41)]

    def run(path: str) -> subprocess.CompletedProcess[str]:
        return _run_hook(tmp_path, DRV_PATH=f"{path}.drv", OUT_PATHS=path)

    with ThreadPoolExecutor(8) as pool:
        assert [(ended.returncode, ended.stderr) for ended in pool.map(run, paths)] == [(0, "")] * 40
    queued = [store_dir.render(path) for entry in _spooled(tmp_path, store_dir) for path in entry.paths]
    assert sorted(queued) == paths
    assert list((tmp_path / SPOOL_TMP).iterdir()) == []


def test_several_outputs_are_one_entry(tmp_path: Path) -> None:
    ended = _run_hook(
        tmp_path,
        DRV_PATH=f"{_STORE_PATH}.drv",
        OUT_PATHS=f"{_STORE_PATH} {_STORE_PATH}-dev",
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    (entry,) = _spooled(tmp_path, StoreDir("/nix/store"))
    assert [path.name for path in entry.paths] == ["x", "x-dev"]
    assert entry.drv_path
    assert entry.drv_path.name == "x.drv"


@pytest.mark.parametrize(
    "broken",
    [
        "state_dir_is_a_file",
        "state_dir_is_read_only",
        "spool_is_a_file",
        "no_gc_roots_at_all",
        "no_byte_may_be_written",
    ],
)
def test_i9_whatever_is_wrong_with_the_state_directory_the_build_succeeds_and_says_so(
    builder: Builder, broken: str
) -> None:
    nix = builder.nix
    hook = builder.install_hook()
    match broken:
        case "state_dir_is_a_file":
            builder.state_dir.write_text("")
        case "state_dir_is_read_only":
            # Read-only even to root, whom permission bits do not stop.
            hook.write_text(hook.read_text().replace(str(builder.state_dir), "/proc/assay"))
        case "spool_is_a_file":
            builder.state_dir.mkdir()
            (builder.state_dir / "spool").write_text("")
        case "no_gc_roots_at_all":
            # Neither a link below gcroots, nor nix-store --add-root.
            (nix.state_dir / "gcroots").mkdir()
            (nix.state_dir / "gcroots" / "assay").write_text("")
            builder.state_dir.mkdir()
            (builder.state_dir / "roots").write_text("")
        case _:
            lines = hook.read_text().splitlines()
            hook.write_text("\n".join([lines[0], "ulimit -f 0", *lines[1:]]) + "\n")
    said = nix.run(
        "nix-build", "--no-out-link", "--option", "post-build-hook", str(hook), "-E", derivation("x", "echo 1 > $out")
    )
    assert nix.has(nix.store_dir.parse(said.stdout.strip()))
    assert "post-build-hook: assay: " in said.stderr
    assert "Traceback" not in said.stderr


def test_i9_a_full_disk_is_one_line_and_leaves_no_half_written_entry(tmp_path: Path) -> None:
    """The limit on a file's size stands in for the full disk: the same failure, at the same write."""

    def no_byte_more() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    for directory in (SPOOL_NEW, SPOOL_TMP):
        (tmp_path / directory).mkdir(parents=True)
    ended = subprocess.run(
        _HOOK,
        env={
            "ASSAY_STATE_DIR": str(tmp_path),
            "DRV_PATH": f"{_STORE_PATH}.drv",
            "OUT_PATHS": _STORE_PATH,
            "NIX_STATE_DIR": str(tmp_path / "nix"),
        },
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=no_byte_more,
    )
    assert ended.returncode == 0
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("assay: File too large")
    assert list((tmp_path / SPOOL_NEW).iterdir()) == list((tmp_path / SPOOL_TMP).iterdir()) == []


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"DRV_PATH": "", "OUT_PATHS": _STORE_PATH},
        {"DRV_PATH": f"{_STORE_PATH}.drv", "OUT_PATHS": "/etc/passwd"},
        {"DRV_PATH": f"{_STORE_PATH}.drv", "OUT_PATHS": f"{_STORE_PATH} $(touch /tmp/x)"},
        {"DRV_PATH": f"{_STORE_PATH}.drv", "OUT_PATHS": f"{_STORE_PATH}\npath {_STORE_PATH}"},
        {"DRV_PATH": f"{_STORE_PATH}.drv", "OUT_PATHS": f"{_STORE_PATH}\n{_STORE_PATH}"},
        {"DRV_PATH": f"{_STORE_PATH}.drv", "OUT_PATHS": f"{_STORE_PATH}*"},
        {"DRV_PATH": f"{_STORE_PATH}.drv", "OUT_PATHS": f"{_STORE_PATH}/bin"},
        {"DRV_PATH": f"{_STORE_PATH}.drv", "OUT_PATHS": "relative/00000000000000000000000000000000-x"},
        {"DRV_PATH": f"{_STORE_PATH}.drv", "OUT_PATHS": "/nix/store/" + "e" * 32 + "-x"},
        {"DRV_PATH": "/nix/store/\udcff", "OUT_PATHS": _STORE_PATH},
    ],
)
def test_variables_that_nix_never_sets_queue_nothing_and_exit_0(tmp_path: Path, variables: dict[str, str]) -> None:
    ended = _run_hook(tmp_path, NIX_STATE_DIR=str(tmp_path / "nix"), **variables)
    assert ended.returncode == 0
    assert ended.stderr.startswith("assay: ")
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / SPOOL_NEW).exists()
    assert ended.stderr in (tmp_path / LOG_NAME).read_text()


def test_i9_directories_that_are_new_are_synced_into_their_parents_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power loss takes the first entry with its directory; afterwards the hook pays for nothing more."""
    synced: list[Path] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    monkeypatch.setenv("NIX_STATE_DIR", str(tmp_path / "nix"))
    state_dir, roots = tmp_path / "var" / "assay", Path(gc_roots_dir(str(tmp_path / "var" / "assay")))
    post_build.enqueue(str(state_dir), [_STORE_PATH])
    new_directories = (state_dir.parent, state_dir, state_dir / "spool", state_dir / SPOOL_NEW, roots.parent, roots)
    assert {directory.parent for directory in new_directories} <= set(synced)
    synced.clear()
    post_build.enqueue(str(state_dir), [f"{_STORE_PATH}-dev"])
    assert synced[0].parent == state_dir / SPOOL_NEW, "the entry, which is in its place by then"
    assert synced[1:] == [roots, state_dir / SPOOL_NEW]


def test_outputs_that_cannot_be_told_now_are_queued_by_their_derivation(tmp_path: Path) -> None:
    """No nix-store on PATH, and OUT_PATHS empty as Nix 2.8.0 leaves it."""
    ended = _run_hook(tmp_path, DRV_PATH=f"{_STORE_PATH}.drv", OUT_PATHS="", PATH="/nonexistent")
    assert (ended.returncode, ended.stderr) == (0, "")
    (entry,) = _spooled(tmp_path, StoreDir("/nix/store"))
    assert entry.paths == ()
    assert entry.drv_path


def test_where_the_derivation_names_its_outputs_nix_is_not_even_asked(builder: Builder) -> None:
    """Nix 2.8.0 passes an empty OUT_PATHS; here the hook can start no program at all."""
    drv, built = _built(builder, derivation("x", "echo 1 > $out; echo 2 > $dev", outputs="out dev"))
    assert _run_hook(builder.state_dir, DRV_PATH=drv, OUT_PATHS="", PATH="/nonexistent").returncode == 0
    assert set(builder.entries()) == set(built)


@pytest.mark.usefixtures("judging")
def test_an_entry_without_paths_gets_them_from_nix_when_it_is_taken_in(builder: Builder) -> None:
    drv, built = _built(builder, derivation("late", "echo 1 > $out; echo 2 > $dev", outputs="out dev", more=FLOATING))
    assert _run_hook(builder.state_dir, DRV_PATH=drv, OUT_PATHS="", PATH="/nonexistent").returncode == 0
    assert builder.entries() == {}
    ended = builder.assay("upload", "--once", "--timeout", "60")
    assert (ended.code, ended.err) == (0, "")
    for path in built:
        assert f"published {path.base_name}" in ended.out


def _built(builder: Builder, expression: str) -> tuple[str, list[StorePath]]:
    """Build ``expression`` without a hook; returns its derivation and all its outputs."""
    nix = builder.nix
    drv = nix.run("nix-instantiate", "-E", expression).stdout.strip()
    return drv, nix.build(f"let x = {expression}; in builtins.map (output: builtins.getAttr output x) x.outputs")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Derive(",
        'Derive([("out","","r:sha256","")],[',
        'Derive([("out","/etc/passwd","","")],[',
        'Derive([("out","{path}","","")]',
        'Derive([("out","{path}","","","")],[',
        'Derive([("out","{path}","",""),("dev","","r:sha256","")],[',
        'DrvWithVersion("xp",[("out","{path}","","")],[',
        "\udcff\0",
    ],
)
def test_a_derivation_of_another_shape_tells_nothing(tmp_path: Path, text: str) -> None:
    built, drv = tmp_path / f"{'0' * 32}-x", tmp_path / f"{'0' * 32}-x.drv"
    built.write_text("")
    drv.write_text(text.replace("{path}", str(built)), errors="surrogateescape")
    ended = _run_hook(tmp_path / "assay", DRV_PATH=str(drv), OUT_PATHS="", PATH="/nonexistent")
    assert (ended.returncode, ended.stderr) == (0, "")
    (entry,) = _spooled(tmp_path / "assay", StoreDir(str(tmp_path)))
    assert entry.paths == ()


def test_outputs_that_the_derivation_names_but_nobody_built_are_not_queued(tmp_path: Path) -> None:
    built, drv = tmp_path / f"{'0' * 32}-x", tmp_path / f"{'0' * 32}-x.drv"
    built.write_text("")
    drv.write_text(f'Derive([("doc","{built}-doc","",""),("out","{built}","","")],[],[],"x86_64-linux"')
    assert _run_hook(tmp_path / "assay", DRV_PATH=str(drv), OUT_PATHS="").returncode == 0
    (entry,) = _spooled(tmp_path / "assay", StoreDir(str(tmp_path)))
    assert [path.name for path in entry.paths] == ["x"]


def test_where_gcroots_is_not_ours_to_write_the_daemon_is_asked_for_an_indirect_root(builder: Builder) -> None:
    nix = builder.nix
    (path,) = nix.build(derivation("x", "echo 1 > $out"))
    # To root no directory is closed, but a file in its place is.
    (nix.state_dir / "gcroots" / "assay").write_text("")
    post_build.add_gc_root(str(builder.state_dir), nix.full(path))
    nix.collect_garbage()
    assert nix.has(path)
    (builder.state_dir / "roots" / path.base_name).unlink()
    nix.collect_garbage()
    assert not nix.has(path)


def test_the_hook_loads_nothing_that_costs() -> None:
    """Each of these would be waited for by every build; the interpreter's own start already has the rest."""
    directory = str(Path(post_build.__file__).parent)
    program = f"import sys; sys.path.append({directory!r}); import post_build; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)
    bare = subprocess.run(
        [sys.executable, "-I", "-S", "-c", "import sys, os; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(said.stdout.split()) - set(bare.stdout.split()) == {"post_build"}


def test_two_queues_that_share_a_store_never_share_a_root(nix: Nix) -> None:
    directories = {gc_roots_dir(directory) for directory in ("/a/b-c", "/a/b/c", "/a-b/c", "/a\\x2db/c", "/a/b/c/d")}
    assert len(directories) == 5
    assert gc_roots_dir("/var/lib/assay") == f"{nix.state_dir}/gcroots/assay/var-lib-assay"
    assert gc_roots_dir("/var/lib/assay/") == gc_roots_dir("/var/lib/assay")


def test_a_hook_that_always_fails_does_not_fill_the_disk_with_saying_so(tmp_path: Path) -> None:
    log = tmp_path / LOG_NAME
    log.write_bytes(b"x" * MAX_LOG_SIZE)
    for _ in range(2):
        assert _run_hook(tmp_path).returncode == 0
    assert log.stat().st_size < 1000
    assert (tmp_path / f"{LOG_NAME}.old").stat().st_size < MAX_LOG_SIZE + 1000


def test_one_line_of_the_log_is_bounded_whatever_the_hook_was_given(tmp_path: Path) -> None:
    ended = _run_hook(tmp_path, DRV_PATH=f"{_STORE_PATH}.drv", OUT_PATHS="x" * 100_000)
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)
    assert len(ended.stderr) <= MAX_LINE_LENGTH + 1
    assert (tmp_path / LOG_NAME).stat().st_size < MAX_LINE_LENGTH + 100


@pytest.mark.parametrize("out_paths", [_STORE_PATH, ""])
def test_i9_a_hook_with_nothing_to_read_from_or_write_to_does_its_work(tmp_path: Path, out_paths: str) -> None:
    """What it opens then gets the numbers of the standard streams."""
    ended = subprocess.run(
        ["/bin/sh", "-c", 'exec "$@" 0<&- 1>&- 2>&-', "sh", *_HOOK],
        env={
            "PATH": "/nonexistent",
            "ASSAY_STATE_DIR": str(tmp_path),
            "NIX_STATE_DIR": str(tmp_path / "nix"),
            "DRV_PATH": f"{_STORE_PATH}.drv",
            "OUT_PATHS": out_paths,
        },
        check=False,
    )
    assert ended.returncode == 0
    (entry,) = _spooled(tmp_path, StoreDir("/nix/store"))
    assert [path.name for path in entry.paths] == (["x"] if out_paths else [])


def test_the_same_path_built_again_is_queued_once_more_and_is_one_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`nix-build --check` runs the hook again since Nix 2.33."""
    for _ in range(2):
        assert _run_hook(tmp_path, DRV_PATH=f"{_STORE_PATH}.drv", OUT_PATHS=_STORE_PATH).stderr == ""
    queue = Queue(tmp_path, StoreDir("/nix/store"), report=Report())
    with queue.owned():
        monkeypatch.setattr(queue, "root", lambda _: None)  # there is no such path
        assert queue.take_in(lambda _: []) == 2
        assert queue.counts()["queued"] == 1


def test_the_log_is_not_written_through_a_symlink(tmp_path: Path) -> None:
    """The hook runs as root: a link planted in its state directory must not lead it elsewhere."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / LOG_NAME).symlink_to(victim)
    assert _run_hook(tmp_path).returncode == 0
    assert victim.read_text() == "mine"


def test_the_script_survives_odd_directories(builder: Builder, tmp_path: Path) -> None:
    odd = tmp_path / 'it\'s $HOME; a "dir"'
    builder.configure(ASSAY_STATE_DIR=str(odd))
    (path,) = builder.nix.build(derivation("x", "echo 1 > $out"), hook=builder.install_hook())
    (entry,) = _spooled(odd, builder.nix.store_dir)
    assert entry.paths == (path,)


def test_i9_the_script_exits_0_even_when_python_is_gone(builder: Builder) -> None:
    hook = builder.install_hook()
    hook.write_text(hook.read_text().replace(sys.executable, "/nonexistent/python"))
    said = builder.nix.run(
        "nix-build", "--no-out-link", "--option", "post-build-hook", str(hook), "-E", derivation("x", "echo 1 > $out")
    )
    assert "assay: the hook cannot start" in said.stderr
    nobody_listens = ["/bin/sh", "-c", 'exec "$0" 2>&-', str(hook)]
    assert subprocess.run(nobody_listens, check=False).returncode == 0, "not even the complaint can fail a build"


def test_i9_a_nix_that_hangs_does_not_hang_the_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "hangs"
    # With the pipe open, and with it closed.
    program.write_text('#!/bin/sh\nif [ "$1" = closed ]; then exec >&-; fi\nexec sleep 600\n')
    program.chmod(0o755)
    monkeypatch.setenv("ASSAY_NIX_BIN_DIR", str(tmp_path))
    monkeypatch.setattr(post_build, "PROGRAM_SECONDS", 0.2)
    started: list[int] = []
    spawn = os.posix_spawnp

    def noted(*arguments: object, **options: object) -> int:
        started.append(spawn(*arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(os, "posix_spawnp", noted)
    for state in ("open", "closed"):
        assert post_build._run("hangs", state) is None
        with pytest.raises(ProcessLookupError):
            os.kill(started[-1], 0)


def test_i9_a_root_that_goes_while_its_path_is_queued_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The uploader lets go of what is left of a refusal, just after the hook took it for its own root."""
    monkeypatch.setenv("NIX_STATE_DIR", str(tmp_path / "nix"))
    state_dir = tmp_path / "assay"
    post_build.add_gc_root(str(state_dir), _STORE_PATH)
    link = Path(gc_roots_dir(str(state_dir))) / _STORE_PATH.rpartition("/")[2]
    rename = os.rename

    def just_before(source: str, target: str) -> None:
        link.unlink()
        rename(source, target)

    monkeypatch.setattr(os, "rename", just_before)
    post_build.enqueue(str(state_dir), [_STORE_PATH])
    assert str(link.readlink()) == _STORE_PATH


def test_directories_are_for_their_owner_to_write_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        post_build.make_directory(str(tmp_path / "a" / "b"))
    finally:
        os.umask(before)
    assert [(tmp_path / name).stat().st_mode & 0o777 for name in ("a", "a/b")] == [0o755] * 2
