"""What can be wrong with settings, beyond what their schema can express."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.expand import MAX_LEVELS, parse
from tap_acumatica.odata.instants import in_utc
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.urls import may_carry_secrets
from tap_acumatica.settings import accounts
from tap_acumatica.settings.schema import SCHEMA, SECRETS
from tap_acumatica.suggestions import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema import ValidationError

HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HEADER_VALUE: Final = re.compile(r"(?!\s)[\t -~\xa0-\xff]*(?<!\s)")

FRAMING: Final = frozenset({"content-length", "transfer-encoding"})
"""Headers that say where a request ends: with others the server waits for more."""


def check(
    settings: Mapping[str, Any], known: Mapping[str, Mapping[str, Any]] = SCHEMA["properties"]
) -> None:
    """Refuse settings that cannot work, and warn of those that do nothing.

    Args:
        settings: As given, with the defaults.
        known: The schemas of all settings, of which those of the SDK hold for their types alone.

    Raises:
        SettingsError: Naming each wrong setting and what to do, a sentence each.
    """
    for name in sorted(settings.keys() - known.keys()):
        logger.warning(
            "There is no setting %s%s: it does nothing.", name, did_you_mean(name, known)
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


def _sentence(error: ValidationError) -> str:
    rule: Any = error.validator_value
    if error.validator == "required":
        given: Any = error.instance
        name = next(n for n in rule if n not in given)
        return f"The setting {name} is missing: {_described(name)}"
    name = str(error.path[0]) if error.path else "settings"
    within = "".join(f"[{part}]" for part in list(error.path)[1:])
    found = "" if name in SECRETS else f" (found {error.instance!r})"
    wanted = {
        "type": f"must be of type {_types(rule)}",
        "enum": f"must be one of {rule}",
        "minimum": f"must be at least {rule}",
        "maximum": f"must be at most {rule}",
        "minLength": "must not be empty",
    }.get(str(error.validator), f"does not fit {error.validator} {rule}")
    return f"The setting {name}{within} {wanted}{found}: {_described(name)}"


def _types(rule: Any) -> str:  # noqa: ANN401 - of whatever keyword
    return " or ".join(each for each in rule if each != "null") if isinstance(rule, list) else rule


def _described(name: str) -> str:
    return str(SCHEMA["properties"].get(name, {}).get("description", "see the README")) + "."


def _beyond_schema(settings: Mapping[str, Any]) -> Iterator[str]:
    problems = list(_about_address(settings))
    yield from problems
    yield from (
        f"The setting {name} is missing: {_described(name)}" for name in accounts.missing(settings)
    )
    if settings.get("auth_method") == "oauth" and not problems:
        yield from accounts.problems(settings)
    yield from _about_time(settings)
    yield from _about_tenants(settings.get("tenants"))
    yield from _about_headers(settings)
    yield from _about_parameters(settings)
    yield from _about_expand(settings.get("expand") or {})
    if settings.get("interfaces") == []:
        yield "The setting interfaces is empty: name dac, gi or both, or leave it out."
    bundle = settings.get("ca_bundle")
    if bundle and not Path(bundle).exists():
        yield f"The setting ca_bundle names a file that is not there ({bundle}): correct its path."


def _about_tenants(tenants: list[str] | None) -> Iterator[str]:
    if tenants == []:
        yield "The setting tenants is empty: name at least one tenant, or leave it out."
    names = Counter(name.lower() for name in tenants or ())
    for name, times in names.items():
        if times > 1:
            yield f"The setting tenants names {name} more than once: name each tenant once."


def _about_expand(expand: Mapping[str, list[str]]) -> Iterator[str]:
    for stream, texts in expand.items():
        for text in texts:
            try:
                parse(text)
            except ValueError as error:
                yield (
                    f"The setting expand cannot be read for {stream} ({error}, in {text!r}): write "
                    "Navigation, Navigation(Column,Column) or "
                    f"Navigation(Column,Navigation(Column)), at most {MAX_LEVELS} levels deep."
                )


def _about_headers(settings: Mapping[str, Any]) -> Iterator[str]:
    given = {"region": {"Accept-Language": settings.get("region") or ""}}
    for setting in ("extra_headers", "secret_headers"):
        given[setting] = settings.get(setting) or {}
    for setting, headers in given.items():
        for name, value in headers.items():
            if name.lower() in FRAMING:
                yield (
                    f"The setting {setting} holds {name}, which the tap writes itself: take it out."
                )
            if not HEADER_NAME.fullmatch(name) or not HEADER_VALUE.fullmatch(value):
                yield (
                    f"The setting {setting} cannot be sent as the header {name!r}: use no line "
                    "breaks, no blanks at the ends and no letters beyond Latin-1."
                )


def _about_parameters(settings: Mapping[str, Any]) -> Iterator[str]:
    for setting in ("extra_params", "secret_params"):
        for name in settings.get(setting) or {}:
            if name.startswith("$"):
                yield (
                    f"The setting {setting} holds {name}, but the options of OData are the tap's "
                    "own, and with another one rows would be missing: take it out."
                )


def _about_address(settings: Mapping[str, Any]) -> Iterator[str]:
    try:
        address = urlsplit(settings["url"])
        _ = address.port
    except ValueError as error:
        yield f"The setting url is no address ({error}): correct it."
        return
    if address.username or address.password:
        yield "The setting url holds a user name or password: put them in username and password."
    elif address.scheme not in {"http", "https"} or not address.hostname:
        yield (
            "The setting url must be an address that starts with https:// "
            f"(found {settings['url']!r})."
        )
    elif may_carry_secrets(settings["url"]):
        return
    elif settings.get("auth_method") == "oauth":
        yield (
            f"The setting url is plain http ({address.hostname}), over which the server does no "
            "OAuth: use https."
        )
    elif not settings.get("allow_http"):
        yield (
            f"The setting url is plain http ({address.hostname}), which would send the password "
            "readable by anyone on the way: use https, or set allow_http."
        )


def _about_time(settings: Mapping[str, Any]) -> Iterator[str]:
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


def secrets(settings: Mapping[str, Any]) -> list[str]:
    """All that must not be shown.

    What is shorter than a word would be found in every word: of headers and parameters it is
    masked together with their name, and of others it never stands in a log by itself.
    """
    found: list[str] = []
    for setting in SECRETS:
        value = settings.get(setting)
        if isinstance(value, str):
            found += [value] if len(value) >= MIN_SECRET_LENGTH else []
        elif isinstance(value, dict):
            for name, part in value.items():
                text = str(part)
                alone = len(text) >= MIN_SECRET_LENGTH
                found += [text] if alone else [f"{name}={text}", f"{name!r}: {text!r}"]
    return found


MIN_SECRET_LENGTH: Final = 4
