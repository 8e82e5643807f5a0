"""``python -m warehouse``: try the targets and write docs/targets.md."""

from __future__ import annotations

import itertools
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warehouse import behaviour, columns, postgres
from warehouse.databases import CsvFiles, DuckFile, JsonFiles, PipelinewiseSchema, PostgresSchema
from warehouse.targets import PAGE, ROOT, version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from warehouse.databases import Destination

TEMPLATE: Final = ROOT / "warehouse" / "targets.md"
"""The text of the page, with placeholders for the tables."""

Answers = dict[str, dict[str, str]]
"""For each target what it makes of each kind, or its answer to each question."""


def column_types() -> Answers:
    """Return the column types of the targets that load databases."""
    return {package: columns.column_types(package) for package in columns.SQL_TARGETS}


def written_values() -> Answers:
    """Return what the targets that write files make of values."""
    return {target.package: columns.written_values(target) for target in columns.FILE_TARGETS}


def behaviours() -> Answers:
    """Try the targets that run on this machine."""
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as name, postgres.running(Path(name) / "data") as server:
        folder = Path(name)
        targets: list[Callable[[], Destination]] = [
            lambda: PostgresSchema(server, f"s{next(numbers)}"),
            lambda: DuckFile(folder / f"{next(numbers)}.duckdb"),
            lambda: PipelinewiseSchema(server, f"s{next(numbers)}"),
            lambda: CsvFiles(folder / str(next(numbers))),
            lambda: JsonFiles(folder / str(next(numbers))),
        ]
        return {new().package: dict(behaviour.answers(_all(new), folder)) for new in targets}


def _all(new: Callable[[], Destination]) -> Iterator[Destination]:
    while True:
        yield new()


def table(heading: str, answers: Answers) -> str:
    """Return answers as a table with a column for each target."""
    targets = list(answers)
    names = next(iter(answers.values()))
    rows = [
        [heading, *(f"{target} {version(target)}" for target in targets)],
        ["---"] * (len(targets) + 1),
        *([name, *(answers[target][name] for target in targets)] for name in names),
    ]
    return "\n".join(f"| {' | '.join(_cells(row))} |" for row in rows)


def _cells(row: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|") for cell in row]


def tables() -> Mapping[str, str]:
    """Return the tables of the page by their placeholders."""
    return {
        "COLUMNS": table("kind of column", _code(column_types())),
        "FILES": table("kind of column", _code(written_values())),
        "BEHAVIOUR": table("what the tap sends", behaviours()),
    }


def _code(answers: Answers) -> Answers:
    return {
        target: {name: f"`{text}`" for name, text in found.items()}
        for target, found in answers.items()
    }


def main() -> int:
    """Write the page."""
    page = TEMPLATE.read_text()
    date = datetime.now(UTC).date().isoformat()
    for placeholder, text in {**tables(), "DATE": date}.items():
        page = page.replace(f"<!-- {placeholder} -->", text)
    PAGE.write_text(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
