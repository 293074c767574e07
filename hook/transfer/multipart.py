"""What is remembered of multipart uploads, so that a crash costs no part twice and leaves none behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Part:
    """A part that the bucket has: its SHA-256, its size in bytes, and the entity tag that the bucket gave it."""

    sha256: bytes
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A multipart upload that was begun and neither completed nor aborted; its parts by number, from 1."""

    upload_id: str
    parts: Mapping[int, Part]


class Multiparts(Protocol):
    """The memory of them, by object key. Safe to call from several threads; what has returned is durable."""

    def begun(self, key: str) -> Begun | None:
        """Return the upload to ``key`` that is under way."""

    def begin(self, key: str, upload_id: str) -> None:
        """Remember a new upload to ``key``; what was remembered of an earlier one is forgotten."""

    def part(self, key: str, number: int, part: Part) -> None:
        """Remember a part that the bucket has confirmed."""

    def end(self, key: str) -> None:
        """Forget the upload to ``key``: it was completed, or aborted, or the bucket knows it no more."""

    def all(self) -> list[tuple[str, str]]:
        """Return key and upload id of all that are under way."""
