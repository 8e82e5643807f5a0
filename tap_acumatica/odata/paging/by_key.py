"""The pagers: pages in, new rows and the next request out. No network and no clock.

A table changes while it is read, the server may send fewer rows than it was asked for without a
word, and it may display an instant up to a second off the one that it filters and sorts by. The
rules that lose no row under these conditions are in docs/reliability.md; here is how they are kept.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from tap_acumatica.odata import edm
from tap_acumatica.odata.dialect import Protocol as ODataProtocol
from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.formats import JSON, Format
from tap_acumatica.odata.paging.known_rows import Place
from tap_acumatica.odata.paging.sort_order import unordered
from tap_acumatica.odata.query import Query, all_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tap_acumatica.odata.expand import Expansion
    from tap_acumatica.odata.payload.json import Page, Row
    from tap_acumatica.odata.query import Call


@dataclass(frozen=True, slots=True)
class Table:
    """An entity set as a pager sees it."""

    entity_set: str
    columns: Mapping[str, edm.EdmType]
    """The columns to read, with their types."""
    key: tuple[str, ...] = ()
    """What tells rows apart; empty where nothing does."""
    order: tuple[str, ...] = ()
    """Columns to order by where there is no key; empty leaves it to the server."""
    replication_key: str | None = None
    select: bool = True
    """Whether the columns may be named in `$select`."""
    singleton: bool = False
    """Whether it is one object, not a set."""
    expand: tuple[Expansion, ...] = ()
    """How the columns that are related records are asked for."""
    format: Format = JSON
    protocol: ODataProtocol = ODataProtocol.V4
    inquiry: bool = False
    """Whether it is a generic inquiry, which cannot be counted."""
    call: Call | None = None
    """How its parameters are given, where it has some."""

    def query(self, *conditions: str, orderby: tuple[str, ...] = ()) -> Query:
        """A query for the columns of the rows that fit all conditions."""
        expand = tuple(each for each in self.expand if each.name in self.columns)
        related = {each.name for each in expand}
        select = tuple(name for name in self.columns if name not in related) if self.select else ()
        return Query(
            self.entity_set,
            select,
            all_of(*conditions),
            orderby,
            expand=expand,
            format=self.format,
            protocol=self.protocol,
            call=self.call,
        )

    def literal(self, name: str, value: Any) -> str:  # noqa: ANN401 - of the column's type
        """A value of a column as it is written in a condition."""
        if value is None:
            return "null"
        return self.columns[name].written(value, self.protocol)

    def instant(self, moment: datetime) -> str:
        """An instant as it is written in a condition."""
        return edm.instant_literal(moment, self.protocol)


@dataclass(frozen=True, slots=True)
class Link:
    """A nextLink of the server, as it came.

    A relative one counts from the address of the entity set, and so from the service's as well.
    """

    url: str
    entity_set: str = ""
    format: Format = JSON
    protocol: ODataProtocol = ODataProtocol.V4


@dataclass(frozen=True, slots=True)
class Paging:
    """How pages are asked for.

    Attributes:
        size: New rows asked for in one request; None leaves it to the server.
        count: Ask for `$count` with the first and the last page.
    """

    size: int | None = 2000
    count: bool = True


class Pager(Protocol):
    """Asks for one page after the other until a read is complete."""

    table: Table
    """What is read; may be replaced between two pages by one with fewer columns."""
    done: bool
    """Whether the read is proved to be complete."""
    delivered: int
    """New rows so far."""

    def request(self) -> Query | Link:
        """What to ask for next; the same until an answer is accepted."""
        ...

    def accept(self, page: Page) -> list[Row]:
        """Take the answer; return its rows that were not delivered before.

        Raises:
            InconsistentAnswer: It does not fit the request.
        """
        ...

    def resize(self, size: int) -> None:
        """Ask for so many new rows from now on."""
        ...


class Counting:
    """When to ask for `$count`: with the first page, and with each that should be the last.

    The count of the first page only tells when the end is near: rows that come or go meanwhile
    make it wrong. The end is proved by an answer that reaches its own count and was not cut: a
    server may count at another moment than it reads the rows, so that one that is cut could hold
    as many rows as were counted, but others.
    """

    def __init__(self, paging: Paging) -> None:
        self.size = paging.size
        self._asks = paging.count
        self._expected: int | None = None
        self._cap = 0

    def wanted(self, delivered: int) -> bool:
        """Whether to ask for it with the next page, after so many rows."""
        near = self._expected is None or self.size is None or self._expected - delivered < self.size
        return self._asks and near

    def covers(self, delivered: int) -> bool:
        """Whether so many rows are all that there were at the first page."""
        return self._expected is not None and delivered >= self._expected

    def may_be_cut(self, page: Page, overlap: int = 0) -> bool:
        """Whether it is as long as was asked for, or as an earlier one that was cut to less."""
        rows, cap = len(page.rows), self._cap
        full = self.size is not None and rows >= self.size + overlap
        if not full:
            self._cap = max(rows, cap)
        return full or 0 < cap <= rows

    @property
    def known(self) -> bool:
        """Whether the server counts."""
        return self._expected is not None

    def left(self, delivered: int) -> int | None:
        """How many more there were at the first page; None where the server does not count."""
        return None if self._expected is None else max(self._expected - delivered, 0)

    def expect(self, rows: int) -> None:
        """There are about so many."""
        self._expected = rows

    def learn(self, page: Page) -> None:
        """Take what the first page says."""
        if self._expected is None:
            self._expected = page.count
            self._asks = self._asks and page.count is not None


class Links:
    """The nextLinks that were followed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._followed: set[str] = set()

    def follow(self, link: str) -> Link:
        """The link as the next request.

        Raises:
            InconsistentAnswer: It was followed before.
        """
        if link in self._followed:
            message = (
                f"Acumatica's nextLinks for {self._table.entity_set} lead back to a page that was "
                "read: set client_side_paging to true."
            )
            raise InconsistentAnswer(message)
        self._followed.add(link)
        return Link(link, self._table.entity_set, self._table.format, self._table.protocol)


