"""Quirks: permanent switches for what is unknown of the server or differs between releases."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypedDict
from zoneinfo import ZoneInfo

from sandbox.filters import parse_instant
from sandbox.query import ReadSettings
from sandbox.values import instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.http import Shape
    from sandbox.model import Column

Shown = Literal["utc", "offset", "wrong_offset", "wall_z", "naive"]
Literals = Literal["instant", "wall"]
Fractions = Literal["exact", "cut_10ms", "cut_seconds", "round_seconds"]

# Acumatica's codes of time zones; three are recorded, the others reported.
ZONES = {
    "GMTE0000U": "UTC",
    "GMTM0500G": "America/New_York",
    "GMTE0000K": "Europe/London",
    "GMTP0300M": "Europe/Moscow",
    "GMTP0545A": "Asia/Kathmandu",
    "GMTP0100A": "Europe/Berlin",
}
CODES = {zone: code for code, zone in ZONES.items()}
INSTANT_TEMPLATE = """coalesce('"'||format_instant({0},{date},'%s')||'"','null')"""
ADDRESSES = ("t/dac", "t/gi", "odatav4", "odata")


class Switches(TypedDict, total=False):
    """The fields of :class:`Quirks` as keyword arguments of the sandbox."""

    time_zone: str
    locale: str | None
    shown: Shown
    wrong_offset: str
    literals: Literals
    fractions: Fractions
    skew: Sequence[float]
    nulls_last: bool
    annotations: bool
    restricted_returned: bool
    refusal_shape: Shape
    max_sessions: int | None
    lockout: int | None
    requests_per_minute: int | None
    queue_delay: float
    maintenance: bool
    odata: bool
    release: str | None
    shown_in_inquiries: Shown
    shown_in_odata3: Shown
    text_numbers: bool
    addresses: Sequence[str]
    tells_deletions: bool
    untracked: int


@dataclass
class Quirks:
    """The quirks of a server; by default, those of a current server with an account in UTC.

    Attributes:
        time_zone: The account's time zone: Acumatica's code or the IANA name.
        locale: Time zone in the ``Locale`` cookie: ``account`` for the account's zone, None for no
            cookie; any other text is sent as it is.
        shown: Format of instants: ``utc`` with Z; or the account's wall clock with its ``offset``,
            with a ``wrong_offset``, with a false Z (``wall_z``), or without an offset (``naive``).
        wrong_offset: The offset that ``wrong_offset`` shows.
        literals: Whether instants in filters are read as instants, or as wall clock times whose
            offset is ignored.
        fractions: How the fraction of a shown instant is rounded; filters and order use the exact
            one.
        skew: Seconds by which the Date headers of successive responses are off, in turn.
        nulls_last: Whether nulls are sorted last.
        annotations: Whether the metadata declares which columns may not be filtered.
        restricted_returned: Whether rows without ``$select`` hold restricted columns, as nulls.
        refusal_shape: Shape of the body of refusals.
        max_sessions: Number of sessions that the licence allows, or None for no limit.
        lockout: Number of wrong passwords in a row that lock the account, or None for no lockout.
        requests_per_minute: Number of requests that the licence allows, or None for no limit; those
            past half of the limit are delayed, those past the limit are declined.
        queue_delay: Seconds by which a request is delayed.
        maintenance: Whether every request is answered with the maintenance page.
        odata: Whether the OData interface is switched on.
        release: Release that ``/entity`` reports, or None for an older one that reports none.
        shown_in_inquiries: Like ``shown``, for inquiries in OData 4.
        shown_in_odata3: Like ``shown``, for inquiries in OData 3.
        text_numbers: Whether inquiries in OData 4 return decimals as strings, as in the
            documentation's examples.
        addresses: Forms of addresses that the server answers, out of ``ADDRESSES``.
        tells_deletions: Whether the release has ``px.GetDeletedRecords()``.
        untracked: Status of that function for a class that is not tracked: 400, 404 or 501.
    """

    time_zone: str = "UTC"
    locale: str | None = "account"
    shown: Shown = "utc"
    wrong_offset: str = "+03:00"
    literals: Literals = "instant"
    fractions: Fractions = "exact"
    skew: Sequence[float] = ()
    nulls_last: bool = False
    annotations: bool = True
    restricted_returned: bool = False
    refusal_shape: Shape = "message"
    max_sessions: int | None = None
    lockout: int | None = 5
    requests_per_minute: int | None = None
    queue_delay: float = 0.0
    maintenance: bool = False
    odata: bool = True
    release: str | None = "26.101.0225"
    shown_in_inquiries: Shown = "utc"
    shown_in_odata3: Shown = "naive"
    text_numbers: bool = False
    addresses: Sequence[str] = ADDRESSES
    tells_deletions: bool = True
    untracked: int = 404

    def __post_init__(self) -> None:
        """Refuse an unknown time zone at once."""
        _ = self.zone

    @property
    def zone(self) -> ZoneInfo:
        """The account's time zone."""
        return ZoneInfo(ZONES.get(self.time_zone, self.time_zone))

    @property
    def cookie(self) -> str | None:
        """Time zone in the ``Locale`` cookie, or None for no cookie."""
        if self.locale == "account":
            return CODES.get(self.time_zone, self.time_zone)
        return self.locale

    def read_settings(self, shown: Shown | None = None) -> ReadSettings:
        """Return how tables are read; ``shown`` overrides the field."""
        shown = shown or self.shown
        exact_utc = shown == "utc" and self.fractions == "exact"
        return ReadSettings(
            instant_template=None if exact_utc else INSTANT_TEMPLATE % shown,
            parse_instant=parse_instant if self.literals == "instant" else self.parse_wall_clock,
            nulls_last=self.nulls_last,
            restricted_returned=self.restricted_returned,
        )

    def parse_wall_clock(self, text: str, column: Column | None = None) -> str:
        """Return the stored text of a literal instant, ignoring its offset."""
        parse_instant(text)
        wall = datetime.fromisoformat(text).replace(tzinfo=None)
        if column is not None and column.declared.is_date:
            return instant(wall)
        return instant(wall.replace(tzinfo=self.zone))

    def format_instant(self, stored: str, is_date: int, shown: str) -> str:
        """Return the text of a stored instant on the wire; a pure date keeps its day."""
        moment = round_fraction(datetime.fromisoformat(stored), self.fractions).replace(tzinfo=UTC)
        if shown == "utc":
            return wall_clock(moment) + "Z"
        local = moment.replace(tzinfo=self.zone) if is_date else moment.astimezone(self.zone)
        suffixes = {
            "offset": format_offset(local.utcoffset()),
            "wrong_offset": self.wrong_offset,
            "wall_z": "Z",
            "naive": "",
        }
        return wall_clock(local) + suffixes[shown]


def round_fraction(moment: datetime, fractions: Fractions) -> datetime:
    """Round or cut the fraction of an instant."""
    if fractions == "cut_10ms":
        return moment.replace(microsecond=moment.microsecond // 10_000 * 10_000)
    if fractions == "round_seconds":
        moment += timedelta(microseconds=500_000)
    return moment if fractions == "exact" else moment.replace(microsecond=0)


def wall_clock(moment: datetime) -> str:
    """Return the wall clock time of an instant, without trailing zeros."""
    wall = moment.replace(tzinfo=None).isoformat(timespec="microseconds")
    return wall.rstrip("0").rstrip(".")


@lru_cache(maxsize=64)
def format_offset(offset: timedelta | None) -> str:
    """Format an offset as ``+hh:mm``; the odd seconds of old local times are left out."""
    seconds = int((offset or timedelta()).total_seconds())
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
