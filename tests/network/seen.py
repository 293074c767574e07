"""What people see of the queue: ``assay status --json``."""

from __future__ import annotations

import json
from dataclasses import dataclass

from nixcache.store_path import StorePath
from tests.hook.builder import Builder


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Of one path, as far as these tests look."""

    state: str
    tries: int
    next_attempt_at: float
    problem: str
    cause: str | None


def state(builder: Builder) -> dict[StorePath, State]:
    """Ask ``assay status --json``, which needs no network."""
    ended = builder.assay("status", "--json")
    assert ended.code == 0, ended.err
    return {
        builder.nix.store_dir.parse(entry["storePath"]): State(
            state=entry["state"],
            tries=entry.get("tries", 0),
            next_attempt_at=entry.get("nextAttemptAt", 0.0),
            problem=entry.get("problem", ""),
            cause=entry.get("cause"),
        )
        for entry in json.loads(ended.out)["entries"]
    }
