"""What proves that values can be compared with the server's clock, and with its filters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.simulation import R, Server, SimulatedTable, at

from tap_acumatica.odata import edm
from tap_acumatica.odata.clock import MAX_SHIFT, ClockCheck, ServerClock
from tap_acumatica.odata.errors import ZoneError
from tap_acumatica.odata.instants import InstantReader, latest
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.payload.decoders import decoder_for
from tap_acumatica.odata.table import Table
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import Checkpoint, IncrementalStart, PageRead, ReadSettings
from tap_acumatica.reading.reader import EntityReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

CLOCK = at("2026-06-01T12:00:00")
WINTER = at("2026-01-15T12:00:00")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
COLUMNS = {"K": edm.INTEGER, R: edm.INSTANT, "Version": edm.INTEGER}
KEYED = Table("Rows", COLUMNS, ("K",), replication_key=R)
KEYLESS = Table("Rows", COLUMNS, (), ("K",), R)
UTC, NEW_YORK, KATHMANDU, LONDON = map(
    ZoneInfo, ("UTC", "America/New_York", "Asia/Kathmandu", "Europe/London")
)
COOKIES = {NEW_YORK: "TimeZone=GMTM0500G", LONDON: "Culture=en-GB&TimeZone=GMTE0000K"}
NEAR = [CLOCK - seconds * timedelta(seconds=1) for seconds in (5, 70, 130, 200)]
OLD = [CLOCK - days * DAY for days in (2, 3, 4)]
ANCIENT = [at(f"19{year}-01-01T00:00:00") for year in range(10, 40)]


def table_of(
    server: Server, instants: Iterable[datetime | None], now: datetime = CLOCK
) -> SimulatedTable:
    sim = SimulatedTable(("K",), server, now, Random(1))
    for number, instant in enumerate(instants):
        sim.put((number,), instant)
    return sim


def check_of(zone: ZoneInfo = UTC, **changes: Any) -> ClockCheck:
    return ClockCheck(InstantReader(zone), **{"zone_is_set": True, **changes})


def clock_of(check: ClockCheck, sim: SimulatedTable, table: Table = KEYED) -> ServerClock:
    decoder = decoder_for(table, (*table.key, R))
    return check.clock(table, lambda query: sim.read(query, "Rows", decoder.page))


def read(
    sim: SimulatedTable,
    check: ClockCheck,
    bookmark: Bookmark | None = None,
    table: Table = KEYED,
    *,
    pages: int | None = None,
    **changes: Any,
) -> tuple[dict[int, int], Bookmark]:
    """Read the table, or some pages; returns the last version of each row, and the bookmark."""
    read_settings = ReadSettings(**{"paging": Paging(10), "time_offset": 0 * HOUR, **changes})
    versions: dict[int, int] = {}
    bookmark = bookmark or Bookmark()
    for event in EntityReader(sim, table, read_settings, IncrementalStart(check, bookmark)):
        match event:
            case PageRead(reached=reached):
                if reached:
                    bookmark = replace(bookmark, instant=latest(bookmark.instant, reached))
                if pages == 0:
                    break
                pages = pages and pages - 1
                versions |= {row["K"]: row["Version"] for row in event.rows}
            case Checkpoint():
                bookmark = event.bookmark
    return versions, bookmark


def looks(sim: SimulatedTable) -> int:
    """Return how often the newest rows were requested."""
    return sum(query.orderby[:1] == (f"{R} desc",) and not query.filter for query in sim.queries)


# The round trip


def busy(server: Server) -> SimulatedTable:
    sim = table_of(server, [CLOCK])

    def change() -> None:
        sim.now += MINUTE
        sim.put((0,), sim.now)

    sim.between = change
    return sim


FIRST: dict[str, Callable[[Server], SimulatedTable]] = {
    "no rows": partial(table_of, instants=[]),
    "rows of the last century": partial(table_of, instants=ANCIENT),
    "one busy row": busy,
    "rows within a clock change": partial(
        table_of, instants=[at("2025-11-02T05:30:00") + number * MINUTE for number in range(30)]
    ),
}


@pytest.mark.parametrize("first_of", FIRST.values(), ids=FIRST)
@pytest.mark.parametrize("table", [KEYED, KEYLESS])
def test_a_round_trip_that_a_stream_does_not_allow_is_tried_on_the_next(
    first_of: Callable[[Server], SimulatedTable], table: Table
) -> None:
    """Filters compare the wall clock, so that each page would skip four hours."""
    instants = InstantReader(NEW_YORK)
    quirks: dict[str, Any] = {"zone": NEW_YORK, "label": "", "shuffles": False, "cookie": None}
    for wall_filters in (True, False):
        check = check_of(NEW_YORK)
        server = Server(wall_filters=wall_filters, **quirks)
        sim = table_of(server, [CLOCK - 2 * DAY - number * HOUR for number in range(100)])
        others = replace(KEYED, entity_set="First")
        read(first_of(Server(counts=False, **quirks)), check, table=others, instants=instants)
        if wall_filters:
            with pytest.raises(ZoneError, match="different time zones"):
                read(sim, check, table=table, instants=instants)
        else:
            versions, _ = read(sim, check, table=table, instants=instants)
            assert len(versions) == 100
            assert check.round_trip_done


def test_one_round_trip_serves_all_streams_whose_values_look_alike() -> None:
    check = check_of()
    sims = [table_of(Server(), OLD) for _ in range(3)]
    for number, sim in enumerate(sims):
        read(sim, check, Bookmark(undated_read_on="2026-06-01"))
        assert looks(sim) == (number == 0)
    assert [len(sim.queries) for sim in sims[1:]] == [3, 3], "a page, its end, and undated rows"


@pytest.mark.parametrize("table", [KEYED, KEYLESS])
def test_a_stream_whose_values_look_different_has_a_round_trip_of_its_own(table: Table) -> None:
    check = check_of()
    read(table_of(Server(), [*NEAR, *OLD]), check)
    quirks: dict[str, Any] = {"zone": NEW_YORK, "cookie": None, "shuffles": False}
    alike = table_of(Server(label="offset", **quirks), OLD)
    _, bookmark = read(alike, check, table=table)
    assert looks(alike) == 1
    assert bookmark.instant == CLOCK - MAX_SHIFT
    for label in ("", "offset"):
        check = check_of()
        read(table_of(Server(), [*NEAR, *OLD]), check)
        sim = table_of(Server(label=label, wall_filters=label != "", **quirks), OLD)
        with pytest.raises(ZoneError):
            read(sim, check, table=table)


def test_one_row_that_is_not_found_is_enough() -> None:
    """What a row of the winter proves holds for its half of the year alone."""
    server = Server(zone=LONDON, label="Z", cookie=None)
    sim = table_of(server, [WINTER, *(WINTER - days * DAY for days in range(100, 110))], WINTER)
    with pytest.raises(ZoneError, match="different time zones"):
        clock_of(check_of(), sim)


def test_another_row_of_the_wrong_second_does_not_pass_for_the_one_that_was_asked_for() -> None:
    """Rows stand four hours apart, as far as filters are off."""
    server = Server(zone=NEW_YORK, label="offset", wall_filters=True, shuffles=False)
    sim = table_of(server, [CLOCK - number * 4 * HOUR for number in range(100)])
    with pytest.raises(ZoneError, match="different time zones"):
        clock_of(check_of(), sim, KEYLESS)


def test_a_second_with_many_rows_passes_for_each_of_them() -> None:
    sim = table_of(Server(), [OLD[0]] * 300)
    check = check_of()
    assert clock_of(check, sim, KEYLESS).proved
    assert check.round_trip_done


def test_a_row_too_large_to_be_sent_shows_its_instant_nevertheless() -> None:
    server = Server(max_bytes=1500, sends_oversized=False, shuffles=False)
    sim = table_of(server, [])
    sim.further_columns = lambda key: {"Text": "x" * (5000 if key == (0,) else 5)}
    for number, instant in enumerate((OLD[0] - timedelta(seconds=1), OLD[0])):
        sim.put((number,), instant)
    table = replace(KEYLESS, columns=COLUMNS | {"Text": edm.STRING})
    assert clock_of(check_of(), sim, table).proved


# The proof


@pytest.mark.parametrize(
    ("rows", "cookie", "keeps_up"),
    [
        ([*NEAR, *OLD], None, True),
        ([NEAR[0], *OLD], None, False),
        ([*NEAR[:2], *OLD], None, False),
        ([NEAR[0], NEAR[0], NEAR[0], *OLD], None, False),
        ([*NEAR, *OLD], "TimeZone=GMTE0000U", True),
        ([*NEAR, *OLD], "TimeZone=GMTM0500G", False),
        ([*NEAR, *OLD], "TimeZone=GMTP0900T", True),
        ([*NEAR, *ANCIENT], None, True),
        (ANCIENT, None, False),
    ],
)
def test_only_several_rows_near_the_clock_count_and_none_against_the_cookie(
    rows: list[datetime], cookie: str | None, keeps_up: bool
) -> None:
    check = check_of()
    clock = clock_of(check, table_of(Server(cookie=cookie), rows))
    assert clock.keeps_up is keeps_up
    assert clock.proved is (cookie == "TimeZone=GMTE0000U")
    assert clock.max_bookmark == (CLOCK if keeps_up else CLOCK - MAX_SHIFT)
    assert check.proved is keeps_up


@pytest.mark.parametrize(
    ("now", "newest", "proved"),
    [
        (WINTER, WINTER - DAY, True),
        (CLOCK, CLOCK - DAY, False),
        (CLOCK, WINTER, False),
        (WINTER, CLOCK - 365 * DAY, False),
    ],
)
def test_the_cookie_is_compared_now_and_when_the_newest_row_changed(
    now: datetime, newest: datetime, proved: bool
) -> None:
    """London's clock is that of UTC in winter only."""
    server = Server(cookie=COOKIES[LONDON])
    clock = clock_of(check_of(), table_of(server, [newest, newest - DAY], now))
    assert clock.proved is proved


