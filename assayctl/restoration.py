"""Which withdrawn paths can come back, in which order: what references a path that stays is not installable (I4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from assayctl.published import Deletion, with_referrers
from nixcache.store_path import HashPart, StorePath


@dataclass(frozen=True, slots=True)
class Restoration:
    """``deletions`` are to be taken back in this order; ``left_out`` stay, each for a reference that stays as well."""

    deletions: tuple[Deletion, ...]
    left_out: Mapping[HashPart, StorePath]


def plan(deletions: Mapping[HashPart, Deletion], is_withdrawn: Callable[[HashPart], bool]) -> Restoration:
    """Return how to take ``deletions`` back, references first; raises what ``is_withdrawn`` raises."""
    restored: list[Deletion] = []
    left_out: dict[HashPart, StorePath] = {}
    for hash_part in reversed(with_referrers(deletions, {part: one.narinfo for part, one in deletions.items()})):
        deletion = deletions[hash_part]
        for reference in deletion.narinfo.references if deletion.narinfo else ():
            other = reference.hash_part
            if other in left_out or (other not in deletions and is_withdrawn(other)):
                left_out[hash_part] = reference
                break
        else:
            restored.append(deletion)
    return Restoration(tuple(restored), left_out)
