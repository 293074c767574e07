"""Tables of figures, as text."""

from __future__ import annotations

_MEBIBYTE = 1024 * 1024


class Table:
    """A title column, wide and to the left; figures to the right."""

    def __init__(self, *titles: str) -> None:
        self._rows = [titles]

    def add(self, *cells: str) -> None:
        """Add a row."""
        self._rows.append(cells)

    def print(self) -> None:
        """Print it and an empty line."""
        widths = [max(map(len, column)) for column in zip(*self._rows, strict=True)]
        for first, *others in self._rows:
            figures = "".join(f"  {cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
            print(f"  {first:<{max(32, widths[0])}}{figures}")
        print()


def mebibytes(size: int | None) -> str:
    """Return a size in MiB, if it is known."""
    return "-" if size is None else f"{size / _MEBIBYTE:.0f}"
