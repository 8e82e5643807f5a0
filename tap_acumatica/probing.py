"""What one tenant's service can do, tried on one of its streams."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.errors import Action, AcumaticaError, RequestFailed
from tap_acumatica.odata.paging import KeyPager, Paging
from tap_acumatica.odata.payload import JsonDecoder
from tap_acumatica.odata.query import Query, all_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from tap_acumatica.odata.client import Reply
    from tap_acumatica.odata.paging import Table
    from tap_acumatica.odata.payload import Page, Row
    from tap_acumatica.odata.service import Service
    from tap_acumatica.streams import EntityStream

RESOLUTION: Final = timedelta(seconds=1)
"""Date headers tell whole seconds."""

FEW: Final = 5
"""Rows of a page when paging itself is tried."""


class Clocks:
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


class Probe:
    """Asks for rows of one table of one tenant."""

    def __init__(self, service: Service, table: Table, clocks: Clocks) -> None:
        self.table = table
        self._service = service
        self._clocks = clocks
        self._decoder = JsonDecoder(table.entity_set, table.columns)

    def ask(self, query: Query) -> Reply[Page]:
        """Ask once."""
        decode = self._decoder.singleton if self.table.singleton else self._decoder.page
        reply = self._service.read(query, self.table.entity_set, decode)
        self._clocks.note(reply.date)
        return reply

    def row(self) -> Row | None:
        """The first row, if there is one."""
        query = self.table.query(orderby=self.table.key)
        if not self.table.singleton:
            query = replace(query, top=1)
        rows = self.ask(query).content.rows
        return rows[0] if rows else None

    @staticmethod
    def is_skipped(error: AcumaticaError) -> bool:
        """Whether a sync goes on without the stream."""
        return isinstance(error, RequestFailed) and error.action is Action.SKIP

    @staticmethod
    def is_rephrased(error: AcumaticaError) -> bool:
        """Whether a sync asks in another way, such as without a column that is refused."""
        return isinstance(error, RequestFailed) and error.action is Action.REPHRASE


@dataclass(frozen=True, slots=True)
class Sample:
    """A stream, and its first row."""

    stream: EntityStream
    probe: Probe
    row: Row | None

    @property
    def name(self) -> str:
        """The stream's."""
        return self.stream.name

    @property
    def dated(self) -> bool:
        """Whether it is read by windows of its replication key."""
        return self.stream.dated

    @property
    def instant(self) -> str | None:
        """The replication key's value, as the server shows it."""
        return self.row.get(self.stream.replication_key or "") if self.row else None

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
            if pager.stuck:
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
