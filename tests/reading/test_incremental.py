"""After each run, every row has arrived as it was at the start of the run, or newer."""

from __future__ import annotations

import re
from contextlib import closing
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.simulation import R, Server, SimulatedTable, at

from tap_acumatica.odata import edm
from tap_acumatica.odata.clock import ClockCheck
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.table import Table
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import Checkpoint, IncrementalStart, PageRead, ReadSettings
from tap_acumatica.reading.prefetch import Prefetcher
from tap_acumatica.reading.reader import EntityReader

if TYPE_CHECKING:
    from collections.abc import Callable

CLOCK = at("2026-06-01T12:00:00")
KEYED = Table(
    "Rows",
    {"K": edm.INTEGER, R: edm.INSTANT, "Version": edm.INTEGER},
    ("K",),
    replication_key=R,
)
KEYLESS = Table("Rows", KEYED.columns, (), ("K",), R)


def run(
    sim: SimulatedTable,
    bookmark: Bookmark,
    table: Table = KEYED,
    clock_check: ClockCheck | None = None,
    **changes: Any,
) -> tuple[list[PageRead], Bookmark]:
    """Read the table once; returns its pages and the last bookmark."""
    changes = {"paging": Paging(10), "time_offset": timedelta(0), **changes}
    read_settings = ReadSettings(**changes)
    check = clock_check or ClockCheck(read_settings.instants, zone_is_set=True)
    reader = EntityReader(sim, table, read_settings, IncrementalStart(check, bookmark))
    ahead = Prefetcher[str, Any](["x"], lambda _: reader, read_settings.readers, lambda: False)
    pages: list[PageRead] = []
    with closing(ahead.items("x")) as events:  # type: ignore[type-var] # a generator
        for event in events:
            match event:
                case PageRead():
                    pages.append(event)
                case Checkpoint():
                    bookmark = event.bookmark
    return pages, bookmark


def still(rows: int, server: Server, seconds: float = 60) -> SimulatedTable:
    """Return a table of rows that changed one after the other, the last one two days ago."""
    sim = SimulatedTable(("K",), server, CLOCK, Random(1))
    for number in range(rows):
        sim.put((number,), CLOCK - timedelta(days=2, seconds=(rows - number) * seconds))
    return sim


def changing(sim: SimulatedTable, keys: range, step: Callable[[], timedelta]) -> Callable[[], None]:
    """Return a callback that changes these rows, each time at a later instant."""

    def change() -> None:
        for number in keys:
            sim.now += step() / len(keys)
            sim.put((number,), sim.stamp())

    return change


