"""What somebody tries who cannot be trusted, and the verdict that each attempt must end in."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from bench.load.objects import Uploaded, Workshop
from bench.trees import store_path
from nixcache.compression import Compression, compress
from nixcache.errors import Code

KINDS: Final = 5
"""Of attacks."""

_SIZE: Final = 20_000
_BOMB: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Attack:
    """What is uploaded, ``narinfo`` being its text; ``code`` is what it must be rejected for.

    Without a code it is no lie, but another object for a path that somebody honest submits, too: one of the two is
    published, whichever comes first, and the other is a conflict.
    """

    uploaded: Uploaded
    narinfo: bytes
    code: Code | None


class Attacker:
    """Makes attacks, of each kind in turn."""

    def __init__(self, workshop: Workshop, chooser: random.Random, honest: Sequence[Uploaded]) -> None:
        """Attack those who submit ``honest``."""
        self._workshop = workshop
        self._everybodys = honest[0]
        # Each but once: two conflicts of one builder's with one path would be two versions of one submission.
        self._victims = iter(chooser.sample(honest, len(honest)))
        self._kinds: tuple[Callable[[Uploaded], Attack], ...] = (
            self._wrong_hash,
            self._lying_reference,
            self._bomb,
            self._malformed,
            self._conflict,
        )

    def attack(self, number: int) -> Attack:
        """Return attack ``number``."""
        fresh = self._workshop.pack(store_path(f"attack-{number}"), (), _SIZE)
        return self._kinds[number % KINDS](fresh)

    def _wrong_hash(self, fresh: Uploaded) -> Attack:
        other = self._workshop.pack(fresh.store_path, (), _SIZE)
        lie = replace(fresh, file=other.file)
        return Attack(lie, lie.narinfo.render(), Code.NAR_HASH_MISMATCH)

    def _lying_reference(self, fresh: Uploaded) -> Attack:
        """Declare what everybody has, and the bytes never mention."""
        lie = fresh.claiming(replace(fresh.narinfo, references=(self._everybodys.store_path,)))
        return Attack(lie, lie.narinfo.render(), Code.REFERENCE_NOT_FOUND)

    def _bomb(self, fresh: Uploaded) -> Attack:
        frame = b"".join(compress(Compression.ZSTD, [bytes(_BOMB)], level=1))
        lie = replace(fresh, file=fresh.file + frame)
        return Attack(lie, lie.narinfo.render(), Code.NAR_SIZE_MISMATCH)

    def _malformed(self, fresh: Uploaded) -> Attack:
        return Attack(fresh, fresh.narinfo.render().replace(b"NarSize: ", b"NarSize: -"), Code.NARINFO_MALFORMED)

    def _conflict(self, _: Uploaded) -> Attack:
        victim = next(self._victims)
        other = self._workshop.pack(victim.store_path, victim.narinfo.references, _SIZE)
        return Attack(other, other.narinfo.render(), None)
