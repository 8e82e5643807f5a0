"""Whether the streams of one tenant can be read, and what its service can do."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.errors import Action, RequestFailed
from tap_acumatica.odata.paging.by_key import KeyPager
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.payload.decoders import decoder_for
from tap_acumatica.odata.query import Query, all_of
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import Checkpoint, IncrementalStart, PageRead
from tap_acumatica.reading.reader import EntityReader

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tap_acumatica.odata.clock import ClockCheck
    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link
    from tap_acumatica.odata.service import Service
    from tap_acumatica.odata.table import Table
    from tap_acumatica.reading.model import ReadSettings

RESOLUTION: Final = timedelta(seconds=1)
"""Date headers tell whole seconds."""

FEW: Final = 5
"""Rows of a page when paging itself is tried."""

ROWS: Final = 50
"""Rows of a page when a stream is tried: enough to see whether they are in order."""

PAGES: Final = 2
"""Pages of a stream that are read when it is tried: the second follows from the first."""


class ClockOffsets:
    """The server's clock against this machine's, as the Date headers of answers show it."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._ahead: list[timedelta] = []

    def note(self, date: datetime | None) -> None:
        """Take the Date header of an answer that has just come."""
        if date is not None:
            self._ahead.append(date - self._now())

    @property
    def answers(self) -> int:
        """How many told their time."""
        return len(self._ahead)

    @property
    def ahead(self) -> timedelta | None:
        """How far the server's clock is ahead, at the median."""
        return sorted(self._ahead)[len(self._ahead) // 2] if self._ahead else None

    @property
    def skew(self) -> timedelta:
        """How far the clocks of different answers lie apart at least."""
        if not self._ahead:
            return timedelta(0)
        return max(max(self._ahead) - min(self._ahead) - RESOLUTION, timedelta(0))


class TrialReader:
    """Asks for rows of one table of one tenant.

    Attributes:
        refused: A query in place of which a sync asks in another way, such as without a column.
    """

    def __init__(self, service: Service, table: Table, clocks: ClockOffsets) -> None:
        self.table = table
        self.refused: RequestFailed | None = None
        self._service = service
        self._clocks = clocks
        self._decoder = decoder_for(table)

    def begin(self, settings: ReadSettings, clock_check: ClockCheck) -> Row | None:
        """Read the first pages as a sync does; the first row, if there is one.

        Raises:
            AcumaticaError: A sync would end with it, or go on without the stream.
        """
        size = min(settings.paging.size, ROWS) if settings.paging.size else None
        few = replace(settings, paging=replace(settings.paging, size=size), readers=1)
        dated = IncrementalStart(clock_check, Bookmark()) if self.table.replication_key else None
        reader = EntityReader(self, self.table, few, dated)
        pages: list[list[Row]] = []
        for brought in reader:
            if isinstance(brought, PageRead):
                pages.append(brought.rows)
            at_end = isinstance(brought, Checkpoint) and brought.bookmark.instant is not None
            if at_end or len(pages) == PAGES:
                break
        self.table = reader.table
        return pages[0][0] if pages else None

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Page]
    ) -> Result[Page]:
        """Ask for rows, and remember what is said beside them."""
        try:
            reply = self._service.read(query, subject, decode)
        except RequestFailed as failed:
            if failed.action is Action.REPHRASE:
                self.refused = failed
            raise
        self._clocks.note(reply.date)
        return reply

    def ask(self, query: Query) -> Result[Page]:
        """Ask once."""
        return self.read(query, self.table.entity_set, self._decoder.page)


@dataclass(frozen=True, slots=True)
class TrialStream:
    """A stream, and its first row."""

    name: str
    probe: TrialReader
    row: Row | None

    @property
    def pages_by_key(self) -> bool:
        """Whether it can show how filters and paging by key work."""
        whole = self.row and all(self.row[name] is not None for name in self.probe.table.key)
        return bool(whole) and KeyPager.suits(self.probe.table)

    def filters(self) -> bool:
        """Whether the row's key brings it, and it alone."""
        query = self.probe.table.query(all_of(*self._is_row()))
        rows = self.probe.ask(replace(query, top=2)).content.rows
        return [self._key(row) for row in rows] == [self._key(self.row or {})]

    def counts(self) -> bool:
        """Whether the server tells how many rows there are."""
        query = self.probe.table.query(all_of(*self._is_row()))
        return self.probe.ask(replace(query, top=1, count=True)).content.count == 1

    def pages(self) -> bool:
        """Whether two pages by key bring what one page twice as large does.

        Raises:
            InconsistentAnswer: The server does not sort.
        """
        table = self.probe.table
        pager = KeyPager(table, Paging(FEW, count=False))
        brought: list[Row] = []
        while not pager.done and len(brought) < 2 * FEW:
            query = pager.request()
            if not isinstance(query, Query):
                return False
            try:
                brought += pager.accept(self.probe.ask(query).content)
            except RequestFailed as failed:
                if failed.action is Action.REPHRASE:
                    return False
                raise
            if pager.stopped_at_null_key:
                return False
        query = replace(table.query(orderby=table.key), top=2 * FEW)
        at_once = self.probe.ask(query).content.rows
        return [self._key(row) for row in at_once] == [self._key(row) for row in brought[: 2 * FEW]]

    def page(self, size: int) -> tuple[int, float]:
        """How many rows the first page has, and the seconds that it took."""
        table = self.probe.table
        started = time.monotonic()
        rows = self.probe.ask(replace(table.query(orderby=table.key), top=size)).content.rows
        return len(rows), time.monotonic() - started

    def _is_row(self) -> list[str]:
        table, row = self.probe.table, self.row or {}
        return [f"{name} eq {table.literal(name, row[name])}" for name in table.key]

    def _key(self, row: Row) -> tuple[object, ...]:
        return tuple([row.get(name) for name in self.probe.table.key])
