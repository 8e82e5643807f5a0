"""What a stream reads, settled from its catalog entry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from singer_sdk.singerlib.catalog import CatalogEntry

from tap_acumatica.catalog.absence import TenantGaps
from tap_acumatica.catalog.given import settled
from tap_acumatica.catalog.plan import PlanSettings, StreamPlan
from tap_acumatica.odata import edm
from tap_acumatica.odata.dialect import ATOM, JSON, ODataVersion
from tap_acumatica.odata.errors import DiscoveryError, SettingsError
from tap_acumatica.odata.expand import Expansion

TENANTS = PlanSettings(tenants=("A", "B"), tenant_column="_tenant")


def entry(root: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    columns = {
        "K": {"type": "integer"},
        "Name": {"type": ["string", "null"]},
        "At": {"type": ["string", "null"], "format": "date-time"},
        "Secret": {"type": ["string", "null"]},
    }
    return {
        "tap_stream_id": "Rows",
        "table_name": "dac/v4/Rows",
        "key_properties": ["K"],
        "replication_key": "At",
        "replication_method": "INCREMENTAL",
        "schema": {"type": "object", "properties": columns},
        "metadata": [
            {"breadcrumb": [], "metadata": {"selected": True, **(root or {})}},
            {"breadcrumb": ["properties", "Secret"], "metadata": {"selected": False}},
        ],
        **changes,
    }


def plan(content: dict[str, Any] | None = None, settings: PlanSettings | None = None) -> StreamPlan:
    (stream,) = settled({"streams": [content or entry()]})["streams"]
    gaps = TenantGaps.of([stream])
    return StreamPlan.of(CatalogEntry.from_dict(stream), gaps, settings or PlanSettings())


def test_the_table_has_the_selected_columns_with_their_types() -> None:
    table = plan().table()
    assert table.columns.keys() == {"K", "Name", "At"}
    assert table.columns["At"] is edm.INSTANT
    assert (table.entity_set, table.key, table.replication_key) == ("Rows", ("K",), "At")
    assert plan().partitions == (None,)


def test_a_full_table_has_no_replication_key_though_the_catalog_names_one() -> None:
    full = plan(entry(replication_method="FULL_TABLE"))
    assert not full.incremental
    assert full.replication_key == "At"
    assert full.table().replication_key is None


def test_a_table_without_a_key_is_ordered_by_the_one_that_the_metadata_declare() -> None:
    root = {"table-key-properties": ["_tenant", "K", "Gone"]}
    table = plan(entry(root, key_properties=[])).table()
    assert (table.key, table.order) == ((), ("K",))


@pytest.mark.parametrize(("key", "method"), [("At", "INCREMENTAL"), (None, "FULL_TABLE")])
def test_the_method_follows_from_the_replication_key_where_nothing_names_it(
    key: str | None, method: str
) -> None:
    assert plan(entry(replication_method=None, replication_key=key)).method == method


def test_the_tenants_column_is_in_the_key_but_not_asked_for() -> None:
    content = entry(key_properties=["_tenant", "K"])
    content["schema"]["properties"]["_tenant"] = {"type": "string"}
    stream_plan = plan(content, TENANTS)
    assert stream_plan.key == ("_tenant", "K")
    assert stream_plan.table("A").key == ("K",)
    assert "_tenant" not in stream_plan.table("A").columns
    assert stream_plan.partitions == ["A", "B"]


def test_a_tenant_is_asked_for_nothing_that_it_lacks() -> None:
    content = entry({"absent-in": ["B"]})
    content["metadata"].append(
        {"breadcrumb": ["properties", "Name"], "metadata": {"absent-in": ["A"], "selected": True}}
    )
    stream_plan = plan(content, TENANTS)
    assert stream_plan.partitions == ["A"]
    assert "Name" not in stream_plan.table("A").columns
    assert stream_plan.absent_columns("A") == ["Name"]
    assert stream_plan.absent_columns("B") == []


def test_a_key_that_is_not_selected_is_an_error() -> None:
    with pytest.raises(DiscoveryError, match="Rows"):
        plan(entry(key_properties=["Secret"])).table()


def test_a_location_of_another_tap_is_an_error() -> None:
    for location in ("Rows", "dac/v5/Rows", "dac/v4/", "public/v4/Rows", "dac/v4/Rows?$expand=("):
        with pytest.raises(DiscoveryError, match="run discovery again"):
            plan(entry(table_name=location))


def test_related_records_are_asked_for_with_their_selected_columns() -> None:
    content = entry(table_name="dac/v4/Rows?$expand=Customer()")
    customer = {"type": ["object", "null"], "properties": {"Code": {"type": ["string", "null"]}}}
    content["schema"]["properties"]["Customer"] = customer
    assert plan(content).table().expand == (Expansion("Customer", ("Code",)),)


@pytest.mark.parametrize(
    ("wants_atom", "version", "expected"),
    [(False, "v3", JSON), (True, "v3", ATOM), (True, "v4", JSON)],
)
def test_only_services_of_odata_3_are_read_as_atom(
    wants_atom: bool, version: str, expected: object
) -> None:
    stream_plan = plan(entry(table_name=f"gi/{version}/Rows"), PlanSettings(wants_atom=wants_atom))
    assert stream_plan.table().format is expected
    assert stream_plan.in_json_only == (wants_atom and version == "v4")


def test_an_inquiry_is_ordered_by_what_sorts_and_is_no_appended_column() -> None:
    content = entry(
        {"table-key-properties": ["Name", "At"]},
        table_name="gi/v4/Rows",
        key_properties=[],
        replication_method="FULL_TABLE",
    )
    del content["schema"]["properties"]["Secret"]
    table = plan(content).table()
    assert plan(content).is_inquiry
    assert table.inquiry
    assert table.key == ()
    assert table.order == ("K",), "the last columns are declared as keys, so they may be appended"
    short = plan(content, PlanSettings(max_orderby_length=1)).table()
    assert short.order == ()


def test_the_parameters_of_an_inquiry_are_part_of_its_scope_and_of_its_call() -> None:
    content = entry({"schema-name": "F_WithParameters?Day=Edm.Int32"}, table_name="gi/v4/Rows")
    values = PlanSettings(inquiry_parameters={"ROWS": {"day": 7}})
    stream_plan = plan(content, values)
    assert stream_plan.scope == {"inquiry_parameters": {"Day": "7"}}
    call = stream_plan.table().call
    assert call is not None
    assert call.path(ODataVersion.V4) == "F_WithParameters(Day=@1)"
    with pytest.raises(SettingsError, match="inquiry_parameters"):
        plan(content).table()


@pytest.mark.parametrize(
    ("declared", "schema", "expected"),
    [
        ("Edm.String", {"type": "string"}, True),
        ("Edm.String", {"type": "integer"}, True),
        ("Edm.Guid", {"type": "string"}, False),
    ],
)
def test_trimming_is_part_of_the_scope_where_the_key_is_a_text_on_the_wire(
    declared: str, schema: dict[str, Any], expected: bool
) -> None:
    content = entry()
    content["schema"]["properties"]["K"] = schema
    trimming = replace(
        plan(content), settings=PlanSettings(trim_strings=True), types={"K": declared}
    )
    assert ("trim_strings" in trimming.scope) == expected


def test_a_plan_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        plan().name = "Other"  # type: ignore[misc] # that is the point
