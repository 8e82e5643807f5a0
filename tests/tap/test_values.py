"""How decimals and texts are written, in every way of running."""

from __future__ import annotations

import json
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support.running import (
    NOW,
    Output,
    discover,
    last_line,
    run,
    run_command,
    select_all,
    settings_for,
    write_json,
)

from sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

VALUES = (Path(__file__).parents[2] / "docs" / "values.md").read_text("utf-8")
LEDGER = "PX_Objects_GL_GLTran"
ITEMS = "PX_Objects_IN_InventoryItem"
SALES = "PX_Objects_SO_SOOrder"
LINES = "SOLineCollection"
AMOUNTS = {
    "0.30000000000000004": "0.30000000000000004",
    "9007199254740993.0000": "9007199254740993.0000",
    "-1.100000": "-1.100000",
    "0.0000": "0.0000",
}
TYPE = {"format": "x-singer.decimal", "precision": 38, "scale": 20}
EXACT = "decimal(38,20)"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as box:
        items = box.rows(ITEMS)
        for item, amount in zip(items, AMOUNTS, strict=False):
            key = {"InventoryCD": item["InventoryCD"]}
            box.update(ITEMS, key, {"RecPrice": Decimal(amount)})
        box.clock.advance(60)  # past the changes, so that the window includes them
        yield box


def amounts(box: Sandbox, column: str = "RecPrice") -> list[str]:
    return sorted(f"{row[column]:f}" for row in box.rows(ITEMS))


def schema_of(messages: list[dict[str, Any]], stream: str) -> dict[str, Any]:
    """The columns of the stream's SCHEMA message."""
    (schema,) = [m for m in messages if m["type"] == "SCHEMA" and m["stream"] == stream]
    columns: dict[str, Any] = schema["schema"]["properties"]
    return columns


def keywords(column: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in column.items() if name not in {"type", "title"}}


@pytest.mark.parametrize(
    ("decimals", "expected"),
    [("number", {}), ("text", {"pattern": r"^-?[0-9]+(\.[0-9]+)?$"}), (EXACT, TYPE)],
)
@pytest.mark.parametrize("from_catalog", [False, True])
def test_decimals_keep_their_digits_and_the_schema_says_how_they_are_written(
    box: Sandbox, decimals: str, expected: dict[str, Any], from_catalog: bool
) -> None:
    settings = settings_for(box, "InventoryItem", decimals=decimals)
    arguments = {"catalog": select_all(discover(settings))} if from_catalog else {}
    output = run(settings, **arguments)
    column = schema_of(output.messages, ITEMS)["RecPrice"]
    assert keywords(column) == expected
    written = [record["RecPrice"] for record in output.records(ITEMS)]
    kind = int | Decimal if decimals == "number" else str
    assert all(isinstance(value, kind) for value in written)
    assert sorted(map(str, written)) == amounts(box)


def test_a_catalog_says_how_decimals_are_written_whatever_the_setting_says_now(
    box: Sandbox,
) -> None:
    streams = select_all(discover(settings_for(box, "InventoryItem", decimals=EXACT)))
    output = run(settings_for(box, "InventoryItem"), catalog=streams)
    assert keywords(schema_of(output.messages, ITEMS)["RecPrice"]) == TYPE
    assert sorted(record["RecPrice"] for record in output.records()) == amounts(box)


@pytest.mark.parametrize("discovered", ["number", "text"])
def test_a_catalog_from_before_the_setting_is_told(
    box: Sandbox, caplog: pytest.LogCaptureFixture, discovered: str
) -> None:
    streams = select_all(discover(settings_for(box, "InventoryItem", decimals=discovered)))
    for decimals in ("number", "text", EXACT):
        caplog.clear()
        run(settings_for(box, "InventoryItem", decimals=decimals), catalog=deepcopy(streams))
        told = "which the setting decimals does not change" in caplog.text
        assert told == (discovered == "number" and decimals != "number")


