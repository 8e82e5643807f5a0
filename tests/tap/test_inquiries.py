"""Generic inquiries, read by the whole tap from the sandbox, in both versions of OData."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from singer_sdk.singerlib.catalog import Catalog
from support.running import NOW, discover, run, select_all, settings_for

from sandbox import Fault, Sandbox
from sandbox.inquiries import Inquiry, Parameter
from sandbox.inquiries.made import INQUIRIES
from tap_acumatica.catalog.inquiries import appended, fit_length, sortable_columns
from tap_acumatica.discovery.inquiries import stream_names
from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import (
    DiscoveryError,
    InconsistentAnswer,
    RequestFailed,
    SettingsError,
)
from tap_acumatica.odata.paging import keyless
from tap_acumatica.run.failures import StreamsFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

V4, V3 = "/t/Company/api/odata/gi", "/odata/Company"
VALUES: dict[str, Any] = {
    "DB-StorageDetails": {"warehouse": "MAIN"},
    "GI_ItemAvailabilityData": {"InventoryID": None},
    "invoices of a period": {
        "From": "2025-01-01",
        "Least": "10.5",
        "Released": True,
        "Account": 1,
    },
}
BOUND = {
    "DB-StorageDetails": {"Warehouse": "'MAIN'"},
    "ItemAvailabilityData": {"InventoryID": "NULL"},
    "Invoices of a Period": {
        "From": "'2025-01-01T00:00:00.000000'",
        "Least": "10.5",
        "Released": "1",
        "Account": "1",
    },
}
NAMES = stream_names(inquiry.title for inquiry in INQUIRIES)
STATUS = "GI_Inventory_Status"
STATUS_KEY = ["Item", "Warehouse", "Location", "Subitem"]
STOCK = "PX_Objects_IN_INLocationStatus"


def inquiry_settings(
    box: Sandbox, path: str = V4, *entities: str, **changes: Any
) -> dict[str, Any]:
    """Settings that read inquiries with an account in UTC."""
    entities = entities or tuple(NAMES.values())
    more = {"url": box.url + path, "inquiry_parameters": VALUES, "time_zone": "UTC", **changes}
    return settings_for(box, *entities, **more)


def comparable(rows: Iterable[dict[str, Any]]) -> Counter[str]:
    """Rows regardless of their order, and of how instants and numbers are written."""
    return Counter(
        repr(sorted((name, _plain(value)) for name, value in row.items())) for row in rows
    )


def _plain(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        text = str(value)
        return text.replace("+00:00", "Z").replace("000Z", "Z") if text[-6:] == "+00:00" else text
    return str(Decimal(str(value)).normalize())


def instants(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the sandbox with the replication key as the tap writes it."""
    keys = {"LastModifiedOn", "LastModifiedDateTime"}
    return [
        {
            name: f"{value.rstrip('Z').partition('.')[0]}."
            f"{value.rstrip('Z').partition('.')[2].ljust(6, '0')}+00:00"
            if name in keys and value
            else value
            for name, value in row.items()
        }
        for row in rows
    ]


def metadata_paths(box: Sandbox) -> list[str]:
    """The paths of the requests for metadata."""
    return [request.path for request in box.log if request.kind == "metadata"]


@pytest.fixture(scope="module")
def forms() -> Any:
    """All inquiries, read in small pages as OData 4, OData 3 and Atom; and their rows."""
    with Sandbox(now=NOW) as box:
        outputs = [
            run(inquiry_settings(box, path, page_size=50, **more))
            for path, more in ((V4, {}), (V3, {}), (V3, {"data_format": "atom"}))
        ]
        rows = {
            inquiry.title: box.inquiry_rows(inquiry.title, **BOUND.get(inquiry.title, {}))
            for inquiry in INQUIRIES
        }
    return outputs, rows


@pytest.mark.parametrize("title", NAMES)
def test_every_inquiry_gives_the_rows_of_the_company_in_every_form(forms: Any, title: str) -> None:
    outputs, rows = forms
    expected = comparable(instants(rows[title]))
    assert expected, title
    for output in outputs:
        assert output.error is None
        assert comparable(output.records(NAMES[title])) == expected


def test_the_digits_of_decimals_are_equal_in_every_form(forms: Any) -> None:
    outputs, _ = forms
    for name in NAMES.values():
        texts = [
            sorted(msgspec.json.encode(record) for record in output.records(name))
            for output in outputs
        ]
        assert texts[0] == texts[1] == texts[2]


# Discovery


def test_one_catalog_holds_classes_and_inquiries(box: Sandbox) -> None:
    streams = discover(settings_for(box, url=f"{box.url}", tenants=["Company"]))
    assert {"PX_Objects_SO_SOOrder", STATUS} <= streams.keys()
    assert streams[STATUS]["table_name"] == "gi/v4/Inventory-Status"
    assert streams["PX_Objects_SO_SOOrder"]["table_name"] == "dac/v4/PX_Objects_SO_SOOrder"


