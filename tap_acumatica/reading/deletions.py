"""Reads the log of deletions of one tenant: of all tables that it tracks.

Which tables these are is a list that an account need not see. Without it each selected stream is
asked; those that are not tracked refuse. The rules are in docs/deletes.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import deletions
from tap_acumatica.odata.clock import MAX_SHIFT
from tap_acumatica.odata.errors import Action, RequestFailed
from tap_acumatica.odata.instants import DAY, bookmark_text, minus
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.paging.cursor import CursorPager, Window
from tap_acumatica.odata.paging.pager import Evidence
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.full_table import first_pager
from tap_acumatica.reading.memory import column_codes
from tap_acumatica.reading.model import Checkpoint, PageRead, ReadStats
from tap_acumatica.reading.pages import EntitySource, PageReader, convert_value_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.paging.pager import Proof
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link, Query
    from tap_acumatica.odata.table import Table
    from tap_acumatica.reading.model import ReadEvent, ReadSettings
    from tap_acumatica.reading.pages import RowSource

REFUSALS: Final = frozenset({Action.SKIP, Action.REPHRASE})
"""The actions for answers that say that something is not there, or not for this account."""

MAX_DAYS: Final = 36_500
"""Days that are no retention any more, but for ever."""

ENTITIES: Final = "entities"
"""Key in a bookmark's scope: a code for the entity sets whose log was read."""


@dataclass(frozen=True, slots=True)
class Tracked:
    """The tables whose deletions are logged.

    Attributes:
        since: The day from which on each is tracked, as the server shows it, by the table's name.
        proof: What has proved that there are no others.
    """

    since: dict[str, str | None]
    proof: Proof

    @classmethod
    def read(cls, source: RowSource, settings: ReadSettings, stats: ReadStats) -> Tracked:
        """Read the list of these tables.

        Raises:
            RequestFailed: The release has no such list, or the account may not see it.
        """
        pages = _pages(deletions.tracked_tables(), source, settings, stats)
        read = pages.read(first_pager(pages.table, pages.paging))
        rows = [row for page in read for row in page.rows]
        names = {row[deletions.TABLE_NAME]: row.get(deletions.SINCE) for row in rows}
        return cls({name.strip(): names[name] for name in names if name}, pages.proof)

    def entity_sets(self, streams: Iterable[str]) -> dict[str, str | None]:
        """Return the entity set of each table, with the day from which on it is tracked.

        Args:
            streams: The entity sets that are read: the list may name one by its class alone.
        """
        known = list(streams)
        return {_entity_set(name, known): since for name, since in self.since.items()}


def _entity_set(table_name: str, known: Iterable[str]) -> str:
    if "." in table_name:
        return table_name.replace(".", "_")
    named = [name for name in known if name.lower().endswith(f"_{table_name.lower()}")]
    return named[0] if len(named) == 1 else table_name


def read_retention(source: RowSource) -> timedelta:
    """Return for how long the log keeps a deletion; by default, if the account may not see it."""
    table = deletions.preferences()
    try:
        rows = EntitySource(source, table, ReadStats()).one_row(table)
    except RequestFailed as failed:
        if failed.action not in REFUSALS:
            raise
        rows = []
    days = next((row.get(deletions.RETENTION) for row in rows), None)
    return timedelta(days=deletions.DEFAULT_RETENTION if days is None else min(days, MAX_DAYS))


