"""Rows as the server sends them -> Singer records; what to do is decided once per stream."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.instants import InstantReader, written

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tap_acumatica.odata.payload import Row

MOST_INSTANTS: Final = 10_000
"""Values of a column whose conversion is remembered."""


@dataclass(frozen=True, slots=True)
class RecordSettings:
    """How values are written."""

    instants: InstantReader = field(default_factory=InstantReader)
    convert_to_utc: bool = True
    decimals_as_strings: bool = False


class Records:
    """Makes the records of one stream, in place: a row is used once."""

    def __init__(
        self,
        columns: Mapping[str, edm.EdmType],
        replication_key: str | None,
        settings: RecordSettings,
    ) -> None:
        self._settings = settings
        self._conversions = [
            (name, convert)
            for name, edm_type in columns.items()
            if (convert := self._conversion(name, edm_type, replication_key))
        ]
        # By far the most frequent conversion, so without a call for each value.
        self._numbers = [
            name
            for name, edm_type in columns.items()
            if edm_type is edm.NUMBER and not settings.decimals_as_strings
        ]

    def of(self, rows: list[Row]) -> list[Row]:
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
        except ValueError as error:
            message = (
                f"Acumatica sent the column {name} with other values than the catalog says "
                f"({error}): run discovery again."
            )
            raise InconsistentAnswer(message) from error
        return rows

    def _conversion(
        self, name: str, edm_type: edm.EdmType, replication_key: str | None
    ) -> Callable[[Any], Any] | None:
        if name == replication_key:
            return self._bookmarked
        if edm_type is edm.INSTANT:
            # Dates come again and again, and few are as many as these.
            convert = self._instant if name.endswith("DateTime") else self._date_or_instant
            return lru_cache(MOST_INSTANTS)(convert)
        if edm_type is edm.NUMBER:
            return _decimal_text if self._settings.decimals_as_strings else None
        if edm_type is edm.UNKNOWN:
            return _text
        if edm_type.wire not in {str, int, bool}:
            return _nested
        return None

    def _bookmarked(self, value: str) -> str:
        return written(self._settings.instants.read(value))

    def _instant(self, value: str) -> str:
        settings = self._settings
        if value[-1:] == "Z" and not settings.instants.ignore_offsets:
            return value
        if not settings.convert_to_utc and settings.instants.labelled(value):
            return value
        return _in_utc(settings.instants.read(value))

    def _date_or_instant(self, value: str) -> str:
        """A date is midnight on the wall clock, whatever the offset; it keeps its day."""
        if not self._settings.convert_to_utc and self._settings.instants.labelled(value):
            return value
        wall_clock = datetime.fromisoformat(value).replace(tzinfo=None)
        if wall_clock.time() == time():
            return _in_utc(wall_clock.replace(tzinfo=UTC))
        return self._instant(value)


def _in_utc(moment: datetime) -> str:
    """As the server writes UTC: with as many digits of the second as are needed."""
    return edm.instant_literal(moment)


def _finite(value: Decimal) -> Decimal | None:
    return value if value.is_finite() else None


def _decimal_text(value: Decimal) -> str | None:
    return format(value, "f") if value.is_finite() else None


def _text(value: Any) -> str:  # noqa: ANN401 - any JSON
    return value if isinstance(value, str) else _JSON.encode(value).decode()


_JSON: Final = msgspec.json.Encoder(decimal_format="number")


def _nested(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Lists and objects as they came, but for numbers that JSON cannot hold."""
    if isinstance(value, list):
        return [_nested(item) for item in value]
    if isinstance(value, dict):
        return {name: _nested(item) for name, item in value.items()}
    return _finite(value) if isinstance(value, Decimal) else value
