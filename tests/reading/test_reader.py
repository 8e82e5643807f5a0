"""How a reader deals with servers that refuse, cap, link or hide."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from support.running import discover, run, select_all, settings_for
from support.simulation import R, Server, SimulatedTable, at

from sandbox import Fault, Sandbox
from tap_acumatica.odata import edm
from tap_acumatica.odata.clock import ClockCheck
from tap_acumatica.odata.errors import AcumaticaError, InconsistentAnswer
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.paging.pager import Paging, ProvedBy
from tap_acumatica.odata.table import Table
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import Checkpoint, IncrementalStart, PageRead, ReadSettings
from tap_acumatica.reading.reader import EntityReader

LEDGER = "PX_Objects_GL_GLTran"
USERS = "PX_SM_Users"
ANSWERS = "PX_Objects_CS_CSAnswers"
CLOCK = at("2026-06-01T12:00:00")


def keyless(rows: int, server: Server, spread: int = 0) -> tuple[SimulatedTable, Table]:
    sim = SimulatedTable(("K",), server, CLOCK, Random(1))
    for number in range(rows):
        sim.put((number,), CLOCK - timedelta(days=3) + timedelta(seconds=number * spread))
    sim.key = ()
    columns = {"K": edm.INTEGER, R: edm.INSTANT, "Version": edm.INTEGER}
    return sim, Table("Rows", columns, order=("K",), replication_key=R)


def read(
    sim: SimulatedTable, table: Table, size: int = 10, bookmark: Bookmark | None = None
) -> tuple[list[int], Bookmark]:
    start = IncrementalStart(ClockCheck(InstantReader(), zone_is_set=True), bookmark or Bookmark())
    keys: list[int] = []
    last = bookmark or Bookmark()
    for item in EntityReader(sim, table, ReadSettings(paging=Paging(size)), start):
        match item:
            case PageRead():
                keys += [row["K"] for row in item.rows]
            case Checkpoint():
                last = item.bookmark
    return keys, last


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("spread", [0, 1, 5])
def test_rows_without_a_key_are_all_read_also_within_one_second(counts: bool, spread: int) -> None:
    sim, table = keyless(73, Server(counts=counts, shuffles=False), spread)
    assert sorted(read(sim, table)[0]) == list(range(73))


def test_a_second_without_a_key_that_the_server_caps_is_an_error() -> None:
    sim, table = keyless(73, Server(cap=25, counts=False, shuffles=False))
    with pytest.raises(InconsistentAnswer, match="no key tells"):
        read(sim, table)


def test_a_bookmark_of_the_future_is_an_error() -> None:
    sim, table = keyless(3, Server())
    with pytest.raises(AcumaticaError, match="ahead of the server"):
        read(sim, table, bookmark=Bookmark(CLOCK + timedelta(days=3)))


def test_a_clock_behind_the_bookmark_keeps_it_and_reads_what_is_later() -> None:
    sim, table = keyless(3, Server())
    bookmark = Bookmark(CLOCK + timedelta(hours=2))
    keys, after = read(sim, table, bookmark=bookmark)
    assert (keys, after.instant) == ([], bookmark.instant)
    sim.rows[1,][R] = CLOCK + timedelta(hours=3)
    keys, after = read(sim, table, bookmark=bookmark)
    assert (keys, after.instant) == ([1], bookmark.instant)


def test_a_wider_scope_reads_everything_again() -> None:
    sim, table = keyless(20, Server(), 5)
    _, bookmark = read(sim, table)
    narrower = Bookmark(bookmark.instant, bookmark.undated_read_on, {"include_deleted": True})
    assert sorted(read(sim, table, bookmark=narrower)[0]) == list(range(20))


@pytest.mark.parametrize("style", ["absolute", "relative", "service", "query", "token"])
@pytest.mark.parametrize("paging", [True, False])
def test_next_links_of_every_form_lose_no_row(box: Sandbox, style: str, paging: bool) -> None:
    box.faults.add(Fault("next_link", style=style, size=40))
    settings = settings_for(box, LEDGER, USERS, ANSWERS, client_side_paging=paging)
    output = run(settings)
    assert output.error is None
    for stream in (LEDGER, USERS, ANSWERS):
        assert len(output.records(stream)) == len(box.rows(stream))


@pytest.mark.parametrize("style", ["foreign", "loop"])
def test_next_links_that_lead_astray_are_refused(box: Sandbox, style: str) -> None:
    box.faults.add(Fault("next_link", match=LEDGER, style=style, size=40))
    output = run(settings_for(box, LEDGER, client_side_paging=False))
    assert isinstance(output.error, InconsistentAnswer)


@pytest.mark.parametrize("stream", [LEDGER, USERS])
def test_an_empty_page_with_a_link_is_not_the_end(box: Sandbox, stream: str) -> None:
    box.faults.add(Fault("empty_page", match=stream, times=1))
    output = run(settings_for(box, stream, page_size=50))
    assert output.error is None
    assert len(output.records(stream)) == len(box.rows(stream))


def test_a_column_that_the_metadata_did_not_restrict_is_left_out(box: Sandbox) -> None:
    box.quirks.annotations = False
    output = run(settings_for(box, "Terms", USERS))
    assert output.error is None
    assert output.records("PX_Objects_CS_Terms")


def test_a_vanished_column_says_to_run_discovery_again(box: Sandbox) -> None:
    box.faults.add(Fault("vanish", match="Terms", column="Descr"))
    output = run(settings_for(box, "Terms"))
    assert "run discovery again" in str(output.error)


@pytest.mark.parametrize("kind", ["ignore_order", "ignore_filter"])
def test_a_server_that_ignores_order_or_filter_is_found_out(box: Sandbox, kind: str) -> None:
    box.faults.add(Fault(kind, match=LEDGER, after=2))
    box.insert(LEDGER, {"BatchNbr": "X", "LineNbr": 1, "Module": "GL", R: "2031-01-01T00:00:00Z"})
    output = run(settings_for(box, LEDGER, page_size=50))
    assert isinstance(output.error, AcumaticaError)


def test_a_refused_key_filter_is_replaced_by_skipping(box: Sandbox) -> None:
    box.faults.add(
        Fault("error", match=" gt ", message="An unknown function with name 'gt' was found.")
    )
    output = run(settings_for(box, LEDGER, page_size=100, tracking_type="none"))
    assert output.error is None
    assert len(output.records(LEDGER)) == len(box.rows(LEDGER))


@pytest.mark.parametrize("counts", [True, False])
def test_a_key_filter_that_is_answered_with_nothing_loses_no_row(counts: bool) -> None:
    sim, table = keyless(73, Server(counts=counts, empties=" gt "))
    sim.key = ("K",)
    table = Table("Rows", table.columns, key=("K",))
    reader = EntityReader(sim, table, ReadSettings(paging=Paging(10)))
    rows = [row["K"] for item in reader if isinstance(item, PageRead) for row in item.rows]
    assert set(rows) == set(range(73))


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("nulls_last", [True, False])
def test_rows_with_a_null_in_their_key_are_read_wherever_they_sort(
    counts: bool, nulls_last: bool
) -> None:
    sim = SimulatedTable(("A", "B"), Server(counts=counts, nulls_last=nulls_last), CLOCK, Random(1))
    for number in range(60):
        sim.put((number // 3, None if number % 3 == 0 else number), CLOCK)
    columns = {"A": edm.INTEGER, "B": edm.INTEGER, "Version": edm.INTEGER}
    table = Table("Rows", columns, key=("A", "B"))
    rows = [
        row["Version"]
        for item in EntityReader(sim, table, ReadSettings(paging=Paging(10)))
        if isinstance(item, PageRead)
        for row in item.rows
    ]
    assert set(rows) == {row["Version"] for row in sim.rows.values()}


def test_a_proof_by_count_passes_where_all_was_delivered(box: Sandbox) -> None:
    output = run(settings_for(box, LEDGER, USERS, ANSWERS, verify_counts=True, page_size=50))
    assert output.error is None


def test_a_proof_by_count_fails_with_both_figures(box: Sandbox) -> None:
    stored = len(box.rows(LEDGER))
    box.faults.add(Fault("ignore_filter", match="top=1&$count"))
    settings = settings_for(box, LEDGER, verify_counts=True, start_date="2024-06-01T00:00:00Z")
    output = run(settings)
    assert isinstance(output.error, InconsistentAnswer)
    assert str(stored) in str(output.error)
    assert str(len(output.records())) in str(output.error)


@pytest.mark.parametrize("size", [10, 2000])
def test_a_key_that_does_not_tell_rows_apart_is_an_error(box: Sandbox, size: int) -> None:
    stock = "PX_Objects_IN_INLocationStatus"
    settings = settings_for(box, stock, tracking_type="none", page_size=size)
    catalog = select_all(discover(settings))
    (entry,) = catalog["streams"]
    entry["key_properties"] = ["SiteID"]
    error = run(settings, catalog=catalog).error
    assert isinstance(error, InconsistentAnswer)
    assert f"Two rows of {stock} have the same SiteID" in str(error)
    entry["key_properties"] = []
    assert len(run(settings, catalog=catalog).records()) == len(box.rows(stock))


@pytest.mark.parametrize("first", range(9))
def test_two_rows_of_one_key_are_found_wherever_pages_meet(first: int) -> None:
    sim = SimulatedTable(("A", "B"), Server(), CLOCK, Random(1))
    for number in range(20):
        sim.put((first if number == first + 1 else number, number), CLOCK)
    columns = {"A": edm.INTEGER, "B": edm.INTEGER, "Version": edm.INTEGER}
    with pytest.raises(InconsistentAnswer, match="have the same A"):
        full(sim, Table("Rows", columns, key=("A",)), size=3)


def test_two_rows_of_one_key_and_instant_are_an_error_in_a_window_too() -> None:
    sim, table = keyless(20, Server())
    sim.key = ("K",)
    columns = {**table.columns, "Version": edm.INTEGER}
    for (number,) in [*sim.rows]:
        sim.rows[number,]["A"] = number // 2
    table = replace(table, columns={**columns, "A": edm.INTEGER}, key=("A",), order=())
    with pytest.raises(InconsistentAnswer, match="have the same A"):
        read(sim, table)


def test_rows_added_meanwhile_do_not_hide_those_with_a_null_in_their_key() -> None:
    server = Server(nulls_last=True, shuffles=False)
    sim = SimulatedTable(("A", "B"), server, CLOCK, Random(1))
    for number in range(30):
        sim.put((number, None if number == 5 else 1), CLOCK)
    sim.put((None, 1), CLOCK)

    def add_ahead() -> None:
        if len(sim.queries) in {1, 2}:
            sim.put((20, 10 + len(sim.queries)), CLOCK)

    sim.between = add_ahead
    columns = {"A": edm.INTEGER, "B": edm.INTEGER, "Version": edm.INTEGER}
    table = Table("Rows", columns, key=("A", "B"))
    reader = EntityReader(sim, table, ReadSettings(paging=Paging(10)))
    delivered = [row for item in reader if isinstance(item, PageRead) for row in item.rows]
    assert {row["Version"] for row in delivered} == {row["Version"] for row in sim.rows.values()}


def full(sim: SimulatedTable, table: Table, size: int = 10) -> list[int]:
    reader = EntityReader(sim, table, ReadSettings(paging=Paging(size)))
    return [row["Version"] for item in reader if isinstance(item, PageRead) for row in item.rows]


def by_key(rows: int, server: Server, kind: edm.EdmType = edm.INTEGER) -> tuple[Any, Table]:
    sim = SimulatedTable(("K",), server, CLOCK, Random(1))
    for number in range(rows):
        sim.put((number * 2 if kind is edm.INTEGER else str(UUID(int=number)),), CLOCK)
    return sim, Table("Rows", {"K": kind, "Version": edm.INTEGER}, key=("K",))


@pytest.mark.parametrize("kind", [edm.INTEGER, edm.TYPES["Edm.Guid"]])
@pytest.mark.parametrize("cap", [None, 5])
def test_a_count_that_is_taken_before_the_rows_does_not_end_a_read_early(
    kind: edm.EdmType, cap: int | None
) -> None:
    """A row that is added between the two pushes the last row out of a full response."""
    sim, table = by_key(10, Server(counts_apart=True, cap=cap), kind)
    initial = {row["Version"] for row in sim.rows.values()}
    added: list[Any] = []

    def add_one() -> None:
        if sim.counting and len(sim.queries) == (2 if cap else 1) and not added:
            added.append(sim.put((13 if kind is edm.INTEGER else f"{UUID(int=6)}!",), CLOCK))

    sim.between = add_one
    assert initial <= set(full(sim, table, size=6 if cap else 10))
    assert added


def test_a_link_that_skips_loses_no_row_where_the_table_shifts() -> None:
    sim, table = by_key(60, Server(cap=10, links=True), edm.TYPES["Edm.Guid"])
    keys = list(sim.rows)
    initial = {row["Version"] for key, row in sim.rows.items() if key not in keys[:3]}

    def delete_one() -> None:
        if len(sim.queries) in {1, 2, 3}:
            del sim.rows[keys[len(sim.queries) - 1]]

    sim.between = delete_one
    assert initial <= set(full(sim, table, size=50))


@pytest.mark.parametrize("nulls_last", [True, False])
def test_rows_with_a_null_in_their_key_come_once(nulls_last: bool) -> None:
    server = Server(nulls_last=nulls_last, shuffles=False)
    sim = SimulatedTable(("A", "B"), server, CLOCK, Random(1))
    for number in range(60):
        sim.put((number // 3, None if number % 3 == 0 else number), CLOCK)
    columns = {"A": edm.INTEGER, "B": edm.INTEGER, "Version": edm.INTEGER}
    for size in (10, 12, 15):
        versions = full(sim, Table("Rows", columns, key=("A", "B")), size)
        assert sorted(versions) == list(range(1, 61))


def test_the_first_of_all_instants_is_a_date_like_any_other() -> None:
    sim, table = keyless(0, Server())
    sim.key, table = ("K",), replace(table, key=("K",))
    for number in range(30):
        sim.put((number,), at("0001-01-01T00:00:00"))
    assert sorted(read(sim, table)[0]) == list(range(30))
    assert sorted(read(sim, table, bookmark=Bookmark(at("0001-01-01T00:00:00")))[0]) == [*range(30)]


def test_dates_of_the_last_century_do_not_tell_of_zones() -> None:
    """Time-zone tables differ about them: this server knows no local mean time."""
    zone = ZoneInfo("America/New_York")
    server = Server(zone=zone, label="", cookie="TimeZone=GMTM0500G")
    sim, table = keyless(0, server)
    sim.key, table = ("K",), replace(table, key=("K",))
    sim.put((1,), at("0001-01-01T00:00:00"))
    sim.put((2,), CLOCK - timedelta(minutes=1))
    start = IncrementalStart(ClockCheck(InstantReader(zone), zone_is_set=True), Bookmark())
    reader = EntityReader(sim, table, ReadSettings(instants=InstantReader(zone)), start)
    assert sum(len(item.rows) for item in reader if isinstance(item, PageRead)) == 2


def test_a_row_of_the_future_does_not_move_an_unproved_bookmark() -> None:
    """Values and filters are five hours behind, and claim to be in UTC."""
    zone = ZoneInfo("America/New_York")
    sim, table = keyless(0, Server(zone=zone, label="Z", wall_filters=True, cookie=None))
    sim.key, table = ("K",), replace(table, key=("K",))
    sim.put((1,), CLOCK - timedelta(hours=9))
    sim.put((2,), CLOCK + timedelta(hours=20))
    _, bookmark = read(sim, table)
    sim.now += timedelta(hours=2)
    sim.put((3,), sim.now - timedelta(hours=1))
    assert 3 in read(sim, table, bookmark=bookmark)[0]


def test_a_replication_key_that_is_no_date_time_is_an_error_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sim, table = keyless(3, Server())
    monkeypatch.setattr(Server, "shown", lambda *_: "2026-05-29T25:00:00Z")
    with pytest.raises(InconsistentAnswer, match=r"values of Rows .*run discovery again"):
        read(sim, table)


PROOFS = [
    (Server(), True, ProvedBy.COUNT, True),
    (Server(cap=7), True, ProvedBy.COUNT, True),
    (Server(counts=False), True, ProvedBy.ANSWER_BEHIND, False),
    (Server(counts=False, cap=7), True, ProvedBy.ANSWER_BEHIND, False),
    (Server(counts_answer=True, cap=7), True, ProvedBy.ANSWER_BEHIND, False),
    (Server(), False, ProvedBy.ANSWER_BEHIND, False),
    (Server(cap=20), False, ProvedBy.TWO_READS, False),
]


@pytest.mark.parametrize(("server", "has_key", "by", "counts"), PROOFS)
@pytest.mark.parametrize("window", [True, False])
def test_a_read_ends_with_its_proof_and_with_the_figures_of_both_sides(
    server: Server, by: ProvedBy, *, has_key: bool, counts: bool, window: bool
) -> None:
    if window and not has_key:
        return  # a window without a key is read by seconds
    sim, table = keyless(45, server, 60)
    key = ("K",) if has_key else ()
    sim.key = key
    table = replace(table, key=key, replication_key=R if window else None)
    start = IncrementalStart(ClockCheck(InstantReader(), zone_is_set=True), Bookmark())
    settings = ReadSettings(paging=Paging(10))
    reader = EntityReader(sim, table, settings, start if window else None)
    events = list(reader)
    stats, proof = reader.stats, reader.stats.proof
    assert proof
    # A server that counts answers, or not at all, has no count that could be trusted.
    assert (proof.by, proof.counted, proof.rows) == (by, 45 if counts else None, 45)
    assert stats.requests == len(sim.queries)
    pages = [event for event in events if isinstance(event, PageRead)]
    assert (stats.pages, stats.rows) == (len(pages), sum(len(page.rows) for page in pages))
    assert (stats.window is not None) == window


def test_a_proof_by_count_leaves_out_what_is_added_where_no_clock_is_proved() -> None:
    """Values and filters are five hours behind, and claim to be in UTC."""
    zone = ZoneInfo("America/New_York")
    sim, table = keyless(0, Server(zone=zone, label="Z", wall_filters=True, cookie=None))
    sim.key, table = ("K",), replace(table, key=("K",))
    for number in range(12):
        sim.put((number,), CLOCK - timedelta(hours=9 + number))

    def add_at_the_end() -> None:
        if sim.queries and sim.queries[-1].skip:  # the look behind the last row
            sim.put((99,), CLOCK)

    sim.between = add_at_the_end
    start = IncrementalStart(ClockCheck(InstantReader(), zone_is_set=True), Bookmark())
    settings = ReadSettings(paging=Paging(20), verify_counts=True)
    rows = [
        row["K"]
        for item in EntityReader(sim, table, settings, start)
        if isinstance(item, PageRead)
        for row in item.rows
    ]
    assert sorted(rows) == list(range(12))
    assert 99 in {key for (key,) in sim.rows}


def test_a_row_that_changes_while_its_page_is_the_last_comes_again_in_the_same_run() -> None:
    sim, _ = keyless(35, Server(cookie=None, counts=False), 2)
    sim.key = ("K",)
    columns = {"K": edm.INTEGER, R: edm.INSTANT, "Version": edm.INTEGER}
    table = Table("Rows", columns, ("K",), replication_key=R)
    start = IncrementalStart(ClockCheck(InstantReader(), zone_is_set=True), Bookmark())
    delivered: dict[tuple[int], int] = {}
    changes = 0
    for item in EntityReader(sim, table, ReadSettings(paging=Paging(10)), start):
        if not isinstance(item, PageRead):
            continue
        delivered |= {(row["K"],): row["Version"] for row in item.rows}
        if len(delivered) == 35 and changes < 2:
            changes += 1
            by_change = sorted(sim.rows, key=lambda key: sim.rows[key][R])
            for key in (by_change[-1], by_change[0]):
                sim.put(key, sim.now)
                sim.now += timedelta(seconds=3)
    assert changes == 2
    assert delivered == sim.versions_shown()
