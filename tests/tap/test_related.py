"""Related records arrive with the rows, and equal a join over the server's tables."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from support.running import NOW, discover, run, select_all, settings_for

from sandbox import Fault, Sandbox
from sandbox.store import joined
from tap_acumatica.odata.errors import (
    DiscoveryError,
    InconsistentAnswer,
    RequestFailed,
    SettingsError,
)

LEDGER = "PX_Objects_GL_GLTran"
SALES = "PX_Objects_SO_SOOrder"
ITEM = "InventoryItemByInventoryID"
LINES = f"SOLineCollection(LineNbr,OrderQty,CuryUnitPrice,{ITEM}(InventoryCD))"
EXPAND = {
    "gltran": ["AccountByAccountID(AccountCD,Description)", "SubBySubID(SubCD)"],
    SALES: [LINES],
}


def ledger_lines(box: Sandbox) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    """The account and subaccount of each ledger line, joined in the database."""
    names = [f"PX.Objects.GL.{name}" for name in ("GLTran", "Account", "Sub")]
    tran, account, sub = (box.store.table(box.model.find(name), "Company") for name in names)
    sql = joined(
        "SELECT BatchNbr, LineNbr, Module, AccountCD, a.Description, SubCD FROM",
        *(tran, "t"),
        *("LEFT JOIN", account, "a ON a.AccountID = t.AccountID"),
        *("LEFT JOIN", sub, "s ON s.SubID = t.SubID"),
    )
    return {tuple(row[:3]): tuple(row[3:]) for row in box.store.read(sql)}


def order_lines(box: Sandbox) -> list[tuple[Any, ...]]:
    """The lines of all orders with their items' codes, joined in the database."""
    line, item = (
        box.store.table(box.model.find(name), "Company") for name in ("SOLine", "InventoryItem")
    )
    sql = joined(
        "SELECT OrderType, OrderNbr, LineNbr, OrderQty, CuryUnitPrice, InventoryCD FROM",
        *(line, "l LEFT JOIN", item, "i ON i.InventoryID = l.InventoryID"),
    )
    return sorted(box.store.read(sql))


def test_related_records_are_what_a_join_gives(box: Sandbox) -> None:
    settings = settings_for(box, "GLTran", "SOOrder", expand=EXPAND)
    catalog = {"streams": list(discover(settings).values())}
    box.reset_counters()
    output = run(settings, catalog=catalog)
    assert output.error is None
    assert box.counters().metadata_requests == 0
    lines = ledger_lines(box)
    records = output.records(LEDGER)
    assert len(records) == len(lines)
    for record in records:
        account, sub = record["AccountByAccountID"], record["SubBySubID"]
        key = (record["BatchNbr"], record["LineNbr"], record["Module"])
        assert (account["AccountCD"], account["Description"], sub["SubCD"]) == lines[key]
        assert (len(account), len(sub)) == (2, 1)
    assert "AccountID" not in records[0]
    delivered = [
        (
            order["OrderType"],
            order["OrderNbr"],
            line["LineNbr"],
            str(line["OrderQty"]),
            str(line["CuryUnitPrice"]),
            line[ITEM]["InventoryCD"],
        )
        for order in output.records(SALES)
        for line in order["SOLineCollection"]
    ]
    assert sorted(delivered) == [
        (*row[:3], str(Decimal(str(row[3]))), str(Decimal(str(row[4]))), row[5])
        for row in order_lines(box)
    ]


def test_they_come_in_the_same_requests(box: Sandbox) -> None:
    counts = []
    for expand in ({}, EXPAND):
        box.reset_counters()
        assert run(settings_for(box, "GLTran", "SOOrder", expand=expand)).error is None
        counts.append(box.counters().data_requests)
    assert counts[0] == counts[1]


def test_their_columns_are_typed_as_the_metadata_says(box: Sandbox) -> None:
    columns = discover(settings_for(box, "SOOrder", expand=EXPAND))[SALES]["schema"]["properties"]
    lines = columns["SOLineCollection"]
    assert lines["type"] == ["array", "null"]
    line = lines["items"]["properties"]
    assert list(line) == ["LineNbr", "OrderQty", "CuryUnitPrice", ITEM]
    assert line["LineNbr"]["type"] == ["integer", "null"]
    assert line["OrderQty"]["type"] == ["number", "null"]
    assert line[ITEM]["type"] == ["object", "null"]
    assert line[ITEM]["properties"]["InventoryCD"]["type"] == ["string", "null"]


