"""A full read tells behind which key it may go on, and whether it was read by key."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from support.simulation import R, Server, SimulatedTable, at

from tap_acumatica.odata import edm
from tap_acumatica.odata.clock import ClockCheck
from tap_acumatica.odata.errors import Action, Cause, RequestFailed
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.table import Table
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import (
    FullRead,
    FullReadEnd,
    IncrementalStart,
    PageRead,
    ReadSettings,
)
from tap_acumatica.reading.reader import EntityReader

NOW = at("2026-06-01T12:00:00")
GUID = edm.TYPES["Edm.Guid"]
KEYS: dict[str, tuple[tuple[edm.EdmType, ...], Any]] = {
    "int": ((edm.INTEGER,), lambda n: (n,)),
    "text": ((edm.STRING,), lambda n: (f"K{n:03}",)),
    "two": ((edm.STRING, edm.INTEGER), lambda n: (f"K{n // 7:03}", n)),
    "guid": ((GUID,), lambda n: (str(UUID(int=n)),)),
}
IN_ORDER = ("int", "text", "two")


def table_of(kind: str, rows: int = 45, **server: Any) -> tuple[SimulatedTable, Table]:
    types, key = KEYS[kind]
    names = tuple(f"K{index}" for index in range(len(types)))
    sim = SimulatedTable(names, Server(**server), NOW, Random(1))
    for number in range(rows):
        sim.put(key(number), NOW - timedelta(days=9, seconds=number))
    columns = {**dict(zip(names, types, strict=True)), R: edm.INSTANT, "Version": edm.INTEGER}
    return sim, Table("Rows", columns, key=names, replication_key=R)


def events_of(sim: SimulatedTable, table: Table, full_read: FullRead) -> list[Any]:
    """Read by a window of two hours, and in full."""
    sim.begin()
    check = ClockCheck(InstantReader(), zone_is_set=True)
    start = IncrementalStart(check, Bookmark(NOW - timedelta(hours=2)))
    settings = ReadSettings(paging=Paging(10))
    return list(EntityReader(sim, table, settings, start, full_read=full_read))


def read(
    sim: SimulatedTable, table: Table, full_read: FullRead
) -> tuple[list[PageRead], FullReadEnd]:
    """Read by a window that has no rows, and in full; return the pages of the full read."""
    events = events_of(sim, table, full_read)
    end = events[-1]
    assert isinstance(end, FullReadEnd)
    return [each for each in events if isinstance(each, PageRead) and each.full_read], end


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("kind", IN_ORDER)
def test_a_read_goes_on_behind_each_page(kind: str, counts: bool) -> None:
    sim, table = table_of(kind, counts=counts)
    pages, end = read(sim, table, FullRead())
    assert end == FullReadEnd(45, by_key=True)
    whole = [row["Version"] for page in pages for row in page.rows]
    for number, page in enumerate(pages, 1):
        assert page.full_read
        before = [row["Version"] for page in pages[:number] for row in page.rows]
        rest, again = read(sim, table, page.full_read)
        after = [row["Version"] for page in rest for row in page.rows]
        assert [*before, *after[after[:1] == before[-1:] :]] == whole
        assert again.by_key
        assert 45 <= again.rows <= 46, "with a text in the key the last row comes twice"


@pytest.mark.parametrize("kind", IN_ORDER)
def test_what_changed_in_the_part_that_was_read_comes_in_front_of_the_rest(kind: str) -> None:
    sim, table = table_of(kind)
    pages, _ = read(sim, table, FullRead())
    place = pages[1].full_read
    assert place
    changed = sim.put(sim.key_of(pages[0].rows[0]), NOW - timedelta(hours=1))
    events = events_of(sim, table, place)
    window, *rest = [each for each in events if isinstance(each, PageRead)]
    assert [row["Version"] for row in window.rows] == [changed["Version"]]
    assert window.full_read is None
    assert sum(len(page.rows) for page in rest if page.full_read) >= 25


def test_rows_with_a_null_in_their_key_come_in_the_rest_too() -> None:
    sim, table = table_of("two", nulls_last=True)
    sim.put(("K999", None), NOW - timedelta(days=9))
    pages, _ = read(sim, table, FullRead(("'K003'", "23"), 24))
    assert ("K999", None) in {sim.key_of(row) for page in pages for row in page.rows}


def test_a_guid_is_not_read_by_key_and_has_no_place() -> None:
    sim, table = table_of("guid")
    pages, end = read(sim, table, FullRead())
    assert not end.by_key
    assert {page.full_read for page in pages} == {FullRead()}


def test_a_null_in_the_key_is_not_read_by_key() -> None:
    sim, table = table_of("two", nulls_last=True)
    sim.put(("K001", None), NOW - timedelta(days=9))
    _, end = read(sim, table, FullRead())
    assert not end.by_key


def test_a_rest_that_the_server_refuses_is_read_from_the_beginning() -> None:
    sim, table = table_of("int")
    ask = sim.read

    def refuse(query: Any, *arguments: Any) -> Any:
        if "K0 gt" in getattr(query, "filter", ""):
            raise RequestFailed(Cause.QUERY_REFUSED, Action.REPHRASE, "Refused.")
        return ask(query, *arguments)

    sim.read = refuse  # type: ignore[assignment, method-assign]
    pages, end = read(sim, table, FullRead(("9",), 10))
    assert len({row["K0"] for page in pages for row in page.rows}) == 45
    assert not end.by_key
