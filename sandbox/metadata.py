"""The ``$metadata`` document of the data access classes: CSDL 4.0 in XML."""

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
    """Return the annotation with a display name."""
    term = 'Term="Org.OData.Core.V1.Description"'
    return f"{indent}<Annotation {term} String={quoteattr(label)} />"


def type_lines(entity_type: EntityType) -> list[str]:
    """Return the lines of a type's element."""
    base = f' BaseType="{entity_type.base.name}"' if entity_type.base else ""
    lines = [f'      <EntityType Name="{entity_type.short_name}"{base}>']
    if entity_type.own_key:
        refs = [f'          <PropertyRef Name="{name}" />' for name in entity_type.own_key]
        lines += ["        <Key>", *refs, "        </Key>"]
    for declared in entity_type.properties:
        facets = ' Nullable="false"' if declared.required else ""
        facets += ' Scale="Variable"' if declared.type == "Edm.Decimal" else ""
        opening = f'        <Property Name="{declared.name}" Type="{declared.type}"{facets}'
        if declared.label:
            lines += [opening + ">", description(declared.label, " " * 10), "        </Property>"]
        else:
            lines.append(opening + " />")
    for navigation in entity_type.navigations:
        target = f"Collection({navigation.target})" if navigation.many else navigation.target
        opening = f'        <NavigationProperty Name="{navigation.name}" Type="{target}"'
        if entity_type.generated and not navigation.many:
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
    """Return the annotation with the columns that may not be filtered, without those of bases."""
    restricted = [declared.name for declared in entity_type.properties if declared.restricted]
    if not restricted and entity_type.filterable:
        return []
    lines = ['          <Annotation Term="Cap.FilterRestrictions">', "            <Record>"]
    if not entity_type.filterable:
        lines.append('              <PropertyValue Property="Filterable" Bool="false" />')
    if restricted:
        lines += [
            '              <PropertyValue Property="NonFilterableProperties">',
            "                <Collection>",
            *(f"                  <PropertyPath>{name}</PropertyPath>" for name in restricted),
            "                </Collection>",
            "              </PropertyValue>",
        ]
    return [*lines, "            </Record>", "          </Annotation>"]


def container_lines(model: Model, *, annotations: bool) -> list[str]:
    """Return the lines of the schema with the entity container."""
    lines = [
        f'    <Schema Namespace="Default" xmlns="{EDM}">',
        '      <EntityContainer Name="Container">',
    ]
    for entity_type in model.types:
        annotation = restrictions(entity_type) if annotations else []
        single = entity_type.kind == "singleton"
        element, attribute = ("Singleton", "Type") if single else ("EntitySet", "EntityType")
        for name in entity_type.sets:
            opening = f'        <{element} Name="{name}" {attribute}="{entity_type.name}"'
            if annotation:
                lines += [opening + ">", *annotation, f"        </{element}>"]
            else:
                lines.append(opening + " />")
    return [*lines, "      </EntityContainer>", "    </Schema>"]


@lru_cache(maxsize=4)
def document(model: Model, *, annotations: bool = True) -> bytes:
    """Return the metadata document of a model, with or without filter restrictions."""
    lines = [HEAD]
    namespace = attrgetter("namespace")
    for name, types in groupby(sorted(model.types, key=namespace), key=namespace):
        lines.append(f'    <Schema Namespace="{name}" xmlns="{EDM}">')
        for entity_type in types:
            lines += type_lines(entity_type)
        lines.append("    </Schema>")
    if model.extra_schema:
        lines.append(model.extra_schema)
    lines += container_lines(model, annotations=annotations)
    return "\n".join([*lines, TAIL]).encode()
