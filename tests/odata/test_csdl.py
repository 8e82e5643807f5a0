"""`$metadata` documents become models of what they declare; other content is a plain error."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.csdl import Column, Document, Type

from sandbox.extras import small_model
from sandbox.metadata import document
from tap_acumatica.odata.csdl import parse
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.errors import BrokenPayload
from tap_acumatica.odata.model import Entity, Model, Property

if TYPE_CHECKING:
    from collections.abc import Iterator

ORDER = Type(
    "PX.Objects.SO.SOOrder",
    (
        Column("OrderNbr", label="Order Nbr."),
        Column("OrderType"),
        Column("OrderTotal", "Edm.Decimal"),
        Column("LastModifiedDateTime", "Edm.DateTimeOffset"),
        Column("NoteText"),
    ),
    key=("OrderNbr", "OrderType"),
    label="Sales Order",
    sets=("PX_Objects_SO_SOOrder", "SOOrder", "SalesOrder"),
    restricted=("NoteText",),
    navigations=("SOLineCollection",),
)

NAMES = st.text(
    st.characters(categories=["L", "N"], include_characters="_- .&<>\"'", max_codepoint=0x2FF),
    min_size=1,
    max_size=8,
).filter(lambda name: name.strip() == name)
EDM_TYPES = st.sampled_from(["Edm.String", "Edm.Decimal", "Collection(Edm.String)", "Default.Kind"])


def entity(*types: Type, name: str | None = None) -> Entity:
    """Return the entity of this name, or the first one, in a document of these types."""
    entities = {e.name: e for e in parse([Document(types).encode()]).entities()}
    return entities[name] if name else next(iter(entities.values()))


def test_an_entity_is_as_declared() -> None:
    assert entity(ORDER) == Entity(
        name="PX_Objects_SO_SOOrder",
        aliases=("PX_Objects_SO_SOOrder", "SOOrder", "SalesOrder"),
        label="Sales Order",
        key=("OrderNbr", "OrderType"),
        properties=(
            Property("OrderNbr", "Edm.String", "Order Nbr."),
            Property("OrderType", "Edm.String"),
            Property("OrderTotal", "Edm.Decimal"),
            Property("LastModifiedDateTime", "Edm.DateTimeOffset"),
            Property("NoteText", "Edm.String"),
        ),
        restricted=frozenset({"NoteText"}),
        singleton=False,
        type_name="PX.Objects.SO.SOOrder",
    )


def test_a_derived_entity_has_what_its_bases_have_and_their_restrictions() -> None:
    account = Type(
        "PX.Objects.CR.BAccount",
        (Column("AcctCD"), Column("AcctName"), Column("NoteText")),
        key=("AcctCD",),
        sets=("PX_Objects_CR_BAccount",),
        restricted=("NoteText",),
    )
    customer = Type(
        "PX.Objects.AR.Customer",
        (Column("CuryID"), Column("Balance", "Edm.Decimal")),
        base=account.name,
        sets=("PX_Objects_AR_Customer",),
        restricted=("Balance",),
    )
    master = Type(
        "PX.Objects.AR.CustomerMaster",
        base=customer.name,
        sets=("PX_Objects_AR_CustomerMaster",),
    )
    # Derived types may be declared before their bases.
    derived = entity(master, customer, account, name="PX_Objects_AR_CustomerMaster")
    assert [prop.name for prop in derived.properties] == [
        *["AcctCD", "AcctName", "NoteText"],
        *["CuryID", "Balance"],
    ]
    assert derived.key == ("AcctCD",)
    assert derived.restricted == {"NoteText", "Balance"}
    assert entity(master, customer, account, name="PX_Objects_CR_BAccount").restricted == {
        "NoteText"
    }


def test_an_entity_that_may_not_be_filtered_restricts_its_own_columns_only() -> None:
    base = Type("PX.Base", (Column("Key"), Column("Name")), key=("Key",), sets=("PX_Base",))
    virtual = Type(
        "PX.Virtual",
        (Column("Computed"), Column("Total")),
        base=base.name,
        sets=("PX_Virtual",),
        filterable=False,
    )
    further = Type("PX.Further", (Column("Own"),), base=virtual.name, sets=("PX_Further",))
    assert entity(base, virtual, further, name="PX_Base").restricted == set()
    assert entity(base, virtual, further, name="PX_Virtual").restricted == {"Computed", "Total"}
    assert entity(base, virtual, further, name="PX_Further").restricted == {"Computed", "Total"}
    filterable = replace(virtual, filterable=True, base=None)
    assert entity(filterable).restricted == set()


def test_restrictions_of_an_alias_count_for_the_entity() -> None:
    body = Document((ORDER,)).encode()
    # Only the first entity set has the annotations.
    body = body.replace(b'EntitySet Name="SOOrder"', b'EntitySet Name="Moved"')
    first, second = b'Name="PX_Objects_SO_SOOrder"', b'Name="SalesOrder"'
    body = body.replace(first, b"~").replace(second, first).replace(b"~", second)
    (order,) = parse([body]).entities()
    assert order.name == "PX_Objects_SO_SOOrder"
    assert order.aliases == ("SalesOrder", "Moved", "PX_Objects_SO_SOOrder")
    assert order.restricted == {"NoteText"}


def test_a_release_without_annotations_restricts_nothing() -> None:
    (order,) = parse([Document((ORDER,), annotations=False).encode()]).entities()
    assert order.restricted == frozenset()


def test_restrictions_are_known_by_their_full_term_too() -> None:
    term = "Org.OData.Capabilities.V1.FilterRestrictions"
    (order,) = parse([Document((ORDER,), term=term).encode()]).entities()
    assert order.restricted == {"NoteText"}


def test_an_alias_of_another_entity_does_not_name_it() -> None:
    """A digit marks a collision; an alias may look like another entity's class."""
    batch = Type(
        "PX.Objects.GL.Batch", (Column("BatchNbr"),), sets=("PX_Objects_GL_Batch", "Batch")
    )
    other = Type("PX.Objects.CA.Batch", (Column("Number"),), sets=("Batch1", "PX_Objects_CA_Batch"))
    names = [e.name for e in parse([Document((batch, other)).encode()]).entities()]
    assert names == ["PX_Objects_CA_Batch", "PX_Objects_GL_Batch"]


