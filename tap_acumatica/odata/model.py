"""`$metadata` (CSDL) as a model: types, their bases, and the sets through which they are read.

Plain SAX, not an OData library: the document is 20 MB on a full instance and is read as it
arrives, and inquiries have names that are no valid identifiers, which strict parsers reject.
Facts: docs/acumatica.md, "Metadata".
"""

from __future__ import annotations

from dataclasses import dataclass, field
from sys import intern
from typing import TYPE_CHECKING, Final
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler

from defusedxml.common import DefusedXmlException
from defusedxml.sax import make_parser
from typing_extensions import override

from tap_acumatica.odata.dialect import Protocol
from tap_acumatica.odata.errors import BrokenPayload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from xml.sax.xmlreader import AttributesImpl

DESCRIPTION: Final = "Org.OData.Core.V1.Description"
RESTRICTIONS: Final = ".FilterRestrictions"

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

    protocol: Protocol | None = None
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


def parse(chunks: Iterable[bytes]) -> Model:
    """Read a `$metadata` document as it arrives.

    Raises:
        BrokenPayload: It is cut off, is no XML, has a document type or is no CSDL.
    """
    handler = _Handler()
    parser = make_parser()
    parser.forbid_dtd = True
    parser.setContentHandler(handler)
    try:
        for chunk in chunks:
            parser.feed(chunk)
        parser.close()
    except SAXParseException as error:
        message = f"not well-formed XML at line {error.getLineNumber()}"
        raise BrokenPayload(message) from error
    except (LookupError, ValueError, SAXException, DefusedXmlException) as error:
        message = f"refused XML: {type(error).__name__}"
        raise BrokenPayload(message) from error
    if handler.model.protocol is None:
        message = "no edmx:Edmx document"
        raise BrokenPayload(message)
    return handler.model


class _Handler(ContentHandler):
    """Builds the model. Elements are told by local name: both versions use the same."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self._namespace = ""
        self._type: EntityType | None = None
        self._labelled: EntityType | Property | None = None
        self._set: EntitySet | None = None
        self._function: Function | None = None
        self._restrictions = False
        self._record_property = ""
        self._path: list[str] | None = None

    @override
    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        opened = self._OPEN.get(name.rpartition(":")[2])
        if opened:
            opened(self, attrs)

    @override
    def endElement(self, name: str) -> None:
        match name.rpartition(":")[2]:
            case "EntityType" | "ComplexType":
                self._type = self._labelled = None
            case "Property" | "NavigationProperty":
                self._labelled = self._type
            case "EntitySet" | "Singleton":
                self._set = None
            case "Function" | "FunctionImport":
                self._function = None
            case "Annotation":
                self._restrictions = False
            case "PropertyPath" if self._path is not None and self._set:
                self._set.restricted.add("".join(self._path))
                self._path = None

    @override
    def characters(self, content: str) -> None:
        if self._path is not None:
            self._path.append(content)

    def _edmx(self, attrs: AttributesImpl) -> None:
        self.model.protocol = Protocol.V4 if attrs["Version"].startswith("4") else Protocol.V3

    def _schema(self, attrs: AttributesImpl) -> None:
        self._namespace = attrs["Namespace"]

    def _declared(self, attrs: AttributesImpl) -> EntityType:
        declared = EntityType(f"{self._namespace}.{attrs['Name']}", attrs.get("BaseType"))
        self._type = self._labelled = declared
        return declared

    def _entity_type(self, attrs: AttributesImpl) -> None:
        declared = self._declared(attrs)
        self.model.types[declared.name] = declared

    def _complex_type(self, attrs: AttributesImpl) -> None:
        declared = self._declared(attrs)
        self.model.complex_types[declared.name] = declared

    def _enum_type(self, attrs: AttributesImpl) -> None:
        self.model.enums.add(f"{self._namespace}.{attrs['Name']}")

    def _property_ref(self, attrs: AttributesImpl) -> None:
        if self._type:
            self._type.key.append(attrs["Name"])

    def _property(self, attrs: AttributesImpl) -> None:
        if self._type:
            declared = Property(attrs["Name"], attrs.get("Type", ""))
            self._type.properties.append(declared)
            self._labelled = declared

    def _navigation(self, attrs: AttributesImpl) -> None:
        # There are 23,000 of them: their types are few, and kept once each.
        if self._type and "Type" in attrs:
            self._type.navigations[attrs["Name"]] = intern(attrs["Type"])
        self._labelled = None

    def _entity_set(self, attrs: AttributesImpl) -> None:
        self._set = EntitySet(attrs["Name"], attrs["EntityType"])
        self.model.sets.append(self._set)

    def _singleton(self, attrs: AttributesImpl) -> None:
        self._set = EntitySet(attrs["Name"], attrs["Type"], singleton=True)
        self.model.sets.append(self._set)

    def _declared_function(self, attrs: AttributesImpl) -> None:
        self._function = Function(attrs["Name"])
        self.model.functions[f"{self._namespace}.{attrs['Name']}"] = self._function

    def _function_import(self, attrs: AttributesImpl) -> None:
        self._function = Function(attrs["Name"], attrs.get("EntitySet"), attrs.get("Function"))
        self.model.imports.append(self._function)

    def _parameter(self, attrs: AttributesImpl) -> None:
        if self._function:
            self._function.parameters[attrs["Name"]] = attrs.get("Type", "")

    def _annotation(self, attrs: AttributesImpl) -> None:
        term = attrs.get("Term", "")
        if self._set:
            self._restrictions = term.endswith(RESTRICTIONS)
        elif self._labelled and term == DESCRIPTION:
            self._labelled.label = attrs.get("String")

    def _property_value(self, attrs: AttributesImpl) -> None:
        self._record_property = attrs.get("Property", "")
        if self._restrictions and self._set and self._record_property == "Filterable":
            self._set.filterable = attrs.get("Bool", "true").lower() != "false"

    def _property_path(self, _: AttributesImpl) -> None:
        if self._restrictions and self._record_property == "NonFilterableProperties":
            self._path = []

    _OPEN: Final = {
        "Edmx": _edmx,
        "Schema": _schema,
        "EntityType": _entity_type,
        "ComplexType": _complex_type,
        "EnumType": _enum_type,
        "PropertyRef": _property_ref,
        "Property": _property,
        "NavigationProperty": _navigation,
        "EntitySet": _entity_set,
        "Singleton": _singleton,
        "Function": _declared_function,
        "FunctionImport": _function_import,
        "Parameter": _parameter,
        "Annotation": _annotation,
        "PropertyValue": _property_value,
        "PropertyPath": _property_path,
    }
