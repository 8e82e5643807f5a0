"""The Edm types: a table with everything that the tap needs to know about each.

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
    from collections.abc import Callable, Iterable, Iterator

Schema = Mapping[str, Any]


def quoted(value: str) -> str:
    """Return a string literal; quotes within it are doubled."""
    return "'" + value.replace("'", "''") + "'"


def instant_literal(value: datetime, protocol: ODataVersion = ODataVersion.V4) -> str:
    """Return an instant's literal in UTC, without trailing zeros in the fraction."""
    text = value.astimezone(UTC).replace(tzinfo=None).isoformat()
    text = (text.rstrip("0") if "." in text else text) + "Z"
    return f"datetime'{text}'" if protocol is ODataVersion.V3 else text


def _decimal_literal_v3(value: Decimal) -> str:
    """Return a decimal with the suffix that distinguishes it from a double."""
    return f"{value:f}M"


def _boolean_literal(value: bool) -> str:  # noqa: FBT001 - a value, not a switch
    return "true" if value else "false"


# Conversion of text in Atom feeds. Unreadable text stays text, which the decoder then refuses.


def _integer_from_text(text: str) -> int | str:
    return int(text) if re.fullmatch(r"\s*[+-]?[0-9]{1,40}\s*", text) else text


def _double_from_text(text: str) -> Decimal | str:
    number = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*"
    return Decimal(text.strip()) if re.fullmatch(number, text) else text


def _boolean_from_text(text: str) -> bool | str:
    return {"true": True, "1": True, "false": False, "0": False}.get(text.strip(), text)


