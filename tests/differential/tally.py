"""What a run found, counted, as the table that ends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Finding(StrEnum):
    """How our verdict on a case compares with one client's."""

    BOTH_ACCEPT = "both accept"
    BOTH_REFUSE = "both refuse"
    STRICTER = "only Assay refuses"
    MENDED = "read by Assay; the client takes what Assay publishes instead"
    LAXER = "only Assay accepts"


@dataclass(slots=True)
class Tally:
    """The findings on one format, by client, and why ours refuses what clients take."""

    title: str
    cases: int = 0
    findings: dict[str, Counter[Finding]] = field(default_factory=dict)
    refused_by_ours: dict[bool, Counter[str]] = field(default_factory=lambda: {True: Counter(), False: Counter()})

    def add(self, client: str, finding: Finding) -> None:
        """Count one finding."""
        self.findings.setdefault(client, Counter())[finding] += 1

    def refused(self, reason: str, *, by_all: bool) -> None:
        """Count why ours refuses a case that all clients take, or some."""
        self.refused_by_ours[by_all][reason] += 1

    def lines(self) -> Iterator[str]:
        """Yield the table."""
        yield f"{self.title}: {self.cases} cases"
        yield _row("", [f"Nix {client}" for client in self.findings])
        for finding in Finding:
            counts = [counter[finding] for counter in self.findings.values()]
            if any(counts) or finding is Finding.LAXER:
                yield _row(finding, counts)
        for by_all, reasons in self.refused_by_ours.items():
            if reasons:
                yield f"Refused by Assay though {'every client takes' if by_all else 'some clients take'} it:"
            for reason, number in reasons.most_common():
                yield f"  {number:6} times: {reason}"


def _row(title: str, cells: Sequence[object]) -> str:
    return f"  {title:60}" + "".join(f"{cell!s:>12}" for cell in cells)
