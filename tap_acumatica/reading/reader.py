"""Reads one entity of one tenant: in full, or the rows that have changed since the bookmark.

A reader runs in a worker thread. It knows nothing of messages: the stream writes what it yields.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tap_acumatica.odata.errors import Action, RequestFailed
from tap_acumatica.odata.paging.pager import Paging, Proof, ProvedBy
from tap_acumatica.reading.formula_columns import FormulaColumns
from tap_acumatica.reading.full_table import read_full_table
from tap_acumatica.reading.incremental import IncrementalRead
from tap_acumatica.reading.model import FullTableFallback, ReadStats
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

    def __init__(
        self,
        source: RowSource,
        table: Table,
        settings: ReadSettings,
        start: IncrementalStart | None = None,
        metadata: Callable[[], Model] | None = None,
    ) -> None:
        """Prepare a read.

        Args:
            source: Sends the queries.
            table: The entity.
            settings: The settings that all reads of the run share.
            start: Where an incremental read starts; None reads the entity in full.
            metadata: Requests the metadata, to look up columns that the server does not send; None
                if they are not to be looked up.
        """
        paging = Paging(settings.paging.size, settings.paging.count and not table.inquiry)
        settings = replace(settings, paging=paging)
        self._settings = settings
        self._start = start
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
            yield from IncrementalRead(self._pages, self._start, self._settings)
            return
        if self.table.singleton:
            rows = self.one_row()
            self._pages.stats.prove(Proof(ProvedBy.ONE_RECORD, None, len(rows)))
            yield self._pages.counted(rows)
        else:
            if self._start:
                yield FullTableFallback()
            yield from read_full_table(self._pages, self._settings)
            self._pages.stats.prove(self._pages.proof)

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