@pytest.mark.parametrize("label", ["", "offset"])
@pytest.mark.parametrize("now", [WINTER, CLOCK])
def test_the_zone_of_the_account_proves_itself_all_year(label: str, now: datetime) -> None:
    for zone, cookie in COOKIES.items():
        server = Server(zone=zone, label=label, cookie=cookie)
        sim = table_of(server, [now - days * DAY for days in (1, 90, 200)], now)
        assert clock_of(check_of(zone), sim).proved


def test_a_cookie_without_a_round_trip_proves_nothing() -> None:
    """Whether filters use the account's zone is not known then."""
    server = Server(zone=NEW_YORK, label="offset", cookie=COOKIES[NEW_YORK])
    for rows, proved in ((ANCIENT, False), (OLD, True)):
        assert clock_of(check_of(), table_of(server, rows)).proved is proved


def test_an_account_whose_values_are_converted_to_utc_is_read_without_a_proof() -> None:
    server = Server(cookie=COOKIES[NEW_YORK])
    sims = [table_of(server, [*NEAR, *OLD]) for _ in range(3)]
    check = check_of()
    for sim in sims:
        versions, bookmark = read(sim, check)
        assert versions == {key: version for (key,), version in sim.versions_shown().items()}
        assert bookmark.instant == CLOCK - MAX_SHIFT


