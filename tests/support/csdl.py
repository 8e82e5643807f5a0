"""Builds `$metadata` documents like Acumatica's, with the differences between releases."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.sax.saxutils import escape, quoteattr

from tap_acumatica.odata.dialect import ODataVersion

HEADS = {
    ODataVersion.V4: (
        (
            '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
            "<edmx:DataServices>"
        ),
        "http://docs.oasis-open.org/odata/ns/edm",
    ),
    ODataVersion.V3: (
        (
            '<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx" '
            'xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
            '<edmx:DataServices m:DataServiceVersion="3.0" m:MaxDataServiceVersion="3.0">'
        ),
        "http://schemas.microsoft.com/ado/2009/11/edm",
    ),
}


@dataclass(frozen=True)
class Column:
    """A property."""

    name: str
    type: str = "Edm.String"
    label: str | None = None


@dataclass(frozen=True)
class Type:
    """An entity type, with the entity sets and singletons through which it can be read.

    Attributes:
        restricted: The properties that its first entity set declares as non-filterable.
        navigations: The names of the navigation properties; each gets a label.
    """

    name: str
    columns: tuple[Column, ...] = ()
    key: tuple[str, ...] = ()
    base: str | None = None
    label: str | None = None
    sets: tuple[str, ...] = ()
    singletons: tuple[str, ...] = ()
    restricted: tuple[str, ...] = ()
    filterable: bool | None = None
    navigations: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        return self.name.rpartition(".")[0]


@dataclass(frozen=True)
class Document:
    """A `$metadata` document.

    Attributes:
        complex_types: The columns of each complex type, by qualified name.
        enums: The qualified names of the enum types.
        functions: The names of inquiries with parameters.
        annotations: Whether restrictions are declared.
        term: The term of the restrictions' annotation.
        prefix: The prefix of element names within schemas.
        declaration: The text before the root element.
    """

    types: tuple[Type, ...] = ()
    complex_types: dict[str, tuple[Column, ...]] = field(default_factory=dict)
    enums: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    protocol: ODataVersion = ODataVersion.V4
    annotations: bool = True
    term: str = "Cap.FilterRestrictions"
    prefix: str = ""
    indent: bool = False
    declaration: str = '<?xml version="1.0" encoding="utf-8"?>'

    def encode(self) -> bytes:
        head, namespace = HEADS[self.protocol]
        colon = self.prefix and ":" + self.prefix
        parts = [self.declaration, head]
        groups = [*(("types", t.namespace) for t in self.types), ("container", "Default")]
        for kind, name in dict.fromkeys(groups):
            self._open(parts, "Schema", **{"Namespace": name, f"xmlns{colon}": namespace})
            if kind == "types":
                self._types(parts, name)
            else:
                self._container(parts)
            self._close(parts, "Schema")
        parts.append("</edmx:DataServices></edmx:Edmx>")
        return ("\n  " if self.indent else "").join(parts).encode()

    def _open(self, parts: list[str], element: str, **attributes: str) -> None:
        pairs = "".join(f" {name}={quoteattr(value)}" for name, value in attributes.items())
        parts.append(f"<{self._name(element)}{pairs}>")

    def _close(self, parts: list[str], element: str) -> None:
        parts.append(f"</{self._name(element)}>")

    def _name(self, element: str) -> str:
        return f"{self.prefix}:{element}" if self.prefix else element

    def _label(self, parts: list[str], label: str | None) -> None:
        if label is not None:
            self._open(parts, "Annotation", Term="Org.OData.Core.V1.Description", String=label)
            self._close(parts, "Annotation")

    def _columns(self, parts: list[str], columns: tuple[Column, ...]) -> None:
        for column in columns:
            self._open(parts, "Property", Name=column.name, Type=column.type, Nullable="false")
            self._label(parts, column.label)
            self._close(parts, "Property")

    def _types(self, parts: list[str], namespace: str) -> None:
        for entity_type in self.types:
            if entity_type.namespace != namespace:
                continue
            base = {"BaseType": entity_type.base} if entity_type.base else {}
            self._open(parts, "EntityType", Name=entity_type.name.rpartition(".")[2], **base)
            if entity_type.key:
                self._open(parts, "Key")
                for name in entity_type.key:
                    self._open(parts, "PropertyRef", Name=name)
                    self._close(parts, "PropertyRef")
                self._close(parts, "Key")
            self._columns(parts, entity_type.columns)
            for name in entity_type.navigations:
                target = f"Collection({entity_type.name})"
                self._open(parts, "NavigationProperty", Name=name, Type=target)
                self._label(parts, f"Label of {name}")
                self._close(parts, "NavigationProperty")
            self._label(parts, entity_type.label)
            self._close(parts, "EntityType")

    def _container(self, parts: list[str]) -> None:
        for qualified, columns in self.complex_types.items():
            self._open(parts, "ComplexType", Name=qualified.rpartition(".")[2])
            self._columns(parts, columns)
            self._close(parts, "ComplexType")
        for qualified in self.enums:
            self._open(parts, "EnumType", Name=qualified.rpartition(".")[2])
            self._open(parts, "Member", Name="One", Value="1")
            self._close(parts, "Member")
            self._close(parts, "EnumType")
        for name in self.functions:
            self._open(parts, "Function", Name=name)
            self._open(parts, "Parameter", Name="Warehouse", Type="Edm.String")
            self._close(parts, "Parameter")
            self._close(parts, "Function")
        self._open(parts, "EntityContainer", Name="Container")
        for entity_type in self.types:
            for index, name in enumerate(entity_type.sets):
                self._open(parts, "EntitySet", Name=name, EntityType=entity_type.name)
                if index == 0 and self.annotations:
                    self._restrictions(parts, entity_type)
                self._close(parts, "EntitySet")
            for name in entity_type.singletons:
                self._open(parts, "Singleton", Name=name, Type=entity_type.name)
                self._close(parts, "Singleton")
        for name in self.functions:
            imported = f"{name}_WithParameters"
            self._open(parts, "FunctionImport", Name=imported, Function=name, EntitySet=name)
            self._close(parts, "FunctionImport")
        self._close(parts, "EntityContainer")

    def _restrictions(self, parts: list[str], entity_type: Type) -> None:
        # The same names under another property or another term do not restrict anything.
        columns = tuple(column.name for column in entity_type.columns)
        for term in ("Cap.SortRestrictions", self.term):
            self._open(parts, "Annotation", Term=term)
            self._open(parts, "Record")
            if entity_type.filterable is not None:
                value = str(entity_type.filterable).lower()
                value = value if term == self.term else "false"
                self._open(parts, "PropertyValue", Property="Filterable", Bool=value)
                self._close(parts, "PropertyValue")
            self._open(parts, "PropertyValue", Property="RequiredProperties")
            parts.extend(self._path(name) for name in columns)
            self._close(parts, "PropertyValue")
            self._open(parts, "PropertyValue", Property="NonFilterableProperties")
            self._open(parts, "Collection")
            names = entity_type.restricted if term == self.term else columns
            parts.extend(self._path(name) for name in names)
            self._close(parts, "Collection")
            self._close(parts, "PropertyValue")
            self._close(parts, "Record")
            self._close(parts, "Annotation")

    def _path(self, name: str) -> str:
        element = self._name("PropertyPath")
        return f"<{element}>{escape(name)}</{element}>"
