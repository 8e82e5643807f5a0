"""Settings from environment variables: strings as they are, all other types as JSON."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.configuration._dict_config import TRUTHY, parse_environment_config

from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.settings.schema import SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX: Final = "TAP_ACUMATICA_"
"""Prefix of the names of variables that hold settings."""

FALSY: Final = ("false", "0", "no", "off")


def settings_of_environment(schema: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the settings that environment variables, or a file .env, contain.

    Args:
        schema: Schema of the settings.
        prefix: Prefix of the variables' names.

    Raises:
        SettingsError: Variables do not fit their settings; the message names each of them. The
            SDK would not name them, or would take them for false.
    """
    parse_error = None
    try:
        settings = parse_environment_config(_as_json(schema), prefix)
    except (ValueError, RecursionError) as error:
        parse_error = error
    # By now the SDK has loaded the file .env into the environment.
    problems = list(_problems(schema["properties"], prefix))
    if problems:
        raise SettingsError(" ".join(problems))
    if parse_error:
        raise parse_error
    return settings


def _as_json(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with what is a number or an object as an object: both are read as JSON."""
    properties = {
        name: {**each, "type": ["object"]}
        if {"integer", "object"} <= {*each.get("type", ())}
        else each
        for name, each in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def _problems(properties: Mapping[str, Mapping[str, Any]], prefix: str) -> Iterator[str]:
    for name, schema in properties.items():
        variable = f"{prefix}{name.upper()}"
        text = os.environ.get(variable)
        expected = None if text is None else _unmet_type(schema, text)
        if expected:
            value = "" if name in SECRETS else f" (found {text!r})"
            yield f"The setting {name} must be {expected} in {variable}{value}: correct it."


def _unmet_type(schema: Mapping[str, Any], text: str) -> str | None:
    """Return the type that a variable's text should have, or None if the text has it."""
    types = schema.get("type", ())
    if "boolean" in types:
        return None if text.lower() in {*TRUTHY, *FALSY} else "true or false"
    if {"integer", "object"} <= {*types}:
        return None if _is_json(text, (dict, int)) else "a whole number or a JSON object"
    if "integer" in types:
        return None if re.fullmatch(r"\s*[+-]?\d+\s*", text) else "a whole number"
    if "object" in types:
        return None if _is_json(text, dict) else "a JSON object"
    if "array" in types and text.lstrip().startswith("["):
        return None if _is_json(text, list) else "a JSON array"
    return None


def _is_json(text: str, json_type: type | tuple[type, ...]) -> bool:
    try:
        return isinstance(json.loads(text), json_type)
    except (ValueError, RecursionError):
        return False
