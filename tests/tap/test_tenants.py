"""Several tenants share one catalog, have their own bookmarks, and do not stop each other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from support.running import (
    NOW,
    Output,
    discover,
    run,
    run_command,
    select_all,
    settings_for,
    write_json,
)

from sandbox import Fault, Sandbox
from tap_acumatica.catalog.absence import ABSENT_IN, TenantGaps
from tap_acumatica.catalog.entry import StreamDescription
from tap_acumatica.catalog.inquiries import appended
from tap_acumatica.catalog.location import parse_location
from tap_acumatica.catalog.related import Expansions
from tap_acumatica.discovery.relations import require_found
from tap_acumatica.discovery.union import union
from tap_acumatica.odata.errors import AcumaticaError, DiscoveryError, RequestFailed
from tap_acumatica.odata.expand import Expansion
from tap_acumatica.run.failures import MAX_OUTAGES, TenantsFailed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SALES = "PX_Objects_SO_SOOrder"
TERMS = "PX_Objects_CS_Terms"
USERS = "PX_SM_Users"
CUSTOMERS = "PX_Objects_AR_Customer"
BATCHES = "PX_Objects_GL_Batch"
ITEMS = "PX_Objects_IN_InventoryItem"
ITEM = "InventoryItemByInventoryID"
CONTACTS = "PX_Objects_CR_Contact"
DATED = (BATCHES, CONTACTS, CUSTOMERS, ITEMS, SALES)
TENANTS = ["A", "B", "C"]


@pytest.fixture
def three() -> Iterator[Sandbox]:
    """A server with three tenants."""
    with Sandbox(now=NOW, tenants=TENANTS, rows=60) as box:
        yield box


def settings(box: Sandbox, *entities: str, **changes: Any) -> dict[str, Any]:
    return settings_for(box, *entities, tenants=TENANTS, max_retry_time=0, **changes)


def bookmarks(output: Output) -> dict[tuple[str, str], str | None]:
    """The bookmark of each stream in each tenant."""
    return {
        (stream, partition["context"]["_tenant"]): partition.get("replication_key_value")
        for stream, entry in output.state["bookmarks"].items()
        for partition in entry["partitions"]
    }


def delivered(output: Output, stream: str) -> dict[str, int]:
    """The number of records of each tenant."""
    counts = dict.fromkeys(TENANTS, 0)
    for record in output.records(stream):
        counts[record["_tenant"]] += 1
    return counts


def take_down(box: Sandbox, tenant: str) -> Fault:
    return box.faults.add(Fault("unavailable", match=f"/t/{tenant}/|/odatav4/{tenant}/"))


def test_a_tenant_in_other_letters_is_another_one_with_a_warning(
    three: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings(three, SALES)
    first = run(config)
    assert "The state spells" not in caplog.text
    second = run({**config, "tenants": ["a", "B"]}, state=first.state)
    assert {record["_tenant"] for record in second.records()} == {"a"}
    assert len(second.records()) == len(three.rows(SALES, "A"))
    warnings = [each.message for each in caplog.records if "The state spells" in each.message]
    assert len(warnings) == 1
    assert "spells the tenant a as A: it is read from the beginning" in warnings[0]
    caplog.clear()
    run({**config, "tenants": ["a", "B"]}, state=second.state)
    assert "The state spells" not in caplog.text


# One catalog


def test_three_tenants_with_five_streams_are_fifteen_bookmarks(three: Sandbox) -> None:
    output = run(settings(three, *DATED))
    assert output.error is None
    bookmark_of = bookmarks(output)
    assert len(bookmark_of) == 15
    assert set(bookmark_of.values()) == {"2026-06-01T12:00:00.000000+00:00"}
    for stream in DATED:
        assert delivered(output, stream) == {t: len(three.rows(stream, t)) for t in TENANTS}
    assert three.counters().sessions_open == 0


def test_a_column_that_a_tenant_lacks_is_null_there_and_not_asked_for(three: Sandbox) -> None:
    three.declare(TERMS, "B", without=["Descr"])
    catalog = select_all(discover(settings(three, TERMS)))
    three.reset_counters()
    output = run(settings(three, TERMS), catalog=catalog)
    assert output.error is None
    assert three.counters().metadata_requests == 0
    assert delivered(output, TERMS) == {t: len(three.rows(TERMS, t)) for t in TENANTS}
    for record in output.records(TERMS):
        assert (record["Descr"] is None) == (record["_tenant"] == "B")
    tenants = {
        request.path.split("/")[2]
        for request in three.log
        if "Descr" in request.query.get("$select", "").split(",")
    }
    assert tenants == {"A", "C"}


def test_a_column_that_only_the_last_tenant_has_is_in_the_catalog(three: Sandbox) -> None:
    three.declare(SALES, "A", without=["OrderDesc"])
    three.declare(SALES, "B", without=["OrderDesc"])
    (stream,) = discover(settings(three, SALES)).values()
    (column,) = (m for m in stream["metadata"] if m["breadcrumb"][-1:] == ["OrderDesc"])
    assert "OrderDesc" in stream["schema"]["properties"]
    assert column["metadata"]["absent-in"] == ["A", "B"]


def test_a_deselected_column_that_a_tenant_lacks_stays_out(three: Sandbox) -> None:
    three.declare(SALES, "B", without=["OrderDesc"])
    catalog = select_all(discover(settings(three, SALES)))
    for node in catalog["streams"][0]["metadata"]:
        if node["breadcrumb"][-1:] == ["OrderDesc"]:
            node["metadata"]["selected"] = False
    output = run(settings(three, SALES), catalog=catalog)
    assert output.error is None
    assert not [record for record in output.records(SALES) if "OrderDesc" in record]


def test_a_stream_that_a_tenant_lacks_is_not_read_there(three: Sandbox) -> None:
    three.hide(SALES, "B")
    config = settings(three, SALES, TERMS)
    catalog = select_all(discover(config))
    output = run(config, catalog=catalog)
    assert output.error is None
    assert delivered(output, SALES)["B"] == 0
    assert delivered(output, TERMS)["B"] > 0
    assert not [
        request
        for request in three.log
        if request.kind == "data" and f"/t/B/api/odata/dac/{SALES}" in request.path
    ]
    assert {t for stream, t in bookmarks(output) if stream == SALES} == {"A", "C"}


def test_a_name_that_any_tenant_has_or_may_have_is_no_error(
    three: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    three.hide(SALES, "A")
    three.hide(SALES, "C")
    assert discover(settings(three, SALES, TERMS))[SALES]
    take_down(three, "B")
    output = run(settings(three, "SOOrder", TERMS))
    assert isinstance(output.error, TenantsFailed)
    assert list(output.error.failed) == ["B"]
    assert delivered(output, TERMS)["A"]
    assert "asks for SOOrder, but" in caplog.text


def test_a_stream_that_none_of_the_tenants_asked_for_has_is_left_out(three: Sandbox) -> None:
    three.hide(SALES, "B")
    config = settings(three, SALES, TERMS)
    catalog = select_all(discover(config))
    output = run({**config, "tenants": ["B"]}, catalog=catalog)
    assert output.error is None
    assert {m["stream"] for m in output.messages if m["type"] == "SCHEMA"} == {TERMS}


def related(output: Output, tenant: str) -> list[dict[str, Any]]:
    """The related lines of a tenant's orders."""
    orders = [record for record in output.records(SALES) if record["_tenant"] == tenant]
    return [line for order in orders for line in order["SOLineCollection"] or ()]