def test_a_singleton_is_told_from_a_set() -> None:
    setup = Type("PX.Objects.GL.GLSetup", (Column("AutoPost"),), singletons=("GLSetup",))
    assert entity(setup).singleton
    assert entity(setup).name == "GLSetup"
    assert entity(setup).key == ()
    assert not entity(ORDER).singleton
    assert not entity(replace(setup, sets=("PX_Objects_GL_GLSetup",))).singleton


def test_a_type_without_a_set_is_no_entity() -> None:
    model = parse([Document((replace(ORDER, sets=()),)).encode()])
    assert list(model.entities()) == []
    assert "PX.Objects.SO.SOOrder" in model.types


def test_a_set_of_a_type_that_is_not_declared_is_no_entity() -> None:
    body = Document((ORDER,)).encode().replace(b'EntityType Name="SOOrder"', b'EntityType Name="X"')
    assert list(parse([body]).entities()) == []


def test_bases_that_go_round_or_are_missing_end_the_chain() -> None:
    one = Type("PX.One", (Column("A"),), base="PX.Two", sets=("PX_One",))
    two = Type("PX.Two", (Column("B"),), base="PX.One", sets=("PX_Two",))
    lost = Type("PX.Lost", (Column("C"),), base="PX.Nowhere", sets=("PX_Lost",))
    entities = {e.name: e for e in parse([Document((one, two, lost)).encode()]).entities()}
    assert {prop.name for prop in entities["PX_One"].properties} == {"A", "B"}
    assert {prop.name for prop in entities["PX_Lost"].properties} == {"C"}