def test_a_catalog_whose_decimals_the_user_made_texts_is_not_told_to_be_old(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    streams = select_all(discover(settings_for(box, "InventoryItem")))
    for column in streams["streams"][0]["schema"]["properties"].values():
        if column["type"] == ["number", "null"]:
            column["type"] = ["string", "null"]
    output = run(settings_for(box, "InventoryItem", decimals=EXACT), catalog=streams)
    assert sorted(record["RecPrice"] for record in output.records()) == amounts(box)
    assert "which the setting decimals does not change" not in caplog.text


def test_the_precision_reaches_the_schema_from_a_catalog_file(box: Sandbox, tmp_path: Path) -> None:
    settings = settings_for(box, "InventoryItem", decimals=EXACT)
    config = write_json(tmp_path / "config.json", settings)
    discovered = run_command("--config", config, "--discover")
    catalog = tmp_path / "catalog.json"
    catalog.write_text(discovered.stdout)
    finished = run_command("--config", config, "--catalog", str(catalog))
    messages = [json.loads(line) for line in finished.stdout.splitlines()]
    assert keywords(schema_of(messages, ITEMS)["RecPrice"]) == TYPE


@pytest.mark.parametrize("from_catalog", [False, True])
def test_the_precision_passes_through_stream_maps_flattening_and_related_records(
    box: Sandbox, from_catalog: bool
) -> None:
    settings = settings_for(
        box,
        "InventoryItem",
        "SOOrder",
        decimals=EXACT,
        expand={"SOOrder": [f"{LINES}(OrderQty)", "CustomerByCustomerID(CreditLimit)"]},
        stream_maps={ITEMS: {"__alias__": "items", "rec_price": "RecPrice", "RecPrice": None}},
        flattening_enabled=True,
        flattening_max_depth=1,
    )
    arguments = {"catalog": select_all(discover(settings))} if from_catalog else {}
    output = run(settings, **arguments)
    assert keywords(schema_of(output.messages, "items")["rec_price"]) == TYPE
    assert sorted(record["rec_price"] for record in output.records("items")) == amounts(box)
    limit = schema_of(output.messages, SALES)["CustomerByCustomerID__CreditLimit"]
    assert keywords(limit) == TYPE


@pytest.mark.parametrize("from_catalog", [False, True])
def test_the_precision_reaches_the_columns_of_related_records(
    box: Sandbox, from_catalog: bool
) -> None:
    expand = {"SOOrder": [f"{LINES}(OrderQty)", "CustomerByCustomerID(CreditLimit)"]}
    settings = settings_for(box, "SOOrder", decimals=EXACT, expand=expand)
    arguments = {"catalog": select_all(discover(settings))} if from_catalog else {}
    columns = schema_of(run(settings, **arguments).messages, SALES)
    assert keywords(columns[LINES]["items"]["properties"]["OrderQty"]) == TYPE
    assert keywords(columns["CustomerByCustomerID"]["properties"]["CreditLimit"]) == TYPE


def test_a_value_that_does_not_fit_ends_the_run_before_it_is_written(
    box: Sandbox, tmp_path: Path
) -> None:
    settings = settings_for(box, "InventoryItem", decimals="decimal(19,6)")
    finished = run_command("--config", write_json(tmp_path / "config.json", settings))
    assert finished.returncode == 78
    (item,) = [row for row in box.rows(ITEMS) if str(row["RecPrice"]) == "0.30000000000000004"]
    sentence = last_line(finished)
    for part in (ITEMS, f"InventoryCD={item['InventoryCD']}", "RecPrice", "0.30000000000000004"):
        assert part in sentence
    assert "decimal(19,6)" in sentence
    records = [line for line in finished.stdout.splitlines() if '"RECORD"' in line]
    assert "0.3000" not in "".join(records)


@pytest.mark.parametrize("decimals", ["number", "text", "decimal(38,10)"])
def test_doubles_and_integers_are_numbers_whatever_decimals_are(decimals: str) -> None:
    with Sandbox(now=NOW) as box:
        entity = "Contoso_Objects_RX_RXSubscription"
        score, volume = 1.5e-12, Decimal("12.5")
        row = {"SubscriptionCD": "NEW", "Amount": 1, "UsrScore": score, "UsrVolume": volume}
        box.insert(entity, row)
        box.declare(entity, types={"CustomerID": "Edm.Int64", "UsrChannel": "Edm.Single"})
        box.update(entity, {"SubscriptionCD": "NEW"}, {"CustomerID": 2**63 - 1, "UsrChannel": 3})
        box.clock.advance(60)
        output = run(settings_for(box, "RXSubscription", decimals=decimals))
        (record,) = [r for r in output.records(entity) if r["SubscriptionCD"] == "NEW"]
        assert float(record["UsrScore"]) == score
        assert (record["CustomerID"], record["UsrChannel"]) == (2**63 - 1, 3)
        assert isinstance(record["UsrVolume"], Decimal if decimals == "number" else str)
        columns = schema_of(output.messages, entity)
        assert columns["CustomerID"]["maximum"] == 2**63 - 1
        assert columns["UsrScore"]["type"] == columns["UsrChannel"]["type"] == ["number", "null"]


# Trimmed texts


def codes(box: Sandbox, entity: str, column: str) -> list[str]:
    """The codes of an entity, as the server has them."""
    found = [str(row[column]) for row in box.rows(entity)]
    assert any(code.endswith(" ") for code in found)
    return sorted(found)


@pytest.mark.parametrize("page_size", [10, 2000])
@pytest.mark.parametrize("method", ["FULL_TABLE", "INCREMENTAL"])
def test_a_trimmed_key_is_read_by_the_codes_with_their_blanks(
    box: Sandbox, page_size: int, method: str
) -> None:
    settings = settings_for(box, "InventoryItem", page_size=page_size, trim_strings=True)
    streams = discover(settings)
    streams[ITEMS]["replication_method"] = method
    output = run(settings, catalog=select_all(streams))
    assert output.error is None
    expected = [code.rstrip(" ") for code in codes(box, ITEMS, "InventoryCD")]
    assert sorted(record["InventoryCD"] for record in output.records()) == expected
    if page_size == 10 and method == "FULL_TABLE":
        places = [request.query.get("$filter", "") for request in box.log]
        assert any(place.endswith(" '") for place in places)


def test_related_records_and_inquiries_join_by_trimmed_codes(box: Sandbox) -> None:
    settings = settings_for(
        box,
        "GLTran",
        "GI_Chart_of_Accounts",
        "GI_SO_Order_Summary",
        expand={"GLTran": ["AccountByAccountID(AccountCD)"]},
        trim_strings=True,
    )
    for stream, records in grouped(run(settings)).items():
        texts = [text for record in records for text in texts_in(record)]
        assert texts, stream
        assert not [text for text in texts if text.endswith(" ")], stream
    padded = grouped(run(settings | {"trim_strings": False}))
    assert [text for text in texts_in(padded[LEDGER]) if text.endswith(" ")]


def grouped(output: Output) -> dict[str, list[dict[str, Any]]]:
    assert output.error is None
    streams = {m["stream"] for m in output.messages if m["type"] == "RECORD"}
    return {stream: output.records(stream) for stream in streams}


def texts_in(value: Any) -> Iterator[str]:
    """All texts in a value, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from texts_in(item)


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize(
    ("entity", "text_in_key"), [("InventoryItem", True), ("Contact", False), ("UploadFile", False)]
)
def test_a_change_of_trimming_is_a_change_of_keys_that_hold_a_text(
    box: Sandbox, before: bool, entity: str, text_in_key: bool
) -> None:
    settings = settings_for(box, entity, trim_strings=before, time_offset=0)
    first = run(settings)
    assert not run(settings, state=deepcopy(first.state)).records()
    changed = run(settings | {"trim_strings": not before}, state=deepcopy(first.state))
    assert len(changed.records()) == (len(first.records()) if text_in_key else 0)
    assert not run(settings | {"trim_strings": not before}, state=changed.state).records()


# Names


def test_the_recipe_for_names_gives_other_names_in_every_run(box: Sandbox) -> None:
    recipe = json.loads(VALUES.split("```json\n")[1].split("```")[0])
    settings = settings_for(box, "SOOrder", time_offset=0, **recipe)
    first = run(settings)
    (schema,) = [m for m in first.messages if m["type"] == "SCHEMA"]
    assert schema["stream"] == "sales_order"
    assert schema["key_properties"] == ["order_type", "order_nbr"]
    records = first.records("sales_order")
    assert len(records) == len(box.rows(SALES))
    names = {"order_type", "order_nbr", "order_total", "last_modified"}
    assert all(record.keys() == names for record in records)
    totals = {(r["OrderType"], r["OrderNbr"]): r["OrderTotal"] for r in box.rows(SALES)}
    assert {(r["order_type"], r["order_nbr"]): r["order_total"] for r in records} == totals
    assert not run(settings, state=deepcopy(first.state)).records()
    key = {"OrderType": records[0]["order_type"], "OrderNbr": records[0]["order_nbr"]}
    box.update(SALES, key, {"Status": "H"})
    box.clock.advance(60)
    assert [r["order_nbr"] for r in run(settings, state=first.state).records()] == [key["OrderNbr"]]
