"""Instants: which moment a value means, how it is written, and what the server's cookie says.

Facts: docs/acumatica.md, "Date-times and time zones".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from operator import gt
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

DISPLAY_MARGIN: Final = timedelta(seconds=1)
"""How far a displayed value may lie from the stored one: servers cut or round fractions."""

DAY: Final = timedelta(days=1)

_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_ZONE_CODE: Final = re.compile(r"TimeZone=GMT([EMP])(\d\d)(\d\d)")
_SIGNS: Final = {"E": 0, "P": 1, "M": -1}
_TO_THE_SECOND: Final = len("2024-02-01T08:00:00")
_CLOCK_CHANGE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class InstantReader:
    """Reads date-time values as instants.

    Attributes:
        zone: Of values that carry no offset.
        ignore_offsets: Read the wall clock of labelled values in the zone too.
    """

    zone: tzinfo = UTC
    ignore_offsets: bool = False

    def read(self, value: str) -> datetime:
        """The instant, in UTC. A wall clock that shows twice is read as the earlier time.

        Raises:
            ValueError: The value is no date-time.
        """
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None or self.ignore_offsets:
            moment = moment.replace(tzinfo=self.zone)
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            return moment.replace(tzinfo=UTC)

    def is_unambiguous(self, value: str) -> bool:
        """Whether the value means one instant, as all do but those in a clock change."""
        if self.zone is UTC:
            return True
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None and not self.ignore_offsets:
            return True
        moment = moment.replace(tzinfo=self.zone)
        return moment.utcoffset() == moment.replace(fold=1).utcoffset()

    def in_order(self, values: Sequence[str | None]) -> bool:
        """Whether the values are known to be in ascending order, but for parts of a second.

        Only such are looked at that need no calculation.
        """
        if self.zone is not UTC or self.ignore_offsets:
            return False
        seconds = [value[:_TO_THE_SECOND] for value in values if value and value[-1] == "Z"]
        return len(seconds) == len(values) and not any(map(gt, seconds, seconds[1:]))

    def offset(self, value: str) -> timedelta | None:
        """The offset from UTC that the value is read with."""
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None or self.ignore_offsets:
            moment = moment.replace(tzinfo=self.zone)
        return moment.utcoffset()

    def has_offset(self, value: str) -> bool:
        """Whether the value's own offset decides."""
        return not self.ignore_offsets and datetime.fromisoformat(value).tzinfo is not None


def in_utc(text: str) -> datetime:
    """The instant of a setting or a state; without an offset it is in UTC.

    Raises:
        ValueError: The text is no date-time, or one beyond what UTC can hold.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        message = f"{text!r} lies beyond what a date-time can be"
        raise ValueError(message) from error


def minus(moment: datetime, by: timedelta = DISPLAY_MARGIN) -> datetime:
    """The instant so much earlier; the first of all where there is none."""
    return max(moment, _FIRST + by) - by


def bookmark_text(moment: datetime) -> str:
    """An instant as bookmarks hold it: of fixed width, so that texts sort as instants do."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def latest(*instants: datetime | None) -> datetime | None:
    """The latest of the instants that there are."""
    return max((instant for instant in instants if instant), default=None)


def account_offset(cookie: str | None) -> timedelta | None:
    """The offset from UTC, without daylight saving, in a `Locale=TimeZone=...` cookie."""
    found = _ZONE_CODE.search(cookie or "")
    if not found:
        return None
    sign, hours, minutes = found.groups()
    return _SIGNS[sign] * timedelta(hours=int(hours), minutes=int(minutes))


def agrees(account: timedelta, offset: timedelta | None) -> bool:
    """Whether an offset fits the account's zone, in which clocks may be set forward by an hour."""
    return offset is not None and offset - account in {timedelta(0), _CLOCK_CHANGE}
