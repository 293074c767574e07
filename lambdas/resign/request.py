"""What Step Functions hands to the function: some keys of the cache bucket, and what the operator asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from nixcache.errors import PermanentError
from protocol.keys import CacheNarInfoKey


class RequestCode(StrEnum):
    """What can be wrong with a request."""

    REQUEST_MALFORMED = "request-malformed"
    KEY_STILL_SIGNS = "key-still-signs"


class Mode(StrEnum):
    """What makes a signature true."""

    ADD = "add"
    """One of a key that is still trusted is there."""
    REVERIFY = "reverify"
    """The ledger says that ingest has published it, and the published bytes are read and proven again."""


@dataclass(frozen=True, slots=True)
class Request:
    """One batch. ``revoked`` are the names of keys whose signatures are withdrawn; with :attr:`Mode.REVERIFY` alone."""

    mode: Mode
    revoked: frozenset[str]
    keys: tuple[CacheNarInfoKey, ...]

    @classmethod
    def parse(cls, event: Mapping[str, object]) -> Request:
        """Read ``{"BatchInput": {"request": …}, "Items": [{"Key": …}]}``; what is no narinfo's key is left out.

        Raises :class:`PermanentError` (``request-malformed``).
        """
        match event:
            case {"BatchInput": {"request": {"mode": "add", **others}}, "Items": list(items)} if not others:
                return cls(Mode.ADD, frozenset(), tuple(_narinfo_keys(items)))
            case {
                "BatchInput": {"request": {"mode": "reverify", "revoked": list(names), **others}},
                "Items": list(items),
            } if not others:
                if all(isinstance(name, str) for name in names):
                    return cls(Mode.REVERIFY, frozenset(map(str, names)), tuple(_narinfo_keys(items)))
        raise PermanentError(
            RequestCode.REQUEST_MALFORMED,
            "That is no request to re-sign.",
            remedy='Start the state machine with {"mode": "add"} or {"mode": "reverify", "revoked": [KEY NAME, …]}.',
        )


def _narinfo_keys(items: list[object]) -> Iterator[CacheNarInfoKey]:
    for item in items:
        match item:
            case {"Key": str(key)}:
                # The listing has NARs, listings and pages, too.
                with suppress(PermanentError):
                    yield CacheNarInfoKey.parse(key)
