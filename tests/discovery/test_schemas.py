"""Complex types have what they inherit; what the catalog leaves out is said once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from support.csdl import Column, Document, Type

from tap_acumatica.discovery.entities import discover
from tap_acumatica.discovery.filters import DiscoverySettings
from tap_acumatica.discovery.left_out import say_what_is_left_out
from tap_acumatica.discovery.schemas import MAX_TYPE_DEPTH, Schemas
from tap_acumatica.odata.addresses import DAC
from tap_acumatica.odata.csdl import parse
from tap_acumatica.odata.model import EntityType, Model, Property

if TYPE_CHECKING:
    import pytest


@settings(max_examples=200, deadline=None)
@given(
    bases=st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=5),
    own=st.lists(st.integers(0, 3), min_size=5, max_size=5),
)
def test_a_complex_type_has_the_columns_of_all_its_bases(
    bases: list[int | None], own: list[int]
) -> None:
    """Also where bases go round or are not declared (the type 5 never is)."""
    model = Model()
    for number, base in enumerate(bases):
        properties = [Property(f"P{number}_{i}", "Edm.String") for i in range(own[number])]
        name = f"N.T{number}"
        model.complex_types[name] = EntityType(
            name, None if base is None else f"N.T{base}", properties=properties
        )
    expected: set[str] = set()
    seen = set()
    current: int | None = 0
    while current is not None and current < len(bases) and current not in seen:
        seen.add(current)
        expected |= {f"P{current}_{i}" for i in range(own[current])}
        current = bases[current]
    schema = Schemas(model, DiscoverySettings()).column(Property("C", "N.T0"), required=False)
    if expected:
        assert schema["properties"].keys() == expected
    else:
        assert schema["contentMediaType"] == "application/json", "nothing is known of its values"


def test_a_complex_type_that_contains_itself_ends() -> None:
    model = Model()
    own = [Property("Code", "Edm.String"), Property("Inner", "N.T")]
    model.complex_types["N.Base"] = EntityType("N.Base", properties=own)
    model.complex_types["N.T"] = EntityType("N.T", "N.Base")
    schema = Schemas(model, DiscoverySettings()).column(Property("C", "N.T"), required=False)
    for _ in range(MAX_TYPE_DEPTH - 1):
        assert set(schema["properties"]) == {"Code", "Inner"}
        schema = schema["properties"]["Inner"]


def test_what_is_left_out_is_said_in_a_line_for_each_kind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    columns = (Column("K"), Column("A", "N.Unknown"), Column("B", "N.Other"))
    types = [
        Type(f"N.T{i}", columns, key=("K",), sets=(f"N_T{i}",), navigations=("X", "Y"))
        for i in range(300)
    ]
    lost = [Type(f"M.T{i}", columns) for i in range(20)]
    body = Document((*types, *lost)).encode()
    sets = b"".join(b'<EntitySet Name="L%d" EntityType="N.Lost%d"/>' % (i, i) for i in range(40))
    actions = b'<Action Name="A"/><Function Name="F" IsBound="true"/>'
    body = body.replace(b"<EntityContainer ", actions + b"<EntityContainer ")
    body = body.replace(b"</EntityContainer>", sets + b"</EntityContainer>")
    model = parse([body])
    with caplog.at_level(logging.INFO):
        say_what_is_left_out(DAC, model)
        assert len(list(discover(model, DiscoverySettings()))) == 300
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 3
    assert "40 entity sets of data access classes" in lines[0]
    assert "20 entity types without an entity set" in lines[1]
    assert "600 navigation properties" in lines[1]
    assert "2 functions and actions" in lines[1]
    assert "Values of 2 types are read as text" in lines[2]


def test_nothing_left_out_is_not_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        say_what_is_left_out(DAC, Model())
    assert not caplog.records


def test_an_entity_of_whose_key_a_part_is_not_declared_has_no_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    columns = (Column("A"), Column("LastModifiedDateTime", "Edm.DateTimeOffset"))
    body = Document((Type("N.T", columns, key=("A", "Hidden"), sets=("N_T",)),)).encode()
    config = DiscoverySettings(replication_keys=["LastModifiedDateTime"])
    (stream,) = discover(parse([body]), config)
    assert (stream.key, stream.replication_key) == ((), None)
    assert "its key column Hidden may not be queried" in caplog.text
