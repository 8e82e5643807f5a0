"""The values of an inquiry's parameters, as each version of OData writes them.

Facts: docs/acumatica.md, "Inquiries".
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from tap_acumatica.odata import edm
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.query import Call

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def _text(value: Any) -> str:  # noqa: ANN401 - from the settings
    if isinstance(value, bool | list | dict):
        raise TypeError
    return str(value)


def _flag(value: Any) -> str:  # noqa: ANN401 - from the settings
    return {"true": "true", "false": "false"}[str(value).lower()]


def _number(value: Any) -> str:  # noqa: ANN401 - from the settings
    number = Decimal(_text(value))
    if not number.is_finite():
        raise ValueError
    return f"{number:f}"


def _whole_number(value: Any) -> str:  # noqa: ANN401 - from the settings
    return str(int(_text(value)))


def _moment(value: Any) -> str:  # noqa: ANN401 - from the settings
    return datetime.fromisoformat(_text(value)).isoformat()


def _guid(value: Any) -> str:  # noqa: ANN401 - from the settings
    return str(UUID(_text(value)))


PLAIN: Final[Mapping[str, Callable[[Any], str]]] = {
    "boolean": _flag,
    "integer": _whole_number,
    "number": _number,
    "date-time": _moment,
    "uuid": _guid,
}
"""By format or type in JSON Schema: a value as text. All else is text already."""


def _literal(edm_type: edm.EdmType, text: str) -> str:
    """A value's text as OData 4 writes it; a date-time without an offset is in UTC."""
    if edm_type is edm.INSTANT:
        moment = datetime.fromisoformat(text)
        return edm.instant_literal(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    return edm.quoted(text) if edm_type.literal is edm.quoted else text


def call_of(
    function: str, types: Mapping[str, str], values: Mapping[str, Any], protocol: ODataVersion
) -> Call:
    """The call of an inquiry with these values; None is a parameter without a value.

    Raises:
        ValueError: A value does not fit the type of its parameter, which is the text.
    """
    parameters = {}
    for name, type_name in types.items():
        value = values[name]
        if value is None:
            if protocol is ODataVersion.V4:
                parameters[name] = "null"
            continue
        edm_type = edm.TYPES.get(type_name, edm.STRING)
        plain = PLAIN.get(edm_type.schema.get("format") or edm_type.schema["type"], _text)
        try:
            text = plain(value)
        except (InvalidOperation, KeyError, TypeError, ValueError):
            raise ValueError(name) from None
        parameters[name] = text if protocol is ODataVersion.V3 else _literal(edm_type, text)
    return Call(function, parameters)