@pytest.mark.parametrize(
    ("columns", "without", "remaining"),
    [
        ("", ["LineType"], None),
        ("(LineNbr,LineType)", ["LineType"], {"LineNbr"}),
        ("(LineType,InventoryItemByInventoryID(InventoryCD))", ["LineType"], {ITEM}),
    ],
)
def test_a_column_of_related_records_that_a_tenant_lacks_is_left_out_there(
    three: Sandbox, columns: str, without: list[str], remaining: set[str] | None
) -> None:
    three.declare("SOLine", "A", without=without)
    three.declare("SOLine", "B", without=["OrderQty"])
    config = settings(three, SALES, expand={"SOOrder": [f"SOLineCollection{columns}"]})
    streams = discover(config)
    lines = streams[SALES]["schema"]["properties"]["SOLineCollection"]["items"]["properties"]
    assert "LineType" in lines
    absent = {
        tuple(node["breadcrumb"][1::2]): node["metadata"]["absent-in"]
        for node in streams[SALES]["metadata"]
        if "absent-in" in node["metadata"]
    }
    assert absent["SOLineCollection", "LineType"] == ["A"]
    output = run(config, catalog=select_all(streams))
    assert output.error is None
    assert {frozenset(line) for line in related(output, "A")} == {
        frozenset(remaining or lines.keys() - {"LineType"})
    }
    assert {frozenset(line) for line in related(output, "C")} == {frozenset(lines)}
    tenants = {
        request.path.split("/")[2]
        for request in three.log
        if "LineType" in request.query.get("$expand", "")
    }
    # The names of all columns would make the address too long.
    assert tenants == ({"B", "C"} if columns else set())


