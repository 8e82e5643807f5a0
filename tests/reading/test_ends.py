"""A read ends where the table ends, whatever the server cuts, counts, hides or compares."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.running import discover, run, select_all, settings_for
from support.simulation import R, Server, SimulatedTable, at

from sandbox import Fault, Sandbox
from tap_acumatica.odata import edm
from tap_acumatica.odata.clock import ClockCheck
from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.table import Table
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import Checkpoint, IncrementalStart, PageRead, ReadSettings
from tap_acumatica.reading.reader import EntityReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CLOCK = at("2026-06-01T12:00:00")
LEDGER = "PX_Objects_GL_GLTran"
TERMS = "PX_Objects_CS_Terms"
GUID = edm.TYPES["Edm.Guid"]
COLUMNS = {"Text": edm.STRING, "Version": edm.INTEGER, R: edm.INSTANT}


@dataclass(frozen=True)
class Way:
    """A way to read a table: by key, by `$skip`, or by a window."""

    kind: edm.EdmType
    dated: bool = False

    def key(self, number: int) -> Any:
        if self.kind is edm.STRING:
            return f"K{number:04}"
        return f"{number:08x}-0000-0000-0000-000000000000" if self.kind is GUID else number


BY_KEY, BY_OFFSET, BY_WINDOW = Way(edm.INTEGER), Way(GUID), Way(edm.INTEGER, dated=True)
BY_TEXT = Way(edm.STRING)
WAYS = {"by key": BY_KEY, "by offset": BY_OFFSET, "by window": BY_WINDOW}
each_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
counted = pytest.mark.parametrize("count", [True, False], ids=["counted", "uncounted"])


def table_of(
    server: Server,
    way: Way,
    keys: Iterable[Any],
    *,
    width: Callable[[int], int] = lambda _: 10,
    gap: float = 5,
) -> tuple[SimulatedTable, Table]:
    """A table whose rows have texts of these lengths, and are dated so many seconds apart."""
    sim = SimulatedTable(("K",), server, CLOCK, Random(1))
    for number, key in enumerate(keys):
        sim.further_columns = lambda _, number=number: {"Text": "x" * width(number)}  # type: ignore[misc]
        sim.put((key,), CLOCK - timedelta(days=30) + timedelta(seconds=number * gap))
    columns = {"K": way.kind, **COLUMNS}
    return sim, Table("Rows", columns, ("K",), replication_key=R if way.dated else None)


def pages(
    sim: SimulatedTable, table: Table, size: int = 100, *, count: bool = True
) -> list[PageRead]:
    reader = reader_of(sim, table, Paging(size, count))
    return [item for item in reader if isinstance(item, PageRead)]


def reader_of(
    sim: SimulatedTable, table: Table, paging: Paging, bookmark: Bookmark | None = None
) -> EntityReader:
    clock_check = ClockCheck(InstantReader(), zone_is_set=True)
    start = IncrementalStart(clock_check, bookmark or Bookmark())
    return EntityReader(
        sim, table, ReadSettings(paging=paging), start if table.replication_key else None
    )


def versions(*arguments: Any, **options: Any) -> list[int]:
    return [row["Version"] for page in pages(*arguments, **options) for row in page.rows]


def is_whole(sim: SimulatedTable, delivered: list[int]) -> bool:
    return set(delivered) == set(sim.versions_shown().values())


caps: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"cap": st.integers(1, 40)}),
    # Cut by time: another number of rows each time.
    st.fixed_dictionaries({"cap": st.lists(st.integers(1, 60), min_size=2).map(tuple)}),
    st.fixed_dictionaries({"max_bytes": st.integers(200, 9000), "sends_oversized": st.booleans()}),
)
counts: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [
        {},
        {},
        {"counts": False},
        {"counts_answer": True},
        {"counts_skipped": True},
        {"counts_to": 7},
        {"hides": 3},
        {"hides": 1},
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    way=st.sampled_from([*WAYS.values()]),
    cap=caps,
    counting=counts,
    links=st.booleans(),
    widths=st.lists(st.sampled_from([10, 10, 100, 1000, 4000]), max_size=90),
    gap=st.sampled_from([0.01, 0.3, 5]),
    size=st.sampled_from([3, 10, 100]),
)
def test_no_cap_and_no_count_ends_a_read_early(  # noqa: PLR0913 - what a server may do
    *,
    way: Way,
    cap: dict[str, Any],
    counting: dict[str, Any],
    links: bool,
    widths: list[int],
    gap: float,
    size: int,
) -> None:
    server = Server(**cap, **counting, links=links and "hides" not in counting, shuffles=False)
    keys = map(way.key, range(len(widths)))
    sim, table = table_of(server, way, keys, width=lambda n: widths[n], gap=gap)
    too_wide = server.max_bytes and any(width > server.max_bytes - 200 for width in widths)
    if too_wide and not server.sends_oversized:
        if server.counts_answer or server.counts_skipped:
            return  # if its first row is too wide, it neither sends nor counts a row
        with suppress(InconsistentAnswer):
            assert is_whole(sim, versions(sim, table, size))
    else:
        assert is_whole(sim, versions(sim, table, size))


@each_way
@counted
@pytest.mark.parametrize("stuck", [0, 30, 99])
def test_a_row_that_is_never_sent_is_an_error_that_names_it(
    way: Way, stuck: int, *, count: bool
) -> None:
    server = Server(max_bytes=5000, sends_oversized=False)
    keys = map(way.key, range(100))
    sim, table = table_of(server, way, keys, width=lambda n: 6000 if n == stuck else 10)
    with pytest.raises(InconsistentAnswer) as caught:
        pages(sim, table, count=count)
    assert f"the row of Rows with K eq {way.key(stuck)}" in str(caught.value)


@counted
@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("stuck", [0, 1, 30, 99])
def test_a_row_that_is_never_sent_is_an_error_without_a_key_too(
    stuck: int, *, count: bool, dated: bool
) -> None:
    server = Server(max_bytes=5000, sends_oversized=False)
    sim, table = table_of(server, BY_WINDOW, range(100), width=lambda n: 6000 if n == stuck else 10)
    order = ("K", "Version", "Text")
    table = replace(table, key=(), order=order, replication_key=R if dated else None)
    with pytest.raises(InconsistentAnswer) as caught:
        pages(sim, table, count=count)
    place = f"with K eq {stuck} and {R} eq" if dated else f"behind the first {stuck}, "
    assert place in str(caught.value)


@counted
@pytest.mark.parametrize("rows", [5, 30, 100])
def test_a_row_that_changes_before_it_is_fetched_is_not_the_one_behind_the_last(
    rows: int, *, count: bool
) -> None:
    """Rows in front of its new place would pass for read, as the row before it has gone, too."""
    server = Server(max_bytes=5000, sends_oversized=False)
    sim, table = table_of(
        server, BY_WINDOW, range(rows), width=lambda n: 6000 if n == 1 else 10, gap=20
    )

    def change() -> None:
        last = sim.queries[-1] if sim.queries else None
        is_look = last and last.select == ("K", R) and last.orderby == (R, "K")
        if last and is_look and last.skip == 0 and (0,) in sim.rows:
            sim.further_columns = lambda _: {"Text": ""}
            for number in (0, 1):
                sim.remove((number,))
            sim.put((1,), CLOCK + timedelta(minutes=2))

    sim.between = change
    delivered = versions(sim, table, count=count)
    assert sim.rows[1,][R] > CLOCK
    assert set(sim.versions_shown().values()) <= set(delivered)


@pytest.mark.parametrize("way", [*WAYS.values(), BY_TEXT], ids=[*WAYS, "by text"])
@pytest.mark.parametrize(("rows", "misses"), [(30, 1), (30, 2), (30, 5), (90, 5), (90, 30)])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"cap": 7},
        {"links": True},
        {"cap": 7, "links": True},
        {"misses_in_place": True},
        {"misses_in_place": True, "cap": 7},
    ],
)
def test_rows_that_only_their_keys_bring_are_an_error(
    way: Way, rows: int, misses: int, more: dict[str, Any]
) -> None:
    server = Server(max_columns=3, misses=misses, **more)
    sim, table = table_of(server, way, map(way.key, range(rows)))
    events: list[Any] = []
    with pytest.raises(InconsistentAnswer, match="deselect large or computed columns"):
        events.extend(reader_of(sim, table, Paging(100)))
    for event in events:
        # Rows behind a gap must not move the bookmark.
        assert not isinstance(event, PageRead) or event.reached is None


@pytest.mark.parametrize("nulls", range(1, 9))
@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("size", [10, 100])
def test_rows_with_nulls_in_their_key_do_not_make_up_for_those_that_answers_lack(
    size: int, nulls: int, *, links: bool
) -> None:
    """Behind the last row they would come, and be counted, a second time."""
    server = Server(max_columns=3, misses=20, misses_in_place=True, nulls_last=True, links=links)
    sim = SimulatedTable(("K", "L"), server, CLOCK, Random(1))
    for number in range(100):
        sim.further_columns = lambda _: {"Text": "x"}
        sim.put((None if number < nulls else f"k{number:03}", number), CLOCK)
    columns = {"K": edm.STRING, "L": edm.INTEGER, **COLUMNS}
    table = Table("Rows", columns, ("K", "L"))
    with pytest.raises(InconsistentAnswer, match="deselect large or computed columns"):
        list(reader_of(sim, table, Paging(size)))


@pytest.mark.parametrize("misses", [15, 40, 70])
@pytest.mark.parametrize("cap", [None, 7])
@pytest.mark.parametrize("gap", [0.3, 5])
@pytest.mark.parametrize("read", [0, 10, 30])
def test_no_bookmark_is_behind_a_row_that_was_missing_when_a_window_was_complete(
    read: int, gap: float, cap: int | None, misses: int
) -> None:
    server = Server(max_columns=3, misses=misses, misses_in_place=True, cap=cap)
    sim, table = table_of(server, BY_WINDOW, range(100), gap=gap)
    begun = CLOCK - timedelta(days=30)
    missing, state = set(range(read, 100)), dict[str, Any]()
    first = Bookmark(begun + timedelta(seconds=read * gap) if read else None)
    first.store(state, R)
    events: list[Any] = []
    with pytest.raises(InconsistentAnswer, match="deselect large or computed columns"):
        events.extend(reader_of(sim, table, Paging(10), first))
    for event in events:
        if isinstance(event, Checkpoint):
            event.bookmark.store(state, R)
        elif event.reached:
            Bookmark(event.reached).store(state, R)
        if isinstance(event, PageRead):
            missing.difference_update(row["K"] for row in event.rows)
    reached = Bookmark.of(state, R).instant
    assert reached is None or reached <= begun + timedelta(seconds=min(missing) * gap)


# One table in about 800 shows it.
@pytest.mark.parametrize(("misses", "seed"), [(3, 297), (2, 833), (2, 1102)])
def test_rows_that_come_again_do_not_make_up_for_those_that_answers_lack(
    misses: int, seed: int
) -> None:
    """So many are missing that the look behind a read by key steps back to the first row."""
    random = Random(seed)
    server = Server(max_columns=3, misses=misses, misses_in_place=True)
    sim = SimulatedTable(("K", "L"), server, CLOCK, Random(1))

    def part() -> str | None:
        if random.random() <= random.choice([0.02, 0.07, 0.15]):
            return None
        letter, number = random.choice(["", "Ä", "K", "k", "0"]), random.randrange(60)
        return f"{letter}{number}{random.choice(['', ' '])}"

    for _ in range(random.choice([80, 120, 200])):
        sim.further_columns = lambda _: {"Text": "x"}
        sim.put((part(), part()), CLOCK)
    columns = {"K": edm.STRING, "L": edm.STRING, **COLUMNS}
    with pytest.raises(InconsistentAnswer, match="deselect large or computed columns"):
        pages(sim, Table("Rows", columns, ("K", "L")), 10)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("gap", [0.01, 5], ids=["within seconds", "apart"])
@pytest.mark.parametrize("size", [10, 25])
def test_growth_hides_no_row_that_full_pages_lack_and_no_bookmark_passes_it(
    seed: int, gap: float, size: int
) -> None:
    random = Random(seed)
    sim, table = table_of(Server(max_columns=3, misses=2), BY_WINDOW, range(100), gap=gap)

    def grow() -> None:
        for _ in range(random.choice([0, 1, 5, 12])):
            sim.now += timedelta(seconds=1)
            sim.put((random.randrange(300),), sim.now)

    sim.between = grow
    events: list[Any] = []
    with pytest.raises(InconsistentAnswer, match="deselect large or computed columns"):
        events.extend(reader_of(sim, table, Paging(size)))
    for event in events:
        assert not isinstance(event, PageRead) or event.reached is None


@pytest.mark.parametrize("gap", [0.01, 0.3, 5])
def test_that_full_pages_lack_no_row_is_proved_by_counts_without_a_request(gap: float) -> None:
    sim, table = table_of(Server(), BY_WINDOW, range(100), gap=gap)
    events = pages(sim, table, 10)
    assert [page.in_doubt for page in events] == [True] + [False] * (len(events) - 1)
    comparisons = [query for query in sim.queries if "Text" not in query.select and query.top == 10]
    assert len(comparisons) == (gap < 0.1), "one, if all rows are of a second"


@each_way
def test_a_count_that_is_too_high_for_good_is_said_once_and_not_read_again(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    for rows, size in ((30, 100), (300, 20)):
        caplog.clear()
        sim, table = table_of(Server(hides=3), way, map(way.key, range(rows)))
        healthy, _ = table_of(Server(), way, map(way.key, range(rows)))
        delivered = versions(sim, table, size)
        assert is_whole(sim, delivered)
        assert len(delivered) == len(set(delivered))
        assert len(pages(healthy, table, size))
        assert len(sim.queries) <= len(healthy.queries) + 6
        assert sum("may lack the right" in text for text in caplog.messages) == 1


@pytest.mark.parametrize("way", [BY_KEY, BY_OFFSET], ids=["by key", "by offset"])
@pytest.mark.parametrize("rows", [7, 21])
def test_a_hidden_cap_equal_to_the_number_of_rows_hides_none(way: Way, rows: int) -> None:
    server = Server(cap=7, counts_apart=True, shuffles=False)
    sim, table = table_of(server, way, (way.key(2 * number) for number in range(rows)))
    initial = set(sim.versions_shown().values())
    added: list[Any] = []

    def add_one() -> None:
        if sim.counting and not added:
            added.append(sim.put((way.key(2 * rows - 3),), CLOCK))

    sim.between = add_one
    assert initial <= set(versions(sim, table, 100))
    assert added


@pytest.mark.parametrize("honest", [250, 2, 0])
@pytest.mark.parametrize(
    "lying",
    [
        Server(cap=100, counts_answer=True),
        Server(cap=100, counts_skipped=True),
        Server(cap=100, counts_to=100),
    ],
    ids=["answer", "up to the answer", "up to the limit"],
)
@pytest.mark.parametrize("first", [0, 250])
def test_the_counts_of_one_table_prove_nothing_about_another(
    lying: Server, honest: int, first: int
) -> None:
    check = ClockCheck(InstantReader(), zone_is_set=True, requests_count=True)
    tables = ((lying, first), (Server(), honest), (lying, 250), (lying, 100))
    for server, rows in tables:
        sim, table = table_of(server, BY_WINDOW, range(rows))
        start = IncrementalStart(check, Bookmark())
        reader = EntityReader(sim, table, ReadSettings(paging=Paging(2000)), start)
        pages = [item for item in reader if isinstance(item, PageRead)]
        assert is_whole(sim, [row["Version"] for page in pages for row in page.rows])


WORDS = [word for number in range(60) for word in (f"Smith{number:02}", f"SMITH{number:02}")]
MIXED = [f"{'aAbBcC'[number % 6]}{'xX'[number % 2]}{number:03}" for number in range(120)]


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("size", [7, 20, 200])
@pytest.mark.parametrize(("words", "apart"), [(WORDS, False), (MIXED, True)])
def test_gt_that_does_not_follow_the_order_loses_no_row(
    words: list[str], *, apart: bool, size: int, count: bool
) -> None:
    server = Server(collates=True, equal_keys=True, filters_apart=apart)
    sim, table = table_of(server, replace(BY_KEY, kind=edm.STRING), words)
    assert is_whole(sim, versions(sim, table, size, count=count))


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("pair", range(12))
def test_one_pair_of_equal_keys_is_found_wherever_pages_meet(pair: int, *, count: bool) -> None:
    words = [f"K{number:02}" for number in range(13)]
    words.append(words[pair].lower())
    server = Server(collates=True, equal_keys=True)
    sim, table = table_of(server, replace(BY_KEY, kind=edm.STRING), words)
    assert is_whole(sim, versions(sim, table, 4, count=count))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("pair", range(1, 12))
def test_a_deletion_hides_no_equal_key_wherever_pages_meet(
    pair: int, seed: int, *, count: bool
) -> None:
    words = [f"K{number:02}" for number in range(13)]
    words.append(words[pair].lower())
    server = Server(collates=True, equal_keys=True)
    sim, table = table_of(server, replace(BY_KEY, kind=edm.STRING), words)
    sim.random = Random(seed)
    lasting = {row["Version"] for key, row in sim.rows.items() if key != ("K00",)}

    def shrink() -> None:
        if len(sim.queries) > 1:
            sim.remove(("K00",))

    sim.between = shrink
    assert lasting <= set(versions(sim, table, 4, count=count))
    assert sum("Text" in query.select and query.skip == 0 for query in sim.queries) < 7, (
        "it is not read again"
    )


@pytest.mark.parametrize("count", [True, False])
@pytest.mark.parametrize("ahead", [True, False], ids=["inserted ahead", "inserted behind"])
def test_growth_neither_hides_a_gap_nor_keeps_a_read_from_ending(
    *, count: bool, ahead: bool
) -> None:
    server = Server(collates=True, equal_keys=True)
    sim, table = table_of(server, replace(BY_KEY, kind=edm.STRING), WORDS)
    initial = set(sim.versions_shown().values())

    def grow() -> None:
        if len(sim.queries) < 200:
            sim.put((f"{'Z' if ahead else 'A'}{len(sim.queries):04}",), CLOCK)

    sim.between = grow
    assert initial <= set(versions(sim, table, 7, count=count))


def test_a_table_that_shrinks_while_it_is_read_is_not_read_again() -> None:
    sim, table = table_of(Server(shuffles=False), BY_KEY, range(60))

    def shrink() -> None:
        if 1 < len(sim.queries) < 5:
            sim.remove((len(sim.queries),))

    sim.between = shrink
    delivered = versions(sim, table, 10)
    assert len(delivered) == len(set(delivered))


@settings(max_examples=60, deadline=None)
@given(
    way=st.sampled_from([*WAYS.values()]),
    seed=st.integers(0, 999),
    cap=st.sampled_from([{}, {"cap": 9}, {"cap": (2, 9, 30)}, {"max_bytes": 900}]),
    counting=st.sampled_from([{}, {"counts": False}, {"counts_apart": True}]),
)
def test_rows_that_were_there_all_the_time_come_from_a_table_that_shifts(
    way: Way, seed: int, cap: dict[str, Any], counting: dict[str, Any]
) -> None:
    random = Random(seed)
    server = Server(**cap, **counting)
    sim, table = table_of(
        server, way, (way.key(2 * n) for n in range(60)), width=lambda n: n % 7 * 150, gap=0.2
    )
    deleted: set[int] = set()
    initial = set(sim.versions_shown().values())

    def change() -> None:
        if sim.counting or len(sim.rows) < 20 or random.random() < 0.5:
            return
        key = random.choice([*sim.rows])
        deleted.add(sim.rows[key]["Version"])
        sim.remove(key)
        if random.random() < 0.5:
            sim.put((way.key(2 * random.randrange(60) + 1),), CLOCK)

    sim.between = change
    delivered = set(versions(sim, table, 20))
    assert initial - deleted <= delivered


@each_way
@counted
def test_rows_may_change_as_soon_as_they_are_handed_on(way: Way, *, count: bool) -> None:
    sim, table = table_of(Server(cookie=None), way, map(way.key, range(90)), gap=32_000)
    delivered = []
    for page in reader_of(sim, table, Paging(7, count)):
        if isinstance(page, PageRead):
            delivered += [row["Version"] for row in page.rows]
            for row in page.rows:
                row.update(dict.fromkeys(row, "converted"))
    assert is_whole(sim, delivered)


@each_way
@pytest.mark.parametrize("seed", range(5))
def test_an_answer_made_of_internal_pages_is_asked_for_again(way: Way, seed: int) -> None:
    """One answer of each read is out of order, or holds two versions of a row."""
    sim, table = table_of(Server(), way, map(way.key, range(200)))
    sim.random = Random(seed)
    broken = sim.random.randrange(3, 6)

    def break_one() -> None:
        sim.server.inner_page = 20 if len(sim.queries) == broken else None

    sim.between = break_one
    assert is_whole(sim, versions(sim, table, 50))


# What the proof costs, over HTTP.


def requests_for(box: Sandbox, entity: str, **changes: Any) -> int:
    settings = settings_for(box, entity, **changes)
    catalog = select_all(discover(settings))
    box.reset_counters()
    output = run(settings, catalog=catalog)
    assert output.error is None
    assert len(output.records()) == len(box.rows(entity))
    return box.counters().data_requests


def test_the_end_of_a_full_table_costs_one_request(box: Sandbox) -> None:
    rows = len(box.rows(LEDGER))
    assert requests_for(box, TERMS, tracking_type="none") == 2
    full = requests_for(box, LEDGER, tracking_type="none", page_size=100)
    assert full == -(-rows // 100) + 2, "its pages, nulls in the key, and the end"


def test_the_end_of_a_window_that_is_counted_costs_nothing(box: Sandbox) -> None:
    """One request for undated rows, and two for the clock and the round trip."""
    pages = -(-len(box.rows(LEDGER)) // 110)
    assert requests_for(box, LEDGER, page_size=110) == pages + 3


def test_the_end_of_a_window_of_all_rows_in_one_page_costs_one_request(box: Sandbox) -> None:
    assert requests_for(box, LEDGER) == 1 + 3 + 1


def test_the_end_of_a_window_of_one_page_costs_nothing_if_the_table_has_more(box: Sandbox) -> None:
    """Three requests for the clock and the round trip."""
    output = run(settings_for(box, LEDGER))
    row = box.rows(LEDGER)[-1]
    box.update(
        LEDGER,
        {name: row[name] for name in ("BatchNbr", "LineNbr", "Module")},
        {"TranDesc": "Changed"},
    )
    box.reset_counters()
    assert run(settings_for(box, LEDGER), state=output.state).error is None
    assert box.counters().data_requests == 1 + 3


@pytest.mark.parametrize("tracking_type", ["date", "none"])
def test_a_limit_of_top_is_kept(box: Sandbox, tracking_type: str) -> None:
    box.faults.add(
        Fault(
            "error",
            match=r"top=([2-9]\d\d|\d{4})",
            status=400,
            message="The query specified in the URI is not valid. The limit of '199' for Top query "
            "has been exceeded. The value from the incoming request is '400'.",
        )
    )
    output = run(settings_for(box, LEDGER, tracking_type=tracking_type, page_size=400))
    assert output.error is None
    assert len(output.records()) == len(box.rows(LEDGER))
    assert sum(record.status == 400 for record in box.log) == 1


@pytest.mark.parametrize("tracking_type", ["date", "none"])
def test_a_limit_of_orderby_is_kept(box: Sandbox, tracking_type: str) -> None:
    box.faults.add(
        Fault(
            "error",
            match=r"orderby=[^&]*,[^&]*,",
            status=400,
            message="The number of clauses in $orderby query option exceeded the maximum number "
            "allowed. The maximum number of $orderby clauses allowed is 2.",
        )
    )
    output = run(settings_for(box, LEDGER, tracking_type=tracking_type, page_size=100))
    assert output.error is None
    assert len(output.records()) == len(box.rows(LEDGER))


@pytest.mark.parametrize(
    "limit",
    [
        {"status": 500, "message": "The node count limit of '100' has been exceeded."},
        {"status": 414, "message": "URI too long"},
        {"status": 404, "message": "HTTP Error 404.15 - the query string is too long"},
    ],
)
def test_a_filter_by_key_that_exceeds_a_limit_is_replaced_by_skipping(
    box: Sandbox, limit: dict[str, Any]
) -> None:
    box.faults.add(Fault("error", match=" gt ", **limit))
    output = run(settings_for(box, LEDGER, tracking_type="none", page_size=100))
    assert output.error is None
    assert len(output.records()) == len(box.rows(LEDGER))