class DeletionsReader:
    """Reads the log of deletions of one tenant once.

    Attributes:
        stats: Statistics of the read so far.
    """

    def __init__(
        self,
        source: RowSource,
        table: Table,
        settings: ReadSettings,
        bookmark: Bookmark,
        streams: Sequence[str],
    ) -> None:
        """Prepare a read.

        Args:
            source: Sends the queries.
            table: The stream, with the column for the entity set.
            settings: The settings that all reads of the run share.
            bookmark: Where the last read ended.
            streams: The entity sets to ask if the account may not see which are tracked.
        """
        self.stats = ReadStats()
        self._source = _DatedSource(source)
        self._table = table
        self._settings = settings
        self._bookmark = bookmark
        self._streams = streams
        self._refused: dict[str, RequestFailed] = {}
        self._is_listed = True
        """Whether the account may see which tables are tracked."""

    def __iter__(self) -> Iterator[ReadEvent]:
        """Yield the events of the read; the bookmark moves once all logs were read.

        Raises:
            AcumaticaError: A log cannot be read, or none is there for this account.
        """
        yield from convert_value_errors(deletions.FUNCTION, self._events())

    def one_row(self) -> list[Row]:
        """Read one entry of a log; none if there is none."""
        return next((event.rows[:1] for event in self if isinstance(event, PageRead)), [])

    def _events(self) -> Iterator[ReadEvent]:
        entity_sets = self._entity_sets()
        now = self._source.first_date or datetime.now(UTC)
        low = self._low(now)
        self.stats.window = Window(low, now)
        yield from self._logs(entity_sets, Window(low, now + DAY))
        if not entity_sets:
            return
        answered = self._answered(entity_sets)
        if not answered:
            raise self._nothing_told()
        if low and self._bookmark.scope.get(ENTITIES) != _code(answered):
            # The bookmark is that of other logs: one that answers again has older entries.
            self.stats.window = Window(None, now)
            yield from self._logs(answered, Window(None, now + DAY))
            answered = self._answered(answered)
        # Nothing proves the zone of these instants, so the bookmark keeps the distance of zones.
        reached = minus(min(now, self._source.first_date or now), MAX_SHIFT)
        columns = column_codes(self._table.columns)
        yield Checkpoint(Bookmark(reached, scope={ENTITIES: _code(answered)}, columns=columns))

    def _entity_sets(self) -> list[str]:
        """Return the entity sets whose logs to read."""
        stats = ReadStats()
        try:
            tracked = Tracked.read(self._source, self._settings, stats)
        except RequestFailed as failed:
            if failed.action not in REFUSALS or not self._streams:
                raise
            self._is_listed = False
            return list(self._streams)
        finally:
            self.stats.add(requests=stats.requests)
        self.stats.prove(replace(tracked.proof, counted=0, rows=0))
        if not tracked.since:
            message = (
                "No table is listed on Tables to Track Deleted Records (SM207010), so there are no "
                "deletions to read: list the tables there whose deletions matter."
            )
            logger.warning("%s", message)
        return list(tracked.entity_sets(self._streams))

    def _low(self, now: datetime) -> datetime | None:
        """Return where to read from; None: all that is kept."""
        reached = self._bookmark.instant
        if reached is None:
            return None
        retention = read_retention(self._source)
        self.stats.add(requests=1)
        if reached < minus(now, retention):
            message = (
                f"The bookmark of deleted_records ({bookmark_text(reached)}) is older than the "
                f"{retention.days} days for which Acumatica keeps deletions, so that some may be "
                "missing: a full read finds them (full_read_interval). To have more time, raise "
                "Days to Keep Records on Tables to Track Deleted Records (SM207010)."
            )
            logger.warning("%s", message)
        return minus(reached, self._settings.time_offset) if reached <= now else None

    def _answered(self, entity_sets: Iterable[str]) -> list[str]:
        return [name for name in entity_sets if name not in self._refused]

    def _logs(self, entity_sets: Iterable[str], window: Window) -> Iterator[ReadEvent]:
        for entity_set in entity_sets:
            yield from self._log(entity_set, window)

    def _log(self, entity_set: str, window: Window) -> Iterator[ReadEvent]:
        """Read the log of one entity set; take note if the server refuses it."""
        pages = _pages(deletions.log_of(entity_set), self._source, self._settings, self.stats)
        pager = CursorPager(pages.table, pages.paging, window, self._settings.instants)
        try:
            for page in pages.read(pager):
                rows = [{deletions.ENTITY: entity_set, **row} for row in page.rows]
                yield replace(page, rows=rows)
        except RequestFailed as failed:
            if failed.action not in REFUSALS:
                raise
            self._refused[entity_set] = failed
            if self._is_listed:
                message = (
                    f"Acumatica tells no deletions of {entity_set}, although it is listed on "
                    f"Tables to Track Deleted Records (SM207010), so they are left out."
                )
                logger.warning("%s %s", failed, message)
        else:
            self.stats.prove(pages.proof)

    def _nothing_told(self) -> RequestFailed:
        failed = next(iter(self._refused.values()))
        message = (
            f"Acumatica tells no deletions of {', '.join(self._refused):.200} ({failed.status}): "
            "list the tables whose deletions matter on Tables to Track Deleted Records (SM207010), "
            "which older releases lack, or deselect deleted_records."
        )
        return RequestFailed(failed.cause, Action.SKIP, message, status=failed.status)


class _DatedSource:
    """Remembers the server's clock in the first answer."""

    def __init__(self, source: RowSource) -> None:
        self.first_date: datetime | None = None
        self._source = source

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Page]
    ) -> Result[Page]:
        result = self._source.read(query, subject, decode)
        self.first_date = self.first_date or result.date
        return result


def _pages(table: Table, source: RowSource, settings: ReadSettings, stats: ReadStats) -> PageReader:
    paging = replace(settings.paging, evidence=Evidence())
    return PageReader(table, EntitySource(source, table, stats), paging, stats)


def _code(entity_sets: Iterable[str]) -> str:
    return sha256(" ".join(sorted(entity_sets)).encode()).hexdigest()[:8]
