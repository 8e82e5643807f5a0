"""From the model of an instance to catalog entries: names, keys, schemas and what may be selected.

The entry holds all that a sync needs, so that a sync with a catalog asks for no metadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.metadata import ENCRYPTED
from tap_acumatica.related import Related, Relations
from tap_acumatica.union import ABSENT_IN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tap_acumatica.odata.expand import Expansion
    from tap_acumatica.odata.metadata import Entity, Model, Property
    from tap_acumatica.odata.service import Service


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """A stream as discovery finds it.

    Attributes:
        table_name: `<interface>/<protocol>/<entity set>`: where a sync reads it; and which of its
            columns are related records (tap_acumatica/related.py).
        schema: JSON Schema of its records.
        unsupported: Columns that the server refuses to select.
        types: The columns' Edm types, as a sentence can name them.
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
    related: Related = field(default_factory=Related)

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
                *(
                    {"breadcrumb": list(each), "metadata": {"inclusion": "available"}}
                    for each in self.related.breadcrumbs
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
    expand: Mapping[str, Sequence[Expansion]] = field(default_factory=dict)
    """Navigation properties to read along, by name or alias of an entity."""

    def wants(self, entity: Entity) -> bool:
        """Whether the globs ask for this entity, by its name or any alias."""
        names = _lower_names(entity)

        def fits(globs: Sequence[str]) -> bool:
            return any(fnmatchcase(name, glob.lower()) for glob in globs for name in names)

        return (self.entities is None or fits(self.entities)) and not fits(self.exclude_entities)

    def expansions(self, entity: Entity) -> list[Expansion]:
        """What the settings want to be read along with this entity."""
        names = _lower_names(entity)
        return [
            each for name, wanted in self.expand.items() if name.lower() in names for each in wanted
        ]


def _lower_names(entity: Entity) -> set[str]:
    return {name.lower() for name in (entity.name, *entity.aliases)}


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
    """The streams of the DAC interface.

    Raises:
        DiscoveryError: The setting expand names what is not there.
    """
    expanded = _Expanded(settings.expand)
    for entity in model.entities():
        wanted = settings.wants(entity)
        expanded.meet(entity, wanted=wanted)
        if wanted:
            yield _describe(entity, model, settings)
    expanded.check()


class _Expanded:
    """Keeps account of the entities that the setting `expand` names."""

    def __init__(self, names: Iterable[str]) -> None:
        self._unknown = {name.lower(): name for name in names}

    def meet(self, entity: Entity, *, wanted: bool) -> None:
        """An entity that exists."""
        for name in _lower_names(entity) & self._unknown.keys():
            given = self._unknown.pop(name)
            if not wanted:
                logger.warning(
                    "The setting expand names %s, which entities and exclude_entities leave out.",
                    given,
                )

    def check(self) -> None:
        """Refuse names that no entity has."""
        for name in self._unknown.values():
            message = (
                f"The setting expand names {name}, but the instance has no such entity: correct "
                "it, by the names that --discover prints."
            )
            raise DiscoveryError(message)


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
    relations = Relations(model, lambda prop: schemas.column(prop, required=False))
    related = relations.of(entity, settings.expansions(entity))
    columns |= related.columns
    types |= dict.fromkeys(related.columns, "related records")
    key = key if readable else ()
    if settings.tenant_column:
        types[settings.tenant_column] = "Edm.String"
        columns = {settings.tenant_column: {"type": "string", "title": "Tenant"}, **columns}
        key = (settings.tenant_column, *key) if key else ()
    return StreamDescription(
        name=entity.name,
        table_name=f"dac/{model.protocol}/{entity.name}{related.mark}",
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
        types=types,
        related=related,
    )


class _Schemas:
    """JSON Schemas of columns. Every column that is no key may be null, whatever it declares."""

    def __init__(self, model: Model, settings: DiscoverySettings) -> None:
        self._model = model
        self._settings = settings
        self._left = 0

    def column(self, prop: Property, *, required: bool) -> dict[str, Any]:
        self._left = MOST_PARTS
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
        item = edm.collection_of(type_name)
        if item and depth < DEEPEST:
            items = self._of(item, depth + 1)
            return {"type": "array", "items": {**items, "type": [items["type"], "null"]}}
        if type_name in self._model.enums:
            return dict(edm.STRING.schema)
        complex_type = self._model.complex_types.get(type_name)
        if complex_type and depth < DEEPEST and len(complex_type.properties) <= self._left:
            self._left -= len(complex_type.properties)
            properties = {}
            for prop in complex_type.properties:
                schema = self._of(prop.type, depth + 1)
                properties[prop.name] = {**schema, "type": [schema["type"], "null"]}
            return {"type": "object", "properties": properties}
        logger.warning("The type %.100s is not known: its values are taken as text.", type_name)
        return dict(edm.UNKNOWN.schema)


DEEPEST: Final = 5
"""Levels of complex types within each other; deeper ones are taken as text."""

MOST_PARTS: Final = 1000
"""Properties of the complex types in one column; those beyond are taken as text."""
