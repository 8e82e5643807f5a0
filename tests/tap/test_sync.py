"""Runs of the tap against the sandbox, over real HTTP."""

from __future__ import annotations

import math
import re
from datetime import datetime
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import pytest
from support.running import NOW, discover, run, select_all, settings_for

from sandbox import Fault, Sandbox
from tap_acumatica.odata.errors import AcumaticaError, DiscoveryError, SettingsError
from tap_acumatica.stream import EntityStream

SALES = "PX_Objects_SO_SOOrder"
TERMS = "PX_Objects_CS_Terms"
USERS = "PX_SM_Users"
LEDGER = "PX_Objects_GL_GLTran"
HISTORY = "PX_Objects_GL_GLHistory"


def test_each_type_that_has_a_set_is_one_stream_under_its_generated_name(box: Sandbox) -> None:
    streams = discover(settings_for(box))
    assert "PX_Objects_AR_Customer" in streams
    assert streams["PX_Objects_AR_Customer"]["key_properties"] == ["AcctCD"]
    assert streams[SALES]["key_properties"] == ["OrderNbr", "OrderType"]
    assert streams[SALES]["replication_key"] == "LastModifiedDateTime"
    assert streams[USERS]["replication_method"] == "FULL_TABLE"
    assert streams["PX_Objects_CA_CAEntryType"]["replication_method"] == "FULL_TABLE"
    assert streams["PX_Objects_GL_GLSetup"]["row_count"] == 1
    assert streams["PX_Objects_CS_CSAnswers"]["key_properties"] == []
    assert not {"SOOrder", "SalesOrder"} & streams.keys()


def test_a_stream_is_incremental_exactly_where_it_can_be(box: Sandbox) -> None:
    streams = discover(settings_for(box, interfaces=["dac"]))
    model = {entity.name.replace(".", "_"): entity for entity in box.model.types}
    readable = {name for name, entity in model.items() if entity.sets}
    assert streams.pop("deleted_records")["replication_method"] == "INCREMENTAL"
    assert streams.keys() == readable
    for name, stream in streams.items():
        selectable = {column.name for column in model[name].readable}
        keyed = set(stream["key_properties"]) <= selectable and stream["key_properties"]
        dated = bool(keyed) and "LastModifiedDateTime" in selectable
        assert (stream["replication_method"] == "INCREMENTAL") == dated, name


def test_restricted_columns_are_unsupported(box: Sandbox) -> None:
    metadata = discover(settings_for(box, "SOOrder"))[SALES]["metadata"]
    inclusion = {m["breadcrumb"][-1]: m["metadata"]["inclusion"] for m in metadata[1:]}
    assert inclusion["NoteText"] == "unsupported"
    assert inclusion["OrderNbr"] == "automatic"
    assert inclusion["OrderTotal"] == "available"


def test_entities_are_matched_by_alias_without_regard_to_case(box: Sandbox) -> None:
    settings = settings_for(box, "salesorder", "px_objects_gl_*", exclude_entities=["*setup"])
    streams = discover(settings)
    assert SALES in streams
    assert LEDGER in streams
    assert "PX_Objects_GL_GLSetup" not in streams


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("SOLines", " (similar names: SOLine, "),
        ("px_objects_so_solines", " (similar names: PX_Objects_SO_SOLine, "),
        ("GI_Nothing", ": correct or remove it."),
    ],
)
def test_a_name_that_nothing_has_is_an_error(box: Sandbox, name: str, hint: str) -> None:
    sentence = f"The setting entities asks for {name}, but the instance has no such entity{hint}"
    with pytest.raises(DiscoveryError, match=re.escape(sentence)):
        discover(settings_for(box, "SOOrder", name), strict=True)
    assert discover(settings_for(box, "SOOrder", name)).keys() == {SALES}, "for a run"
    with pytest.raises(DiscoveryError, match=re.escape(sentence)):
        discover(settings_for(box, name))


