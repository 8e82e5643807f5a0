"""Settings from environment variables: texts as they are, all others as JSON."""

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

FALSY: Final = ("false", "0", "no", "off")


def settings_of_environment(schema: dict[str, Any], prefix: str) -> dict[str, Any]:
    """The settings that environment variables, or a file .env, give.

    Args:
        schema: Of the settings.
        prefix: With which the names of the variables begin.

    Raises:
        SettingsError: Naming each variable that does not hold what its setting is. The SDK would
            not name it, or take it for false.
    """
    failed = None
    try:
        found = parse_environment_config(schema, prefix)
    except ValueError as error:
        failed = error
    # What is in the file .env stands in the environment now.
    problems = list(_problems(schema["properties"], prefix))
    if problems:
        raise SettingsError(" ".join(problems))
    if failed:
        raise failed
    return found


def _problems(properties: Mapping[str, Mapping[str, Any]], prefix: str) -> Iterator[str]:
    for name, schema in properties.items():
        variable = f"{prefix}{name.upper()}"
        text = os.environ.get(variable)
        wanted = None if text is None else _wanted(schema, text)
        if wanted:
            found = "" if name in SECRETS else f" (found {text!r})"
            yield f"The setting {name} must be {wanted} in {variable}{found}: correct the variable."


def _wanted(schema: Mapping[str, Any], text: str) -> str | None:
    """What a text should be, if it is not."""
    kinds = schema.get("type", ())
    if "boolean" in kinds:
        return None if text.lower() in {*TRUTHY, *FALSY} else "true or false"
    if "integer" in kinds:
        return None if re.fullmatch(r"\s*[+-]?\d+\s*", text) else "a whole number"
    if "object" in kinds:
        return None if _is_json(text, dict) else "a JSON object"
    if "array" in kinds and text.lstrip().startswith("["):
        return None if _is_json(text, list) else "a JSON array"
    return None


def _is_json(text: str, kind: type) -> bool:
    try:
        return isinstance(json.loads(text), kind)
    except ValueError:
        return False
