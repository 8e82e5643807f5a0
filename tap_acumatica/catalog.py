"""From the model of an instance to catalog entries: names, keys, schemas and what may be selected.

The entry holds all that a sync needs, so that a sync with a catalog asks for no metadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.log import logger
from tap_acumatica.union import ABSENT_IN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from tap_acumatica.odata.metadata import Entity, Model, Property
    from tap_acumatica.odata.service import Service

ENCRYPTED: Final = "Password"
"""Columns of this name come encrypted, so they are not selected unless asked for."""


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """A stream as discovery finds it.

    Attributes:
        table_name: `<interface>/<protocol>/<entity set>`: where a sync reads it.
        schema: JSON Schema of its records.
        unsupported: Columns that the server refuses to select.
        types: The columns' Edm types.
        absent_in: Tenants that do not have it, where there are many.
        columns_absent_in: The same of its columns, those that all have left out.
    """

    name: str
    table_name: str
    schema: dict[str, Any]
    key: tuple[str, ...]
    replication_key: str | None
    unsupported: frozenset[str]
    singleton: bool
    selected: bool
    tenant_column: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    absent_in: tuple[str, ...] = ()
    columns_absent_in: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def entry(self) -> dict[str, Any]:
        """The catalog entry."""
        method = "INCREMENTAL" if self.replication_key else "FULL_TABLE"
        stream_metadata: dict[str, Any] = {
            "inclusion": "available",
            "selected": self.selected,
            "selected-by-default": self.selected,
            "table-key-properties": list(self.key),
        }
        if self.replication_key:
            stream_metadata["valid-replication-keys"] = [self.replication_key]
        if self.absent_in:
            stream_metadata[ABSENT_IN] = list(self.absent_in)
        entry: dict[str, Any] = {
            "tap_stream_id": self.name,
            "stream": self.name,
            "table_name": self.table_name,
            "key_properties": list(self.key),
            "replication_method": method,
            "schema": self.schema,
            "metadata": [
                {"breadcrumb": [], "metadata": stream_metadata},
                *(
                    {"breadcrumb": ["properties", name], "metadata": self._column_metadata(name)}
                    for name in self.schema["properties"]
                ),
            ],
        }
        if self.replication_key:
            entry["replication_key"] = self.replication_key
        if self.singleton:
            entry["row_count"] = 1
        return entry

    def _column_metadata(self, name: str) -> dict[str, Any]:
        if name in self.unsupported:
            return {"inclusion": "unsupported", "selected-by-default": False}
        if name in self.key or name in {self.replication_key, self.tenant_column}:
            return {"inclusion": "automatic"}
        absent = (
            {ABSENT_IN: list(self.columns_absent_in[name])}
            if self.columns_absent_in.get(name)
            else {}
        )
        return {"inclusion": "available", "selected-by-default": name != ENCRYPTED, **absent}


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """What to discover, and how to describe it."""

    entities: Sequence[str] | None = None
    exclude_entities: Sequence[str] = ()
    replication_keys: Sequence[str] = ()
    decimals_as_strings: bool = False
    tenant_column: str | None = None
    """Column that the tap adds, first in the key, or None."""

    def wants(self, entity: Entity) -> bool:
        """Whether the globs ask for this entity, by its name or any alias."""
        names = [name.lower() for name in (entity.name, *entity.aliases)]

        def fits(globs: Sequence[str]) -> bool:
            return any(fnmatchcase(name, glob.lower()) for glob in globs for name in names)

        return (self.entities is None or fits(self.entities)) and not fits(self.exclude_entities)


@dataclass(frozen=True, slots=True)
class Discovered:
    """What one tenant has.

    Attributes:
        streams: Those that the settings ask for.
        counts: How many there are in all, by interface.
        protocol: Of the interface.
        date: The server's clock when it answered, or None.
        locale: The Locale cookie, which names the account's time zone, or None.
    """

    streams: Sequence[StreamDescription]
    counts: Mapping[str, int]
    protocol: str
    date: datetime | None
    locale: str | None


def discovered(service: Service, settings: DiscoverySettings) -> Discovered:
    """Ask a service what there is."""
    reply = service.describe()
    model = reply.content
    return Discovered(
        streams=list(discover(model, settings)),
        counts={"entities": sum(1 for _ in model.entities())},
        protocol=str(model.protocol),
        date=reply.date,
        locale=reply.locale,
    )


def discover(model: Model, settings: DiscoverySettings) -> Iterator[StreamDescription]:
    """The streams of the DAC interface."""
    for entity in model.entities():
        if settings.wants(entity):
            yield _describe(entity, model, settings)


def _describe(entity: Entity, model: Model, settings: DiscoverySettings) -> StreamDescription:
    types = {prop.name: prop.type for prop in entity.properties}
    key = tuple(name for name in entity.key if name in types)
    hidden = entity.restricted.intersection(key)
    if hidden:
        logger.warning(
            "%s is read in full and without a key: its key column %s may not be queried.",
            entity.name,
            ", ".join(sorted(hidden)),
        )
    readable = not hidden and not entity.singleton
    schemas = _Schemas(model, settings)
    columns = {
        prop.name: schemas.column(prop, required=readable and prop.name in key)
        for prop in entity.properties
    }
    key = key if readable else ()
    if settings.tenant_column:
        columns = {settings.tenant_column: {"type": "string", "title": "Tenant"}, **columns}
        key = (settings.tenant_column, *key) if key else ()
    return StreamDescription(
        name=entity.name,
        table_name=f"dac/{model.protocol}/{entity.name}",
        schema={"type": "object", "properties": columns},
        key=key,
        replication_key=next(
            (
                name
                for name in settings.replication_keys
                if readable
                and name not in entity.restricted
                and edm.TYPES.get(types.get(name, "")) is edm.INSTANT
            ),
            None,
        ),
        unsupported=entity.restricted,
        singleton=entity.singleton,
        selected=settings.entities is not None,
        tenant_column=settings.tenant_column,
        types={**types, settings.tenant_column: "Edm.String"} if settings.tenant_column else types,
    )


class _Schemas:
    """JSON Schemas of columns. Every column that is no key may be null, whatever it declares."""

    def __init__(self, model: Model, settings: DiscoverySettings) -> None:
        self._model = model
        self._settings = settings

    def column(self, prop: Property, *, required: bool) -> dict[str, Any]:
        schema = self._of(prop.type, depth=0)
        if not required:
            schema["type"] = [schema["type"], "null"]
        if prop.label and prop.label != prop.name:
            schema["title"] = prop.label
        return schema

    def _of(self, type_name: str, depth: int) -> dict[str, Any]:
        edm_type = edm.TYPES.get(type_name)
        if edm_type is edm.NUMBER and self._settings.decimals_as_strings:
            return {"type": "string", "format": "x-singer.decimal"}
        if edm_type:
            return dict(edm_type.schema)
        if item := edm.collection_of(type_name):
            items = self._of(item, depth + 1)
            return {"type": "array", "items": {**items, "type": [items["type"], "null"]}}
        if type_name in self._model.enums:
            return dict(edm.STRING.schema)
        complex_type = self._model.complex_types.get(type_name)
        if complex_type and depth < DEEPEST:
            properties = {}
            for prop in complex_type.properties:
                schema = self._of(prop.type, depth + 1)
                properties[prop.name] = {**schema, "type": [schema["type"], "null"]}
            return {"type": "object", "properties": properties}
        logger.warning("The type %s is not known: its values are taken as text.", type_name)
        return dict(edm.UNKNOWN.schema)


DEEPEST: Final = 5
"""Levels of complex types within each other; deeper ones are taken as text."""
