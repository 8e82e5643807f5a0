"""Related records in the catalog: which there are, what their columns are, and what is selected.

A sync has no metadata, and a schema does not tell a navigation property from a column that is an
object. So the location of a stream (`table_name`) names those that are read along.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from singer_sdk.singerlib import Schema

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.expand import Expansion, parse
from tap_acumatica.odata.model import ENCRYPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from singer_sdk.singerlib import CatalogEntry

    from tap_acumatica.odata.model import Entity, Model, Property

    Breadcrumb = tuple[str, ...]
    Path = tuple[str, ...]

MARK: Final = "?$expand="
NEAR_NAMES: Final = 5


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
    def mark(self) -> str:
        """What a stream's location ends in."""
        return MARK + ",".join(map(str, self.expansions)) if self.expansions else ""

    @property
    def breadcrumbs(self) -> Iterator[Breadcrumb]:
        """Of the columns of related rows, which may be selected one by one."""
        return _breadcrumbs(self.columns, self.expansions, ())


class ExpansionResolver:
    """Finds what the setting `expand` names in the metadata."""

    def __init__(self, model: Model, column: Callable[[Property], dict[str, Any]]) -> None:
        """Prepare to look.

        Args:
            model: The metadata.
            column: Makes the JSON Schema of a property.
        """
        self._model = model
        self._column = column
        self._said: dict[str, str | None] = {}

    def of(self, entity: Entity, wanted: Sequence[Expansion]) -> Expansions:
        """What an entity reads along; what it lacks is left out.

        Raises:
            DiscoveryError: A navigation property is named twice.
        """
        if not wanted:
            return Expansions()
        navigations = self._model.navigations(entity.type_name)
        targets = {
            name: item
            for name, type_name in navigations.items()
            if (item := edm.collection_of(type_name) or type_name) in self._model.types
        }
        found: dict[str, Expansion] = {}
        columns = {}
        for each in wanted:
            name = self._named(each.name, targets, f"navigation property of {entity.name}")
            if name is None:
                continue
            if name in found:
                message = (
                    f"The setting expand names {name} of {entity.name} more than once: name it "
                    "once, with all its columns."
                )
                raise DiscoveryError(message)
            target = self._model.entity(targets[name])
            related = self.of(target, each.expansions)
            found[name] = Expansion(name, (), related.expansions)
            row = {
                "type": ["object", "null"],
                "properties": {**self._target_columns(target, each.columns), **related.columns},
            }
            many = edm.collection_of(navigations[name])
            columns[name] = {"type": ["array", "null"], "items": row} if many else row
        return Expansions(tuple(found.values()), columns, self._said)

    def _target_columns(self, target: Entity, wanted: Iterable[str]) -> dict[str, Any]:
        """The columns of related rows: those named, or all that can be read."""
        columns = {p.name: p for p in target.properties if p.name not in target.restricted}
        # To name a navigation property where a column could be is the likeliest slip.
        others = [f"{name}()" for name in self._model.navigations(target.type_name)]
        what = f"column of {target.name}"
        named = [self._named(name, columns, what, others) for name in wanted]
        names = named or [name for name in columns if name != ENCRYPTED]
        return {name: self._column(columns[name]) for name in names if name}

    def _named(
        self, wanted: str, known: Iterable[str], what: str, others: Iterable[str] = ()
    ) -> str | None:
        """The name as the metadata has it, or None."""
        by_lower = _by_lower(known)
        name = by_lower.get(wanted.lower())
        self._said[f"{what} {wanted.lower()}"] = (
            None if name else _unknown(wanted, {**by_lower, **_by_lower(others)}, what)
        )
        return name


def _by_lower(names: Iterable[str]) -> dict[str, str]:
    return {name.lower(): name for name in names}


def _unknown(wanted: str, by_lower: Mapping[str, str], what: str) -> str:
    near = get_close_matches(wanted.lower(), by_lower, NEAR_NAMES, cutoff=0.5)
    names = ", ".join(by_lower[name] for name in near) or "none"
    return (
        f"The setting expand names {wanted}, which is no {what} that can be read: correct it "
        f"(near names: {names})."
    )


def require_found(named: Iterable[Mapping[str, str | None]]) -> None:
    """Refuse what the setting `expand` names and no tenant has.

    Args:
        named: Of each tenant or stream, as `Related.named`.

    Raises:
        DiscoveryError: There is such a name.
    """
    found: dict[str, str | None] = {}
    for each in named:
        for name, said in each.items():
            found[name] = found.get(name, said) and said
    for said in found.values():
        if said is not None:
            raise DiscoveryError(said)


def parse_location(location: str) -> tuple[str, tuple[Expansion, ...]]:
    """A stream's location, and the names of what it reads along."""
    table, _, names = location.partition(MARK)
    return table, parse(names)


def prune(entry: CatalogEntry) -> None:
    """Take what is not selected of related records out of a stream's schema.

    The SDK does that with what is an object in the schema, but not with what is an array.
    """
    _, expansions = parse_location(entry.table or entry.tap_stream_id)
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
