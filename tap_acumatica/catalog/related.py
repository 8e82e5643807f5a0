"""Related records in the catalog: navigation properties, their columns, and the selection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tap_acumatica.catalog.location import location_of
from tap_acumatica.catalog.schema import CatalogSchema
from tap_acumatica.odata.expand import Expansion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from singer_sdk.singerlib import CatalogEntry

    Breadcrumb = tuple[str, ...]
    Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expansions:
    """The navigation properties that a stream reads with its rows.

    Attributes:
        expansions: The navigation properties as the metadata spell them, without columns.
        columns: Their JSON Schemas, by name.
        errors: For each name in the setting `expand` the error message if no tenant has it, or
            None if it was found.
    """

    expansions: tuple[Expansion, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    errors: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def breadcrumbs(self) -> Iterator[Breadcrumb]:
        """The breadcrumbs of the columns of related rows, which can be selected one by one."""
        return _breadcrumbs(self.columns, self.expansions, ())


def prune(entry: CatalogEntry) -> None:
    """Remove the unselected columns of related records from a stream's schema.

    The SDK does so for objects in the schema, but not for arrays.
    """
    expansions = location_of(entry).expansions
    if expansions:
        schema = entry.schema.to_dict()
        mask = entry.metadata.resolve_selection()
        schema["properties"] = _selected(schema["properties"], expansions, mask, ())
        entry.schema = CatalogSchema.from_dict(schema)


def _selected(
    properties: Mapping[str, Any],
    expansions: Iterable[Expansion],
    mask: Mapping[Breadcrumb, bool],
    above: Breadcrumb,
) -> dict[str, Any]:
    selected = dict(properties)
    for expansion in expansions:
        breadcrumb = (*above, "properties", expansion.name)
        if expansion.name not in selected or not mask[breadcrumb]:
            continue
        columns = {
            name: column
            for name, column in _columns(selected[expansion.name]).items()
            if mask[*breadcrumb, "properties", name]
        }
        columns = _selected(columns, expansion.expansions, mask, breadcrumb)
        if columns:
            selected[expansion.name] = _with_columns(selected[expansion.name], columns)
        else:
            del selected[expansion.name]
    return selected


def expansions_for(
    properties: Mapping[str, Any], expansions: Iterable[Expansion]
) -> tuple[Expansion, ...]:
    """Return the expansions that request the related rows among these columns."""
    requested = []
    for expansion in expansions:
        if expansion.name in properties:
            columns = _columns(properties[expansion.name])
            nested_expansions = expansions_for(columns, expansion.expansions)
            related = {inner.name for inner in nested_expansions}
            own = tuple(name for name in columns if name not in related)
            requested.append(Expansion(expansion.name, own, nested_expansions))
    return tuple(requested)


def fill_nulls(
    record: dict[str, Any],
    properties: Mapping[str, Any],
    expansions: Iterable[Expansion],
    levels: int,
) -> None:
    """Put an object of nulls where a record has no related one, down to a number of levels.

    This is for flattening, which would otherwise make null a column of its own, and leave out the
    columns of the object.
    """
    for expansion in expansions:
        name = expansion.name
        schema = properties.get(name, {})
        if levels and "properties" in schema:
            columns = _columns(schema)
            record[name] = dict.fromkeys(columns) | (record.get(name) or {})
            fill_nulls(record[name], columns, expansion.expansions, levels - 1)


def flat(
    properties: Mapping[str, Any], expansions: Iterable[Expansion], above: Path = ()
) -> dict[Path, Any]:
    """Return JSON Schemas by path; the columns of related rows have paths of their own."""
    related = {expansion.name: expansion.expansions for expansion in expansions}
    columns: dict[Path, Any] = {}
    for name, schema in properties.items():
        path = (*above, name)
        columns[path] = _with_columns(schema, {}) if name in related else schema
        if name in related:
            columns |= flat(_columns(schema), related[name], path)
    return columns


def nested(columns: Mapping[Path, Any]) -> dict[str, Any]:
    """Reverse `flat`."""
    properties: dict[str, Any] = {}
    related: dict[str, dict[Path, Any]] = {}
    for (name, *rest), schema in columns.items():
        if rest:
            related.setdefault(name, {})[tuple(rest)] = schema
        else:
            properties[name] = schema
    for name, related_columns in related.items():
        properties[name] = _with_columns(properties[name], nested(related_columns))
    return properties


def merge(versions: Iterable[tuple[Expansion, ...]]) -> tuple[Expansion, ...]:
    """Return the navigation properties that any of the versions reads."""
    by_name: dict[str, list[tuple[Expansion, ...]]] = {}
    for expansions in versions:
        for expansion in expansions:
            by_name.setdefault(expansion.name, []).append(expansion.expansions)
    return tuple(Expansion(name, (), merge(inner)) for name, inner in by_name.items())


def without_absent(properties: Mapping[str, Any], absent: Collection[Path]) -> dict[str, Any]:
    """Return the columns without the absent ones, and without related rows that have none left."""
    present = {}
    for name, schema in properties.items():
        absent_here = {path[1:] for path in absent if path[0] == name}
        columns = without_absent(_columns(schema), absent_here - {()}) if absent_here else {}
        if not absent_here:
            present[name] = schema
        elif columns and () not in absent_here:
            present[name] = _with_columns(schema, columns)
    return present


def _columns(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the columns of related rows, whether one or many."""
    columns: Mapping[str, Any] = schema.get("items", schema).get("properties", {})
    return columns


def _with_columns(schema: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    if "items" in schema:
        return {**schema, "items": {**schema["items"], "properties": columns}}
    return {**schema, "properties": columns}


def _breadcrumbs(
    properties: Mapping[str, Any], expansions: Iterable[Expansion], above: Breadcrumb
) -> Iterator[Breadcrumb]:
    for expansion in expansions:
        breadcrumb = (*above, "properties", expansion.name)
        columns = _columns(properties[expansion.name])
        for name in columns:
            yield (*breadcrumb, "properties", name)
        yield from _breadcrumbs(columns, expansion.expansions, breadcrumb)