def test_without_a_list_all_columns_come_that_can_be_read_but_no_passwords(box: Sandbox) -> None:
    expand = {"Customer": ["ContactCollection", "UsersByCreatedByID"]}
    settings = settings_for(box, "Customer", expand=expand)
    columns = discover(settings)["PX_Objects_AR_Customer"]["schema"]["properties"]
    readable = {column.name for column in box.model.find("Contact").readable}
    assert columns["ContactCollection"]["items"]["properties"].keys() == readable
    users = {column.name for column in box.model.find("Users").readable}
    assert columns["UsersByCreatedByID"]["properties"].keys() == users - {"Password"}
    expand = {"customer": ["UsersByCreatedByID(password)"]}
    columns = discover({**settings, "expand": expand})["PX_Objects_AR_Customer"]["schema"]
    assert columns["properties"]["UsersByCreatedByID"]["properties"].keys() == {"Password"}


def test_a_target_has_the_columns_of_its_base_and_not_what_is_restricted(box: Sandbox) -> None:
    expand = {"SOOrder": ["customerbycustomerid(acctcd,customerclassid)"]}
    output = run(settings_for(box, "SOOrder", expand=expand))
    customers = {row["BAccountID"]: row for row in box.rows("Customer")}
    for record in output.records(SALES):
        customer = customers[record["CustomerID"]]
        assert record["CustomerByCustomerID"] == {
            "AcctCD": customer["AcctCD"],
            "CustomerClassID": customer["CustomerClassID"],
        }
    settings = settings_for(box, "SOOrder", expand={"SOOrder": ["CustomerByCustomerID(NoteText)"]})
    with pytest.raises(DiscoveryError, match="NoteText, which is no column of PX_Objects_AR_Cust"):
        discover(settings)


def deselect(stream: dict[str, Any], *breadcrumbs: tuple[str, ...]) -> None:
    for entry in stream["metadata"]:
        if tuple(entry["breadcrumb"][1::2]) in breadcrumbs:
            entry["metadata"]["selected"] = False


def expand_options(box: Sandbox) -> list[str]:
    """The `$expand` option of each request for rows."""
    return [request.query["$expand"] for request in box.log if "$expand" in request.query]


def test_columns_of_related_records_are_selected_one_by_one(box: Sandbox) -> None:
    settings = settings_for(box, "GLTran", "SOOrder", expand=EXPAND)
    streams = discover(settings)
    deselect(streams[LEDGER], ("AccountByAccountID", "Description"), ("SubBySubID",))
    deselect(
        streams[SALES], ("SOLineCollection", "OrderQty"), ("SOLineCollection", ITEM, "InventoryCD")
    )
    box.reset_counters()
    output = run(settings, catalog={"streams": list(streams.values())})
    assert output.error is None
    for record in output.records(LEDGER):
        assert record["AccountByAccountID"].keys() == {"AccountCD"}
        assert "SubBySubID" not in record
    for record in output.records(SALES):
        assert all(r.keys() == {"LineNbr", "CuryUnitPrice"} for r in record["SOLineCollection"])
    assert set(expand_options(box)) == {
        "AccountByAccountID($select=AccountCD)",
        "SOLineCollection($select=LineNbr,CuryUnitPrice)",
    }
    schemas = {m["stream"]: m["schema"] for m in output.messages if m["type"] == "SCHEMA"}
    ledger = schemas[LEDGER]["properties"]
    assert ledger["AccountByAccountID"]["properties"].keys() == {"AccountCD"}
    assert "SubBySubID" not in ledger
    lines = schemas[SALES]["properties"]["SOLineCollection"]["items"]
    assert lines["properties"].keys() == {"LineNbr", "CuryUnitPrice"}


def test_related_records_without_a_selected_column_are_not_read(box: Sandbox) -> None:
    settings = settings_for(box, "GLTran", expand={"GLTran": ["SubBySubID(SubCD)"]})
    streams = discover(settings)
    deselect(streams[LEDGER], ("SubBySubID", "SubCD"))
    box.reset_counters()
    output = run(settings, catalog={"streams": list(streams.values())})
    assert "SubBySubID" not in output.records(LEDGER)[0]
    assert expand_options(box) == []


def test_an_object_that_is_a_column_is_not_taken_for_a_related_record(box: Sandbox) -> None:
    stream = discover(settings_for(box, "GLTran", expand=EXPAND))[LEDGER]
    stream["schema"]["properties"]["Part"] = {
        "type": ["object", "null"],
        "properties": {"Value": {"type": ["string", "null"]}},
    }
    box.reset_counters()
    output = run(settings_for(box, "GLTran"), catalog=select_all({LEDGER: stream}))
    assert isinstance(output.error, RequestFailed), "the server has no such column"
    queries = [request.query for request in box.log if "$select" in request.query]
    select = max((query["$select"].split(",") for query in queries), key=len)
    assert "Part" in select
    assert "AccountByAccountID" not in select


