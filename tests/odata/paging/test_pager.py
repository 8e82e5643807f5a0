"""What follows a pager, and how else it can ask: the protocol between pagers and readers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import Action, Cause, InconsistentAnswer, RequestFailed
from tap_acumatica.odata.paging.by_key import KeyPager
from tap_acumatica.odata.paging.by_offset import OffsetPager
from tap_acumatica.odata.paging.keyless import KeylessPager
from tap_acumatica.odata.paging.pager import Evidence, Paging
from tap_acumatica.odata.payload.page import Page
from tap_acumatica.odata.query import Link, Query
from tap_acumatica.odata.table import Table

if TYPE_CHECKING:
    from tap_acumatica.odata.paging.pager import Pager
    from tap_acumatica.odata.payload.page import Row

TABLE = Table("Rows", {"K": edm.INTEGER, "V": edm.STRING}, key=("K",))
TEXTS = Table("Texts", {"K": edm.STRING}, key=("K",))
REFUSED = RequestFailed(Cause.QUERY_REFUSED, Action.REPHRASE, "refused")


def rows(*keys: int | None) -> list[Row]:
    return [{"K": key, "V": f"row {key}"} for key in keys]


def query(pager: Pager) -> Query:
    request = pager.request()
    assert isinstance(request, Query)
    return request


def following(pager: Pager) -> Pager:
    successor = pager.then()
    assert successor is not None
    return successor


def delivered(pager: Pager, *pages: Page) -> list[Any]:
    return [row["K"] for page in pages for row in pager.accept(page)]


def proved(size: int) -> Paging:
    """Paging of a table about which an answer has counted more rows than it held."""
    return Paging(size, evidence=Evidence(most_counted=1000))


def test_a_count_that_is_proved_ends_a_read_that_one_answer_holds() -> None:
    for kind in (KeyPager, OffsetPager):
        pager = kind(TABLE, proved(10))
        assert delivered(pager, Page(rows(1, 2), 2)) == [1, 2]
        assert pager.done
        assert pager.then() is None


def test_a_count_that_is_the_number_of_rows_is_proved_by_a_look_behind_them() -> None:
    pager = KeyPager(TABLE, Paging(10))
    assert delivered(pager, Page(rows(1, 2), 2)) == [1, 2]
    look = following(pager)
    assert (query(look).skip, query(look).select, query(look).count) == (2, ("K",), True)
    assert delivered(look, Page([], 2)) == []
    assert look.done
    assert look.then() is None


def test_a_count_that_the_answer_holds_may_be_as_far_as_the_server_counts() -> None:
    pager = OffsetPager(TABLE, Paging(10, evidence=Evidence(most_counted=3)))
    assert delivered(pager, Page(rows(1, 2, 3), 3)) == [1, 2, 3]
    assert not pager.done
    assert delivered(pager, Page(rows(4), 3), Page(rows(3, 4, 5), 3)) == [4, 5]
    assert not pager.done


def test_a_count_that_does_not_hold_behind_the_last_row_is_no_proof() -> None:
    pager = OffsetPager(TABLE, Paging(10))
    assert delivered(pager, Page(rows(1, 2), 2)) == [1, 2]
    assert delivered(pager, Page(rows(3), 1)) == []
    assert not pager.done
    assert delivered(pager, Page(rows(2, 3), 2)) == [3]


def test_an_end_that_no_count_proves_takes_a_look_and_finds_the_last_row_alone() -> None:
    pager = KeyPager(TABLE, Paging(2, count=False))
    assert delivered(pager, Page(rows(1, 2)), Page([])) == [1, 2]
    nulls = following(pager)
    assert query(nulls).filter == "(K eq null)"
    delivered(nulls, Page([]))
    assert nulls.done
    proof = following(nulls)
    assert (query(proof).skip, query(proof).select) == (2, ("K",))
    assert delivered(proof, Page([])) == []
    assert (query(proof).skip, query(proof).select) == (1, ("K", "V"))
    assert delivered(proof, Page(rows(2))) == []
    assert proof.done
    assert proof.then() is None


def test_rows_that_stand_behind_an_unproved_end_are_delivered() -> None:
    pager = KeyPager(TABLE, Paging(10))
    delivered(pager, Page(rows(1, 2), 2))
    proof = following(pager)
    assert delivered(proof, Page(rows(3), 3), Page(rows(2, 3), 3)) == [3]


def test_a_last_row_that_does_not_stand_alone_has_all_rows_read_again() -> None:
    pager = KeyPager(TABLE, proved(2))
    delivered(pager, Page(rows(1, 2), 4), Page(rows(4), 1))
    nulls = following(pager)
    delivered(nulls, Page([], 0))
    proof = following(nulls)
    assert query(proof).skip == 2
    assert delivered(proof, Page(rows(3, 4), 4)) == []
    again = following(proof)
    assert "read again by $skip" in again.announcement
    assert query(again).skip == 0


def test_a_look_that_finds_nothing_is_no_end_of_a_table_that_shifted() -> None:
    pager = OffsetPager(TABLE, Paging(10, count=False))
    delivered(pager, Page(rows(1, 2)))
    assert query(pager).skip == 2
    assert delivered(pager, Page([])) == [], "row 1 is gone, and row 3 stands where row 2 stood"
    assert not pager.done
    assert delivered(pager, Page(rows(3))) == []
    assert query(pager).skip == 0, "a step back"
    assert delivered(pager, Page(rows(2, 3))) == [3]


def test_a_row_that_comes_twice_does_not_hide_that_the_table_has_shifted() -> None:
    pager = OffsetPager(TABLE, Paging(3, count=False))
    assert delivered(pager, Page(rows(1, 2, 3))) == [1, 2, 3]
    assert delivered(pager, Page(rows(4, 4, 5))) == [], "row 1 is gone, and 4 stands where 3 stood"
    assert query(pager).skip == 1, "a step back"
    assert delivered(pager, Page(rows(3, 4, 5))) == [4, 5]


def test_rows_whose_keys_tie_may_change_places_while_a_row_in_front_is_deleted() -> None:
    names = [{"T": text} for text in ("a", "b", "c", "Smith", "SMITH", "z")]
    server = [*names]
    pager = OffsetPager(Table("Rows", {"T": edm.STRING}, key=("T",)), Paging(4, count=False))
    came = [row["T"] for row in pager.accept(Page(server[:4]))]
    assert query(pager).skip == 2, "at the row in front of the last one"
    server = [*names[1:3], names[4], names[3], names[5]]
    for _ in range(8):
        request = query(pager)
        end = None if request.top is None else request.skip + request.top
        came += [row["T"] for row in pager.accept(Page(server[request.skip : end]))]
    assert pager.done
    assert came == ["a", "b", "c", "Smith", "SMITH", "z"]


def test_a_place_is_found_again_by_rows_of_earlier_answers() -> None:
    pager = OffsetPager(TABLE, Paging(1, count=False))
    pages = (Page(rows(1)), Page(rows(1, 2)), Page(rows(2, 3)), Page(rows(3, 4)))
    assert delivered(pager, *pages) == [1, 2, 3, 4]
    assert query(pager).skip == 3, "rows 3 and 4, all of the last answer, are gone by now"
    assert delivered(pager, Page(rows(6))) == []
    assert query(pager).skip == 2, "a step back"
    assert delivered(pager, Page(rows(5, 6))) == []
    assert query(pager).skip == 0, "a longer one"
    assert delivered(pager, Page(rows(1, 2))) == [], "both are known"
    assert query(pager).skip == 1
    assert delivered(pager, Page(rows(2, 5, 6)), Page(rows(5))) == [5]


def test_a_row_that_was_fetched_waits_for_the_row_that_stood_in_front_of_it() -> None:
    """A row that was inserted may stand in front of it by now."""
    pager = OffsetPager(TABLE, Paging(3, count=False))
    delivered(pager, Page(rows(1, 2, 3)), *[Page(rows(3))] * 2, *[Page(rows(5))] * 2)
    assert delivered(pager, Page(rows(2))) == [], "3 and 4 stand behind 2, and 5 behind them"


def test_a_count_that_is_exceeded_by_the_rows_at_hand_is_no_count() -> None:
    """Such as one that stops at the server's limit."""
    pager = OffsetPager(TABLE, proved(3))
    assert delivered(pager, Page(rows(1, 2, 3), 3)) == [1, 2, 3]
    assert delivered(pager, Page(rows(3, 4, 5), 3)) == [4, 5]
    assert not pager.done
    assert not query(pager).count


