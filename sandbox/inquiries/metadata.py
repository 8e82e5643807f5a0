"""The ``$metadata`` of inquiries: CSDL of both versions, with names that are no identifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

from sandbox.inquiries.model import OLDER_TYPES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox.inquiries.model import Inquiry, Parameter

HEADS = {
    3: (
        '<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">'
        '<edmx:DataServices m:DataServiceVersion="3.0" m:MaxDataServiceVersion="3.0"'
        ' xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
        '<Schema Namespace="PX.Data" xmlns="http://schemas.microsoft.com/ado/2009/11/edm">'
    ),
    4: (
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
        "<edmx:DataServices>"
        '<Schema Namespace="GenericInquiry" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
    ),
}
NAMESPACES = {3: "PX.Data", 4: "GenericInquiry"}


def edm_type(name: str, version: int) -> str:
    """The name of a type in a version."""
    return OLDER_TYPES.get(name, name) if version == 3 else name  # noqa: PLR2004 - OData 3


def parameters(declared: Iterable[Parameter], version: int) -> list[str]:
    """The elements of parameters."""
    return [
        f'<Parameter Name="{each.name}" Type="{edm_type(each.type, version)}" />'
        for each in declared
    ]


def type_lines(inquiry: Inquiry, version: int) -> list[str]:
    """The element of an inquiry's entity type; no facets, as recorded."""
    key = [f'<PropertyRef Name="{each}" />' for each in inquiry.entity_type.own_key]
    return [
        f'<EntityType Name="{inquiry.type_name}">',
        *(["<Key>", *key, "</Key>"] if key else []),
        *(
            f'<Property Name="{each.name}" Type="{edm_type(each.type, version)}" />'
            for each in inquiry.entity_type.properties
        ),
        "</EntityType>",
    ]


def function_lines(inquiry: Inquiry, version: int) -> tuple[list[str], list[str]]:
    """What stands in the schema, and in the container, for an inquiry with parameters."""
    if not inquiry.parameters:
        return [], []
    name, title = inquiry.function, quoteattr(inquiry.title)
    returned = f"Collection({NAMESPACES[version]}.{inquiry.type_name})"
    taken = parameters(inquiry.parameters, version)
    if version == 3:  # noqa: PLR2004 - OData 3
        opening = f'<FunctionImport Name="{name}" ReturnType="{returned}" EntitySet={title}>'
        return [], [opening, *taken, "</FunctionImport>"]
    qualified = quoteattr(f"{NAMESPACES[version]}.{inquiry.title}")
    return (
        [
            f"<Function Name={title}>",
            *taken,
            f'<ReturnType Type="{returned}" Nullable="false" />',
            "</Function>",
        ],
        [f'<FunctionImport Name="{name}" Function={qualified} EntitySet={title} />'],
    )


def document(inquiries: Iterable[Inquiry], version: int) -> bytes:
    """The metadata of all inquiries."""
    types: list[str] = []
    functions: list[str] = []
    container: list[str] = []
    for each in inquiries:
        types += type_lines(each, version)
        qualified = f"{NAMESPACES[version]}.{each.type_name}"
        container.append(f'<EntitySet Name={quoteattr(each.title)} EntityType="{qualified}" />')
        in_schema, in_container = function_lines(each, version)
        functions += in_schema
        container += in_container
    return "\n".join(
        [
            '<?xml version="1.0" encoding="utf-8"?>',
            HEADS[version],
            *types,
            *functions,
            '<EntityContainer Name="Default">',
            *container,
            "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>",
        ]
    ).encode()
