"""Converts the server's rows to Singer records; the conversions are chosen once per stream."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.edm import Conversion
from tap_acumatica.odata.errors import DiscoveryError, InconsistentAnswer
from tap_acumatica.odata.instants import InstantReader, bookmark_text
from tap_acumatica.output.written import decimal_text, json_text, writer_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from decimal import Decimal

    from tap_acumatica.odata.payload.page import Row

    Conversions = list[tuple[str, Callable[[Any], Any]]]

_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,6}))?Z")
"""How most servers display instants; such a text only needs its fraction padded."""

_LONG_FRACTION: Final = re.compile(r"\.(\d{6}\d*[1-9])")
"""A fraction with more digits than a datetime holds; no offset changes it."""

MAX_CACHED_INSTANTS: Final = 10_000
"""Maximum number of a stream's values whose conversions are cached."""


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How values are written."""

    instants: InstantReader = field(default_factory=InstantReader)
    convert_to_utc: bool = True
    decimals_as_strings: bool = False

    def replication_key_text(self, value: str) -> str:
        """Return a replication key with a fixed width, so that texts sort as instants do."""
        if not self.instants.ignore_offsets and (utc := _UTC.fullmatch(value)):
            datetime.fromisoformat(value)  # raises if it is no date-time
            return f"{value[:19]}.{utc[1] or '':0<6}+00:00"
        return bookmark_text(self.instants.read(value))

    def instant(self, value: str) -> str:
        """Return an instant in UTC, or with the server's offset."""
        if value[-1:] == "Z" and not self.instants.ignore_offsets:
            return value
        if not self.convert_to_utc and self.instants.has_offset(value):
            return value
        instant = self.instants.read(value)
        if fraction := _LONG_FRACTION.search(value):
            return f"{instant.replace(tzinfo=None).isoformat(timespec='seconds')}.{fraction[1]}Z"
        return _in_utc(instant)

    def date_or_instant(self, value: str) -> str:
        """Return a date or an instant: midnight on the wall clock is a date, and keeps its day."""
        if not self.convert_to_utc and self.instants.has_offset(value):
            return value
        wall_clock = datetime.fromisoformat(value).replace(tzinfo=None)
        if wall_clock.time() == time():
            return _in_utc(wall_clock.replace(tzinfo=UTC))
        return self.instant(value)


