"""Converts the server's rows to Singer records; the conversions are chosen once per stream."""

from __future__ import annotations

import re
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.deletions import MARK
from tap_acumatica.odata.edm import Conversion
from tap_acumatica.odata.errors import AcumaticaError, DiscoveryError, InconsistentAnswer
from tap_acumatica.odata.instants import InstantReader, bookmark_text
from tap_acumatica.odata.payload.text_rows import TextRow
from tap_acumatica.odata.table import TextColumns
from tap_acumatica.output.written import decimal_text, json_text, writer_for

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from tap_acumatica.odata.payload.page import Row

    Conversions = list[tuple[str, Callable[[Any], Any]]]

_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,6}))?Z")
"""How most servers display instants; such a text only needs its fraction padded."""

# Python 3.14 reads 24:00 as the next midnight.
_MOMENT: Final = r"\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"

_LINES_IN_UTC: Final = re.compile(rf"(?:{_MOMENT}Z\n)*", re.ASCII)
"""Lines with such texts."""

_LINES_WITH_HOURS: Final = re.compile(rf"(?:{_MOMENT}[+-]\d\d:00\n)*", re.ASCII)
"""Lines with texts that show another offset, of whole hours."""

_LONG_FRACTION: Final = re.compile(r"\.(\d{6}\d*[1-9])")
"""A fraction with more digits than a datetime holds; no offset changes it."""

MAX_CACHED_INSTANTS: Final = 10_000
"""Maximum number of a stream's values whose conversions are cached."""


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How values are written, beyond what their schemas say.

    Attributes:
        trim_strings: Whether to cut the blanks at the end of texts.
        rebuild: Whether to decode and encode all rows, even if their text could pass as it is.
    """

    instants: InstantReader = field(default_factory=InstantReader)
    convert_to_utc: bool = True
    trim_strings: bool = False
    rebuild: bool = False

    def replication_key_text(self, value: str) -> str:
        """Return a replication key with a fixed width, so that texts sort as instants do."""
        if not self.instants.ignore_offsets and (utc := _UTC.fullmatch(value)):
            datetime.fromisoformat(value)  # raises if it is no date-time
            return f"{value[:19]}.{utc[1] or '':0<6}+00:00"
        return bookmark_text(self.instants.read(value))

    def instant(self, value: str) -> str:
        """Return an instant in UTC, or with the server's offset."""
        if self._is_in_utc(value):
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
        if wall_clock.time() == time() and not self._is_in_utc(value):
            return _in_utc(wall_clock.replace(tzinfo=UTC))
        return self.instant(value)

    def _is_in_utc(self, value: str) -> bool:
        return value[-1:] == "Z" and not self.instants.ignore_offsets

    # The same for many values: those of a page mostly are of one kind, which is fast.

    def replication_key_texts(self, values: Sequence[str]) -> Sequence[str]:
        """Return replication keys with a fixed width."""
        lines = self._lines(values)
        if _LINES_IN_UTC.fullmatch(lines):
            _require_moments(values)
            if "." not in lines:
                return lines.replace("Z\n", ".000000+00:00\n").split("\n")[:-1]
            return [f"{value[:19]}.{value[20:-1]:0<6}+00:00" for value in values]
        if _LINES_WITH_HOURS.fullmatch(lines):
            with suppress(OverflowError):
                return [
                    f"{_hour(value[:13] + value[-6:])}{value[13:19]}.{value[20:-6]:0<6}+00:00"
                    for value in values
                ]
        return [*map(self.replication_key_text, values)]

    def instant_texts(self, values: Sequence[str]) -> Sequence[str]:
        """Return instants in UTC, or with the server's offset; the same object if none changes."""
        lines = self._lines(values)
        if lines.count("Z\n") == lines.count("\n") == len(values):
            return values
        if self.convert_to_utc and "." not in lines and _LINES_WITH_HOURS.fullmatch(lines):
            with suppress(OverflowError):
                return [f"{_hour(value[:13] + value[-6:])}{value[13:19]}Z" for value in values]
        return [*map(self.instant, values)]

    def date_or_instant_texts(self, values: Sequence[str]) -> Sequence[str]:
        """Return dates or instants; the same object if none changes."""
        lines = self._lines(values)
        if _LINES_IN_UTC.fullmatch(lines):
            _require_moments(values)
            return values
        if "T00:00:00" not in lines and _LINES_WITH_HOURS.fullmatch(lines):
            return self.instant_texts(values)
        return [*map(self.date_or_instant, values)]

    def _lines(self, values: Sequence[str]) -> str:
        """Return the values, each with a line break behind it, if their offsets count."""
        return "-" if self.instants.ignore_offsets else "\n".join([*values, ""])


