"""Rows as the server sends them -> Singer records; what to do is decided once per stream."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.edm import Conversion
from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.instants import InstantReader, bookmark_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from decimal import Decimal

    from tap_acumatica.odata.payload.page import Row

    Conversions = list[tuple[str, Callable[[Any], Any]]]

_IN_UTC: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(\d{1,6}))?Z")
"""How most servers show instants; such a text needs no more than a longer fraction."""

_FINER: Final = re.compile(r"\.(\d{6}\d*[1-9])")
"""A fraction with more digits than Python's instants hold; no offset changes it."""

MAX_CACHED_INSTANTS: Final = 10_000
"""Values of a stream whose conversion is remembered."""


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How values are written."""

    instants: InstantReader = field(default_factory=InstantReader)
    convert_to_utc: bool = True
    decimals_as_strings: bool = False

    def replication_key_text(self, value: str) -> str:
        """A replication key: of fixed width, so that texts sort as instants do."""
        if not self.instants.ignore_offsets and (shown := _IN_UTC.fullmatch(value)):
            datetime.fromisoformat(value)  # refuses what is no date-time
            return f"{value[:19]}.{shown[1] or '':0<6}+00:00"
        return bookmark_text(self.instants.read(value))

    def instant(self, value: str) -> str:
        """An instant in UTC, or as the server labelled it."""
        if value[-1:] == "Z" and not self.instants.ignore_offsets:
            return value
        if not self.convert_to_utc and self.instants.has_offset(value):
            return value
        moment = self.instants.read(value)
        if finer := _FINER.search(value):
            return f"{moment.replace(tzinfo=None).isoformat(timespec='seconds')}.{finer[1]}Z"
        return _in_utc(moment)

    def date_or_instant(self, value: str) -> str:
        """A date is midnight on the wall clock, whatever the offset; it keeps its day."""
        if not self.convert_to_utc and self.instants.has_offset(value):
            return value
        wall_clock = datetime.fromisoformat(value).replace(tzinfo=None)
        if wall_clock.time() == time():
            return _in_utc(wall_clock.replace(tzinfo=UTC))
        return self.instant(value)


class RecordConverter:
    """Makes the records of one stream, in place: a row is used once."""

    def __init__(
        self,
        columns: Mapping[str, edm.EdmType],
        replication_key: str | None,
        settings: RecordSettings,
        absent: Iterable[str] = (),
    ) -> None:
        """Decide what to do.

        Args:
            columns: What the server is asked for.
            replication_key: Of the stream, where it is dated.
            settings: How values are written.
            absent: Columns that this tenant does not have: they are null.
        """
        self._settings = settings
        # Dates come again and again, in all columns, and few are as many as these. The caches hold
        # nothing that holds them, so that they end with the stream.
        self._instant = lru_cache(MAX_CACHED_INSTANTS)(settings.instant)
        self._date_or_instant = lru_cache(MAX_CACHED_INSTANTS)(settings.date_or_instant)
        self._nulls: dict[str, None] = dict.fromkeys(absent)
        # By far the most frequent conversion, so without a call for each value.
        self._numbers = [
            name
            for name, edm_type in columns.items()
            if edm_type.conversion is Conversion.DECIMAL and not settings.decimals_as_strings
        ]
        others = {n: edm_type for n, edm_type in columns.items() if n not in self._numbers}
        self._conversions = self._conversions_of(others, replication_key)

    def convert(self, rows: list[Row]) -> list[Row]:
        """The records of these rows.

        Raises:
            InconsistentAnswer: A date-time is none.
        """
        name = ""
        try:
            for row in rows:
                for name, convert in self._conversions:
                    value = row.get(name)
                    if value is not None:
                        row[name] = convert(value)
                for number in self._numbers:
                    value = row.get(number)
                    if value is not None and not value.is_finite():
                        row[number] = None
                if self._nulls:
                    row.update(self._nulls)
        except (ValueError, RecursionError) as error:
            message = (
                f"Acumatica sent the column {name} with other values than the catalog says "
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
        if name == replication_key:
            return self._settings.replication_key_text
        match edm_type.conversion:
            case Conversion.INSTANT:
                return self._instant if name.endswith("DateTime") else self._date_or_instant
            case Conversion.DECIMAL:
                return _decimal_text if self._settings.decimals_as_strings else _finite
            case Conversion.JSON_TEXT:
                return _text
            case Conversion.NONE:
                return self._nested(name, edm_type.schema)

    def _nested(self, name: str, schema: edm.Schema) -> Callable[[Any], Any] | None:
        """What is to be done within lists and objects: the same as outside of them."""
        if "items" in schema:
            convert = self._conversion(name, edm.from_schema(schema["items"]), None)
            return convert and partial(_each, convert)
        if "properties" in schema:
            conversions = self._conversions_of(edm.columns_of(schema), None)
            return partial(_within, conversions) if conversions else None
        return None


def _in_utc(moment: datetime) -> str:
    """As the server writes UTC: with as many digits of the second as are needed."""
    return edm.instant_literal(moment)


def _finite(value: Decimal) -> Decimal | None:
    return value if value.is_finite() else None


MAX_EXPONENT: Final = 1000
"""Digits of a number that is written out; of those that a server can hold the longest has 324."""


def _decimal_text(value: Decimal) -> str | None:
    if not value.is_finite():
        return None
    if abs(value.adjusted()) > MAX_EXPONENT:
        message = f"a number with the exponent {value.adjusted()}"
        raise ValueError(message)
    return format(value, "f")


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else _JSON.encode(value).decode()


_JSON: Final = msgspec.json.Encoder(decimal_format="number")


def _each(convert: Callable[[Any], Any], values: list[Any]) -> list[Any]:
    return [None if value is None else convert(value) for value in values]


def _within(conversions: Conversions, row: Row) -> Row:
    for name, convert in conversions:
        value = row.get(name)
        if value is not None:
            row[name] = convert(value)
    return row
