"""The ``$metadata`` document: CSDL 4.0 in XML."""

from __future__ import annotations

from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING
from xml.sax.saxutils import quoteattr

if TYPE_CHECKING:
    from sandbox.model import EntityType, Model

EDM = "http://docs.oasis-open.org/odata/ns/edm"
EDMX = "http://docs.oasis-open.org/odata/ns/edmx"
HEAD = f"""<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="{EDMX}">
  <edmx:Reference Uri="https://oasis-tcs.github.io/odata-vocabularies/vocabularies/\
Org.OData.Capabilities.V1.xml">
    <edmx:Include Namespace="Org.OData.Capabilities.V1" Alias="Cap" />
  </edmx:Reference>
  <edmx:DataServices>"""
TAIL = """  </edmx:DataServices>
</edmx:Edmx>
"""


def description(label: str, indent: str) -> str:
    """The annotation with the display name."""
    term = 'Term="Org.OData.Core.V1.Description"'
    return f"{indent}<Annotation {term} String={quoteattr(label)} />"


def type_lines(entity_type: EntityType) -> list[str]:
    """The element of one type."""
    base = f' BaseType="{entity_type.base.name}"' if entity_type.base else ""
    lines = [f'      <EntityType Name="{entity_type.short_name}"{base}>']
    if entity_type.own_key:
        refs = [f'          <PropertyRef Name="{each}" />' for each in entity_type.own_key]
        lines += ["        <Key>", *refs, "        </Key>"]
    for each in entity_type.properties:
        facets = ' Nullable="false"' if each.required else ""
        facets += ' Scale="Variable"' if each.type == "Edm.Decimal" else ""
        opening = f'        <Property Name="{each.name}" Type="{each.type}"{facets}'
        if each.label:
            lines += [opening + ">", description(each.label, " " * 10), "        </Property>"]
        else:
            lines.append(opening + " />")
    for link in entity_type.navigations:
        target = f"Collection({link.target})" if link.many else link.target
        opening = f'        <NavigationProperty Name="{link.name}" Type="{target}"'
        if entity_type.made and not link.many:
            ref = (
                '          <ReferentialConstraint Property="RefNbr" ReferencedProperty="RefNbr" />'
            )
            lines += [opening + ">", ref, "        </NavigationProperty>"]
        else:
            lines.append(opening + " />")
    if entity_type.label:
        lines.append(description(entity_type.label, " " * 8))
    lines.append("      </EntityType>")
    return lines


def restrictions(entity_type: EntityType) -> list[str]:
    """The annotation with what may not be filtered: only what the type itself declares."""
    barred = [each.name for each in entity_type.properties if each.restricted]
    if not barred and entity_type.filterable:
        return []
    lines = ['          <Annotation Term="Cap.FilterRestrictions">', "            <Record>"]
    if not entity_type.filterable:
        lines.append('              <PropertyValue Property="Filterable" Bool="false" />')
    if barred:
        lines += [
            '              <PropertyValue Property="NonFilterableProperties">',
            "                <Collection>",
            *(f"                  <PropertyPath>{each}</PropertyPath>" for each in barred),
            "                </Collection>",
            "              </PropertyValue>",
        ]
    return [*lines, "            </Record>", "          </Annotation>"]


def container_lines(model: Model, *, annotations: bool) -> list[str]:
    """The schema with the container."""
    lines = [
        f'    <Schema Namespace="Default" xmlns="{EDM}">',
        '      <EntityContainer Name="Container">',
    ]
    for each in model.types:
        barred = restrictions(each) if annotations else []
        single = each.kind == "singleton"
        element, attribute = ("Singleton", "Type") if single else ("EntitySet", "EntityType")
        for name in each.sets:
            opening = f'        <{element} Name="{name}" {attribute}="{each.name}"'
            if barred:
                lines += [opening + ">", *barred, f"        </{element}>"]
            else:
                lines.append(opening + " />")
    return [*lines, "      </EntityContainer>", "    </Schema>"]


@lru_cache(maxsize=4)
def document(model: Model, *, annotations: bool = True) -> bytes:
    """The metadata of a model, with or without what may not be filtered."""
    lines = [HEAD]
    namespace = attrgetter("namespace")
    for name, types in groupby(sorted(model.types, key=namespace), key=namespace):
        lines.append(f'    <Schema Namespace="{name}" xmlns="{EDM}">')
        for each in types:
            lines += type_lines(each)
        lines.append("    </Schema>")
    if model.extra_schema:
        lines.append(model.extra_schema)
    lines += container_lines(model, annotations=annotations)
    return "\n".join([*lines, TAIL]).encode()
