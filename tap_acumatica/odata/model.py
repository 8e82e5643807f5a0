"""The model of a `$metadata` document (CSDL): types, their base types, and entity sets.

The tap parses it with SAX, not with an OData library: the document of a full instance has 20 MB and
is parsed while it arrives, and inquiries have names that are not valid identifiers, which strict
parsers reject.
Facts: docs/acumatica.md, "Metadata".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.edm import collection_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

ENCRYPTED: Final = "Password"
"""Columns of this name arrive encrypted, so they are not selected by default."""

FUNCTION_SUFFIX: Final = "_WithParameters"
"""The suffix of the function imports through which inquiries take parameters."""


@dataclass(slots=True)
class Property:
    """A column of an entity type."""

    name: str
    type: str
    label: str | None = None


@dataclass(slots=True)
class EntityType:
    """An entity type or complex type as declared, without what it inherits from its base type."""

    name: str
    base: str | None = None
    label: str | None = None
    key: list[str] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    navigations: dict[str, str] = field(default_factory=dict)
    """The types of the navigation properties by name: an entity type, or a collection of one."""


@dataclass(slots=True)
class EntitySet:
    """An entity set, or a singleton."""

    name: str
    entity_type: str
    singleton: bool = False
    restricted: list[str] = field(default_factory=list)
    """Properties that can be neither selected nor filtered."""
    filterable: bool = True
    """If false, no property that the entity type itself declares can be selected or filtered."""


@dataclass(frozen=True, slots=True)
class Entity:
    """An entity type that can be read, with everything that it inherits."""

    name: str
    """The entity set named after the type (PX_Objects_SO_SOOrder), else the first entity set."""
    aliases: tuple[str, ...]
    label: str | None
    key: tuple[str, ...]
    properties: tuple[Property, ...]
    restricted: frozenset[str]
    singleton: bool
    type_name: str

    @property
    def names(self) -> tuple[str, ...]:
        """All names that settings may use for the entity."""
        return (self.name, *self.aliases)


@dataclass(slots=True)
class Function:
    """A function or function import through which an inquiry takes parameters.

    Attributes:
        entity_set: The entity set whose rows it returns, or None if it is not declared.
        implementation: The qualified name of the function that an import of OData 4 refers to.
    """

    name: str
    entity_set: str | None = None
    implementation: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A generic inquiry that can be read.

    Attributes:
        title: The title, which is also the name of the entity set.
        key: The key columns of all source tables; they need not identify the inquiry's rows.
        function: The function import that takes the parameters; empty if there are none.
        parameters: The types of the parameters, by name.
    """

    title: str
    key: tuple[str, ...]
    properties: tuple[Property, ...]
    function: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Model:
    """The declarations of one `$metadata` document.

    It holds no set, whose order differs between processes: equal documents are equal bytes when
    they are cached.
    """

    protocol: ODataVersion = ODataVersion.V4
    types: dict[str, EntityType] = field(default_factory=dict)
    complex_types: dict[str, EntityType] = field(default_factory=dict)
    enums: list[str] = field(default_factory=list)
    sets: list[EntitySet] = field(default_factory=list)
    functions: dict[str, list[Function]] = field(default_factory=dict)
    """The functions by qualified name: one can be declared with several lists of parameters."""
    imports: list[Function] = field(default_factory=list)
    operations: int = 0
    """Number of actions and of functions that are bound to a type; the tap calls none of them."""

    def bases(self, name: str | None) -> Iterator[EntityType]:
        """Yield an entity type or complex type and its base types, from the type itself upwards."""
        seen = set()
        while name and name not in seen:
            seen.add(name)
            declared = self.types.get(name) or self.complex_types.get(name)
            if declared is None:
                return
            yield declared
            name = declared.base

    def properties(self, name: str) -> tuple[Property, ...]:
        """Return the properties of an entity type or complex type, inherited ones first."""
        bases = reversed(list(self.bases(name)))
        return tuple({prop.name: prop for base in bases for prop in base.properties}.values())

    def key(self, name: str) -> tuple[str, ...]:
        """Return the key of an entity type, which may be inherited."""
        return tuple(next((base.key for base in self.bases(name) if base.key), ()))

    def navigations(self, name: str) -> dict[str, str]:
        """Return the types of a type's navigation properties by name, including inherited ones."""
        return {
            navigation: target
            for base in reversed(list(self.bases(name)))
            for navigation, target in base.navigations.items()
        }

    def entities(self) -> Iterator[Entity]:
        """Yield an entity for each entity type with an entity set or singleton, sorted by name."""
        by_type = self._sets_by_type()
        restrictions = self._restrictions(by_type)
        for name, sets in sorted(by_type.items()):
            yield self._entity(name, sets, restrictions)

    def entity(self, type_name: str) -> Entity:
        """Return the entity of a type, which need not have an entity set."""
        by_type = self._sets_by_type()
        return self._entity(type_name, by_type.get(type_name, []), self._restrictions(by_type))

    def declares(self, entity_set: str, path: Sequence[str]) -> bool:
        """Whether an entity set has a column; for related records the path begins with their name.

        What is not declared at all has any column.
        """
        declared = next((each for each in self.sets if each.name == entity_set), None)
        return declared is None or self._has(declared.entity_type, path)

    def _has(self, type_name: str, path: Sequence[str]) -> bool:
        types = list(self.bases(type_name)) or [
            complex_type for name, complex_type in self.complex_types.items() if name == type_name
        ]
        columns = {prop.name: prop.type for each in types for prop in each.properties}
        columns |= self.navigations(type_name)
        target = columns.get(path[0])
        if not types or target is None:
            return not types
        item = collection_of(target) or target
        return len(path) == 1 or self._has(item, path[1:])

    def _sets_by_type(self) -> dict[str, list[EntitySet]]:
        by_type: dict[str, list[EntitySet]] = {}
        for entity_set in self.sets:
            if entity_set.entity_type in self.types:
                by_type.setdefault(entity_set.entity_type, []).append(entity_set)
        return by_type

    def _restrictions(self, by_type: dict[str, list[EntitySet]]) -> dict[str, set[str]]:
        return {name: self._restricted(name, sets) for name, sets in by_type.items()}

    def inquiries(self) -> Iterator[Inquiry]:
        """Yield an inquiry for each entity set, sorted by title."""
        for entity_set in sorted(self.sets, key=attrgetter("name")):
            if entity_set.entity_type not in self.types:
                continue
            function = self._function(entity_set)
            yield Inquiry(
                title=entity_set.name,
                key=self.key(entity_set.entity_type),
                properties=self.properties(entity_set.entity_type),
                function=function.name if function else "",
                parameters=self._parameters(function) if function else {},
            )

    def _function(self, entity_set: EntitySet) -> Function | None:
        """Return the function import through which an inquiry takes most parameters, or None."""
        conventional_name = entity_set.entity_type.rpartition(".")[2] + FUNCTION_SUFFIX
        imports = [
            function_import
            for function_import in self.imports
            if function_import.name.endswith(FUNCTION_SUFFIX)
            and self._parameters(function_import)
            and (
                entity_set.name == function_import.entity_set
                or function_import.name == conventional_name
            )
        ]
        return max(imports, key=lambda each: len(self._parameters(each)), default=None)

    def _parameters(self, function_import: Function) -> dict[str, str]:
        """Return the parameters: OData 3 declares them in the import, OData 4 in the function.

        Without its parameters an inquiry shows wrong rows, so the longest of several lists counts.
        """
        functions = self.functions.get(function_import.implementation or "", [])
        lists = [function_import.parameters, *(function.parameters for function in functions)]
        return max(lists, key=len)

    def _restricted(self, type_name: str, sets: Iterable[EntitySet]) -> set[str]:
        restricted = set().union(*(entity_set.restricted for entity_set in sets))
        if not all(entity_set.filterable for entity_set in sets):
            restricted.update(prop.name for prop in self.types[type_name].properties)
        return restricted

    def _entity(
        self, type_name: str, sets: list[EntitySet], restrictions: dict[str, set[str]]
    ) -> Entity:
        bases = list(self.bases(type_name))
        properties = self.properties(type_name)
        restricted = set().union(*(restrictions.get(base.name, ()) for base in bases))
        generated_name = type_name.replace(".", "_")
        names = [entity_set.name for entity_set in sets]
        name = generated_name if generated_name in names or not names else names[0]
        return Entity(
            name=name,
            aliases=tuple(names),
            label=bases[0].label,
            key=self.key(type_name),
            properties=properties,
            restricted=frozenset(restricted & {prop.name for prop in properties}),
            singleton=all(entity_set.singleton for entity_set in sets),
            type_name=type_name,
        )
