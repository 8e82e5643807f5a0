"""The stream deleted_records, and rows that are marked as deleted."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.running import NOW, Output, discover, run, select_all, settings_for

from sandbox import Fault, Sandbox
from sandbox.deletions import TRACKED
from tap_acumatica.odata.deletions import MARK
from tap_acumatica.odata.errors import DiscoveryError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox import RequestRecord

TERMS = "PX_Objects_CS_Terms"
CUSTOMERS = "PX_Objects_AR_Customer"
ACCOUNTS = "PX_Objects_GL_Account"
CONTACTS = "PX_Objects_CR_Contact"
LOG = "deleted_records"
DAY = 86_400


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rows=60) as box:
        yield box


def delete(box: Sandbox, entity: str, count: int = 1, **where: Any) -> set[tuple[str, str]]:
    """Delete the first rows of an entity, a second apart; returns what the log should tell."""
    key = box.model.find(entity).key
    rows = box.rows(entity, **where)[:count]
    for row in rows:
        box.clock.advance(1)
        box.delete(entity, {name: row[name] for name in key}, **where)
    return {(entity, str(row["NoteID"])) for row in rows}


def told(output: Output) -> set[tuple[str, str]]:
    """The entries of the log that a run brought."""
    assert output.error is None
    return {(record["entity"], record["RefNoteID"]) for record in output.records(LOG)}


# When it is a stream


def test_the_log_is_a_stream_where_the_instance_lists_what_it_tracks(box: Sandbox) -> None:
    stream = discover(settings_for(box))[LOG]
    assert stream["key_properties"] == ["entity", "RefNoteID", "DeleteDate"]
    assert stream["replication_key"] == "DeleteDate"
    assert stream["metadata"][0]["metadata"]["selected"] is False
    box.hide(TRACKED)
    assert LOG not in discover(settings_for(box))
    assert LOG not in discover(settings_for(box, "*"))


def test_the_name_alone_makes_it_a_stream_as_well(box: Sandbox) -> None:
    box.hide(TRACKED)
    assert discover(settings_for(box, LOG, TERMS)).keys() == {LOG, TERMS}
    with pytest.raises(DiscoveryError, match="no such entity"):
        discover(settings_for(box, LOG, interfaces=["gi"]), strict=True)


def test_it_can_be_left_out(box: Sandbox) -> None:
    assert LOG in discover(settings_for(box, "*"))
    assert LOG not in discover(settings_for(box, "*", exclude_entities=[LOG]))


# What it brings


def test_each_run_brings_the_deletions_of_all_tracked_tables(box: Sandbox) -> None:
    box.track(TERMS, ACCOUNTS)
    settings = settings_for(box, LOG, TERMS)
    before = delete(box, TERMS) | delete(box, ACCOUNTS, 3)
    delete(box, CUSTOMERS)
    first = run(settings)
    assert told(first) == before
    (entry, *_) = first.records(LOG)
    assert entry.keys() == {"entity", "RefNoteID", "DeleteDate"}
    assert entry["DeleteDate"].startswith("2026-06-01T12:00:01.")
    box.clock.advance(2 * DAY)
    after = delete(box, ACCOUNTS, 2)
    second = run(settings, state=first.state)
    assert told(second) == before | after, "the bookmark keeps the distance of time zones"
    box.clock.advance(2 * DAY)
    assert told(run(settings, state=second.state)) == after


def test_the_state_of_the_log_is_small(box: Sandbox) -> None:
    box.track(TERMS)
    delete(box, TERMS)
    entry = run(settings_for(box, LOG)).state["bookmarks"][LOG]
    reached = datetime.fromisoformat(entry["replication_key_value"])
    assert box.clock.now() - reached == timedelta(hours=14)
    assert len(json.dumps(entry)) < 300


@pytest.mark.parametrize("shown", ["utc", "offset", "wall_z", "wrong_offset"])
@pytest.mark.parametrize("literals", ["instant", "wall"])
def test_no_zone_of_the_account_hides_a_deletion(box: Sandbox, shown: str, literals: str) -> None:
    box.quirks.time_zone = "America/New_York"
    box.quirks.shown = shown  # type: ignore[assignment] # one of the words
    box.quirks.literals = literals  # type: ignore[assignment] # one of the words
    box.track(TERMS)
    expected, found, state = set(), set(), None
    for _ in range(3):
        expected |= delete(box, TERMS)
        output = run(settings_for(box, LOG), state=state)
        if output.error:
            return  # as any dated stream: filters and values disagree
        found |= told(output)
        state = output.state
        box.clock.advance(DAY / 4)
    assert found == expected


def test_rows_that_are_deleted_twice_are_two_entries(box: Sandbox) -> None:
    box.track(TERMS)
    row = box.rows(TERMS)[0]
    delete(box, TERMS)
    box.insert(TERMS, row)
    delete(box, TERMS)
    assert len(run(settings_for(box, LOG)).records(LOG)) == 2


@pytest.mark.parametrize("style", ["absolute", "relative", "query", "token"])
def test_the_log_is_read_over_pages_of_the_servers_own(box: Sandbox, style: str) -> None:
    box.track(CUSTOMERS)
    expected = delete(box, CUSTOMERS, 12)
    box.faults.add(Fault("next_link", "GetDeletedRecords", size=5, style=style))
    assert told(run(settings_for(box, LOG))) == expected
    assert told(run(settings_for(box, LOG, client_side_paging=False))) == expected


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("fractions", ["exact", "cut_seconds", "round_seconds"])
def test_answers_that_are_cut_lose_no_entry(box: Sandbox, fractions: str, *, count: bool) -> None:
    box.quirks.fractions = fractions  # type: ignore[assignment] # one of the words
    box.clock.advance(0.7)
    box.track(CUSTOMERS)
    expected = delete(box, CUSTOMERS, 14)
    box.faults.add(Fault("rows_cap", "GetDeletedRecords", rows=6, count=count))
    assert told(run(settings_for(box, LOG, page_size=10))) == expected


def test_each_tenant_has_a_log_of_its_own() -> None:
    with Sandbox(now=NOW, rows=60, tenants=("A", "B", "C")) as box:
        box.track(TERMS, tenant="A")
        box.track(CUSTOMERS, tenant="B")
        box.hide(TRACKED, "C")
        expected = delete(box, TERMS, tenant="A") | delete(box, CUSTOMERS, 2, tenant="B")
        output = run(settings_for(box, LOG, "*Terms", tenants=["A", "B", "C"]))
        assert told(output) == expected
        assert {record["_tenant"] for record in output.records(LOG)} == {"A", "B"}


def test_the_log_is_incremental_whatever_a_rule_for_all_streams_says(box: Sandbox) -> None:
    box.track(TERMS)
    expected = delete(box, TERMS)
    settings = settings_for(box, emit_activate_version_messages=True, tracking_type="none")
    catalog = select_all({LOG: discover(settings)[LOG]})
    for entry in catalog["streams"]:
        entry["replication_method"] = "FULL_TABLE"
    output = run(settings, catalog=catalog)
    assert told(output) == expected
    assert "ACTIVATE_VERSION" not in output.types()


# What the account cannot see


@pytest.mark.parametrize("status", [403, 404])
@pytest.mark.parametrize("untracked", [400, 404, 501])
def test_without_the_list_each_selected_stream_is_asked(
    box: Sandbox, status: int, untracked: int, caplog: pytest.LogCaptureFixture
) -> None:
    box.track(TERMS, CUSTOMERS)
    box.forbid(TRACKED, status)
    box.quirks.untracked = untracked
    expected = delete(box, TERMS, 2)
    delete(box, CUSTOMERS)
    output = run(settings_for(box, LOG, TERMS, ACCOUNTS, CONTACTS))
    assert told(output) == expected
    assert "SM207010" not in caplog.text


def test_without_the_list_later_runs_read_what_is_new(box: Sandbox) -> None:
    box.track(TERMS)
    box.forbid(TRACKED)
    delete(box, TERMS)
    options = settings_for(box, LOG, TERMS, ACCOUNTS)
    state = run(options).state
    box.clock.advance(2 * DAY)
    state = run(options, state=state).state
    expected = delete(box, TERMS)
    assert told(run(options, state=state)) == expected


@pytest.mark.parametrize("days", [-1, 2_000_000_000])
def test_an_absurd_retention_hinders_no_run(box: Sandbox, days: int) -> None:
    box.track(TERMS)
    state = run(settings_for(box, LOG)).state
    box.keep_deletions(days)
    # The sandbox itself cannot reckon with it.
    box.faults.add(Fault("error", "px.GetDeleted", status=200, body='{"value":[]}'))
    assert run(settings_for(box, LOG, TERMS), state=state).error is None


@pytest.mark.parametrize("untracked", [400, 404, 501])
def test_where_nothing_is_told_the_stream_is_skipped(box: Sandbox, untracked: int) -> None:
    box.hide(TRACKED)
    box.quirks.tells_deletions, box.quirks.untracked = untracked != 404, untracked
    output = run(settings_for(box, LOG, TERMS, ACCOUNTS))
    assert output.error is None
    assert output.records(LOG) == []
    assert output.state["bookmarks"].get(LOG, {}).keys() <= {"schema"}


def test_a_log_that_fell_silent_is_missed(box: Sandbox) -> None:
    box.track(TERMS)
    delete(box, TERMS)
    settings = settings_for(box, LOG, TERMS, ACCOUNTS)
    state = run(settings).state
    box.hide(TRACKED)
    box.quirks.tells_deletions = False
    output = run(settings, state=state)
    assert "tells no deletions" in str(output.error)
    assert output.state["bookmarks"][LOG] == state["bookmarks"][LOG]


def test_a_table_that_is_refused_is_named_and_read_from_the_beginning_later(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    box.track(TERMS, ACCOUNTS)
    expected = delete(box, TERMS)
    missed = delete(box, ACCOUNTS)
    box.forbid(ACCOUNTS)
    first = run(settings_for(box, LOG))
    assert told(first) == expected
    assert f"Acumatica tells no deletions of {ACCOUNTS}" in caplog.text
    box.clock.advance(2 * DAY)
    second = run(settings_for(box, LOG), state=first.state)
    box.clock.advance(DAY)
    box.allow(ACCOUNTS)
    assert told(run(settings_for(box, LOG), state=second.state)) == expected | missed


def test_a_table_that_fails_leaves_the_bookmark_where_it_was(box: Sandbox) -> None:
    box.track(TERMS, ACCOUNTS)
    expected = delete(box, TERMS) | delete(box, ACCOUNTS)
    box.faults.add(Fault("error", "Account/px|GL_Account/px", status=503))
    first = run(settings_for(box, LOG, max_retry_time=0))
    assert first.error is not None
    assert "replication_key_value" not in first.state.get("bookmarks", {}).get(LOG, {})
    box.faults.clear()
    assert told(run(settings_for(box, LOG), state=first.state)) == expected


def test_an_empty_list_is_no_failure(box: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    output = run(settings_for(box, LOG))
    assert told(output) == set()
    assert "No table is listed" in caplog.text


@pytest.mark.parametrize("name", ["PX.Objects.CS.Terms", "Terms", "PX_Objects_CS_Terms"])
def test_tables_are_known_by_whatever_name_the_list_has_for_them(box: Sandbox, name: str) -> None:
    box.insert(TRACKED, {"TableID": 1, "TableName": name})
    expected = delete(box, TERMS)
    assert told(run(settings_for(box, LOG, TERMS))) == expected


# What is too old


@pytest.mark.parametrize("days", [None, 3])
def test_a_bookmark_older_than_the_retention_is_said_once(
    box: Sandbox, days: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    kept = days or 10
    if days:
        box.keep_deletions(days)
    else:
        box.forbid("ODataPreferences")
    box.track(ACCOUNTS)
    delete(box, ACCOUNTS)
    settings = settings_for(box, LOG)
    state = run(settings).state
    box.clock.advance((kept - 1) * DAY)
    state = run(settings, state=state).state
    assert "is older than" not in caplog.text
    lost = delete(box, ACCOUNTS)
    box.clock.advance((kept + 1) * DAY)
    kept_entries = delete(box, ACCOUNTS)
    output = run(settings, state=state)
    assert told(output) == kept_entries
    assert not told(output) & lost
    assert f"is older than the {kept} days" in caplog.text
    caplog.clear()
    run(settings, state=output.state)
    assert "is older than" not in caplog.text


def test_a_late_run_costs_a_request_for_each_table_and_two_more(box: Sandbox) -> None:
    box.track(TERMS, ACCOUNTS)
    delete(box, ACCOUNTS, 3)
    state = run(settings_for(box, LOG)).state
    box.reset_counters()
    run(settings_for(box, LOG), state=state)
    assert box.counters().data_requests <= 10


# Rows that are marked as deleted


def marks(output: Output, stream: str) -> dict[Any, str | None]:
    """The mark of each row by its key, as a target that upserts holds it."""
    assert output.error is None
    schema = next(m for m in output.messages if m["type"] == "SCHEMA" and m["stream"] == stream)
    assert schema["schema"]["properties"][MARK]["type"] == ["string", "null"]
    key = schema["key_properties"]
    return {tuple(record[n] for n in key): record[MARK] for record in output.records(stream)}


def key_of(box: Sandbox, entity: str, row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in box.model.find(entity).key}


def marked(box: Sandbox, output: Output, entity: str) -> set[Any]:
    """The keys of the rows that a run marked; all rows have arrived."""
    by_key = marks(output, entity)
    names = box.model.find(entity).key
    assert by_key.keys() == {tuple(row[name] for name in names) for row in box.rows(entity)}
    return {key for key, mark in by_key.items() if mark}


SOLD = "PX_Objects_SO_SOLine"


@pytest.mark.parametrize("entity", [CONTACTS, CUSTOMERS, SOLD, TERMS])
@pytest.mark.parametrize("tracking", ["date", "none"])
@pytest.mark.parametrize("page_size", [10, 2000])
def test_rows_that_are_marked_as_deleted_arrive_with_their_values_and_a_date(
    box: Sandbox, entity: str, tracking: str, page_size: int
) -> None:
    gone = box.rows(entity)[1::3]
    for row in gone:
        box.hide_rows(entity, key_of(box, entity, row), "deleted", dated=False)
    settings = settings_for(
        box, entity, include_deleted=True, tracking_type=tracking, page_size=page_size
    )
    output = run(settings)
    names = box.model.find(entity).key
    assert marked(box, output, entity) == {tuple(row[n] for n in names) for row in gone}
    for record in output.records(entity):
        if record[MARK]:
            shown = datetime.fromisoformat(record["LastModifiedDateTime"])
            assert datetime.fromisoformat(record[MARK]) == shown


def test_a_restored_row_loses_its_mark(box: Sandbox) -> None:
    row = box.rows(TERMS)[0]
    key, settings = key_of(box, TERMS, row), settings_for(box, TERMS, include_deleted=True)
    box.hide_rows(TERMS, key, "deleted")
    first = run(settings)
    assert marks(first, TERMS)[tuple(key.values())]
    box.clock.advance(60)
    box.hide_rows(TERMS, key)
    second = run(settings, state=first.state)
    assert marks(second, TERMS)[tuple(key.values())] is None


def test_a_living_row_that_changes_meanwhile_is_not_marked(box: Sandbox) -> None:
    row = box.rows(TERMS)[0]

    def change(request: RequestRecord) -> None:
        if "px-apideleted" not in request.headers and "Terms" in request.path:
            box.clock.advance(2)
            box.update(TERMS, key_of(box, TERMS, row), {"Descr": "changed"})

    box.before_request(change)
    output = run(settings_for(box, TERMS, include_deleted=True))
    assert {mark for record in output.records(TERMS) for mark in [record[MARK]]} == {None}


def test_an_archived_row_is_not_marked(box: Sandbox) -> None:
    box.hide_rows(TERMS, key_of(box, TERMS, box.rows(TERMS)[0]), "archived")
    assert set(marks(run(settings_for(box, TERMS, include_deleted=True)), TERMS).values()) == {None}


def test_rows_of_one_instant_are_told_apart_in_one_request_for_a_page() -> None:
    with Sandbox(now=NOW, empty=True) as box:
        box.fill(CUSTOMERS, 200, step_seconds=0)
        gone = box.rows(CUSTOMERS)[::20]
        for row in gone:
            box.hide_rows(CUSTOMERS, key_of(box, CUSTOMERS, row), "deleted", dated=False)
        settings = settings_for(box, CUSTOMERS, page_size=20)
        run(settings)
        before = box.counters().data_requests
        box.reset_counters()
        output = run({**settings, "include_deleted": True})
        assert marked(box, output, CUSTOMERS) == {(row["AcctCD"],) for row in gone}
        pages = 200 / 20
        assert box.counters().data_requests <= before + pages + len(gone) + 1


def test_slices_in_parallel_mark_their_rows(box: Sandbox) -> None:
    gone = box.rows(SOLD)[::7]
    for row in gone:
        box.hide_rows(SOLD, key_of(box, SOLD, row), "deleted", dated=False)
    settings = settings_for(box, SOLD, include_deleted=True, page_size=10, max_pool_size=3)
    names = box.model.find(SOLD).key
    assert marked(box, run(settings), SOLD) == {tuple(row[n] for n in names) for row in gone}


def test_cut_answers_and_links_of_the_server_lose_no_mark(box: Sandbox) -> None:
    gone = box.rows(CUSTOMERS)[1::4]
    for row in gone:
        box.hide_rows(CUSTOMERS, key_of(box, CUSTOMERS, row), "deleted", dated=False)
    expected = {(row["AcctCD"],) for row in gone}
    settings = settings_for(box, CUSTOMERS, include_deleted=True, page_size=20)
    box.faults.add(Fault("next_link", size=7))
    assert marked(box, run(settings), CUSTOMERS) == expected
    box.faults.clear()
    box.faults.add(Fault("rows_cap", rows=7))
    assert marked(box, run(settings), CUSTOMERS) == expected


@pytest.mark.parametrize(
    "fault",
    [
        Fault("error", above_top=20, message="The limit of '20' for Top query has been exceeded."),
        Fault("error", r"orderby=\w+,", message="The limit of '1' for OrderBy has been exceeded."),
    ],
    ids=["top", "orderby"],
)
def test_limits_of_the_server_lose_no_mark(box: Sandbox, fault: Fault) -> None:
    gone = box.rows(CUSTOMERS)[1::4]
    for row in gone:
        box.hide_rows(CUSTOMERS, key_of(box, CUSTOMERS, row), "deleted", dated=False)
    box.faults.add(fault)
    output = run(settings_for(box, CUSTOMERS, include_deleted=True, page_size=50))
    assert marked(box, output, CUSTOMERS) == {(row["AcctCD"],) for row in gone}


def test_the_recipe_for_audited_forms_reads_deletions_with_their_keys(box: Sandbox) -> None:
    page = Path(__file__).parents[2].joinpath("docs", "deletes.md").read_text(encoding="utf-8")
    recipe = page.partition("## Audited forms")[2]
    settings = json.loads(re.findall(r"```json\n(.*?)```", recipe, re.DOTALL)[0])
    (audit,) = settings["entities"]
    change = {"BatchID": 1, "ChangeID": 1, "TableName": "Customer", "CombinedKey": "ABARTENDE"}
    box.insert(audit, {**change, "Operation": "D", "ChangeDate": "2026-05-31T12:00:00Z"})
    first = run(settings_for(box, **settings))
    (record,) = first.records(audit)
    assert (record["Operation"], record["CombinedKey"]) == ("D", "ABARTENDE")
    box.clock.advance(2 * DAY)
    box.insert(audit, {**change, "ChangeID": 2, "Operation": "D", "ChangeDate": box.clock.now()})
    box.clock.advance(1)
    second = run(settings_for(box, **settings), state=first.state)
    assert [record["ChangeID"] for record in second.records(audit)] == [2]


def test_an_older_catalog_gets_the_column_too(box: Sandbox) -> None:
    catalog = select_all({TERMS: discover(settings_for(box))[TERMS]})
    box.hide_rows(TERMS, key_of(box, TERMS, box.rows(TERMS)[0]), "deleted")
    output = run(settings_for(box, include_deleted=True), catalog=catalog)
    assert sum(mark is not None for mark in marks(output, TERMS).values()) == 1
    assert MARK not in run(settings_for(box), catalog=catalog).messages[0]["schema"]["properties"]


def test_singletons_inquiries_and_the_log_have_no_marks(box: Sandbox) -> None:
    box.track(TERMS)
    names = ("PX_Objects_GL_GLSetup", "PX_Objects_CS_CSAnswers", "GI_Customer_Contacts", LOG)
    output = run(settings_for(box, *names, include_deleted=True))
    assert output.error is None
    schemas = [message for message in output.messages if message["type"] == "SCHEMA"]
    assert len(schemas) == len(names)
    assert not [schema for schema in schemas if MARK in schema["schema"]["properties"]]


def test_where_rows_cannot_be_told_apart_the_log_says_so(
    box: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    box.hide_rows(TERMS, key_of(box, TERMS, box.rows(TERMS)[0]), "deleted")
    box.faults.add(Fault("error", " le ", message="syntax error at position 4"))
    output = run(settings_for(box, TERMS, include_deleted=True, tracking_type="none"))
    assert set(marks(output, TERMS).values()) == {None}
    assert f"Rows of {TERMS} that are marked as deleted arrive as if" in caplog.text


# Whatever happens in between


TABLES = (TERMS, CUSTOMERS, ACCOUNTS)
ROUNDS = st.lists(
    st.fixed_dictionaries(
        {
            "tracked": st.sets(st.sampled_from(TABLES)),
            "deleted": st.sets(st.sampled_from(TABLES)),
            "refused": st.sets(st.sampled_from([CUSTOMERS, ACCOUNTS, TRACKED])),
            "fails": st.sampled_from([None, None, TERMS, CUSTOMERS, TRACKED]),
            "hours": st.sampled_from([1, 10, 20, 50]),
        }
    ),
    min_size=3,
    max_size=6,
)


@settings(max_examples=15)
@given(ROUNDS)
def test_no_entry_is_lost_whatever_fails_or_is_refused_in_between(
    rounds: list[dict[str, Any]],
) -> None:
    with Sandbox(now=NOW, rows=60) as box:
        # The entries outlive all rounds.
        box.keep_deletions(30)
        tracked, expected, found, state = {TERMS}, set(), set(), None
        box.track(TERMS)
        options = settings_for(box, LOG, *TABLES, max_retry_time=0)
        last = {"tracked": (), "deleted": (), "refused": (), "fails": None, "hours": 0}
        for happens in [*rounds, last]:
            box.track(*sorted(set(happens["tracked"]) - tracked))
            tracked |= set(happens["tracked"])
            for entity in happens["deleted"]:
                entries = delete(box, entity)
                expected |= entries if entity in tracked else set()
            for entity in (CUSTOMERS, ACCOUNTS, TRACKED):
                box.forbid(entity, 403 if entity in happens["refused"] else 200)
            if happens["fails"]:
                box.faults.add(Fault("error", rf"{happens['fails']}(/px|\?)", status=503))
            output = run(options, state=state)
            box.faults.clear()
            state = output.state or state
            found |= {(each["entity"], each["RefNoteID"]) for each in output.records(LOG)}
            box.clock.advance(happens["hours"] * 3600)
        assert found == expected
