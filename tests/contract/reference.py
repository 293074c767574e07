"""The tables of docs/reference/s3-semantics.md; ``python -m tests.contract.reference`` prints them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.contract.engines import EngineName
from tests.contract.promises import PROMISES, WITNESSES_NEEDED, Promise, Service

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "reference" / "s3-semantics.md"
BEGIN: Final = "<!-- from here on: python -m tests.contract.reference -->\n"
"""What stands above is written by hand."""
TITLES: Final = {EngineName.MOTO: "moto", EngineName.SEAWEEDFS: "SeaweedFS", EngineName.MINISTACK: "ministack"}


def all_promises() -> tuple[Promise, ...]:
    """Return the promises of all test modules, in the order in which they stand there."""
    for path in sorted(Path(__file__).parent.glob("test_*.py")):
        importlib.import_module(f"tests.contract.{path.stem}")
    return tuple(PROMISES.values())


def render() -> str:
    """Return the part of the document that follows from the suite."""
    return "".join(f"{line}\n" for line in _lines(all_promises()))


def _lines(promises: tuple[Promise, ...]) -> Iterator[str]:
    for service in Service:
        yield f"## {service.title}"
        yield "| promise | relied on by | " + " | ".join(TITLES.values()) + " |"
        yield "|---|---|" + "---|" * len(TITLES)
        for promise in promises:
            if promise.service is service:
                cells = " | ".join(_cell(promise, engine) for engine in TITLES)
                yield f"| {promise.sentence} | {promise.relied_on} | {cells} |"
        yield ""
    yield "## Without two witnesses"
    yield f"Fewer than {WITNESSES_NEEDED} engines keep these, so the simulator follows AWS's documentation here."
    yield ""
    for promise in promises:
        if len(promise.witnesses) < WITNESSES_NEEDED:
            kept = " and ".join(TITLES[engine] for engine in promise.witnesses) or "none"
            yield f"- {promise.sentence} Kept by: {kept}. [AWS]({promise.documented})"


def _cell(promise: Promise, engine: EngineName) -> str:
    if engine not in promise.service.engines:
        return "-"
    breach = promise.broken.get(engine)
    if breach:
        return f"no: {breach.instead}"
    return "yes, repaired" if engine in promise.repaired else "yes"


if __name__ == "__main__":
    print(render(), end="")  # noqa: T201 - this is what it is for
