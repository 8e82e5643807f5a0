"""Related records in the catalog: which there are, their columns, and which are selected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import Schema

from tap_acumatica.catalog.location import location_of
from tap_acumatica.odata.expand import Expansion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from singer_sdk.singerlib import CatalogEntry

    Breadcrumb = tuple[str, ...]
    Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expansions:
    """The navigation properties that one stream reads along.

    Attributes:
        expansions: By the names of the metadata, without columns.
        columns: JSON Schemas by name.
        named: For each name in the setting `expand`: what is said if no tenant has it, or None
            where it was found.
    """

    expansions: tuple[Expansion, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    named: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def breadcrumbs(self) -> Iterator[Breadcrumb]:
        """Of the columns of related rows, which may be selected one by one."""
        return _breadcrumbs(self.columns, self.expansions, ())


def prune(entry: CatalogEntry) -> None:
    """Take what is not selected of related records out of a stream's schema.

    The SDK does that with what is an object in the schema, but not with what is an array.
    """
    expansions = location_of(entry).expansions
    if expansions:
        schema = entry.schema.to_dict()
        mask = entry.metadata.resolve_selection()
        schema["properties"] = _selected(schema["properties"], expansions, mask, ())
        entry.schema = Schema.from_dict(schema)


def _selected(
    properties: Mapping[str, Any],
    expansions: Iterable[Expansion],
    mask: Mapping[Breadcrumb, bool],
    above: Breadcrumb,
) -> dict[str, Any]:
    selected = dict(properties)
    for each in expansions:
        breadcrumb = (*above, "properties", each.name)
        if each.name not in selected or not mask[breadcrumb]:
            continue
        columns = {
            name: column
            for name, column in _columns(selected[each.name]).items()
            if mask[*breadcrumb, "properties", name]
        }
        columns = _selected(columns, each.expansions, mask, breadcrumb)
        if columns:
            selected[each.name] = _with_columns(selected[each.name], columns)
        else:
            del selected[each.name]
    return selected


def expansions_for(
    properties: Mapping[str, Any], expansions: Iterable[Expansion]
) -> tuple[Expansion, ...]:
    """How to ask for the related rows that are among the columns."""
    asked = []
    for each in expansions:
        if each.name in properties:
            columns = _columns(properties[each.name])
            further = expansions_for(columns, each.expansions)
            related = {expansion.name for expansion in further}
            own = tuple(name for name in columns if name not in related)
            asked.append(Expansion(each.name, own, further))
    return tuple(asked)


def fill_nulls(
    record: dict[str, Any],
    properties: Mapping[str, Any],
    expansions: Iterable[Expansion],
    levels: int,
) -> None:
    """Put an object of nulls where a record has no related one, down to some levels.

    For flattening: null would become a column of its own, and those of the object be missing.
    """
    for each in expansions:
        schema = properties.get(each.name, {})
        if levels and "properties" in schema:
            columns = _columns(schema)
            record[each.name] = dict.fromkeys(columns) | (record.get(each.name) or {})
            fill_nulls(record[each.name], columns, each.expansions, levels - 1)


def flat(
    properties: Mapping[str, Any], expansions: Iterable[Expansion], above: Path = ()
) -> dict[Path, Any]:
    """JSON Schemas by path: those of related rows without their columns, which follow behind."""
    within = {each.name: each.expansions for each in expansions}
    columns: dict[Path, Any] = {}
    for name, schema in properties.items():
        path = (*above, name)
        columns[path] = _with_columns(schema, {}) if name in within else schema
        if name in within:
            columns |= flat(_columns(schema), within[name], path)
    return columns


def nested(columns: Mapping[Path, Any]) -> dict[str, Any]:
    """The reverse of `flat`."""
    properties: dict[str, Any] = {}
    within: dict[str, dict[Path, Any]] = {}
    for (name, *further), schema in columns.items():
        if further:
            within.setdefault(name, {})[tuple(further)] = schema
        else:
            properties[name] = schema
    for name, further_columns in within.items():
        properties[name] = _with_columns(properties[name], nested(further_columns))
    return properties


def merge(versions: Iterable[tuple[Expansion, ...]]) -> tuple[Expansion, ...]:
    """What any of them reads along."""
    by_name: dict[str, list[tuple[Expansion, ...]]] = {}
    for expansions in versions:
        for each in expansions:
            by_name.setdefault(each.name, []).append(each.expansions)
    return tuple(Expansion(name, (), merge(within)) for name, within in by_name.items())


def without_absent(properties: Mapping[str, Any], absent: Collection[Path]) -> dict[str, Any]:
    """The columns but for the absent ones; related rows of which all are absent are absent too."""
    kept = {}
    for name, schema in properties.items():
        within = {path[1:] for path in absent if path[0] == name}
        columns = without_absent(_columns(schema), within - {()}) if within else {}
        if not within:
            kept[name] = schema
        elif columns and () not in within:
            kept[name] = _with_columns(schema, columns)
    return kept


def _columns(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """The columns of related rows, be they one or many."""
    columns: Mapping[str, Any] = schema.get("items", schema).get("properties", {})
    return columns


def _with_columns(schema: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    if "items" in schema:
        return {**schema, "items": {**schema["items"], "properties": columns}}
    return {**schema, "properties": columns}


def _breadcrumbs(
    properties: Mapping[str, Any], expansions: Iterable[Expansion], above: Breadcrumb
) -> Iterator[Breadcrumb]:
    for each in expansions:
        breadcrumb = (*above, "properties", each.name)
        columns = _columns(properties[each.name])
        for name in columns:
            yield (*breadcrumb, "properties", name)
        yield from _breadcrumbs(columns, each.expansions, breadcrumb)
