"""Turns checked settings into the frozen settings objects of the tap's components."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, timedelta, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tap_acumatica.catalog.plan import PlanSettings
from tap_acumatica.discovery.cache import MetadataCache
from tap_acumatica.discovery.filters import DiscoverySettings
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import Address
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.expand import parse_all
from tap_acumatica.odata.http.client import ClientSettings
from tap_acumatica.odata.http.sessions import PoolSettings
from tap_acumatica.odata.http.transport import MEGABYTE
from tap_acumatica.odata.instants import InstantReader, in_utc
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.service import QueryLimits
from tap_acumatica.odata.urls import local_path
from tap_acumatica.output.batches import BatchSettings
from tap_acumatica.output.records import RecordSettings
from tap_acumatica.reading.model import ReadSettings
from tap_acumatica.run.generations import GenerationSettings
from tap_acumatica.settings.accounts import AccountSettings
from tap_acumatica.settings.presets import entities_of
from tap_acumatica.settings.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True, slots=True)
class RunSettings:
    """The settings of a run, with one object for each component.

    Attributes:
        tenants: The tenants to read; None stands for the tenant that the address implies.
        interfaces: The interfaces to use: those that the setting names and the address includes.
        page_size: The setting, even if the server decides on the pages.
        time_zone: The setting, or None.
        fails_on_changes: Whether a run fails if streams are not what the state remembers.
        generations: When streams are read in full, and what may be retired then.
        batches: Where batches are written; None: records are written to standard output.
    """

    address: Address
    tenants: Sequence[str | None]
    interfaces: Sequence[str]
    account: AccountSettings
    client: ClientSettings
    query_limits: QueryLimits
    metadata_cache: MetadataCache
    discovery: DiscoverySettings
    plans: PlanSettings
    reading: ReadSettings
    records: RecordSettings
    page_size: int
    time_zone: str | None = None
    fails_on_changes: bool = False
    generations: GenerationSettings = field(default_factory=GenerationSettings)
    batches: BatchSettings | None = None

    @property
    def site_name(self) -> str:
        """The site to read, as the state names it."""
        return self.address.site_name

    @property
    def tenant(self) -> str | None:
        """The tenant that the address or the account names; None if `tenants` does, or nothing."""
        named_elsewhere = not self.plans.tenants and self.account.tenants
        return self.account.tenants[0] if named_elsewhere else None

    @property
    def instants(self) -> InstantReader:
        """The reader of date-times."""
        return self.reading.instants


def assemble(settings: Mapping[str, Any]) -> RunSettings:
    """Build the settings objects from checked settings that include the defaults.

    Raises:
        SettingsError: The address does not include any of the interfaces.
    """
    address = Address.parse(settings["url"])
    client = _client(settings)
    instants = _instants(settings)
    return RunSettings(
        address=address,
        tenants=settings.get("tenants") or (None,),
        interfaces=_interfaces(settings, address),
        account=AccountSettings.of(settings, address),
        client=client,
        query_limits=_query_limits(settings),
        metadata_cache=_metadata_cache(settings),
        discovery=_discovery(settings),
        plans=_plans(settings),
        reading=_reading(settings, instants, client.pool.size),
        records=_records(settings, instants),
        page_size=settings["page_size"],
        time_zone=settings.get("time_zone"),
        fails_on_changes=settings["schema_changes"] == "fail",
        generations=_generations(settings),
        batches=_batches(settings.get("batch_config")),
    )


def _client(settings: Mapping[str, Any]) -> ClientSettings:
    headers = {
        "PX-ApiArchive": "SHOW" if settings["include_archived"] else "",
        "PX-ApiDeleted": "SHOW" if settings["include_deleted"] else "",
        "Accept-Language": settings.get("region") or "",
        **(settings.get("extra_headers") or {}),
        **(settings.get("secret_headers") or {}),
    }
    pooling = settings["enable_pooling"]
    return ClientSettings(
        timeout=settings["timeout"],
        max_retry_time=settings["max_retry_time"],
        headers={name: value for name, value in headers.items() if value},
        verify=settings.get("ca_bundle") or settings["verify_ssl"],
        pool=PoolSettings(
            size=settings["max_pool_size"] if pooling else 1,
            kept_alive=pooling,
            idle_timeout=settings["pool_idle_timeout"],
            wait_time=settings["pool_wait_time"],
        ),
        verbosity=settings["verbosity"],
        per_minute=settings.get("max_requests_per_minute"),
        max_response_size=settings["max_response_size"] * MEGABYTE,
    )


def _metadata_cache(settings: Mapping[str, Any]) -> MetadataCache:
    folder = settings.get("metadata_cache")
    return MetadataCache(Path(folder) if folder else None, settings["metadata_max_age"])


def _query_limits(settings: Mapping[str, Any]) -> QueryLimits:
    parameters = {**(settings.get("extra_params") or {}), **(settings.get("secret_params") or {})}
    return QueryLimits(parameters, settings["max_url_length"])


def _instants(settings: Mapping[str, Any]) -> InstantReader:
    zone = settings.get("time_zone")
    return InstantReader(UTC if zone in {None, "UTC"} else _zone(zone), settings["ignore_offsets"])


def _zone(name: str) -> tzinfo:
    # This import takes a tenth of the tap's start-up time, and most accounts are in UTC.
    import pendulum  # noqa: PLC0415 - on demand

    return pendulum.timezone(name)


def _discovery(settings: Mapping[str, Any]) -> DiscoverySettings:
    incremental = settings["tracking_type"] == "date"
    entities = settings.get("entities")
    named = {glob.strip().lower() for glob in entities or ()}
    presets = entities_of(settings.get("presets") or ())
    optional = [name for name in presets if name.lower() not in named]
    return DiscoverySettings(
        entities=[*(entities or ()), *optional] if presets else entities,
        optional=optional,
        exclude_entities=settings.get("exclude_entities") or (),
        replication_keys=settings["replication_keys"] if incremental else (),
        decimals=edm.decimals(settings["decimals"]),
        expand={name: parse_all(items) for name, items in (settings.get("expand") or {}).items()},
        inquiry_keys=settings.get("inquiry_keys") or {},
        inquiry_parameters=(settings.get("inquiry_parameters") or {}).keys(),
    )


def _plans(settings: Mapping[str, Any]) -> PlanSettings:
    tenants = settings.get("tenants") or ()
    return PlanSettings(
        tenants=tenants,
        tenant_column=settings["tenant_column"] if tenants else None,
        wants_atom=settings["data_format"] == "atom",
        max_orderby_length=settings["max_url_length"] // 2,
        inquiry_parameters=settings.get("inquiry_parameters") or {},
        trim_strings=settings["trim_strings"],
    )


def _interfaces(settings: Mapping[str, Any], address: Address) -> tuple[str, ...]:
    interfaces = tuple(name for name in address.interfaces if name in settings["interfaces"])
    if not interfaces:
        message = (
            f"The setting url ({settings['url']}) leads to the interface {address.interfaces[0]} "
            "only, which the setting interfaces excludes: give only the site in url, or change "
            "interfaces."
        )
        raise SettingsError(message)
    return interfaces


def _reading(settings: Mapping[str, Any], instants: InstantReader, readers: int) -> ReadSettings:
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
        instants=instants,
        time_offset=timedelta(seconds=settings["time_offset"]),
        start_date=in_utc(start) if start else None,
        scope=scope,
        verify_counts=settings["verify_counts"],
        readers=readers,
        marks_deleted=settings["include_deleted"],
    )


def _generations(settings: Mapping[str, Any]) -> GenerationSettings:
    interval = settings.get("full_read_interval", {})
    return GenerationSettings(
        hours=interval if isinstance(interval, dict) else {"*": interval},
        max_loss=settings["full_read_max_loss"],
        # Targets take the rows of batches as they are, without a version to know them by.
        activates=settings["emit_activate_version_messages"] and not settings.get("batch_config"),
        narrowed_by=() if settings["include_archived"] else ("include_archived",),
        dated_by=("start_date",) if settings.get("start_date") else (),
    )


def _batches(config: Mapping[str, Any] | None) -> BatchSettings | None:
    if not config:
        return None
    limits = {"size": config.get("batch_size"), "age": config.get("batch_age")}
    return BatchSettings(
        Path(local_path(config["storage"]["root"]) or ""),
        config["storage"].get("prefix") or "",
        **{name: limit for name, limit in limits.items() if limit},
    )


def _records(settings: Mapping[str, Any], instants: InstantReader) -> RecordSettings:
    return RecordSettings(
        instants=instants,
        convert_to_utc=settings["convert_to_utc"],
        trim_strings=settings["trim_strings"],
        rebuild=settings["rebuild_records"],
    )