def test_related_records_of_which_a_tenant_has_no_column_are_null_there(three: Sandbox) -> None:
    three.declare("SOLine", "B", without=["LineType"])
    config = settings(three, SALES, expand={"SOOrder": ["SOLineCollection(LineType)"]})
    for arguments in ({}, {"flattening_enabled": True, "flattening_max_depth": 1}):
        output = run({**config, **arguments})
        assert output.error is None
        orders = output.records(SALES)
        assert {e["_tenant"] for e in orders if e["SOLineCollection"] is None} == {"B"}
        assert {e["_tenant"] for e in orders if e["SOLineCollection"]} == {"A", "C"}


def test_columns_of_related_records_may_be_deselected_up_to_what_a_tenant_lacks(
    three: Sandbox,
) -> None:
    three.declare("SOLine", "B", without=["LineType"])
    config = settings(three, SALES, expand={"SOOrder": ["SOLineCollection(LineNbr,LineType)"]})
    catalog = select_all(discover(config))
    for node in catalog["streams"][0]["metadata"]:
        if node["breadcrumb"][-1:] == ["LineNbr"]:
            node["metadata"]["selected"] = False
    output = run(config, catalog=catalog)
    assert output.error is None
    assert related(output, "B") == []
    assert {frozenset(line) for line in related(output, "A")} == {frozenset({"LineType"})}


def test_flattened_what_a_tenant_lacks_of_related_records_is_null(three: Sandbox) -> None:
    three.declare("Customer", "B", without=["CustomerClassID"])
    expand = {"SOOrder": ["CustomerByCustomerID(AcctCD,CustomerClassID)"]}
    flattening = {"flattening_enabled": True, "flattening_max_depth": 1}
    output = run(settings(three, SALES, expand=expand, **flattening))
    assert output.error is None
    for record in output.records(SALES):
        assert record["CustomerByCustomerID__AcctCD"]
        lacks = record["CustomerByCustomerID__CustomerClassID"] is None
        assert lacks == (record["_tenant"] == "B")


def test_labels_of_related_records_may_differ_but_types_may_not(three: Sandbox) -> None:
    config = settings(three, SALES, expand={"SOOrder": ["SOLineCollection(LineType)"]})
    three.declare("SOLine", "B", labels={"LineType": "Art"})
    assert SALES in discover(config)
    three.declare("SOLine", "C", types={"LineType": "Edm.Guid"})
    with pytest.raises(
        DiscoveryError,
        match=f"SOLineCollection/LineType of {SALES} is string in the tenant A and string uuid in",
    ):
        discover(config)