def test_a_full_answer_that_reaches_its_count_is_followed_by_another() -> None:
    pager = OffsetPager(TABLE, proved(3))
    assert delivered(pager, Page(rows(1, 2, 3), 3)) == [1, 2, 3]
    assert not pager.done, "a row may have been inserted since the rows were counted"
    assert delivered(pager, Page(rows(3, 4), 4)) == [4]
    assert pager.done


def test_a_row_that_does_not_come_along_with_the_overlap_is_fetched_alone() -> None:
    pager = OffsetPager(TABLE, Paging(10, count=False))
    delivered(pager, Page(rows(1, 2)), Page(rows(3)), Page(rows(2)))
    assert (query(pager).skip, query(pager).select) == (1, ("K",))
    delivered(pager, Page(rows(2, 3, 4)))
    assert query(pager).filter == "K eq 3", "one answer shows that nothing stands between 2 and 3"
    assert delivered(pager, Page(rows(3))) == [3]
    assert query(pager).skip == 2


def test_a_row_whose_key_does_not_come_along_either_waits_for_the_overlap() -> None:
    pager = OffsetPager(TABLE, Paging(10, count=False))
    delivered(pager, Page(rows(1, 2)), Page(rows(3)), Page(rows(2)), Page(rows(2)))
    assert (query(pager).skip, query(pager).select) == (2, ("K",))
    delivered(pager, Page(rows(3)))
    assert query(pager).filter == "K eq 3"
    delivered(pager, Page(rows(3)))
    assert query(pager).skip == 1, "it is delivered if the table has not shifted"
    assert delivered(pager, Page(rows(2))) == [3]
    assert query(pager).skip == 2


