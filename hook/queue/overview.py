"""What others may learn of a queue, as data and as the documents that go over the control socket."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hook.queue.entry import Entry
from nixcache.store_path import StorePath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nixcache.store_path import StoreDir


@dataclass(frozen=True, slots=True)
class Concluded:
    """How a path left the queue: published, or a duplicate. ``at`` is in seconds since the epoch.

    ``outcome`` is the verdict's kind, or ``already-published`` where the cache had it before the upload; ``remark`` is
    one line for people: what the verdict says besides, or nothing.
    """

    path: StorePath
    at: float
    outcome: str
    remark: str

    def document(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"path": self.path.base_name, "at": self.at, "outcome": self.outcome, "remark": self.remark}

    @classmethod
    def parse(cls, document: dict[str, Any]) -> Concluded:
        """Read a document; raises what :func:`Known.parse` does."""
        path = StorePath.from_base_name(document["path"])
        return cls(path, float(document["at"]), str(document["outcome"]), str(document["remark"]))


@dataclass(frozen=True, slots=True)
class Known:
    """Of one path: its entry, if it is queued or was refused; else how it left the queue last, if remembered."""

    entry: Entry | None
    concluded: Concluded | None

    def document(self, store_dir: StoreDir) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "entry": self.entry.document(store_dir) if self.entry else None,
            "concluded": self.concluded.document() if self.concluded else None,
        }

    @classmethod
    def parse(cls, document: dict[str, Any], store_dir: StoreDir) -> Known:
        """Read a document; raises PermanentError, KeyError, TypeError and ValueError for what is none."""
        entry, concluded = document["entry"], document["concluded"]
        return cls(
            None if entry is None else Entry.parse(entry, store_dir),
            None if concluded is None else Concluded.parse(concluded),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The queue at a glance.

    ``counts`` are by state (``queued``, ``submitted``, ``rejected``) and complete; ``spooled`` is how many hook runs
    have not been taken in yet; ``entries`` are the oldest (spooled ones among them), ``concluded`` the newest, as many
    as were asked for. ``set_aside`` are files that could not be read. ``owner`` is the process that works on the queue.
    """

    counts: Mapping[str, int]
    spooled: int
    entries: tuple[Entry, ...]
    concluded: tuple[Concluded, ...]
    set_aside: tuple[Path, ...]
    owner: int | None

    def document(self, store_dir: StoreDir) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "counts": dict(self.counts),
            "spooled": self.spooled,
            "entries": [entry.document(store_dir) for entry in self.entries],
            "concluded": [concluded.document() for concluded in self.concluded],
            "setAside": [str(file) for file in self.set_aside],
            "owner": self.owner,
        }

    @classmethod
    def parse(cls, document: dict[str, Any], store_dir: StoreDir) -> Overview:
        """Read a document; raises what :func:`Known.parse` does."""
        return cls(
            counts={str(state): int(count) for state, count in document["counts"].items()},
            spooled=int(document["spooled"]),
            entries=tuple(Entry.parse(entry, store_dir) for entry in document["entries"]),
            concluded=tuple(map(Concluded.parse, document["concluded"])),
            set_aside=tuple(map(Path, document["setAside"])),
            owner=None if document["owner"] is None else int(document["owner"]),
        )
