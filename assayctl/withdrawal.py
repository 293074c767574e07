"""What a withdrawal takes: the paths that are meant, what references them, and what is refused from then on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from assayctl.published import Published, with_referrers
from nixcache.hashes import Hash
from nixcache.narinfo import NarInfo
from nixcache.store_path import HashPart
from protocol.withdrawn import TRACES_KEPT, Entry, Withdrawn


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """``doomed`` is published, referrers first; ``bad`` is what ingest has to refuse from then on.

    ``gone`` are wanted paths that are not published any more, ``unknown`` those that never were, as far as can be seen.
    """

    wanted: tuple[HashPart, ...]
    doomed: tuple[HashPart, ...]
    bad: Mapping[HashPart, Hash]
    gone: tuple[HashPart, ...]
    unknown: tuple[HashPart, ...]

    @property
    def is_standing(self) -> bool:
        """Whether nothing is left to do: it was done before, or there is nothing that it could be done to."""
        return not self.doomed and not self.bad

    def added_to(self, withdrawn: Withdrawn, at: datetime) -> Withdrawn:
        """Return the list with this withdrawal in it.

        What only references something bad is no worse for it and may come back with it, and what nobody can read has no
        NarHash: both leave a trace.
        """
        traces = [hash_part for hash_part in self.doomed if hash_part not in self.bad]
        return withdrawn.adding(
            (
                *(Entry(hash_part, nar_hash, at) for hash_part, nar_hash in self.bad.items()),
                *(Entry(hash_part, None, at) for hash_part in traces),
            )
        )


def plan(
    wanted: Collection[HashPart],
    narinfos: Mapping[HashPart, NarInfo | None],
    withdrawn: Withdrawn,
    published: Published,
) -> Withdrawal:
    """Return what withdrawing ``wanted`` takes, where ``narinfos`` are published; raises :class:`TransientError`."""
    bad = {hash_part: narinfo.nar_hash for hash_part in wanted if (narinfo := narinfos.get(hash_part)) is not None}
    gone, unknown = [], []
    for hash_part in wanted:
        if hash_part in narinfos:
            continue
        deletion = published.deletion(hash_part)
        if deletion is None and not withdrawn.refused(hash_part):
            unknown.append(hash_part)
            continue
        gone.append(hash_part)
        # What went by hand, or because of what it references, nothing refuses yet: another object of the path may be
        # on the list.
        if (
            deletion is not None
            and deletion.nar_hash is not None
            and not withdrawn.refuses(hash_part, deletion.nar_hash)
        ):
            bad[hash_part] = deletion.nar_hash
    return Withdrawal(tuple(wanted), _doomed(wanted, narinfos), bad, tuple(gone), tuple(unknown))


def plan_again(withdrawn: Withdrawn, narinfos: Mapping[HashPart, NarInfo | None], now: datetime) -> Withdrawal:
    """Return what is on the list and published in spite of it, and what references something of it that is not there.

    What was published in its place, with another NarHash, is left alone, and nothing is refused that was not before.
    So is what references a path that went more than a day ago: ingest has looked since, so a trusted upstream has it.
    """
    referenced = {
        reference.hash_part for narinfo in narinfos.values() if narinfo is not None for reference in narinfo.references
    }
    wanted: dict[HashPart, None] = {}
    bad: dict[HashPart, Hash] = {}
    lately = {entry.hash_part for entry in withdrawn.entries if now - entry.at < TRACES_KEPT}
    for hash_part in dict.fromkeys(entry.hash_part for entry in withdrawn.entries):
        narinfo = narinfos.get(hash_part)
        if narinfo is not None and withdrawn.refuses(hash_part, narinfo.nar_hash):
            wanted[hash_part] = None
            bad[hash_part] = narinfo.nar_hash
        elif hash_part not in narinfos and hash_part in referenced and hash_part in lately:
            wanted[hash_part] = None
    return Withdrawal(tuple(wanted), _doomed(wanted, narinfos), bad, gone=(), unknown=())


def _doomed(wanted: Collection[HashPart], narinfos: Mapping[HashPart, NarInfo | None]) -> tuple[HashPart, ...]:
    return tuple(hash_part for hash_part in with_referrers(wanted, narinfos) if hash_part in narinfos)
