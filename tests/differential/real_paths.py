"""Store paths that real Nix built: what the cases start from, and what they refer to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nixcache.nar import dump
from nixcache.store_path import StoreDir, StorePath
from tests.nixcache.relocated_nix import RelocatedNix

DERIVATION = """
let lib = derivation {
  name = "lib-1.0";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  outputs = [ "out" "dev" ];
  args = [ "-c" "echo lib > $out; echo header $out > $dev" ];
};
in derivation {
  name = "tool-1.0";
  system = builtins.currentSystem;
  builder = "/bin/sh";
  PATH = "/bin:/usr/bin";
  args = [ "-c" ''
    mkdir -p $out/bin $out/empty
    echo ${lib} $out ${builtins.toFile "text" "hi"} > $out/bin/tool
    chmod +x $out/bin/tool
    ln -s tool $out/bin/alias
    ln -s ${lib} $out/lib
    echo ${lib.dev} > $out/'a "é'
  '' ];
}
"""


@dataclass(frozen=True, slots=True)
class RealPath:
    """A store path, its NAR, and what Nix knows of it."""

    store_dir: StoreDir
    path: StorePath
    nar: bytes
    references: tuple[StorePath, ...]
    deriver: StorePath | None


def build(nix: RelocatedNix) -> list[RealPath]:
    """Let ``nix`` build a small graph, and return its closure, dependencies first; the last refers to all of it."""
    expression = nix.root / "tool.nix"
    expression.write_text(DERIVATION)
    tool = nix.line("nix-build", "--no-out-link", expression)
    return [_read(nix, path) for path in nix.line("nix-store", "-q", "--requisites", tool).split()]


def _read(nix: RelocatedNix, path: str) -> RealPath:
    deriver = nix.line("nix-store", "-q", "--deriver", path)
    return RealPath(
        store_dir=nix.store_dir,
        path=nix.store_dir.parse(path),
        nar=b"".join(dump(Path(path))),
        references=tuple(sorted(map(nix.store_dir.parse, nix.line("nix-store", "-q", "--references", path).split()))),
        deriver=None if deriver == "unknown-deriver" else nix.store_dir.parse(deriver),
    )