@pytest.mark.parametrize("shown", ["utc", "naive", "offset"])
def test_instants_within_are_converted_as_elsewhere(shown: Any) -> None:
    with Sandbox(now=NOW, time_zone="GMTM0500G", shown=shown) as box:
        settings = settings_for(
            box,
            "SOOrder",
            expand={"SOOrder": ["SOLineCollection(OrderDate,CreatedDateTime)"]},
            time_zone="America/New_York",
            page_size=100,
        )
        lines = {(row["OrderType"], row["OrderNbr"]): row for row in box.rows("SOLine")}
        records = run(settings).records(SALES)
        assert len(records) == len(lines)
        for record in records:
            line = lines[record["OrderType"], record["OrderNbr"]]
            assert record["SOLineCollection"][-1] == {
                "OrderDate": line["OrderDate"],
                "CreatedDateTime": line["CreatedDateTime"],
            }


def test_decimals_within_are_strings_where_they_are_elsewhere(box: Sandbox) -> None:
    settings = settings_for(box, "SOOrder", expand=EXPAND, decimals="decimal(38,10)")
    schema = discover(settings)[SALES]["schema"]["properties"]["SOLineCollection"]["items"]
    assert schema["properties"]["OrderQty"]["format"] == "x-singer.decimal"
    (record, *_) = run(settings).records(SALES)
    assert isinstance(record["SOLineCollection"][0]["OrderQty"], str)


def test_flattened_they_are_columns_beside_the_others(box: Sandbox) -> None:
    flattening = {"flattening_enabled": True, "flattening_max_depth": 1}
    output = run(settings_for(box, "GLTran", "SOOrder", expand=EXPAND, **flattening))
    lines = ledger_lines(box)
    assert len(output.records(LEDGER)) == len(lines)
    for record in output.records(LEDGER):
        assert (
            record["AccountByAccountID__AccountCD"],
            record["AccountByAccountID__Description"],
            record["SubBySubID__SubCD"],
        ) == lines[record["BatchNbr"], record["LineNbr"], record["Module"]]
    delivered = [
        (order["OrderType"], order["OrderNbr"], line["LineNbr"], str(line["OrderQty"]))
        for order in output.records(SALES)
        for line in json.loads(order["SOLineCollection"], parse_float=Decimal)
    ]
    assert sorted(delivered) == [tuple(map(as_text, row[:4])) for row in order_lines(box)]


CUSTOMER = "CustomerByCustomerID"
CONTACT = f"{CUSTOMER}__ContactByDefContactID"


@pytest.mark.parametrize(
    ("depth", "contact"),
    [(1, {CONTACT: None}), (2, {f"{CONTACT}__EMail": None}), (3, {f"{CONTACT}__EMail": None})],
)
def test_flattened_what_is_not_there_has_the_same_columns_as_what_is(
    box: Sandbox, depth: int, contact: dict[str, None]
) -> None:
    box.insert("SOOrder", {"OrderType": "XX", "OrderNbr": "XX1"})
    box.clock.advance(60)
    expand = {"SOOrder": [f"{CUSTOMER}(AcctCD,ContactByDefContactID(EMail))"]}
    flattening = {"flattening_enabled": True, "flattening_max_depth": depth}
    output = run(settings_for(box, "SOOrder", expand=expand, **flattening))
    (schema,) = [m["schema"]["properties"] for m in output.messages if m["type"] == "SCHEMA"]
    records = {record["OrderNbr"]: record for record in output.records(SALES)}
    related = {name for name in schema if name.startswith(CUSTOMER)}
    assert {n: v for n, v in records["XX1"].items() if n in related} == {
        f"{CUSTOMER}__AcctCD": None,
        **contact,
    }
    assert all(record.keys() == schema.keys() for record in records.values())


def as_text(value: Any) -> Any:
    return value if isinstance(value, int) else str(value)


def test_a_query_too_long_asks_for_all_columns_but_for_no_other_records(box: Sandbox) -> None:
    expand = {"SOOrder": ["SOLineCollection", "CustomerByCustomerID(AcctCD)"]}
    settings = settings_for(box, "SOOrder", expand=expand, max_url_length=256)
    streams = discover(settings)
    box.reset_counters()
    output = run(settings, catalog={"streams": list(streams.values())})
    assert output.error is None
    assert set(expand_options(box)) == {"SOLineCollection,CustomerByCustomerID"}
    columns = streams[SALES]["schema"]["properties"]["SOLineCollection"]["items"]["properties"]
    for record in output.records(SALES):
        assert record["SOLineCollection"][0].keys() == columns.keys()
        assert record["CustomerByCustomerID"].keys() == {"AcctCD"}