class KeyPager:
    """Pages by `key gt last`: nothing that comes or goes elsewhere moves the place.

    It cannot go on after a row with a null in its key; `stuck` then says why, and an OffsetPager
    goes on.
    """

    def __init__(self, table: Table, paging: Paging, condition: str = "") -> None:
        self.table = table
        self.paging = paging
        self.condition = condition
        self.done = False
        self.delivered = 0
        self.stuck = ""
        self.place = Place(table)
        self._last: Row | None = None
        self._link: Link | None = None
        self._links = Links(table)
        self._counting = Counting(paging)
        self._with_nulls: set[tuple[Any, ...]] = set()
        self._answers = 0

    @staticmethod
    def suits(table: Table) -> bool:
        """Whether the server's `gt` on every key column is sure to follow its `$orderby`.

        An inquiry shows labels and may sort by codes, and no count would tell.
        """
        ordered = all(table.columns[name].ordered for name in table.key)
        return bool(table.key) and ordered and not table.inquiry

    def request(self) -> Query | Link:
        """What to ask for next."""
        if self._link:
            return self._link
        after = "" if self._last is None else self._after(self._last)
        query = self.table.query(self.condition, after, orderby=self.table.key)
        return replace(query, top=self._counting.size, count=self._counting.wanted(self.delivered))

    def accept(self, page: Page) -> list[Row]:
        """Take the answer; return its rows that were not delivered before."""
        self._answers += 1
        self._counting.learn(page)
        fresh = self.place.fresh(page.rows)
        if not self._link and self.place.knows_any(page.rows):
            raise not_obeyed(self.table, "$filter or $orderby")
        if unordered(page.rows, self.table.key):
            raise not_obeyed(self.table, "$orderby")
        self.delivered += len(fresh)
        if page.rows:
            self.place.move(page.rows)
            self._last = page.rows[-1]
            if any(self._last[name] is None for name in self.table.key):
                self.stuck = "a row has no value in its key"
        linked, self._link = self._link, None
        if page.next_link is None:
            whole = not self._counting.may_be_cut(page)
            self.done = (not page.rows and not linked) or (whole and len(fresh) == page.count)
        elif not page.rows or self._counting.size is None:
            self._link = self._links.follow(page.next_link)
        return fresh

    def resize(self, size: int) -> None:
        """Ask for so many rows from now on."""
        self._counting.size = size

    @property
    def unproved(self) -> bool:
        """Whether the end is only as good as the server's `gt`: it does not count.

        A server may answer a filter on a key that it computes with no rows at all.
        """
        return self.done and self.delivered > 0 and not self._counting.known

    def unseen(self) -> str:
        """The condition of rows that may have been passed over; empty where one answer held all.

        Where the server sorts nulls last, rows with a null in their key come behind a row and are
        not greater than it. That as many rows came as there were at first says nothing of them:
        others may have been added meanwhile.
        """
        whole = self._counting.covers(self.delivered) or not self.delivered
        if self.done and self._answers == 1 and whole:
            return ""
        nulls = " or ".join(f"{name} eq null" for name in self.table.key)
        return all_of(self.condition, f"({nulls})")

    def covers(self, delivered: int) -> bool:
        """Whether so many rows are as many as there were at first, as far as that is known."""
        return not self.done or not self._counting.known or self._counting.covers(delivered)

    def saw(self, rows: list[Row]) -> list[Row]:
        """Take note of these rows, delivered by this pager or by another in its place."""
        for name in self.table.key:
            self._with_nulls.update(self._key(row) for row in rows if row[name] is None)
        return rows

    def passed_over(self, rows: list[Row]) -> list[Row]:
        """Those of the unseen rows that were not seen after all."""
        return [row for row in rows if self._key(row) not in self._with_nulls]

    def _key(self, row: Row) -> tuple[Any, ...]:
        return tuple([row[name] for name in self.table.key])

    def _after(self, row: Row) -> str:
        """Rows behind this one: (A gt a) or (A eq a and B gt b) or ..."""
        literals = [(name, self.table.literal(name, row[name])) for name in self.table.key]
        if len(literals) == 1:
            return "{} gt {}".format(*literals[0])
        steps = []
        for index, (name, literal) in enumerate(literals):
            equal = [f"{n} eq {value}" for n, value in literals[:index]]
            steps.append("(" + all_of(*equal, f"{name} gt {literal}") + ")")
        return "(" + " or ".join(steps) + ")"


def not_obeyed(table: Table, option: str) -> InconsistentAnswer:
    """The error of a server that ignores a query option."""
    return InconsistentAnswer(
        f"Acumatica did not obey {option} for {table.entity_set}, so rows could be lost: set its "
        "replication method to FULL_TABLE in the catalog if it is incremental, else exclude it."
    )