def test_a_navigation_lends_its_label_to_nothing() -> None:
    unlabelled = replace(ORDER, label=None, columns=(Column("OrderNbr"),))
    assert entity(unlabelled).label is None
    assert [prop.label for prop in entity(unlabelled).properties] == [None]


def test_navigations_are_those_of_the_type_and_its_bases() -> None:
    quote = Type("PX.Quote", base=ORDER.name, navigations=("Lost",))
    model = parse([Document((quote, ORDER)).encode()])
    assert model.navigations(quote.name) == {
        "SOLineCollection": f"Collection({ORDER.name})",
        "Lost": f"Collection({quote.name})",
    }


def test_a_type_without_a_set_is_an_entity_for_those_that_lead_to_it() -> None:
    quote = Type("PX.Quote", (Column("Own"),), base=ORDER.name)
    model = parse([Document((quote, ORDER)).encode()])
    assert [e.type_name for e in model.entities()] == [ORDER.name]
    without_set = model.entity(quote.name)
    assert (without_set.name, without_set.aliases) == ("PX_Quote", ())
    assert without_set.key == ORDER.key
    assert without_set.properties[-1] == Property("Own", "Edm.String")
    assert without_set.restricted == {"NoteText"}


def test_complex_types_and_enums_are_known() -> None:
    columns = (Column("Latitude", "Edm.Double"), Column("Name"))
    model = parse(
        [Document((ORDER,), {"Default.Point": columns}, enums=("Default.Kind",)).encode()]
    )
    assert [(prop.name, prop.type) for prop in model.complex_types["Default.Point"].properties] == [
        ("Latitude", "Edm.Double"),
        ("Name", "Edm.String"),
    ]
    assert model.enums == ["Default.Kind"]
    assert "Default.Point" not in model.types


def test_inquiries_of_odata_3_are_read() -> None:
    """As recorded: names with blanks and hyphens, functions, keys that are not columns."""
    inquiry = Type(
        "PX.Data.PMProjectSummary",
        (Column("ProjectID"), Column("LastModifiedOn", "Edm.DateTime")),
        key=("ProjectID", "Warehouse_2"),
        sets=("PM-Project Summary",),
    )
    hyphenated = Type(
        "PX.Data.BI-LeadConversion", (Column("_2Update"),), sets=("BI-LeadConversion",)
    )
    model = parse(
        [
            Document(
                (inquiry, hyphenated), functions=("PMProjectSummary",), protocol=ODataVersion.V3
            ).encode()
        ]
    )
    assert model.protocol is ODataVersion.V3
    entities = {e.name: e for e in model.entities()}
    assert set(entities) == {"PM-Project Summary", "BI-LeadConversion"}
    assert entities["PM-Project Summary"].key == ("ProjectID", "Warehouse_2")
    assert entities["PM-Project Summary"].properties[1].type == "Edm.DateTime"


