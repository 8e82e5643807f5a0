"""The server's clock, and the proof that date-time values can be compared with it.

Two things can be wrong with time zones, and both lose rows silently. The tap may interpret values
in a different zone than the server does: hence they are compared with the server's clock only if a
proof allows it. And the server may interpret filters in a different zone than values: the round
trip detects that.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import ZoneError
from tap_acumatica.odata.instants import (
    DAY,
    DISPLAY_MARGIN,
    account_offset,
    account_zone,
    minus,
)
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.query import all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Query
    from tap_acumatica.odata.table import Table

    Fetch = Callable[[Query], Result[Page]]

MAX_NEAR_DISTANCE: Final = timedelta(minutes=10)
"""Maximum distance from the server's clock of values that are near it."""

NEAR_ROWS: Final = 3
"""Number of rows that must have changed near the clock: a single one can be there by chance."""

MAX_SHIFT: Final = timedelta(hours=14)
"""Maximum distance of values from the clock if they are read in a wrong zone."""

MAX_WITNESSES: Final = 6
"""Rows that are requested again before filters and values are said to disagree."""

EARLIEST_EVIDENCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
"""Older instants say nothing about zones: time-zone tables differ about the past."""


@dataclass(frozen=True, slots=True)
class ServerClock:
    """The server's clock, and how far a stream's values can be compared with it.

    Attributes:
        now: The server's time when the tenant's first dated stream started.
        proved: Whether values are in the zone in which the tap reads them.
        keeps_up: Whether values at least do not lag behind the clock.
    """

    now: datetime
    proved: bool = False
    keeps_up: bool = False

    @property
    def max_bookmark(self) -> datetime:
        """The latest possible bookmark: rows that change from now on show later instants."""
        return self.now if self.proved or self.keeps_up else minus(self.now, MAX_SHIFT)

    @property
    def horizon(self) -> datetime:
        """The instant from which on rows count as undated."""
        return self.now + DAY


@dataclass(slots=True)
class _Frame:
    """What is known about the columns that share a name and show their zone in the same way.

    Attributes:
        round_trip_done: Whether a row was found by the instant that it displays.
        cookie_agrees: Whether the account's zone is that of the values; None: it is not known.
        has_near_rows: Whether several rows of a stream are near the clock.
        tried: The entity sets on which the round trip was tried.
        ahead: The entity sets with rows ahead of the clock by what zones can differ.
    """

    round_trip_done: bool = False
    cookie_agrees: bool | None = None
    has_near_rows: bool = False
    tried: set[str] = field(default_factory=set)
    ahead: set[str] = field(default_factory=set)

    def clock(self, now: datetime) -> ServerClock:
        """Return the clock with what is proved: without the round trip, filters prove nothing."""
        proved = self.round_trip_done and self.cookie_agrees is True
        # Rows near the clock may be old ones that are read too late, but not ones read too early.
        keeps_up = self.round_trip_done and self.has_near_rows and self.cookie_agrees is not False
        return ServerClock(now, proved, keeps_up)


