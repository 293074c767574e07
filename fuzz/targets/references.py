"""The reference scanner: finds what a naive search of the whole text finds, however the text is cut."""

from __future__ import annotations

from fuzz.contract import require_same
from fuzz.cuts import cuts
from fuzz.mutators.mentions import mutate_mentions
from fuzz.oracles import mentions
from fuzz.target import Target
from nixcache.errors import PermanentError
from nixcache.references import MAX_UNDECLARED, ReferenceScanner
from nixcache.store_path import NIX_STORE, HashPart, parse_hash_part

_MOST_DECLARED = 40


def check(data: bytes) -> None:
    """Hold the scanner to its contract: the first line of ``data`` is the declared hash parts, the rest the text."""
    line, _, text = data.partition(b"\n")
    declared = _hash_parts(line)
    there = frozenset(hash_part for hash_part in declared if hash_part.encode() in text)
    known = frozenset(hash_part.encode() for hash_part in declared)
    undeclared = mentions.undeclared(text, NIX_STORE.path.encode(), known)
    for pieces in cuts(text):
        scanner = ReferenceScanner(NIX_STORE, declared)
        for piece in pieces:
            scanner.feed(piece)
        scanner.finish()
        require_same(scanner.found, there, "The declared references that are mentioned")
        names = [store_path.base_name.encode() for store_path in scanner.undeclared]
        require_same(names, undeclared[:MAX_UNDECLARED], "The undeclared store paths that are mentioned")
        require_same(scanner.overflowed, len(undeclared) > MAX_UNDECLARED, "Whether there are more")


def _hash_parts(line: bytes) -> list[HashPart]:
    found = []
    for word in line.decode("latin-1").split(" ")[:_MOST_DECLARED]:
        try:
            found.append(parse_hash_part(word))
        except PermanentError:
            continue
    return found


TARGET = Target(name="references", check=check, mutate=mutate_mentions)