def test_what_expand_names_need_not_be_in_all_tenants_but_in_one(
    three: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    three.hide(SALES, "B")
    expand = {"soorder": ["SOLineCollection(LineNbr)"]}
    config = settings(three, SALES, TERMS, expand=expand)
    output = run(config)
    assert output.error is None
    assert delivered(output, SALES)["B"] == 0
    assert delivered(output, TERMS)["B"] > 0
    assert related(output, "C")
    three.hide(SALES, "A")
    three.hide(SALES, "C")
    with pytest.raises(DiscoveryError, match="names soorder, but the instance has no such entity"):
        discover(settings(three, TERMS, expand=expand))
    take_down(three, "C")
    caplog.clear()
    output = run(config)
    assert isinstance(output.error, TenantsFailed)
    assert list(output.error.failed) == ["C"], "which might have it"
    assert delivered(output, TERMS)["B"] > 0


def test_types_that_disagree_are_an_error_that_names_both(three: Sandbox) -> None:
    three.declare(SALES, "C", types={"OrderDesc": "Edm.Int32"})
    with pytest.raises(
        DiscoveryError,
        match=f"OrderDesc of {SALES} is Edm.String in the tenant A and Edm.Int32 in C: ",
    ):
        discover(settings(three, SALES))


def test_without_a_common_replication_key_a_stream_is_read_in_full(three: Sandbox) -> None:
    three.declare(SALES, "B", without=["LastModifiedDateTime"])
    (stream,) = discover(settings(three, SALES)).values()
    assert stream["replication_method"] == "FULL_TABLE"
    output = run(settings(three, SALES))
    assert output.error is None
    assert delivered(output, SALES) == {t: len(three.rows(SALES, t)) for t in TENANTS}


def test_a_catalog_from_before_tenants_were_set_is_refused(three: Sandbox) -> None:
    config = settings(three, SALES)
    alone = {**config, "tenants": None, "url": f"{three.url}/t/A/api/odata/dac"}
    del alone["tenants"]
    for discovery, sync in ((alone, config), (config, alone)):
        output = run(sync, catalog=select_all(discover(discovery)))
        assert isinstance(output.error, DiscoveryError)
        assert "does not fit the setting tenants" in str(output.error)


@pytest.mark.parametrize("column", ["OrderNbr", "customerrefnbr"])
def test_a_column_for_the_tenant_that_a_stream_has_is_refused(three: Sandbox, column: str) -> None:
    three.hide(SALES, "A")
    config = settings(three, SALES)
    with pytest.raises(
        DiscoveryError,
        match=f"tenant_column names {column}, but {SALES} has a column (?i:{column}) ",
    ):
        discover({**config, "tenant_column": column})
    output = run({**config, "tenant_column": "OrderNbr"}, catalog=select_all(discover(config)))
    assert "does not fit the setting tenants" in str(output.error)


def test_the_column_for_the_tenant_is_named_as_the_settings_say(three: Sandbox) -> None:
    output = run(settings(three, SALES, tenant_column="Company"))
    assert output.error is None
    (schema,) = [message for message in output.messages if message["type"] == "SCHEMA"]
    assert schema["key_properties"] == ["Company", "OrderNbr", "OrderType"]
    assert {record["Company"] for record in output.records(SALES)} == set(TENANTS)


def description(**changes: Any) -> StreamDescription:
    columns: dict[str, Any] = {
        "K": {"type": "string"},
        "C": {"type": ["string", "null"], "title": "Colour"},
    }
    attributes: dict[str, Any] = {
        "name": "S",
        "location": parse_location("dac/v4/S"),
        "schema": {"type": "object", "properties": columns},
        "key": ("K",),
        "replication_key": None,
        "unsupported": frozenset(),
        "singleton": False,
        "selected": True,
        "types": {"K": "Edm.String", "C": "Edm.String"},
    }
    return StreamDescription(**{**attributes, **changes})


def test_tenants_that_are_alike_need_no_notes() -> None:
    shared = description()
    (merged,) = union({"A": [shared], "B": [shared]})
    assert merged == shared
    assert union({"A": [description()], "B": [description()]}) == [shared]
    absence = TenantGaps.of([merged.entry])
    assert absence.tenants("S", ["A", "B"]) == ["A", "B"]
    assert absence.columns == {}


def test_what_equal_tenants_share_is_not_changed_by_another_one(three: Sandbox) -> None:
    equal = discover(settings(three))
    three.hide(SALES, "C")
    different = discover(settings(three))
    (root,) = (n["metadata"] for n in different[SALES]["metadata"] if not n["breadcrumb"])
    assert root[ABSENT_IN] == ["C"]
    assert {n: s for n, s in different.items() if s != equal[n]} == {SALES: different[SALES]}


def test_keys_that_differ_are_an_error_that_names_both() -> None:
    with pytest.raises(DiscoveryError, match=r"\(A: K; B: K, C\): leave the stream out"):
        union({"A": [description()], "B": [description(key=("K", "C"))]})


def test_related_records_that_only_one_tenant_has_are_read_there() -> None:
    lines = {"type": ["array", "null"], "items": {"type": "object", "properties": {}}}
    columns = description().schema["properties"]
    other = description(
        location=parse_location("dac/v4/S?$expand=L()"),
        schema={"type": "object", "properties": {**columns, "L": lines}},
        related=Expansions((Expansion("L"),), {"L": lines}),
    )
    for order in ({"A": [description()], "B": [other]}, {"B": [other], "A": [description()]}):
        (merged,) = union(order)
        assert merged.location == other.location
        assert merged.related == other.related
        assert merged.columns_absent_in == {("L",): ("A",)}


@pytest.mark.parametrize("lacking", ["A", "B"])
def test_what_expand_names_is_missing_only_where_all_tenants_lack_it(lacking: str) -> None:
    errors = {tenant: {"L": "No L." if tenant == lacking else None} for tenant in "AB"}
    require_found(errors.values())
    with pytest.raises(DiscoveryError, match="No L"):
        require_found([errors[lacking], errors[lacking]])


def inquiry(**changes: Any) -> StreamDescription:
    inquiry = {"location": parse_location("gi/v4/S"), "key": (), "declared_key": ("K",)}
    return description(**{**inquiry, **changes})


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            {"function": "S_WithParameters?Item=Edm.String"},
            r"parameter list of S differs .* \(A: none; B: Item \(Edm.String\)\)",
        ),
        ({"location": parse_location("gi/v4/S-")}, r"title of S differs .* \(A: S; B: S-\)"),
    ],
)
def test_inquiries_that_are_asked_for_in_different_ways_are_an_error_that_names_both(
    change: dict[str, Any], expected: str
) -> None:
    with pytest.raises(DiscoveryError, match=expected):
        union({"A": [inquiry()], "B": [inquiry(**change)]})