class _DoesNotFit(Exception):  # noqa: N818 - as the sentence says it
    """A decimal does not fit the type of its column.

    Attributes:
        path: Names of the column and those that contain it, from outside.
    """

    def __init__(self, value: Decimal, column_type: str) -> None:
        super().__init__(value, column_type)
        self.value = value
        self.column_type = column_type
        self.path: tuple[str, ...] = ()

    def within(self, name: str) -> _DoesNotFit:
        self.path = (name, *self.path)
        return self


class RecordConverter:
    """Converts the rows of one stream to records, in place, since a row is used once."""

    def __init__(  # noqa: PLR0913 - independent
        self,
        columns: Mapping[str, edm.EdmType],
        replication_key: str | None,
        settings: RecordSettings,
        absent: Iterable[str] = (),
        *,
        stream: str = "",
        key: Sequence[str] = (),
    ) -> None:
        """Choose the conversions.

        Args:
            columns: The requested columns.
            replication_key: The stream's replication key, if it is read incrementally.
            settings: How values are written.
            absent: Columns that the tenant lacks: they are null.
            stream: The stream's name, for error messages.
            key: The stream's key, for error messages.
        """
        self._stream = stream
        self._key = key
        self._columns = columns
        self._replication_key = replication_key
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
            if edm_type.conversion is Conversion.DECIMAL and edm_type.written is None
        ]
        converted = {
            name: edm_type for name, edm_type in columns.items() if name not in self._numbers
        }
        self._conversions = self._conversions_of(converted, replication_key)

    @property
    def text_columns(self) -> TextColumns | None:
        """How the columns are written if rows may pass as text; None if they have to be rebuilt.

        Without a key rows are compared by all of their columns. A key of numbers needs all
        of their digits, which a row that passes does not keep.
        """
        keys = [self._columns[name].conversion for name in self._key]
        if self._settings.rebuild or not keys or Conversion.DECIMAL in keys:
            return None
        if not all(map(self._keeps_text, self._columns.values())):
            return None
        dates = {
            name: self._texts_of(name)
            for name, edm_type in self._columns.items()
            if edm_type.conversion is Conversion.INSTANT
        }
        return TextColumns(self._key, self._replication_key, dates)

    def _texts_of(self, name: str) -> Callable[[Sequence[str]], Sequence[str]]:
        """Return the conversion of many values of a column with date-times."""
        if name == self._replication_key:
            return self._settings.replication_key_texts
        if _holds_instants(name):
            return self._settings.instant_texts
        return self._settings.date_or_instant_texts

    def _keeps_text(self, edm_type: edm.EdmType, *, within: bool = False) -> bool:
        """Whether values are written as they are sent, if they are of the right type.

        Args:
            edm_type: The type of a column.
            within: Whether it is a column of related records, whose date-times are not looked at.
        """
        schema = edm_type.schema
        if edm_type.written is not None or edm_type.conversion is Conversion.DECIMAL_TEXT:
            return False
        if edm_type.conversion is Conversion.INSTANT:
            return not within
        if schema is edm.STRING.schema:
            return not self._settings.trim_strings
        if "items" in schema:
            return self._keeps_text(edm.from_schema(schema["items"]), within=True)
        nested = edm.columns_of(schema)
        # A date-time is found in a row's text by its name.
        is_alone = all(
            self._columns[name].conversion is not Conversion.INSTANT
            for name in nested.keys() & self._columns.keys()
        )
        return is_alone and all(self._keeps_text(each, within=True) for each in nested.values())

    def convert(self, rows: list[Row], refused: frozenset[str] = frozenset()) -> list[Row]:
        """Convert these rows to records, with nulls that the server may have left out.

        Args:
            rows: The rows.
            refused: Columns that the server refused: the records lack them, too.

        Raises:
            InconsistentAnswer: A value cannot be converted.
            AcumaticaError: A decimal does not fit the type of its column.
            DiscoveryError: A value has no exact counterpart in the type that the user gave its
                column.
        """
        name, row, value, width = "", {}, None, len(self._columns)
        self._refused.update(refused)
        try:
            for row in self._rows_to_rebuild(rows):
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
        except _DoesNotFit as error:
            raise AcumaticaError(self._misfit(error.within(name), row)) from None
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise self._unconverted(name, value, error) from error
        return rows

    def _rows_to_rebuild(self, rows: list[Row]) -> list[Row]:
        """Return the rows that are no text, after completing those that are."""
        others = [row for row in rows if not isinstance(row, TextRow)]
        if len(others) < len(rows) and self._nulls:
            add_columns((row for row in rows if isinstance(row, TextRow)), self._nulls)
        return others

    def _misfit(self, error: _DoesNotFit, row: Row) -> str:
        key = ", ".join(f"{name}={row.get(name)}" for name in self._key) or "without a key"
        return (
            f"The value {error.value:f} of {'.'.join(error.path)} in {self._stream} does not fit "
            f"{error.column_type} (row: {key}): set decimals to a type that holds it, and run "
            "discovery again."
        )

    def _unconverted(self, name: str, value: Any, error: Exception) -> AcumaticaError:  # noqa: ANN401 - of the column
        if self._columns[name].written is not None:
            message = (
                f"The value {value!r:.100} of the column {name} of {self._stream} has no exact "
                f"counterpart in the type that the catalog gives the column: give it another "
                "one, or that of discovery."
            )
            return DiscoveryError(message)
        message = (
            f"Acumatica sent values of the column {name} that do not fit the catalog "
            f"({error}): run discovery again."
        )
        return InconsistentAnswer(message)

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

    def _own_conversion(
        self, name: str, edm_type: edm.EdmType, replication_key: str | None
    ) -> Callable[[Any], Any] | None:
        if name == replication_key:
            return self._settings.replication_key_text
        match edm_type.conversion:
            case Conversion.INSTANT:
                return self._instant if _holds_instants(name) else self._date_or_instant
            case Conversion.DECIMAL:
                return _finite
            case Conversion.DECIMAL_TEXT:
                return _decimal_text_of(edm_type.schema)
            case Conversion.JSON_TEXT:
                return json_text
            case Conversion.NONE:
                return self._text_or_nested(name, edm_type)

    def _text_or_nested(self, name: str, edm_type: edm.EdmType) -> Callable[[Any], Any] | None:
        """Return the conversion of a text, or of a list or object by those of the values in it."""
        if edm_type.schema is edm.STRING.schema:
            return _trimmed if self._settings.trim_strings else None
        schema = edm_type.schema
        if "items" in schema:
            convert = self._conversion(name, edm.from_schema(schema["items"]), None)
            return convert and partial(_convert_items, convert)
        if "properties" in schema:
            columns = edm.columns_of(schema)
            return partial(
                _convert_properties, columns, self._refused, self._conversions_of(columns, None)
            )
        return None


