"""From the model of an instance to catalog entries: names, keys, schemas and what may be selected.

The entry holds all that a sync needs, so that a sync with a catalog asks for no metadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.catalog.related import ExpansionResolver, Expansions
from tap_acumatica.discovery.union import ABSENT_IN
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import DAC, INQUIRY
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.model import ENCRYPTED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from tap_acumatica.odata.expand import Expansion
    from tap_acumatica.odata.model import Entity, Model, Property


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """A stream as discovery finds it.

    Attributes:
        table_name: `<interface>/<protocol>/<entity set>`: where a sync reads it; and which of its
            columns are related records (tap_acumatica/catalog/related.py).
        schema: JSON Schema of its records.
        unsupported: Columns that the server refuses to select.
        types: The columns' Edm types, as a sentence can name them.
        absent_in: Tenants that do not have it, where there are many.
        columns_absent_in: The same of its columns, by path; those that all have left out.
        tenant_column: The column that tells the tenant, where there are many.
        declared_key: What an inquiry's metadata call its key, which need not be one.
        appended: Columns of an inquiry that may be none of its results.
        function: What takes an inquiry's parameters, with their types.
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
    columns_absent_in: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    related: Expansions = field(default_factory=Expansions)
    declared_key: tuple[str, ...] | None = None
    appended: frozenset[str] = frozenset()
    function: str = ""

    def with_tenant(self, column: str) -> StreamDescription:
        """The same with a column that tells the tenant, first in its key.

        Raises:
            DiscoveryError: It has a column of this name, be it in another case.
        """
        columns = self.schema["properties"]
        own = next((name for name in columns if name.casefold() == column.casefold()), None)
        if own:
            message = (
                f"The setting tenant_column names {column}, but {self.name} has a column {own} of "
                "its own: choose another name."
            )
            raise DiscoveryError(message)
        tenant = {column: {"type": "string", "title": "Tenant"}}
        return replace(
            self,
            schema={**self.schema, "properties": {**tenant, **columns}},
            key=(column, *self.key) if self.key else (),
            tenant_column=column,
        )

    @property
    def entry(self) -> dict[str, Any]:
        """The catalog entry."""
        method = "INCREMENTAL" if self.replication_key else "FULL_TABLE"
        stream_metadata: dict[str, Any] = {
            "inclusion": "available",
            "selected": self.selected,
            "selected-by-default": self.selected,
            "table-key-properties": list(
                self.key if self.declared_key is None else self.declared_key
            ),
        }
        if self.function:
            # The SDK drops all metadata but those that it knows, and this is one of them.
            stream_metadata["schema-name"] = self.function
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
                    {
                        "breadcrumb": list(each),
                        "metadata": {"inclusion": "available", **self._absence(each[1::2])},
                    }
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
        return {
            "inclusion": "available",
            "selected-by-default": name != ENCRYPTED,
            **self._absence((name,)),
        }

    def _absence(self, path: tuple[str, ...]) -> dict[str, Any]:
        tenants = self.columns_absent_in.get(path)
        return {ABSENT_IN: list(tenants)} if tenants else {}


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """What to discover, and how to describe it."""

    entities: Sequence[str] | None = None
    exclude_entities: Sequence[str] = ()
    replication_keys: Sequence[str] = ()
    decimals_as_strings: bool = False
    expand: Mapping[str, Sequence[Expansion]] = field(default_factory=dict)
    """Navigation properties to read along, by name or alias of an entity."""
    inquiry_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns to use as the key, by the stream's name or title of an inquiry."""
    inquiry_parameters: Collection[str] = ()
    """The inquiries for which there are values, by either."""

    def wants(self, names: Iterable[str], interface: str) -> bool:
        """Whether the globs ask for an entity of an interface, by any of its names."""
        lower = [name.lower() for name in names]

        def fits(globs: Sequence[str]) -> bool:
            return any(
                fnmatchcase(name, glob.lower())
                for glob in globs
                if interface in interfaces_of(glob)
                for name in lower
            )

        return (self.entities is None or fits(self.entities)) and not fits(self.exclude_entities)

    def may_want(self, interface: str) -> bool:
        """Whether the globs, as they are, can ask for anything of an interface."""
        globs = self.entities if self.entities is not None else ("*",)
        barred = {"*", f"{PREFIXES[interface]}*"} if interface == INQUIRY else {"*"}
        excluded = any(glob.lower() in barred for glob in self.exclude_entities)
        return not excluded and any(interface in interfaces_of(glob) for glob in globs)

    def unmatched_globs(self, names: Mapping[str, Collection[str]]) -> list[str]:
        """The globs of `entities` that fit none of the names, which are by interface."""
        lower = {interface: {name.lower() for name in of_it} for interface, of_it in names.items()}

        def fits(glob: str) -> bool:
            reached = [lower[interface] for interface in interfaces_of(glob) if interface in lower]
            return any(glob in of_it for of_it in reached) or any(
                fnmatchcase(name, glob) for of_it in reached for name in of_it
            )

        return [glob for glob in self.entities or () if not fits(glob.lower())]

    def expansions(self, entity: Entity) -> list[Expansion]:
        """What the settings want to be read along with this entity."""
        names = _lower_names(entity)
        return [
            each for name, wanted in self.expand.items() if name.lower() in names for each in wanted
        ]


