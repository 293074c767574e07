"""docs/threat-model.md against the code: each attack has a test, and each test here is somebody's attack."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent.relative_to(ROOT)
DOCUMENT = (ROOT / "docs" / "threat-model.md").read_text()
HEADER = ["id", "attack", "defence", "residual risk", "test"]
MOST_LINES = 250


@dataclass(frozen=True)
class Attack:
    """One row of the tables of attacks."""

    number: str
    defence: str
    residual_risk: str
    tests: tuple[str, ...]


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def _attacks() -> list[Attack]:
    found = []
    header: list[str] = []
    for line in DOCUMENT.splitlines():
        if not line.startswith("|"):
            header = []
        elif not header:
            header = _cells(line)
        elif header == HEADER and not line.startswith("|---"):
            number, _, defence, residual_risk, tests = _cells(line)
            found.append(Attack(number, defence, residual_risk, tuple(re.findall(r"`([^`]+)`", tests))))
    return found


ATTACKS = _attacks()


@cache
def _tests_of(file: str) -> frozenset[str]:
    """Return the names of the tests that pytest collects from a file, all of which here are functions."""
    path = ROOT / file
    if not path.is_file():
        return frozenset()
    return frozenset(
        node.name
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


@pytest.mark.parametrize("attack", ATTACKS, ids=[attack.number for attack in ATTACKS])
def test_a_row_has_a_defence_a_residual_risk_and_tests_that_exist(attack: Attack) -> None:
    assert attack.defence
    assert attack.residual_risk
    assert attack.tests
    for node in attack.tests:
        file, _, name = node.partition("::")
        assert name in _tests_of(file), f"there is no {node}"


def test_every_attack_in_this_directory_is_in_a_row() -> None:
    named = {node for attack in ATTACKS for node in attack.tests}
    files = sorted(path.name for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name)
    there_are = {f"{HERE}/{file}::{name}" for file in files for name in _tests_of(f"{HERE}/{file}")}
    assert there_are - named == set()
    assert len(files) > 1


def test_numbers_are_unique_and_files_exist() -> None:
    assert [number for number, times in Counter(attack.number for attack in ATTACKS).items() if times > 1] == []
    for attack in ATTACKS:
        for file in re.findall(r"`([a-z_/]+\.py)`", attack.defence):
            assert (ROOT / file).is_file(), f"{attack.number} names {file}"


def test_it_is_short_enough_to_be_read() -> None:
    assert len(DOCUMENT.splitlines()) <= MOST_LINES
    assert len(ATTACKS) > len(HEADER), "or the tables were not recognised"
