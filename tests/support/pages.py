"""Reads the tables of docs/targets.md."""

from __future__ import annotations

from warehouse.targets import PAGE


def column_of(heading: str, package: str) -> dict[str, str]:
    """The column of a target in the table under a heading, by the first cell of each row."""
    section = PAGE.read_text("utf-8").split(f"\n{heading}\n")[1].split("\n## ")[0]
    top, _, *rows = [_cells(line) for line in section.splitlines() if line.startswith("|")]
    column = next(n for n, name in enumerate(top) if name.startswith(f"{package} "))
    return {row[0]: row[column] for row in rows}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]