@pytest.mark.parametrize(
    ("globs", "interfaces"),
    [
        (["GI_*"], {"gi"}),
        (["gi_inv*", "GI_AR*"], {"gi"}),
        (["PX_*"], {"dac"}),
        (["SOOrder", "GI_*"], {"dac", "gi"}),
        (["*Order*"], {"dac", "gi"}),
    ],
)
def test_metadata_are_fetched_only_of_what_globs_can_ask_for(
    box: Sandbox, globs: list[str], interfaces: set[str]
) -> None:
    streams = discover(settings_for(box, *globs, tenants=["Company"]))
    assert streams
    assert {path.split("/")[-2] for path in metadata_paths(box)} == interfaces


@pytest.mark.parametrize("excluded", ["GI_*", "*"])
def test_inquiries_that_are_all_excluded_are_not_asked_for(box: Sandbox, excluded: str) -> None:
    config = settings_for(box, tenants=["Company"], exclude_entities=[excluded])
    if excluded == "*":
        with pytest.raises(DiscoveryError, match="no entity that matches"):
            discover(config)
        assert metadata_paths(box) == []
    else:
        assert "PX_Objects_SO_SOOrder" in discover(config)
        assert len(metadata_paths(box)) == 1


@pytest.mark.parametrize(("interface", "prefix"), [("gi", "GI_"), ("dac", "PX_Objects_SO")])
def test_interfaces_limit_discovery(box: Sandbox, interface: str, prefix: str) -> None:
    streams = discover(settings_for(box, tenants=["Company"], interfaces=[interface]))
    assert [name for name in streams if name.startswith(prefix)]
    assert len(metadata_paths(box)) == 1


@pytest.mark.parametrize("path", [V4, V3])
def test_a_full_address_names_its_own_interface(box: Sandbox, path: str) -> None:
    streams = discover(settings_for(box, url=box.url + path))
    assert streams.keys() >= set(NAMES.values())
    assert not [name for name in streams if not name.startswith("GI_")]
    with pytest.raises(SettingsError, match="interfaces excludes"):
        discover(settings_for(box, url=box.url + path, interfaces=["dac"]))


