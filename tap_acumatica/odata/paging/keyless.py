"""The pagers of full reads in which no key tells the rows apart.

The order then leaves ties, and the server may sort these in another way for each request. So a page
ends only where the order does not tie, and ties are taken from one answer. An inquiry that fits
into one answer is read in one, as it was at one moment; a larger one is read twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec
from typing_extensions import override

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.paging.next_links import NextLinks
from tap_acumatica.odata.paging.pager import Proof, ProvedBy
from tap_acumatica.odata.paging.sort_order import without_style

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.paging.pager import Pager, Paging
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link, Query
    from tap_acumatica.odata.table import Table

MAX_ROWS: Final = 50_000
"""Maximum number of rows that are requested in one answer."""

MAX_BYTES: Final = 16 * 2**20
"""Maximum size of the rows that are requested in one answer, in bytes of JSON."""

MAX_READS: Final = 6
"""How often a table is read, whole or in pages, until the rows are proved to be complete."""


@dataclass(frozen=True, slots=True)
class Content:
    """What rows contain, in any order: their number, size in bytes, and the sum of their hashes."""

    rows: int = 0
    size: int = 0
    hashes: int = 0

    def with_rows(self, rows: Iterable[Row]) -> Content:
        """Return the content with more rows."""
        number, size, hashes = self.rows, self.size, self.hashes
        for row in rows:
            encoded = msgspec.json.encode(row, order="deterministic")
            number += 1
            size += len(encoded)
            hashes += int.from_bytes(blake2b(encoded, digest_size=16).digest())
        return Content(number, size, hashes % 2**128)


class _Requests(ABC):
    """Requests by `$skip`, and the size of their answers."""

    resizable = True
    announcement = ""
    in_doubt = False
    by_key = True  # what is not the same in two reads fails
    place = ()

    def __init__(self, table: Table, paging: Paging, condition: str = "") -> None:
        self.table = table
        self.done = False
        self.delivered = 0
        self._paging = paging
        self._condition = condition
        self._size = self._top = paging.size
        self._may_grow = True
        self._links = NextLinks(table)
        self._link: Link | None = None
        self._before_link: list[Row] = []

    def request(self) -> Query | Link:
        """Return the next request."""
        return self._link or self._query()

    def accept(self, page: Page) -> list[Row]:
        """Accept the requested page; return the rows that are to be delivered."""
        rows = self._before_link + page.rows
        if page.next_link is not None and len(rows) <= self._overlap:
            self._link, self._before_link = self._links.follow(page.next_link, page.rows), rows
            return []
        self._link, self._before_link = None, []
        # The same request, asked again later, may lead to the same link.
        self._links = NextLinks(self.table)
        taken = self._take(rows)
        self.delivered += len(taken)
        return taken

    def resize(self, size: int) -> None:
        """Request this number of new rows from now on; after a timeout, never more."""
        grown = self._top != self._size
        grows = self._size is not None and (size > self._size or (size == self._size and not grown))
        self._may_grow = self._may_grow and grows
        if not (grows and grown):
            self._top = size
        self._size = size

    @property
    def proof(self) -> Proof:
        """An answer behind the end; such tables are not counted."""
        return Proof(ProvedBy.ANSWER_BEHIND, None, self.delivered)

    @abstractmethod
    def then(self) -> Pager | None:
        """Return the pager for what remains to be read."""

    def instead(self, failed: RequestFailed) -> Pager | None:  # noqa: ARG002 - of the protocol
        """Return None: there is no plainer request."""
        return None

    @property
    @abstractmethod
    def _overlap(self) -> int:
        """Number of known rows with which the next answer begins."""

    @abstractmethod
    def _query(self) -> Query: ...

    @abstractmethod
    def _take(self, rows: list[Row]) -> list[Row]: ...

    def _rows_from(self, skip: int, top: int | None) -> Query:
        query = self.table.query(self._condition, orderby=self.table.order)
        return replace(query, skip=skip, top=top)

    def _row_behind(self, read: int) -> Query:
        """Return the query for the row behind so many rows, which has to be as small as can be.

        A row that is too large for an answer would look like the end.
        """
        query = self.table.narrow().query(self._condition, orderby=self.table.order)
        return replace(query, skip=read, top=None if self._size is None else 1)

    def _grow(self, rows: list[Row]) -> bool:
        """Whether more rows may be requested in one answer than these, which fill it."""
        if self._top is None or len(rows) < self._top or not self._may_grow:
            return False
        fitting = min(MAX_ROWS, MAX_BYTES * len(rows) // Content().with_rows(rows).size)
        grows = fitting > self._top
        self._top = max(fitting, self._top)
        return grows

    def _rank(self, row: Row) -> tuple[Any, ...]:
        """Return what rows have in common if the order may tie."""
        return tuple([without_style(row.get(name)) for name in self.table.order])

    def _last_border(self, rows: list[Row]) -> int:
        """Return the number of rows in front of those that may tie with the last one."""
        border = len(rows)
        while border and self._rank(rows[border - 1]) == self._rank(rows[-1]):
            border -= 1
        return border

    def _unproved(self) -> InconsistentAnswer:
        return InconsistentAnswer(
            f"{self.table.entity_set} was different each time it was read, so rows may have been "
            "passed over: read it at a quieter time, deselect columns that change by themselves, "
            "or give it a key, in the catalog or, for an inquiry, in inquiry_keys."
        )


class KeylessPager(_Requests):
    """Reads all rows in one answer, or has them read in pages if they do not fit.

    The answer is whole if nothing stands behind its last row, and if its end comes again
    afterwards: otherwise rows in front of the end may have gone in between, and others taken their
    places. Where the server decides on pages, its links are followed instead.
    """

    def __init__(self, table: Table, paging: Paging, condition: str = "") -> None:
        super().__init__(table, paging, condition)
        self._rows: list[Row] | None = None
        self._nothing_behind = False
        self._border = 0
        self._linked = 0
        """Number of rows that came with links, and are not kept."""
        self._reads = 0
        self._whole = False

    @staticmethod
    def suits(_: Table) -> bool:
        """Whether a table can be read in this way: any table can."""
        return True

    @override
    def accept(self, page: Page) -> list[Row]:
        if self._size is not None or page.next_link is None or self._rows is not None:
            return super().accept(page)
        self._link = self._links.follow(page.next_link, page.rows)
        self.delivered += len(page.rows)
        return self._deliver_linked(page.rows)

    @override
    def resize(self, size: int) -> None:
        super().resize(size)
        # The end can be too much for one answer, too.
        self.done = self.done or (self._nothing_behind and not self._may_grow)

    @override
    def then(self) -> Pager | None:
        if self._whole:
            return None
        paging = replace(self._paging, size=self._size)
        return _PagedRead(self.table, paging, self._condition, _Agreement())

    @property
    @override
    def _overlap(self) -> int:
        return len(self._rows or ()) - self._skip if self._nothing_behind else 0

    @property
    def _skip(self) -> int:
        """Where the end begins: one row in front of those that may tie with the last one."""
        return max(self._border - 1, 0)

    @override
    def _query(self) -> Query:
        if self._rows is None:
            return self._rows_from(0, self._top)
        if not self._nothing_behind:
            return self._row_behind(self._linked + len(self._rows))
        top = None if self._size is None else self._overlap + 1
        return self._rows_from(self._skip, top)

    @override
    def _take(self, rows: list[Row]) -> list[Row]:
        if self._rows is None and self._linked:
            self._rows = []
            return self._deliver_linked(rows)
        if self._rows is None:
            self._take_first(rows)
        elif not self._nothing_behind:
            self._nothing_behind = not rows
            self._whole = not rows and not self._rows
            self.done = self._whole or bool(rows)
        elif self._ends_with(rows):
            self._whole = self.done = True
            return self._rows
        else:
            self._rows, self._nothing_behind = None, False
        return []

    def _take_first(self, rows: list[Row]) -> None:
        if self._grow(rows):
            return
        if self._top is not None and len(rows) >= self._top:
            self.done = True
            return
        self._reads += 1
        if self._reads > MAX_READS:
            raise self._unproved()
        self._rows = rows
        self._border = self._last_border(rows)

    def _deliver_linked(self, rows: list[Row]) -> list[Row]:
        self._linked += len(rows)
        return rows

    def _ends_with(self, rows: list[Row]) -> bool:
        """Whether the answer ends with these rows, in any order among those that tie."""
        end = (self._rows or [])[self._skip :]
        if self._border:
            if not rows or self._rank(rows[0]) != self._rank(end[0]):
                return False
            rows, end = rows[1:], end[1:]
        return Content().with_rows(rows) == Content().with_rows(end)


class _Agreement:
    """What two reads in a row have to agree in, one of which delivers its rows."""

    def __init__(self) -> None:
        self.reads = 0
        """Number of reads that have begun."""
        self.reached = False
        self.missing: int | None = None
        """Place of a row that did not come in the last read that was given up for it."""
        self._last: Content | None = None
        self._last_delivered = False

    @property
    def needs_delivery(self) -> bool:
        """Whether the rows of the next read are to be delivered."""
        return not self._last_delivered

    def add(self, content: Content, *, delivered: bool) -> None:
        """Compare a complete read with the one before."""
        self.reached = content == self._last
        self._last, self._last_delivered = content, delivered


class _PagedRead(_Requests):
    """Reads all rows in pages, each of which begins with the last row of the one before.

    A page ends in front of its last rows that may tie, since more such rows may follow. If another
    row comes first, the table has shifted, and the read is given up.
    """

    def __init__(self, table: Table, paging: Paging, condition: str, agreement: _Agreement) -> None:
        super().__init__(table, paging, condition)
        self._agreement = agreement
        self._delivers = agreement.needs_delivery
        agreement.reads += 1
        if self._delivers and agreement.reads > 1:
            self.announcement = (
                "is read again, and rows may arrive twice, since it changed while it was read."
            )
        # Two reads in a row have different page borders.
        self._halves_first_page = agreement.reads % 2 == 0
        self._read = 0
        self._content = Content()
        self._last_rank: tuple[Any, ...] = ()
        self._ties: list[Row] = []
        self._probes_end = False
        self._asks_behind = False

    @property
    @override
    def proof(self) -> Proof:
        return Proof(ProvedBy.TWO_READS, None, self._content.rows)

    @override
    def then(self) -> Pager | None:
        if self._agreement.reached:
            return None
        paging = replace(self._paging, size=self._size)
        return _PagedRead(self.table, paging, self._condition, self._agreement)

    @property
    @override
    def _overlap(self) -> int:
        return 0 if self._probes_end or self._asks_behind else min(self._read, 1)

    @override
    def _query(self) -> Query:
        behind = self._read + len(self._ties)
        if self._probes_end:
            return self._row_behind(behind)
        if self._asks_behind:
            return self._rows_from(behind, self._size)
        top = None if self._top is None else self._top + self._overlap
        return self._rows_from(self._read - self._overlap, top)

    @override
    def _take(self, rows: list[Row]) -> list[Row]:
        if self._probes_end:
            return self._take_probe(rows)
        if self._asks_behind:
            return self._take_behind(rows)
        if self._overlap:
            if not rows or self._rank(rows[0]) != self._last_rank:
                return self._finish()
            rows = rows[1:]
        return self._take_page(rows)

    def _take_page(self, rows: list[Row]) -> list[Row]:
        border = self._last_border(rows)
        if self._halves_first_page and not self._read:
            border = self._last_border(rows[: len(rows) // 2 + 1]) or border
        if border:
            return self._advance(rows[:border])
        if not self._grow(rows):
            self._ties, self._probes_end = rows, True
        return []

    def _take_probe(self, rows: list[Row]) -> list[Row]:
        self._probes_end = False
        if rows:
            self._asks_behind = True
            return []
        taken = self._advance(self._ties)
        self._agreement.add(self._content, delivered=self._delivers)
        self._finish()
        return taken

    def _take_behind(self, rows: list[Row]) -> list[Row]:
        """Take rows that existed a moment ago, but did not come with the page before them."""
        self._asks_behind = False
        if not rows:
            missing = self._read + len(self._ties)
            if self._agreement.missing != missing:
                self._agreement.missing = missing
                return self._finish()
            message = (
                f"Acumatica sends no row of {self.table.entity_set} behind the first {missing}, "
                "although there is one: it may be too large for a response, so deselect large "
                "columns."
            )
            raise InconsistentAnswer(message)
        if not self._ties:
            return self._take_page(rows)
        if self._rank(rows[0]) == self._rank(self._ties[-1]):
            message = (
                f"More rows of {self.table.entity_set} have the same place in the order than the "
                "server sends in one response, and no key tells them apart: give it a key, in the "
                "catalog or, for an inquiry, in inquiry_keys."
            )
            raise InconsistentAnswer(message)
        return self._advance(self._ties)

    def _advance(self, rows: list[Row]) -> list[Row]:
        self._read += len(rows)
        self._content = self._content.with_rows(rows)
        if rows:
            self._last_rank = self._rank(rows[-1])
        self._ties = []
        self._top = self._size
        return rows if self._delivers else []

    def _finish(self) -> list[Row]:
        """End this read, complete or given up."""
        self.done = True
        if not self._agreement.reached and self._agreement.reads >= MAX_READS:
            raise self._unproved()
        return []
