"""The NAR parser: accepts what the grammar does, says where it is wrong, and is blind to how its input is cut."""

from __future__ import annotations

from fuzz.contract import Refusal, outcome, require, require_same
from fuzz.cuts import cuts
from fuzz.mutators.archives import mutate_archive
from fuzz.oracles import archive
from fuzz.target import Target
from nixcache.errors import Code
from nixcache.nar import Event, NarParser


def check(data: bytes) -> None:
    """Hold the parser to its contract for ``data``."""
    results = [_parse(pieces) for pieces in cuts(data)]
    refusal, events = results[0]
    require_same([result for result, _ in results], [refusal] * len(results), "Each cut gives the same error")
    expected = archive.read(data)
    if expected is None:
        _check_refusal(data, refusal, [seen for _, seen in results])
    else:
        require_same(refusal, None, "What the grammar accepts is accepted")
        for _, seen in results:
            require_same(seen, expected, "Each cut gives the grammar's events")
        require_same(archive.write(events, data), data, "The events hold all that the bytes do")


def _check_refusal(data: bytes, refusal: Refusal | None, seen: list[list[Event]]) -> None:
    require(refusal is not None, "What the grammar refuses is refused")
    if refusal is None or refusal.offset is None:
        require(refusal is None, "A refusal says where")
        return
    # A piece with a fault takes the events in front of it along.
    most = max(seen, key=len)
    for fewer in seen:
        require_same(fewer, most[: len(fewer)], "Each cut gives a beginning of the same events")
    parser = NarParser()
    events = outcome(lambda: parser.feed(data[: refusal.offset]))
    require(not isinstance(events, Refusal), "Nothing before the offset is at fault")
    require_same(most, events[: len(most)], "Each cut gives a beginning of the events before the fault")
    whole = not isinstance(outcome(parser.close), Refusal)
    require_same(whole, refusal.code == Code.NAR_TRAILING_DATA, "A whole archive can only be followed by trailing data")


def _parse(pieces: list[bytes]) -> tuple[Refusal | None, list[Event]]:
    """Return the events, and why the bytes after them are refused."""
    parser = NarParser()
    events: list[Event] = []

    def run() -> None:
        for piece in pieces:
            events.extend(parser.feed(piece))
        parser.close()

    return outcome(run), events


TARGET = Target(name="nar", check=check, mutate=mutate_archive, max_size=16 * 1024)
