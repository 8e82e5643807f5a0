"""The ``$metadata`` of inquiries: CSDL of both versions, with names that are not identifiers."""

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
    """Return the name of a type in an OData version."""
    return OLDER_TYPES.get(name, name) if version == 3 else name  # noqa: PLR2004 - OData 3


def parameters(declared: Iterable[Parameter], version: int) -> list[str]:
    """Return the elements of parameters."""
    return [
        f'<Parameter Name="{parameter.name}" Type="{edm_type(parameter.type, version)}" />'
        for parameter in declared
    ]


def type_lines(inquiry: Inquiry, version: int) -> list[str]:
    """Return the lines of an inquiry's entity type, without facets, as recorded."""
    key = [f'<PropertyRef Name="{name}" />' for name in inquiry.entity_type.own_key]
    return [
        f'<EntityType Name="{inquiry.type_name}">',
        *(["<Key>", *key, "</Key>"] if key else []),
        *(
            f'<Property Name="{declared.name}" Type="{edm_type(declared.type, version)}" />'
            for declared in inquiry.entity_type.properties
        ),
        "</EntityType>",
    ]


def function_lines(inquiry: Inquiry, version: int) -> tuple[list[str], list[str]]:
    """Return the lines of an inquiry's function in the schema and in the container."""
    if not inquiry.parameters:
        return [], []
    name, title = inquiry.function, quoteattr(inquiry.title)
    returned = f"Collection({NAMESPACES[version]}.{inquiry.type_name})"
    parameter_lines = parameters(inquiry.parameters, version)
    if version == 3:  # noqa: PLR2004 - OData 3
        opening = f'<FunctionImport Name="{name}" ReturnType="{returned}" EntitySet={title}>'
        return [], [opening, *parameter_lines, "</FunctionImport>"]
    qualified = quoteattr(f"{NAMESPACES[version]}.{inquiry.title}")
    return (
        [
            f"<Function Name={title}>",
            *parameter_lines,
            f'<ReturnType Type="{returned}" Nullable="false" />',
            "</Function>",
        ],
        [f'<FunctionImport Name="{name}" Function={qualified} EntitySet={title} />'],
    )


def document(inquiries: Iterable[Inquiry], version: int) -> bytes:
    """Return the metadata document of inquiries."""
    types: list[str] = []
    functions: list[str] = []
    container: list[str] = []
    for inquiry in inquiries:
        types += type_lines(inquiry, version)
        qualified = f"{NAMESPACES[version]}.{inquiry.type_name}"
        container.append(f'<EntitySet Name={quoteattr(inquiry.title)} EntityType="{qualified}" />')
        schema_lines, container_lines = function_lines(inquiry, version)
        functions += schema_lines
        container += container_lines
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
