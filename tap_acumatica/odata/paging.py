"""The pagers: pages in, new rows and the next request out. No network and no clock.

A table changes while it is read, the server may send fewer rows than it was asked for without a
word, and it may display an instant up to a second off the one that it filters and sorts by. The
rules that lose no row under these conditions are in docs/reliability.md; here is how they are kept.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from typing_extensions import override

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.instants import DISPLAY_ERROR
from tap_acumatica.odata.place import Place
from tap_acumatica.odata.query import Query, all_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.payload import Page, Row

STEPS_BACK: Final = 8
"""Steps back in search of the place before a read starts over."""

STARTS: Final = 100
"""Times that a read starts over before giving up."""

MOST_TIES: Final = 50_000
"""Rows within a second that are read in one request where no key tells them apart."""


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

    def query(self, *conditions: str, orderby: tuple[str, ...] = ()) -> Query:
        """A query for the columns of the rows that fit all conditions."""
        select = tuple(self.columns) if self.select else ()
        return Query(self.entity_set, select, all_of(*conditions), orderby)


@dataclass(frozen=True, slots=True)
class Link:
    """A nextLink of the server, as it came.

    A relative one counts from the address of the entity set, and so from the service's as well.
    """

    url: str
    entity_set: str = ""


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


class _Counting:
    """When to ask for `$count`: with the first page, and with each that should be the last.

    The count of the first page only tells when the end is near: rows that come or go meanwhile
    make it wrong. The end is proved by an answer that reaches its own count.
    """

    def __init__(self, paging: Paging) -> None:
        self.size = paging.size
        self._asks = paging.count
        self._expected: int | None = None

    def wanted(self, delivered: int) -> bool:
        near = (
            self._expected is None or self.size is None or self._expected - delivered <= self.size
        )
        return self._asks and near

    def learn(self, page: Page) -> None:
        if self._expected is None:
            self._expected = page.count
            self._asks = self._asks and page.count is not None


class _Links:
    """The nextLinks that were followed."""

    def __init__(self, entity_set: str) -> None:
        self._entity_set = entity_set
        self._followed: set[str] = set()

    def follow(self, link: str) -> Link:
        if link in self._followed:
            message = (
                f"Acumatica's nextLinks for {self._entity_set} lead back to a page that was read: "
                "set client_side_paging to true."
            )
            raise InconsistentAnswer(message)
        self._followed.add(link)
        return Link(link, self._entity_set)


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
        self.place = Place(table.key, table.replication_key)
        self._last: Row | None = None
        self._link: Link | None = None
        self._links = _Links(table.entity_set)
        self._counting = _Counting(paging)

    @staticmethod
    def suits(table: Table) -> bool:
        """Whether the server's `gt` on every key column is sure to follow its `$orderby`."""
        return bool(table.key) and all(table.columns[name].ordered for name in table.key)

    def request(self) -> Query | Link:
        """What to ask for next."""
        if self._link:
            return self._link
        after = "" if self._last is None else self._after(self._last)
        query = self.table.query(self.condition, after, orderby=self.table.key)
        return replace(query, top=self._counting.size, count=self._counting.wanted(self.delivered))

    def accept(self, page: Page) -> list[Row]:
        """Take the answer; return its rows that were not delivered before."""
        self._counting.learn(page)
        fresh = self.place.fresh(page.rows)
        if not self._link and any(map(self.place.knows, page.rows)):
            raise _not_obeyed(self.table, "$filter or $orderby")
        self.delivered += len(fresh)
        if page.rows:
            self.place.move(page.rows)
            self._last = page.rows[-1]
            if any(self._last[name] is None for name in self.table.key):
                self.stuck = "a row has no value in its key"
        linked, self._link = self._link, None
        if page.next_link is None:
            self.done = (not page.rows and not linked) or len(fresh) == page.count
        elif not page.rows or self._counting.size is None:
            self._link = self._links.follow(page.next_link)
        return fresh

    def resize(self, size: int) -> None:
        """Ask for so many rows from now on."""
        self._counting.size = size

    def _after(self, row: Row) -> str:
        """Rows behind this one: (A gt a) or (A eq a and B gt b) or ..."""
        literals = [(name, self.table.columns[name].literal(row[name])) for name in self.table.key]
        if len(literals) == 1:
            return "{} gt {}".format(*literals[0])
        steps = []
        for index, (name, literal) in enumerate(literals):
            equal = [f"{n} eq {value}" for n, value in literals[:index]]
            steps.append("(" + all_of(*equal, f"{name} gt {literal}") + ")")
        return "(" + " or ".join(steps) + ")"


