"""The Edm types: how their values are stored in SQLite and written on the wire."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from sandbox.clock import to_utc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Stored = str | int | float | None
Group = Literal["string", "number", "boolean", "guid", "instant", "binary", "collection"]

GUID = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
WIDTH = len("2024-01-01T00:00:00.000000")
INSTANT_JSON = """coalesce('"'||rtrim(rtrim({0},'0'),'.')||'Z"','null')"""
PLAIN_JSON = "coalesce({0},'null')"
QUOTED_JSON = """coalesce('"'||{0}||'"','null')"""
BOOLEAN_JSON = "CASE {0} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE 'null' END"


def instant(value: object) -> str:
    """Convert an instant to UTC text of a fixed width, so that text order is time order."""
    moment = to_utc(value if isinstance(value, datetime) else str(value))
    return moment.isoformat(timespec="microseconds")[:WIDTH]


def decimal(value: object) -> str:
    """Convert a decimal to text that keeps its digits."""
    return f"{value:f}" if isinstance(value, Decimal) else str(value)


def guid(value: object) -> str:
    """Convert a Guid to text."""
    text = str(value).lower()
    # Most Guids are in canonical form already, and UUID() is slow.
    return text if GUID.fullmatch(text) else str(UUID(text))


def binary(value: object) -> str:
    """Convert binary data to base64 text."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def integer(value: object) -> int:
    """Convert a value to an integer."""
    return int(str(value))


def boolean(value: object) -> int:
    """Convert a boolean to 0 or 1."""
    return int(bool(value))


def double(value: object) -> float:
    """Convert a value to a float."""
    return float(str(value))


def texts(value: object) -> str:
    """Convert a collection to JSON text."""
    return json.dumps(value)


@dataclass(frozen=True, slots=True)
class Traits:
    """The traits of one Edm type.

    Attributes:
        group: Types of one group can be compared.
        declaration: SQLite column type.
        json: SQL template that makes JSON text of a column.
        store: Converts a value to the stored one.
        default: Default value of a column that may not be null.
    """

    group: Group
    declaration: str
    json: str
    store: Callable[[object], Stored]
    default: Stored = None


NUMBER = Traits("number", "INTEGER", PLAIN_JSON, integer, 0)
FLOAT = Traits("number", "REAL", "json_quote({0})", double, 0.0)
STRING = Traits("string", "TEXT", "json_quote({0})", str, "")

TRAITS: Mapping[str, Traits] = {
    "Edm.String": STRING,
    "Edm.Decimal": Traits("number", "TEXT COLLATE DECIMAL", PLAIN_JSON, decimal, "0.0000"),
    "Edm.Int32": NUMBER,
    "Edm.Int16": NUMBER,
    "Edm.Int64": NUMBER,
    "Edm.Byte": NUMBER,
    "Edm.Boolean": Traits("boolean", "INTEGER", BOOLEAN_JSON, boolean, 0),
    "Edm.DateTimeOffset": Traits("instant", "TEXT", INSTANT_JSON, instant),
    "Edm.Guid": Traits("guid", "TEXT", QUOTED_JSON, guid),
    "Edm.Binary": Traits("binary", "TEXT", QUOTED_JSON, binary),
    "Edm.Double": FLOAT,
    "Edm.Single": FLOAT,
    "Collection(Edm.String)": Traits("collection", "TEXT", "coalesce({0},'[]')", texts),
}


def traits(edm_type: str) -> Traits:
    """Return the traits of a type; enums are treated as strings."""
    return TRAITS.get(edm_type, STRING)


def compare_decimals(left: str, right: str) -> int:
    """Compare two stored decimals by value."""
    first, second = Decimal(left), Decimal(right)
    return (first > second) - (first < second)
