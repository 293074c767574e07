"""Arguments as values: what is wrong with one is said by the parser."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from nixcache.errors import PermanentError
from nixcache.store_path import HASH_PART_LENGTH, HashPart, parse_hash_part
from protocol.keys import BuilderName


def builder_name(text: str) -> BuilderName:
    """Read a builder's name."""
    try:
        return BuilderName(text)
    except PermanentError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def hash_part(text: str) -> HashPart:
    """Read a store path, a base name or a hash part."""
    try:
        return parse_hash_part(text.rpartition("/")[2][:HASH_PART_LENGTH])
    except PermanentError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def moment(text: str) -> datetime:
    """Read a day or a moment, in UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no moment; write 2026-11-22 or 2026-11-22T18:00") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
