"""`$metadata` (CSDL) as a model: types, their bases, and the sets through which they are read.

Plain SAX, not an OData library: the document is 20 MB on a full instance and is read as it
arrives, and inquiries have names that are no valid identifiers, which strict parsers reject.
Facts: docs/acumatica.md, "Metadata".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.dialect import ODataVersion

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


ENCRYPTED: Final = "Password"
"""Columns of this name come encrypted, so they are not selected unless asked for."""

WITH_PARAMETERS: Final = "_WithParameters"
"""With what the name of a function ends through which an inquiry takes parameters."""


@dataclass(slots=True)
class Property:
    """A column of an entity type."""

    name: str
    type: str
    label: str | None = None


@dataclass(slots=True)
class EntityType:
    """An entity type, or a complex one, as declared: without what its base type has."""

    name: str
    base: str | None = None
    label: str | None = None
    key: list[str] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    navigations: dict[str, str] = field(default_factory=dict)
    """The types of its navigation properties, by name: another entity type, or a collection."""


@dataclass(slots=True)
class EntitySet:
    """A name under which the rows of an entity type are read."""

    name: str
    entity_type: str
    singleton: bool = False
    restricted: set[str] = field(default_factory=set)
    """Properties that may be neither selected nor filtered."""
    filterable: bool = True
    """False: no property that the entity type itself declares may be selected or filtered."""


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity type that can be read, with all that its base types give it."""

    name: str
    """The generated set name (PX_Objects_SO_SOOrder), else the set's own."""
    aliases: tuple[str, ...]
    label: str | None
    key: tuple[str, ...]
    properties: tuple[Property, ...]
    restricted: frozenset[str]
    singleton: bool
    type_name: str

    @property
    def names(self) -> tuple[str, ...]:
        """All by which the settings may call it."""
        return (self.name, *self.aliases)


@dataclass(slots=True)
class Function:
    """A function, or its import into the container, under which an inquiry takes parameters.

    Attributes:
        entity_set: Name of the set whose rows it returns, if it tells.
        implementation: Qualified name of the function that an import of OData 4 stands for.
    """

    name: str
    entity_set: str | None = None
    implementation: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A generic inquiry that can be read.

    Attributes:
        title: Also the name of its set.
        key: The key columns of all its source tables; they need not tell its rows apart.
        function: Name under which it takes its parameters; empty where it has none.
        parameters: Their types, by name.
    """

    title: str
    key: tuple[str, ...]
    properties: tuple[Property, ...]
    function: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Model:
    """What one `$metadata` document declares."""

    protocol: ODataVersion = ODataVersion.V4
    types: dict[str, EntityType] = field(default_factory=dict)
    complex_types: dict[str, EntityType] = field(default_factory=dict)
    enums: set[str] = field(default_factory=set)
    sets: list[EntitySet] = field(default_factory=list)
    functions: dict[str, Function] = field(default_factory=dict)
    imports: list[Function] = field(default_factory=list)

    def bases(self, name: str | None) -> Iterator[EntityType]:
        """A type and its base types, from the type itself upwards."""
        seen = set()
        while name and name not in seen and (entity_type := self.types.get(name)):
            seen.add(name)
            yield entity_type
            name = entity_type.base

    def navigations(self, name: str) -> dict[str, str]:
        """The types of the navigation properties of a type and its base types, by name."""
        return {
            navigation: target
            for base in reversed(list(self.bases(name)))
            for navigation, target in base.navigations.items()
        }

    def entities(self) -> Iterator[Entity]:
        """One entity for each entity type that has a set or singleton, in order of name."""
        by_type = self._sets_by_type()
        restrictions = self._restrictions(by_type)
        for name, sets in sorted(by_type.items()):
            yield self._entity(name, sets, restrictions)

    def entity(self, type_name: str) -> Entity:
        """The entity of a type, with or without a set."""
        by_type = self._sets_by_type()
        return self._entity(type_name, by_type.get(type_name, []), self._restrictions(by_type))

    def _sets_by_type(self) -> dict[str, list[EntitySet]]:
        by_type: dict[str, list[EntitySet]] = {}
        for entity_set in self.sets:
            if entity_set.entity_type in self.types:
                by_type.setdefault(entity_set.entity_type, []).append(entity_set)
        return by_type

    def _restrictions(self, by_type: dict[str, list[EntitySet]]) -> dict[str, set[str]]:
        return {name: self._restricted(name, sets) for name, sets in by_type.items()}

    def inquiries(self) -> Iterator[Inquiry]:
        """One inquiry for each set, in order of title."""
        for entity_set in sorted(self.sets, key=lambda each: each.name):
            declared = self.types.get(entity_set.entity_type)
            if declared is None:
                continue
            function = self._function(entity_set)
            yield Inquiry(
                title=entity_set.name,
                key=tuple(declared.key),
                properties=tuple(declared.properties),
                function=function.name if function else "",
                parameters=self._parameters(function) if function else {},
            )

    def _function(self, entity_set: EntitySet) -> Function | None:
        """The function of an inquiry that has parameters."""
        conventional = entity_set.entity_type.rpartition(".")[2] + WITH_PARAMETERS
        for imported in self.imports:
            if not imported.name.endswith(WITH_PARAMETERS) or not self._parameters(imported):
                continue
            if entity_set.name == imported.entity_set or imported.name == conventional:
                return imported
        return None

    def _parameters(self, imported: Function) -> dict[str, str]:
        """OData 3 declares them in the import, OData 4 in the function."""
        function = self.functions.get(imported.implementation or "")
        return imported.parameters or (function.parameters if function else {})

    def _restricted(self, type_name: str, sets: Iterable[EntitySet]) -> set[str]:
        restricted = set().union(*(entity_set.restricted for entity_set in sets))
        if not all(entity_set.filterable for entity_set in sets):
            restricted.update(prop.name for prop in self.types[type_name].properties)
        return restricted

    def _entity(
        self, type_name: str, sets: list[EntitySet], restrictions: dict[str, set[str]]
    ) -> Entity:
        chain = list(self.bases(type_name))
        properties = {prop.name: prop for base in reversed(chain) for prop in base.properties}
        restricted = set().union(*(restrictions.get(base.name, ()) for base in chain))
        generated = type_name.replace(".", "_")
        names = [entity_set.name for entity_set in sets]
        name = generated if generated in names or not names else names[0]
        return Entity(
            name=name,
            aliases=tuple(names),
            label=chain[0].label,
            key=tuple(next((base.key for base in chain if base.key), ())),
            properties=tuple(properties.values()),
            restricted=frozenset(restricted & properties.keys()),
            singleton=all(entity_set.singleton for entity_set in sets),
            type_name=type_name,
        )
