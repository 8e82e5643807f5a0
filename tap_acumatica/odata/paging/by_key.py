"""The pagers: pages in, new rows and the next request out. No network and no clock.

A table changes while it is read, the server may send fewer rows than it was asked for without a
word, and it may display an instant up to a second off the one that it filters and sorts by. The
rules that lose no row under these conditions are in docs/reliability.md; here is how they are kept.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tap_acumatica.odata.paging.counting import ExpectedCount, NextLinks
from tap_acumatica.odata.paging.known_rows import KnownRows
from tap_acumatica.odata.paging.pager import Paging, not_obeyed
from tap_acumatica.odata.paging.sort_order import clearly_unsorted
from tap_acumatica.odata.query import Link, Query, all_of

if TYPE_CHECKING:
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.table import Table


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
        self.stopped_at_null_key = ""
        self.known = KnownRows(table)
        self._last: Row | None = None
        self._link: Link | None = None
        self._links = NextLinks(table)
        self._counting = ExpectedCount(paging)
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
        fresh = self.known.new_rows(page.rows)
        if not self._link and self.known.overlaps(page.rows):
            raise not_obeyed(self.table, "$filter or $orderby")
        if clearly_unsorted(page.rows, self.table.key):
            raise not_obeyed(self.table, "$orderby")
        self.delivered += len(fresh)
        if page.rows:
            self.known.remember(page.rows)
            self._last = page.rows[-1]
            if any(self._last[name] is None for name in self.table.key):
                self.stopped_at_null_key = "a row has no value in its key"
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
    def end_unproved(self) -> bool:
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
