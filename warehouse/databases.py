"""What the targets load: tables and files, and how to read them."""

from __future__ import annotations

import csv
import json
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from warehouse.postgres import DATABASE, HOST, USER, QueryError
from warehouse.targets import ENVIRONMENTS, program

if TYPE_CHECKING:
    from pathlib import Path

    from warehouse.postgres import Postgres

Rows = list[dict[str, Any]]
TIMEOUT = 120  # seconds for a load


class Destination(ABC):
    """What one target loads.

    Attributes:
        package: The target's package.
        loader: Its program, and its name in meltano.yml.
    """

    package: ClassVar[str]
    loader: ClassVar[str]

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The settings of the target."""

    @abstractmethod
    def rows(self, stream: str) -> Rows:
        """Return all that was loaded for a stream, with the names of columns in lower case."""

    def table(self, stream: str) -> Rows:
        """Return the rows that are not retired, with the columns of the stream only."""
        return [
            {name: value for name, value in row.items() if not name.startswith("_sdc_")}
            for row in self.rows(stream)
            if not row.get("_sdc_deleted_at")
        ]

    def load(self, messages: str, folder: Path, **settings: object) -> str | None:
        """Pass messages to the target; return its last words if it fails, else None.

        Args:
            messages: Singer messages, one a line.
            folder: Folder for the settings.
            settings: More settings of the target.
        """
        config = folder / f"{self.package}.json"
        config.write_text(json.dumps(self.settings | settings))
        finished = subprocess.run(  # noqa: S603 - our own command
            [program(self.package, self.loader), "--config", config],
            input=messages,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            cwd=folder,
        )
        return (finished.stderr.strip() or "no words") if finished.returncode else None


@dataclass(frozen=True)
class PostgresSchema(Destination):
    """A schema in a PostgreSQL server, loaded by meltanolabs-target-postgres."""

    package = "meltanolabs-target-postgres"
    loader = "target-postgres"
    server: Postgres
    schema: str

    @property
    @override
    def settings(self) -> dict[str, Any]:
        return {
            "host": HOST,
            "port": self.server.port,
            "user": USER,
            "password": self.server.password,
            "database": DATABASE,
            "default_target_schema": self.schema,
        }

    def name(self, stream: str) -> str:
        """Return the name of a stream's table, as SQL."""
        return f'"{self.schema}"."{stream}"'

    @override
    def rows(self, stream: str) -> Rows:
        try:
            rows = self.server.query(f"SELECT to_jsonb(t) FROM {self.name(stream)} t")  # noqa: S608 - our own names
        except QueryError as error:
            if "does not exist" in str(error):
                return []
            raise
        return [_decoded(row) for row in rows]

    def run(self, sql: str) -> list[list[str]]:
        """Run a statement in the schema; return the rows of its result, as texts."""
        lines = self.server.query(f'SET search_path TO "{self.schema}"; {sql}')
        return [line.split("|") for line in lines]

    def total(self, stream: str, column: str) -> Decimal:
        """Return the sum of a column over the rows that are not retired."""
        sql = f'SELECT coalesce(sum("{column}"), 0) FROM {self.name(stream)} '  # noqa: S608 - our own names
        (total,) = self.server.query(f"{sql} WHERE _sdc_deleted_at IS NULL")
        return Decimal(total)

    def type_of(self, stream: str, column: str) -> str:
        """Return the type of a column."""
        (name,) = self.server.query(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = "  # noqa: S608 - our own names
            f"'{column}' AND attrelid = '{self.name(stream)}'::regclass"
        )
        return name


@dataclass(frozen=True)
class PipelinewiseSchema(PostgresSchema):
    """A schema in a PostgreSQL server, loaded by pipelinewise-target-postgres."""

    package = "pipelinewise-target-postgres"

    @property
    @override
    def settings(self) -> dict[str, Any]:
        return {
            **{name: value for name, value in super().settings.items() if name != "database"},
            "dbname": DATABASE,
            "primary_key_required": False,
        }

    @override
    def name(self, stream: str) -> str:
        return super().name(stream.lower())


@dataclass(frozen=True)
class DuckFile(Destination):
    """A file of DuckDB, loaded by target-duckdb."""

    package = "target-duckdb"
    loader = "target-duckdb"
    path: Path
    schema: str = "acumatica"

    @property
    @override
    def settings(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "default_target_schema": self.schema,
            "primary_key_required": False,
        }

    @override
    def rows(self, stream: str) -> Rows:
        sql = f"SELECT to_json(t) FROM {self._name(stream)} t"  # noqa: S608 - our own names
        return [_decoded(row) for row in self._query(sql)]

    def run(self, sql: str) -> list[list[str]]:
        """Run a statement in the schema; return the rows of its result, as texts."""
        return self._run(f"USE {self.schema}; {sql}", read_only=False)

    def total(self, stream: str, column: str) -> Decimal:
        """Return the sum of a column of texts."""
        cast = f"CAST({column} AS DECIMAL(38, 10))"
        (total,) = self._query(f"SELECT coalesce(sum({cast}), 0) FROM {self._name(stream)}")  # noqa: S608 - our own names
        return Decimal(total)

    def _name(self, stream: str) -> str:
        return f'{self.schema}."{stream.lower()}"'

    def _query(self, sql: str) -> list[str]:
        """Return the first column of a query."""
        return [row[0] for row in self._run(sql, read_only=True)]

    def _run(self, sql: str, *, read_only: bool) -> list[list[str]]:
        """Run statements; DuckDB is installed beside its target only."""
        code = (
            "import duckdb, json, sys; "
            f"file = duckdb.connect(sys.argv[1], read_only={read_only}); "
            "rows = file.execute(sys.argv[2]).fetchall(); "
            "print(json.dumps([[str(value) for value in row] for row in rows]))"
        )
        python = ENVIRONMENTS / self.package / "bin" / "python"
        command = [str(python), "-c", code, str(self.path), sql]
        finished = subprocess.run(  # noqa: S603 - our own command
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
        if "does not exist" in finished.stderr:
            return []
        finished.check_returncode()
        values: list[list[str]] = json.loads(finished.stdout)
        return values


@dataclass(frozen=True)
class CsvFiles(Destination):
    """A folder of files, written by meltanolabs-target-csv; all values are texts."""

    package = "meltanolabs-target-csv"
    loader = "target-csv"
    folder: Path

    @property
    @override
    def settings(self) -> dict[str, Any]:
        return {"output_path": str(self.folder), "file_naming_scheme": "{stream_name}.csv"}

    @override
    def rows(self, stream: str) -> Rows:
        path = self.folder / f"{stream}.csv"
        if not path.exists():
            return []
        with path.open(encoding="utf-8", newline="") as file:
            heading, *lines = csv.reader(file)
        return [_lower(dict(zip(heading, line, strict=False))) for line in lines]


@dataclass(frozen=True)
class JsonFiles(Destination):
    """A folder of files, written by target-jsonl."""

    package = "target-jsonl"
    loader = "target-jsonl"
    folder: Path

    @property
    @override
    def settings(self) -> dict[str, Any]:
        return {"destination_path": str(self.folder), "do_timestamp_file": False}

    @override
    def rows(self, stream: str) -> Rows:
        path = self.folder / f"{stream}.jsonl"
        if not path.exists():
            return []
        return [_decoded(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _decoded(row: str) -> dict[str, Any]:
    return _lower(json.loads(row, parse_float=Decimal))


def _lower(row: dict[str, Any]) -> dict[str, Any]:
    return {name.lower(): value for name, value in row.items()}
