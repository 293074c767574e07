"""What is built: layers of derivations, with diamonds, several outputs, large files, and some of equal contents."""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nixcache.store_path import StorePath
from tests.hook.nix import Nix

_WIDTH: Final = 12
"""Derivations of a layer."""
_LARGE_EVERY: Final = 100
_SEVERAL_OUTPUTS_EVERY: Final = 9
_EQUAL_CONTENTS_EVERY: Final = 17
_LARGE_SIZE: Final = (20_000_000, 60_000_000)
"""Bytes: several parts of a multipart upload, for they are random."""
_ROUND: Final = 40
"""Derivations that one nix-build is told of; what only it kept alive is garbage when it ends."""


@dataclass(frozen=True, slots=True)
class Planned:
    """A derivation as Nix code, and its outputs' names."""

    name: str
    code: str
    outputs: tuple[str, ...]


class Derivations:
    """``count`` derivations in a file of Nix code; the same ones for the same random numbers."""

    def __init__(self, count: int, rng: random.Random, file: Path) -> None:
        self._file = file
        self.all: list[Planned] = []
        for number in range(count):
            self.all.append(self._plan(number, rng))
        file.write_text("rec {\n" + "".join(f"{of.name} = {of.code};\n" for of in self.all) + "}\n")

    def rounds(self) -> Iterator[list[Planned]]:
        """Yield what is built by one command each, in an order in which references may lie in earlier rounds."""
        for start in range(0, len(self.all), _ROUND):
            yield self.all[start : start + _ROUND]

    def expression(self, planned: list[Planned]) -> str:
        """Return a list of every output of ``planned``."""
        names = " ".join(f"all.{of.name}.{output}" for of in planned for output in of.outputs)
        return f"let all = import {self._file}; in [ {names} ]"

    def store_paths(self, nix: Nix) -> dict[str, tuple[StorePath, ...]]:
        """Return the outputs of each derivation, by its name, before anything is built."""
        listed = "".join(
            f"[ {' '.join(f'all.{of.name}.{output}.outPath' for output in of.outputs)} ] " for of in self.all
        )
        expression = f"let all = import {self._file}; in [ {listed} ]"
        answer = nix.run("nix-instantiate", "--eval", "--strict", "--json", "--read-write-mode", "-E", expression)
        paths: list[list[str]] = json.loads(answer.stdout)
        return {of.name: tuple(map(nix.store_dir.parse, of_one)) for of, of_one in zip(self.all, paths, strict=True)}

    def _plan(self, number: int, rng: random.Random) -> Planned:
        outputs: tuple[str, ...] = ("out",)
        name = f"storm-{number}"
        if number % _LARGE_EVERY == _LARGE_EVERY // 10:
            size = rng.randint(*_LARGE_SIZE)
            program = (
                f"import os, random; open(os.environ['out'], 'wb').write(random.Random({number}).randbytes({size}))"
            )
            return Planned(name, _derivation(name, outputs, sys.executable, ("-I", "-S", "-c", program)), outputs)
        layer = number // _WIDTH * _WIDTH
        # Not on one with several outputs: where one of them was collected, Nix 2.8 builds it again, and then fails with
        # "requires non-existent output" of another.
        below = self.all[max(0, layer - 3 * _WIDTH) : layer]
        references = " ".join(f"${{{of.name}}}" for of in below if len(of.outputs) == 1 and rng.random() < 0.1)
        if number % _EQUAL_CONTENTS_EVERY == 3:
            script = "echo equal > $out"
        elif number % _SEVERAL_OUTPUTS_EVERY == 4:
            outputs = ("out", "dev", "doc")
            script = f"echo {number} $dev {references} > $out; echo {number} $doc > $dev; echo {number} > $doc"
        else:
            script = f"echo {number} {references} > $out"
        return Planned(name, _derivation(name, outputs, "/bin/sh", ("-c", script)), outputs)


def _derivation(name: str, outputs: tuple[str, ...], builder: str, arguments: tuple[str, ...]) -> str:
    listed = " ".join(f'"{output}"' for output in outputs)
    told = " ".join(f'"{argument}"' for argument in arguments)
    return (
        f'derivation {{ name = "{name}"; outputs = [ {listed} ]; system = builtins.currentSystem;'
        f' builder = "{builder}"; args = [ {told} ]; }}'
    )
