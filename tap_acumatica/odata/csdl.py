"""Reads a `$metadata` document (CSDL) as it arrives."""

from __future__ import annotations

from sys import intern
from typing import TYPE_CHECKING, Final
from xml.sax import SAXException, SAXParseException
from xml.sax.handler import ContentHandler

from defusedxml.common import DefusedXmlException
from defusedxml.sax import make_parser
from typing_extensions import override

from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.errors import BrokenPayload

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.sax.xmlreader import AttributesImpl
from tap_acumatica.odata.model import EntitySet, EntityType, Function, Model, Property

DESCRIPTION: Final = "Org.OData.Core.V1.Description"


RESTRICTIONS: Final = ".FilterRestrictions"


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
    if not handler.is_edmx:
        message = "no edmx:Edmx document"
        raise BrokenPayload(message)
    return handler.model


class _Handler(ContentHandler):
    """Builds the model. Elements are told by local name: both versions use the same."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.is_edmx = False
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
        self.is_edmx = True
        self.model.protocol = (
            ODataVersion.V4 if attrs["Version"].startswith("4") else ODataVersion.V3
        )

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
