"""Build, hook, uploader, service, substitution: what holds for every generation of Nix, with a daemon and without."""

from __future__ import annotations

import hashlib
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from hook.exit_code import ExitCode
from nixcache.signing import SecretKey
from nixcache.store_path import StorePath
from tests.hook.nix import FLOATING, derivation
from tests.matrix.machine import Machine, wait_until
from tests.matrix.world import World

_APPLICATION = derivation(
    "application",
    "read built < ${tool}; read headers < ${library.dev}; echo ${library} ${source} > $out; echo $out > $doc",
    outputs="out doc",
)
_GRAPH = f"""
let
  source = builtins.toFile "source" "a source";
  tool = {derivation("tool", "echo tool > $out")};
  library = {derivation("library", "echo library > $out; echo headers > $dev", outputs="out dev")};
in {_APPLICATION}.all
"""
"""The library's ``dev`` and the tool are needed to build; the library's ``out`` and the source to run."""


_FLOATING_INPUT = derivation("floating-input", "echo input > $out", more=FLOATING)
_FLOATING = derivation("floating", "echo ${input} > $out", more=FLOATING)
_FIXED_CONTENTS = b"fixed\n"
_FIXED = derivation(
    "fixed",
    "echo fixed > $out",
    more='outputHashMode = "flat"; outputHashAlgo = "sha256";'
    f' outputHash = "{hashlib.sha256(_FIXED_CONTENTS).hexdigest()}";',
)
_SIBLINGS = [derivation(f"sibling-{number}", f"echo {number} > $out") for number in range(6)]
_ODD_NAMES = ("what?", "a=b", "c++", "_.-?=+")
"""``?`` is a glob, and ``=`` an assignment, wherever a name is left unquoted."""


@dataclass(frozen=True)
class Built:
    """What one machine built, went without roots of its own through garbage collection, and uploaded at once."""

    graph: list[StorePath]
    beside_graph: set[StorePath]
    """What building the graph took, and its other outputs."""
    floating: list[StorePath]
    fixed: list[StorePath]
    siblings: list[StorePath]
    odd: list[StorePath]
    beside_failure: list[StorePath]
    spooled: str
    """What was queued when the build with the failure was over."""
    hashes: dict[StorePath, str]
    """NAR hashes, as the builder's Nix has them."""


@pytest.fixture(scope="session")
def built(world: World) -> Built:
    """Build everything, collect garbage, upload."""
    machine = world.machine
    graph = machine.build(_GRAPH)
    floating = machine.build(f"let input = {_FLOATING_INPUT}; in [ {_FLOATING} input ]")
    fixed = machine.build(_FIXED)
    siblings = machine.build(f"[ {' '.join(_SIBLINGS)} ]", "--max-jobs", "4")
    odd = machine.build(f"[ {' '.join(derivation(name, 'echo odd > $out') for name in _ODD_NAMES)} ]")
    good = derivation("good", "echo good > $out")
    machine.fail(f"[ {good} {derivation('bad', 'echo bad > $out; exit 1')} ]", "--keep-going")
    spooled = machine.spooled()
    beside_failure = machine.build(good)
    beside_graph = all_outputs(machine, *graph) - set(graph)
    everything = {*graph, *beside_graph, *floating, *fixed, *siblings, *odd, *beside_failure}
    machine.run("nix-store", "--gc")
    hashes = machine.hashes(everything)
    machine.upload()
    return Built(graph, beside_graph, floating, fixed, siblings, odd, beside_failure, spooled, hashes)


def all_outputs(machine: Machine, *paths: StorePath) -> set[StorePath]:
    """Return every output of what built ``paths``, and of all that took, and the sources."""
    derivers = machine.run("nix-store", "--query", "--deriver", *map(machine.full, paths)).split()
    needed = machine.run("nix-store", "--query", "--requisites", "--include-outputs", *derivers).split()
    return {path for path in map(machine.store_dir.parse, needed) if not path.is_derivation}


def check_published(world: World, *paths: StorePath) -> None:
    """All of ``paths`` are published and signed, and Assay is done with them."""
    assert {path for path in paths if not world.is_signed(path)} == set()
    assert world.machine.queued(paths) == set()


def test_everything_is_published_and_forgotten_by_the_queue(world: World, built: Built) -> None:
    """I4, I6: one upload took all of it."""
    check_published(world, *built.hashes)


def test_every_reader_installs_all_of_it_with_signatures_required(world: World, built: Built) -> None:
    """I4: that Nix and the next, in the same mode, from an empty store, with one substituter and one trusted key."""
    for installation in world.readers:
        with world.reader(installation) as reader:
            reader.run("nix-store", "--realise", *map(reader.full, built.hashes))
            assert reader.hashes(built.hashes) == built.hashes
            reader.run("nix-store", "--verify", "--check-contents")


