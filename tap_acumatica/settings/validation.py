"""Checks of the settings: by their schema, and for what the schema cannot express."""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.expand import MAX_LEVELS, parse
from tap_acumatica.odata.instants import in_utc
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.masking import masking
from tap_acumatica.odata.urls import local_path, may_carry_secrets
from tap_acumatica.settings import accounts
from tap_acumatica.settings.environment import PREFIX
from tap_acumatica.settings.schema import SCHEMA, SECRETS
from tap_acumatica.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema import ValidationError

HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE: Final = re.compile(r"(?!\s)[\t -~\xa0-\xff]*(?<!\s)")

COOKIELESS: Final = re.compile(r"/\((?:[A-Za-z]\([^()]*\))+\)(?=/|$)")
"""Matches a session without cookies in a path, such as `/(W(1))`."""

FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""Headers that say where a request ends: with wrong ones the server waits for more."""


def check(
    settings: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]] = SCHEMA["properties"]
) -> None:
    """Refuse settings that cannot work, and warn of those that have no effect.

    Args:
        settings: The settings, with their defaults.
        known: The schemas of all settings; of the SDK's settings only the types are checked.

    Raises:
        SettingsError: Settings are wrong; the message has a sentence for each problem.
    """
    for name in sorted(settings.keys() - known.keys()):
        logger.warning(
            "There is no setting %s%s: it has no effect.", name, did_you_mean(name, known)
        )
    types = {name: {"type": schema["type"]} for name, schema in known.items()}
    schema = {**SCHEMA, "properties": {**types, **SCHEMA["properties"]}}
    problems = [
        _sentence(error) for error in DEFAULT_JSONSCHEMA_VALIDATOR(schema).iter_errors(settings)
    ]
    if not problems:
        problems = list(_beyond_schema(settings))
    if problems:
        raise SettingsError(" ".join(problems))
    if settings.get("batch_config") and settings.get("emit_activate_version_messages"):
        logger.warning(
            "Nothing is retired in the target, since the rows of batches carry no version: leave "
            "batch_config out in the runs that are to retire rows."
        )


def _sentence(error: ValidationError) -> str:
    rule: Any = error.validator_value
    schema: Any = error.schema
    if error.validator == "required" and not error.path:
        settings: Any = error.instance
        name = next(required for required in rule if required not in settings)
        return _missing(name)
    name = str(error.path[0]) if error.path else "settings"
    subscripts = "".join(f"[{key}]" for key in list(error.path)[1:])
    value = "" if name in SECRETS else f" (found {error.instance!r})"
    requirement = {
        "type": f"must be of type {_types(rule)}",
        "enum": f"must be one of {rule}",
        "minimum": f"must be at least {rule}",
        "maximum": f"must be at most {rule}",
        "minLength": "must not be empty",
        "required": f"must have the members {rule}",
        "additionalProperties": f"must have no members but {[*schema.get('properties', ())]}",
    }.get(str(error.validator), f"does not satisfy {error.validator} {rule}")
    return f"The setting {name}{subscripts} {requirement}{value}: {_description(name)}"


def _missing(name: str) -> str:
    variable = f"{PREFIX}{name.upper()}"
    if variable in os.environ:
        return (
            f"The setting {name} is missing, since {variable} is read from the environment only "
            "with --config=ENV: add this option."
        )
    return f"The setting {name} is missing: {_description(name)}"


def _types(rule: Any) -> str:  # noqa: ANN401 - the schema keyword decides the type
    return " or ".join(name for name in rule if name != "null") if isinstance(rule, list) else rule


def _description(name: str) -> str:
    schema = SCHEMA["properties"].get(name, {})
    return str(schema.get("description", "see docs/settings.md")) + "."


def _beyond_schema(settings: Mapping[str, Any]) -> Iterator[str]:
    address_problems = list(_address_problems(settings))
    yield from address_problems
    if settings.get("auth_method") != "oauth" and ":" in (settings.get("username") or ""):
        yield (
            "The setting username contains a colon, at which the server would end it: correct it, "
            "or sign in by OAuth."
        )
    yield from (_missing(name) for name in accounts.missing(settings))
    if settings.get("auth_method") == "oauth" and not address_problems:
        yield from accounts.problems(settings)
    yield from _time_problems(settings)
    yield from _tenant_problems(settings.get("tenants"))
    yield from _header_problems(settings)
    yield from _parameter_problems(settings)
    yield from _expand_problems(settings.get("expand") or {})
    yield from _decimal_problems(settings.get("decimals", "number"))
    if settings.get("interfaces") == []:
        yield "The setting interfaces is empty: name dac, gi or both, or leave it out."
    yield from _path_problems(settings)
    yield from _batch_problems(settings)


def _tenant_problems(tenants: list[str] | None) -> Iterator[str]:
    if tenants == []:
        yield "The setting tenants is empty: name at least one tenant, or leave it out."
    counts = Counter(name.lower() for name in tenants or ())
    for name, count in counts.items():
        if count > 1:
            yield f"The setting tenants names {name} more than once: name each tenant once."


def _expand_problems(expand: Mapping[str, list[str]]) -> Iterator[str]:
    for stream, items in expand.items():
        for item in items:
            try:
                parse(item)
            except ValueError as error:
                yield (
                    f"The setting expand cannot be read for {stream} ({error}, in {item!r}): write "
                    "Navigation, Navigation(Column,Column) or "
                    f"Navigation(Column,Navigation(Column)), at most {MAX_LEVELS} levels deep."
                )


def _decimal_problems(decimals: str) -> Iterator[str]:
    try:
        edm.decimals(decimals)
    except ValueError:
        yield (
            "The setting decimals must be number, text, or decimal(38,10) with any precision up "
            f"to {edm.MAX_PRECISION} and a scale up to the precision (found {decimals!r})."
        )


def _header_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    headers_of = {"region": {"Accept-Language": settings.get("region") or ""}}
    for setting in ("extra_headers", "secret_headers"):
        headers_of[setting] = settings.get(setting) or {}
    for setting, headers in headers_of.items():
        for name, value in headers.items():
            if name.lower() in FRAMING:
                yield (
                    f"The setting {setting} contains {name}, which the tap sets itself: remove it."
                )
            if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
                yield (
                    f"The setting {setting} cannot be sent as the header {name!r}: use no line "
                    "breaks, no spaces at the ends and no characters outside Latin-1."
                )


def _parameter_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    for setting in ("extra_params", "secret_params"):
        for name in settings.get(setting) or {}:
            if name.startswith("$"):
                yield (
                    f"The setting {setting} contains {name}, but the tap sets the query options "
                    "of OData itself, and others would make rows go missing: remove it."
                )


def _address_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    if "@" in settings["url"]:  # wherever: a password may hold what ends a host
        yield (
            "The setting url contains a user name or password: move them to username and password."
        )
        return
    try:
        address = urlsplit(settings["url"])
        _ = address.port
    except ValueError as error:
        yield f"The setting url is not a valid address ({error}): correct it."
        return
    if COOKIELESS.search(unquote(address.path)):
        yield (
            "The setting url contains the mark of a browser's session in parentheses "
            f"({settings['url']}): remove that part of it."
        )
    elif address.scheme not in {"http", "https"} or not address.hostname:
        yield (
            "The setting url must be an address that starts with https:// "
            f"(found {settings['url']!r})."
        )
    elif may_carry_secrets(settings["url"]):
        return
    elif settings.get("auth_method") == "oauth":
        yield (
            f"The setting url is plain http ({address.hostname}), over which the server does not "
            "offer OAuth: use https."
        )
    elif not settings.get("allow_http"):
        yield (
            f"The setting url is plain http ({address.hostname}), over which others could read the "
            "password: use https, or set allow_http."
        )


def _path_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    paths = {name: settings.get(name) for name in ("ca_bundle", "metadata_cache", "token_file")}
    paths["batch_config"] = _batch_root(settings)
    for name, path in paths.items():
        if "\0" in (path or ""):
            yield f"The setting {name} contains a NUL character, which no path can: correct it."
    bundle = settings.get("ca_bundle")
    if bundle and not _exists(bundle):
        yield f"The setting ca_bundle names a file that does not exist ({bundle}): correct it."


def _batch_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    root = _batch_root(settings)
    if root is not None and not local_path(root):
        yield (
            f"The setting batch_config names no folder on this machine ({root}): name one that "
            "the target can read, too."
        )


def _batch_root(settings: Mapping[str, Any]) -> str | None:
    config = settings.get("batch_config")
    return config["storage"]["root"] if config else None


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # as a name that is too long
        return False


def _time_problems(settings: Mapping[str, Any]) -> Iterator[str]:
    zone = settings.get("time_zone")
    if zone:
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            yield (
                "The setting time_zone must be an IANA zone name such as Europe/Oslo "
                f"(found {zone!r})."
            )
    if settings.get("start_date"):
        try:
            in_utc(settings["start_date"])
        except ValueError:
            yield (
                "The setting start_date must be a date-time such as 2024-01-01T00:00:00Z "
                f"(found {settings['start_date']!r})."
            )


def mask_secrets(settings: Mapping[str, Any]) -> None:
    """Mask the settings that are secret, by their text and by their place."""
    for setting in SECRETS:
        value = settings.get(setting)
        if isinstance(value, str):
            masking.add([value])
        elif isinstance(value, dict):
            masking.add(
                map(str, value.values()),
                headers=value if setting == "secret_headers" else (),
                parameters=value if setting == "secret_params" else (),
            )