@pytest.mark.parametrize("bookmark", [None, CLOCK - HOUR, CLOCK - DAY])
def test_a_stream_that_shows_no_row_in_its_window_proves_nothing(bookmark: datetime | None) -> None:
    check = check_of()
    read(table_of(Server(), [*NEAR, *OLD]), check)
    _, after = read(table_of(Server(), OLD if bookmark else []), check, Bookmark(bookmark))
    assert after.instant == max(bookmark or CLOCK - DAY, CLOCK - MAX_SHIFT)


def test_rows_of_a_second_stream_ahead_of_the_clock_are_an_error() -> None:
    """Values are nearly six hours ahead, and claim to be in UTC."""
    server = Server(zone=KATHMANDU, label="Z", wall_filters=True, cookie=None)
    check = check_of()
    tables = [Table(name, COLUMNS, ("K",), replication_key=R) for name in ("A", "B")]
    read(table_of(server, [*NEAR, *OLD]), check, table=tables[0])
    read(table_of(server, [*NEAR, *OLD]), check, table=tables[0])
    with pytest.raises(ZoneError, match=r"A and B .*later than its clock"):
        read(table_of(server, [*NEAR, *OLD]), check, table=tables[1])


@pytest.mark.parametrize("ahead", [5 * MINUTE, 18 * HOUR, None])
def test_rows_ahead_of_the_clock_that_no_zone_explains_are_no_error(
    ahead: timedelta | None,
) -> None:
    """A clock that is off by minutes, a row that is dated ahead, and a zone that is proved."""
    server = Server(cookie=None if ahead else "TimeZone=GMTE0000U")
    check = check_of()
    for name in ("A", "B"):
        sim = table_of(server, [*NEAR, *OLD, CLOCK + (ahead or 5 * HOUR)])
        read(sim, check, table=Table(name, COLUMNS, ("K",), replication_key=R))


