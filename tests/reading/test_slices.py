"""A large window is read in parallel slices: each row once, in order, in bounded memory."""

from __future__ import annotations

import re
import threading
from contextlib import closing
from datetime import UTC, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.running import NOW, run, settings_for
from support.simulation import R, Server, SimulatedTable, at

from sandbox import Fault, Sandbox
from tap_acumatica.odata import edm
from tap_acumatica.odata.clock import ClockCheck
from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.http.client import Client
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.paging.cursor import Window
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.table import Table
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import Checkpoint, IncrementalStart, PageRead, ReadSettings
from tap_acumatica.reading.pages import PageReader
from tap_acumatica.reading.prefetch import MAX_PAGES, Prefetcher
from tap_acumatica.reading.reader import EntityReader
from tap_acumatica.reading.slices import WindowSlice, WindowSplitter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.payload.page import Row
    from tap_acumatica.odata.query import Query

CLOCK = at("2026-06-01T12:00:00")
LEDGER = "PX_Objects_GL_GLTran"
TABLE = Table(
    "Rows",
    {"K": edm.INTEGER, R: edm.INSTANT, "Version": edm.INTEGER},
    ("K",),
    replication_key=R,
)


class Watched(SimulatedTable):
    """A simulated table that shows which windows were requested, and fails on demand."""

    def __init__(self, gaps: Iterable[float], server: Server | None = None) -> None:
        """Make rows with these gaps between them, in seconds."""
        super().__init__(("K",), server or Server(), CLOCK, Random(1))
        moment = CLOCK - timedelta(days=900)
        for number, gap in enumerate(gaps):
            moment += timedelta(seconds=gap)
            self.put((number,), moment)
        self.fails: Callable[[Query], bool] = lambda _: False

    def read(self, query: Any, subject: str, decode: Callable[[bytes], Any]) -> Result[Any]:
        if self.fails(query):
            raise InconsistentAnswer(subject)
        return super().read(query, subject, decode)

    def windows(self) -> set[str]:
        """Return the upper bounds of the windows that were requested."""
        bounds = (re.search(rf"{R} lt (\S+)", query.filter) for query in self.queries)
        return {bound[1] for bound in bounds if bound}


def read(
    sim: SimulatedTable, readers: int = 4, table: Table = TABLE, **settings: Any
) -> tuple[list[int], Bookmark]:
    """Return the keys of the rows in order of arrival, and the last bookmark."""
    settings = {"paging": Paging(10), "readers": readers, **settings}
    start = IncrementalStart(ClockCheck(InstantReader(), zone_is_set=True), Bookmark())
    reader = EntityReader(sim, table, ReadSettings(**settings), start)
    ahead = Prefetcher[str, Any](["x"], lambda _: reader, readers, lambda: False)
    keys: list[int] = []
    bookmark = Bookmark()
    with closing(ahead.items("x")) as items:  # type: ignore[type-var] # a generator
        for item in items:
            match item:
                case PageRead():
                    keys += [row["K"] for row in item.rows]
                case Checkpoint():
                    bookmark = item.bookmark
    return keys, bookmark


def irregular(rows: int) -> list[float]:
    """Return the gaps of days and nights, an import of many rows, and years without any."""
    random = Random(5)
    gaps = []
    for number in range(rows):
        gap = random.choice([1.0, 5.0, 60.0, 60.0, 3600.0])
        gap = {200: 86400.0 * 400, 300: 86400.0 * 300}.get(number, gap)
        gaps.append(0.01 if 400 < number < 700 else gap)
    return gaps


@pytest.mark.parametrize("readers", [2, 4, 9])
@pytest.mark.parametrize("gaps", [[60.0] * 700, irregular(900)], ids=["regular", "irregular"])
def test_parts_bring_each_row_once_and_in_order(readers: int, gaps: list[float]) -> None:
    sim = Watched(gaps)
    keys, bookmark = read(sim, readers)
    assert keys == list(range(len(gaps)))
    assert bookmark.instant == CLOCK
    assert len(sim.windows()) > len(gaps) // 10 // 2 // MAX_PAGES


