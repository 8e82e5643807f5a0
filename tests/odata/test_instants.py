"""Date-time values mean the right instant, with and without an offset, in every zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.instants import (
    InstantReader,
    account_offset,
    account_zone,
    bookmark_text,
    minus,
    plus,
)
from tap_acumatica.odata.zones import ZONES as CODES

ZONES = ["UTC", "Europe/Oslo", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"]
# Far from the limits of datetime, which an offset could exceed.
WALL_CLOCKS = st.datetimes(min_value=datetime(3, 1, 1), max_value=datetime(9990, 1, 1))  # noqa: DTZ001
DAY = timedelta(days=1)
OFFSETS = st.integers(-14 * 60, 14 * 60)
OSLO = InstantReader(pendulum.timezone("Europe/Oslo"))


def trimmed(moment: datetime) -> str:
    """Write an instant as servers do, without trailing zeros in the fraction."""
    text = moment.replace(tzinfo=None).isoformat()
    return text.rstrip("0") if "." in text else text


def offset_text(minutes: int) -> str:
    sign = "-" if minutes < 0 else "+"
    return f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


@given(WALL_CLOCKS, OFFSETS, st.sampled_from(ZONES))
def test_an_offset_decides_whatever_the_zone(wall: datetime, minutes: int, zone: str) -> None:
    reader = InstantReader(pendulum.timezone(zone))
    value = trimmed(wall) + offset_text(minutes)
    expected = wall - timedelta(minutes=minutes)
    assert reader.read(value).replace(tzinfo=None) == expected
    assert reader.read(value).tzinfo is UTC
    assert reader.offset(value) == timedelta(minutes=minutes)
    assert reader.has_offset(value)
    assert reader.is_unambiguous(value)


NEAR = st.datetimes(min_value=datetime(2026, 3, 1), max_value=datetime(2026, 3, 2))  # noqa: DTZ001
ENDS = st.sampled_from(["Z", "+02:00", "-05:30", ""])


@given(
    st.lists(NEAR, max_size=4).map(sorted) | st.lists(NEAR, max_size=3),
    ENDS,
    st.lists(st.none() | ENDS, min_size=4, max_size=4) | st.just([None] * 4),
    st.sampled_from(ZONES),
    st.booleans(),
)
def test_values_that_are_known_to_be_in_order_are(
    walls: list[datetime], end: str, ends: list[str | None], zone: str, ignores: bool
) -> None:
    reader = InstantReader(pendulum.timezone(zone), ignores)
    shown = [end if each is None else each for each in ends]
    values = [trimmed(wall) + each for wall, each in zip(walls, shown, strict=False)]
    seconds = [reader.read(value).replace(microsecond=0) for value in values]
    known = reader.in_order(values)
    assert not known or seconds == sorted(seconds)
    if values and {*shown} in ({"Z"}, {"+02:00"}) and not ignores:
        assert known == (seconds == sorted(seconds))
    assert not reader.in_order([*values, None])


@given(WALL_CLOCKS, st.sampled_from(ZONES))
def test_a_value_without_an_offset_is_read_in_the_zone(wall: datetime, zone: str) -> None:
    reader = InstantReader(pendulum.timezone(zone))
    around = [(wall + day).replace(tzinfo=ZoneInfo(zone)).utcoffset() for day in (-DAY, DAY)]
    moments = [(wall - offset).replace(tzinfo=UTC) for offset in around if offset is not None]
    candidates = [m for m in moments if m.astimezone(ZoneInfo(zone)).replace(tzinfo=None) == wall]
    # An hour that clocks leave out never shows; the offset before it counts.
    expected = min(candidates) if candidates else moments[0]
    assert reader.read(trimmed(wall)) == expected
    assert reader.offset(trimmed(wall)) == wall.replace(tzinfo=UTC) - expected
    assert not reader.has_offset(trimmed(wall))


@given(WALL_CLOCKS, OFFSETS, st.sampled_from(ZONES))
def test_a_wrong_label_can_be_ignored(wall: datetime, minutes: int, zone: str) -> None:
    reader = InstantReader(pendulum.timezone(zone), ignore_offsets=True)
    labelled = trimmed(wall) + offset_text(minutes)
    assert reader.read(labelled) == InstantReader(reader.zone).read(trimmed(wall))
    assert reader.offset(labelled) == reader.offset(trimmed(wall))
    assert not reader.has_offset(labelled)


def test_the_release_that_labelled_utc_with_three_hours_can_be_read() -> None:
    value = "2021-09-20T21:07:59.13+03:00"
    assert InstantReader().read(value) == datetime(2021, 9, 20, 18, 7, 59, 130000, tzinfo=UTC)
    reader = InstantReader(ignore_offsets=True)
    assert reader.read(value) == datetime(2021, 9, 20, 21, 7, 59, 130000, tzinfo=UTC)


@pytest.mark.parametrize("fraction", ["", ".5", ".57", ".123", ".123456", ".1234567"])
def test_fractions_of_any_length_are_read(fraction: str) -> None:
    instant = InstantReader().read(f"2022-09-14T21:26:36{fraction}Z")
    microseconds = int((fraction[1:] + "000000")[:6])
    assert instant == datetime(2022, 9, 14, 21, 26, 36, microseconds, tzinfo=UTC)


@pytest.mark.parametrize("value", ["", "yesterday", "2024-13-01T00:00:00Z", "null", "20:00"])
def test_what_is_no_date_time_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        InstantReader().read(value)


@pytest.mark.parametrize(
    "value", ["0001-01-01T00:00:00+03:00", "9999-12-31T23:59:59.999-05:00", "0001-01-01T00:00:00"]
)
def test_the_ends_of_time_are_read(value: str) -> None:
    for reader in (OSLO, InstantReader(), InstantReader(OSLO.zone, ignore_offsets=True)):
        assert reader.read(value).year in {1, 9999}


def test_an_hour_that_shows_twice_is_read_as_the_earlier_and_not_certain() -> None:
    value = "2024-10-27T02:30:00"
    assert OSLO.read(value) == datetime(2024, 10, 27, 0, 30, tzinfo=UTC)
    assert OSLO.read(value, later=True) == datetime(2024, 10, 27, 1, 30, tzinfo=UTC)
    assert not OSLO.is_unambiguous(value)
    assert OSLO.is_unambiguous(value + "+02:00")
    assert OSLO.is_unambiguous("2024-10-27T03:30:00")


def test_an_hour_that_is_left_out_is_not_certain() -> None:
    assert not OSLO.is_unambiguous("2024-03-31T02:30:00")
    assert OSLO.is_unambiguous("2024-03-31T03:30:00")


def test_labels_that_are_ignored_make_nothing_certain() -> None:
    reader = InstantReader(OSLO.zone, ignore_offsets=True)
    assert not reader.is_unambiguous("2024-10-27T02:30:00+01:00")


@given(WALL_CLOCKS)
def test_all_is_certain_in_utc(wall: datetime) -> None:
    assert InstantReader().is_unambiguous(trimmed(wall))


@given(st.lists(st.datetimes(timezones=st.just(UTC)), min_size=2, max_size=2))
def test_written_instants_sort_as_instants_do(moments: list[datetime]) -> None:
    first, second = moments
    assert (bookmark_text(first) < bookmark_text(second)) == (first < second)
    assert datetime.fromisoformat(bookmark_text(first)) == first
    assert len(bookmark_text(first)) == len("2024-02-01T08:00:00.330000+00:00")


@given(WALL_CLOCKS, OFFSETS)
def test_the_same_instant_is_written_the_same(wall: datetime, minutes: int) -> None:
    moment = wall.replace(tzinfo=UTC)
    assert bookmark_text(moment.astimezone(timezone(timedelta(minutes=minutes)))) == bookmark_text(
        moment
    )


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        ("TimeZone=GMTE0000U&Culture=en-US", timedelta(0)),
        ("TimeZone=GMTM0500G&Culture=en-US", timedelta(hours=-5)),
        ("TimeZone=GMTP0300M&Culture=en-US", timedelta(hours=3)),
        ("TimeZone=GMTP0545G&Culture=en-US", timedelta(hours=5, minutes=45)),
        ("Culture=en-US&TimeZone=GMTP0300M", timedelta(hours=3)),
        ("TimeZone=Nonsense", None),
        ("", None),
        (None, None),
    ],
)
def test_the_cookie_names_the_zone_of_the_account(
    cookie: str | None, expected: timedelta | None
) -> None:
    assert account_offset(cookie) == expected


@pytest.mark.parametrize(
    ("code", "winter", "summer"),
    [
        ("GMTE0000U", 0, 0),
        ("GMTE0000K", 0, 1),
        ("GMTE0000B", 0, 0),
        ("GMTM0500G", -5, -4),
        ("GMTM0500A", -5, -5),
        ("GMTP0900T", 9, 9),
    ],
)
def test_the_code_names_the_zone_with_its_daylight_saving(
    code: str, winter: int, summer: int
) -> None:
    for month, hours in ((1, winter), (7, summer)):
        moment = datetime(2026, month, 1, tzinfo=UTC)
        assert account_offset(f"TimeZone={code}", moment) == timedelta(hours=hours)


@pytest.mark.parametrize("code", CODES)
def test_each_code_has_the_offset_that_it_says(code: str) -> None:
    zone = account_zone(f"Culture=en-US&TimeZone={code}")
    assert zone is not None
    years = [datetime(2026, month, 1, tzinfo=UTC) for month in (1, 4, 7, 10)]
    offsets = {moment.astimezone(zone).utcoffset() for moment in years}
    said = account_offset(f"TimeZone={code}")
    assert said is not None
    # Some of these zones have changed their time since the codes were given.
    assert min(abs(offset - said) for offset in offsets if offset is not None) <= timedelta(hours=1)


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("2026-06-01T12:00:00Z", "Z"),
        ("2026-06-01T12:00:00.33+03:00", "offset"),
        ("2026-06-01T12:00:00-05:00", "offset"),
        ("2026-06-01T12:00:00.1", ""),
    ],
)
def test_a_value_shows_its_zone_in_one_of_three_ways(value: str, label: str) -> None:
    assert InstantReader().label(value) == label


@given(st.datetimes(timezones=st.just(UTC)), st.timedeltas(timedelta(0)))
def test_instants_end_with_the_calendar(moment: datetime, by: timedelta) -> None:
    assert minus(moment, by) <= moment <= plus(moment, by)
    assert {minus(moment, by).tzinfo, plus(moment, by).tzinfo} == {UTC}
    assert moment - minus(moment, by) == by or minus(moment, by).year == 1
    assert plus(moment, by) - moment == by or plus(moment, by).year == 9999
