"""What is built: few large things, and many small ones in the shape of a closure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.contents import large_files, small_files
from bench.trees import tree_of_files, tree_of_size

_MEGABYTE: Final = 1_000_000
# A name of its own for each repetition: what is built once is not built again. Each path mentions two older ones, so
# that the graph is deep and wide at once.
_EXPRESSION: Final = """\
let
  build = name: more: script: derivation ({
    inherit name;
    system = builtins.currentSystem;
    builder = "/bin/sh";
    args = [ "-euc" script ];
    PATH = "/usr/bin:/bin";
  } // more);
  paths = builtins.genList (n: build "tiny-${toString n}" {
    references = map (builtins.elemAt paths) (if n == 0 then [ ] else [ (n / 2) (n - 1 - (n - 1) / 7) ]);
  } "echo $references ${toString n} > $out") COUNT;
in
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """``expression`` is Nix's, a derivation or a list; it makes ``paths`` store paths, and runs ``rounds`` times."""

    name: str
    expression: str
    paths: int
    rounds: int

    @property
    def file_name(self) -> str:
        """The name, for a file."""
        return self.name.replace(" ", "-")

    @property
    def many(self) -> bool:
        """Whether it is many small paths, not a large one."""
        return self.paths > 1


def tiny(count: int, *, rounds: int) -> Load:
    """Return ``count`` paths of one small file each."""
    # n / 2 is n itself for 0 alone, which has no references; (n - 1) - (n - 1) / 7 is always below n.
    expression = _EXPRESSION.replace("COUNT", str(count)) + "paths"
    name = "one tiny path" if count == 1 else f"{count:,} tiny paths"
    return Load(name=name, expression=expression, paths=count, rounds=rounds)


def large(directory: Path, megabytes: int) -> Load:
    """Return one path of large files; ``directory`` is where they wait to be copied."""
    tree = tree_of_size(directory / "large-tree", large_files(directory / "large"), megabytes * _MEGABYTE)
    return _copied(f"one path of {megabytes} MB", "large", tree)


def files(directory: Path, count: int) -> Load:
    """Return one path of ``count`` small files."""
    tree = tree_of_files(directory / "small-tree", small_files(directory / "small"), count)
    return _copied(f"one path of {count:,} files", "small", tree)


def _copied(name: str, derivation: str, tree: Path) -> Load:
    # Followed by nothing that Nix would have to read first: the builder, which has no sandbox, reads the tree itself.
    expression = _EXPRESSION.replace("COUNT", "0") + f'build "{derivation}" {{ }} "cp -r {tree} $out"'
    return Load(name=name, expression=expression, paths=1, rounds=1)
