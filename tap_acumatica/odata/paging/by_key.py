"""The pager of full tables, which requests the rows whose key is greater than the last one."""

from __future__ import annotations

from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.paging.by_offset import OffsetPager, shortfall_check
from tap_acumatica.odata.paging.end_of_read import EndOfRead, Step
from tap_acumatica.odata.paging.known_rows import KnownRows
from tap_acumatica.odata.paging.next_links import NextLinks
from tap_acumatica.odata.paging.pager import Paging, not_obeyed
from tap_acumatica.odata.paging.sort_order import clearly_unsorted, may_tie
from tap_acumatica.odata.query import Link, Query, all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.paging.pager import Pager, Proof
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.table import Table


def rows_from(table: Table, literals: tuple[str, ...]) -> str:
    """Return the filter for the rows behind a key: (A gt a) or (A eq a and B gt b) or ...

    With a text in the key it is for the rows from this one on: the last `gt` is `ge`.
    """
    columns = list(zip(table.key, literals, strict=True))
    operators = ["gt"] * (len(columns) - 1) + ["ge" if table.keys_may_tie else "gt"]
    if len(columns) == 1:
        return f"{columns[0][0]} {operators[0]} {columns[0][1]}"
    alternatives = []
    for index, (name, literal) in enumerate(columns):
        equal = [f"{column} eq {value}" for column, value in columns[:index]]
        after = f"{name} {operators[index]} {literal}"
        alternatives.append("(" + all_of(*equal, after) + ")")
    return "(" + " or ".join(alternatives) + ")"


def rows_not_up_to(table: Table, literals: tuple[str, ...]) -> str:
    """Return the filter for the rows that a read up to a key may not have delivered.

    Rows with a null in their key are not comparable, so they are among these.
    """
    nulls = (f"{name} eq null" for name in table.key)
    return f"({' or '.join([rows_from(table, literals), *nulls])})"


