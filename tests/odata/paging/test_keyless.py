"""Rows without a key are read in full without losing one, or the read fails."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.paging import keyless
from tap_acumatica.odata.paging.keyless import KeylessPager
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.payload.page import Page
from tap_acumatica.odata.query import Link, Query
from tap_acumatica.odata.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.paging.pager import Pager
    from tap_acumatica.odata.payload.page import Row

COLUMNS = {"A": edm.STRING, "B": edm.INTEGER, "C": edm.STRING}
TABLE = Table("Rows", COLUMNS, order=("A", "B"), inquiry=True)
MAX_REQUESTS = 3000


@dataclass
class Inquiry:
    """An inquiry, and how its server answers.

    Attributes:
        plan: How the order of rows that tie is found: at random ("shuffled"), for each pair of
            `$skip` and `$top` in the same way ("planned"), or always in the same way ("stable").
        caps: The maximum numbers of rows in an answer, one of which is drawn for each.
        max_bytes: The maximum size of an answer in bytes of JSON.
        sends_oversized: Whether a row above that size is sent, alone; otherwise an answer ends in
            front of it.
        links: Whether an answer that is not the last has a nextLink, and may be empty.
    """

    rows: list[Row]
    random: Random = field(default_factory=lambda: Random(1))
    plan: str = "stable"
    caps: tuple[int | None, ...] = (None,)
    max_bytes: int | None = None
    sends_oversized: bool = True
    links: bool = False
    collates: bool = False
    between: Callable[[], None] = lambda: None
    queries: list[Query] = field(default_factory=list)

    def answer(self, request: Query | Link) -> Page:
        self.between()
        assert len(self.queries) < MAX_REQUESTS, "the read does not end"
        empty = False
        if isinstance(request, Link):
            query = replace(self.queries[-1], skip=int(request.url))
        else:
            query = request
            empty = self.links and self.random.random() < 0.1
        self.queries.append(query)
        rows = self._sorted(query)[query.skip :]
        rows, end = self._limited(rows, query), len(rows)
        rows = [] if empty else rows
        shown = [{name: row[name] for name in query.select or COLUMNS} for row in rows]
        more = self.links and len(rows) < end
        return Page(shown, None, str(query.skip + len(rows)) if more else None)

    def _sorted(self, query: Query) -> list[Row]:
        rows = [*self.rows]
        match self.plan:
            case "shuffled":
                self.random.shuffle(rows)
            case "planned":
                Random(f"{query.skip} {query.top}").shuffle(rows)
        return sorted(rows, key=lambda row: [self._rank(row[name]) for name in query.orderby])

    def _rank(self, value: Any) -> tuple[bool, Any]:
        if isinstance(value, str) and self.collates:
            value = value.casefold().replace("-", "").rstrip()
        return (value is not None, value)

    def _limited(self, rows: list[Row], query: Query) -> list[Row]:
        for limit in (query.top, self.random.choice(self.caps)):
            rows = rows[:limit]
        size = 0
        for index, row in enumerate(rows if self.max_bytes else ()):
            size += len(msgspec.json.encode({name: row[name] for name in query.select or row}))
            if size > (self.max_bytes or 0):
                return rows[: index or int(self.sends_oversized)]
        return rows


def read(
    inquiry: Inquiry, table: Table = TABLE, size: int | None = 10, slow_above: int | None = None
) -> list[Row]:
    """Read as `PageReader` does; requests of more rows than `slow_above` time out."""
    pager: Pager | None = KeylessPager(table, Paging(size, count=False))
    delivered: list[Row] = []
    while pager:
        if size is not None:
            pager.resize(size)
        while not pager.done:
            request = pager.request()
            if slow_above and isinstance(request, Query) and (request.top or 0) > slow_above:
                size = max((size or 100) // 2, 2)
                pager.resize(size)
                continue
            delivered += pager.accept(inquiry.answer(request))
        pager = pager.then()
    return delivered


def contents(rows: list[Row]) -> Counter[bytes]:
    return Counter(map(msgspec.json.encode, rows))


def rows_of(*values: tuple[Any, ...]) -> list[Row]:
    return [dict(zip(COLUMNS, row, strict=True)) for row in values]


def numbered(count: int) -> list[Row]:
    return rows_of(*[("a", number, f"row {number}") for number in range(count)])


# Requests


@pytest.mark.parametrize(("rows", "requests"), [(0, 2), (1, 3), (9, 3), (10, 4), (900, 4)])
def test_an_inquiry_that_fits_into_one_answer_costs_few_requests(rows: int, requests: int) -> None:
    inquiry = Inquiry(numbered(rows))
    assert read(inquiry) == inquiry.rows
    assert len(inquiry.queries) == requests
    assert max(query.top or 0 for query in inquiry.queries) <= keyless.MAX_ROWS
    sizes = [query.top for query in inquiry.queries[-2:]]
    assert sizes == ([10, 1] if rows == 0 else [1, min(rows, 2) + 1])


def test_an_inquiry_that_does_not_fit_is_read_in_pages_twice_with_other_borders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyless, "MAX_ROWS", 20)
    inquiry = Inquiry(numbered(73))
    assert read(inquiry) == inquiry.rows
    skips = [query.skip for query in inquiry.queries if query.top != 1]
    first, second = skips[2 : skips.index(0, 3)], skips[skips.index(0, 3) :]
    assert first[0] == second[0] == 0
    assert not set(first[1:-1]) & set(second[1:-1])
    assert len(inquiry.queries) < 2 * 73 / 9 + 10


def test_answers_are_no_larger_than_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = rows_of(*[("a", number, "x" * 1000) for number in range(300)])
    monkeypatch.setattr(keyless, "MAX_BYTES", 50_000)
    inquiry = Inquiry(rows)
    assert read(inquiry) == rows
    assert max(query.top or 0 for query in inquiry.queries) < 50


def test_answers_that_come_too_late_are_asked_for_in_pages() -> None:
    inquiry = Inquiry(numbered(90))
    assert read(inquiry, slow_above=15) == inquiry.rows
    assert max(query.top or 0 for query in inquiry.queries) <= 15


def test_an_end_that_comes_too_late_is_read_in_pages() -> None:
    pager = KeylessPager(replace(TABLE, order=()), Paging(20, count=False))
    pager.accept(Page(numbered(14)))
    pager.accept(Page([]))
    before = pager.done
    pager.resize(10)
    assert (before, pager.done) == (False, True)
    assert pager.then()


def test_an_empty_page_with_a_link_is_not_the_end() -> None:
    pager = KeylessPager(TABLE, Paging(20, count=False))
    assert pager.accept(Page([], None, "more")) == []
    assert isinstance(pager.request(), Link)
    assert pager.accept(Page(numbered(3))) == []
    assert pager.accept(Page([])) == []
    assert pager.accept(Page(numbered(3)[1:])) == numbered(3)
    pager.resize(40)
    assert pager.done
    assert pager.then() is None


# Ties


@pytest.mark.parametrize("order", [("A",), ("A", "B"), ()])
@pytest.mark.parametrize("plan", ["shuffled", "planned"])
def test_an_inquiry_whose_rows_tie_is_read_whole(order: tuple[str, ...], plan: str) -> None:
    inquiry = Inquiry(numbered(300), plan=plan)
    delivered = read(inquiry, replace(TABLE, order=order))
    assert contents(delivered) == contents(inquiry.rows)


@pytest.mark.parametrize("plan", ["shuffled", "planned"])
def test_pages_end_where_no_rows_tie(plan: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyless, "MAX_ROWS", 40)
    rows = rows_of(*[("aAäÄ"[n % 4] + "b" * (n // 30), 1, f"row {n}") for n in range(300)])
    inquiry = Inquiry(rows, plan=plan, collates=True)
    delivered = read(inquiry, replace(TABLE, order=("A",)))
    assert contents(delivered) == contents(rows)


def test_ties_that_the_server_does_not_send_in_one_answer_are_an_error() -> None:
    inquiry = Inquiry(numbered(60), plan="shuffled", caps=(25,))
    with pytest.raises(InconsistentAnswer, match=r"^More rows of Rows .*inquiry_keys"):
        read(inquiry, replace(TABLE, order=("A",)))


def test_a_row_that_is_too_large_for_an_answer_is_an_error() -> None:
    rows = numbered(30)
    rows[17]["C"] = "x" * 5000
    inquiry = Inquiry(rows, max_bytes=2000)
    assert contents(read(inquiry)) == contents(rows)
    inquiry = Inquiry(rows, max_bytes=2000, sends_oversized=False)
    with pytest.raises(InconsistentAnswer, match="no row of Rows behind the first 17, although"):
        read(inquiry)


# Changes


@pytest.mark.parametrize("order", [("A", "B"), ("A",)])
def test_a_row_that_goes_while_the_end_is_looked_at_hides_none(order: tuple[str, ...]) -> None:
    """The answer was cut in front of the last row, which then took the place of another one."""
    inquiry = Inquiry(numbered(26), caps=(25,))

    def delete() -> None:
        if len(inquiry.queries) == 1:
            del inquiry.rows[3]

    inquiry.between = delete
    delivered = read(inquiry, replace(TABLE, order=order), size=50)
    assert not contents(inquiry.rows) - contents(delivered)


def test_rows_that_move_to_the_part_that_was_read_are_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(keyless, "MAX_ROWS", 10)
    inquiry = Inquiry(numbered(60))

    def move() -> None:
        if len(inquiry.queries) == 4:
            inquiry.rows[50]["B"] = -1
            # So that no other row changes its place.
            del inquiry.rows[2]

    inquiry.between = move
    delivered = read(inquiry)
    assert not contents(inquiry.rows) - contents(delivered)


def test_a_shift_that_comes_in_each_read_and_is_undone_hides_no_row(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages can only end where nothing ties, so that two reads may have the same borders."""
    monkeypatch.setattr(keyless, "MAX_ROWS", 10)
    inquiry = Inquiry(rows_of(*[("abc"[n // 8], n, f"row {n}") for n in range(24)]))
    toggled = inquiry.rows[2]
    others = [row for row in inquiry.rows if row is not toggled]

    def shift() -> None:
        if len(inquiry.queries) > 1 and inquiry.queries[-1].skip == 0:
            inquiry.rows[:] = others
        elif inquiry.queries and inquiry.queries[-1].top == 1 and toggled not in inquiry.rows:
            inquiry.rows.insert(2, toggled)

    inquiry.between = shift
    assert not contents(others) - contents(read(inquiry, replace(TABLE, order=("A",))))


def test_a_row_that_goes_once_it_was_found_behind_the_others_is_not_blamed() -> None:
    inquiry = Inquiry(numbered(2), caps=(1,))

    def delete() -> None:
        if len(inquiry.queries) == 4:
            assert inquiry.queries[-1].skip == 1
            del inquiry.rows[1]

    inquiry.between = delete
    assert contents(read(inquiry)) >= contents(inquiry.rows)


@pytest.mark.parametrize("most", [10, 1000])
def test_an_inquiry_that_never_rests_is_an_error(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyless, "MAX_ROWS", most)
    inquiry = Inquiry(numbered(60))

    def change() -> None:
        inquiry.rows[-1]["C"] = str(len(inquiry.queries))

    inquiry.between = change
    with pytest.raises(InconsistentAnswer, match=r"^Rows was different .*inquiry_keys"):
        read(inquiry)


@settings(max_examples=400)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_every_row_that_was_there_all_the_time_arrives_or_the_read_fails(
    data: st.DataObject, seed: int
) -> None:
    random = Random(seed)
    kinds = data.draw(st.sampled_from([1, 2, 4, 30]))
    serial = iter(range(10**6))
    unique = data.draw(st.booleans())

    def row() -> Row:
        text = random.choice(["a", "A", "b-", "b", "ä", " c", None, ""][:kinds])
        content = str(next(serial)) if unique else random.choice("xy")
        content *= random.choice([1, 1, 1, 60])
        return {"A": text, "B": random.randrange(kinds), "C": content}

    inquiry = Inquiry(
        [row() for _ in range(data.draw(st.sampled_from([0, 1, 2, 3, 5, 9, 30, 30, 80])))],
        random,
        plan=data.draw(st.sampled_from(["stable", "planned", "shuffled"])),
        caps=data.draw(st.sampled_from([(None,), (None,), (1,), (2,), (7,), (25,), (3, 9, 20)])),
        max_bytes=data.draw(st.sampled_from([None, None, 90, 600])),
        sends_oversized=data.draw(st.booleans()),
        links=data.draw(st.booleans()),
        collates=data.draw(st.booleans()),
    )
    rows = inquiry.rows
    standing = {id(row): row for row in rows}
    busy = data.draw(st.sampled_from([0.0, 0.05, 0.3, 1.0]))

    def change() -> None:
        while random.random() < busy / 2:
            case = random.randrange(3) if rows else 0
            if case == 0:
                rows.append(row())
                continue
            index = random.randrange(len(rows))
            standing.pop(id(rows[index]), None)
            if case == 1:
                del rows[index]
            else:
                rows[index] = row()

    inquiry.between = change
    order = data.draw(st.sampled_from([("A", "B"), ("A",), ("B", "A", "C"), ()]))
    most = data.draw(st.sampled_from([10, 20, keyless.MAX_ROWS]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyless, "MAX_ROWS", most)
        try:
            delivered = read(
                inquiry,
                replace(TABLE, order=order),
                data.draw(st.sampled_from([2, 10, 10, 13, None])),
                data.draw(st.sampled_from([None, None, 15])),
            )
        except InconsistentAnswer:
            return
    assert not contents([*standing.values()]) - contents(delivered)
    if not busy:
        assert contents(delivered) == contents(rows)