@settings(max_examples=60)
@given(
    rows=st.sampled_from([3, 10, 35, 120]),
    restless=st.integers(1, 8),
    random=st.builds(Random, st.integers(0, 2**32)),
    readers=st.sampled_from([1, 4]),
    server=st.builds(
        Server,
        cap=st.sampled_from([None, 9]),
        counts=st.booleans(),
        precision=st.sampled_from([1, 1_000_000]),
        rounds=st.booleans(),
        links=st.booleans(),
    ),
    table=st.sampled_from([KEYED, KEYLESS]),
)
@example(
    rows=120, restless=3, random=Random(1657), readers=1, server=Server(cap=9), table=KEYED
).via("an answer all of whose rows have changed before their keys were requested")
@example(
    rows=35,
    restless=8,
    random=Random(0),
    readers=1,
    server=Server(cap=9, counts=False, precision=1_000_000, rounds=True),
    table=KEYED,
).via("restless rows that fill an answer")
def test_a_row_that_changes_between_any_two_requests_arrives_in_each_run(  # noqa: PLR0913, PLR0917
    rows: int, restless: int, random: Random, readers: int, server: Server, table: Table
) -> None:
    server.shuffles = bool(table.key)
    sim = still(rows, server)
    hot = range(rows // 2, min(rows // 2 + restless, rows))
    sim.between = changing(
        sim, hot, lambda: timedelta(milliseconds=random.choice([100, 1500, 9000]))
    )
    bookmark = Bookmark()
    delivered: dict[tuple[int], int] = {}
    for _ in range(5):
        start = sim.versions_shown()
        since = sim.now
        pages, bookmark = run(sim, bookmark, table, readers=readers)
        for page in pages:
            for row in page.rows:
                delivered[row["K"],] = max(row["Version"], delivered.get((row["K"],), 0))
        assert all(delivered[key] >= version for key, version in start.items())
        assert bookmark.instant is not None
        assert since.replace(microsecond=0) <= bookmark.instant <= sim.now
        sim.queries.clear()
        sim.now += timedelta(hours=random.choice([0, 1, 24]))


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("readers", [1, 4])
def test_many_rows_that_leave_the_window_unread_arrive_in_the_same_run(
    readers: int, counts: bool
) -> None:
    sim = still(200, Server(counts=counts))
    start = sim.versions_shown()
    restless = changing(sim, range(8), lambda: timedelta(seconds=3))

    def change() -> None:
        restless()
        if len(sim.queries) == 6:
            for number in range(100, 200):
                sim.now += timedelta(seconds=1)
                sim.put((number,), sim.now)

    sim.between = change
    pages, _ = run(sim, Bookmark(), readers=readers)
    delivered = {(row["K"],): row["Version"] for page in pages for row in page.rows}
    assert all(delivered[key] >= version for key, version in start.items())


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("readers", [1, 4])
def test_a_table_that_never_rests_ends_for_certain(counts: bool, readers: int) -> None:
    """More rows change between two requests than a page holds."""
    sim = still(200, Server(counts=counts))
    sim.between = changing(sim, range(100, 130), lambda: timedelta(seconds=9))
    pages, bookmark = run(sim, Bookmark(), readers=readers)
    assert len(sim.queries) < 200 // 10 * 3
    assert {row["K"] for page in pages for row in page.rows} >= set(range(100))
    assert bookmark.instant == at("2026-06-01T12:00:09")


def test_rows_behind_the_clock_do_not_move_the_bookmark() -> None:
    sim = still(40, Server())
    sim.between = changing(sim, range(1), lambda: timedelta(seconds=5))
    pages, bookmark = run(sim, Bookmark())
    clock = at("2026-06-01T12:00:05")
    assert max(row[R] for page in pages for row in page.rows) > clock.isoformat()
    assert all(page.reached is None or page.reached < clock for page in pages)
    assert bookmark.instant == clock


@pytest.mark.parametrize(("readers", "more"), [(1, 0), (4, 1)])
def test_the_part_behind_the_clock_costs_one_request_if_the_window_is_split(
    readers: int, more: int
) -> None:
    sim = still(200, Server())
    run(sim, Bookmark(undated_read_on="2026-06-01"), readers=readers)
    behind = [query for query in sim.queries if re.search(rf"{R} ge 2026-06-01T12", query.filter)]
    assert len(behind) == more
    assert all(f"{R} lt 2026-06-02T12:00:00Z" in query.filter for query in behind)
    (last,) = [query for query in sim.queries if f"{R} lt" in query.filter][-1:]
    assert last == (behind or [last])[0], "behind all slices"


def test_a_row_that_is_dated_ahead_keeps_no_row_from_arriving() -> None:
    sim = still(30, Server(counts=False))
    sim.put((99,), CLOCK + timedelta(hours=20))
    sim.between = changing(sim, range(10, 12), lambda: timedelta(seconds=4))
    bookmark, delivered = Bookmark(), set[int]()
    for _ in range(3):
        pages, bookmark = run(sim, bookmark)
        delivered |= {row["K"] for page in pages for row in page.rows}
        assert bookmark.instant is not None
        assert bookmark.instant <= sim.now
    assert delivered == {*range(30), 99}


@pytest.mark.parametrize("bound", ["start_date", "bookmark"])
@pytest.mark.parametrize("precision", [1, 1_000_000], ids=["fractions", "whole seconds"])
@pytest.mark.parametrize("fraction", [0, 250], ids=["at a second", "between seconds"])
def test_a_row_that_was_changed_at_the_lower_bound_is_read(
    bound: str, precision: int, fraction: int
) -> None:
    low = CLOCK - timedelta(hours=30) + timedelta(milliseconds=fraction)
    sim = SimulatedTable(("K",), Server(precision=precision), CLOCK, Random(1))
    for number, milliseconds in enumerate((-3, 0, 3)):
        sim.put((number,), low + timedelta(milliseconds=milliseconds))
    offset = timedelta(minutes=10)
    bookmark = Bookmark(low + offset if bound == "bookmark" else None)
    start_date = low if bound == "start_date" else None
    pages, _ = run(sim, bookmark, start_date=start_date, time_offset=offset)
    assert [row["K"] for page in pages for row in page.rows] == [1, 2]


def test_a_row_that_changes_within_the_second_of_two_runs_arrives_in_the_second_run() -> None:
    sim = still(5, Server())
    _, bookmark = run(sim, Bookmark())
    sim.now += timedelta(milliseconds=300)
    sim.put((3,), sim.now)
    sim.now += timedelta(milliseconds=300)
    pages, after = run(sim, bookmark)
    assert [row["Version"] for page in pages for row in page.rows] == [6]
    assert after.instant == bookmark.instant
