"""Who submits what, in which order, and how it has to end."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.load.graph import closure
from bench.load.malice import KINDS, Attacker
from bench.load.objects import Uploaded, Workshop
from bench.trees import store_path
from nixcache.errors import Code
from protocol.keys import BuilderName, ResultKey, StagingNarInfoKey

BUILDERS: Final = tuple(BuilderName(f"builder-{number}") for number in range(8))
_DUPLICATED: Final = 0.1
_MALICIOUS: Final = 0.02
_SEED: Final = 4


@dataclass(frozen=True, slots=True)
class Planned:
    """One submission of ``builder``; ``narinfo`` is the text, and ``code`` what it has to be rejected for, if at all.

    What is not rejected competes with the other submissions of its store path: the first is published, those of the
    same object are duplicates of it, and those of another are conflicts.
    """

    builder: BuilderName
    uploaded: Uploaded
    narinfo: bytes
    code: Code | None = None

    @property
    def key(self) -> StagingNarInfoKey:
        """Where the narinfo goes."""
        return StagingNarInfoKey(self.builder, self.uploaded.store_path.hash_part)

    @property
    def result_key(self) -> ResultKey:
        """Where the verdict comes."""
        return ResultKey(self.builder, self.uploaded.store_path.hash_part)


@dataclass(frozen=True, slots=True)
class Plan:
    """All submissions, in the order in which they arrive, which is any."""

    submissions: tuple[Planned, ...]

    @property
    def store_paths(self) -> int:
        """How many store paths will be published."""
        return len({planned.key.hash_part for planned in self.submissions if planned.code is None})


def make_plan(submissions: int) -> Plan:
    """Plan so many ``submissions``, always the same ones; the fewest are some dozens."""
    chooser = random.Random(_SEED)
    with TemporaryDirectory(prefix="assay-load-") as directory:
        planned = list(_planned(submissions, Workshop(Path(directory), chooser), chooser))
    chooser.shuffle(planned)
    return Plan(tuple(planned))


def _planned(submissions: int, workshop: Workshop, chooser: random.Random) -> Iterator[Planned]:
    malicious = max(KINDS, round(submissions * _MALICIOUS))
    duplicated = round(submissions * _DUPLICATED)
    graph = closure(submissions - malicious - duplicated, chooser)
    paths = [store_path(f"path-{number}") for number in range(len(graph))]
    honest = [
        workshop.pack(path, [paths[reference] for reference in references], workshop.size())
        for path, references in zip(paths, graph, strict=True)
    ]
    # The last of the builders is the one that attacks: its own honest submissions would have the keys of its conflicts.
    *others, attacker = BUILDERS
    builders = [chooser.choice(others) for _ in honest]
    for uploaded, builder in zip(honest, builders, strict=True):
        yield Planned(builder, uploaded, uploaded.narinfo.render())
    for number in chooser.sample(range(len(honest)), duplicated):
        second = chooser.choice([builder for builder in others if builder != builders[number]])
        yield Planned(second, honest[number], honest[number].narinfo.render())
    attacks = Attacker(workshop, chooser, honest)
    for number in range(malicious):
        attack = attacks.attack(number)
        yield Planned(attacker, attack.uploaded, attack.narinfo, attack.code)