def test_a_glob_may_fit_nothing_with_a_warning(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    assert discover(settings_for(box, "SOOrder", "SOLines*", "Terms")).keys() == {SALES, TERMS}
    (warning,) = [message for message in caplog.messages if "asks for" in message]
    assert "The setting entities asks for SOLines*, but the instance has no such entity" in warning


def test_a_name_that_is_excluded_is_there(box: Sandbox) -> None:
    settings = settings_for(box, "SOOrder", "terms", exclude_entities=["Terms"])
    assert discover(settings).keys() == {SALES}


@pytest.mark.parametrize("glob", ["GI_*", "GI_Invoices"])
def test_a_glob_of_an_interface_that_is_left_out_is_told_so(box: Sandbox, glob: str) -> None:
    sentence = f"asks for {glob}, but the settings url and interfaces leave generic inquiries out"
    with pytest.raises(DiscoveryError, match=re.escape(sentence)):
        discover(settings_for(box, glob, interfaces=["dac"]))


def test_no_line_of_the_catalog_is_longer_than_meltano_reads(box: Sandbox) -> None:
    from tap_acumatica.tap import TapAcumatica  # noqa: PLC0415 - as a user of the class

    tap = TapAcumatica(config=settings_for(box), setup_mapper=False)
    assert max(map(len, tap.catalog_json_text.splitlines())) < 60_000
    tap.run.close()


def is_same(stored: Any, record: Any) -> bool:
    """Whether two values are equal, decimals digit for digit."""
    are_numbers = isinstance(stored, Decimal) and isinstance(record, int)
    return (are_numbers or type(stored) is type(record)) and str(stored) == str(record)


def differences(
    row: dict[str, Any], record: dict[str, Any], replication_key: str | None
) -> list[str]:
    """The columns in which a record differs from its row."""
    names = [name for name in record if name not in row]
    for name, value in row.items():
        if name == "Password":
            names += [name] if name in record else []
        elif name == replication_key and value is not None:
            is_equal = datetime.fromisoformat(value) == datetime.fromisoformat(record[name])
            names += [] if is_equal else [name]
        elif not is_same(value, record[name]):
            names.append(name)
    return names


def test_a_full_sync_equals_the_tables_value_for_value(box: Sandbox) -> None:
    box.insert(TERMS, {"TermsID": "O'B  ", "Descr": '\u00fc & <b> "q" \U0001f600 % + # \\'})
    box.clock.advance(60)
    settings = settings_for(box, interfaces=["dac"])
    catalog = select_all(discover(settings))
    box.reset_counters()
    output = run(settings, catalog=catalog)
    assert output.error is None
    assert box.counters().metadata_requests == 0
    for entry in catalog["streams"]:
        stream, key = entry["stream"], entry["key_properties"]
        if stream in {"PX_SM_UsersInRoles", "PX_Objects_GL_FinYearSetup", "deleted_records"}:
            continue
        stored, records = box.rows(stream), output.records(stream)
        assert len(stored) == len(records), stream
        if key:
            by_key = {tuple(r[k] for k in key): r for r in records}
            records = [by_key[tuple(row[k] for k in key)] for row in stored]
        for row, record in zip(stored, records, strict=True):
            assert differences(row, record, entry.get("replication_key")) == [], (stream, row)
    assert box.counters().sessions_open == 0
    assert box.counters().most_at_once == 1


@pytest.mark.parametrize("count", [True, False])
def test_every_request_is_needed(box: Sandbox, count: bool) -> None:
    box.fill(USERS, 60)
    settings = settings_for(box, SALES, USERS, LEDGER, page_size=39, count=count)
    catalog = select_all(discover(settings))
    box.reset_counters()
    output = run(settings, catalog=catalog)
    assert output.error is None

    def requests(stream: str, *words: str) -> int:
        return sum(
            request.kind == "data"
            and request.path.endswith(stream)
            and any(word in unquote(request.raw_query) for word in words)
            for request in box.log
        )

    proof = 0 if count else 2
    for stream in (SALES, LEDGER):
        pages = math.ceil(len(output.records(stream)) / 39)
        windows = requests(stream, "LastModifiedDateTime lt 2026-06-02")
        assert windows == pages + proof
        assert requests(stream, "LastModifiedDateTime eq null", "DateTime ge 2026-06-02") == (
            1 if count else 2
        )
    nulls, proof_by_key = 1, 1 if count else 3
    pages = math.ceil(len(output.records(USERS)) / 39)
    assert requests(USERS, "$top") == pages + nulls + proof_by_key
    assert requests(LEDGER, "DateTime desc", "DateTime le 2") == 2, (
        "the look at the newest row, and the round trip"
    )
    assert box.counters().data_requests == (
        requests(LEDGER, "") + requests(SALES, "") + requests(USERS, "")
    )


def test_a_bulk_update_is_read_once(box: Sandbox) -> None:
    box.fill(LEDGER, 10_000, start="2025-01-01T00:00:00Z", step_seconds=7)
    settings = settings_for(box, LEDGER)
    catalog = select_all(discover(settings))
    first = run(settings, catalog=catalog)
    box.clock.advance(7200)
    box.bulk_update(LEDGER, {"TranDesc": "bulk"})
    box.clock.advance(7200)
    second = run(settings, catalog=catalog, state=first.state)
    assert second.error is None
    assert len(second.records()) == len(box.rows(LEDGER))
    box.clock.advance(7200)
    third = run(settings, catalog=catalog, state=second.state)
    assert third.records() == []


def test_the_next_run_brings_what_changed_and_the_one_after_nothing(box: Sandbox) -> None:
    settings = settings_for(box, SALES, TERMS)
    catalog = select_all(discover(settings))
    first = run(settings, catalog=catalog)
    box.clock.advance(7200)
    row = box.rows(SALES)[0]
    key = {"OrderNbr": row["OrderNbr"], "OrderType": row["OrderType"]}
    box.update(SALES, key, {"OrderDesc": "changed & 'quoted' ü"})
    box.bulk_update(TERMS, {"Descr": "bulk"})
    box.clock.advance(7200)
    second = run(settings, catalog=catalog, state=first.state)
    assert [r["OrderDesc"] for r in second.records(SALES)] == ["changed & 'quoted' ü"]
    assert len(second.records(TERMS)) == len(box.rows(TERMS))
    box.clock.advance(7200)
    third = run(settings, catalog=catalog, state=second.state)
    assert third.records() == []


def test_a_refused_entity_is_skipped_and_missed_only_if_it_was_read_before(box: Sandbox) -> None:
    settings = settings_for(box, SALES, TERMS)
    catalog = select_all(discover(settings))
    first = run(settings, catalog=catalog)
    box.forbid(SALES)
    box.clock.advance(7200)
    assert run(settings, catalog=catalog).error is None
    missed = run(settings, catalog=catalog, state=first.state)
    assert isinstance(missed.error, AcumaticaError)
    assert SALES in str(missed.error)
    assert missed.state["bookmarks"][SALES] == first.state["bookmarks"][SALES]


def test_a_full_table_that_was_read_before_is_missed_too(box: Sandbox) -> None:
    settings = settings_for(box, USERS, TERMS)
    catalog = select_all(discover(settings))
    box.forbid(USERS)
    never_read = run(settings, catalog=catalog)
    assert never_read.error is None
    assert run(settings, catalog=catalog, state=never_read.state).error is None
    box.allow(USERS)
    read_once = run(settings, catalog=catalog)
    box.forbid(USERS)
    assert isinstance(run(settings, catalog=catalog, state=read_once.state).error, AcumaticaError)


@pytest.mark.parametrize("tracking_type", ["date", "none"])
def test_a_table_that_is_refused_while_it_is_read_is_missed(
    box: Sandbox, tracking_type: str
) -> None:
    settings = settings_for(box, LEDGER, TERMS, page_size=50, tracking_type=tracking_type)
    catalog = select_all(discover(settings))
    box.faults.add(Fault("not_found", match=f"/{LEDGER}", after=5))
    first = run(settings, catalog=catalog)
    assert 0 < len(first.records(LEDGER)) < len(box.rows(LEDGER))
    assert LEDGER in str(first.error)
    assert first.records(TERMS)
    box.faults.clear()
    box.forbid(LEDGER)
    second = run(settings, catalog=catalog, state=first.state)
    assert LEDGER in str(second.error)


def test_a_table_to_be_read_anew_is_missed_until_it_comes(box: Sandbox) -> None:
    settings = settings_for(box, SALES, TERMS, start_date="2020-01-02")
    state = run(settings).state
    box.forbid(SALES)
    for _ in range(2):
        output = run(settings_for(box, SALES, TERMS), state=state)
        assert SALES in str(output.error)
        state = output.state
    box.allow(SALES)
    output = run(settings_for(box, SALES, TERMS), state=state)
    assert len(output.records(SALES)) == len(box.rows(SALES))


def test_versions_are_activated_after_the_last_record_and_never_for_a_skipped_stream(
    box: Sandbox,
) -> None:
    box.forbid(TERMS)
    settings = settings_for(
        box, USERS, TERMS, tracking_type="none", emit_activate_version_messages=True
    )
    output = run(settings)
    activated = [m["stream"] for m in output.messages if m["type"] == "ACTIVATE_VERSION"]
    assert activated == [USERS]
    types = output.types()
    last_record = len(types) - types[::-1].index("RECORD") - 1
    assert types.index("ACTIVATE_VERSION") > last_record


def test_a_read_timeout_halves_the_page_and_goes_on(box: Sandbox) -> None:
    box.faults.add(Fault("hang", match=USERS, times=1))
    output = run(settings_for(box, USERS, timeout=1, page_size=100))
    assert output.error is None
    assert len(output.records(USERS)) == len(box.rows(USERS))


def test_an_interrupted_read_goes_on_from_its_bookmark(box: Sandbox) -> None:
    settings = settings_for(box, LEDGER, page_size=50, max_retry_time=0)
    catalog = select_all(discover(settings))
    box.faults.add(Fault("unavailable", match=LEDGER, after=6))
    first = run(settings, catalog=catalog)
    assert isinstance(first.error, AcumaticaError)
    assert first.types()[-1] == "STATE"
    box.faults.clear()
    second = run(settings, catalog=catalog, state=first.state)
    assert second.error is None
    assert len(second.records()) < len(box.rows(LEDGER))
    key = ("BatchNbr", "LineNbr", "Module")
    delivered = {
        tuple(r[k] for k in key) for output in (first, second) for r in output.records(LEDGER)
    }
    assert delivered == {tuple(row[k] for k in key) for row in box.rows(LEDGER)}


WIDENED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"start_date": "2024-06-01"}, {}),
    ({"start_date": "2024-06-01"}, {"start_date": "2023-01-01"}),
    ({}, {"include_deleted": True}),
    ({"include_deleted": True}, {"include_deleted": True}),
    ({"start_date": "2024-06-01"}, {"start_date": "2024-06-01"}),
    ({"include_archived": False}, {}),
]


