"""Settings as given -> checked, and as the objects that the parts of the tap are made with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pendulum
from pendulum.parsing.exceptions import ParserError
from singer_sdk.typing import DEFAULT_JSONSCHEMA_VALIDATOR

from tap_acumatica.catalog import DiscoverySettings
from tap_acumatica.odata.client import ClientSettings
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.paging import Paging
from tap_acumatica.odata.service import QueryLimits
from tap_acumatica.odata.sessions import PoolSettings
from tap_acumatica.reading import ReadSettings
from tap_acumatica.records import RecordSettings
from tap_acumatica.settings import SCHEMA, SECRETS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jsonschema import ValidationError

LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def check(settings: Mapping[str, Any]) -> None:
    """Refuse settings that cannot work.

    Raises:
        SettingsError: Naming each wrong setting and what to do, a sentence each.
    """
    problems = [
        _sentence(error) for error in DEFAULT_JSONSCHEMA_VALIDATOR(SCHEMA).iter_errors(settings)
    ]
    if not problems:
        problems = list(_beyond_schema(settings))
    if problems:
        raise SettingsError(" ".join(problems))


def _sentence(error: ValidationError) -> str:
    if error.validator == "required":
        name = next(n for n in error.validator_value if n not in error.instance)
        return f"The setting {name} is missing: {_described(name)}"
    name = str(error.path[0]) if error.path else "settings"
    found = "" if name in SECRETS else f" (found {error.instance!r})"
    wanted = {
        "type": f"must be of type {_type_name(error.validator_value)}",
        "enum": f"must be one of {error.validator_value}",
        "minimum": f"must be at least {error.validator_value}",
        "maximum": f"must be at most {error.validator_value}",
        "minLength": "must not be empty",
    }.get(str(error.validator), f"does not fit {error.validator} {error.validator_value}")
    return f"The setting {name} {wanted}{found}: {_described(name)}"


def _type_name(types: str | list[str]) -> str:
    return types if isinstance(types, str) else " or ".join(t for t in types if t != "null")


def _described(name: str) -> str:
    return str(SCHEMA["properties"].get(name, {}).get("description", "see the README")) + "."


def _beyond_schema(settings: Mapping[str, Any]) -> Iterator[str]:
    yield from _about_address(settings)
    for name in ("username", "password"):
        if not settings.get(name):
            yield f"The setting {name} is missing: {_described(name)}"
    yield from _about_time(settings)
    if settings.get("tenants") == []:
        yield "The setting tenants is empty: name at least one tenant, or leave it out."


def _about_address(settings: Mapping[str, Any]) -> Iterator[str]:
    address = urlsplit(settings["url"])
    if address.username or address.password:
        yield "The setting url holds a user name or password: put them in username and password."
    elif address.scheme not in {"http", "https"} or not address.hostname:
        yield (
            "The setting url must be an address that starts with https:// "
            f"(found {settings['url']!r})."
        )
    elif (
        address.scheme == "http"
        and address.hostname not in LOOPBACK
        and not settings.get("allow_http")
    ):
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
            _moment(settings["start_date"])
        except (ParserError, ValueError):
            yield (
                "The setting start_date must be a date-time such as 2024-01-01T00:00:00Z "
                f"(found {settings['start_date']!r})."
            )


def client_settings(settings: Mapping[str, Any]) -> ClientSettings:
    """How requests are sent."""
    headers = {
        "PX-ApiArchive": "SHOW" if settings["include_archived"] else "",
        "PX-ApiDeleted": "SHOW" if settings["include_deleted"] else "",
        "Accept-Language": settings.get("region") or "",
        **(settings.get("extra_headers") or {}),
        **(settings.get("secret_headers") or {}),
    }
    pooled = settings["enable_pooling"]
    return ClientSettings(
        timeout=settings["timeout"],
        max_retry_time=settings["max_retry_time"],
        headers={name: value for name, value in headers.items() if value},
        verify=settings.get("ca_bundle") or settings["verify_ssl"],
        pool=PoolSettings(
            size=settings["max_pool_size"] if pooled else 1,
            kept_alive=pooled,
            idle_timeout=settings["pool_idle_timeout"],
            wait_time=settings["pool_wait_time"],
        ),
        verbosity=settings["verbosity"],
    )


def query_limits(settings: Mapping[str, Any]) -> QueryLimits:
    """What is added to query strings, and how long they may be."""
    parameters = {**(settings.get("extra_params") or {}), **(settings.get("secret_params") or {})}
    return QueryLimits(parameters, settings["max_url_length"])


def instant_reader(settings: Mapping[str, Any]) -> InstantReader:
    """How date-times are read."""
    zone = settings.get("time_zone")
    return InstantReader(
        UTC if zone in {None, "UTC"} else pendulum.timezone(zone), settings["ignore_offsets"]
    )


def discovery_settings(settings: Mapping[str, Any]) -> DiscoverySettings:
    """What to discover."""
    dated = settings["tracking_type"] == "date"
    return DiscoverySettings(
        entities=settings.get("entities"),
        exclude_entities=settings.get("exclude_entities") or (),
        replication_keys=settings["replication_keys"] if dated else (),
        decimals_as_strings=settings["decimals_as_strings"],
        tenant_column=settings["tenant_column"] if settings.get("tenants") else None,
    )


def read_settings(settings: Mapping[str, Any]) -> ReadSettings:
    """How entities are read."""
    start = settings.get("start_date")
    scope = {
        name: settings[name]
        for name in ("include_archived", "include_deleted")
        if settings[name] != SCHEMA["properties"][name]["default"]
    }
    return ReadSettings(
        paging=Paging(
            size=settings["page_size"] if settings["client_side_paging"] else None,
            count=settings["count"],
        ),
        instants=instant_reader(settings),
        time_offset=timedelta(seconds=settings["time_offset"]),
        start_date=_moment(start) if start else None,
        scope=scope,
    )


def record_settings(settings: Mapping[str, Any]) -> RecordSettings:
    """How values are written."""
    return RecordSettings(
        instants=instant_reader(settings),
        convert_to_utc=settings["convert_to_utc"],
        decimals_as_strings=settings["decimals_as_strings"],
    )


def secrets(settings: Mapping[str, Any]) -> list[str]:
    """All that must not be shown."""
    found: list[str] = []
    for name in SECRETS:
        value = settings.get(name)
        if isinstance(value, str):
            found.append(value)
        elif isinstance(value, dict):
            found.extend(str(part) for part in value.values())
    return found


def _moment(text: str) -> datetime:
    moment = pendulum.parse(text)
    if not isinstance(moment, pendulum.DateTime):
        message = f"{text} is no date-time"
        raise ValueError(message)  # noqa: TRY004 - the setting's value is wrong, not its type
    return moment