@pytest.mark.parametrize(
    ("addresses", "version", "root"),
    [(("t/dac", "t/gi"), "v4", "/api/odata/gi/"), (("odatav4", "odata"), "v3", "/odata/Company/")],
)
def test_a_site_alone_finds_either_family_and_says_which(
    addresses: tuple[str, ...], version: str, root: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with Sandbox(now=NOW, addresses=addresses) as box:
        streams = discover(settings_for(box, tenants=["Company"], verbosity=2))
    assert streams[STATUS]["table_name"] == f"gi/{version}/Inventory-Status"
    assert "PX_Objects_SO_SOOrder" in streams
    assert any("generic inquiries" in m and m.endswith(root) for m in caplog.messages)


@pytest.mark.parametrize(
    ("addresses", "missing"),
    [(("t/dac",), "generic inquiries"), (("t/gi",), "data access classes")],
)
def test_an_interface_that_is_missing_is_a_warning(
    addresses: tuple[str, ...], missing: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Sandbox(now=NOW, addresses=addresses) as box:
        assert discover(settings_for(box, tenants=["Company"]))
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert any(missing in text and "left out" in text for text in warnings)


def test_both_interfaces_missing_is_an_error() -> None:
    with (
        Sandbox(now=NOW, addresses=()) as box,
        pytest.raises(DiscoveryError, match="no OData service of data access classes"),
    ):
        discover(settings_for(box, tenants=["Company"]))


def test_inquiries_that_may_not_be_seen_at_all_are_a_warning(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    box.faults.add(Fault("forbidden", match=r"gi/\$metadata"))
    assert "PX_Objects_SO_SOOrder" in discover(settings_for(box, tenants=["Company"]))
    assert "left out" in caplog.text


def test_a_failing_interface_is_no_missing_one(box: Sandbox) -> None:
    box.faults.add(Fault("redirect", match=r"gi/\$metadata"))
    with pytest.raises(RequestFailed, match="redirected"):
        discover(settings_for(box, tenants=["Company"]))


def test_an_inquiry_is_found_by_its_title(box: Sandbox) -> None:
    assert discover(inquiry_settings(box, V4, "so-order summary")).keys() == {"GI_SO_Order_Summary"}
    assert discover(inquiry_settings(box, V4, "2ND*")).keys() == {"GI_2nd_Quarter_Sales"}


def test_names_that_are_no_identifiers_become_streams(box: Sandbox) -> None:
    streams = discover(inquiry_settings(box, V3))
    assert {
        "GI_Продажи_по_клиентам",
        "GI_Formula_Dates_100_",
        "GI_Vendor_s_Orders",
    } <= streams.keys()
    assert "Größe" in streams["GI_2nd_Quarter_Sales"]["schema"]["properties"]
    namesakes = {name for name in streams if name.startswith("GI_AR_Aging_")}
    assert len(namesakes) == 2
    assert "GI_AR_Aging" not in streams


@given(st.lists(st.text(min_size=1), unique=True))
def test_every_title_has_a_stream_name_of_its_own_that_a_new_one_never_takes(
    titles: list[str],
) -> None:
    names = stream_names(titles)
    assert len({name.casefold() for name in names.values()}) == len(titles)
    for title in titles:
        alone = stream_names([title])[title]
        assert names[title] == alone or names[title].startswith(alone + "_")
    if titles:
        before = stream_names(titles[:-1])
        assert names[titles[-1]] not in before.values()


@given(st.integers(1, 6), st.integers(0, 6), st.integers(0, 6))
def test_columns_that_are_appended_are_the_last_keys_but_never_the_first_column(
    results: int, keys: int, extra: int
) -> None:
    columns = [f"R{n}" for n in range(results)] + [f"K{n}" for n in range(extra)]
    declared = columns[: min(keys, max(results - 1, 0))] + columns[results:]
    last_columns = appended(columns, declared)
    assert last_columns >= set(columns[results:])
    assert columns[0] not in last_columns
    assert sortable_columns(dict.fromkeys(columns, edm.STRING), declared) == [
        name for name in columns if name not in last_columns
    ]


def test_an_inquiry_is_not_ordered_by_what_cannot_be_written_or_sorted() -> None:
    schemas: dict[str, Any] = {
        "A": {"type": "integer"},
        "B C": {"type": "string"},
        "D": {"type": ["string", "null"], "contentEncoding": "base64"},
        "E": {"type": "array"},
        "Ж": {"type": ["string", "null"], "format": "date-time"},
    }
    types = {name: edm.from_schema(schema) for name, schema in schemas.items()}
    assert sortable_columns(types, ()) == ["A", "Ж"]
    assert fit_length(["A", "Ж", "B"], 8) == ("A",)
    assert fit_length(["A", "Ж", "B"], 9) == ("A", "Ж")


# Keys


def test_without_keys_records_are_appended_and_the_log_says_so_once(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    output = run(inquiry_settings(box, V4, STATUS, "GI_Payments"))
    schemas = [m for m in output.messages if m["type"] == "SCHEMA"]
    assert [m["key_properties"] for m in schemas] == [[], []]
    (warning,) = [message for message in caplog.messages if "appended" in message]
    assert STATUS in warning
    assert "GI_Payments" in warning


@pytest.mark.parametrize("path", [V4, V3])
@pytest.mark.parametrize("dated", [True, False])
def test_keys_from_the_settings_are_spelled_as_the_metadata_do_and_read_by(
    box: Sandbox, path: str, dated: bool, caplog: pytest.LogCaptureFixture
) -> None:
    more: dict[str, Any] = {} if dated else {"tracking_type": "none"}
    keys = {"inventory-status": [name.upper() for name in STATUS_KEY]}
    config = inquiry_settings(box, path, STATUS, inquiry_keys=keys, page_size=10, **more)
    streams = discover(config)
    assert streams[STATUS]["key_properties"] == STATUS_KEY
    box.reset_counters()
    output = run(config, catalog=select_all(streams))
    assert output.error is None
    assert "appended" not in caplog.text
    assert len(output.records(STATUS)) == len(box.rows(STOCK))
    filters = [request.query.get("$filter", "") for request in box.log]
    assert not any(" gt " in text for text in filters), "labels may sort unlike codes"
    assert not [request for request in box.log if "$count" in request.query]
    assert not [request for request in box.log if request.kind == "metadata"]


def test_a_key_column_that_is_none_is_refused_with_those_that_are_alike(box: Sandbox) -> None:
    config = inquiry_settings(box, V4, STATUS, inquiry_keys={STATUS: ["Warehose"]})
    with pytest.raises(DiscoveryError, match=r"no column Warehose.*\(similar names: Warehouse"):
        discover(config)


def test_a_key_of_an_inquiry_that_is_none_is_a_warning(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    discover(inquiry_settings(box, V4, STATUS, inquiry_keys={"GI_Inventory_Statos": ["Item"]}))
    assert "no such inquiry (similar names: GI_Inventory_Status" in caplog.text


def test_parameters_of_an_inquiry_that_is_none_are_a_warning(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    given = {**VALUES, "DB-StorageDetail": {"Warehouse": "MAIN"}}
    discover(inquiry_settings(box, V4, STATUS, inquiry_parameters=given))
    (warning,) = [each.message for each in caplog.records if "no such inquiry" in each.message]
    assert warning.startswith("The setting inquiry_parameters names DB-StorageDetail, but")
    assert "(similar names: DB-StorageDetails" in warning


def test_a_catalog_from_before_the_keys_were_set_is_refused(box: Sandbox) -> None:
    catalog = select_all(discover(inquiry_settings(box, V4, STATUS)))
    config = inquiry_settings(box, V4, STATUS, inquiry_keys={STATUS: STATUS_KEY})
    error = run(config, catalog=catalog).error
    assert isinstance(error, DiscoveryError)
    assert "does not fit the setting inquiry_keys" in str(error)


@pytest.mark.parametrize("more", [{}, {"tracking_type": "none"}])
def test_a_key_that_does_not_tell_rows_apart_is_an_error(
    box: Sandbox, more: dict[str, Any]
) -> None:
    box.bulk_update(STOCK, {"QtyOnHand": 1})
    box.clock.advance(60)
    config = inquiry_settings(box, V4, STATUS, inquiry_keys={STATUS: ["Warehouse"]}, **more)
    error = run(config).error
    assert isinstance(error, InconsistentAnswer)
    assert "have the same Warehouse" in str(error)


def test_appended_columns_are_a_key_by_which_nothing_is_filtered_or_sorted(box: Sandbox) -> None:
    keys = {"GI_Modified_Stock_Items": ["InventoryID_2", "LocationID", "SiteID"]}
    config = inquiry_settings(box, V4, "GI_Modified*", inquiry_keys=keys, page_size=10)
    for more in ({}, {"tracking_type": "none"}):
        box.reset_counters()
        output = run({**config, **more})
        assert output.error is None
        assert len(output.records()) == len(box.inquiry_rows("Modified Stock Items"))
        options = " ".join(f"{e.query.get('$filter')} {e.query.get('$orderby')}" for e in box.log)
        assert not [name for name in keys["GI_Modified_Stock_Items"] if name in options.split(",")]
        assert "InventoryID_2" not in options


def test_appended_columns_are_not_used_where_a_tenant_has_more_results() -> None:
    source = next(
        inquiry.source for inquiry in INQUIRIES if inquiry.title == "Modified Stock Items"
    )
    columns = "Item:s* = i.InventoryCD\nQtyOnHand:d = s.QtyOnHand\n{}Site:i+ = s.SiteID"
    condition = "CAST(s.QtyOnHand AS REAL)>100"
    with Sandbox(now=NOW, tenants=("A", "B")) as box:
        box.inquiries.add(Inquiry("Stock", source, columns.format(""), where=condition))
        more_columns = columns.format("QtyAvail:d = s.QtyAvail\n")
        box.inquiries.add(Inquiry("Stock", source, more_columns, where=condition), "B")
        output = run(settings_for(box, "GI_Stock", tenants=["A", "B"]))
        assert output.error is None
        for tenant in ("A", "B"):
            rows = box.inquiry_rows("Stock", tenant)
            assert 0 < len(rows) < len(box.rows(STOCK, tenant))
            records = [record for record in output.records() if record["_tenant"] == tenant]
            assert len(records) == len(rows)
        assert not [request for request in box.log if "Site" in request.query.get("$orderby", "")]


def test_an_inquiry_without_a_key_is_dated_in_many_tenants_too() -> None:
    with Sandbox(now=NOW, tenants=("A", "B")) as box:
        chosen = settings_for(box, STATUS, tenants=["A", "B"])
        assert discover(chosen)[STATUS]["replication_key"] == "LastModifiedOn"
        first = run(chosen)
        assert len(first.records()) == sum(len(box.rows(STOCK, tenant)) for tenant in ("A", "B"))
        box.clock.advance(7200)
        assert run(chosen, state=first.state).records() == []


# Parameters


@pytest.mark.parametrize("path", [V4, V3])
def test_an_inquiry_without_values_for_its_parameters_is_discovered_but_not_read(
    box: Sandbox, path: str
) -> None:
    config = inquiry_settings(box, path, "GI_DB_StorageDetails", inquiry_parameters={})
    streams = discover(config)
    assert "GI_DB_StorageDetails" in streams
    box.reset_counters()
    error = run(config, catalog=select_all(streams)).error
    assert isinstance(error, SettingsError)
    assert "Warehouse (Edm.String)" in str(error)
    assert box.counters().total == 0


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"Warehouse": "MAIN", "Colour": "red"}, r"sets \(Warehouse, Colour\)"),
        ({"Warehouse": {}}, r"The parameter Warehouse .* cannot be \{\}"),
    ],
)
def test_values_that_do_not_fit_stop_the_run(
    box: Sandbox, values: dict[str, Any], expected: str
) -> None:
    config = inquiry_settings(
        box, V4, "GI_DB_StorageDetails", inquiry_parameters={"DB-StorageDetails": values}
    )
    with pytest.raises(SettingsError, match=expected):
        raise run(config).error or AssertionError


def test_values_for_an_inquiry_that_has_no_parameters_stop_the_run(box: Sandbox) -> None:
    config = inquiry_settings(box, V4, STATUS, inquiry_parameters={STATUS: {"Item": 1}})
    sentence = "has no parameters, but inquiry_parameters sets Item: remove its entry."
    assert sentence in str(run(config).error)


def test_an_inquiry_with_parameters_in_one_tenant_alone_is_not_read_without_them() -> None:
    columns, source = "Item:s* = i.InventoryCD", "{InventoryItem} i"
    bound = Inquiry(
        "Items", source, columns, where="i.ItemStatus=:Status", parameters=(Parameter("Status"),)
    )
    with Sandbox(now=NOW, tenants=("A", "B")) as box:
        box.inquiries.add(Inquiry("Items", source, columns))
        box.inquiries.add(bound, "B")
        chosen = settings_for(box, "GI_Items", tenants=["A", "B"])
        error = run(chosen).error
        assert isinstance(error, DiscoveryError)
        assert "(A: none; B: Status (Edm.String))" in str(error)
        assert [request for request in box.log if request.kind == "data"] == []
        only = run({**chosen, "tenants": ["A"]})
        assert only.error is None
        assert len(only.records()) == len(box.rows("InventoryItem", "A"))


@pytest.mark.parametrize("path", [V4, V3])
@pytest.mark.parametrize("value", ["O'Neil & Söhne #1/2?", "100%", "+a b", "'"])
def test_any_text_reaches_the_inquiry_as_it_is(box: Sandbox, path: str, value: str) -> None:
    item = box.rows("PX_Objects_IN_InventoryItem")[0]
    key = {"InventoryCD": item["InventoryCD"]}
    box.delete("PX_Objects_IN_InventoryItem", key)
    box.insert("PX_Objects_IN_InventoryItem", {**item, "InventoryCD": value})
    values = {"ItemAvailabilityData": {"InventoryID": value}}
    output = run(inquiry_settings(box, path, "GI_ItemA*", inquiry_parameters=values))
    assert {record["InventoryID"] for record in output.records()} == {value}


def test_changed_values_read_the_stream_in_full(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    def reading(**values: Any) -> dict[str, Any]:
        parameters = {"From": "2025-01-01", "Least": 0.1, "Released": True, "Account": 1, **values}
        return inquiry_settings(
            box, V4, "GI_Invoices_*", inquiry_parameters={"Invoices of a Period": parameters}
        )

    first = run(reading())
    assert first.records()
    box.clock.advance(7200)
    state = msgspec.json.decode(msgspec.json.encode(first.state))
    assert run(reading(Least="0.1"), state=state).records() == []
    again = run(reading(Least=0), state=state)
    assert len(again.records()) >= len(first.records())
    assert "read in full, since the settings" in caplog.text


# Reading


@pytest.mark.parametrize("path", [V4, V3])
def test_an_incremental_run_brings_what_was_changed(box: Sandbox, path: str) -> None:
    config = inquiry_settings(box, path, STATUS)
    first = run(config)
    assert len(first.records()) == len(box.rows(STOCK))
    box.clock.advance(7200)
    row = box.rows(STOCK)[3]
    key = {n: row[n] for n in ("InventoryID", "LocationID", "SiteID", "SubItemID")}
    box.update(STOCK, key, {"QtyOnHand": 7})
    box.clock.advance(60)
    (record,) = run(config, state=first.state).records()
    assert (record["Item"], record["QtyOnHand"]) == (row["InventoryID"], 7)


@pytest.mark.parametrize("path", [V4, V3])
def test_a_formula_as_replication_key_is_read_in_full_and_claims_no_window(
    box: Sandbox, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = inquiry_settings(box, path, "GI_Formula*", "GI_AR_Aging*", page_size=10)
    assert discover(config)["GI_Formula_Dates_100_"]["replication_method"] == "INCREMENTAL"
    first = run(config)
    assert first.error is None
    name = "GI_Formula_Dates_100_"
    assert first.state["bookmarks"][name].keys() == {"was_read", "key", "columns", "schema"}
    assert "is read in full, since its replication key LastModifiedOn" in caplog.text
    rows = box.inquiry_rows("Formula & Dates 100%")
    assert comparable(first.records(name)) == comparable(instants(rows))
    second = run(config, state=first.state)
    assert len(second.records(name)) == len(rows)
    box.forbid("Formula & Dates 100%")
    assert isinstance(run(config, state=second.state).error, StreamsFailed)


def test_a_formula_as_key_leaves_reading_to_the_other_columns(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    config = inquiry_settings(
        box, V4, "GI_GL_*", inquiry_keys={"GL-Journal": ["Net", "Batch", "Line"]}
    )
    for more in ({}, {"tracking_type": "none"}):
        output = run({**config, "page_size": 100, **more})
        assert output.error is None
        assert len(output.records()) == len(box.inquiry_rows("GL-Journal"))
    assert "cannot be sorted by columns that seem to be formulas: Net." in caplog.text


def test_a_broken_inquiry_is_an_error_and_never_without_rows(box: Sandbox) -> None:
    for more in ({}, {"tracking_type": "none"}):
        error = run(inquiry_settings(box, V4, "GI_Broken*", **more)).error
        assert isinstance(error, RequestFailed)
        assert error.cause == "empty body"


def test_a_refusal_that_no_formula_explains_is_told(box: Sandbox) -> None:
    box.faults.add(Fault("error", match=r"\$filter", message="syntax error", status=400))
    error = run(inquiry_settings(box, V4, STATUS, page_size=10)).error
    assert isinstance(error, RequestFailed)
    assert error.cause == "query refused"


def test_a_failure_that_passes_is_no_formula(box: Sandbox) -> None:
    box.faults.add(Fault("empty_body", match=r"\$orderby", times=1))
    box.faults.add(Fault("forbidden", match="Payments", after=1))
    error = run(inquiry_settings(box, V4, "GI_Payments")).error
    assert isinstance(error, RequestFailed)
    assert error.cause == "no rights"


def test_a_refusal_under_way_is_not_blamed_on_formulas(box: Sandbox) -> None:
    box.faults.add(Fault("empty_body", match="Sales", after=2))
    error = run(inquiry_settings(box, V4, "GI_Sales*", page_size=10)).error
    assert isinstance(error, RequestFailed)
    assert error.cause == "empty body"


@pytest.mark.parametrize(("path", "client_side_paging"), [(V4, True), (V3, False)])
@pytest.mark.parametrize("style", ["absolute", "relative", "service", "query", "token"])
def test_next_links_of_either_version_lose_no_row(
    box: Sandbox, path: str, style: str, client_side_paging: bool
) -> None:
    box.faults.add(Fault("next_link", size=7, style=style))
    config = inquiry_settings(
        box, path, STATUS, "GI_Sales*", page_size=20, client_side_paging=client_side_paging
    )
    output = run(config)
    assert output.error is None
    assert len(output.records(STATUS)) == len(box.rows(STOCK))
    expected = box.inquiry_rows("Sales by Customer")
    assert comparable(output.records("GI_Sales_by_Customer")) == comparable(expected)


@pytest.mark.parametrize("kind", ["rows_cap", "shuffle", "nulls_last", "duplicate_row"])
def test_odd_answers_lose_no_row_of_an_inquiry(box: Sandbox, kind: str) -> None:
    box.faults.add(Fault(kind, rows=9) if kind == "rows_cap" else Fault(kind))
    box.insert(STOCK, {"InventoryID": 1, "LocationID": 1, "SiteID": 1, "SubItemID": 1})
    box.clock.advance(60)
    output = run(inquiry_settings(box, V3, STATUS, "GI_Orders*", page_size=25))
    assert output.error is None
    for title in ("Inventory-Status", "Orders and Invoices"):
        rows = box.inquiry_rows(title)
        delivered = comparable(output.records(NAMES[title]))
        assert not comparable(instants(rows)) - delivered


TIES = Inquiry(
    "Ties",
    "{SOLine} l",
    "Order:s = l.OrderNbr\nLine:s~ = l.OrderNbr||'/'||l.LineNbr||'/'||l.OrderQty",
)
"""An inquiry in which nothing that can be sorted tells the lines of an order apart."""
ACTIVATES: dict[str, Any] = {"page_size": 20, "emit_activate_version_messages": True}


@pytest.mark.parametrize("path", [V4, V3])
@pytest.mark.parametrize("most", [keyless.MAX_ROWS, 40])
def test_rows_that_tie_arrive_once_each_in_one_answer_or_in_many(
    box: Sandbox, path: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyless, "MAX_ROWS", most)
    box.inquiries.add(TIES)
    box.faults.add(Fault("shuffle"))
    rows = box.inquiry_rows("Ties")
    assert len(rows) > 2 * 40
    output = run(inquiry_settings(box, path, "GI_Ties", **ACTIVATES))
    assert output.error is None
    assert comparable(output.records()) == comparable(rows)
    assert "ACTIVATE_VERSION" in output.types()
    requests = [request for request in box.log if request.kind == "data"]
    assert (len(requests) > 2 * len(rows) / 40) == (most == 40)


def test_rows_that_tie_and_do_not_come_in_one_answer_are_an_error_that_names_the_key(
    box: Sandbox,
) -> None:
    columns = TIES.column_lines.replace("l.OrderNbr\n", "'the same'\n")
    box.inquiries.add(replace(TIES, column_lines=columns))
    box.faults.add(Fault("rows_cap", rows=30))
    output = run(inquiry_settings(box, V4, "GI_Ties", **ACTIVATES))
    assert isinstance(output.error, InconsistentAnswer)
    assert "inquiry_keys" in str(output.error)
    assert "ACTIVATE_VERSION" not in output.types()


def test_an_inquiry_that_changes_with_each_request_is_never_activated(box: Sandbox) -> None:
    def change(_: object) -> None:
        box.clock.advance(1)
        box.bulk_update("PX_Objects_SO_SOLine", {"OrderQty": box.counters().total})

    box.inquiries.add(TIES)
    box.before_request(change)
    output = run(inquiry_settings(box, V4, "GI_Ties", **ACTIVATES))
    assert "was different each time it was read" in str(output.error)
    assert "ACTIVATE_VERSION" not in output.types()


def test_decimals_may_be_text_in_odata_4_too() -> None:
    with Sandbox(now=NOW) as box:
        config = inquiry_settings(box, V4, "GI_Payments")
        numbers = run(config).records()
        box.quirks.text_numbers = True
        assert run(config).records() == numbers


def test_date_times_without_an_offset_ask_for_the_zone(box: Sandbox) -> None:
    config = inquiry_settings(box, V3, STATUS)
    del config["time_zone"]
    catalog = select_all(discover(config))
    assert "set time_zone" in str(run(config, catalog=catalog).error)


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu", "UTC"])
@pytest.mark.parametrize("path", [V4, V3])
def test_rows_are_the_same_in_the_zone_of_any_account(path: str, zone: str) -> None:
    with Sandbox(now=NOW, time_zone=zone) as box:
        output = run(inquiry_settings(box, path, "GI_SO_*", time_zone=zone))
        assert output.error is None
        rows = box.inquiry_rows("SO-Order Summary")
    assert comparable(output.records()) == comparable(instants(rows))


def test_verify_counts_leaves_inquiries_alone(box: Sandbox) -> None:
    output = run(inquiry_settings(box, V4, STATUS, "GI_Sales*", verify_counts=True))
    assert output.error is None
    assert not [request for request in box.log if "$count" in request.query]


def test_an_inquiry_and_a_class_of_one_tenant_share_a_session(box: Sandbox) -> None:
    config = settings_for(box, "Terms", "GI_Credit*", tenants=["Company"])
    output = run(config)
    assert output.error is None
    assert len(output.records()) == 6
    assert box.counters().sessions_opened == 1


def test_inquiries_of_tenants_are_told_apart() -> None:
    with Sandbox(now=NOW, tenants=["Company", "Company B"]) as box:
        config = settings_for(
            box, "GI_Credit*", tenants=list(box.tenants), inquiry_keys={"Credit Terms": ["Terms"]}
        )
        output = run(config)
        assert output.error is None
        assert {record["_tenant"] for record in output.records()} == set(box.tenants)
        (schema,) = {tuple(m["key_properties"]) for m in output.messages if m["type"] == "SCHEMA"}
        assert schema == ("_tenant", "Terms")
        state = output.state["bookmarks"]["GI_Credit_Terms"]["partitions"]
        assert len(state) == 2


def test_a_stream_of_an_interface_that_is_not_reached_is_an_error(box: Sandbox) -> None:
    catalog = select_all(discover(inquiry_settings(box, V4, STATUS)))
    config = settings_for(box, url=f"{box.url}/t/Company/api/odata/dac")
    assert "belongs to generic inquiries" in str(run(config, catalog=catalog).error)


def test_a_table_name_of_another_tap_is_an_error(box: Sandbox) -> None:
    catalog = select_all(discover(inquiry_settings(box, V4, STATUS)))
    catalog["streams"][0]["table_name"] = "public.stock"
    assert "is not one that the tap writes" in str(
        run(inquiry_settings(box, V4), catalog=catalog).error
    )


def test_what_the_catalog_keeps_of_an_inquiry_survives_the_sdk(box: Sandbox) -> None:
    config = inquiry_settings(box, V4, "GI_DB*", "GI_Modified*", page_size=10)
    streams = discover(config)
    parsed = Catalog.from_dict(select_all(streams)).to_dict()
    box.reset_counters()
    output = run(config, catalog=parsed)
    assert output.error is None
    assert len(output.records("GI_DB_StorageDetails")) == 30
    orders = [request.query.get("$orderby", "") for request in box.log]
    assert not [order for order in orders if "InventoryID_2" in order]
    assert box.counters().metadata_requests == 0


def test_columns_are_selected_by_the_catalog_whatever_their_names(box: Sandbox) -> None:
    box.inquiries.add(Inquiry("Odd", "{Terms} m", "A-B:s = m.TermsID\nC.D:s = m.Descr\nE:i = 1"))
    streams = discover(inquiry_settings(box, V4, "GI_Odd"))
    for entry in streams["GI_Odd"]["metadata"]:
        if entry["breadcrumb"] == ["properties", "C.D"]:
            entry["metadata"]["selected"] = False
    output = run(inquiry_settings(box, V4, "GI_Odd"), catalog=select_all(streams))
    assert [set(record) for record in output.records()] == [{"A-B", "E"}] * 3
    data = [request.query for request in box.log if request.kind == "data"]
    assert {query["$select"] for query in data if query["$top"] != "1"} == {"A-B,E"}


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    seed=st.integers(0, 2**32),
    path=st.sampled_from([V4, V3]),
    keyed=st.booleans(),
    size=st.sampled_from([10, 17, 50]),
    fractions=st.sampled_from(["exact", "cut_seconds", "round_seconds"]),
)
def test_an_inquiry_over_a_table_that_changes_between_requests_arrives_in_its_last_version(
    seed: int, path: str, keyed: bool, size: int, fractions: Any
) -> None:
    random = Random(seed)
    with Sandbox(now=NOW, fractions=fractions) as box:
        keys = {"inquiry_keys": {STATUS: STATUS_KEY}} if keyed else {}
        config = inquiry_settings(box, path, STATUS, page_size=size, **keys)
        catalog = select_all(discover(config))
        changing = True

        def change(_: object) -> None:
            if not changing:
                return
            box.clock.advance(random.random() * 3)
            rows = box.rows(STOCK)
            for _ in range(random.choice([0, 1, 3])):
                row = random.choice(rows)
                key = {n: row[n] for n in ("InventoryID", "LocationID", "SiteID", "SubItemID")}
                match random.randrange(4):
                    case 0:
                        box.delete(STOCK, key)
                    case 1:
                        box.insert(STOCK, {**key, "SubItemID": random.randrange(10**6)})
                    case _:
                        box.update(STOCK, key, {"QtyOnHand": random.randrange(100)})

        box.before_request(change)
        first = run(config, catalog=catalog)
        if not keyed and first.error:
            # Only a key tells the rows of one second apart.
            assert "inquiry_keys" in str(first.error)
            return
        assert first.error is None
        changing = False
        box.clock.advance(7200)
        second = run(config, catalog=catalog, state=first.state)
        assert second.error is None

        def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
            return tuple(row[name] for name in STATUS_KEY)

        records = [*first.records(STATUS), *second.records(STATUS)]
        delivered = {key_of(row): row["QtyOnHand"] for row in records}
        surviving = {
            key_of(row): Decimal(str(row["QtyOnHand"]))
            for row in box.inquiry_rows("Inventory-Status")
        }
        assert {key: delivered.get(key) for key in surviving} == surviving


def order_lines(box: Sandbox) -> str:
    """Add an inquiry with rows that are alike but for columns that are no declared key."""
    source = "{SOLine} l"
    columns = "OrderNbr:s* = l.OrderNbr\nItem:i* = l.InventoryID\nQuantity:d = l.OrderQty"
    box.inquiries.add(Inquiry("Lines of Orders", source, columns))
    return "GI_Lines_of_Orders"


@pytest.mark.parametrize("path", [V4, V3])
@pytest.mark.parametrize("with_catalog", [True, False])
def test_rows_with_the_same_declared_key_all_arrive(
    box: Sandbox, caplog: pytest.LogCaptureFixture, path: str, with_catalog: bool
) -> None:
    stream = order_lines(box)
    line = box.rows("PX_Objects_SO_SOLine")[0]
    for number, quantity in enumerate((1, 1, 2), start=900):
        box.insert("PX_Objects_SO_SOLine", {**line, "LineNbr": number, "OrderQty": quantity})
    config = inquiry_settings(box, path, stream)
    catalog = {"catalog": select_all(discover(config))} if with_catalog else {}
    with caplog.at_level(logging.WARNING):
        output = run(config, **catalog)
    assert output.error is None
    rows = box.inquiry_rows("Lines of Orders")
    assert comparable(output.records()) == comparable(rows)
    keys = {tuple(m["key_properties"]) for m in output.messages if m["type"] == "SCHEMA"}
    assert keys == {()}
    assert f"are appended to those in the target ({stream})" in caplog.text


def test_a_declared_key_may_be_deselected_in_an_inquiry_without_a_key(box: Sandbox) -> None:
    stream = order_lines(box)
    config = inquiry_settings(box, V4, stream)
    streams = discover(config)
    for node in streams[stream]["metadata"]:
        if node["breadcrumb"] == ["properties", "OrderNbr"]:
            node["metadata"]["selected"] = False
    output = run(config, catalog=select_all(streams))
    assert output.error is None
    assert {tuple(record) for record in output.records()} == {("Item", "Quantity")}
    assert len(output.records()) == len(box.rows("PX_Objects_SO_SOLine"))


def test_all_inquiries_without_their_parameters_are_named_at_once(box: Sandbox) -> None:
    config = inquiry_settings(box, V4, *VALUES, inquiry_parameters={})
    error = run(config).error
    assert isinstance(error, SettingsError)
    for stream in ("GI_DB_StorageDetails", "GI_ItemAvailabilityData", "GI_Invoices_of_a_Period"):
        assert f"The inquiry {stream} has other parameters" in str(error)
    for parameter in ("Warehouse", "InventoryID", "From", "Least", "Released", "Account"):
        assert f"{parameter} (" in str(error)
