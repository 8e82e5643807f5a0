"""The server's clock: real time, or an instant that stands still until it is moved."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

TICK = 300  # per second: SQL Server stores a datetime in steps of 1/300 s


def to_utc(value: datetime | str) -> datetime:
    """Convert an instant to UTC; one without an offset is taken as UTC."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def sql_server(moment: datetime) -> datetime:
    """Cut an instant to the precision of a SQL Server datetime: milliseconds end in 0, 3 or 7."""
    tick = moment.microsecond * TICK // 1_000_000
    return moment.replace(microsecond=round(tick * 1000 / TICK) * 1000)


class Clock:
    """The server's clock, in UTC."""

    def __init__(self, now: datetime | str | None = None) -> None:
        self._fixed = None if now is None else to_utc(now)
        self._offset = timedelta()

    def now(self) -> datetime:
        """Return the current instant."""
        return datetime.now(UTC) + self._offset if self._fixed is None else self._fixed

    def set(self, moment: datetime | str) -> None:
        """Set the clock to an instant; a running clock continues from there."""
        if self._fixed is None:
            self._offset = to_utc(moment) - datetime.now(UTC)
        else:
            self._fixed = to_utc(moment)

    def advance(self, seconds: float) -> None:
        """Advance the clock by a number of seconds, which may be negative."""
        if self._fixed is None:
            self._offset += timedelta(seconds=seconds)
        else:
            self._fixed += timedelta(seconds=seconds)
