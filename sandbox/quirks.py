"""What is not known of the server, or differs between releases: switches that stay on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, TypedDict
from zoneinfo import ZoneInfo

from sandbox.filters import read_instant
from sandbox.query import Reading
from sandbox.values import instant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sandbox.http import Shape
    from sandbox.model import Column

Shown = Literal["utc", "offset", "wrong_offset", "wall_z", "naive"]
Literals = Literal["instant", "wall"]
Fractions = Literal["exact", "cut_10ms", "cut_seconds", "round_seconds"]

# Acumatica's names of zones; those beyond the three recorded ones follow their spelling.
ZONES = {
    "GMTE0000U": "UTC",
    "GMTM0500G": "America/New_York",
    "GMTP0300M": "Europe/Moscow",
    "GMTP0545G": "Asia/Kathmandu",
    "GMTP0100G": "Europe/Berlin",
}
CODES = {zone: code for code, zone in ZONES.items()}
SHOWN_JSON = """coalesce('"'||shown({0},{date},'%s')||'"','null')"""
ADDRESSES = ("t/dac", "t/gi", "odatav4", "odata")


class Switches(TypedDict, total=False):
    """The fields of :class:`Quirks`, as keywords of the sandbox."""

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


@dataclass
class Quirks:
    """The switches; as they stand here, the server is a current one with an account in UTC.

    Attributes:
        time_zone: The account's zone: Acumatica's code or the IANA name.
        locale: What the ``Locale`` cookie names: ``account`` the true zone, None no cookie at all,
            anything else is sent as it is.
        shown: How instants are written: ``utc`` with Z; the account's wall clock with its
            ``offset``, with a ``wrong_offset``, with a Z that is not true (``wall_z``), or
            ``naive``.
        wrong_offset: The label that ``wrong_offset`` puts.
        literals: Whether literals in filters are instants, or wall clock whatever their offset.
        fractions: What is shown of an instant's fraction; filters and order use all of it.
        skew: Seconds that the Date header of one answer after another is off.
        nulls_last: Whether nulls are sorted behind everything.
        annotations: Whether the metadata tells what may not be filtered.
        restricted_returned: Whether rows without ``$select`` hold restricted columns, as nulls.
        refusal_shape: The body of refusals.
        max_sessions: How many sessions the licence allows; None: any number.
        lockout: How many wrong passwords in a row lock the account; None: they never do.
        requests_per_minute: How many requests the licence allows; from half of them on each is
            delayed, and those past them are declined; None: any number.
        queue_delay: Seconds that a delayed request waits.
        maintenance: Whether all that is answered is the page that says so.
        odata: Whether the OData interface is switched on.
        release: What ``/entity`` tells of the release; None: an older one, which does not.
        shown_in_inquiries: As ``shown``, for inquiries in OData 4.
        shown_in_odata3: As ``shown``, for inquiries in OData 3.
        text_numbers: Whether decimals are strings in OData 4 too, as the documentation prints them.
        addresses: The families of addresses that answer, of ``ADDRESSES``.
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

    def __post_init__(self) -> None:
        """Refuse a zone that is none before anything is asked of the server."""
        _ = self.zone

    @property
    def zone(self) -> ZoneInfo:
        """The account's zone."""
        return ZoneInfo(ZONES.get(self.time_zone, self.time_zone))

    @property
    def cookie(self) -> str | None:
        """The zone that the ``Locale`` cookie names."""
        if self.locale == "account":
            return CODES.get(self.time_zone, self.time_zone)
        return self.locale

    def reading(self, shown: Shown | None = None) -> Reading:
        """How tables are read; ``shown`` stands in place of the field."""
        shown = shown or self.shown
        plain = shown == "utc" and self.fractions == "exact"
        return Reading(
            instant_json=None if plain else SHOWN_JSON % shown,
            read_literal=read_instant if self.literals == "instant" else self.read_wall,
            nulls_last=self.nulls_last,
            restricted_returned=self.restricted_returned,
        )

    def read_wall(self, text: str, column: Column | None = None) -> str:
        """The stored text of a literal whose offset is ignored."""
        read_instant(text)
        wall = datetime.fromisoformat(text).replace(tzinfo=None)
        if column is not None and column.declared.is_date:
            return instant(wall)
        return instant(wall.replace(tzinfo=self.zone))

    def show(self, stored: str, is_date: int, shown: str) -> str:
        """The wire text of a stored instant; a pure date stays the day it is."""
        moment = rounded(datetime.fromisoformat(stored), self.fractions).replace(tzinfo=UTC)
        if shown == "utc":
            return trimmed(moment) + "Z"
        local = moment.replace(tzinfo=self.zone) if is_date else moment.astimezone(self.zone)
        labels = {
            "offset": offset(local),
            "wrong_offset": self.wrong_offset,
            "wall_z": "Z",
            "naive": "",
        }
        return trimmed(local) + labels[shown]


def rounded(moment: datetime, fractions: Fractions) -> datetime:
    """An instant with what is shown of its fraction."""
    if fractions == "cut_10ms":
        return moment.replace(microsecond=moment.microsecond // 10_000 * 10_000)
    if fractions == "round_seconds":
        moment += timedelta(microseconds=500_000)
    return moment if fractions == "exact" else moment.replace(microsecond=0)


def trimmed(moment: datetime) -> str:
    """The wall clock of an instant, without trailing zeros."""
    wall = moment.replace(tzinfo=None).isoformat(timespec="microseconds")
    return wall.rstrip("0").rstrip(".")


def offset(moment: datetime) -> str:
    """The label of an instant's offset; the odd seconds of old local times are left out."""
    seconds = (moment.utcoffset() or timedelta()).total_seconds()
    return offset_label(int(seconds))


@lru_cache(maxsize=64)
def offset_label(seconds: int) -> str:
    """An offset as ``+hh:mm``."""
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02d}:{minutes % 60:02d}"