class RecordConverter:
    """Converts the rows of one stream to records, in place, since a row is used once."""

    def __init__(
        self,
        columns: Mapping[str, edm.EdmType],
        replication_key: str | None,
        settings: RecordSettings,
        absent: Iterable[str] = (),
        stream: str = "",
    ) -> None:
        """Choose the conversions.

        Args:
            columns: The requested columns.
            replication_key: The stream's replication key, if it is read incrementally.
            settings: How values are written.
            absent: Columns that the tenant lacks: they are null.
            stream: Name of the stream in error messages.
        """
        self._stream = stream
        self._columns = columns
        self._refused: set[str] = set()
        self._settings = settings
        # Dates repeat, in all columns, and few streams have more distinct ones than a cache holds.
        # The caches refer to nothing that refers to them, so that they are freed with the stream.
        self._instant = lru_cache(MAX_CACHED_INSTANTS)(settings.instant)
        self._date_or_instant = lru_cache(MAX_CACHED_INSTANTS)(settings.date_or_instant)
        self._nulls: dict[str, None] = dict.fromkeys(absent)
        # By far the most frequent conversion, so it is done without a call for each value.
        self._numbers = [
            name
            for name, edm_type in columns.items()
            if edm_type.conversion is Conversion.DECIMAL
            and edm_type.written is None
            and not self._as_text(edm_type)
        ]
        converted = {
            name: edm_type for name, edm_type in columns.items() if name not in self._numbers
        }
        self._conversions = self._conversions_of(converted, replication_key)

    def convert(self, rows: list[Row], refused: frozenset[str] = frozenset()) -> list[Row]:
        """Convert these rows to records, with nulls that the server may have left out.

        Args:
            rows: The rows.
            refused: Columns that the server refused: the records lack them, too.

        Raises:
            InconsistentAnswer: A value cannot be converted.
            DiscoveryError: A value has no exact counterpart in the type that the user gave its
                column.
        """
        name, value, width = "", None, len(self._columns)
        self._refused.update(refused)
        try:
            for row in rows:
                if len(row) != width:
                    _fill(row, self._columns, self._refused)
                for name, convert in self._conversions:
                    value = row.get(name)
                    if value is not None:
                        row[name] = convert(value)
                for number in self._numbers:
                    decimal = row.get(number)
                    if decimal is not None and not decimal.is_finite():
                        row[number] = None
                if self._nulls:
                    row.update(self._nulls)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            if self._columns[name].written is not None:
                message = (
                    f"The value {value!r:.100} of the column {name} of {self._stream} has no exact "
                    f"counterpart in the type that the catalog gives the column: give it another "
                    "one, or that of discovery."
                )
                raise DiscoveryError(message) from error
            message = (
                f"Acumatica sent values of the column {name} that do not fit the catalog "
                f"({error}): run discovery again."
            )
            raise InconsistentAnswer(message) from error
        return rows

    def _conversions_of(
        self, columns: Mapping[str, edm.EdmType], replication_key: str | None
    ) -> Conversions:
        return [
            (name, convert)
            for name, edm_type in columns.items()
            if (convert := self._conversion(name, edm_type, replication_key))
        ]

    def _conversion(
        self, name: str, edm_type: edm.EdmType, replication_key: str | None
    ) -> Callable[[Any], Any] | None:
        if edm_type.written is None or name == replication_key:
            return self._own_conversion(name, edm_type, replication_key)
        written = edm.written_as(edm_type.written)
        write = writer_for(written)
        # What is to become a date is one on the wall clock, whatever the column's name.
        is_date = edm_type.conversion is Conversion.INSTANT and written.get("format") == "date"
        convert = None if is_date else self._own_conversion(name, edm_type, None)
        return partial(_convert_and_write, convert, write) if convert else write

    def _as_text(self, edm_type: edm.EdmType) -> bool:
        return self._settings.decimals_as_strings or "format" in edm_type.schema

    def _own_conversion(
        self, name: str, edm_type: edm.EdmType, replication_key: str | None
    ) -> Callable[[Any], Any] | None:
        if name == replication_key:
            return self._settings.replication_key_text
        match edm_type.conversion:
            case Conversion.INSTANT:
                return self._instant if name.endswith("DateTime") else self._date_or_instant
            case Conversion.DECIMAL:
                return decimal_text if self._as_text(edm_type) else _finite
            case Conversion.JSON_TEXT:
                return json_text
            case Conversion.NONE:
                return self._nested(name, edm_type.schema)

    def _nested(self, name: str, schema: edm.Schema) -> Callable[[Any], Any] | None:
        """Return the conversion of a list or object, which converts the values in it."""
        if "items" in schema:
            convert = self._conversion(name, edm.from_schema(schema["items"]), None)
            return convert and partial(_convert_items, convert)
        if "properties" in schema:
            columns = edm.columns_of(schema)
            return partial(
                _convert_properties, columns, self._refused, self._conversions_of(columns, None)
            )
        return None


def _in_utc(instant: datetime) -> str:
    """Write an instant as the server writes UTC: with only as many digits as are needed."""
    return edm.instant_literal(instant)


def _finite(value: Decimal) -> Decimal | None:
    return value if value.is_finite() else None


def _convert_items(convert: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    return [None if value is None else convert(value) for value in values]


def _convert_properties(
    columns: Collection[str], refused: Collection[str], conversions: Conversions, row: Row
) -> Row:
    if len(row) != len(columns):
        _fill(row, columns, refused)
    for name, convert in conversions:
        value = row.get(name)
        if value is not None:
            row[name] = convert(value)
    return row


def _fill(row: Row, columns: Iterable[str], refused: Collection[str]) -> None:
    for name in columns:
        if name not in refused:
            row.setdefault(name, None)


def _convert_and_write(
    convert: Callable[[Any], Any],
    write: Callable[[Any], Any],
    value: Any,  # noqa: ANN401 - of the column
) -> Any:  # noqa: ANN401 - of the column
    converted = convert(value)
    return None if converted is None else write(converted)
