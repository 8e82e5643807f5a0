"""The base of an incremental read, which counts once a known row has come from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.simulation import R, at

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import ZoneError
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.paging.cursor import CursorPager, Window
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.payload.page import Page
from tap_acumatica.odata.query import Query
from tap_acumatica.odata.table import Table

if TYPE_CHECKING:
    from tap_acumatica.odata.paging.pager import Pager
    from tap_acumatica.odata.payload.page import Row

TABLE = Table("Rows", {"K": edm.INTEGER, R: edm.INSTANT}, ("K",), replication_key=R)


def rows(*minutes: int) -> list[Row]:
    """Return a row for each of these minutes, whose key is the minute at first."""
    return [{"K": minute, R: f"2026-06-01T12:{minute:02}:00Z"} for minute in minutes]


def pager_of(size: int) -> CursorPager:
    window = Window(at("2026-06-01T00:00:00"), at("2026-06-02T00:00:00"))
    return CursorPager(TABLE, Paging(size, count=False), window, InstantReader())


def query(pager: Pager) -> Query:
    request = pager.request()
    assert isinstance(request, Query)
    return request


def base(pager: CursorPager) -> str:
    """Return the time from which on the next request asks for rows."""
    return query(pager).filter.split(" and ")[0].removeprefix(f"{R} ge 2026-06-01T")


def accepted(pager: CursorPager, *minutes: int) -> tuple[int, bool]:
    """Accept an answer; return the number of new rows, and whether others may be missing."""
    return len(pager.accept(Page(rows(*minutes)))), pager.in_doubt


def stops(pager: CursorPager) -> bool:
    pager.stop()
    return pager.done


def test_rows_that_come_without_a_known_one_are_delivered_but_do_not_lead_on() -> None:
    pager = pager_of(4)
    pager.accept(Page(rows(1, 2, 3, 4)))
    assert base(pager) == "12:03:59Z"
    assert accepted(pager, 5, 6) == (2, True)
    assert not stops(pager), "other rows may stand in front of them"
    assert base(pager) == "12:01:59Z", "half as far"
    assert pager.reached == at("2026-06-01T00:00:00"), "the bookmark waits for a known row"
    assert accepted(pager, 2, 3, 5, 6) == (2, False)
    assert stops(pager)


def test_a_base_from_which_no_known_row_comes_moves_back_to_where_it_was() -> None:
    pager = pager_of(4)
    pager.accept(Page(rows(1, 2, 3, 4)))
    pager.accept(Page(rows(5, 6)))
    pager.accept(Page(rows(5, 6)))
    assert base(pager) == "00:00:00Z"
    assert query(pager).skip == 3, "at the last known row"


def test_rows_that_twice_do_not_come_from_where_they_show_are_in_another_zone() -> None:
    pager = pager_of(2)
    pager.accept(Page(rows(1, 2)))
    pager.accept(Page(rows(8, 9)))
    pager.accept(Page(rows(2, 3, 4)))
    pager.accept(Page(rows(8, 9)))
    with pytest.raises(ZoneError, match="different time zones"):
        pager.accept(Page(rows(4, 5)))


def test_a_base_above_a_proved_clock_needs_no_known_row() -> None:
    pager = pager_of(4)
    pager.accept(Page(rows(1, 2, 3, 4)))
    pager.proved_from = at("2026-06-01T12:03:00")
    assert accepted(pager, 5, 6, 7, 8) == (4, False)
    assert base(pager) == "12:07:59Z"


def test_a_row_that_changes_whenever_it_is_asked_for_is_asked_for_alone_once() -> None:
    pager = pager_of(3).again()
    assert len(pager.accept(Page(rows(1, 2, 4)))) == 3

    def keys(second: int) -> Page:
        return Page([*rows(1, 2), {"K": 9, R: f"2026-06-01T12:03:{second:02}Z"}, *rows(4)])

    assert pager.accept(keys(10)) == []
    assert query(pager).filter.endswith("K eq 9")
    other_version = {"K": 9, R: "2026-06-01T12:03:20Z"}
    assert pager.accept(Page([other_version])) == [other_version]
    assert pager.delivered == 3, "in another version it may have come before"
    assert pager.accept(keys(30)) == []
    assert "K eq 9" not in query(pager).filter


def test_a_row_that_comes_alone_in_another_version_is_not_stuck() -> None:
    pager = pager_of(4)
    pager.accept(Page(rows(1, 2, 3, 4)))
    for second in range(20):
        assert pager.accept(Page(rows(4))) == []
        assert query(pager).top == 5
        found = {"K": 9, R: f"2026-06-01T12:05:{second:02}Z"}
        assert pager.accept(Page([*rows(4), found])) == []
        assert query(pager).filter.endswith("K eq 9")
        assert pager.accept(Page([{"K": 9, R: f"2026-06-01T12:06:{second:02}Z"}])) == []
    assert pager.accept(Page([*rows(4), {"K": 9, R: "2026-06-01T12:07:00Z"}]))


def test_an_answer_is_compared_with_all_of_its_keys_even_if_these_are_cut() -> None:
    pager = pager_of(4).again()
    pager.accept(Page(rows(1, 2, 4, 5)))
    pager.accept(Page(rows(1)))
    keys = query(pager)
    assert (keys.skip, keys.top, keys.orderby) == (1, 3, (R, "K"))
    pager.accept(Page(rows(2, 3, 4)))
    assert query(pager).filter.endswith("K eq 3")
