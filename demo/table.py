"""The table of the rows that both runs wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADING = ("Stream", "Read", "First run", "Second run")
FIGURES = {"First run", "Second run", "In PostgreSQL"}
"""The headings of columns of figures."""


@dataclass(frozen=True, slots=True)
class Line:
    """The line of one stream.

    Attributes:
        read: Replication method.
        written: Number of rows that each run wrote.
        expected: Number of rows that each run had to write.
        loaded: The loader's cells.
        error: What is wrong with what was loaded, if anything is.
    """

    stream: str
    read: str
    written: tuple[int, int]
    expected: tuple[int, int]
    loaded: tuple[str, ...]
    error: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the line."""
        return (self.stream, self.read, *(f"{count:,}" for count in self.written), *self.loaded)


def table(headings: Sequence[str], lines: Sequence[Line]) -> str:
    """Return the lines as text, with headings, those of the loader's cells included, and totals."""
    heading = (*HEADING, *headings)
    first, second = (sum(line.written[run] for line in lines) for run in (0, 1))
    total = (f"{len(lines)} streams", "", f"{first:,}", f"{second:,}", *("" for _ in headings))
    body = [line.cells for line in lines]
    widths = [max(map(len, column)) for column in zip(heading, *body, total, strict=True)]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)

    def row(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if name in FIGURES else cell.ljust(width)
            for name, cell, width in zip(heading, cells, widths, strict=True)
        )
        return "  ".join(padded).rstrip()

    return "\n".join([row(heading), rule, *map(row, body), rule, row(total)])


def mismatches(lines: Sequence[Line]) -> list[str]:
    """Return a sentence for each stream whose figures are wrong."""
    return [
        f"{line.stream}: the runs wrote {line.written[0]} and {line.written[1]} rows, "
        f"but {line.expected[0]} and {line.expected[1]} were expected."
        for line in lines
        if line.written != line.expected
    ] + [line.error for line in lines if line.error]
