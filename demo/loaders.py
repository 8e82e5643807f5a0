"""The loaders of the demo: PostgreSQL on this machine, or files."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol

from demo.meltano import ROOT
from warehouse import postgres
from warehouse.databases import PostgresSchema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from demo.sandbox_process import Rows

SCHEMA: Final = "acumatica"


class Loader(Protocol):
    """A loader, and what it has loaded.

    Attributes:
        name: Its name in meltano.yml.
        package: The package that Meltano installs.
        headings: The headings of its columns in the table.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    headings: ClassVar[tuple[str, ...]]

    def variables(self, run: str) -> dict[str, str]:
        """Return the environment variables of Meltano for a run."""
        ...

    def count(self, run: str, stream: str) -> int:
        """Return how many rows of a stream the last run, which is named, has written."""
        ...

    def cells(self, stream: str, rows: Rows) -> tuple[tuple[str, ...], str]:
        """Return the loader's cells in the line of a stream, and what is wrong, if anything is.

        Args:
            stream: The stream.
            rows: The rows that the company has.
        """
        ...

    @property
    def how_to_look(self) -> str:
        """How to look at what was loaded."""
        ...


@dataclass
class Files:
    """Files of JSON lines, in a folder for each run."""

    name: ClassVar[str] = "target-jsonl"
    package: ClassVar[str] = "target-jsonl"
    headings: ClassVar[tuple[str, ...]] = ("Files",)
    folder: Path

    def variables(self, run: str) -> dict[str, str]:
        """Return the environment variables of Meltano for a run."""
        return {"TARGET_JSONL_DESTINATION_PATH": str(self.folder / run)}

    def count(self, run: str, stream: str) -> int:
        """Return how many rows a run has written."""
        file = self.folder / run / f"{stream}.jsonl"
        return file.read_bytes().count(b"\n") if file.exists() else 0

    def cells(self, stream: str, rows: Rows) -> tuple[tuple[str, ...], str]:  # noqa: ARG002 - appended
        """Return the pattern of the stream's files, which hold what came, not a copy."""
        return (f"{self.folder.relative_to(ROOT)}/*/{stream}.jsonl",), ""

    @property
    def how_to_look(self) -> str:
        """How to look at what was loaded."""
        return ""


@dataclass
class Tables:
    """Tables in a PostgreSQL server."""

    name: ClassVar[str] = PostgresSchema.loader
    package: ClassVar[str] = PostgresSchema.package
    headings: ClassVar[tuple[str, ...]] = ("In PostgreSQL", "Agrees")
    schema: PostgresSchema
    data: Path
    _begun: str = field(init=False, default="")

    def variables(self, run: str) -> dict[str, str]:  # noqa: ARG002 - the same tables in each run
        """Return the environment variables of Meltano for a run."""
        # The columns of record metadata are in UTC.
        (self._begun,) = self.schema.server.query("SELECT now() AT TIME ZONE 'UTC'")
        settings = {**self.schema.settings, "hard_delete": True}
        return {
            "TAP_ACUMATICA_DECIMALS": "decimal(38,10)",
            "TAP_ACUMATICA_EMIT_ACTIVATE_VERSION_MESSAGES": "true",
            **{
                f"TARGET_POSTGRES_{name.upper()}": _variable(value)
                for name, value in settings.items()
            },
        }

    def count(self, run: str, stream: str) -> int:  # noqa: ARG002 - the last one's begin is known
        """Return how many rows the last run has written."""
        (count,) = self.schema.server.query(
            f"SELECT count(*) FROM {self.schema.name(stream)} "  # noqa: S608 - our own names
            f"WHERE _sdc_received_at >= '{self._begun}'"
        )
        return int(count)

    def cells(self, stream: str, rows: Rows) -> tuple[tuple[str, ...], str]:
        """Compare the number of rows, and the sum of each column of decimals."""
        decimals = self.schema.server.query(
            "SELECT attname FROM pg_attribute WHERE atttypid = 'numeric'::regtype "  # noqa: S608 - our own names
            f"AND attrelid = '{self.schema.name(stream)}'::regclass"
        )
        columns = "".join(f', sum("{name}") AS "{name}"' for name in decimals)
        totals = f"SELECT count(*) AS count{columns} FROM {self.schema.name(stream)}"  # noqa: S608 - our own names
        (line,) = self.schema.server.query(f"SELECT to_jsonb(t) FROM ({totals}) t")  # noqa: S608 - as above
        found = json.loads(line, parse_float=Decimal)
        expected = {"count": len(rows)} | {
            name: _sum(row[name] for row in rows) for name in decimals
        }
        wrong = [name for name, value in expected.items() if found[name] != value]
        sums = {0: "", 1: ", 1 sum"}.get(len(decimals), f", {len(decimals)} sums")
        agrees = "NO" if wrong else f"rows{sums}"
        error = f"{stream}: PostgreSQL and the company differ in {', '.join(wrong)}."
        return (f"{found['count']:,}", agrees), error if wrong else ""

    @property
    def how_to_look(self) -> str:
        """How to look at what was loaded."""
        return (
            "To look inside, start the server again, for as long as psql runs:\n"
            f"  .venv/bin/python -m warehouse.psql {self.data.relative_to(ROOT)}\n"
            f'and type, for example, TABLE {SCHEMA}."PX_Objects_CS_Terms";'
        )


def _variable(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _sum(values: Iterator[Any]) -> Decimal | None:
    decimals = [Decimal(str(value)) for value in values if value is not None]
    return sum(decimals, start=Decimal(0)) if decimals else None


@contextmanager
def _files(folder: Path) -> Iterator[Loader]:
    yield Files(folder)


@contextmanager
def _tables(folder: Path) -> Iterator[Loader]:
    data = folder / "postgres"
    with postgres.running(data) as server:
        yield Tables(PostgresSchema(server, SCHEMA), data)


LOADERS: Final[Mapping[str, Callable[[Path], AbstractContextManager[Loader]]]] = {
    Tables.name: _tables,
    Files.name: _files,
}
"""The loaders by name, of which the first is the default."""
