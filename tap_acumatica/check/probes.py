"""Reads single streams on trial, to see whether a sync could read them, and how."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.errors import Action, AcumaticaError, RequestFailed
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

DATE_RESOLUTION: Final = timedelta(seconds=1)
"""Date headers have whole seconds."""

SMALL_PAGE: Final = 5
"""Rows of a page in the trial of key paging."""

TRIAL_PAGE: Final = 50
"""Rows of a page in the trial of a stream: enough to see whether they are in order."""

TRIAL_PAGES: Final = 2
"""Pages in the trial of a stream: the second one depends on the first."""


class ClockOffsets:
    """Offsets of the server's clock from this machine's, by the Date headers of responses."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._ahead: list[timedelta] = []

    def add(self, date: datetime | None) -> None:
        """Add the Date header of a response that has just arrived."""
        if date is not None:
            self._ahead.append(date - self._now())

    @property
    def count(self) -> int:
        """The number of responses with a Date header."""
        return len(self._ahead)

    @property
    def ahead(self) -> timedelta | None:
        """The median offset of the server's clock, or None without a Date header."""
        return sorted(self._ahead)[len(self._ahead) // 2] if self._ahead else None

    @property
    def skew(self) -> timedelta:
        """The minimum difference between the clocks of different responses."""
        if not self._ahead:
            return timedelta(0)
        return max(max(self._ahead) - min(self._ahead) - DATE_RESOLUTION, timedelta(0))


class TrialReader:
    """Reads one table of one tenant on trial.

    Attributes:
        refused_query: The refusal of a query that a sync would rephrase, for example without a
            column, or None.
    """

    def __init__(self, service: Service, table: Table, clocks: ClockOffsets) -> None:
        self.table = table
        self.refused_query: RequestFailed | None = None
        self._service = service
        self._clocks = clocks
        self._decoder = decoder_for(table)

    def read_first_row(self, settings: ReadSettings, clock_check: ClockCheck) -> Row | None:
        """Read the first pages as a sync does.

        Returns:
            The first row, or None if the table is empty.

        Raises:
            AcumaticaError: A sync would fail with this error, or skip the stream.
        """
        size = min(settings.paging.size, TRIAL_PAGE) if settings.paging.size else None
        paging = replace(settings.paging, size=size)
        trial = replace(settings, paging=paging, readers=1, marks_deleted=False)
        start = IncrementalStart(clock_check, Bookmark()) if self.table.replication_key else None
        reader = EntityReader(self, self.table, trial, start)
        pages: list[list[Row]] = []
        for event in reader:
            if isinstance(event, PageRead):
                pages.append(event.rows)
            at_end = isinstance(event, Checkpoint) and event.bookmark.instant is not None
            if at_end or len(pages) == TRIAL_PAGES:
                break
        self.table = reader.table
        return pages[0][0] if pages else None

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Page]
    ) -> Result[Page]:
        """Request rows, and record the Date header and a refusal of the query."""
        try:
            result = self._service.read(query, subject, decode)
        except RequestFailed as error:
            if error.action is Action.REPHRASE:
                self.refused_query = error
            raise
        self._clocks.add(result.date)
        return result

    def request(self, query: Query) -> Result[Page]:
        """Request one page."""
        return self.read(query, self.table.entity_set, self._decoder.page)


@dataclass(frozen=True, slots=True)
class TrialStream:
    """A stream that can be read, with its first row."""

    name: str
    reader: TrialReader
    row: Row | None

    @property
    def pages_by_key(self) -> bool:
        """Whether the stream can show that filters and key paging work."""
        has_key = self.row and all(self.row[name] is not None for name in self.reader.table.key)
        return bool(has_key) and KeyPager.suits(self.reader.table)

    def count_rows(self) -> int | None:
        """Return the number of the rows; None if the server does not count them."""
        table = self.reader.table
        if table.singleton or table.inquiry:
            return None
        try:
            page = self.reader.request(replace(table.query(), top=1, count=True)).content
        except AcumaticaError:
            return None
        return page.count

    def filters_match(self) -> bool:
        """Whether a filter by the first row's key returns that row, and only that row."""
        query = self.reader.table.query(all_of(*self._key_filters()))
        rows = self.reader.request(replace(query, top=2)).content.rows
        return [self._key(row) for row in rows] == [self._key(self.row or {})]

    def counts_match(self) -> bool:
        """Whether the server counts rows."""
        query = self.reader.table.query(all_of(*self._key_filters()))
        return self.reader.request(replace(query, top=1, count=True)).content.count == 1

    def pages_match(self) -> bool:
        """Whether two pages by key have the same rows as one page of twice the size.

        Raises:
            InconsistentAnswer: The server does not sort the rows.
        """
        table = self.reader.table
        pager = KeyPager(table, Paging(SMALL_PAGE, count=False))
        rows: list[Row] = []
        while not pager.done and len(rows) < 2 * SMALL_PAGE:
            query = pager.request()
            if not isinstance(query, Query):
                return False
            try:
                rows += pager.accept(self.reader.request(query).content)
            except RequestFailed as error:
                if error.action is Action.REPHRASE:
                    return False
                raise
            if pager.stopped_at_null_key:
                return False
        query = replace(table.query(orderby=table.key), top=2 * SMALL_PAGE)
        expected = self.reader.request(query).content.rows
        return [self._key(row) for row in expected] == [
            self._key(row) for row in rows[: 2 * SMALL_PAGE]
        ]

    def time_page(self, size: int) -> tuple[int, float]:
        """Return the number of rows of the first page, and the seconds that it took."""
        table = self.reader.table
        started = time.monotonic()
        rows = self.reader.request(replace(table.query(orderby=table.key), top=size)).content.rows
        return len(rows), time.monotonic() - started

    def _key_filters(self) -> list[str]:
        table, row = self.reader.table, self.row or {}
        return [f"{name} eq {table.literal(name, row[name])}" for name in table.key]

    def _key(self, row: Row) -> tuple[object, ...]:
        return tuple([row.get(name) for name in self.reader.table.key])