class KeyPager:
    """Pages by `key gt last`: rows inserted or deleted elsewhere do not move the position.

    A collation may hold texts for equal that differ, so keys with a text are compared by `ge`: the
    last row arrives again, at the head of the next page, along with those that tie with it.

    After a row with a null in its key there is nothing to compare with: the pager is done, and an
    OffsetPager continues.
    """

    resizable = True
    announcement = ""
    in_doubt = False
    by_key = True

    def __init__(self, table: Table, paging: Paging, condition: str = "") -> None:
        self.table = table
        self.paging = paging
        self.condition = condition
        self.delivered = 0
        self.known = KnownRows(table)
        self.end = EndOfRead(paging, table.entity_set)
        self.pages = 0
        self.stopped_at_null_key = False
        """Whether the last row has a null in its key."""
        self.passed_over = False
        """Whether `gt` does not follow the order, so that rows may have been passed over."""
        self._key: Callable[[Row], Any] = itemgetter(*table.key)
        self._has_ties = table.keys_may_tie
        self._complete = False
        self._end_proved = False
        self._last: Row | None = None
        self._link: Link | None = None
        self._links = NextLinks(table)
        self._null_keys: set[Any] = set()
        self._follow_ups = self._plan_follow_ups()

    @staticmethod
    def suits(table: Table) -> bool:
        """Whether the server's `gt` surely agrees with its `$orderby` on every key column.

        An inquiry shows labels but may sort by codes, and no count would reveal the difference.
        """
        ordered = all(table.columns[name].ordered for name in table.key)
        return bool(table.key) and ordered and not table.inquiry

    @property
    def done(self) -> bool:
        """Whether this pager has nothing left to request."""
        return self._complete or self.stopped_at_null_key or self.passed_over

    @property
    def place(self) -> tuple[str, ...]:
        """Literals of the last key, unless rows may be missing in front of it."""
        if self._last is None or self.stopped_at_null_key or self.passed_over:
            return ()
        return self.table.key_literals(self._last)

    def request(self) -> Query | Link:
        """Return the next request."""
        if self._link:
            return self._link
        after = (
            "" if self._last is None else rows_from(self.table, self.table.key_literals(self._last))
        )
        query = self.table.query(self.condition, after, orderby=self.table.key)
        overlap = int(self._has_ties and self._last is not None)
        top = None if self.end.size is None else self.end.size + overlap
        return replace(query, top=top, count=self.end.is_count_due(self.delivered))

    def accept(self, page: Page) -> list[Row]:
        """Accept the requested page; return those of its rows that were not delivered before."""
        fresh = self.known.new_rows(page.rows)
        self._check(page.rows)
        self.pages += 1
        again = () if self._link else self.known.among(page.rows)
        self.passed_over = not all(map(self._ties_with_last, again))
        position = len(page.rows) - self.known.repeats(page.rows)
        self.end.learn(page, 0, position)
        self.delivered += len(fresh)
        if fresh:
            self.known.remember(page.rows)
            # A copy, since rows that were handed on are converted in place.
            self._last = {**page.rows[-1]}
            self.stopped_at_null_key = any(self._last[name] is None for name in self.table.key)
        self._link = None
        if page.next_link is None:
            reached = page.count is not None and position >= page.count
            self._complete = reached or not fresh
            self._end_proved = self.pages == 1 and self.end.proved_by_one(page, len(fresh))
        elif not fresh or self.end.size is None:
            self._link = self._links.follow(page.next_link, page.rows)
        return self.remember_nulls(fresh)

    def _check(self, rows: list[Row]) -> None:
        """Refuse rows that the query excludes, or that are out of order."""
        last = None if self._link else self._last
        if last and not self._has_ties and self._key(last) in map(self._key, rows):
            raise not_obeyed(self.table, "$filter", InconsistentAnswer)
        if clearly_unsorted(rows, self.table.key):
            raise not_obeyed(self.table, "$orderby")

    def resize(self, size: int) -> None:
        """Request this number of rows from now on."""
        self.end.resize(size)

    @property
    def proof(self) -> Proof:
        """What has proved the end, unless another pager follows."""
        return self.end.proof(self.delivered)

    def then(self) -> Pager | None:
        """Return the pager for what remains to be read, one after the other."""
        return next(self._follow_ups, None)

    def instead(self, failed: RequestFailed) -> Pager | None:
        """Return a pager that continues by `$skip`, if rows have been delivered."""
        if not self.delivered:
            return None
        return _OffsetContinuation(self, f"is read by $skip from here on: {failed}")

    def remember_nulls(self, rows: list[Row]) -> list[Row]:
        """Remember the delivered rows that have a null in their key; return all rows."""
        for name in self.table.key:
            if None in map(itemgetter(name), rows):
                self._null_keys.update(self._key(row) for row in rows if row[name] is None)
        return rows

    @property
    def nulls(self) -> int:
        """Number of delivered rows that have a null in their key."""
        return len(self._null_keys)

    def not_delivered(self, rows: list[Row]) -> list[Row]:
        """Return the rows, which have a null in their key, that were not delivered before."""
        return [row for row in rows if self._key(row) not in self._null_keys]

    def knows(self, row: Row) -> bool:
        """Whether a row is the last one that was delivered, or has a null in its key and was too.

        Which of them is the last in the server's order depends on where it sorts nulls.
        """
        return self.known.is_last(row) or self._key(row) in self._null_keys

    def _plan_follow_ups(self) -> Iterator[Pager]:
        """Yield the pagers that follow, each once the one before is done."""
        if self.stopped_at_null_key and not self.passed_over:
            yield _OffsetContinuation(
                self, "is read by $skip from here on: a row has a null in its key."
            )
        if self._may_have_passed_over_nulls and not self.passed_over:
            yield _NullKeyPager(self)
        if not self._end_proved and not self.passed_over:
            yield _LookBehind(self)
        if self.passed_over:
            again = OffsetPager(self.table, self.paging, self.condition)
            again.by_key = True  # what it passes over has been delivered
            again.announcement = (
                "is read again by $skip: rows were inserted meanwhile, or $filter and $orderby "
                "compare its key differently."
            )
            yield again
        elif self.end.fell_short(self.delivered):
            yield shortfall_check(self, self.end, self.paging, self.condition)

    @property
    def _may_have_passed_over_nulls(self) -> bool:
        """Whether rows with a null in their key may be missing: one page did not hold all rows.

        If the server sorts nulls last, rows with a null in their key follow other rows without
        being greater.
        """
        return not (self._complete and self.pages == 1)

    def _ties_with_last(self, row: Row) -> bool:
        """Whether a row may arrive again: in some collation its key equals that of the last row."""
        return self._has_ties and may_tie(row, self._last or {}, self.table.key)


