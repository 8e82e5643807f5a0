"""The function call that passes an inquiry's parameters, in each version of OData.

Facts: docs/acumatica.md, "Inquiries".
"""

from __future__ import annotations

from decimal import InvalidOperation
from typing import TYPE_CHECKING, Any

from tap_acumatica.odata import edm
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.query import Call

if TYPE_CHECKING:
    from collections.abc import Mapping


def call_of(
    function: str, types: Mapping[str, str], values: Mapping[str, Any], protocol: ODataVersion
) -> Call:
    """Return the call of an inquiry with these values; None stands for no value.

    Raises:
        ValueError: A value does not fit its parameter's type; the message is the parameter's name.
    """
    parameters = {}
    for name, type_name in types.items():
        value = values[name]
        if value is None:
            if protocol is ODataVersion.V4:
                parameters[name] = "null"
            continue
        edm_type = edm.TYPES.get(type_name, edm.STRING)
        try:
            text = edm_type.parameter(value)
        except (InvalidOperation, KeyError, TypeError, ValueError):
            raise ValueError(name) from None
        v3 = protocol is ODataVersion.V3
        parameters[name] = text if v3 else edm_type.parameter_literal(text)
    return Call(function, parameters)
