"""The table of the rows that both runs wrote."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADING = ("Stream", "Read", "First run", "Second run", "Files")
RIGHT = (2, 3)  # columns of figures


@dataclass(frozen=True, slots=True)
class Line:
    """The line of one stream.

    Attributes:
        read: Replication method.
        written: Number of rows that each run wrote.
        expected: Number of rows that each run had to write.
        files: Pattern of the paths of the stream's files.
    """

    stream: str
    read: str
    written: tuple[int, int]
    expected: tuple[int, int]
    files: str

    @property
    def cells(self) -> tuple[str, ...]:
        """The cells of the line."""
        return (self.stream, self.read, *(f"{count:,}" for count in self.written), self.files)


def table(lines: Sequence[Line]) -> str:
    """Return the lines as text, with a heading and totals."""
    first, second = (sum(line.written[run] for line in lines) for run in (0, 1))
    total = (f"{len(lines)} streams", "", f"{first:,}", f"{second:,}", "")
    body = [line.cells for line in lines]
    widths = [max(map(len, column)) for column in zip(HEADING, *body, total, strict=True)]
    rule = "-" * (sum(widths) + 2 * len(widths) - 2)
    rows = (_row(cells, widths) for cells in body)
    return "\n".join([_row(HEADING, widths), rule, *rows, rule, _row(total, widths)])


def _row(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(
        cell.rjust(width) if column in RIGHT else cell.ljust(width)
        for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ).rstrip()


def mismatches(lines: Sequence[Line]) -> list[str]:
    """Return a sentence for each stream whose figures are wrong."""
    return [
        f"{line.stream}: the runs wrote {line.written[0]} and {line.written[1]} rows, "
        f"but {line.expected[0]} and {line.expected[1]} were expected."
        for line in lines
        if line.written != line.expected
    ]