class _OffsetContinuation(OffsetPager):
    """Continues by `$skip` behind the last row of a KeyPager."""

    def __init__(self, origin: KeyPager, announcement: str = "") -> None:
        super().__init__(origin.table, origin.paging, origin.condition)
        self.announcement = announcement
        self.delivered = origin.delivered
        self._origin = origin
        self._known = origin.known
        self._end = origin.end
        self._skip_to(origin.delivered)

    @override
    def accept(self, page: Page) -> list[Row]:
        self._delivered_below = self._origin.nulls
        found = super().accept(page)
        rows = self._origin.not_delivered(found)
        # Counted twice, they would make up for rows that are missing.
        self.delivered -= len(found) - len(rows)
        return self._origin.remember_nulls(rows)

    @override
    def then(self) -> Pager | None:
        self._origin.delivered = self.delivered
        return self._origin.then()


class _NullKeyPager(OffsetPager):
    """Reads the rows with a null in their key, and delivers those that a KeyPager passed over."""

    place = None

    def __init__(self, origin: KeyPager) -> None:
        nulls = " or ".join(f"{name} eq null" for name in origin.table.key)
        super().__init__(origin.table, origin.paging, all_of(origin.condition, f"({nulls})"))
        self.by_key = True
        self._origin = origin

    @override
    def accept(self, page: Page) -> list[Row]:
        passed_over = self._origin.not_delivered(super().accept(page))
        self.by_key = self.by_key and not passed_over
        self._origin.delivered += len(passed_over)
        # That there is none needs no proof: the look behind the last row would find it.
        self.done = self.done or not (page.rows or page.count or page.next_link)
        return self._origin.remember_nulls(passed_over)

    @override
    def then(self) -> Pager | None:
        return self._origin.then()


class _LookBehind(_OffsetContinuation):
    """Proves the end of a read by key: its last row stands where the rows before it end, alone.

    If another row stands there, and more rows are counted than were delivered, or none, then `gt`
    has passed over rows, since it does not follow the order of `$orderby`, or rows were inserted
    meanwhile. Which of the two cannot be told, so all rows are read again. Rows behind the last one
    are delivered.
    """

    place = None

    def __init__(self, origin: KeyPager) -> None:
        super().__init__(origin)
        self.by_key = True
        # One answer passes over nothing.
        self._checks_last_row = origin.pages > 1
        # Known rows in a look would count as a shift, not as what was passed over.
        self._end.read_on()
        counts = self._checks_last_row and self._end.proved
        self._end.step = Step.READ if counts else Step.LOOK

    @override
    def accept(self, page: Page) -> list[Row]:
        if self._checks_last_row and self._end.step is Step.READ:
            self._checks_last_row = False
            # If rows that were delivered stand behind it, it is not the last one.
            is_last = not self._known.overlaps(page.rows[1:])
            if page.rows and is_last and self._origin.knows(page.rows[0]):
                self._known.remember(page.rows[:1])
            elif page.rows and not self._end.counts_no_more(page, self.delivered):
                self._origin.passed_over = self.done = True
                return []
        return super().accept(page)
