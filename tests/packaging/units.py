"""Reads systemd's unit files."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEMD = ROOT / "packaging" / "systemd"


class Unit(dict[str, dict[str, list[str]]]):
    """Sections, their settings, and each setting's lines in order: a name may stand more than once."""

    @classmethod
    def read(cls, name: str) -> Unit:
        """Read one of ours."""
        unit = cls()
        section: dict[str, list[str]] = {}
        for line in (SYSTEMD / name).read_text().splitlines():
            if line.startswith("["):
                section = unit.setdefault(line.strip("[]"), {})
            elif line and not line.startswith("#"):
                key, _, value = line.partition("=")
                section.setdefault(key, []).append(value)
        return unit