@pytest.mark.parametrize(("cap", "size"), [(None, 10), (7, 10), (7, 1000)])
def test_few_requests_are_made_beyond_those_for_pages(cap: int | None, size: int) -> None:
    """A slice ends with its pages, and years without rows take a few wide slices."""
    for gaps in ([60.0] * 700, irregular(900)):
        sim = Watched(gaps, Server(cap=cap))
        keys, _ = read(sim, paging=Paging(size))
        assert sorted(set(keys)) == list(range(len(gaps)))
        page = cap or size
        assert len(sim.queries) < len(gaps) / page * 1.9 + 25


def test_no_more_pages_are_in_memory_than_readers_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    held, peak, lock = 0, 0, threading.Lock()
    counted = PageReader.counted

    def count(self: PageReader, rows: list[Row], *args: Any, **kwargs: Any) -> PageRead:
        nonlocal held, peak
        with lock:
            held += 1
            peak = max(peak, held)
        return counted(self, rows, *args, **kwargs)

    monkeypatch.setattr(PageReader, "counted", count)
    sims = {name: Watched([60.0] * 400) for name in "abcd"}
    clock_check = ClockCheck(InstantReader(), zone_is_set=True)
    settings = ReadSettings(paging=Paging(10), readers=3)
    ahead = Prefetcher[str, Any](
        "abcd",
        lambda name: EntityReader(
            sims[name], TABLE, settings, IncrementalStart(clock_check, Bookmark())
        ),
        3,
        lambda: False,
    )
    for name in "abcd":
        keys = []
        for item in ahead.items(name):
            if isinstance(item, PageRead):
                keys += [row["K"] for row in item.rows]
                with lock:
                    held -= 1
        assert keys == list(range(400))
    # The pages of three readers, and the one that was being written.
    assert peak <= 3 * MAX_PAGES + 1


@pytest.mark.parametrize(
    "change",
    [
        {"readers": 1},
        {"paging": Paging(10, count=False)},
        {"paging": Paging(None)},
    ],
)
def test_a_window_is_not_split_where_nothing_is_gained_or_its_rows_are_not_known(
    change: dict[str, Any],
) -> None:
    sim = Watched([60.0] * 200)
    keys, _ = read(sim, **change)
    assert keys == list(range(200))
    assert len(sim.windows() - {edm.instant_literal(CLOCK)}) <= 1, "that of the clock check"


def test_rows_without_a_key_are_not_split() -> None:
    sim = Watched([60.0] * 200, Server(shuffles=False))
    table = Table("Rows", TABLE.columns, (), ("K",), R)
    assert read(sim, table=table)[0] == list(range(200))
    assert len(sim.windows() - {edm.instant_literal(CLOCK)}) <= 1


def test_many_rows_within_a_second_are_not_cut_apart() -> None:
    sim = Watched([0.0] * 300 + [60.0] * 300)
    keys, _ = read(sim)
    assert sorted(keys) == list(range(600))


INSTANTS = st.datetimes(timezones=st.just(UTC))
COUNTS = st.integers(0, 10**9)


class FakePager:
    """A pager that has read one page."""

    def __init__(self, rows: int, remaining: int) -> None:
        self.delivered, self.remaining = rows, remaining
        self.end: datetime | None = None

    def narrow(self, end: datetime) -> None:
        self.end = end


@given(
    moments=st.lists(INSTANTS, min_size=4, max_size=4).map(sorted),
    page_rows=st.integers(2, 50_000),
    remaining=COUNTS,
    counts=st.lists(COUNTS, max_size=20),
)
@example(
    moments=[at(f"{year:04}-01-01T00:00:00") for year in (1, 1, 301, 2026)],
    page_rows=2000,
    remaining=10_000,
    counts=[1, 1, 0],
)
def test_slices_of_rows_of_all_times_fill_the_window_without_gap(
    moments: list[datetime], page_rows: int, remaining: int, counts: list[int]
) -> None:
    low, first, last, high = moments
    slices: list[WindowSlice] = []
    splitter = WindowSplitter(WindowSlice(Window(low, high), 3), InstantReader(), slices.append)  # type: ignore[arg-type]
    pager = FakePager(page_rows, remaining)
    page = [{R: first.isoformat()}] * (page_rows - 1) + [{R: last.isoformat()}]
    rest = splitter.split(pager, page, R)  # type: ignore[arg-type] # a fake
    if rest is None:
        return
    assert pager.end is not None
    ends = [pager.end]
    while rest.has_more and len(slices) < 500:
        rest.next_part(3)
        assert slices[-1].window.low == ends[-1]
        ends.append(slices[-1].window.high)
        slices[-1].on_count(counts[len(slices) % len(counts)] if counts else 0)
    assert ends == sorted(set(ends)), "no slice is empty"
    assert rest.has_more or ends[-1] == high