def add_columns(records: Iterable[Row], columns: Mapping[str, Any]) -> None:
    """Add columns to records that lack them."""
    if not columns:
        return
    as_text = _members(columns)
    for record in records:
        if isinstance(record, TextRow):
            record.add(as_text)
        else:
            record.update(columns)


def whole(record: Row) -> Row:
    """Return a record with all of its columns, whether it is text or not."""
    return record.whole() if isinstance(record, TextRow) else record


def _members(columns: Mapping[str, Any]) -> bytes:
    """Return columns as members of a JSON object, each behind a comma."""
    return b"".join(b",%b" % msgspec.json.encode({name: columns[name]})[1:-1] for name in columns)


def _holds_instants(name: str) -> bool:
    """Whether a column of this name holds no dates."""
    return name.endswith("DateTime") or name == MARK


@lru_cache(MAX_CACHED_INSTANTS)
def _hour(hour: str) -> str:
    """Return an hour of a day, with an offset, in UTC."""
    return datetime.fromisoformat(hour).astimezone(UTC).isoformat()[:13]


def _require_moments(values: Iterable[str]) -> None:
    """Raise a ValueError if one of these is no date-time."""
    deque(map(datetime.fromisoformat, values), maxlen=0)


def _in_utc(instant: datetime) -> str:
    """Write an instant as the server writes UTC: with only as many digits as are needed."""
    return edm.instant_literal(instant)


def _finite(value: Decimal) -> Decimal | None:
    return value if value.is_finite() else None


def _decimal_text_of(schema: edm.Schema) -> Callable[[Decimal], str | None]:
    """Return the conversion to a string that fits the schema's precision and scale."""
    precision, scale = schema.get("precision"), schema.get("scale", 0)
    if precision is None:
        return decimal_text
    # A decimal with more digits than its column would be rounded there.
    exact = Context(prec=precision, traps=[Inexact, InvalidOperation])
    unit = Decimal((0, (1,), -scale))

    def text(value: Decimal) -> str | None:
        if not value.is_finite():
            return None
        try:
            fitted = exact.quantize(value, unit)
        except (Inexact, InvalidOperation):
            raise _DoesNotFit(value, f"decimal({precision},{scale})") from None
        # Zeros are only cut, never added.
        return format(fitted if value.as_tuple().exponent < -scale else value, "f")

    return text


def _trimmed(value: str) -> str:
    return value.rstrip(" ")


def _convert_items(convert: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    return [None if value is None else convert(value) for value in values]


def _convert_properties(
    columns: Collection[str], refused: Collection[str], conversions: Conversions, row: Row
) -> Row:
    if len(row) != len(columns):
        _fill(row, columns, refused)
    name = ""
    try:
        for name, convert in conversions:
            value = row.get(name)
            if value is not None:
                row[name] = convert(value)
    except _DoesNotFit as error:
        raise error.within(name) from None
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