def test_a_row_in_front_of_which_a_look_finds_no_known_one_is_not_fetched() -> None:
    """A row may stand between the two."""
    pager = OffsetPager(TABLE, Paging(10, count=False))
    delivered(pager, Page(rows(1, 2)), Page(rows(3)), Page(rows(2)))
    assert delivered(pager, Page(rows(4, 5))) == [], "row 1 is gone, and 2 and 3 stand in front"
    assert (query(pager).skip, query(pager).filter) == (1, "")


def test_a_link_comes_after_a_look_since_it_may_skip_where_the_table_shifted() -> None:
    pager = OffsetPager(TABLE, Paging(10, count=False))
    delivered(pager, Page(rows(1, 2), next_link="Rows?at=2"))
    assert (query(pager).skip, query(pager).select) == (2, ("K",))
    delivered(pager, Page([]))
    assert query(pager).skip == 1
    delivered(pager, Page(rows(2), next_link="Rows?at=2"))
    assert pager.request() == Link("Rows?at=2", "Rows"), "nothing else leads on"
    assert delivered(pager, Page(rows(3))) == [3]


def test_an_answer_without_the_rows_that_are_counted_is_no_end() -> None:
    pager = OffsetPager(TABLE, Paging(8))
    assert delivered(pager, Page([], 2)) == []
    assert (query(pager).skip, query(pager).select) == (0, ("K",))
    delivered(pager, Page(rows(1, 2), 2))
    assert query(pager).filter == "K eq 1"
    assert delivered(pager, Page(rows(1))) == [1]
    assert query(pager).top == 5, "half as many rows, and the overlap"
    assert delivered(pager, Page(rows(1, 2), 2)) == [2]
    assert delivered(pager, Page([], 2)) == [], "two may be as far as the server counts"
    assert pager.done


def test_rows_that_are_counted_but_never_sent_do_not_hide_that_the_table_has_shrunk() -> None:
    pager = OffsetPager(TABLE, proved(4))
    delivered(pager, Page(rows(1, 2, 3, 4), 9))
    delivered(pager, Page([], 8), Page([], 8), Page([], 8))
    assert query(pager).skip < 3, "a step back"


@pytest.mark.parametrize("count", [9, None])
def test_a_read_that_finds_known_rows_alone_ends_only_where_no_more_are_counted(
    count: int | None,
) -> None:
    pager = OffsetPager(TABLE, proved(10))
    delivered(pager, Page(rows(1, 2, 3), count))

    def stall() -> None:
        for _ in range(100):
            pager.accept(Page(rows(2, 3), query(pager).skip + 9 if count else None))

    if count:
        with pytest.raises(InconsistentAnswer, match="behind the one with K eq 3,"):
            stall()
    else:
        stall()
        assert pager.done


def test_a_row_that_was_fetched_alone_is_not_delivered_from_a_table_that_shifted() -> None:
    pager = OffsetPager(TABLE, Paging(10, count=False))
    delivered(pager, Page(rows(1, 2)), Page(rows(4)), *[Page(rows(2))] * 2, *[Page(rows(4))] * 2)
    assert delivered(pager, Page(rows(3, 4))) == []
    assert query(pager).skip == 0, "a step back"


