"""Many tenants: one catalog for all, bookmarks for each, and none that stops the others."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from running import NOW, Output, discover, run, select_all, settings_for

from sandbox import Fault, Sandbox
from tap_acumatica.catalog import StreamDescription
from tap_acumatica.odata.errors import AcumaticaError, DiscoveryError, RequestFailed
from tap_acumatica.outcome import TenantsFailed
from tap_acumatica.union import Absence, union

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SALES = "PX_Objects_SO_SOOrder"
TERMS = "PX_Objects_CS_Terms"
USERS = "PX_SM_Users"
CUSTOMERS = "PX_Objects_AR_Customer"
BATCHES = "PX_Objects_GL_Batch"
ITEMS = "PX_Objects_IN_InventoryItem"
CONTACTS = "PX_Objects_CR_Contact"
DATED = (BATCHES, CONTACTS, CUSTOMERS, ITEMS, SALES)
TENANTS = ["A", "B", "C"]
COMMAND = (sys.executable, "-c", "from tap_acumatica.tap import TapAcumatica; TapAcumatica.cli()")


@pytest.fixture
def three() -> Iterator[Sandbox]:
    """A server with three tenants."""
    with Sandbox(now=NOW, tenants=TENANTS, rows=60) as box:
        yield box


def settings(box: Sandbox, *entities: str, **more: Any) -> dict[str, Any]:
    return settings_for(box, *entities, tenants=TENANTS, max_retry_time=0, **more)


def bookmarks(output: Output) -> dict[tuple[str, str], str | None]:
    """The bookmark of each stream in each tenant."""
    return {
        (stream, partition["context"]["_tenant"]): partition.get("replication_key_value")
        for stream, entry in output.state["bookmarks"].items()
        for partition in entry["partitions"]
    }


def delivered(output: Output, stream: str) -> dict[str, int]:
    """How many records of each tenant."""
    counts = dict.fromkeys(TENANTS, 0)
    for record in output.records(stream):
        counts[record["_tenant"]] += 1
    return counts


def is_down(box: Sandbox, tenant: str) -> Fault:
    return box.faults.add(Fault("unavailable", match=f"/t/{tenant}/|/odatav4/{tenant}/"))


def test_a_tenant_in_other_letters_is_another_one_with_a_warning(
    three: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    config = settings(three, SALES)
    first = run(config)
    assert "The state knows" not in caplog.text
    second = run({**config, "tenants": ["a", "B"]}, state=first.state)
    assert {record["_tenant"] for record in second.records()} == {"a"}
    assert len(second.records()) == len(three.rows(SALES, "A"))
    warnings = [each.message for each in caplog.records if "The state knows" in each.message]
    assert len(warnings) == 1
    assert "knows the tenant a as A: it is read anew" in warnings[0]
    caplog.clear()
    run({**config, "tenants": ["a", "B"]}, state=second.state)
    assert "The state knows" not in caplog.text


# One catalog


def test_three_tenants_with_five_streams_are_fifteen_bookmarks(three: Sandbox) -> None:
    output = run(settings(three, *DATED))
    assert output.error is None
    marks = bookmarks(output)
    assert len(marks) == 15
    assert set(marks.values()) == {"2026-06-01T12:00:00.000000+00:00"}
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
    asking = {
        each.path.split("/")[2]
        for each in three.log
        if "Descr" in each.query.get("$select", "").split(",")
    }
    assert asking == {"A", "C"}


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
    chosen = settings(three, SALES, TERMS)
    catalog = select_all(discover(chosen))
    output = run(chosen, catalog=catalog)
    assert output.error is None
    assert delivered(output, SALES)["B"] == 0
    assert delivered(output, TERMS)["B"] > 0
    assert not [
        each
        for each in three.log
        if each.kind == "data" and f"/t/B/api/odata/dac/{SALES}" in each.path
    ]
    assert {t for stream, t in bookmarks(output) if stream == SALES} == {"A", "C"}


def test_a_name_that_any_tenant_has_or_may_have_is_no_error(
    three: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    three.hide(SALES, "A")
    three.hide(SALES, "C")
    assert discover(settings(three, SALES, TERMS))[SALES]
    is_down(three, "B")
    output = run(settings(three, "SOOrder", TERMS))
    assert isinstance(output.error, TenantsFailed)
    assert list(output.error.failed) == ["B"]
    assert delivered(output, TERMS)["A"]
    assert "asks for SOOrder, but" in caplog.text


def test_a_stream_that_none_of_the_tenants_asked_for_has_is_left_out(three: Sandbox) -> None:
    three.hide(SALES, "B")
    chosen = settings(three, SALES, TERMS)
    catalog = select_all(discover(chosen))
    output = run({**chosen, "tenants": ["B"]}, catalog=catalog)
    assert output.error is None
    assert {m["stream"] for m in output.messages if m["type"] == "SCHEMA"} == {TERMS}


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
    chosen = settings(three, SALES)
    alone = {**chosen, "tenants": None, "url": f"{three.url}/t/A/api/odata/dac"}
    del alone["tenants"]
    for made, used in ((alone, chosen), (chosen, alone)):
        output = run(used, catalog=select_all(discover(made)))
        assert isinstance(output.error, DiscoveryError)
        assert "does not fit the setting tenants" in str(output.error)


def description(**changes: Any) -> StreamDescription:
    columns: dict[str, Any] = {
        "K": {"type": "string"},
        "C": {"type": ["string", "null"], "title": "Colour"},
    }
    made: dict[str, Any] = {
        "name": "S",
        "table_name": "dac/v4/S",
        "schema": {"type": "object", "properties": columns},
        "key": ("K",),
        "replication_key": None,
        "unsupported": frozenset(),
        "singleton": False,
        "selected": True,
        "types": {"K": "Edm.String", "C": "Edm.String"},
    }
    return StreamDescription(**{**made, **changes})


def test_tenants_that_are_alike_need_no_notes() -> None:
    (merged,) = union({"A": [description()], "B": [description()]})
    assert merged == description()
    absence = Absence.of([merged.entry])
    assert absence.tenants("S", ["A", "B"]) == ["A", "B"]
    assert absence.columns == {}


def test_keys_that_differ_are_an_error_that_names_both() -> None:
    with pytest.raises(DiscoveryError, match=r"\(A: K; B: K, C\): leave the stream out"):
        union({"A": [description()], "B": [description(key=("K", "C"))]})


def test_a_key_that_one_tenant_hides_is_none_in_all() -> None:
    hidden = description(key=(), unsupported=frozenset({"K"}))
    for order in ({"A": [description()], "B": [hidden]}, {"B": [hidden], "A": [description()]}):
        (merged,) = union(order)
        assert merged.key == ()
        assert merged.schema["properties"]["K"]["type"] == ["string", "null"]
        assert merged.columns_absent_in == {"K": ("B",)}


def test_a_column_that_may_not_be_queried_anywhere_is_unsupported() -> None:
    restricted = description(unsupported=frozenset({"C"}))
    (merged,) = union({"A": [restricted], "B": [restricted]})
    assert merged.unsupported == {"C"}
    assert merged.columns_absent_in == {}
    (merged,) = union({"A": [restricted], "B": [description()]})
    assert merged.unsupported == frozenset()
    assert merged.columns_absent_in == {"C": ("A",)}


# Tenants that fail


def test_a_tenant_that_is_down_does_not_stop_the_others(three: Sandbox) -> None:
    catalog = select_all(discover(settings(three, *DATED)))
    first = run(settings(three, *DATED), catalog=catalog)
    before = bookmarks(first)
    three.clock.advance(7200)
    is_down(three, "B")
    second = run(settings(three, *DATED), catalog=catalog, state=first.state)
    assert isinstance(second.error, TenantsFailed)
    (sentence,) = second.error.sentences
    assert sentence.startswith(
        "The tenant B was not read to its end; the next run goes on from there. Ac"
    )
    after = bookmarks(second)
    assert len(after) == 15
    for (stream, tenant), mark in after.items():
        assert (mark == before[stream, tenant]) == (tenant == "B")
    assert len([each for each in three.log if "/t/B/" in each.path and each.status == 503]) == 1
    assert three.counters().sessions_open == 0


def test_a_tenant_that_fails_in_the_middle_keeps_what_it_reached(three: Sandbox) -> None:
    chosen = settings(three, SALES, BATCHES, page_size=10, max_pool_size=4)
    catalog = select_all(discover(chosen))
    three.faults.add(Fault("unavailable", match=f"/t/B/.*{BATCHES}", after=4))
    output = run(chosen, catalog=catalog)
    assert isinstance(output.error, TenantsFailed)
    marks = bookmarks(output)
    assert 0 < delivered(output, BATCHES)["B"] < len(three.rows(BATCHES, "B"))
    assert marks[BATCHES, "B"] not in {None, marks[BATCHES, "A"]}
    assert marks[BATCHES, "A"] == marks[SALES, "C"]
    assert delivered(output, SALES)["B"] == 0
    three.faults.clear()
    rest = run(chosen, catalog=catalog, state=output.state)
    assert rest.error is None
    keys = {
        r["BatchNbr"] + r["Module"]
        for r in output.records(BATCHES) + rest.records(BATCHES)
        if r["_tenant"] == "B"
    }
    assert keys == {row["BatchNbr"] + row["Module"] for row in three.rows(BATCHES, "B")}  # type: ignore[operator] # texts


def test_a_tenant_that_is_down_during_discovery_is_left_out_of_the_run(three: Sandbox) -> None:
    is_down(three, "B")
    output = run(settings(three, SALES, USERS))
    assert isinstance(output.error, TenantsFailed)
    assert list(output.error.failed) == ["B"]
    counts = delivered(output, SALES)
    assert counts == {"A": counts["A"], "B": 0, "C": counts["C"]}
    assert counts["A"]
    assert counts["C"]


def test_a_catalog_is_not_made_without_one_of_its_tenants(three: Sandbox) -> None:
    is_down(three, "B")
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
    is_down(three, "B")
    output = run({**settings(three, SALES), "tenants": ["B"]})
    assert isinstance(output.error, AcumaticaError)
    assert not isinstance(output.error, TenantsFailed)


def test_versions_are_not_activated_where_a_tenant_failed(three: Sandbox) -> None:
    chosen = settings(three, TERMS, emit_activate_version_messages=True, tracking_type="none")
    catalog = select_all(discover(chosen))
    assert "ACTIVATE_VERSION" in run(chosen, catalog=catalog).types()
    is_down(three, "B")
    assert "ACTIVATE_VERSION" not in run(chosen, catalog=catalog).types()


def test_the_last_lines_are_a_sentence_for_each_tenant_that_failed(
    three: Sandbox, tmp_path: Path
) -> None:
    chosen = settings(three, SALES, USERS)
    is_down(three, "A")
    is_down(three, "C")
    config = tmp_path / "c.json"
    config.write_text(json.dumps(chosen), encoding="utf-8")
    finished = subprocess.run(  # noqa: S603 - our own command
        [*COMMAND, "--config", str(config)], capture_output=True, text=True, check=False, timeout=60
    )
    assert finished.returncode == 1
    last = finished.stderr.strip().splitlines()[-2:]
    assert ["The tenant A" in last[0], "The tenant C" in last[1]] == [True, True]
    records = [json.loads(line) for line in finished.stdout.splitlines()]
    assert {m["record"]["_tenant"] for m in records if m["type"] == "RECORD"} == {"B"}
