"""Reads one entity of one tenant: in full, or the rows that have changed since the bookmark.

A reader runs in a worker thread. It knows nothing of messages: the stream writes what it yields.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tap_acumatica.odata.errors import Action, RequestFailed
from tap_acumatica.odata.paging.by_key import rows_not_up_to
from tap_acumatica.odata.paging.pager import Paging, Proof, ProvedBy
from tap_acumatica.odata.query import all_of
from tap_acumatica.reading.formula_columns import FormulaColumns
from tap_acumatica.reading.full_table import read_full_table
from tap_acumatica.reading.incremental import IncrementalRead
from tap_acumatica.reading.model import FullRead, FullReadEnd, FullTableFallback, ReadStats
from tap_acumatica.reading.pages import EntitySource, PageReader, convert_value_errors
from tap_acumatica.reading.soft_deletes import SoftDeletes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_acumatica.odata.model import Model
    from tap_acumatica.odata.payload.page import Row
    from tap_acumatica.odata.table import Table
    from tap_acumatica.reading.model import IncrementalStart, ReadEvent, ReadSettings
    from tap_acumatica.reading.pages import RowSource
    from tap_acumatica.reading.prefetch import Continuation


class EntityReader:
    """Reads one entity of one tenant once."""

    def __init__(  # noqa: PLR0913 - independent
        self,
        source: RowSource,
        table: Table,
        settings: ReadSettings,
        start: IncrementalStart | None = None,
        metadata: Callable[[], Model] | None = None,
        *,
        full_read: FullRead | None = None,
    ) -> None:
        """Prepare a read.

        Args:
            source: Sends the queries.
            table: The entity.
            settings: The settings that all reads of the run share.
            start: Where an incremental read starts; None reads the entity in full.
            metadata: Requests the metadata, to look up columns that the server does not send; None
                if they are not to be looked up.
            full_read: The full read; None: that of an entity that is read by windows is not due.
        """
        paging = Paging(settings.paging.size, settings.paging.count and not table.inquiry)
        settings = replace(settings, paging=paging)
        self._settings = settings
        self._start = start
        self._full_read = full_read
        stats = ReadStats()
        entity_source = EntitySource(source, table, stats, metadata)
        self._pages = PageReader(table, entity_source, settings.paging, stats)
        if settings.marks_deleted and table.key and not table.inquiry:
            self._pages.marks = SoftDeletes(table, source, stats, settings.instants)

    @property
    def table(self) -> Table:
        """The entity, without the columns that the server has refused so far."""
        return self._pages.table

    @property
    def stats(self) -> ReadStats:
        """The statistics of the read so far."""
        return self._pages.stats

    def __iter__(self) -> Iterator[ReadEvent | Continuation[ReadEvent]]:
        """Yield the events of the read.

        Raises:
            AcumaticaError: The read cannot be completed.
        """
        events = self._inquiry() if self.table.inquiry else self._entity()
        yield from convert_value_errors(self.table.entity_set, events)

    def one_row(self) -> list[Row]:
        """Read the one row of a singleton, or the first row of a set."""
        return self._pages.source.one_row(self.table)

    def _entity(self) -> Iterator[ReadEvent | Continuation[ReadEvent]]:
        if self._start and self.table.replication_key:
            after = self._in_full if self._full_read else tuple
            yield from IncrementalRead(self._pages, self._start, self._settings, after)
            return
        if self.table.singleton:
            rows = self.one_row()
            self._pages.stats.prove(Proof(ProvedBy.ONE_RECORD, None, len(rows)))
            yield self._pages.counted(rows)
            yield FullReadEnd(len(rows), by_key=False)
        else:
            if self._start:
                yield FullTableFallback()
            yield from self._in_full()

    def _in_full(self) -> Iterator[ReadEvent]:
        """Read all rows that are still to be read, or all if the server refuses to tell them."""
        begun = self._full_read or FullRead()
        pages_before = self._pages.stats.pages
        try:
            yield from self._rest_of(begun)
        except RequestFailed as failed:
            is_first = self._pages.stats.pages == pages_before
            if failed.action is not Action.REPHRASE or not begun.place or not is_first:
                raise
            yield from self._rest_of(FullRead())

    def _rest_of(self, begun: FullRead) -> Iterator[ReadEvent]:
        """Read the rest of a full read, and tell how far it is."""
        pages = self._pages
        behind = rows_not_up_to(self.table, begun.place) if begun.place else ""
        reached = begun
        pages.by_key = True
        at_place = bool(begun.place) and self.table.keys_may_tie
        for page in read_full_table(pages, self._settings, all_of(self._dated(), behind)):
            if at_place and self.table.key_literals(page.rows[0]) != begun.place:
                # It comes again, first, unless it is gone or `ge` compares in another way than
                # `$orderby`: then the rows that were passed over are not known.
                yield from self._rest_of(FullRead())
                return
            at_place = False
            if page.place is not None:
                rows = reached.rows + len(page.rows)
                reached = FullRead(page.place, rows) if page.place else begun
            yield replace(page, full_read=reached)
        proof = pages.proof
        pages.stats.prove(proof)
        # Rows that came twice are counted once.
        rows = min(proof.rows, proof.rows if proof.counted is None else proof.counted)
        yield FullReadEnd(begun.rows + rows, by_key=pages.by_key)

    def _dated(self) -> str:
        """Return the filter for the rows that a read by windows has from its beginning on."""
        name, start_date = self.table.replication_key, self._settings.start_date
        if not (name and start_date):
            return ""
        return f"({name} ge {self.table.instant(start_date)} or {name} eq null)"

    def _inquiry(self) -> Iterator[ReadEvent | Continuation[ReadEvent]]:
        """Read an inquiry; if the first query is refused, read it without formulas."""
        try:
            yield from self._entity()
        except RequestFailed as failed:
            if failed.action is not Action.REPHRASE or self._pages.stats.pages:
                raise
            formulas = FormulaColumns(self.table, self._pages.source.ask)
            self._pages.table = formulas.removed(failed)
            self._pages.source = self._pages.source.without_formulas(self._pages.table)
            self._pages.stats.window = None
            yield from self._entity()
