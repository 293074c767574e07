"""Every input in the repository keeps the contract that it is for: the seeds, and all that ever broke it.

No fuzzing here, and no atheris: what ``make fuzz`` has found once is looked at in every run of the tests.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fuzz.corpus import SEEDS, seeds
from fuzz.targets import TARGETS

INPUTS = [pytest.param(name, path, id=f"{name}/{path.name}") for name in TARGETS for path in seeds(name)]


@pytest.mark.parametrize(("name", "path"), INPUTS)
def test_the_contract_holds(name: str, path: Path) -> None:
    TARGETS[name].check(path.read_bytes())


def test_every_corpus_is_replayed_and_stays_small() -> None:
    assert {path.name for path in SEEDS.iterdir()} == set(TARGETS)
    files = [path for path in SEEDS.rglob("*") if path.is_file()]
    assert all(path.parent.parent == SEEDS for path in files)
    assert len(files) < 300
    assert sum(path.stat().st_size for path in files) < 300_000