def test_a_column_that_turns_out_to_be_virtual_is_left_out_of_related_records(
    box: Sandbox,
) -> None:
    settings = settings_for(box, "SOOrder", expand={"SOOrder": ["CustomerByCustomerID"]})
    streams = discover(settings)
    customer = streams[SALES]["schema"]["properties"]["CustomerByCustomerID"]["properties"]
    customer["NoteText"] = {"type": ["string", "null"]}
    output = run(settings, catalog={"streams": list(streams.values())})
    assert output.error is None
    assert "NoteText" not in output.records(SALES)[0]["CustomerByCustomerID"]
    assert "AcctCD" in output.records(SALES)[0]["CustomerByCustomerID"]


def test_a_server_that_does_not_expand_is_an_error(box: Sandbox) -> None:
    settings = settings_for(box, "GLTran", expand=EXPAND)
    box.faults.add(
        Fault(
            "error",
            match=r"\$expand",
            status=501,
            message="The query option '$expand' is not supported.",
        )
    )
    error = run(settings).error
    assert isinstance(error, RequestFailed)
    assert "'$expand' is not supported" in str(error)


@pytest.mark.parametrize("expand", [LINES, f"CustomerByCustomerID(AcctCD),{LINES}"])
def test_lists_of_which_the_server_keeps_the_rest_back_are_an_error(
    box: Sandbox, expand: str
) -> None:
    settings = settings_for(box, "SOOrder", expand={"SOOrder": [expand]})
    box.faults.add(Fault("related_cap", rows=5))
    assert run(settings).error is None, "no order has more lines"
    box.faults.clear()
    box.faults.add(Fault("related_cap", rows=4))
    error = run(settings).error
    assert isinstance(error, InconsistentAnswer)
    assert "only part of SOLineCollection with a row of PX_Objects_SO_SOOrder" in str(error)


def test_lists_within_related_records_are_looked_at_too(box: Sandbox) -> None:
    expand = f"{ITEM}(InventoryCD,INLocationStatusCollection(QtyOnHand))"
    box.faults.add(Fault("related_cap", rows=1, match="INLocationStatusCollection"))
    settings = settings_for(box, "SOLine", expand={"SOLine": [expand]})
    error = run(settings).error
    assert isinstance(error, InconsistentAnswer)
    assert "only part of INLocationStatusCollection with a row of PX_Objects_SO_SO" in str(error)


@pytest.mark.parametrize(
    ("expand", "sentence"),
    [
        (
            {"GLTran": ["AccountByAccount(AccountCD)"]},
            r"AccountByAccount, which is no nav.*GLTran .*\(similar names: AccountByAccountID",
        ),
        (
            {"GLTran": ["AccountByAccountID(AcountCD)"]},
            r"AcountCD, which is no column of PX_Objects_GL_Account .*\(similar names: AccountCD",
        ),
        ({"SOOrder": [f"SOLineCollection({ITEM})"]}, rf"\(similar names: {ITEM}\(\)"),
        ({"SOOrder": ["SOLineCollection(Xyz())"]}, r"\(similar names: none\)"),
        (
            {"GLTran": ["SubBySubID", "subbysubid(SubCD)"]},
            "names SubBySubID of PX_Objects_GL_GLTran more than once",
        ),
        ({"Nothing": ["A"]}, "names Nothing, but the instance has no such entity"),
    ],
)
def test_what_is_not_there_is_an_error_that_names_what_is(
    box: Sandbox, expand: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises(DiscoveryError, match=sentence):
        discover(settings_for(box, "GLTran", "SOOrder", expand=expand))


def test_a_setting_that_cannot_be_read_is_an_error() -> None:
    with Sandbox(empty=True) as box:
        error = run(settings_for(box, "GLTran", expand={"GLTran": ["A(B(C(D())))"]})).error
    assert isinstance(error, SettingsError)
    assert "cannot be read for GLTran (D is nested deeper than 3 levels" in str(error)


def test_an_entity_that_is_left_out_may_be_named(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    assert discover(settings_for(box, "SOOrder", expand=EXPAND)).keys() == {SALES}
    assert "expand names gltran, which entities or exclude_entities leaves out" in caplog.text