def test_a_null_in_the_key_is_read_on_from_by_place_and_not_delivered_again() -> None:
    pager = KeyPager(TABLE, Paging(2))
    assert delivered(pager, Page(rows(1, None), 3)) == [1, None]
    assert pager.done
    assert pager.stopped_at_null_key
    by_place = following(pager)
    assert by_place.announcement == "is read by $skip from here on: a row has a null in its key."
    assert delivered(by_place, Page(rows(None, 2), 3)) == [2]
    nulls = following(by_place)
    assert query(nulls).filter == "(K eq null)"
    assert delivered(nulls, Page(rows(None), 1)) == []
    assert query(following(nulls)).skip == 3, "the look behind the last row"


def test_a_row_in_front_of_a_null_that_was_passed_over_is_delivered() -> None:
    pager = KeyPager(TABLE, Paging(2))
    assert delivered(pager, Page(rows(1, 2)), Page(rows(4, None))) == [1, 2, 4, None]
    by_place = following(pager)
    look = Page(rows(4, None))
    assert delivered(by_place, look, Page(rows(None)), Page([]), Page(rows(None))) == []
    nulls = following(by_place)
    assert delivered(nulls, Page(rows(None)), Page([]), Page(rows(None))) == []
    behind = following(nulls)
    assert query(behind).skip == 4
    assert delivered(behind, Page(rows(None)), Page(rows(4, None))) == []
    again = following(behind)
    assert again.announcement.startswith("is read again by $skip")
    assert delivered(again, Page(rows(1, 2)), Page(rows(2, 3, 4))) == [1, 2, 3, 4]


def test_rows_that_arrive_again_show_that_gt_does_not_follow_the_order() -> None:
    """A deletion may hide this from the look behind the last row."""
    pager = KeyPager(TEXTS, Paging(2))
    pages = Page([{"K": "a"}, {"K": "c"}]), Page([{"K": "c"}, {"K": "a"}, {"K": "d"}])
    assert delivered(pager, *pages) == ["a", "c", "d"]
    assert pager.done
    assert following(pager).announcement.startswith("is read again by $skip")


def test_a_null_that_was_passed_over_is_delivered() -> None:
    pager = KeyPager(TABLE, Paging(1))
    delivered(pager, Page(rows(1), 2), Page(rows(2), 1))
    nulls = following(pager)
    assert delivered(nulls, Page(rows(None), 1)) == [None]


def test_a_last_row_that_comes_again_shows_that_the_filter_is_ignored() -> None:
    pager = KeyPager(TABLE, Paging(2))
    delivered(pager, Page(rows(1, 2), 4))
    assert query(pager).filter == "K gt 2"
    with pytest.raises(InconsistentAnswer, match=r"ignored \$filter"):
        pager.accept(Page(rows(1, 2), 4))


def test_a_refused_key_filter_is_replaced_once_rows_were_delivered() -> None:
    pager = KeyPager(TABLE, Paging(2))
    assert pager.instead(REFUSED) is None
    delivered(pager, Page(rows(1, 2), 4))
    successor = pager.instead(REFUSED)
    assert successor is not None
    assert successor.announcement == "is read by $skip from here on: refused"
    assert query(successor).skip == 1
    assert delivered(successor, Page(rows(2, 3, 4), 4)) == [3, 4]
    assert query(following(successor)).filter == "(K eq null)", "what the key pager had planned"


def test_an_offset_pager_proves_its_end_itself_and_knows_no_plainer_way() -> None:
    pager = OffsetPager(TABLE, Paging(10))
    delivered(pager, Page(rows(1, 2), 2), Page([], 2))
    assert pager.done
    assert pager.then() is None
    assert pager.instead(REFUSED) is None


@pytest.mark.parametrize(
    ("table", "suits"),
    [
        (TABLE, True),
        (Table("Rows", TABLE.columns), False),
        (Table("Rows", {"K": edm.TYPES["Edm.Guid"]}, key=("K",)), False),
        (Table("Rows", TABLE.columns, key=("K",), inquiry=True), False),
    ],
)
def test_a_table_is_read_by_key_only_where_the_server_compares_as_it_sorts(
    table: Table, suits: bool
) -> None:
    assert KeyPager.suits(table) == suits
    assert OffsetPager.suits(table) == bool(table.key)
    assert KeylessPager.suits(table)