def test_no_reader_installs_under_another_key(world: World, built: Built) -> None:
    """The control of the one above: what is input-addressed stays outside."""
    key = SecretKey.generate(world.service.deployment.public_key.name).public_key
    with world.reader(world.readers[0], key=key) as reader:
        assert reader.attempt("nix-store", "--realise", reader.full(built.graph[0])).returncode != 0


def test_build_and_runtime_closure_arrive(world: World, built: Built) -> None:
    """I4, I9: every output of every derivation, and the sources, as Nix's own hook test asks."""
    assert {path.name for path in built.graph} == {"application", "application-doc"}
    assert {path.name for path in built.beside_graph} == {"library", "library-dev", "source", "tool"}
    runtime = {*built.graph, *(path for path in built.beside_graph if path.name in {"library", "source"})}
    with world.reader(world.readers[0]) as reader:
        reader.run("nix-store", "--realise", *map(reader.full, built.graph))
        assert reader.closure(*built.graph) == runtime


def test_content_addressed_paths_keep_their_addresses(world: World, built: Built) -> None:
    """A floating one is known when it is built, and not before: Nix 2.8 cannot tell its hook what it is."""
    assert {path.name for path in built.floating} == {"floating", "floating-input"}
    addresses = [world.address(path) for path in [*built.floating, *built.fixed]]
    assert [address.rpartition(":")[0] for address in addresses] == ["fixed:r:sha256", "fixed:r:sha256", "fixed:sha256"]


def test_parallel_builds_all_arrive(world: World, built: Built) -> None:
    """I9: hooks run while other builds do; one uploader takes in what all of them queued."""
    assert len(set(built.siblings)) == len(_SIBLINGS)
    check_published(world, *built.siblings)


def test_names_that_a_shell_would_expand_or_split_arrive(world: World, built: Built) -> None:
    assert tuple(path.name for path in built.odd) == _ODD_NAMES
    check_published(world, *built.odd)


def test_a_build_that_fails_is_not_queued_and_keeps_nothing_else_back(world: World, built: Built) -> None:
    queued = built.spooled
    assert "-good" in queued
    assert "-bad" not in queued
    check_published(world, *built.beside_failure)


def test_what_is_checked_or_built_again_is_not_sent_again(world: World) -> None:
    """Nix runs the hook for ``--check``, too, and for whatever it builds again after garbage collection."""
    machine = world.machine
    expression = derivation("again", "echo again > $out")
    (path,) = machine.build(expression)
    machine.upload()
    assert machine.build(expression, "--check") == [path]
    assert path.base_name in machine.spooled()
    machine.upload()
    machine.run("nix-store", "--delete", machine.full(path))
    assert machine.build(expression) == [path]
    assert path.base_name in machine.spooled()
    machine.upload()
    check_published(world, path)
    assert world.versions(path) == 1


def test_a_hook_without_environment_fails_no_build(world: World) -> None:
    """I9: not even whoever starts it by hand, or a Nix that says nothing, gets an error out of it."""
    before = world.machine.spooled()
    done = subprocess.run([world.machine.hook], env={}, capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0
    assert "nothing was queued" in done.stderr
    assert world.machine.spooled() == before


def test_without_network_builds_go_on_and_garbage_collection_takes_nothing(world: World) -> None:
    """I9: what is queued stays valid, also its closure, until the verdict is in; then it is let go."""
    machine = world.machine
    (path,) = machine.build(
        f"let needed = {derivation('needed-offline', 'echo needed > $out')};"
        f" in {derivation('built-offline', 'echo ${needed} > $out')}"
    )
    closure = machine.closure(path)
    assert len(closure) == 2
    machine.run("nix-store", "--gc")
    assert all(map(machine.has, closure))
    refused = machine.assay("upload", "--once", network=False)
    assert refused.returncode == ExitCode.TROUBLE, refused.stdout + refused.stderr
    assert machine.queued([path]) == {path}
    (later,) = machine.build(derivation("built-while-offline", "echo later > $out"))
    machine.run("nix-store", "--gc")
    assert all(map(machine.has, [*closure, later]))
    machine.upload()
    check_published(world, *closure, later)
    machine.run("nix-store", "--gc")
    assert not any(map(machine.has, [*closure, later]))


def test_an_uploader_beside_the_builds_takes_each_as_it_comes(world: World) -> None:
    """``assay daemon``: nobody has to ask it."""
    machine = world.machine
    built: list[StorePath] = []
    with machine.uploader():
        for number in range(2):
            built.extend(machine.build(derivation(f"beside-{number}", f"echo {number} > $out")))
            wait_until("it is published", partial(world.is_signed, built[-1]))
    machine.upload()  # an uploader that was stopped before it read the verdict leaves that to the next
    check_published(world, *built)


def test_the_hook_is_the_daemons_where_there_is_one(world: World) -> None:
    """The control of all others: a client of a daemon has no hook in its own settings."""
    settings = Path(world.machine.environment["NIX_CONF_DIR"], "nix.conf").read_text()
    assert ("post-build-hook" in settings) is not world.machine.installation.has_daemon
