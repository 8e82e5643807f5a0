"""The kinds of columns that the tap describes, and what each target makes of them."""

from __future__ import annotations

import json
import subprocess
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata import edm
from warehouse.databases import CsvFiles, Destination, JsonFiles
from warehouse.targets import ENVIRONMENTS, ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

SQL_TARGETS: Final = (
    "meltanolabs-target-postgres",
    "meltanolabs-target-snowflake",
    "z3-target-bigquery",
    "target-duckdb",
    "pipelinewise-target-postgres",
)
FileTarget = CsvFiles | JsonFiles
FILE_TARGETS: Final[tuple[type[FileTarget], ...]] = (CsvFiles, JsonFiles)
TIMEOUT: Final = 120  # seconds


def _nullable(schema: edm.Schema) -> dict[str, Any]:
    return {**schema, "type": [schema["type"], "null"]}


def _edm(name: str) -> dict[str, Any]:
    return _nullable(edm.TYPES[name].schema)


_CODE: Final = {"type": "object", "properties": {"Code": _edm("Edm.String")}}
_NUMBER: Final = "1234567890123.456789"

KINDS: Final[Mapping[str, tuple[dict[str, Any], str]]] = {
    "decimal, `decimals: number`": (_edm("Edm.Decimal"), _NUMBER),
    "decimal, `decimals: decimal(38,10)`": (
        _nullable(edm.decimals("decimal(38,10)")),
        f'"{_NUMBER}"',
    ),
    "decimal, `decimals: text`": (_nullable(edm.decimals("text")), f'"{_NUMBER}"'),
    "double, single": (_edm("Edm.Double"), "0.1"),
    "integer of 16 bits": (_edm("Edm.Int16"), "-32768"),
    "integer of 32 bits": (_edm("Edm.Int32"), "-2147483648"),
    "integer of 64 bits": (_edm("Edm.Int64"), "9223372036854775807"),
    "boolean": (_edm("Edm.Boolean"), "true"),
    "date-time": (_edm("Edm.DateTimeOffset"), '"2024-02-01T08:00:00.33Z"'),
    "uuid": (_edm("Edm.Guid"), '"11111111-2222-3333-4444-555555555555"'),
    "text": (_edm("Edm.String"), '"MAIN      "'),
    "binary": (_edm("Edm.Binary"), '"AAEC"'),
    "object: a related record": (_nullable(_CODE), '{"Code": "A"}'),
    "array of texts": (
        _nullable({"type": "array", "items": _edm("Edm.String")}),
        '["A", null]',
    ),
    "array of related records": (
        _nullable({"type": "array", "items": _nullable(_CODE)}),
        '[{"Code": "A"}]',
    ),
    "JSON text: a type that the tap does not know": (
        _nullable(edm.UNKNOWN.schema),
        '"{}"',
    ),
}
"""JSON Schema and a value, as JSON, of each kind of column."""


def column_types(package: str) -> dict[str, str]:
    """Return the column type of each kind, from the target's own type mapping."""
    python = ENVIRONMENTS / package / "bin" / "python"
    schemas = {kind: schema for kind, (schema, _) in KINDS.items()}
    finished = subprocess.run(  # noqa: S603 - our own command
        [python, ROOT / "warehouse" / "mappings.py", package],
        input=json.dumps(schemas),
        capture_output=True,
        text=True,
        check=True,
        timeout=TIMEOUT,
    )
    types: dict[str, str] = json.loads(finished.stdout.splitlines()[-1])
    return {kind: name.upper() for kind, name in types.items()}


def written_values(target: type[FileTarget]) -> dict[str, str]:
    """Return what a target writes into its file for the value of each kind."""
    with tempfile.TemporaryDirectory() as folder:
        destination: Destination = target(Path(folder) / "files")
        names = {kind: f"c{index}" for index, kind in enumerate(KINDS)}
        columns = {names[kind]: schema for kind, (schema, _) in KINDS.items()}
        schema = {
            "type": "SCHEMA",
            "stream": "Items",
            "schema": {"type": "object", "properties": columns},
            "key_properties": [],
        }
        values = ", ".join(f'"{names[kind]}": {value}' for kind, (_, value) in KINDS.items())
        record = f'{{"type": "RECORD", "stream": "Items", "record": {{{values}}}}}'
        error = destination.load(f"{json.dumps(schema)}\n{record}\n", Path(folder))
        if error:
            raise RuntimeError(error)
        (row,) = destination.rows("Items")
        return {kind: _text(row[name]) for kind, name in names.items()}


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | Decimal) else json.dumps(value)