OLDER = b"""<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx">
<edmx:DataServices><Schema Namespace="PX.Data"
  xmlns="http://schemas.microsoft.com/ado/2009/11/edm">
<EntityType Name="DBStorageDetails"><Key><PropertyRef Name="InventoryID"/></Key>
  <Property Name="InventoryID" Type="Edm.String"/><Property Name="At" Type="Edm.DateTime"/>
</EntityType>
<EntityType Name="Other"><Property Name="_2Update" Type="Edm.String"/></EntityType>
<EntityContainer Name="Default">
  <EntitySet Name="Other" EntityType="PX.Data.Other"/>
  <EntitySet Name="Lost" EntityType="PX.Data.Nowhere"/>
  <EntitySet Name="DB-StorageDetails" EntityType="PX.Data.DBStorageDetails"/>
  <FunctionImport Name="DBStorageDetails_WithParameters" %s>
    <Parameter Name="Warehouse" Type="Edm.String"/><Parameter Name="Date" Type="Edm.DateTime"/>
  </FunctionImport>
  <FunctionImport Name="Other_WithParameters" EntitySet="Other"/>
  <FunctionImport Name="Elsewhere" EntitySet="Other"><Parameter Name="X" Type="Edm.String"/>
  </FunctionImport>
</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"""
NEWER = b"""<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">
<edmx:DataServices><Schema Namespace="GenericInquiry"
  xmlns="http://docs.oasis-open.org/odata/ns/edm">
<EntityType Name="DBStorageDetails"><Key><PropertyRef Name="InventoryID"/></Key>
  <Property Name="InventoryID" Type="Edm.String"/><Property Name="At" Type="Edm.DateTimeOffset"/>
</EntityType>
<EntityType Name="Other"><Property Name="_2Update" Type="Edm.String"/></EntityType>
<Function Name="DB-StorageDetails"><Parameter Name="Warehouse" Type="Edm.String"/>
  <Parameter Name="Date" Type="Edm.DateTimeOffset"/>
  <ReturnType Type="Collection(GenericInquiry.DBStorageDetails)" Nullable="false"/></Function>
<EntityContainer Name="Default">
  <EntitySet Name="DB-StorageDetails" EntityType="GenericInquiry.DBStorageDetails"/>
  <EntitySet Name="Other" EntityType="GenericInquiry.Other"/>
  <FunctionImport Name="DBStorageDetails_WithParameters"
    Function="GenericInquiry.DB-StorageDetails" %s/>
</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"""


@pytest.mark.parametrize("where", [b'EntitySet="DB-StorageDetails"', b""])
@pytest.mark.parametrize(
    ("document", "date"), [(OLDER, "Edm.DateTime"), (NEWER, "Edm.DateTimeOffset")]
)
def test_parameters_of_inquiries_are_found_in_either_version(
    document: bytes, date: str, where: bytes
) -> None:
    with_parameters, other = parse([document % where]).inquiries()
    assert with_parameters.title == "DB-StorageDetails"
    assert with_parameters.key == ("InventoryID",)
    assert [(prop.name, prop.type) for prop in with_parameters.properties] == [
        ("InventoryID", "Edm.String"),
        ("At", date),
    ]
    assert with_parameters.function == "DBStorageDetails_WithParameters"
    assert with_parameters.parameters == {"Warehouse": "Edm.String", "Date": date}
    assert (other.title, other.function, other.parameters) == ("Other", "", {})


@pytest.mark.parametrize("order", [1, -1])
def test_of_several_declarations_of_a_function_the_longest_counts(order: int) -> None:
    declared = NEWER % b'EntitySet="DB-StorageDetails"'
    start, end = declared.index(b"<Function Name"), declared.index(b"<EntityContainer")
    function = declared[start:end]
    bare = b'<Function Name="DB-StorageDetails"></Function>'
    bound = (
        b'<Function Name="DB-StorageDetails" IsBound="true"><Parameter Name="A" Type="X"/>'
        b'<Parameter Name="B" Type="X"/><Parameter Name="C" Type="X"/></Function>'
    )
    versions = b"".join([bare, function, function, bound][::order])
    model = parse([declared[:start] + versions + declared[end:]])
    inquiry, _ = model.inquiries()
    assert inquiry.parameters == {"Warehouse": "Edm.String", "Date": "Edm.DateTimeOffset"}
    older = OLDER % b'EntitySet="DB-StorageDetails"'
    start = older.index(b"<FunctionImport Name")
    bare = (
        b'<FunctionImport Name="DBStorageDetails_WithParameters" EntitySet="DB-StorageDetails">'
        b'<Parameter Name="Date" Type="Edm.DateTime"/></FunctionImport>'
    )
    before, _ = parse([older[:start] + bare + older[start:]]).inquiries()
    assert before.parameters == {"Warehouse": "Edm.String", "Date": "Edm.DateTime"}