class OffsetPager:
    """Pages by `$skip`, each overlapping the one before by a row, so that a shift shows.

    The overlap is the place to go on from. Where it is not in the answer, rows before it have
    come or gone: the pager steps back by half a page until it finds the place again, or starts
    over. Rows that come twice in this way are delivered twice, never dropped.
    """

    def __init__(self, table: Table, paging: Paging, condition: str = "") -> None:
        self.table = table
        self.done = False
        self.delivered = 0
        self._condition = condition
        self._place = Place(table.key, table.replication_key)
        self._counting = _Counting(paging)
        self._skip = 0
        self._overlap = 0
        self._steps = 0
        self._starts = 0
        self._link: Link | None = None
        self._links = _Links(table.entity_set)

    @classmethod
    def after(cls, pager: KeyPager) -> OffsetPager:
        """A pager that goes on where a key pager cannot."""
        successor = cls(pager.table, pager.paging, pager.condition)
        successor.delivered = pager.delivered
        successor._place = pager.place
        successor._set_out(pager.delivered)
        return successor

    def request(self) -> Query | Link:
        """What to ask for next."""
        if self._link:
            return self._link
        query = self.table.query(*self._conditions(), orderby=self._order())
        size = self._counting.size
        return replace(
            query,
            top=None if size is None else size + self._overlap,
            skip=self._skip,
            count=self._counting.wanted(self.delivered),
        )

    def accept(self, page: Page) -> list[Row]:
        """Take the answer; return its rows that were not delivered before."""
        self._check(page.rows)
        self._counting.learn(page)
        skipped = self._skip > 0 and self._link is None
        if self.table.key or self._overlap:
            fresh = self._place.fresh(page.rows, in_sequence=skipped)
        else:
            fresh = page.rows
        if skipped and len(fresh) == len(page.rows):
            self._step_back(page.rows)
            return []
        self._steps = 0
        self.delivered += len(fresh)
        self._go_on(page, fresh)
        return fresh

    def resize(self, size: int) -> None:
        """Ask for so many new rows from now on."""
        self._counting.size = size
        if self._overlap > size and self.table.key:
            self._set_out(self._skip + self._overlap)

    def _conditions(self) -> Iterable[str]:
        return (self._condition,)

    def _order(self) -> tuple[str, ...]:
        return self.table.key or self.table.order

    def _check(self, rows: list[Row]) -> None:
        """Refuse rows that the query excludes, or that are out of order."""

    def _step_back(self, rows: list[Row]) -> None:
        self._steps += 1
        if self._steps > STEPS_BACK:
            self._start_over()
        else:
            half_a_page = max((len(rows) or self._place.size) // 2, 1)
            self._skip = max(self._skip - half_a_page, 0)

    def _start_over(self) -> None:
        self._starts += 1
        if self._starts > STARTS:
            message = (
                f"{self.table.entity_set} shifts faster than it can be read, or the server ignores "
                "$orderby or $skip for it: read it at a quieter time, or with a larger page_size."
            )
            raise InconsistentAnswer(message)
        self._place.forget()
        self._skip = self._overlap = self._steps = 0

    def _go_on(self, page: Page, fresh: list[Row]) -> None:
        distinct = len(page.rows) - self._place.repeats(page.rows)
        self.done = not page.next_link and (
            self._skip + distinct == page.count or self._at_end(page.rows, fresh)
        )
        read = self._skip + len(page.rows)
        if fresh:
            self._place.move(page.rows)
        elif page.rows:
            self._place.last = self._place.identity(page.rows[-1])
        self._link = None
        if page.next_link is not None and self._follows(page):
            self._link = self._links.follow(page.next_link)
            self._skip, self._overlap = read, 0
        elif not self.done:
            self._move(page.rows, read)

    def _at_end(self, rows: list[Row], fresh: list[Row]) -> bool:
        """Whether a request that went on from the last row read brought no further one."""
        if not rows:
            return self._skip == 0
        return not fresh and self._place.identity(rows[-1]) == self._place.last

    def _follows(self, page: Page) -> bool:  # noqa: ARG002 - for subclasses
        """Whether to go on with the server's nextLink."""
        return True

    def _move(self, rows: list[Row], read: int) -> None:  # noqa: ARG002 - for subclasses
        """Set out for the rows behind the first `read` ones; `rows` are the last of them."""
        self._set_out(read)

    def _set_out(self, read: int) -> None:
        self._skip = max(read - 1, 0)
        self._overlap = min(read, 1)


@dataclass(frozen=True, slots=True)
class Window:
    """From `low` (inclusive; None: from the beginning) to `high` (exclusive)."""

    low: datetime | None
    high: datetime


class CursorPager(OffsetPager):
    """Pages through a window of the replication key, in its order.

    The base, at first the window's lower bound, follows the rows: as soon as a page reaches below
    one second before its last row, and at most half of it lies within that second, the next
    request starts there and skips nothing. Within a crowded second it skips like its parent, but
    only where the order ends in a key; else the second is read in one request.
    """

    def __init__(
        self, table: Table, paging: Paging, window: Window, instants: InstantReader
    ) -> None:
        super().__init__(table, paging)
        self._replication_key = table.replication_key or ""
        self._window = window
        self._instants = instants
        self._base = window.low
        self._follows_links = paging.size is None
        self._whole_second = False

    @override
    def _conditions(self) -> Iterable[str]:
        if self._base:
            yield f"{self._replication_key} ge {edm.instant_literal(self._base)}"
        yield f"{self._replication_key} lt {edm.instant_literal(self._window.high)}"

    @override
    def _order(self) -> tuple[str, ...]:
        return (
            self._replication_key,
            *(name for name in super()._order() if name != self._replication_key),
        )

    @override
    def _check(self, rows: list[Row]) -> None:
        low = self._base - DISPLAY_ERROR if self._base else None
        high = self._window.high + DISPLAY_ERROR
        before = None
        for row in rows:
            value = row.get(self._replication_key)
            if value is None:
                raise _not_obeyed(self.table, "$filter")
            if not self._instants.certain(value):
                continue
            instant = self._instants.read(value)
            if instant >= high or (low and instant < low):
                raise _not_obeyed(self.table, "$filter")
            if before and instant < before:
                raise _not_obeyed(self.table, "$orderby")
            before = instant

    @override
    def _follows(self, page: Page) -> bool:
        return self._follows_links or not page.rows

    @override
    def _go_on(self, page: Page, fresh: list[Row]) -> None:
        if self._whole_second and self._skip and fresh:
            message = (
                f"More rows of {self.table.entity_set} were changed within one second than the "
                "server sends in one answer, and no key tells them apart: name columns that do in "
                "inquiry_keys."
            )
            raise InconsistentAnswer(message)
        super()._go_on(page, fresh)

    @override
    def _at_end(self, rows: list[Row], fresh: list[Row]) -> bool:
        may_be_capped = self._whole_second and not self._skip and bool(rows)
        return not may_be_capped and super()._at_end(rows, fresh)

    @override
    def _step_back(self, rows: list[Row]) -> None:
        if self._whole_second:
            self._skip, self._overlap = 0, self._place.size
        else:
            super()._step_back(rows)

    @override
    def _move(self, rows: list[Row], read: int) -> None:
        base = self._base_after(rows)
        if base:
            self._base = base
            self._whole_second = False
            self._skip = 0
            self._overlap = self._at_or_above(rows, base)
        elif self.table.key or not read:
            self._set_out(read)
        else:
            self._read_whole_second(read)

    def _base_after(self, rows: list[Row]) -> datetime | None:
        """One second before the last row, if these rows, the last read, show all since then."""
        if not rows or not all(
            self._instants.certain(row[self._replication_key]) for row in (rows[0], rows[-1])
        ):
            return None
        base = self._instant(rows[-1]) - DISPLAY_ERROR
        if self._instant(rows[0]) >= base:
            return None
        crowded = self._at_or_above(rows, base) * 2 > len(rows)
        return None if crowded and self.table.key else base

    def _read_whole_second(self, read: int) -> None:
        """Ask for all rows of the base again and more; once none is new, look behind the last."""
        if read > MOST_TIES or (self._whole_second and read == self._overlap):
            self._set_out(read)
        else:
            self._skip, self._overlap = 0, read
        self._whole_second = True

    def _at_or_above(self, rows: list[Row], base: datetime) -> int:
        return len(rows) - bisect_left(rows, base, key=self._instant)

    def _instant(self, row: Row) -> datetime:
        return self._instants.read(row[self._replication_key])


def _not_obeyed(table: Table, option: str) -> InconsistentAnswer:
    return InconsistentAnswer(
        f"Acumatica did not obey {option} for {table.entity_set}, so rows could be lost: read the "
        "entity in full (replication method FULL_TABLE in the catalog), or exclude it."
    )
