"""Debug-info build ids, from the paths of all files."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nixcache.nar import DirectoryEnd, DirectoryStart, Event, RegularFile

if TYPE_CHECKING:
    from collections.abc import Iterable

_DEBUG_FILE = re.compile(rb"/lib/debug/\.build-id/([0-9a-f]{2})/([0-9a-f]{38})\.debug")


def build_ids(events: Iterable[Event]) -> tuple[str, ...]:
    """Return the build ids of a NAR with these events."""
    directories: list[bytes] = []
    found = []
    for event in events:
        match event:
            case DirectoryStart(name=name):
                directories.append(name)
            case DirectoryEnd():
                directories.pop()
            case RegularFile(name=name):
                if match := _DEBUG_FILE.fullmatch(b"/".join((*directories, name))):
                    found.append(b"".join(match.groups()).decode())
    return tuple(found)