def test_inquiries_with_the_same_parameters_are_one_in_whatever_order() -> None:
    signed = "S_WithParameters?{}=Edm.String&{}=Edm.String"
    one, other = (inquiry(function=signed.format(*order)) for order in ("IJ", "JI"))
    (merged,) = union({"A": [one], "B": [other]})
    assert merged.function == one.function


def test_columns_that_may_be_appended_in_any_tenant_stay_the_last() -> None:
    def columns(names: str) -> dict[str, Any]:
        properties = {name: {"type": ["string", "null"]} for name in names}
        return {
            "schema": {"type": "object", "properties": properties},
            "types": dict.fromkeys(names, "Edm.String"),
        }

    one = inquiry(**columns("RKL"), declared_key=("K", "L"), appended=frozenset("KL"))
    other = inquiry(**columns("RSLM"), declared_key=("L", "M"), appended=frozenset("LM"))
    for order in ({"A": [one], "B": [other]}, {"B": [other], "A": [one]}):
        (merged,) = union(order)
        names = list(merged.schema["properties"])
        assert set(names[:2]) == {"R", "S"}
        assert appended(names, merged.declared_key or ()) == {"K", "L", "M"}


def test_a_key_that_one_tenant_hides_is_none_in_all() -> None:
    hidden = description(key=(), unsupported=frozenset({"K"}))
    for order in ({"A": [description()], "B": [hidden]}, {"B": [hidden], "A": [description()]}):
        (merged,) = union(order)
        assert merged.key == ()
        assert merged.schema["properties"]["K"]["type"] == ["string", "null"]
        assert merged.columns_absent_in == {("K",): ("B",)}