@pytest.mark.parametrize(
    ("inquiry", "requested"),
    [(False, True), (True, False)],
)
def test_the_look_at_the_newest_rows_has_them_counted(inquiry: bool, requested: bool) -> None:
    sim = table_of(Server(), OLD * 2)
    check = check_of(requests_count=True)
    clock_of(check, sim, Table("Rows", COLUMNS, ("K",), replication_key=R, inquiry=inquiry))
    assert sim.queries[0].count is requested
    assert not any(query.count for query in sim.queries[1:])


# Wherever values stand


def test_a_newer_version_within_the_same_displayed_second_arrives_in_the_next_run() -> None:
    """A run takes it for the one that it knows, and rows that changed later came before its end."""
    quirks: dict[str, Any] = {"label": "Z", "wall_filters": True, "cookie": None}
    sim = table_of(Server(zone=NEW_YORK, precision=1_000_000, counts=False, **quirks), [CLOCK])

    def change_once() -> None:
        if any(f"{R} lt 2026-06-02" in query.filter for query in sim.queries):
            sim.between = lambda: None
            sim.put((0,), CLOCK + timedelta(seconds=0.7))
            sim.put((1,), CLOCK + timedelta(seconds=5))

    sim.between = change_once
    versions, bookmark = read(sim, check_of())
    assert versions == {0: 1, 1: 3}
    sim.now += HOUR
    versions, _ = read(sim, check_of(), bookmark)
    assert versions == {0: 2, 1: 3}


OFFSETS = st.integers(-12 * 4, 14 * 4).map(lambda quarters: timedelta(minutes=15 * quarters))


