"""The Edm types: how each is described in JSON Schema, decoded from the wire, and written in a URL.

Facts: docs/acumatica.md, "Metadata" (which types occur) and "Query options" (literals).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Required, TypedDict

from tap_acumatica.odata.dialect import ODataVersion

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Schema = Mapping[str, Any]


def quoted(value: str) -> str:
    """A string literal; a quote within is doubled."""
    return "'" + value.replace("'", "''") + "'"


def instant_literal(value: datetime, protocol: ODataVersion = ODataVersion.V4) -> str:
    """An instant in UTC; trailing zeros of the fraction are left out."""
    text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
    text = (text.rstrip("0") if "." in text else text) + "Z"
    return f"datetime'{text}'" if protocol is ODataVersion.V3 else text


def _decimal_3(value: Decimal) -> str:
    """With the letter that tells it from a double."""
    return f"{value:f}M"


def _boolean_literal(value: bool) -> str:  # noqa: FBT001 - a value, not a switch
    return "true" if value else "false"


@dataclass(frozen=True, slots=True)
class EdmType:
    """One primitive type."""

    schema: Schema
    """JSON Schema of a value, without null."""

    wire: Any
    """What a value is decoded as. Numbers may come as JSON numbers or as strings of digits."""

    literal: Callable[[Any], str] = str
    """A decoded value as OData 4 writes it in a URL."""

    ordered: bool = False
    """Whether `gt` on it follows `$orderby` for certain, so that pages can go on from a value."""

    literal_3: Callable[[Any], str] | None = None
    """As OData 3 writes it, where that differs."""

    def written(self, value: Any, protocol: ODataVersion) -> str:  # noqa: ANN401 - of its own type
        """A decoded value as a version of OData writes it in a URL."""
        older = self.literal_3 if protocol is ODataVersion.V3 else None
        return (older or self.literal)(value)


def _integer(bits: int, *, signed: bool = True) -> EdmType:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    schema = {"type": "integer", "minimum": low, "maximum": high}
    return EdmType(schema, int, ordered=True)


STRING: Final = EdmType({"type": "string"}, str, quoted, ordered=True)
INTEGER: Final = EdmType({"type": "integer"}, int, ordered=True)
NUMBER: Final = EdmType({"type": "number"}, Decimal, literal_3=_decimal_3)
INSTANT: Final = EdmType(
    {"type": "string", "format": "date-time"}, str, literal_3="datetime'{}'".format
)
UNKNOWN: Final = EdmType({"type": "string", "contentMediaType": "application/json"}, Any)
"""A type that is not in the table; its values become JSON text."""

TYPES: Final[Mapping[str, EdmType]] = {
    "Edm.String": STRING,
    "Edm.Boolean": EdmType({"type": "boolean"}, bool, _boolean_literal),
    "Edm.SByte": _integer(8),
    "Edm.Byte": _integer(8, signed=False),
    "Edm.Int16": _integer(16),
    "Edm.Int32": _integer(32),
    "Edm.Int64": _integer(64),
    "Edm.Decimal": NUMBER,
    "Edm.Double": NUMBER,
    "Edm.Single": NUMBER,
    "Edm.DateTimeOffset": INSTANT,
    "Edm.DateTime": INSTANT,
    "Edm.Date": EdmType({"type": "string", "format": "date"}, str, ordered=True),
    "Edm.TimeOfDay": EdmType({"type": "string", "format": "time"}, str),
    "Edm.Duration": EdmType({"type": "string", "format": "duration"}, str),
    "Edm.Guid": EdmType({"type": "string", "format": "uuid"}, str, literal_3="guid'{}'".format),
    "Edm.Binary": EdmType({"type": "string", "contentEncoding": "base64"}, str),
}

GOES_ON: Final = "@odata.nextLink"
"""What stands behind a list's name where the server sent only a part of it."""

_COLLECTION: Final = re.compile(r"Collection\((.*)\)")


def collection_of(name: str) -> str | None:
    """The type of the items, where the name is that of a collection."""
    found = _COLLECTION.fullmatch(name)
    return found.group(1) if found else None


def _sort(schema: Schema) -> tuple[str, ...]:
    """What tells schemas apart: the type but for null, and what refines a string."""
    types = schema.get("type", "string")
    kind = types if isinstance(types, str) else next((t for t in types if t != "null"), "string")
    refinements = ("format", "contentEncoding", "contentMediaType") if kind == "string" else ()
    return (kind, *(str(schema.get(word, "")) for word in refinements))


_BY_SCHEMA: Final[Mapping[tuple[str, ...], EdmType]] = {
    _sort(edm_type.schema): edm_type for edm_type in (*TYPES.values(), INTEGER, UNKNOWN)
}


def from_schema(schema: Schema) -> EdmType:
    """The type behind a column's JSON Schema: a catalog is all that a sync needs."""
    if schema.get("format") == "x-singer.decimal":
        return NUMBER
    sort = _sort(schema)
    if sort == ("array",):
        item = from_schema(schema.get("items", {})).wire
        return EdmType(schema, list[item | None])  # type: ignore[valid-type] # made at run time
    if sort == ("object",):
        return EdmType(schema, row_type(columns_of(schema)))
    return _BY_SCHEMA.get(sort, UNKNOWN)


def columns_of(schema: Schema) -> dict[str, EdmType]:
    """The types of an object schema's properties."""
    return {name: from_schema(column) for name, column in schema.get("properties", {}).items()}


def row_type(columns: Mapping[str, EdmType], required: Iterable[str] = ()) -> Any:  # noqa: ANN401 - a type made at run time
    """A dict type of these columns: what decodes into it has them, right in type, and no others.

    Only the required ones must be there. Beside a list it has what says that the list goes on
    elsewhere.
    """
    fields = {name: edm_type.wire | None for name, edm_type in columns.items()}
    fields |= {name: Required[fields[name]] for name in required}
    lists = [name for name, edm_type in columns.items() if "items" in edm_type.schema]
    fields.update({name + GOES_ON: str | None for name in lists})
    return TypedDict("Row", fields, total=False)  # type: ignore[operator] # made at run time
