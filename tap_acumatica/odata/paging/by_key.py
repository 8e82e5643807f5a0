"""The pager of full tables, which requests the rows whose key is greater than the last one."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_acumatica.odata.paging.by_offset import OffsetPager
from tap_acumatica.odata.paging.counting import ExpectedCount, NextLinks
from tap_acumatica.odata.paging.known_rows import KnownRows
from tap_acumatica.odata.paging.pager import Paging, not_obeyed
from tap_acumatica.odata.paging.sort_order import clearly_unsorted
from tap_acumatica.odata.query import Link, Query, all_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.paging.pager import Pager
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.table import Table


class KeyPager:
    """Pages by `key gt last`: rows inserted or deleted elsewhere do not move the position.

    After a row with a null in its key there is nothing to compare with: the pager is done, and an
    OffsetPager continues.
    """

    resizable = True
    announcement = ""

    def __init__(self, table: Table, paging: Paging, condition: str = "") -> None:
        self.table = table
        self.paging = paging
        self.condition = condition
        self.delivered = 0
        self.known = KnownRows(table)
        self.stopped_at_null_key = False
        """Whether the last row has a null in its key."""
        self._complete = False
        self._last: Row | None = None
        self._link: Link | None = None
        self._links = NextLinks(table)
        self._counting = ExpectedCount(paging)
        self._null_keys: set[tuple[Any, ...]] = set()
        self._pages = 0
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
        return self._complete or self.stopped_at_null_key

    def request(self) -> Query | Link:
        """Return the next request."""
        if self._link:
            return self._link
        after = "" if self._last is None else self._condition_after(self._last)
        query = self.table.query(self.condition, after, orderby=self.table.key)
        return replace(query, top=self._counting.size, count=self._counting.is_due(self.delivered))

    def accept(self, page: Page) -> list[Row]:
        """Accept the requested page; return those of its rows that were not delivered before."""
        self._pages += 1
        self._counting.learn(page)
        fresh = self.known.new_rows(page.rows)
        if not self._link and self.known.overlaps(page.rows):
            raise not_obeyed(self.table, "$filter or $orderby")
        if clearly_unsorted(page.rows, self.table.key):
            raise not_obeyed(self.table, "$orderby")
        self.delivered += len(fresh)
        if page.rows:
            self.known.remember(page.rows)
            self._last = page.rows[-1]
            self.stopped_at_null_key = any(self._last[name] is None for name in self.table.key)
        linked, self._link = self._link, None
        if page.next_link is None:
            whole = not self._counting.may_be_cut(page)
            self._complete = (not page.rows and not linked) or (whole and len(fresh) == page.count)
        elif not page.rows or self._counting.size is None:
            self._link = self._links.follow(page.next_link)
        return self.remember_nulls(fresh)

    def resize(self, size: int) -> None:
        """Request this number of rows from now on."""
        self._counting.size = size

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
            self._null_keys.update(self._key(row) for row in rows if row[name] is None)
        return rows

    def not_delivered(self, rows: list[Row]) -> list[Row]:
        """Return the rows, which have a null in their key, that were not delivered before."""
        return [row for row in rows if self._key(row) not in self._null_keys]

    def _plan_follow_ups(self) -> Iterator[Pager]:
        """Yield the pagers that follow, each once the one before is done."""
        if self.stopped_at_null_key:
            yield _OffsetContinuation(
                self, "is read by $skip from here on: a row has a null in its key."
            )
        elif self._end_unproved:
            yield _OffsetContinuation(self)
        if self._may_have_passed_over_rows:
            yield _NullKeyPager(self)
        if self._fell_short:
            yield _Recount(self)

    @property
    def _end_unproved(self) -> bool:
        """Whether only the server's `gt` says that this is the end, since it does not count.

        A server may answer a filter on a computed key with no rows at all.
        """
        return self._complete and self.delivered > 0 and not self._counting.known

    @property
    def _may_have_passed_over_rows(self) -> bool:
        """Whether rows with a null in their key may be missing: one page did not hold all rows.

        If the server sorts nulls last, rows with a null in their key follow other rows without
        being greater. The number of delivered rows proves nothing about them, even if it is the
        one first counted, since other rows may have been added meanwhile.
        """
        whole = self._counting.covers(self.delivered) or not self.delivered
        return not (self._complete and self._pages == 1 and whole)

    @property
    def _fell_short(self) -> bool:
        """Whether fewer rows arrived than were counted with the first page."""
        known = self._complete and self._counting.known
        return known and not self._counting.covers(self.delivered)

    def _key(self, row: Row) -> tuple[Any, ...]:
        return tuple([row[name] for name in self.table.key])

    def _condition_after(self, row: Row) -> str:
        """Return the filter for the rows after this one: (A gt a) or (A eq a and B gt b) or ..."""
        literals = [(name, self.table.literal(name, row[name])) for name in self.table.key]
        if len(literals) == 1:
            return "{} gt {}".format(*literals[0])
        alternatives = []
        for index, (name, literal) in enumerate(literals):
            equal = [f"{column} eq {value}" for column, value in literals[:index]]
            alternatives.append("(" + all_of(*equal, f"{name} gt {literal}") + ")")
        return "(" + " or ".join(alternatives) + ")"


class _OffsetContinuation(OffsetPager):
    """Continues by `$skip` behind the last row of a KeyPager."""

    def __init__(self, origin: KeyPager, announcement: str = "") -> None:
        super().__init__(origin.table, origin.paging, origin.condition)
        self.announcement = announcement
        self.delivered = origin.delivered
        self._origin = origin
        self._known = origin.known
        self._skip_to(origin.delivered)

    @override
    def accept(self, page: Page) -> list[Row]:
        return self._origin.remember_nulls(super().accept(page))

    @override
    def then(self) -> Pager | None:
        return self._origin.then()


class _NullKeyPager(OffsetPager):
    """Reads the rows with a null in their key, and delivers those that a KeyPager passed over."""

    def __init__(self, origin: KeyPager) -> None:
        nulls = " or ".join(f"{name} eq null" for name in origin.table.key)
        super().__init__(origin.table, origin.paging, all_of(origin.condition, f"({nulls})"))
        self._origin = origin

    @override
    def accept(self, page: Page) -> list[Row]:
        passed_over = self._origin.not_delivered(super().accept(page))
        self._origin.delivered += len(passed_over)
        return passed_over

    @override
    def then(self) -> Pager | None:
        return self._origin.then()


class _Recount:
    """Counts once more, and has all rows read again by `$skip` if there are more than delivered.

    Rows may have been deleted and others inserted behind the position; or the server does not sort
    as requested.
    """

    resizable = False
    announcement = ""

    def __init__(self, origin: KeyPager) -> None:
        self.table = origin.table
        self.done = False
        self.delivered = 0
        self._origin = origin
        self._count = 0

    def request(self) -> Query:
        """Return the query for the count; the one row in its response is not delivered."""
        query = self.table.query(self._origin.condition, orderby=self.table.key)
        return replace(query, top=1, count=True)

    def accept(self, page: Page) -> list[Row]:
        """Take the count; deliver no row."""
        self._count = page.count or 0
        self.done = True
        return []

    def resize(self, size: int) -> None:
        """Do nothing: one row is the minimum."""

    def then(self) -> Pager | None:
        """Return a pager for all rows if fewer were delivered than counted, else None."""
        delivered = self._origin.delivered
        if self._count <= delivered:
            return None
        reread = OffsetPager(self.table, self._origin.paging, self._origin.condition)
        reread.announcement = (
            f"is read again: {delivered} rows were delivered, but the server counts {self._count}."
        )
        return reread

    def instead(self, failed: RequestFailed) -> Pager | None:  # noqa: ARG002 - of the protocol
        """Return None: there is no other way to count."""
        return None
