"""Asks for the pages of one entity, and in another way where the server refuses a query."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from tap_acumatica.odata.errors import Action, RequestFailed
from tap_acumatica.odata.http.retry import retry_timeouts
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.payload.decoders import decoder_for
from tap_acumatica.odata.payload.page import unexpected_values
from tap_acumatica.reading.model import PageRead
from tap_acumatica.reading.page_size import PageSize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime
    from typing import TypeVar

    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.paging.pager import Pager, Paging
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link, Query
    from tap_acumatica.odata.table import Table
    from tap_acumatica.reading.model import ReadStats

    Event = TypeVar("Event")


class RowSource(Protocol):
    """Sends queries: a `Service`, or a simulation of one."""

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Page]
    ) -> Result[Page]:
        """Ask for rows."""
        ...


class EntitySource:
    """Sends the queries for one entity, and counts them; serves readers side by side."""

    def __init__(self, source: RowSource, table: Table, stats: ReadStats) -> None:
        replication_key = [table.replication_key] if table.replication_key else []
        self._source = source
        self._subject = table.entity_set
        self._decoder = decoder_for(table, (*table.key, *replication_key))
        self._stats = stats

    def ask(self, query: Query | Link) -> Result[Page]:
        """Ask for rows, again at once after a timeout.

        Raises:
            RequestFailed: There is no answer to work with.
        """
        return retry_timeouts(partial(self.ask_once, query))

    def ask_once(self, query: Query | Link) -> Result[Page]:
        """Ask for rows.

        Raises:
            RequestFailed: There is no answer to work with, or not in time.
        """
        return self._send(query, self._decoder.page)

    def one_row(self, table: Table) -> list[Row]:
        """The one row of a singleton, or the first of a set."""
        if table.singleton:
            ask = partial(self._send, table.query(), self._decoder.singleton)
            return retry_timeouts(ask).content.rows
        query = replace(table.query(orderby=table.key), top=1)
        return self.ask(query).content.rows[:1]

    def _send(self, query: Query | Link, decode: Callable[[bytes], Page]) -> Result[Page]:
        result = self._source.read(query, self._subject, decode)
        self._stats.add(requests=1 + result.retries, retries=result.retries)
        return result


class PageReader:
    """Follows a pager from page to page.

    Attributes:
        table: The entity, without what the server has refused of it so far.
        source: Sends its queries.
        stats: What the read has taken so far.
    """

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

    def beside(self) -> PageReader:
        """Make a reader for another part of the entity, with a page size of its own."""
        page_size = self._page_size.copy()
        return PageReader(self.table, self.source, self._paging, self.stats, page_size)

    @property
    def paging(self) -> Paging:
        """How pages are asked for now."""
        return replace(self._paging, size=self._page_size.rows)

    def read(self, pager: Pager, max_bookmark: datetime | None = None) -> Iterator[PageRead]:
        """Read what the pager asks for. Each event holds the new rows of a page that has some.

        Raises:
            RequestFailed: The server refuses a query, and there is no other way to ask.
            InconsistentAnswer: An answer does not fit its query.
        """
        self._begin(pager)
        while not pager.done:
            ask = self.source.ask_once if pager.resizable else self.source.ask
            try:
                page = ask(pager.request()).content
            except RequestFailed as failed:
                pager = self._instead(pager, failed)
                continue
            rows = pager.accept(page)
            self._page_size.good_page(pager)
            if rows:
                yield self.counted(rows, max_bookmark)
        following = pager.then()
        if following:
            yield from self.read(following, max_bookmark)

    def counted(self, rows: list[Row], max_bookmark: datetime | None = None) -> PageRead:
        """The event of these rows, counted."""
        self.stats.add(pages=1, rows=len(rows))
        return PageRead(rows, max_bookmark)

    def _begin(self, pager: Pager) -> None:
        """Let a pager ask for what can be asked for by now, in pages of the size that works."""
        pager.table = self.table
        if self._page_size.rows is not None:
            pager.resize(self._page_size.rows)
        if pager.announcement:
            logger.warning("%s %s", self.table.entity_set, pager.announcement)

    def _instead(self, pager: Pager, failed: RequestFailed) -> Pager:
        """Return a pager that asks in another way for what the server did not give.

        Raises:
            RequestFailed: There is no other way.
        """
        if failed.action is Action.SHRINK and pager.resizable:
            self._page_size.shrink(pager, failed)
            return pager
        if failed.action is not Action.REPHRASE or self.table.inquiry:
            raise failed
        if failed.column in self.table.optional_columns:
            logger.warning("%s It is left out.", failed)
            self.table = self.table.without(failed.column)
        elif failed.column and any(each.names(failed.column) for each in self.table.expand):
            logger.warning("%s It is left out of the related records.", failed)
            expand = tuple(each.without(failed.column) for each in self.table.expand)
            self.table = replace(self.table, expand=expand)
        elif successor := pager.instead(failed):
            self._begin(successor)
            return successor
        elif self.table.select and failed.column is None:
            logger.warning("%s All columns are asked for now.", failed)
            self.table = replace(self.table, select=False)
        else:
            raise failed
        pager.table = self.table
        return pager


def refuse_other_values(entity_set: str, events: Iterable[Event]) -> Iterator[Event]:
    """Yield the events; a replication key that is no date-time ends them with a sentence.

    Raises:
        InconsistentAnswer: There is one.
    """
    try:
        yield from events
    except ValueError as error:
        raise unexpected_values(entity_set, error) from error