def test_a_column_that_may_not_be_queried_anywhere_is_unsupported() -> None:
    restricted = description(unsupported=frozenset({"C"}))
    (merged,) = union({"A": [restricted], "B": [restricted]})
    assert merged.unsupported == {"C"}
    assert merged.columns_absent_in == {}
    (merged,) = union({"A": [restricted], "B": [description()]})
    assert merged.unsupported == frozenset()
    assert merged.columns_absent_in == {("C",): ("A",)}


# Tenants that fail


def test_a_tenant_that_is_down_does_not_stop_the_others(three: Sandbox) -> None:
    catalog = select_all(discover(settings(three, *DATED)))
    first = run(settings(three, *DATED), catalog=catalog)
    before = bookmarks(first)
    three.clock.advance(7200)
    take_down(three, "B")
    second = run(settings(three, *DATED), catalog=catalog, state=first.state)
    assert isinstance(second.error, TenantsFailed)
    (sentence,) = second.error.sentences
    beginning = "The tenant B was not read completely; the next run continues from there. The str"
    assert sentence.startswith(beginning)
    assert "No stream behind" in sentence
    after = bookmarks(second)
    assert len(after) == 15
    # A stream in which nothing has changed does not show that its clock is right.
    moved = {place for place, bookmark in after.items() if bookmark != before[place]}
    assert {tenant for _, tenant in moved} == {"A", "C"}
    assert (
        len([request for request in three.log if "/t/B/" in request.path and request.status == 503])
        == MAX_OUTAGES
    )
    assert three.counters().sessions_open == 0


def test_a_tenant_that_fails_in_the_middle_keeps_what_it_reached(three: Sandbox) -> None:
    config = settings(three, SALES, BATCHES, page_size=10, max_pool_size=4)
    catalog = select_all(discover(config))
    three.faults.add(Fault("unavailable", match=f"/t/B/.*{BATCHES}", after=4))
    output = run(config, catalog=catalog)
    assert isinstance(output.error, TenantsFailed)
    bookmark_of = bookmarks(output)
    assert 0 < delivered(output, BATCHES)["B"] < len(three.rows(BATCHES, "B"))
    assert bookmark_of[BATCHES, "B"] not in {None, bookmark_of[BATCHES, "A"]}
    assert bookmark_of[BATCHES, "A"] == bookmark_of[SALES, "C"]
    assert delivered(output, SALES)["B"] == len(three.rows(SALES, "B"))
    three.faults.clear()
    rest = run(config, catalog=catalog, state=output.state)
    assert rest.error is None
    keys = {
        r["BatchNbr"] + r["Module"]
        for r in output.records(BATCHES) + rest.records(BATCHES)
        if r["_tenant"] == "B"
    }
    assert keys == {row["BatchNbr"] + row["Module"] for row in three.rows(BATCHES, "B")}  # type: ignore[operator] # texts


def test_a_tenant_that_is_down_during_discovery_is_left_out_of_the_run(three: Sandbox) -> None:
    take_down(three, "B")
    output = run(settings(three, SALES, USERS))
    assert isinstance(output.error, TenantsFailed)
    assert list(output.error.failed) == ["B"]
    counts = delivered(output, SALES)
    assert counts == {"A": counts["A"], "B": 0, "C": counts["C"]}
    assert counts["A"]
    assert counts["C"]


def test_a_catalog_is_not_made_without_one_of_its_tenants(three: Sandbox) -> None:
    take_down(three, "B")
    with pytest.raises(TenantsFailed, match="The tenant B"):
        discover(settings(three, SALES))