def test_an_error_in_a_part_comes_after_all_rows_before_it() -> None:
    sim = Watched([60.0] * 600)
    limit = edm.instant_literal(CLOCK - timedelta(days=900) + timedelta(seconds=60 * 300))

    def fails(query: Query) -> bool:
        window = re.search(rf"{R} ge (\S+) and {R} lt", query.filter)
        return bool(window and window[1] > limit)

    sim.fails = fails
    delivered: list[int] = []
    start = IncrementalStart(ClockCheck(InstantReader(), zone_is_set=True), Bookmark())
    settings = ReadSettings(paging=Paging(10), readers=4)
    ahead = Prefetcher[str, Any](
        ["x"], lambda _: EntityReader(sim, TABLE, settings, start), 4, lambda: False
    )

    def consume() -> None:
        for item in ahead.items("x"):
            if isinstance(item, PageRead):
                delivered.extend(row["K"] for row in item.rows)

    with pytest.raises(InconsistentAnswer):
        consume()
    assert delivered == list(range(len(delivered)))
    assert 250 < len(delivered) < 350


@pytest.mark.parametrize("misses", range(12, 60, 4))
@pytest.mark.parametrize("cap", [None, 7])
@pytest.mark.parametrize("gap", [0.015, 60.0])
def test_a_row_that_a_part_lacks_in_its_place_is_an_error(
    cap: int | None, misses: int, gap: float
) -> None:
    sim = Watched([gap] * 60, Server(cap=cap, max_columns=2, misses=misses, misses_in_place=True))
    with pytest.raises(InconsistentAnswer, match="deselect large or computed columns"):
        read(sim)


@pytest.mark.parametrize("paging", [True, False])
@pytest.mark.parametrize("style", ["absolute", "token"])
def test_next_links_lead_through_windows_whether_they_are_split_or_not(
    ledger: Sandbox, paging: bool, style: str
) -> None:
    ledger.faults.add(Fault("next_link", style=style, size=90))
    settings = settings_for(ledger, LEDGER, page_size=300, max_pool_size=4)
    output = run({**settings, "client_side_paging": paging})
    ledger.faults.clear()
    assert output.error is None
    instants = [record[R] for record in output.records(LEDGER)]
    assert instants == sorted(instants)
    assert len(set(instants)) == len(instants) == 4000


@pytest.fixture(scope="module")
def ledger() -> Any:
    with Sandbox(now=NOW, empty=True) as box:
        box.fill(LEDGER, 4000, start="2026-01-01T00:00:00Z", step_seconds=600)
        yield box
        box.faults.clear()


def test_a_split_table_arrives_complete_and_in_order_over_http(
    ledger: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, peak, lock = 0, 0, threading.Lock()
    fetch = Client._fetch

    def counting(self: Client, *args: Any, **options: Any) -> Any:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        try:
            return fetch(self, *args, **options)
        finally:
            with lock:
                running -= 1

    monkeypatch.setattr(Client, "_fetch", counting)
    settings = settings_for(ledger, LEDGER, page_size=100, max_pool_size=4, verify_counts=True)
    output = run(settings)
    assert output.error is None
    instants = [record[R] for record in output.records(LEDGER)]
    assert len(instants) == 4000
    assert instants == sorted(instants)
    assert len({(r["BatchNbr"], r["LineNbr"], r["Module"]) for r in output.records()}) == 4000
    assert 1 < peak <= 4


def test_a_split_read_that_fails_is_gone_on_with(ledger: Sandbox) -> None:
    settings = settings_for(ledger, LEDGER, page_size=100, max_pool_size=4, max_retry_time=0)
    ledger.faults.add(Fault("unavailable", match=r"ge 2026-01-2", after=3))
    first = run(settings)
    assert first.error is not None
    ledger.faults.clear()
    bookmark = first.state["bookmarks"][LEDGER]["replication_key_value"]
    written = [record[R] for record in first.records()]
    assert written == sorted(written)
    assert bookmark < written[-1]
    second = run(settings, state=first.state)
    assert second.error is None
    assert {r["BatchNbr"] for r in first.records()} | {r["BatchNbr"] for r in second.records()} == {
        row["BatchNbr"] for row in ledger.rows(LEDGER)
    }
