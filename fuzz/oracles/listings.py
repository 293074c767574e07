"""The NAR listing as one dictionary and one call of ``json``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypeAlias

from nixcache.nar import DirectoryEnd, DirectoryStart, Event, RegularFile, Symlink

if TYPE_CHECKING:
    from collections.abc import Iterable

Json: TypeAlias = "dict[str, Json] | str | int | bool"


def listing(events: Iterable[Event]) -> bytes | None:
    """Return the listing of a NAR with these events; None where a name or target is no UTF-8."""
    holder: dict[str, Json] = {}
    open_directories = [holder]
    try:
        for event in events:
            match event:
                case DirectoryEnd():
                    open_directories.pop()
                case DirectoryStart(name=name):
                    entries: dict[str, Json] = {}
                    open_directories[-1][name.decode()] = {"type": "directory", "entries": entries}
                    open_directories.append(entries)
                case Symlink(name=name, target=target):
                    open_directories[-1][name.decode()] = {"type": "symlink", "target": target.decode()}
                case RegularFile(name=name, executable=executable, size=size, offset=offset):
                    flag: dict[str, Json] = {"executable": True} if executable else {}
                    open_directories[-1][name.decode()] = {
                        "type": "regular",
                        "size": size,
                        "narOffset": offset,
                        **flag,
                    }
    except UnicodeDecodeError:
        return None
    document = {"version": 1, "root": holder[""]}
    return json.dumps(document, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