def test_when_all_tenants_are_down_each_has_its_sentence(three: Sandbox) -> None:
    catalog = select_all(discover(settings(three, TERMS)))
    three.faults.add(Fault("unavailable"))
    output = run(settings(three, TERMS), catalog=catalog)
    assert isinstance(output.error, TenantsFailed)
    assert len(output.error.sentences) == 3


def test_a_tenant_without_rights_has_failed_and_one_refused_stream_is_skipped(
    three: Sandbox,
) -> None:
    for stream in (SALES, TERMS):
        three.forbid(stream, tenant="B")
    three.forbid(SALES, tenant="C")
    output = run(settings(three, SALES, TERMS))
    assert isinstance(output.error, TenantsFailed)
    assert list(output.error.failed) == ["B"]
    assert delivered(output, TERMS)["C"] > 0


def test_a_stream_that_was_read_before_is_missed_in_its_tenant(three: Sandbox) -> None:
    first = run(settings(three, SALES, TERMS))
    three.forbid(SALES, tenant="C")
    output = run(settings(three, SALES, TERMS), state=first.state)
    assert isinstance(output.error, TenantsFailed)
    assert list(output.error.failed) == ["C"]


def test_a_wrong_password_stops_all_tenants_at_once(three: Sandbox) -> None:
    catalog = select_all(discover(settings(three, SALES, TERMS)))
    three.reset_counters()
    output = run(settings(three, SALES, TERMS, password="wrong", max_pool_size=4), catalog=catalog)
    assert isinstance(output.error, RequestFailed)
    assert output.error.cause == "sign-in refused"
    assert three.counters().unauthorized == 1


def test_a_single_tenant_that_fails_says_so_in_its_own_words(three: Sandbox) -> None:
    take_down(three, "B")
    output = run({**settings(three, SALES), "tenants": ["B"]})
    assert isinstance(output.error, AcumaticaError)
    assert not isinstance(output.error, TenantsFailed)


def test_versions_are_not_activated_where_a_tenant_failed(three: Sandbox) -> None:
    config = settings(three, TERMS, emit_activate_version_messages=True, tracking_type="none")
    catalog = select_all(discover(config))
    assert "ACTIVATE_VERSION" in run(config, catalog=catalog).types()
    take_down(three, "B")
    assert "ACTIVATE_VERSION" not in run(config, catalog=catalog).types()


def test_the_last_lines_are_a_sentence_for_each_tenant_that_failed(
    three: Sandbox, tmp_path: Path
) -> None:
    config = settings(three, SALES, USERS)
    take_down(three, "A")
    take_down(three, "C")
    finished = run_command("--config", write_json(tmp_path / "c.json", config))
    assert finished.returncode == 3
    first, second = finished.stderr.strip().splitlines()[-3:-1]
    assert ("The tenant A" in first, "The tenant C" in second) == (True, True)
    messages = [json.loads(line) for line in finished.stdout.splitlines()]
    assert {m["record"]["_tenant"] for m in messages if m["type"] == "RECORD"} == {"B"}


@pytest.mark.parametrize("tenants", [["Company"], ["company b"], None])
def test_rows_of_a_tenant_that_a_run_does_not_read_are_not_retired(
    tenants: list[str] | None,
) -> None:
    with Sandbox(now=NOW, tenants=["Company", "Company B"]) as box:
        config = settings_for(box, TERMS, tracking_type="none", emit_activate_version_messages=True)
        both = run({**config, "tenants": ["Company", "Company B"]})
        assert both.error is None
        assert "ACTIVATE_VERSION" in both.types()
        one = {"url": f"{box.url}/t/Company"}
        fewer = {**config, **({"tenants": tenants} if tenants else one)}
        refused = run(fewer, state=both.state)
        assert "would retire its rows" in str(refused.error)
        assert not refused.messages
        if tenants == ["Company"]:
            silent = {**fewer, "emit_activate_version_messages": False}
            assert run(silent, state=both.state).error is None
            dated = {**fewer, "tracking_type": "date"}
            assert run(dated, state=both.state).error is None
        again = run({**config, "tenants": ["Company B", "Company"]}, state=both.state)
        assert again.error is None
