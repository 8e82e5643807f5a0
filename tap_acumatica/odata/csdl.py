"""Parses a `$metadata` document (CSDL) while it arrives."""

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
from tap_acumatica.odata.model import EntitySet, EntityType, Function, Model, Property
from tap_acumatica.odata.xml_text import without_forbidden

if TYPE_CHECKING:
    from collections.abc import Iterable
    from xml.sax.xmlreader import AttributesImpl

DESCRIPTION: Final = "Org.OData.Core.V1.Description"
RESTRICTIONS: Final = ".FilterRestrictions"


def parse(chunks: Iterable[bytes]) -> Model:
    """Parse a `$metadata` document while it arrives.

    A label may contain a character that XML does not allow; it loses that character.

    Raises:
        BrokenPayload: The document is cut off, is not XML, has a document type or is not CSDL.
    """
    handler = _Handler()
    parser = make_parser()
    parser.forbid_dtd = True
    parser.setContentHandler(handler)
    try:
        for chunk in without_forbidden(chunks):
            parser.feed(chunk)
        parser.close()
    except SAXParseException as error:
        message = f"not well-formed XML at line {error.getLineNumber()}"
        raise BrokenPayload(message) from error
    except (LookupError, ValueError, SAXException, DefusedXmlException) as error:
        message = f"refused XML: {type(error).__name__}"
        raise BrokenPayload(message) from error
    if not handler.is_edmx:
        message = "not an edmx:Edmx document"
        raise BrokenPayload(message)
    return handler.model


class _Handler(ContentHandler):
    """Builds the model. Both OData versions use the same local names for elements."""

    def __init__(self) -> None:
        super().__init__()
        self.model = Model()
        self.is_edmx = False
        self._namespace = ""
        self._type: EntityType | None = None
        self._label_target: EntityType | Property | None = None
        self._set: EntitySet | None = None
        self._function: Function | None = None
        self._restrictions = False
        self._record_property = ""
        self._property_path: list[str] | None = None

    @override
    def startElement(self, name: str, attrs: AttributesImpl) -> None:
        handler = self._START_HANDLERS.get(name.rpartition(":")[2])
        if handler:
            handler(self, attrs)

    @override
    def endElement(self, name: str) -> None:
        match name.rpartition(":")[2]:
            case "EntityType" | "ComplexType":
                self._type = self._label_target = None
            case "Property" | "NavigationProperty":
                self._label_target = self._type
            case "EntitySet" | "Singleton":
                self._set = None
            case "Function" | "FunctionImport":
                self._function = None
            case "Annotation":
                self._restrictions = False
            case "PropertyPath" if self._property_path is not None and self._set:
                self._set.restricted.append("".join(self._property_path))
                self._property_path = None

    @override
    def characters(self, content: str) -> None:
        if self._property_path is not None:
            self._property_path.append(content)

    def _edmx(self, attrs: AttributesImpl) -> None:
        self.is_edmx = True
        self.model.protocol = (
            ODataVersion.V4 if attrs["Version"].startswith("4") else ODataVersion.V3
        )

    def _schema(self, attrs: AttributesImpl) -> None:
        self._namespace = attrs["Namespace"]

    def _structured_type(self, attrs: AttributesImpl) -> EntityType:
        structured_type = EntityType(f"{self._namespace}.{attrs['Name']}", attrs.get("BaseType"))
        self._type = self._label_target = structured_type
        return structured_type

    def _entity_type(self, attrs: AttributesImpl) -> None:
        entity_type = self._structured_type(attrs)
        self.model.types[entity_type.name] = entity_type

    def _complex_type(self, attrs: AttributesImpl) -> None:
        complex_type = self._structured_type(attrs)
        self.model.complex_types[complex_type.name] = complex_type

    def _enum_type(self, attrs: AttributesImpl) -> None:
        self.model.enums.append(f"{self._namespace}.{attrs['Name']}")

    def _property_ref(self, attrs: AttributesImpl) -> None:
        if self._type:
            self._type.key.append(attrs["Name"])

    def _property(self, attrs: AttributesImpl) -> None:
        if self._type:
            prop = Property(attrs["Name"], attrs.get("Type", ""))
            self._type.properties.append(prop)
            self._label_target = prop

    def _navigation(self, attrs: AttributesImpl) -> None:
        # A full instance has 23,000 of them, but few target types: each name is stored once.
        if self._type and "Type" in attrs:
            self._type.navigations[attrs["Name"]] = intern(attrs["Type"])
        self._label_target = None

    def _entity_set(self, attrs: AttributesImpl) -> None:
        self._set = EntitySet(attrs["Name"], attrs["EntityType"])
        self.model.sets.append(self._set)

    def _singleton(self, attrs: AttributesImpl) -> None:
        self._set = EntitySet(attrs["Name"], attrs["Type"], singleton=True)
        self.model.sets.append(self._set)

    def _function_declaration(self, attrs: AttributesImpl) -> None:
        self._function = Function(attrs["Name"])
        if attrs.get("IsBound", "").lower() == "true":
            self.model.operations += 1
            return
        qualified = f"{self._namespace}.{attrs['Name']}"
        self.model.functions.setdefault(qualified, []).append(self._function)

    def _action(self, _: AttributesImpl) -> None:
        self.model.operations += 1

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
        elif self._label_target and term == DESCRIPTION:
            self._label_target.label = attrs.get("String")

    def _property_value(self, attrs: AttributesImpl) -> None:
        self._record_property = attrs.get("Property", "")
        if self._restrictions and self._set and self._record_property == "Filterable":
            self._set.filterable = attrs.get("Bool", "true").lower() != "false"

    def _start_property_path(self, _: AttributesImpl) -> None:
        if self._restrictions and self._record_property == "NonFilterableProperties":
            self._property_path = []

    _START_HANDLERS: Final = {
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
        "Function": _function_declaration,
        "Action": _action,
        "FunctionImport": _function_import,
        "Parameter": _parameter,
        "Annotation": _annotation,
        "PropertyValue": _property_value,
        "PropertyPath": _start_property_path,
    }
