"""The Edm types: one table with all that the tap has to know of each.

Facts: docs/acumatica.md, "Metadata" (which types occur) and "Query options" (literals).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final, Required, TypedDict
from uuid import UUID

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


def _decimal_literal_v3(value: Decimal) -> str:
    """A decimal with the letter that tells it from a double."""
    return f"{value:f}M"


def _boolean_literal(value: bool) -> str:  # noqa: FBT001 - a value, not a switch
    return "true" if value else "false"


# Texts of Atom as values. What cannot be read stays text, which the decoder then refuses.


def _integer_from_text(text: str) -> int | str:
    return int(text) if re.fullmatch(r"\s*[+-]?[0-9]{1,40}\s*", text) else text


def _double_from_text(text: str) -> Decimal | str:
    number = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*"
    return Decimal(text.strip()) if re.fullmatch(number, text) else text


def _boolean_from_text(text: str) -> bool | str:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.strip(), text)


# Values of an inquiry's parameters, from the settings, as plain texts.


def _text_parameter(value: Any) -> str:  # noqa: ANN401 - from the settings
    if isinstance(value, bool | list | dict):
        raise TypeError
    return str(value)


def _boolean_parameter(value: Any) -> str:  # noqa: ANN401 - from the settings
    return {"true": "true", "false": "false"}[str(value).lower()]


def _number_parameter(value: Any) -> str:  # noqa: ANN401 - from the settings
    number = Decimal(_text_parameter(value))
    if not number.is_finite():
        raise ValueError
    return f"{number:f}"


def _integer_parameter(value: Any) -> str:  # noqa: ANN401 - from the settings
    return str(int(_text_parameter(value)))


def _instant_parameter(value: Any) -> str:  # noqa: ANN401 - from the settings
    return datetime.fromisoformat(_text_parameter(value)).isoformat()


def _guid_parameter(value: Any) -> str:  # noqa: ANN401 - from the settings
    return str(UUID(_text_parameter(value)))


def _instant_parameter_literal(text: str) -> str:
    """An instant in UTC; one without an offset is in UTC already."""
    moment = datetime.fromisoformat(text)
    return instant_literal(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


class Conversion(Enum):
    """What turns a decoded value into that of a record (tap_acumatica/output/records.py)."""

    NONE = auto()
    INSTANT = auto()
    DECIMAL = auto()
    JSON_TEXT = auto()


@dataclass(frozen=True, slots=True)
class EdmType:
    """One type, with all that the tap has to know of it.

    Attributes:
        schema: JSON Schema of a value, without null.
        wire: The Python type that a value is decoded to. Numbers may come as JSON numbers or as
            strings of digits.
        literal: Writes a decoded value in a URL of OData 4.
        literal_v3: Writes it in a URL of OData 3, where that differs.
        from_text: Reads a value from the text of an Atom feed; None where JSON has text, too.
        parameter: Writes a value of the setting `inquiry_parameters` as plain text, which is how
            OData 3 takes it. Raises what Python raises for a value of another type.
        parameter_literal: Writes such a text in a URL of OData 4.
        conversion: What turns a decoded value into that of a record.
        ordered: Whether `gt` on it follows `$orderby` for certain, so that the next page can be
            asked for by a value.
        sortable: Whether an inquiry can be sorted by a column of it.
    """

    schema: Schema
    wire: Any
    literal: Callable[[Any], str] = str
    literal_v3: Callable[[Any], str] | None = None
    from_text: Callable[[str], Any] | None = None
    parameter: Callable[[Any], str] = _text_parameter
    parameter_literal: Callable[[str], str] = str
    conversion: Conversion = Conversion.NONE
    ordered: bool = False
    sortable: bool = True

    def literal_for(self, value: Any, protocol: ODataVersion) -> str:  # noqa: ANN401 - of its own type
        """Write a decoded value in a URL of a version of OData."""
        older = self.literal_v3 if protocol is ODataVersion.V3 else None
        return (older or self.literal)(value)


INT64: Final = 64
"""Bits of the widest integer."""

INTEGER: Final = EdmType({"type": "integer"}, int, parameter=_integer_parameter, ordered=True)


def _integer(bits: int, *, signed: bool = True) -> EdmType:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    schema = {"type": "integer", "minimum": low, "maximum": high}
    # OData 3 writes those of 64 bits as text, in JSON, too.
    from_text = _integer_from_text if bits < INT64 else None
    return replace(INTEGER, schema=schema, from_text=from_text)


STRING: Final = EdmType({"type": "string"}, str, quoted, parameter_literal=quoted, ordered=True)
NUMBER: Final = EdmType(
    {"type": "number"},
    Decimal,
    literal_v3=_decimal_literal_v3,
    parameter=_number_parameter,
    conversion=Conversion.DECIMAL,
)
DOUBLE: Final = replace(NUMBER, from_text=_double_from_text)
INSTANT: Final = EdmType(
    {"type": "string", "format": "date-time"},
    str,
    literal_v3="datetime'{}'".format,
    parameter=_instant_parameter,
    parameter_literal=_instant_parameter_literal,
    conversion=Conversion.INSTANT,
)
UNKNOWN: Final = EdmType(
    {"type": "string", "contentMediaType": "application/json"},
    Any,
    conversion=Conversion.JSON_TEXT,
    sortable=False,
)
"""A type that is not in the table; its values become JSON text."""

TYPES: Final[Mapping[str, EdmType]] = {
    "Edm.String": STRING,
    "Edm.Boolean": EdmType(
        {"type": "boolean"},
        bool,
        _boolean_literal,
        from_text=_boolean_from_text,
        parameter=_boolean_parameter,
    ),
    "Edm.SByte": _integer(8),
    "Edm.Byte": _integer(8, signed=False),
    "Edm.Int16": _integer(16),
    "Edm.Int32": _integer(32),
    "Edm.Int64": _integer(INT64),
    "Edm.Decimal": NUMBER,
    "Edm.Double": DOUBLE,
    "Edm.Single": DOUBLE,
    "Edm.DateTimeOffset": INSTANT,
    "Edm.DateTime": INSTANT,
    "Edm.Date": EdmType({"type": "string", "format": "date"}, str, ordered=True),
    "Edm.TimeOfDay": EdmType({"type": "string", "format": "time"}, str),
    "Edm.Duration": EdmType({"type": "string", "format": "duration"}, str),
    "Edm.Guid": EdmType(
        {"type": "string", "format": "uuid"},
        str,
        literal_v3="guid'{}'".format,
        parameter=_guid_parameter,
    ),
    "Edm.Binary": EdmType({"type": "string", "contentEncoding": "base64"}, str, sortable=False),
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
    _sort(edm_type.schema): edm_type for edm_type in (*TYPES.values(), INTEGER, NUMBER, UNKNOWN)
}


def from_schema(schema: Schema) -> EdmType:
    """The type behind a column's JSON Schema: a catalog is all that a sync needs."""
    if schema.get("format") == "x-singer.decimal":
        return NUMBER
    sort = _sort(schema)
    if sort == ("array",):
        item = from_schema(schema.get("items", {})).wire
        wire = list[item | None]  # type: ignore[valid-type] # made at run time
        return EdmType(schema, wire, sortable=False)
    if sort == ("object",):
        return EdmType(schema, row_type(columns_of(schema)), sortable=False)
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