PREFIXES: Final[Mapping[str, str]] = {DAC: "px_", INQUIRY: "gi_"}
"""With what a glob begins that asks for one interface alone."""


def _lower_names(entity: Entity) -> set[str]:
    return {name.lower() for name in entity.names}


def interfaces_of(glob: str) -> Collection[str]:
    """The interfaces of which a glob can ask for something."""
    return [name for name, prefix in PREFIXES.items() if glob.lower().startswith(prefix)] or (
        PREFIXES.keys()
    )


def as_text(entries: Iterable[Mapping[str, Any]]) -> str:
    """A catalog as text, in a line for each stream unless that would be too long."""
    streams = ",\n".join(_in_lines(entry) for entry in entries)
    return f'{{"streams":[\n{streams}\n]}}'


MAX_LINE_LENGTH: Final = 60_000
"""Bytes of a line of the catalog: Meltano waits for ever on one over 64 KiB."""


def _in_lines(entry: Mapping[str, Any]) -> str:
    text = msgspec.json.encode(entry)
    if len(text) > MAX_LINE_LENGTH:
        text = msgspec.json.format(text, indent=1)
    return text.decode()


def discover(model: Model, settings: DiscoverySettings) -> Iterator[StreamDescription]:
    """The streams of the DAC interface."""
    for entity in model.entities():
        if settings.wants(entity.names, DAC):
            yield _describe(entity, model, settings)


def expanded(model: Model, settings: DiscoverySettings) -> dict[str, str | None]:
    """The entities that the setting `expand` names, as `Related.named` has names."""
    unknown = {name.lower(): name for name in settings.expand}
    for entity in model.entities() if unknown else ():
        for name in _lower_names(entity) & unknown.keys():
            given = unknown.pop(name)
            if not settings.wants(entity.names, DAC):
                logger.warning(
                    "The setting expand names %s, which entities and exclude_entities leave out.",
                    given,
                )
    named: dict[str, str | None] = dict.fromkeys(settings.expand)
    for name in unknown.values():
        message = (
            f"The setting expand names {name}, but the instance has no such entity: correct it, by "
            "the names that --discover prints."
        )
        named[name] = message
    return named


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
    schemas = Schemas(model, settings)
    columns = {
        prop.name: schemas.column(prop, required=readable and prop.name in key)
        for prop in entity.properties
    }
    relations = ExpansionResolver(model, lambda prop: schemas.column(prop, required=False))
    related = relations.of(entity, settings.expansions(entity))
    columns |= related.columns
    return StreamDescription(
        name=entity.name,
        table_name=f"{DAC}/{model.protocol}/{entity.name}{related.mark}",
        schema={"type": "object", "properties": columns},
        key=key if readable else (),
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
        types=types,
        related=related,
    )


class Schemas:
    """JSON Schemas of columns. Every column that is no key may be null, whatever it declares."""

    def __init__(self, model: Model, settings: DiscoverySettings) -> None:
        self._model = model
        self._settings = settings
        self._left = 0

    def column(self, prop: Property, *, required: bool) -> dict[str, Any]:
        """The schema of a property."""
        self._left = MAX_NESTED_COLUMNS
        schema = self._of(prop.type, depth=0)
        if not required:
            schema["type"] = [schema["type"], "null"]
        if prop.label and prop.label != prop.name:
            schema["title"] = prop.label
        return schema

    def _of(self, type_name: str, depth: int) -> dict[str, Any]:
        edm_type = edm.TYPES.get(type_name)
        decimal = edm_type is not None and edm_type.conversion is edm.Conversion.DECIMAL
        if decimal and self._settings.decimals_as_strings:
            return {"type": "string", "format": "x-singer.decimal"}
        if edm_type:
            return dict(edm_type.schema)
        item = edm.collection_of(type_name)
        if item and depth < MAX_TYPE_DEPTH:
            items = self._of(item, depth + 1)
            return {"type": "array", "items": {**items, "type": [items["type"], "null"]}}
        if type_name in self._model.enums:
            return dict(edm.STRING.schema)
        complex_type = self._model.complex_types.get(type_name)
        if complex_type and depth < MAX_TYPE_DEPTH and len(complex_type.properties) <= self._left:
            self._left -= len(complex_type.properties)
            properties = {}
            for prop in complex_type.properties:
                schema = self._of(prop.type, depth + 1)
                properties[prop.name] = {**schema, "type": [schema["type"], "null"]}
            return {"type": "object", "properties": properties}
        logger.warning("The type %.100s is not known: its values are taken as text.", type_name)
        return dict(edm.UNKNOWN.schema)


MAX_TYPE_DEPTH: Final = 5
"""Levels of complex types within each other; deeper ones are taken as text."""

MAX_NESTED_COLUMNS: Final = 1000
"""Properties of the complex types in one column; those beyond are taken as text."""