@pytest.mark.parametrize("document", [OLDER, NEWER])
def test_an_inquiry_has_what_its_type_inherits(document: bytes) -> None:
    base = (
        b'<EntityType Name="Base" Abstract="true"><Key><PropertyRef Name="K"/></Key>'
        b'<Property Name="K" Type="Edm.Int32"/></EntityType><EntityType Name="Other"'
    )
    namespace = b"PX.Data" if document is OLDER else b"GenericInquiry"
    body = (document % b"").replace(
        b'<EntityType Name="Other"', base + b' BaseType="' + namespace + b'.Base"'
    )
    _, inquiry = parse([body]).inquiries()
    assert inquiry.key == ("K",)
    assert [prop.name for prop in inquiry.properties] == ["K", "_2Update"]


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Draw documents whose types derive from earlier ones."""
    types: list[Type] = []
    for name in draw(st.lists(NAMES.filter(lambda n: "." not in n), max_size=5, unique=True)):
        columns = tuple(
            Column(column_name, draw(EDM_TYPES), draw(st.none() | NAMES))
            for column_name in draw(st.lists(NAMES, max_size=4, unique=True))
        )
        names = [column.name for column in columns]
        base = draw(st.none() | st.sampled_from(types).map(lambda t: t.name)) if types else None
        number = draw(st.integers(0, 2))
        types.append(
            Type(
                f"PX.{name}",
                columns,
                key=tuple(names[: draw(st.integers(0, 2))]),
                base=base,
                label=draw(st.none() | NAMES),
                sets=tuple(f"{name} {index}" for index in range(number)),
                restricted=tuple(draw(st.sets(st.sampled_from(names)))) if names else (),
                filterable=draw(st.sampled_from([None, True, False])),
                navigations=tuple(draw(st.lists(NAMES, max_size=1))),
            )
        )
    return Document(
        tuple(draw(st.permutations(types))),
        protocol=draw(st.sampled_from(ODataVersion)),
        annotations=draw(st.booleans()),
        prefix=draw(st.sampled_from(["", "edm"])),
        indent=draw(st.booleans()),
    )


def chain(document: Document, declared: Type) -> Iterator[Type]:
    """Yield a type and its bases."""
    yield declared
    for base in document.types:
        if base.name == declared.base:
            yield from chain(document, base)


def restricted_by_sets(document: Document, declared: Type) -> set[str]:
    """Return the properties that the entity sets of one type restrict."""
    if not document.annotations or not declared.sets:
        return set()
    columns = {column.name for column in declared.columns}
    return columns if declared.filterable is False else set(declared.restricted)


@settings(max_examples=60)
@given(documents())
def test_whatever_is_declared_is_found(document: Document) -> None:
    model = parse([document.encode()])
    assert model.protocol == document.protocol
    entities = {e.aliases: e for e in model.entities()}
    assert set(entities) == {t.sets for t in document.types if t.sets}
    for declared in document.types:
        if not declared.sets:
            continue
        entity = entities[declared.sets]
        types = list(chain(document, declared))
        columns = {c.name: c for t in reversed(types) for c in t.columns}
        assert entity.label == declared.label
        assert entity.key == next((t.key for t in types if t.key), ())
        assert [(p.name, p.type, p.label) for p in entity.properties] == [
            (c.name, c.type, c.label) for c in columns.values()
        ]
        restricted = (restricted_by_sets(document, t) for t in types)
        assert entity.restricted == set().union(*restricted)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3000), max_size=8))
def test_a_document_may_come_in_pieces_cut_anywhere(cuts: list[int]) -> None:
    body = Document((replace(ORDER, label="Bestellübersicht €"),)).encode()
    edges = [0, *sorted(cuts), len(body)]
    pieces = [body[low:high] for low, high in itertools.pairwise(edges)]
    assert parse(pieces) == parse([body])


@settings(max_examples=50)
@given(st.sampled_from(["&#x1F;", "&#0;", "&#xFFFF;", "\x1f", "\ufffe"]), st.integers(1, 40))
def test_a_character_that_xml_does_not_allow_costs_that_character(text: str, size: int) -> None:
    body = Document((ORDER,)).encode()
    odd = body.replace(b"Order Nbr.", f"Or{text}der {text}Nbr.{text}".encode())
    assert odd != body
    pieces = [odd[at : at + size] for at in range(0, len(odd), size)]
    assert list(parse(pieces).entities()) == list(parse([body]).entities())


def test_the_sandbox_and_the_parser_agree() -> None:
    source = small_model()
    model = parse([document(source, annotations=True)])
    entities = {e.name: e for e in model.entities()}
    expected = {t.sets[0]: t for t in source.types if t.sets}
    assert set(entities) == set(expected)
    for name, entity in entities.items():
        assert set(entity.key) == set(expected[name].key)
        readable = [p.name for p in entity.properties if p.name not in entity.restricted]
        assert sorted(readable) == sorted(c.name for c in expected[name].readable)


BODY = Document((ORDER,)).encode()
LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"value":[]}',
        b"<html><body>Sign in</body></html>",
        b"<html><body>Sign in<br></body></html>",
        b"<!DOCTYPE html><html></html>",
        BODY[:-1],
        BODY + b"<more/>",
        BODY.replace(b"</Record>", b""),
        BODY.replace(b"Sales Order", b"Sales \xff Order"),
        BODY.replace(b"utf-8", b"nonsense"),
        BODY.replace(b"utf-8", b"shift_jis"),
        BODY.replace(b'Version="4.0"', b""),
        BODY.replace(b"EntityType Name=", b"EntityType Title="),
        BODY.replace(b" EntityType=", b" Type="),
        BODY.replace(b"Sales Order", b"&undefined;"),
    ],
)
def test_what_is_no_metadata_is_a_broken_payload(body: bytes) -> None:
    with pytest.raises(BrokenPayload, match=r"."):
        parse([body])


@given(st.integers(0, len(BODY) - 1))
def test_a_document_that_is_cut_off_is_a_broken_payload(length: int) -> None:
    with pytest.raises(BrokenPayload, match="not well-formed"):
        parse([BODY[:length]])


@pytest.mark.parametrize(
    "doctype",
    [
        '<!DOCTYPE a [<!ENTITY l0 "lol">' + LAUGHS + "]>",
        '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE a SYSTEM "http://127.0.0.1:9/a.dtd">',
        '<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>',
        "<!DOCTYPE a>",
    ],
)
def test_a_document_type_is_refused_before_anything_is_expanded_or_fetched(doctype: str) -> None:
    body = Document((ORDER,), declaration=doctype).encode().replace(b"Sales Order", b"&l9;")
    with pytest.raises(BrokenPayload, match="DTDForbidden"):
        parse([body])


def test_an_error_says_where_it_is() -> None:
    body = Document((ORDER,), indent=True).encode()
    at = body[: body.index(b"</Record>")].count(b"\n") + 2
    with pytest.raises(BrokenPayload, match=f"line {at}"):
        parse([body.replace(b"</Record>", b"", 1)])


def test_an_empty_service_has_no_entities() -> None:
    assert parse([Document().encode()]) == Model(ODataVersion.V4)


@pytest.mark.parametrize("element", ["EntitySet", "Singleton", "EntityType", "Property"])
def test_an_element_without_a_name_is_a_broken_payload(element: str) -> None:
    setup = Type("PX.Objects.GL.GLSetup", (Column("AutoPost"),), singletons=("GLSetup",))
    document = Document((ORDER, setup)).encode()
    nameless = re.sub(rf'<{element} Name="[^"]*"', f"<{element}", document.decode())
    assert nameless != document.decode()
    with pytest.raises(BrokenPayload):
        parse([nameless.encode()])
