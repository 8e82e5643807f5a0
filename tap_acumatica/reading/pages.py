"""Requests the pages of one entity, in another way if the server refuses a query."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tap_acumatica.odata.errors import (
    Action,
    AcumaticaError,
    Cause,
    DoubtfulAnswer,
    RequestFailed,
)
from tap_acumatica.odata.http.retry import retry_timeouts
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.payload.decoders import decoder_for
from tap_acumatica.odata.payload.page import unexpected_values
from tap_acumatica.reading.model import PageRead
from tap_acumatica.reading.page_size import PageSize
from tap_acumatica.reading.unsent import UnsentColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from typing import TypeVar

    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.model import Model
    from tap_acumatica.odata.paging.pager import Pager, Paging, Proof
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link, Query
    from tap_acumatica.odata.table import Table
    from tap_acumatica.reading.model import ReadStats

    class Marks(Protocol):
        """Marks the rows that are marked as deleted."""

        def mark(self, rows: list[Row], seen: datetime | None) -> None:
            """Mark these rows, all of one page and in its order."""
            ...

    Event = TypeVar("Event")


class RowSource(Protocol):
    """Sends queries: a `Service`, or a simulation of one."""

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Page]
    ) -> Result[Page]:
        """Send a query, and decode its response."""
        ...


class EntitySource:
    """Sends the queries for one entity, and counts them; parallel readers may share it."""

    def __init__(
        self,
        source: RowSource,
        table: Table,
        stats: ReadStats,
        metadata: Callable[[], Model] | None = None,
    ) -> None:
        replication_key = [table.replication_key] if table.replication_key else []
        self._source = source
        self._subject = table.entity_set
        self._decoder = decoder_for(table, (*table.key, *replication_key))
        self._stats = stats
        self._metadata = metadata
        self._unsent = UnsentColumns(table, metadata)

    def without_formulas(self, table: Table) -> EntitySource:
        """Return a source for the same entity, of which a read requires fewer columns."""
        return EntitySource(self._source, table, self._stats, self._metadata)

    def ask(self, query: Query | Link) -> Result[Page]:
        """Send a query; repeat it at once after a timeout.

        Raises:
            RequestFailed: There is no usable response.
        """
        return retry_timeouts(partial(self.ask_once, query))

    def ask_once(self, query: Query | Link) -> Result[Page]:
        """Send a query.

        Raises:
            RequestFailed: There is no usable response, or none in time.
        """
        return self._send(query, self._decoder.page)

    def one_row(self, table: Table) -> list[Row]:
        """Read the one row of a singleton, or the first row of a set."""
        if table.singleton:
            send = partial(self._send, table.query(), self._decoder.singleton)
            return retry_timeouts(send).content.rows
        query = replace(table.query(orderby=table.key), top=1)
        return self.ask(query).content.rows[:1]

    def _send(self, query: Query | Link, decode: Callable[[bytes], Page]) -> Result[Page]:
        try:
            result = self._source.read(query, self._subject, decode)
        except AcumaticaError as error:
            self._stats.add_attempts(error.attempts)
            raise
        self._stats.add_attempts(1 + result.retries)
        self._unsent.require_declared(query, result.content.rows)
        return result


class PageReader:
    """Follows a pager from page to page.

    Attributes:
        table: The entity, without the columns that the server has refused so far.
        source: Sends its queries.
        stats: Statistics of the read so far.
        proof: What has proved the last read to be complete.
        marks: Marks the rows that are marked as deleted; None if they are not read.
        by_key: Whether all pagers since this was set were `Pager.by_key`.
    """

    proof: Proof
    marks: Marks | None = None
    by_key = True

    def __init__(
        self,
        table: Table,
        source: EntitySource,
        paging: Paging,
        stats: ReadStats,
        page_size: PageSize | None = None,
    ) -> None:
        self.table = table
        self.source = source
        self.stats = stats
        self._paging = paging
        self._page_size = page_size or PageSize(paging.size)

    def sibling(self) -> PageReader:
        """Return a reader for another slice of the entity, with its own page size."""
        page_size = self._page_size.copy()
        sibling = PageReader(self.table, self.source, self._paging, self.stats, page_size)
        sibling.marks = self.marks
        return sibling

    @property
    def paging(self) -> Paging:
        """How pages are requested now."""
        return replace(self._paging, size=self._page_size.rows)

    @property
    def rows_that_fit(self) -> int:
        """Least number of new rows that an answer holds, or a page if the server cuts answers."""
        return (self._page_size.rows or 1) if self._paging.evidence.shortest_cut else 1

    def look(self, query: Query) -> Result[Page]:
        """Send a query for a few rows, ordered by no more columns than the server allows.

        If it is counted, that may prove the table's counts; those of another table prove nothing.

        Raises:
            RequestFailed: There is no usable response.
        """
        try:
            result = self.source.ask(query)
        except RequestFailed as failed:
            if failed.limits != "$orderby" or failed.limit is None:
                raise
            result = self.source.ask(replace(query, orderby=query.orderby[: failed.limit]))
        self._paging.evidence.learn(result.content, query.skip)
        return result

    def read(self, pager: Pager) -> Iterator[PageRead]:
        """Send the pager's requests; yield the new rows of each page that has some.

        Raises:
            RequestFailed: The server refuses a query, and there is no other way.
            InconsistentAnswer: A page contradicts its query.
        """
        self._begin(pager)
        while not pager.done:
            ask = self.source.ask_once if pager.resizable else self.source.ask
            try:
                result = ask(pager.request())
            except RequestFailed as failed:
                pager = self._instead(pager, failed)
                continue
            try:
                rows = pager.accept(result.content)
            except DoubtfulAnswer as doubtful:
                self._page_size.doubt(pager, doubtful)
                continue
            self._page_size.good_page(pager)
            if rows:
                page = self.counted(rows, result.date, in_doubt=pager.in_doubt)
                yield replace(page, place=pager.place)
        self.by_key = self.by_key and pager.by_key
        successor = pager.then()
        if successor:
            for page in self.read(successor):
                yield replace(page, missed=True)
        else:
            self.proof = pager.proof

    def counted(
        self, rows: list[Row], seen: datetime | None = None, *, in_doubt: bool = False
    ) -> PageRead:
        """Count these rows, and return their event."""
        self.stats.add(pages=1, rows=len(rows))
        if self.marks:
            self.marks.mark(rows, seen)
        return PageRead(rows, seen=seen, refused=self.table.refused, in_doubt=in_doubt)

    def _begin(self, pager: Pager) -> None:
        """Give a pager the columns and the page size that the server has accepted so far."""
        pager.table = self.table
        if self._page_size.rows is not None:
            pager.resize(self._page_size.rows)
        if pager.announcement:
            logger.warning("%s %s", self.table.entity_set, pager.announcement)

    def _instead(self, pager: Pager, failed: RequestFailed) -> Pager:
        """Return a pager that requests in another way what the server did not send.

        Raises:
            RequestFailed: There is no other way.
        """
        if failed.action is Action.SHRINK and pager.resizable:
            self._page_size.shrink(pager, failed)
            return pager
        if failed.cause is Cause.QUERY_TOO_LONG and (successor := pager.instead(failed)):
            self._begin(successor)
            return successor
        if failed.limit is not None and self._keep_limit(pager, failed.limits, failed.limit):
            return pager
        if failed.action is not Action.REPHRASE or self.table.inquiry:
            raise failed
        if failed.column and failed.column in self.table.optional_columns:
            logger.warning("%s The column is left out.", failed)
            self.table = self.table.without(failed.column)
        elif failed.column and any(
            expansion.selects(failed.column) for expansion in self.table.expand
        ):
            logger.warning("%s The column is left out of the related records.", failed)
            self.table = self.table.without_related(failed.column)
        elif successor := pager.instead(failed):
            self._begin(successor)
            return successor
        elif self.table.select and failed.column is None:
            logger.warning("%s All columns are requested now.", failed)
            self.table = replace(self.table, select=False)
        else:
            raise failed
        pager.table = self.table
        return pager

    def _keep_limit(self, pager: Pager, limits: str, limit: int) -> bool:
        """Keep a limit of the server from now on; return whether that is possible."""
        table = self.table
        if limits == "$top":
            if not pager.resizable or not self._page_size.limit(pager, limit):
                return False
        elif table.max_order is None and limit and not (table.inquiry and len(table.key) > limit):
            self.table = pager.table = replace(table, max_order=limit)
        else:
            return False
        logger.warning("%s: Acumatica limits %s to %d.", table.entity_set, limits, limit)
        return True


def convert_value_errors(entity_set: str, events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events; explain the ValueError of a replication key that is no date-time.

    Raises:
        InconsistentAnswer: A replication key is no date-time.
    """
    try:
        yield from events
    except ValueError as error:
        raise unexpected_values(entity_set, error) from error
