"""The server's clock, and the proof that date-time values can be compared with it.

Two things can be wrong with time zones, and both lose rows silently. The tap may interpret values
in a different zone than the server does: hence they are compared with the server's clock only if a
proof allows it. And the server may interpret filters in a different zone than values: the round
trip detects that.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.instants import DAY, DISPLAY_MARGIN, account_offset, agrees
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.query import all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Query
    from tap_acumatica.odata.table import Table

MAX_PROOF_DISTANCE: Final = timedelta(minutes=10)
"""A row changed within this distance of the server's clock proves that the zones agree."""

MAX_WITNESSES: Final = 6
"""Rows that are requested again before filters and values are said to disagree."""

EARLIEST_EVIDENCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Older instants say nothing about zones: time-zone tables differ about the past."""


class ZoneError(SettingsError):
    """Values in an unknown time zone, or in a different one than filters use."""


@dataclass(frozen=True, slots=True)
class ServerClock:
    """The server's clock, which all reads of a run share.

    Attributes:
        now: The server's time when the tenant's first dated stream started.
        proved: Whether values can be compared with it.
    """

    now: datetime
    proved: bool


class ClockCheck:
    """Checks the clock of one tenant's interface, with its first dated stream. Thread-safe."""

    def __init__(self, instants: InstantReader, *, zone_is_set: bool) -> None:
        self._instants = instants
        self._zone_is_set = zone_is_set
        self._lock = threading.Lock()
        self._now: datetime | None = None
        self._account_offset: timedelta | None = None
        self._newest: str | None = None
        self._round_trip_done = False

    @property
    def round_trip_done(self) -> bool:
        """Whether a row was found by the instant that it displays."""
        return self._round_trip_done

    @property
    def newest(self) -> str | None:
        """The newest value of a replication key so far, as the server displays it."""
        return self._newest

    def clock(self, table: Table, fetch: Callable[[Query], Result[Page]]) -> ServerClock:
        """Return the server's clock, proved if possible.

        Args:
            table: The dated entity that is about to be read.
            fetch: Sends a query for the entity.

        Raises:
            ZoneError: Values carry no offset and nothing reveals their zone, or filters and
                values use different zones.
        """
        with self._lock:
            if self._now is None or self._newest is None:
                row = self._newest_row(table, fetch)
                if row and not self._round_trip_done:
                    self._round_trip(table, fetch, row)
            return ServerClock(self._now or datetime.now(UTC), self.proved)

    def _newest_row(self, table: Table, fetch: Callable[[Query], Result[Page]]) -> Row | None:
        """Request the newest row; its response shows the server's time and the account's zone."""
        replication_key = table.replication_key or ""
        newest_first = (f"{replication_key} desc", *table.key)
        query = replace(_narrow(table).query(orderby=newest_first), top=1)
        result = fetch(query)
        if self._now is None:
            self._now = result.date
            self._account_offset = account_offset(result.locale)
            if result.date is None:
                logger.warning(
                    "The server sends no Date header: windows end a day above this machine's clock."
                )
        tomorrow = (self._now or datetime.now(UTC)) + DAY
        rows = result.content.rows
        if rows and self._undated(rows[0][replication_key], tomorrow):
            condition = f"{replication_key} lt {table.instant(tomorrow)}"
            rows = fetch(replace(query, filter=condition)).content.rows
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
        if self._account_offset is not None and agrees(self._account_offset, offset):
            return True
        return abs(self._instants.read(self._newest) - self._now) <= MAX_PROOF_DISTANCE

    def _require_zone(self, value: str) -> None:
        if self._instants.has_offset(value) or self._zone_is_set or self.proved:
            return
        hint = ""
        if self._account_offset is not None:
            hours = self._account_offset.total_seconds() / 3600
            hint = f"; the server's cookie says {hours:+g} h from UTC, without daylight saving"
        message = (
            f"Acumatica's date-times carry no offset (such as {value}), and nothing proves their "
            f"zone{hint}: set time_zone to the zone of the account's profile."
        )
        raise ZoneError(message)

    def _round_trip(
        self, table: Table, fetch: Callable[[Query], Result[Page]], newest: Row
    ) -> None:
        """Request rows again by the instant that they display; the server must find one.

        Rows that change in the meantime prove nothing, so rows are preferred that have not changed
        for a day.

        Raises:
            ZoneError: None was found, although at least one is unchanged.
        """
        replication_key = table.replication_key or ""
        not_found = []
        for row, source in self._witnesses(table, fetch, newest):
            value = row[replication_key]
            if (
                not self._instants.is_unambiguous(value)
                or self._instants.read(value) < EARLIEST_EVIDENCE
            ):
                continue
            if self._is_found_by_instant(table, fetch, row):
                self._round_trip_done = True
                return
            if self._is_unchanged(table, fetch, row, source):
                not_found.append(value)
        if not_found:
            raise ZoneError(self._disagreement(not_found[0]))

    def _witnesses(
        self, table: Table, fetch: Callable[[Query], Result[Page]], newest: Row
    ) -> Iterator[tuple[Row, Query]]:
        """Yield rows that have not changed for a day, newest first; if there are none, the newest.

        Each row comes with a query that returns it without a filter by the row's own instant.
        """
        replication_key = table.replication_key or ""
        newest_instant = self._instants.read(newest[replication_key])
        a_day_ago = (self._now or datetime.now(UTC)) - DAY
        newest_is_old = newest_instant < a_day_ago
        newest_first = _narrow(table).query(orderby=(f"{replication_key} desc", *table.key))
        newest_rows = replace(newest_first, top=MAX_WITNESSES)
        if newest_is_old:
            yield newest, newest_rows
        condition = f"{replication_key} lt {table.instant(min(newest_instant, a_day_ago))}"
        older_rows = replace(newest_first, filter=condition, top=MAX_WITNESSES - newest_is_old)
        older = fetch(older_rows).content.rows
        for row in older:
            yield row, older_rows
        if not older and not newest_is_old:
            yield newest, newest_rows

    def _is_found_by_instant(
        self, table: Table, fetch: Callable[[Query], Result[Page]], row: Row
    ) -> bool:
        replication_key = table.replication_key or ""
        instant = self._instants.read(row[replication_key])
        low, high = (table.instant(instant + d) for d in (-DISPLAY_MARGIN, DISPLAY_MARGIN))
        condition = all_of(
            *_key_conditions(table, row),
            f"{replication_key} ge {low}",
            f"{replication_key} le {high}",
        )
        return bool(fetch(replace(_narrow(table).query(condition), top=1)).content.rows)

    def _is_unchanged(
        self, table: Table, fetch: Callable[[Query], Result[Page]], row: Row, source: Query
    ) -> bool:
        """Whether the row still displays its instant when requested without it."""
        if not table.key:
            return row in fetch(source).content.rows
        query = _narrow(table).query(*_key_conditions(table, row))
        return row in fetch(replace(query, top=1)).content.rows

    def _disagreement(self, value: str) -> str:
        instant = edm.instant_literal(self._instants.read(value))
        return (
            f"Acumatica shows a row as changed at {value}, which the tap reads as {instant}, but "
            "does not find the row by that instant: its values and its filters use different time "
            "zones. Best set the account's profile to UTC; otherwise set time_zone to the zone of "
            "the account's profile, and ignore_offsets if the values carry an offset."
        )


def _narrow(table: Table) -> Table:
    """Return the table with only the columns that identify a row and date it."""
    if not table.key:
        return table
    names = (*table.key, table.replication_key or "")
    return replace(table, columns={name: table.columns[name] for name in names})


def _key_conditions(table: Table, row: Row) -> list[str]:
    return [f"{name} eq {table.literal(name, row[name])}" for name in table.key]
