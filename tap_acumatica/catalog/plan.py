"""What one stream reads, decided once from its catalog entry."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib.catalog import SelectionMask

from tap_acumatica.catalog.absence import TenantGaps
from tap_acumatica.catalog.deletions import LOCATION
from tap_acumatica.catalog.given import FULL_TABLE, INCREMENTAL
from tap_acumatica.catalog.inquiries import InquiryParameters, fit_length, sortable_columns
from tap_acumatica.catalog.location import StreamLocation, location_of
from tap_acumatica.catalog.related import expansions_for, without_absent
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import DAC, INQUIRY
from tap_acumatica.odata.deletions import DATE, MARK, ROW_NOTE
from tap_acumatica.odata.dialect import ATOM, JSON, ODataVersion
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.table import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from singer_sdk.singerlib.catalog import CatalogEntry

Tenant = str | None


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The settings that decide what streams read.

    Attributes:
        tenants: The tenants that the settings name; empty if the address decides.
        tenant_column: Column that holds the tenant, if the settings name tenants.
        wants_atom: Whether to read Atom from services that can send it.
        max_orderby_length: Maximum length of the list of columns to order by, in characters of
            the URL.
        inquiry_parameters: Parameter values by the stream's name or the inquiry's title.
        trim_strings: Whether texts lose the blanks at their end, in keys too.
    """

    tenants: Sequence[str] = ()
    tenant_column: str | None = None
    wants_atom: bool = False
    max_orderby_length: int = 1024
    inquiry_parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    trim_strings: bool = False


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What one stream reads: the source for a sync, a check and the SCHEMA message.

    Attributes:
        schema: JSON Schema of the records, with the tenant's column.
        mask: Which columns are selected, by breadcrumb.
        key: Columns that identify a record, with the tenant's column; empty if none do.
        replication_key: The catalog's replication key, even if the method does not use it.
        method: The replication method.
        parameters: The inquiry's parameters, with their values.
        declared_key: The columns that an inquiry's metadata declare as its key, which need not
            identify rows.
        singleton: Whether the entity is one object, not a set.
        gaps: The streams and columns that tenants lack.
        types: The columns' Edm types, as far as the catalog says them.
    """

    name: str
    location: StreamLocation
    schema: Mapping[str, Any]
    mask: SelectionMask
    key: tuple[str, ...]
    replication_key: str | None
    method: str
    parameters: InquiryParameters
    declared_key: tuple[str, ...] = ()
    singleton: bool = False
    gaps: TenantGaps = field(default_factory=TenantGaps)
    settings: PlanSettings = field(default_factory=PlanSettings)
    types: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        entry: CatalogEntry,
        gaps: TenantGaps,
        settings: PlanSettings,
        types: Mapping[str, str] | None = None,
    ) -> StreamPlan:
        """Make the plan from a catalog entry.

        Args:
            entry: The entry, from discovery or from a catalog that was settled
                (`tap_acumatica/catalog/given.py`): its top level says key, replication key and
                method.
            gaps: The streams and columns that tenants lack.
            settings: The settings that decide what streams read.
            types: The columns' Edm types, as far as they are known: a user may have given columns
                another schema. None: the schemas tell them.

        Raises:
            DiscoveryError: The tap did not write the entry's location.
        """
        name, root = entry.tap_stream_id, entry.metadata.root
        location = location_of(entry)
        # A rule for all streams may say otherwise, but entries of the log expire.
        is_log = location == LOCATION
        values = settings.inquiry_parameters if location.interface == INQUIRY else {}
        return cls(
            name=name,
            location=location,
            schema=entry.schema.to_dict(),
            mask=entry.metadata.resolve_selection(),
            key=tuple(entry.key_properties or ()),
            replication_key=DATE if is_log else entry.replication_key,
            method=INCREMENTAL if is_log else entry.replication_method or FULL_TABLE,
            parameters=InquiryParameters(root.schema_name or "", name, location.entity_set, values),
            declared_key=tuple(root.table_key_properties or ()),
            singleton=entry.row_count == 1,
            gaps=gaps,
            settings=settings,
            types=types or {},
        )

    @property
    def incremental(self) -> bool:
        """Whether the stream is read by windows of its replication key."""
        return self.method == INCREMENTAL

    @property
    def names(self) -> tuple[str, ...]:
        """The names that settings may use for the stream, as far as its catalog entry tells."""
        short = self.name.removeprefix("GI_") if self.is_inquiry else self.name.split("_")[-1]
        return (self.name, self.location.entity_set, short)

    @property
    def is_inquiry(self) -> bool:
        """Whether the stream is a generic inquiry."""
        return self.location.interface == INQUIRY

    @property
    def is_log(self) -> bool:
        """Whether the stream is the log of deletions, which keeps its entries for some days."""
        return self.location == LOCATION

    @property
    def in_json_only(self) -> bool:
        """Whether the stream is read as JSON although the settings ask for Atom."""
        return self.settings.wants_atom and self.location.protocol is not ODataVersion.V3

    @property
    def has_marks(self) -> bool:
        """Whether the records say which rows are marked as deleted."""
        return MARK in self.schema["properties"]

    @property
    def has_notes(self) -> bool:
        """Whether a log of deletions can name the stream's rows."""
        is_entity = self.location.interface == DAC and not self.is_log
        return is_entity and ROW_NOTE in self.schema["properties"]

    @property
    def partitions(self) -> Sequence[Tenant]:
        """The tenants that have the entity; None is the tenant that the address decides."""
        return self.tenants if self.settings.tenants else (None,)

    @property
    def tenants(self) -> Sequence[str]:
        """The tenants of the settings that have the entity."""
        return self.gaps.tenants(self.name, self.settings.tenants)

    @property
    def scope(self) -> dict[str, Any]:
        """The settings that decide which rows this stream has, beside those of all streams.

        Raises:
            SettingsError: The values of an inquiry's parameters do not fit the inquiry.
        """
        scope: dict[str, Any] = {}
        # Values are texts, since a number in a state may come back as a different object.
        if call := self.parameters.call(ODataVersion.V3):
            scope["inquiry_parameters"] = dict(call.parameters)
        if self.settings.trim_strings and self._has_text_in_key:
            scope["trim_strings"] = True
        return scope

    @property
    def _has_text_in_key(self) -> bool:
        columns = self._columns_without_tenant()
        key = [
            edm.of_column(columns[name], self.types.get(name))
            for name in self.key
            if name in columns
        ]
        return any(edm_type.schema is edm.STRING.schema for edm_type in key)

    def absent_columns(self, tenant: Tenant) -> list[str]:
        """Return the selected columns that a tenant lacks: they are null in its records."""
        absent = self._columns_without_tenant().keys() - self._columns(tenant).keys()
        return [name for name in absent if self.mask["properties", name]]

    def with_all_columns(self) -> StreamPlan:
        """Return the plan of the stream with all of its columns selected."""
        return replace(self, mask=SelectionMask())

    def table(self, tenant: Tenant = None) -> Table:
        """Return the entity with its selected columns, as a pager sees it in one tenant.

        Raises:
            SettingsError: The values of an inquiry's parameters do not fit the inquiry.
            DiscoveryError: A column of the key is not selected.
        """
        schemas = self._columns(tenant)
        types = {
            name: edm.of_column(schema, self.types.get(name)) for name, schema in schemas.items()
        }
        columns = {name: type_ for name, type_ in types.items() if self.mask["properties", name]}
        key = tuple(name for name in self.key if name != self.settings.tenant_column)
        if not columns.keys() >= set(key):
            message = (
                f"Not all columns of the key of {self.name} ({', '.join(key)}) are selected: "
                "select them, or give it another key in the catalog."
            )
            raise DiscoveryError(message)
        protocol = self.location.protocol
        selected = {name: schemas[name] for name in columns}
        table = Table(
            entity_set=self.location.entity_set,
            columns=columns,
            key=key,
            order=tuple(name for name in self.declared_key if name in schemas),
            replication_key=self.replication_key if self.incremental else None,
            # Without $select the set shows its own key, by which the server orders it.
            select=bool(key) or self.singleton,
            singleton=self.singleton,
            expand=expansions_for(selected, self.location.expansions),
            format=ATOM if self.settings.wants_atom and not self.in_json_only else JSON,
            protocol=protocol,
        )
        if not self.is_inquiry:
            return table
        usable = [name for name in sortable_columns(types, self.declared_key) if name in columns]
        return replace(
            table,
            key=key if set(key) <= set(usable) else (),
            order=fit_length(usable, self.settings.max_orderby_length),
            select=True,
            inquiry=True,
            call=self.parameters.call(protocol),
        )

    def _columns(self, tenant: Tenant) -> dict[str, Any]:
        """Return JSON Schemas of the columns that a tenant has."""
        absent = self.gaps.columns.get((self.name, tenant), ())
        return without_absent(self._columns_without_tenant(), absent)

    def _columns_without_tenant(self) -> dict[str, Any]:
        added = {self.settings.tenant_column, MARK}
        properties = self.schema["properties"]
        return {name: schema for name, schema in properties.items() if name not in added}
