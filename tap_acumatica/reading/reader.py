"""Reads one entity of one tenant: windows, pages, and what to do when the server refuses a query.

Runs in a worker thread. It knows nothing of messages: what it yields is written by the stream.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Protocol

from tap_acumatica.odata.dialect import ATOM, JSON, Format
from tap_acumatica.odata.errors import Action, AcumaticaError, RequestFailed
from tap_acumatica.odata.http.retry import retry_timeouts
from tap_acumatica.odata.instants import DAY, InstantReader, bookmark_text, latest, minus
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.paging.by_key import KeyPager
from tap_acumatica.odata.paging.by_offset import OffsetPager
from tap_acumatica.odata.paging.cursor import CursorPager, Window
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.payload.atom import AtomDecoder
from tap_acumatica.odata.payload.json import JsonDecoder
from tap_acumatica.odata.payload.page import other_values
from tap_acumatica.reading import prefetch
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.formula_columns import FormulaColumns
from tap_acumatica.reading.model import Checkpoint, FullTableFallback, PageRead
from tap_acumatica.reading.page_size import PageSize
from tap_acumatica.reading.slices import WindowRead, WindowSlice, WindowSplitter
from tap_acumatica.reading.tally import ReadStats
from tap_acumatica.reading.verification import NoVerifier, Verifier

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from datetime import datetime

    from tap_acumatica.odata.clock import ClockCheck, ServerClock
    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.paging.pager import Pager
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link, Query
    from tap_acumatica.odata.table import Table
    from tap_acumatica.reading.slices import ReadEvent, RemainingSlices

DECODERS: Final[Mapping[Format, type[JsonDecoder | AtomDecoder]]] = {
    JSON: JsonDecoder,
    ATOM: AtomDecoder,
}


class RowSource(Protocol):
    """Whoever sends the queries: a `Service`, or a simulation of one."""

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Page]
    ) -> Result[Page]:
        """Ask for rows."""
        ...


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """What the reads of a run have in common.

    Attributes:
        scope: The settings that decide which rows exist; those at their default left out.
        readers: That may read side by side.
    """

    paging: Paging = field(default_factory=Paging)
    instants: InstantReader = field(default_factory=InstantReader)
    time_offset: timedelta = timedelta(hours=1)
    start_date: datetime | None = None
    scope: Mapping[str, Any] = field(default_factory=dict)
    verify_counts: bool = False
    readers: int = 1


@dataclass(frozen=True, slots=True)
class IncrementalStart:
    """What a read by windows of the replication key needs.

    Attributes:
        frames: Finds the tenant's frame.
        bookmark: Where the last read ended.
    """

    frames: ClockCheck
    bookmark: Bookmark


class EntityReader:
    """Reads one entity of one tenant once."""

    def __init__(
        self,
        service: RowSource,
        table: Table,
        settings: ReadSettings,
        dated: IncrementalStart | None = None,
    ) -> None:
        """Prepare a read.

        Args:
            service: Where to ask.
            table: The entity.
            settings: Common to the run.
            dated: For a read by windows; None reads the entity in full.
        """
        self._service = service
        self._table = table
        if table.inquiry:
            settings = replace(settings, paging=replace(settings.paging, count=False))
        self._settings = settings
        self._dated = dated
        replication_key = [table.replication_key] if table.replication_key else []
        required = (*table.key, *replication_key)
        self._decoder = DECODERS[table.format](table.entity_set, table.columns, required)
        self._page_size = PageSize(settings.paging.size)
        self._tally = ReadStats()

    @property
    def table(self) -> Table:
        """The entity, without what the server refused of it so far."""
        return self._table

    def __iter__(self) -> Iterator[ReadEvent]:
        """Read. Each `PageRead` holds a page's new rows.

        Raises:
            AcumaticaError: The read cannot be completed.
        """
        yield from self._in_words(self._inquiry() if self._table.inquiry else self._entity())

    def _entity(self) -> Iterator[ReadEvent]:
        if self._table.singleton:
            yield self._counted(PageRead(self.one_row()))
        elif self._dated is None:
            yield from self._whole("")
        elif self._table.replication_key is None:
            yield FullTableFallback()
            yield from self._whole("")
        else:
            frame = self._dated.frames.frame(self._table, self._ask)
            yield from self._since_bookmark(self._dated.bookmark, frame)
            return
        self._log()

    def _inquiry(self) -> Iterator[ReadEvent]:
        """Read an inquiry; if its first query is refused, do without the formulas among columns."""
        try:
            yield from self._entity()
        except RequestFailed as failed:
            if failed.action is not Action.REPHRASE or self._tally.pages:
                raise
            self._table = FormulaColumns(self._table, self._ask).removed(failed)
            self._tally.window = None
            yield from self._entity()

    def _in_words(self, items: Iterable[ReadEvent]) -> Iterator[ReadEvent]:
        try:
            yield from items
        except ValueError as error:  # a replication key that is no date-time
            raise other_values(self._table.entity_set, error) from error

    def one_row(self) -> list[Row]:
        """The one row of a singleton, or the first of a set."""
        if self._table.singleton:
            return self._ask(self._table.query(), self._decoder.singleton).content.rows
        query = replace(self._table.query(orderby=self._table.key), top=1)
        return self._ask(query).content.rows[:1]

    def _since_bookmark(self, last: Bookmark, frame: ServerClock) -> Iterator[ReadEvent]:
        bookmark = self._usable(last, frame)
        window = self._window(bookmark, frame)
        if window.low and window.low >= window.high:
            logger.warning(
                "%s: the server's clock (%s) is not ahead of the bookmark: nothing to read yet.",
                self._table.entity_set,
                bookmark_text(frame.now),
            )
            self._log()
            return
        if bookmark != last:
            yield Checkpoint(bookmark)
        self._tally.window = window
        read = WindowRead(frame, self._verifier())
        finish = partial(self._finish, bookmark, window, read)
        rest = yield from self._window_rows(WindowSlice(window, prefetch.MAX_PAGES), read)
        if rest is None:
            yield from finish()
        else:
            rest.finish = finish

    def _finish(
        self, bookmark: Bookmark, window: Window, read: WindowRead
    ) -> Iterator[PageRead | Checkpoint]:
        """What follows when a window was read to its end."""
        frame = read.frame
        verified = replace(window, high=min(window.high, read.reached or frame.now))
        read.verifier.verify_window(verified, self._settings, self._ask)
        reached = frame.now if frame.proved else read.reached
        bookmark = replace(bookmark, instant=latest(bookmark.instant, reached))
        yield Checkpoint(bookmark)
        today = frame.now.date().isoformat()
        if bookmark.undated_read_on != today:
            replication_key = self._table.replication_key
            to_come = self._table.instant(frame.now + DAY)
            for condition in (f"{replication_key} eq null", f"{replication_key} ge {to_come}"):
                yield from self._whole(condition)
            yield Checkpoint(replace(bookmark, undated_read_on=today))
        self._log()

    def _usable(self, bookmark: Bookmark, frame: ServerClock) -> Bookmark:
        """The bookmark, unless it counts for other rows than are to be read now."""
        scope = dict(self._settings.scope)
        start = self._settings.start_date
        if start is not None:
            scope["start_date"] = bookmark_text(start)
        if bookmark.instant is None:
            return Bookmark(scope=scope)
        if bookmark.instant > frame.now + DAY:
            message = (
                f"The bookmark of {self._table.entity_set} ({bookmark_text(bookmark.instant)}) is "
                f"ahead of the server's clock ({bookmark_text(frame.now)}): correct or remove it "
                "in the state."
            )
            raise AcumaticaError(message)
        if bookmark.narrower_than(scope):
            logger.warning(
                "%s is read in full, since the settings that decide which rows exist changed "
                "from %s to %s.",
                self._table.entity_set,
                dict(bookmark.scope),
                scope,
            )
            return Bookmark(scope=scope)
        return replace(bookmark, scope=scope)

    def _window(self, bookmark: Bookmark, frame: ServerClock) -> Window:
        low = (
            minus(bookmark.instant, self._settings.time_offset)
            if bookmark.instant
            else self._settings.start_date
        )
        return Window(low, frame.now if frame.proved else frame.now + DAY)

    def _window_rows(
        self, part: WindowSlice, read: WindowRead
    ) -> Generator[ReadEvent, None, RemainingSlices | None]:
        """Read a window or a part of it; returns what is left to other readers."""
        instants = self._settings.instants
        replication_key = self._table.replication_key or ""
        pager = CursorPager(self._table, self._paging, part.window, instants)
        cutter = WindowSplitter(part, instants, partial(self._part, read))
        # Links would lead on in the window as it was.
        splits = self._settings.readers > 1 and self._page_size.rows and self._table.key
        for page in self._pages(pager):
            read.verifier.add(page)
            if not read.frame.proved:
                read.reach(instants.read(row[replication_key]) for row in reversed(page))
            rest = cutter.cut(pager, page, replication_key) if splits else None
            yield self._counted(PageRead(page, most=read.frame.now))
            if rest is not None:
                yield rest
        cutter.tell(pager.delivered)
        return cutter.rest

    def _part(self, read: WindowRead, part: WindowSlice) -> Iterator[ReadEvent]:
        """Another reader of the same entity, for a part of the window."""
        other = copy(self)
        other._page_size = copy(self._page_size)  # noqa: SLF001 - one of its kind
        return self._in_words(other._window_rows(part, read))  # noqa: SLF001 - one of its kind

    def _whole(self, condition: str) -> Iterator[PageRead]:
        """Read all rows that fit; they do not move the bookmark."""
        verifier = self._verifier()
        pager: Pager
        if KeyPager.suits(self._table):
            pager = KeyPager(self._table, self._paging, condition)
        else:
            pager = OffsetPager(self._table, self._paging, condition)
        pages = self._pages(pager)
        if isinstance(pager, KeyPager):
            seen = map(pager.saw, chain(pages, self._proof(pager)))
            pages = chain(seen, self._unseen(pager), self._in_doubt(pager))
        for page in pages:
            verifier.add(page)
            yield self._counted(PageRead(page))
        verifier.verify(condition, self._ask)

    def _proof(self, pager: KeyPager) -> Iterator[list[Row]]:
        """What stands behind the last row by its place, where no count proves the end."""
        if pager.end_unproved:
            yield from self._pages(OffsetPager.after(pager))

    def _unseen(self, pager: KeyPager) -> Iterator[list[Row]]:
        """Rows that a read by key may have passed over, since their key holds a null."""
        if unseen := pager.unseen():
            for page in self._pages(OffsetPager(self._table, self._paging, unseen)):
                passed_over = pager.passed_over(page)
                pager.delivered += len(passed_over)
                yield passed_over

    def _in_doubt(self, pager: KeyPager) -> Iterator[list[Row]]:
        """All rows once more, by `$skip`, if a read by key brought fewer than there are.

        Rows may have gone and others come behind the place; or the server does not sort as it
        was asked to.
        """
        if pager.covers(pager.delivered):
            return
        query = self._table.query(pager.condition, orderby=self._table.key)
        count = self._ask(replace(query, top=1, count=True)).content.count or 0
        if count > pager.delivered:
            logger.warning(
                "%s is read again: %d rows came, but there are %d.",
                self._table.entity_set,
                pager.delivered,
                count,
            )
            again = OffsetPager(self._table, self._paging, pager.condition)
            yield from self._pages(again)

    def _log(self) -> None:
        logger.info("%s: %s", self._table.entity_set, self._tally)

    def _verifier(self) -> Verifier:
        counted = self._settings.verify_counts and not self._table.inquiry
        return (Verifier if counted else NoVerifier)(self._table)

    @property
    def _paging(self) -> Paging:
        return replace(self._settings.paging, size=self._page_size.rows)

    def _pages(self, pager: Pager) -> Iterator[list[Row]]:
        """The new rows of each page that has some."""
        while not pager.done:
            request = pager.request()
            try:
                page = self._ask_once(request).content
            except RequestFailed as failed:
                pager = self._otherwise(pager, failed)
                continue
            rows = pager.accept(page)
            self._page_size.good_page(pager)
            if rows:
                yield rows
            if isinstance(pager, KeyPager) and pager.stopped_at_null_key:
                pager = self._by_offset(pager, pager.stopped_at_null_key)

    def _ask(self, query: Query, decode: Callable[[bytes], Page] | None = None) -> Result[Page]:
        return retry_timeouts(partial(self._ask_once, query, decode))

    def _ask_once(
        self, query: Query | Link, decode: Callable[[bytes], Page] | None = None
    ) -> Result[Page]:
        reply = self._service.read(query, self._table.entity_set, decode or self._decoder.page)
        self._tally.add(requests=1 + reply.retries, retries=reply.retries)
        return reply

    def _otherwise(self, pager: Pager, failed: RequestFailed) -> Pager:
        """Ask in another way for what the server did not give.

        Raises:
            RequestFailed: There is no other way.
        """
        if failed.action is Action.SHRINK:
            self._page_size.shrink(pager, failed)
            return pager
        go_on_by_key = isinstance(pager, KeyPager) and pager.delivered
        if failed.action is not Action.REPHRASE or (self._table.inquiry and not go_on_by_key):
            raise failed
        if failed.column in self._optional_columns():
            logger.warning("%s It is left out.", failed)
            columns = {n: t for n, t in self._table.columns.items() if n != failed.column}
            self._use(pager, replace(self._table, columns=columns))
        elif failed.column and any(each.names(failed.column) for each in self._table.expand):
            logger.warning("%s It is left out of the related records.", failed)
            expand = tuple(each.without(failed.column) for each in self._table.expand)
            self._use(pager, replace(self._table, expand=expand))
        elif isinstance(pager, KeyPager) and pager.delivered:
            return self._by_offset(pager, str(failed))
        elif self._table.select and failed.column is None:
            logger.warning("%s All columns are asked for now.", failed)
            self._use(pager, replace(self._table, select=False))
        else:
            raise failed
        return pager

    def _use(self, pager: Pager, table: Table) -> None:
        self._table = pager.table = table

    def _optional_columns(self) -> set[str]:
        return self._table.columns.keys() - {*self._table.key, self._table.replication_key}

    def _by_offset(self, pager: KeyPager, why: str) -> Pager:
        logger.warning("%s is read on by $skip: %s", self._table.entity_set, why)
        return OffsetPager.after(pager)

    def _counted(self, rows: PageRead) -> PageRead:
        self._tally.add(pages=1, rows=len(rows.rows))
        return rows
