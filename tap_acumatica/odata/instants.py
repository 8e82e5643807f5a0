"""Instants: reading date-time values, writing bookmarks, and the time zone in the server's cookie.

Facts: docs/acumatica.md, "Date-times and time zones".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from operator import gt
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tap_acumatica.odata.zones import ZONES

if TYPE_CHECKING:
    from collections.abc import Sequence

DISPLAY_MARGIN: Final = timedelta(seconds=1)
"""Maximum distance of a displayed value from the stored one: servers cut or round fractions."""

DAY: Final = timedelta(days=1)

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
_LATEST: Final = datetime.max.replace(tzinfo=UTC)
_ZONE_CODE: Final = re.compile(r"TimeZone=(GMT([EMP])(\d\d)(\d\d)\w*)")
_SIGNS: Final = {"E": 0, "P": 1, "M": -1}
_LENGTH_TO_SECONDS: Final = len("2024-02-01T08:00:00")
_LENGTH_OF_OFFSET: Final = len("+02:00")
_OFFSET: Final = re.compile(r"[+-]\d\d:\d\d")


@dataclass(frozen=True, slots=True)
class InstantReader:
    """Reads date-time values as instants.

    Attributes:
        zone: The time zone of values without an offset.
        ignore_offsets: Whether to read values with an offset as wall-clock time in the zone too.
    """

    zone: tzinfo = UTC
    ignore_offsets: bool = False

    def read(self, value: str, *, later: bool = False) -> datetime:
        """Return the instant in UTC.

        Args:
            value: The date-time value.
            later: Whether wall-clock time that occurs twice means the later instant, not the
                earlier one.

        Raises:
            ValueError: The value is not a date-time.
        """
        moment = datetime.fromisoformat(value)
        if later:
            moment = moment.replace(fold=1)
        if moment.tzinfo is None or self.ignore_offsets:
            moment = moment.replace(tzinfo=self.zone)
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            return moment.replace(tzinfo=UTC)

    def is_unambiguous(self, value: str) -> bool:
        """Whether the value means one instant only, as all do except those in a clock change."""
        if self.zone is UTC:
            return True
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None and not self.ignore_offsets:
            return True
        moment = moment.replace(tzinfo=self.zone)
        return moment.utcoffset() == moment.replace(fold=1).utcoffset()

    def in_order(self, values: Sequence[str | None]) -> bool:
        """Whether the values are known to be in ascending order, to the second.

        Only compares texts, which is fast, and returns False if that cannot decide.
        """
        if self.ignore_offsets or not values or None in values:
            return False
        texts: Sequence[str] = values  # type: ignore[assignment] # none is None
        if {text[-1:] for text in texts} != {"Z"}:
            offset, *others = {text[-_LENGTH_OF_OFFSET:] for text in texts}
            if others or not _OFFSET.fullmatch(offset):
                return False
        seconds = [text[:_LENGTH_TO_SECONDS] for text in texts]
        return not any(map(gt, seconds, seconds[1:]))

    def label(self, value: str) -> str:
        """Return how the value shows its zone: "Z", an "offset" or, without one, ""."""
        if value[-1:] in {"Z", "z"}:
            return "Z"
        return "offset" if datetime.fromisoformat(value).tzinfo else ""

    def offset(self, value: str) -> timedelta | None:
        """Return the offset from UTC with which the value is read."""
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None or self.ignore_offsets:
            moment = moment.replace(tzinfo=self.zone)
        return moment.utcoffset()

    def has_offset(self, value: str) -> bool:
        """Whether the value is read with an offset of its own."""
        return not self.ignore_offsets and datetime.fromisoformat(value).tzinfo is not None


def in_utc(text: str) -> datetime:
    """Return the instant in a setting or state; text without an offset is in UTC.

    Raises:
        ValueError: The text is not a date-time, or one that UTC cannot represent.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        message = f"{text!r} is out of range for a date-time in UTC"
        raise ValueError(message) from error


def minus(moment: datetime, by: timedelta = DISPLAY_MARGIN) -> datetime:
    """Return the instant that much earlier, but not below the earliest possible one."""
    return moment - min(by, moment - _EARLIEST)


def plus(moment: datetime, by: timedelta) -> datetime:
    """Return the instant that much later, but not above the latest possible one."""
    return moment + min(by, _LATEST - moment)


def bookmark_text(moment: datetime) -> str:
    """Return an instant as text of fixed width, for bookmarks: such texts sort like instants."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def latest(*instants: datetime | None) -> datetime | None:
    """Return the latest instant, or None if all are None."""
    return max((instant for instant in instants if instant), default=None)


def account_zone(cookie: str | None) -> tzinfo | None:
    """Return the zone that a `Locale=TimeZone=...` cookie names; None if the code is not known."""
    match = _ZONE_CODE.search(cookie or "")
    name = ZONES.get(match[1]) if match else None
    try:
        return ZoneInfo(name) if name else None
    except ZoneInfoNotFoundError:
        return None


def account_offset(cookie: str | None, at: datetime | None = None) -> timedelta | None:
    """Return the offset from UTC that a `Locale=TimeZone=...` cookie tells.

    Args:
        cookie: The cookie's value, or None.
        at: The instant at which the zone has the offset; None, as for codes that are not known:
            without daylight saving.
    """
    zone = account_zone(cookie)
    if zone and at:
        return at.astimezone(zone).utcoffset()
    match = _ZONE_CODE.search(cookie or "")
    if not match:
        return None
    _, sign, hours, minutes = match.groups()
    return _SIGNS[sign] * timedelta(hours=int(hours), minutes=int(minutes))