@settings(max_examples=200)
@given(data=st.data(), offset=OFFSETS, seed=st.integers(0, 2**32))
def test_no_row_is_lost_whatever_zone_values_are_shown_in(
    data: st.DataObject, offset: timedelta, seed: int
) -> None:
    """Values and filters are off by the same, as chance would have it also near the clock."""
    random = Random(seed)
    server = Server(
        label="Z",
        wall_filters=True,
        cookie=None,
        counts=data.draw(st.booleans()),
        precision=data.draw(st.sampled_from([1, 1_000_000])),
        rounds=data.draw(st.booleans()),
    )
    server._in_zone = lambda moment: moment + offset  # type: ignore[method-assign]
    quiet = data.draw(st.sampled_from([abs(offset), timedelta(0), HOUR]))
    ages = data.draw(st.lists(st.sampled_from([0, 1, 3, 8, 90, 400, 3000]), max_size=30))
    instants = [CLOCK - quiet - timedelta(minutes=age, seconds=random.random()) for age in ages]
    if data.draw(st.booleans()):
        instants.append(CLOCK + abs(offset) - timedelta(seconds=30))
    sim = table_of(server, instants)
    bookmark = Bookmark()
    delivered: dict[int, int] = {}
    for _ in range(4):
        start = {
            key: row["Version"] for (key,), row in sim.rows.items() if row[R] - sim.now < 9 * HOUR
        }
        versions, bookmark = read(sim, check_of(), bookmark)
        delivered |= versions
        assert delivered | start == delivered, "already in this run"
        sim.now += data.draw(st.sampled_from([0 * HOUR, MINUTE, HOUR, 7 * HOUR]))
        for _ in range(data.draw(st.integers(0, 2))):
            sim.put((random.randrange(len(instants) + 2),), sim.stamp())
            sim.now += timedelta(milliseconds=random.choice([10, 700]))
    sim.now += DAY
    versions, _ = read(sim, check_of(), bookmark)
    delivered |= versions
    assert delivered == {key: version for (key,), version in sim.versions_shown().items()}


@settings(max_examples=200)
@given(
    random=st.builds(Random, st.integers(0, 2**32)),
    table=st.sampled_from([KEYED, KEYLESS]),
    gap=st.sampled_from([MINUTE, HOUR, DAY]),
    size=st.sampled_from([10, 25]),
    stops=st.lists(st.integers(0, 20), max_size=2),
    server=st.builds(
        Server,
        zone=st.just(LONDON),
        label=st.just("Z"),
        cookie=st.sampled_from([None, COOKIES[LONDON]]),
        counts=st.booleans(),
        cap=st.sampled_from([None, 7]),
        precision=st.sampled_from([1, 1_000_000]),
        links=st.booleans(),
    ),
    busy=st.booleans(),
)
def test_no_row_is_lost_where_values_are_an_hour_ahead_in_summer(  # noqa: PLR0913, PLR0917
    random: Random,
    table: Table,
    gap: timedelta,
    size: int,
    stops: list[int],
    server: Server,
    busy: bool,
) -> None:
    """London's clock, labelled as UTC: rows of the winter are where they show, others are not."""
    server.shuffles = bool(table.key)
    autumn = at("2025-10-26T01:00:00")
    ages = [random.random() * 60 * gap for _ in range(60)]
    instants = [autumn - age for age in ages] + [WINTER - number * DAY for number in range(9)]
    sim = table_of(server, instants, WINTER)

    def change() -> None:
        sim.now += MINUTE
        if busy:
            sim.put((random.randrange(60),), sim.stamp())

    sim.between = change
    bookmark, delivered = Bookmark(), dict[int, int]()
    for pages in [*stops, None]:
        start = {key: row["Version"] for (key,), row in sim.rows.items()}
        try:
            versions, bookmark = read(
                sim, check_of(), bookmark, table, pages=pages, paging=Paging(size)
            )
        except ZoneError:
            return
        delivered = {key: max(delivered.get(key, 0), versions.get(key, 0)) for key in start}
    assert all(delivered[key] >= version for key, version in start.items())


def test_the_newest_row_may_be_as_late_as_its_wall_clock_time_can_mean() -> None:
    """Otherwise the part behind the clock would end an hour early when a clock is set back."""
    newest = at("2026-11-01T06:40:00")
    sim = table_of(Server(zone=NEW_YORK, label=""), [newest - HOUR / 2, newest], newest)
    decoder = decoder_for(KEYED, ("K", R))
    fetch = partial(sim.read, subject="Rows", decode=decoder.page)
    assert check_of(NEW_YORK).newest_instant(KEYED, fetch) == newest
