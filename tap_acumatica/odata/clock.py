"""The frame of incremental reads: the server's clock, and whether its values are read in its zone.

Two things can be wrong with the zone, and both lose rows without a trace. Values may be read in
another zone than they are meant in: then they cannot be compared with the server's clock, unless a
proof says otherwise. And filters may be read in another zone than values: the round trip shows it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.instants import (
    DAY,
    DISPLAY_MARGIN,
    account_offset,
    agrees,
)
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.query import all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Query
    from tap_acumatica.odata.table import Table

NEAR: Final = timedelta(minutes=10)
"""A row that was changed so near to the server's clock proves that both are read in one zone."""

WITNESSES: Final = 6
"""Rows that are asked for again before filter and values are said to disagree."""

ANCIENT: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""An instant before it tells nothing of zones: tables of them differ about the past."""


class ZoneError(SettingsError):
    """Values in a zone that nothing tells, or in another one than filters mean."""


@dataclass(frozen=True, slots=True)
class ServerClock:
    """What the reads of one run have in common.

    Attributes:
        now: The server's clock when the tenant's first stream started.
        proved: Whether values can be compared with it.
    """

    now: datetime
    proved: bool


class ClockCheck:
    """Finds the frame of a tenant with its first dated stream; serves the threads of all."""

    def __init__(self, instants: InstantReader, *, zone_is_set: bool) -> None:
        self._instants = instants
        self._zone_is_set = zone_is_set
        self._lock = threading.Lock()
        self._now: datetime | None = None
        self._account: timedelta | None = None
        self._newest: str | None = None
        self._round_trip_done = False

    @property
    def round_trip_done(self) -> bool:
        """Whether a row was found by the instant that it shows."""
        return self._round_trip_done

    @property
    def newest(self) -> str | None:
        """The newest instant that was seen, as the server shows it."""
        return self._newest

    def clock(self, table: Table, ask: Callable[[Query], Result[Page]]) -> ServerClock:
        """The frame, proved where it can be.

        Args:
            table: The dated entity that is about to be read.
            ask: Sends a query for it.

        Raises:
            ZoneError: Values carry no offset, and nothing tells their zone; or filter and
                values disagree about it.
        """
        with self._lock:
            if self._now is None or self._newest is None:
                row = self._look(table, ask)
                if row and not self._round_trip_done:
                    self._round_trip(table, ask, row)
            return ServerClock(self._now or datetime.now(UTC), self.proved)

    def _look(self, table: Table, ask: Callable[[Query], Result[Page]]) -> Row | None:
        """Ask for the newest row: with it come the server's clock and the account's zone."""
        replication_key = table.replication_key or ""
        newest_first = (f"{replication_key} desc", *table.key)
        query = replace(_narrow(table).query(orderby=newest_first), top=1)
        reply = ask(query)
        if self._now is None:
            self._now = reply.date
            self._account = account_offset(reply.locale)
            if reply.date is None:
                logger.warning("The server sends no Date header: windows get no upper bound.")
        tomorrow = (self._now or datetime.now(UTC)) + DAY
        rows = reply.content.rows
        if rows and self._undated(rows[0][replication_key], tomorrow):
            condition = f"{replication_key} lt {table.instant(tomorrow)}"
            rows = ask(replace(query, filter=condition)).content.rows
        if not rows:
            return None
        self._newest = rows[0][replication_key]
        self._require_zone(rows[0][replication_key])
        return rows[0]

    def _undated(self, value: str | None, tomorrow: datetime) -> bool:
        return value is None or self._instants.read(value) >= tomorrow

    @property
    def proved(self) -> bool:
        """Whether values can be compared with the server's clock."""
        if self._newest is None or self._now is None:
            return False
        offset = self._instants.offset(self._newest)
        if self._account is not None and agrees(self._account, offset):
            return True
        return abs(self._instants.read(self._newest) - self._now) <= NEAR

    def _require_zone(self, value: str) -> None:
        if self._instants.has_offset(value) or self._zone_is_set or self.proved:
            return
        hint = ""
        if self._account is not None:
            hours = self._account.total_seconds() / 3600
            hint = f"; the server's cookie says {hours:+g} h from UTC, without daylight saving"
        message = (
            f"Acumatica's date-times carry no offset (such as {value}), and nothing proves their "
            f"zone{hint}: set time_zone to the zone of the account's profile."
        )
        raise ZoneError(message)

    def _round_trip(self, table: Table, ask: Callable[[Query], Result[Page]], newest: Row) -> None:
        """Ask for rows again by the instant that they show: they must come.

        Rows that change meanwhile prove nothing, so those are asked that rested for a day.
        """
        replication_key = table.replication_key or ""
        failed = []
        for row, seen_by in self._witnesses(table, ask, newest):
            value = row[replication_key]
            if not self._instants.is_unambiguous(value) or self._instants.read(value) < ANCIENT:
                continue
            if self._comes_again(table, ask, row):
                self._round_trip_done = True
                return
            if self._unchanged(table, ask, row, seen_by):
                failed.append(value)
        if failed:
            raise ZoneError(self._disagreement(failed[0]))

    def _witnesses(
        self, table: Table, ask: Callable[[Query], Result[Page]], newest: Row
    ) -> Iterator[tuple[Row, Query]]:
        """The newest row if it rested for a day; then the rows before it that did, or all.

        Each with a query that shows it, whatever a filter by its instant would mean.
        """
        replication_key = table.replication_key or ""
        below = self._instants.read(newest[replication_key])
        a_day_ago = (self._now or datetime.now(UTC)) - DAY
        rested = below < a_day_ago
        newest_first = _narrow(table).query(orderby=(f"{replication_key} desc", *table.key))
        the_newest = replace(newest_first, top=WITNESSES)
        if rested:
            yield newest, the_newest
        condition = f"{replication_key} lt {table.instant(min(below, a_day_ago))}"
        before = replace(newest_first, filter=condition, top=WITNESSES - rested)
        older = ask(before).content.rows
        for row in older:
            yield row, before
        if not older and not rested:
            yield newest, the_newest

    def _comes_again(self, table: Table, ask: Callable[[Query], Result[Page]], row: Row) -> bool:
        replication_key = table.replication_key or ""
        instant = self._instants.read(row[replication_key])
        low, high = (table.instant(instant + d) for d in (-DISPLAY_MARGIN, DISPLAY_MARGIN))
        condition = all_of(
            *_is_row(table, row), f"{replication_key} ge {low}", f"{replication_key} le {high}"
        )
        return bool(ask(replace(_narrow(table).query(condition), top=1)).content.rows)

    def _unchanged(
        self, table: Table, ask: Callable[[Query], Result[Page]], row: Row, seen_by: Query
    ) -> bool:
        """Whether the row, asked for without its instant, still shows it."""
        if not table.key:
            return row in ask(seen_by).content.rows
        query = _narrow(table).query(*_is_row(table, row))
        return row in ask(replace(query, top=1)).content.rows

    def _disagreement(self, value: str) -> str:
        instant = edm.instant_literal(self._instants.read(value))
        return (
            f"Acumatica shows a row as changed at {value}, read here as {instant}, but does not "
            "find it by that instant: its values and its filters mean different time zones. Set "
            "time_zone to the zone of the account's profile, and ignore_offsets if the values "
            "carry an offset; best of all, set the account's profile to UTC."
        )


def _narrow(table: Table) -> Table:
    """The table with no more columns than tell a row and its instant."""
    if not table.key:
        return table
    names = (*table.key, table.replication_key or "")
    return replace(table, columns={name: table.columns[name] for name in names})


def _is_row(table: Table, row: Row) -> list[str]:
    return [f"{name} eq {table.literal(name, row[name])}" for name in table.key]