# Conversion of inquiry parameters, from values in the settings to plain text.


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
    """Return an instant's literal in UTC; text without an offset is in UTC already."""
    moment = datetime.fromisoformat(text)
    return instant_literal(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


class Conversion(Enum):
    """How a decoded value becomes a record's value (tap_acumatica/output/records.py)."""

    NONE = auto()
    INSTANT = auto()
    DECIMAL = auto()
    DECIMAL_TEXT = auto()
    JSON_TEXT = auto()


@dataclass(frozen=True, slots=True)
class EdmType:
    """An Edm type, with everything that the tap needs to know about it.

    Attributes:
        schema: JSON Schema of a value, without null.
        wire: The Python type that values are decoded to. Numbers may arrive as JSON numbers or as
            strings of digits.
        literal: Writes a decoded value as a literal of OData 4.
        literal_v3: Writes it as a literal of OData 3, or None if both versions write it alike.
        from_text: Converts the text in an Atom feed, or None if JSON has text for the type too.
        parameter: Converts a value of the setting `inquiry_parameters` to plain text, the form
            that OData 3 uses. Raises Python's own errors for a value that does not fit the type.
        parameter_literal: Writes such text as a literal of OData 4.
        conversion: How a decoded value becomes a record's value.
        ordered: Whether `gt` reliably follows the order of `$orderby`, so that the next page can
            be requested by the last row's value.
        sortable: Whether an inquiry can be sorted by a column of the type.
        written: JSON Schema of what is written in place of such a value, or None if the user left
            the column its own type.
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
    written: Schema | None = None

    @property
    def is_instant(self) -> bool:
        """Whether values are instants, and written as such or as their text."""
        texts = {signature(INSTANT.schema), signature(STRING.schema)}
        return self.conversion is Conversion.INSTANT and (
            self.written is None or signature(self.written) in texts
        )

    def literal_for(self, value: Any, protocol: ODataVersion) -> str:  # noqa: ANN401 - of its own type
        """Write a decoded value as a literal of an OData version."""
        literal_v3 = self.literal_v3 if protocol is ODataVersion.V3 else None
        return (literal_v3 or self.literal)(value)


MAX_INTEGER_BITS: Final = 64

INTEGER: Final = EdmType({"type": "integer"}, int, parameter=_integer_parameter, ordered=True)


def _integer(bits: int, *, signed: bool = True) -> EdmType:
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    schema = {"type": "integer", "minimum": low, "maximum": high}
    # OData 3 writes integers of 64 bits as text, in JSON too.
    from_text = _integer_from_text if bits < MAX_INTEGER_BITS else None
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
DECIMAL_FORMAT: Final = "x-singer.decimal"
"""Tells targets to make a decimal of a string; `precision` and `scale` beside it say which."""

DIGITS: Final = r"^-?[0-9]+(\.[0-9]+)?$"
"""Pattern of the strings that are written for decimals; a sync knows their columns by it."""

MAX_PRECISION: Final = 999

UNKNOWN: Final = EdmType(
    {"type": "string", "contentMediaType": "application/json"},
    Any,
    conversion=Conversion.JSON_TEXT,
    sortable=False,
)
"""Any type that is not in the table; its values become JSON text."""

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
    "Edm.Int64": _integer(MAX_INTEGER_BITS),
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


def decimals(setting: str) -> Schema:
    """Return the JSON Schema of decimals for the setting of that name.

    Raises:
        ValueError: The setting is not one of its forms.
    """
    if setting == "number":
        return NUMBER.schema
    if setting == "text":
        return {"type": "string", "pattern": DIGITS}
    digits = re.fullmatch(r"decimal\(\s*([0-9]{1,3})\s*,\s*([0-9]{1,3})\s*\)", setting)
    precision, scale = map(int, digits.groups()) if digits else (0, 0)
    if not precision or scale > precision:
        raise ValueError(setting)
    return {"type": "string", "format": DECIMAL_FORMAT, "precision": precision, "scale": scale}


NEXT_LINK_SUFFIX: Final = "@odata.nextLink"
"""Follows the name of a list that the server sent only in part; the link leads to the rest."""

_COLLECTION: Final = re.compile(r"Collection\((.*)\)")


def collection_of(name: str) -> str | None:
    """Return the type of a collection's items, or None if the name is not a collection's."""
    match = _COLLECTION.fullmatch(name)
    return match.group(1) if match else None


def signature(schema: Schema) -> tuple[str, ...]:
    """Return what distinguishes schemas: the type, disregarding null, and a string's keywords."""
    types = schema.get("type", "string")
    kind = types if isinstance(types, str) else next((t for t in types if t != "null"), "string")
    string_keywords = ("format", "contentEncoding", "contentMediaType") if kind == "string" else ()
    return (kind, *(str(schema.get(keyword, "")) for keyword in string_keywords))


_BY_SIGNATURE: Final[Mapping[tuple[str, ...], EdmType]] = {
    signature(edm_type.schema): edm_type for edm_type in (*TYPES.values(), INTEGER, NUMBER, UNKNOWN)
}


def from_schema(schema: Schema) -> EdmType:
    """Return the type behind a column's JSON Schema, so that a sync needs only the catalog."""
    kind = signature(schema)
    is_decimal = schema.get("format") == DECIMAL_FORMAT or schema.get("pattern") == DIGITS
    if is_decimal and kind[0] == "string":
        return replace(NUMBER, schema=schema, conversion=Conversion.DECIMAL_TEXT)
    if kind == ("array",):
        item = from_schema(schema.get("items", {})).wire
        wire = list[item | None]  # type: ignore[valid-type] # made at run time
        return EdmType(schema, wire, sortable=False)
    if kind == ("object",):
        return EdmType(schema, row_type(columns_of(schema)), sortable=False)
    return _BY_SIGNATURE.get(kind, UNKNOWN)


def of_column(schema: Schema, declared: str | None) -> EdmType:
    """Return the type of a column whose JSON Schema the user may have changed.

    Args:
        schema: The column's schema in the catalog.
        declared: The type's name in the metadata, or None if the catalog does not say it.
    """
    own = from_schema(schema)
    if declared is None:
        return own
    edm_type = TYPES.get(declared, UNKNOWN)
    natural = signature(edm_type.schema)
    if edm_type.conversion is Conversion.DECIMAL and own.conversion is Conversion.DECIMAL_TEXT:
        return own
    alternatives = {signature(schema) for schema in _alternatives(schema)}
    if natural in alternatives:
        return _BY_SIGNATURE[natural]
    if edm_type is UNKNOWN and alternatives & {("array",), ("object",)}:
        return own
    return replace(edm_type, written=schema)


def _alternatives(schema: Schema) -> Iterator[Schema]:
    """Yield the schemas of one type each between which a column's schema leaves the choice."""
    choices = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    for choice in choices:
        yield from _alternatives(choice)
    types = schema.get("type", [] if choices else "string")
    for name in [types] if isinstance(types, str) else types:
        if name != "null":
            yield {**schema, "type": name}


def written_as(schema: Schema) -> Schema:
    """Return the first of the schemas between which a column's schema leaves the choice."""
    return next(_alternatives(schema), {"type": "null"})


def columns_of(schema: Schema) -> dict[str, EdmType]:
    """The types of an object schema's properties."""
    return {name: from_schema(column) for name, column in schema.get("properties", {}).items()}


def row_type(columns: Mapping[str, EdmType], required: Iterable[str] = ()) -> Any:  # noqa: ANN401 - a type made at run time
    """Return a TypedDict of these columns, into which rows are decoded.

    Columns must have the right types, only required ones must be present, and others are dropped.
    A list may be accompanied by the link to its remaining items.
    """
    fields = {name: edm_type.wire | None for name, edm_type in columns.items()}
    fields |= {name: Required[fields[name]] for name in required}
    lists = [name for name, edm_type in columns.items() if "items" in edm_type.schema]
    fields.update({name + NEXT_LINK_SUFFIX: str | None for name in lists})
    return TypedDict("Row", fields, total=False)  # type: ignore[operator] # made at run time
