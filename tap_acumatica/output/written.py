"""Values of columns to which the user gave another type in the catalog: exact, or an error."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import msgspec

from tap_acumatica.odata import edm

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_EXPONENT: Final = 1000
"""Largest exponent of a number that is written out; those of server values reach 324."""

_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,400}(\.[0-9]{1,400})?")
_JSON: Final = msgspec.json.Encoder(decimal_format="number")


def decimal_text(value: Decimal) -> str | None:
    """Return a number's digits, or None if it is none."""
    if not value.is_finite():
        return None
    if abs(value.adjusted()) > MAX_EXPONENT:
        message = f"a number with the exponent {value.adjusted()}"
        raise ValueError(message)
    return format(value, "f")


def json_text(value: Any) -> str:  # noqa: ANN401 - any JSON
    """Return a value as JSON text; what is a text already stays as it is."""
    return value if isinstance(value, str) else _JSON.encode(value).decode()


def writer_for(schema: edm.Schema) -> Callable[[Any], Any]:
    """Return the function that turns a record's value into one of a schema of a single type.

    The function raises ValueError, TypeError or KeyError for a value that has no exact counterpart.
    """
    kind = schema["type"]
    if kind == "string":
        return _TEXTS.get(schema.get("format", ""), _text)
    return _WRITERS.get(kind, _refuse)


def _text(value: Any) -> str | None:  # noqa: ANN401 - of a record
    return decimal_text(value) if isinstance(value, Decimal) else json_text(value)


def _date(value: str) -> str:
    moment = datetime.fromisoformat(value)
    if moment.time() != time():
        raise ValueError(value)
    return moment.date().isoformat()


def _date_time(value: str) -> str:
    datetime.fromisoformat(value)
    try:
        return f"{date.fromisoformat(value).isoformat()}T00:00:00Z"
    except ValueError:
        return value


def _time(value: str) -> str:
    time.fromisoformat(value)
    return value


def _uuid(value: Any) -> str:  # noqa: ANN401 - of a record
    UUID(str(value))
    return str(value)


def _integer(value: Any) -> int:  # noqa: ANN401 - of a record
    number = _number(value)
    integer = int(number)
    if number != integer or integer.bit_length() >= edm.MAX_INTEGER_BITS:
        raise ValueError(value)
    return integer


def _number(value: Any) -> int | Decimal:  # noqa: ANN401 - of a record
    if isinstance(value, str):
        if _NUMBER.fullmatch(value):
            return Decimal(value)
        raise ValueError(value)
    if isinstance(value, Decimal) and abs(value.adjusted()) <= MAX_EXPONENT:
        return value
    if isinstance(value, int):
        return int(value)
    raise TypeError(value)


def _boolean(value: Any) -> bool:  # noqa: ANN401 - of a record
    return {"true": True, "false": False, "1": True, "0": False}[str(value).lower()]


def _refuse(value: Any) -> Any:  # noqa: ANN401 - of a record
    raise TypeError(value)


_TEXTS: Final = {"date": _date, "date-time": _date_time, "time": _time, "uuid": _uuid}
_WRITERS: Final = {"integer": _integer, "number": _number, "boolean": _boolean}