@pytest.mark.parametrize(("before", "after"), WIDENED)
def test_a_first_read_that_was_interrupted_anywhere_knows_its_settings(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """A run that is killed leaves the last state that it wrote, whichever that is."""
    monkeypatch.setattr(EntityStream, "STATE_MSG_FREQUENCY", 40)
    settings = settings_for(box, LEDGER, page_size=60)
    catalog = select_all(discover(settings))
    whole = run({**settings, **after}, catalog=catalog)
    first = run({**settings, **before}, catalog=catalog)
    types = first.types()
    states = [place for place, kind in enumerate(types) if kind == "STATE"]
    assert len(states) > 3
    rows = len(whole.records())
    for place in states[:-1]:
        state = first.messages[place]["value"]
        second = run({**settings, **after}, catalog=catalog, state=state)
        assert second.error is None
        if before != after:
            assert len(second.records()) == rows
        elif state["bookmarks"].get(LEDGER, {}).get("replication_key_value"):
            written = types[:place].count("RECORD")
            assert rows - written <= len(second.records()) <= rows
    assert before != after or len(second.records()) < rows, "from the last state"


@pytest.mark.parametrize("paging", [True, False])
@pytest.mark.parametrize("count", [True, False])
def test_a_hidden_cap_loses_no_row(box: Sandbox, paging: bool, count: bool) -> None:
    box.faults.add(Fault("rows_cap", rows=25))
    settings = settings_for(box, LEDGER, USERS, TERMS, client_side_paging=paging, count=count)
    output = run(settings)
    assert output.error is None
    assert len(output.records(LEDGER)) == len(box.rows(LEDGER))


def test_values_that_carry_no_offset_need_a_zone() -> None:
    with Sandbox(now=NOW, shown="naive", locale=None) as box:
        output = run(settings_for(box, TERMS))
        assert isinstance(output.error, SettingsError)
        assert "time_zone" in str(output.error)
        assert run(settings_for(box, TERMS, time_zone="UTC")).error is None


def test_filters_and_values_that_mean_different_zones_are_an_error() -> None:
    with Sandbox(now=NOW, shown="wall_z", time_zone="America/New_York") as box:
        output = run(settings_for(box, SALES))
        assert isinstance(output.error, SettingsError)
        assert "time zones" in str(output.error)
        corrected = settings_for(box, SALES, ignore_offsets=True, time_zone="America/New_York")
        output = run(corrected)
        assert output.error is None
        assert len(output.records(SALES)) == len(box.rows(SALES))


def test_many_tenants_are_partitions_with_bookmarks_of_their_own() -> None:
    with Sandbox(now=NOW, tenants=("A", "B")) as box:
        settings = settings_for(box, TERMS, tenants=["A", "B"])
        output = run(settings)
        assert output.error is None
        assert {r["_tenant"] for r in output.records(TERMS)} == {"A", "B"}
        partitions = output.state["bookmarks"][TERMS]["partitions"]
        assert [p["context"]["_tenant"] for p in partitions] == ["A", "B"]


def test_an_unknown_tenant_is_named(box: Sandbox) -> None:
    output = run(settings_for(box, TERMS, tenants=["Nowhere"]))
    assert isinstance(output.error, DiscoveryError)
    assert "Nowhere" in str(output.error)


def test_nothing_selected_is_an_error(box: Sandbox) -> None:
    output = run(settings_for(box))
    assert isinstance(output.error, SettingsError)
    assert "entities" in str(output.error)


def test_a_state_that_holds_no_bookmarks_reads_nothing_anew(box: Sandbox) -> None:
    settings = settings_for(box, SALES)
    state = run(settings).state
    box.reset_counters()
    refused = run(settings, state={"type": "STATE", "value": state})
    assert isinstance(refused.error, SettingsError)
    assert refused.messages == []
    assert box.counters().data_requests == 0


@pytest.mark.parametrize(
    ("key", "metadata"),
    [
        ("LastModifiedDateTime", {"inclusion": "available", "selected": False}),
        ("LastModifiedDateTime", {"inclusion": "unsupported"}),
        ("LastModified", {}),
        ("OrderTotal", {}),
        ("OrderNbr", {}),
    ],
)
def test_a_replication_key_that_is_no_selected_date_time_is_refused(
    box: Sandbox, key: str, metadata: dict[str, Any]
) -> None:
    streams = discover(settings_for(box, SALES))
    streams[SALES]["replication_key"] = key
    for column in streams[SALES]["metadata"]:
        if column["breadcrumb"] == ["properties", key]:
            column["metadata"].update(metadata)
    box.reset_counters()
    refused = run(settings_for(box), catalog=select_all(streams))
    assert isinstance(refused.error, SettingsError)
    sentence = f"The replication key {key} of {SALES} is not a selected date-time column: "
    assert str(refused.error).startswith(sentence)
    assert box.counters().total == 0


@pytest.mark.parametrize("key", [["OrderNbr", "OrderType"], ["OrderNbr", "OrderTypo"]])
def test_a_key_that_is_not_among_the_selected_columns_is_refused(
    box: Sandbox, key: list[str]
) -> None:
    settings = settings_for(box, SALES)
    (entry,) = discover(settings).values()
    entry["key_properties"] = key
    for column in entry["metadata"]:
        if column["breadcrumb"][-1:] == ["OrderType"]:
            column["metadata"] = {"inclusion": "available", "selected": False}
    box.reset_counters()
    error = run(settings, catalog=select_all({SALES: entry})).error
    assert isinstance(error, DiscoveryError)
    assert f"the key of {SALES} ({', '.join(key)})" in str(error)
    assert box.counters().total == 0