class ClockCheck:
    """Checks the clock of one tenant's interface. Thread-safe.

    Attributes:
        newest: The newest value of a replication key that was looked at, as the server displays it.
    """

    def __init__(
        self, instants: InstantReader, *, zone_is_set: bool, requests_count: bool = False
    ) -> None:
        """Prepare the check; nothing is requested yet.

        Args:
            instants: Reads date-time values.
            zone_is_set: Whether the settings name the zone of values without an offset.
            requests_count: Whether to have the rows counted when the newest are requested.
        """
        self.newest: str | None = None
        self._instants = instants
        self._zone_is_set = zone_is_set
        self._requests_count = requests_count
        self._lock = threading.Lock()
        self._now: datetime | None = None
        self._has_date = False
        self._cookie: str | None = None
        self._frames: dict[tuple[str, str], _Frame] = {}

    @property
    def round_trip_done(self) -> bool:
        """Whether a row was found by the instant that it displays."""
        return any(frame.round_trip_done for frame in self._frames.values())

    @property
    def proved(self) -> bool:
        """Whether values can be compared with the server's clock, as far as they were seen."""
        now = self._now or datetime.now(UTC)
        clocks = [frame.clock(now) for frame in self._frames.values()]
        return bool(clocks) and all(clock.max_bookmark == now for clock in clocks)

    def clock(self, table: Table, fetch: Fetch) -> ServerClock:
        """Return the server's clock, before a read; the first read finds it out.

        Args:
            table: The dated entity that is about to be read.
            fetch: Sends a query for the entity.

        Raises:
            ZoneError: Values carry no offset and nothing reveals their zone, or filters and
                values use different zones.
        """
        with self._lock:
            if self._now is None:
                rows = self._newest_rows(table, fetch)
                if rows:
                    return self._checked(table, fetch, rows)
            return ServerClock(self._now or datetime.now(UTC))

    def confirmed(
        self, table: Table, fetch: Fetch, rows: Sequence[Row], seen: datetime | None
    ) -> ServerClock:
        """Return the server's clock, with what is proved for the values of these rows.

        Args:
            table: The dated entity that the rows are of.
            fetch: Sends a query for the entity.
            rows: Rows of one response, ordered by the replication key.
            seen: The server's time when it sent them, or None.

        Raises:
            ZoneError: As `clock`; or rows of several entities are ahead of the server's clock.
        """
        with self._lock:
            frame = self._frame(table, rows[0])
            if not frame.round_trip_done and table.entity_set not in frame.tried:
                frame.tried.add(table.entity_set)
                newest = self._newest_rows(table, fetch)
                if newest:
                    self._checked(table, fetch, newest)
            if seen and not frame.cookie_agrees:
                self._require_not_ahead(frame, table, rows, seen)
            return frame.clock(self._now or datetime.now(UTC))

    def newest_instant(self, table: Table, fetch: Fetch) -> datetime | None:
        """Request the instant of the newest dated row of an entity: the latest that it can mean."""
        with self._lock:
            rows = self._newest_rows(table, fetch)
        return (
            self._instants.read(rows[0][table.replication_key or ""], later=True) if rows else None
        )

    def _frame(self, table: Table, row: Row) -> _Frame:
        name = table.replication_key or ""
        return self._frames.setdefault((name, self._instants.label(row[name])), _Frame())

    def _newest_rows(self, table: Table, fetch: Fetch) -> list[Row]:
        """Request the newest rows; the response shows the server's time and the account's zone."""
        replication_key = table.replication_key or ""
        newest_first = (f"{replication_key} desc", *table.key)
        query = replace(_narrow(table).query(orderby=newest_first), top=NEAR_ROWS)
        result = fetch(replace(query, count=self._requests_count and not table.inquiry))
        rows = result.content.rows
        self._cookie = self._cookie or result.locale
        if self._now is None:
            self._has_date = result.date is not None
            self._now = result.date or datetime.now(UTC)
            if not self._has_date:
                logger.warning(
                    "The server sends no Date header: windows end a day above this machine's clock."
                )
        tomorrow = self._now + DAY
        if rows and self._undated(rows[0][replication_key], tomorrow):
            condition = f"{replication_key} lt {table.instant(tomorrow)}"
            rows = fetch(replace(query, filter=condition)).content.rows
        return [row for row in rows if not self._undated(row[replication_key], tomorrow)]

    def _undated(self, value: str | None, tomorrow: datetime) -> bool:
        return value is None or self._instants.read(value) >= tomorrow

    def _checked(self, table: Table, fetch: Fetch, newest: list[Row]) -> ServerClock:
        """Check the frame of these rows, the newest of an entity, and return the clock for it."""
        assert self._now is not None  # noqa: S101 - the newest rows were requested
        values = [row[table.replication_key or ""] for row in newest]
        frame = self._frame(table, newest[0])
        frame.tried.add(table.entity_set)
        self.newest = values[0]
        frame.cookie_agrees = self._cookie_agrees(values[0])
        frame.has_near_rows |= self._are_near(values)
        self._require_zone(frame, values[0])
        if not frame.round_trip_done:
            frame.round_trip_done = self._round_trip(table, fetch, newest[0])
        return frame.clock(self._now)

    def _cookie_agrees(self, value: str) -> bool | None:
        """Whether the account's zone has the offset with which values are read; None: unknown.

        The offsets are compared at the value's instant and, unless each value shows its own, now:
        a zone may have that of UTC in winter only.
        """
        account, offset = account_zone(self._cookie), self._instants.offset(value)
        if account is None or offset is None or self._now is None:
            return None
        own_offset = self._instants.has_offset(value)
        zone = timezone(offset) if own_offset else self._instants.zone
        moments = [max(self._instants.read(value), EARLIEST_EVIDENCE)]
        if not own_offset or self._instants.label(value) == "Z":
            moments.append(self._now)
        return all(
            moment.astimezone(zone).utcoffset() == moment.astimezone(account).utcoffset()
            for moment in moments
        )

    def _are_near(self, values: list[str]) -> bool:
        """Whether these values, enough and all different, are near the server's clock."""
        if self._now is None or not self._has_date or len(set(values)) < NEAR_ROWS:
            return False
        distances = [abs(self._instants.read(value) - self._now) for value in values]
        return max(distances) <= MAX_NEAR_DISTANCE

    def _require_zone(self, frame: _Frame, value: str) -> None:
        if self._instants.has_offset(value) or self._zone_is_set or frame.cookie_agrees:
            return
        hint = ""
        zone, offset = account_zone(self._cookie), account_offset(self._cookie)
        if zone:
            hint = f"; the server's cookie stands for {zone}"
        elif offset is not None:
            hours = offset.total_seconds() / 3600
            hint = f"; the server's cookie says {hours:+g} h from UTC, without daylight saving"
        message = (
            f"Acumatica's date-times carry no offset (such as {value}), and nothing proves their "
            f"zone{hint}: set time_zone to the zone of the account's profile."
        )
        raise ZoneError(message)

    def _require_not_ahead(
        self, frame: _Frame, table: Table, rows: Sequence[Row], seen: datetime
    ) -> None:
        """Refuse rows ahead of the clock in a second entity: they are read in a wrong zone.

        Those of a single one may well be dated ahead.
        """
        for row in reversed(rows):
            value = row[table.replication_key or ""]
            ahead = self._instants.read(value) - seen
            if ahead <= MAX_NEAR_DISTANCE:
                return
            if ahead <= MAX_SHIFT:
                break
        else:
            return
        frame.ahead.add(table.entity_set)
        if len(frame.ahead) > 1:
            names = " and ".join(sorted(frame.ahead))
            message = (
                f"Acumatica shows rows of {names} as changed later than its clock says (such as "
                f"{value} at {edm.instant_literal(seen)}): the tap reads them in another time zone "
                "than they are in. Best set the account's profile to UTC; otherwise set time_zone "
                "to the zone of the account's profile, and ignore_offsets if the values carry an "
                "offset."
            )
            raise ZoneError(message)

    def _round_trip(self, table: Table, fetch: Fetch, newest: Row) -> bool:
        """Request rows again by the instant that they display, until the server finds one.

        Rows that change in the meantime prove nothing, so rows are preferred that have not changed
        for a day.

        Returns:
            Whether one was found.

        Raises:
            ZoneError: One was not found, although it is unchanged.
        """
        for row, source in self._witnesses(table, fetch, newest):
            found = self._is_found(table, fetch, row, source)
            if found:
                return True
            if found is False:
                value = row[table.replication_key or ""]
                raise ZoneError.of_row(value, edm.instant_literal(self._instants.read(value)))
        return False

    def _is_found(self, table: Table, fetch: Fetch, row: Row, source: Query) -> bool | None:
        """Whether the server finds a row by the instant that it displays; None: that is not sure.

        Without a key it may find another row, but one that displays that instant, too.
        """
        replication_key = table.replication_key or ""
        value = row[replication_key]
        instant = self._instants.read(value)
        if not self._instants.is_unambiguous(value) or instant < EARLIEST_EVIDENCE:
            return None
        found = self._row_at(table, fetch, row, instant)
        if found is None:
            if not self._is_unchanged(table, fetch, row, source):
                return None
            # Two transactions can take a row to another instant and back.
            found = self._row_at(table, fetch, row, instant)
            if found is None:
                return False
        found_value = found[replication_key]
        is_other = any(found[name] != row[name] for name in table.key)
        if is_other or not self._instants.is_unambiguous(found_value):
            return None
        return abs(self._instants.read(found_value) - instant) <= 2 * DISPLAY_MARGIN

    def _witnesses(self, table: Table, fetch: Fetch, newest: Row) -> Iterator[tuple[Row, Query]]:
        """Yield rows that have not changed for a day, newest first; at last one that has.

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
        older_rows = replace(newest_first, filter=condition, top=MAX_WITNESSES - 1)
        for row in fetch(older_rows).content.rows:
            yield row, older_rows
        if not newest_is_old:
            yield newest, newest_rows

    def _row_at(self, table: Table, fetch: Fetch, row: Row, instant: datetime) -> Row | None:
        """Request a row by its key, if it has one, and by the instant that it displays."""
        replication_key = table.replication_key or ""
        low, high = (table.instant(instant + d) for d in (-DISPLAY_MARGIN, DISPLAY_MARGIN))
        condition = all_of(
            *_key_conditions(table, row),
            f"{replication_key} ge {low}",
            f"{replication_key} le {high}",
        )
        # Without a key, any row is good that displays the instant, even one that is too large.
        rows = fetch(replace(table.narrow().query(condition), top=1)).content.rows
        return rows[0] if rows else None

    def _is_unchanged(self, table: Table, fetch: Fetch, row: Row, source: Query) -> bool:
        """Whether the row still displays its instant when requested without it."""
        if not table.key:
            return row in fetch(source).content.rows
        query = _narrow(table).query(*_key_conditions(table, row))
        return row in fetch(replace(query, top=1)).content.rows


def _narrow(table: Table) -> Table:
    """Return the table with only the columns that identify a row and date it."""
    return table.narrow() if table.key else table


def _key_conditions(table: Table, row: Row) -> list[str]:
    return [f"{name} eq {table.literal(name, row[name])}" for name in table.key]
