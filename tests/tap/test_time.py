"""Time zones, clocks and offsets, over HTTP."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pytest
from support.running import NOW, discover, run, select_all, settings_for

from sandbox import Sandbox
from tap_acumatica.odata.errors import AcumaticaError, SettingsError

if TYPE_CHECKING:
    from sandbox.quirks import Literals, Shown

ORDERS = "PX_Objects_SO_SOOrder"
TERMS = "PX_Objects_CS_Terms"
STAMP = "LastModifiedDateTime"
WRONG = timedelta(hours=3)
ZONES = ("UTC", "America/New_York", "Asia/Kathmandu")


def expected_instant(stored: datetime, zone: str, shown: str, config: dict[str, Any]) -> datetime:
    """The instant that the tap must read for a stored one, by the page of the settings."""
    wall = stored.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    configured = ZoneInfo(config.get("time_zone", "UTC"))
    if shown == "naive":
        return wall.replace(tzinfo=configured)
    if config.get("ignore_offsets"):
        clock = stored.replace(tzinfo=None) if shown == "utc" else wall
        return clock.replace(tzinfo=configured)
    return {
        "utc": stored,
        "offset": stored,
        "wrong_offset": wall.replace(tzinfo=UTC) - WRONG,
        "wall_z": wall.replace(tzinfo=UTC),
    }[shown]


def is_found(stored: datetime, zone: str, literals: str, instant: datetime) -> bool:
    """Whether a filter by an instant finds the row with the stored one."""
    if literals == "instant":
        return instant == stored
    wall = stored.astimezone(ZoneInfo(zone)).replace(tzinfo=UTC)
    return instant.astimezone(UTC) == wall


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("shown", ["utc", "offset", "wrong_offset", "wall_z", "naive"])
@pytest.mark.parametrize("literals", ["instant", "wall"])
@pytest.mark.parametrize("locale", ["account", None])
def test_what_disagrees_is_refused_and_what_agrees_is_read(
    zone: str, shown: Shown, literals: Literals, locale: str | None
) -> None:
    configs: list[dict[str, Any]] = [{}, {"time_zone": zone}]
    configs.append({"time_zone": zone, "ignore_offsets": True})
    configs.append({"time_zone": "Asia/Tokyo", "ignore_offsets": True})
    with Sandbox(now=NOW, time_zone=zone, shown=shown, literals=literals, locale=locale) as box:
        stored = datetime(2024, 5, 1, 12, tzinfo=UTC)
        for config in configs:
            output = run(settings_for(box, TERMS, **config))
            instant = expected_instant(stored, zone, shown, config)
            agrees = is_found(stored, zone, literals, instant)
            if agrees and not isinstance(output.error, SettingsError):
                assert output.error is None, config
                assert len(output.records()) == len(box.rows(TERMS))
            elif agrees:
                assert shown == "naive"
                assert not config, "the zone is set, so it is not requested"
                assert "set time_zone" in str(output.error)
            else:
                assert isinstance(output.error, AcumaticaError), config
                assert output.records() == []


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kathmandu"])
def test_the_right_zone_gives_the_right_instants(zone: str) -> None:
    with Sandbox(now=NOW) as box:
        instants = {
            (r["OrderNbr"], r["OrderType"]): datetime.fromisoformat(str(r[STAMP]))
            for r in box.rows(ORDERS)
        }
    variants: list[tuple[Shown, dict[str, Any]]] = [
        ("naive", {"time_zone": zone}),
        ("offset", {}),
        ("wall_z", {"time_zone": zone, "ignore_offsets": True}),
    ]
    for shown, config in variants:
        with Sandbox(now=NOW, time_zone=zone, shown=shown) as box:
            output = run(settings_for(box, ORDERS, **config))
            assert output.error is None
            for record in output.records():
                stamp = datetime.fromisoformat(record[STAMP])
                assert stamp == instants[record["OrderNbr"], record["OrderType"]]


@pytest.mark.parametrize(
    "now",
    [
        "2026-03-08T06:30:00Z",
        "2026-03-08T07:30:00Z",
        "2026-11-01T05:30:00Z",
        "2026-11-01T06:30:00Z",
    ],
)
@pytest.mark.parametrize("shown", ["naive", "offset"])
def test_nothing_is_lost_across_a_change_of_the_clocks(now: str, shown: Shown) -> None:
    zone = "America/New_York"
    with Sandbox(now=now, time_zone=zone, shown=shown) as box:
        settings = settings_for(box, TERMS, time_zone=zone, time_offset=0)
        catalog = select_all(discover(settings))
        state: dict[str, Any] = {}
        delivered: dict[str, str] = {}
        for step in range(8):
            box.insert(TERMS, {"TermsID": f"T{step}", "Descr": str(step)})
            box.update(TERMS, {"TermsID": f"T{step // 2}"}, {"Descr": f"again {step}"})
            box.clock.advance(1000)
            output = run(settings, catalog=catalog, state=state)
            assert output.error is None
            state = output.state
            delivered |= {r["TermsID"]: r["Descr"] for r in output.records()}
        assert delivered == {r["TermsID"]: r["Descr"] for r in box.rows(TERMS)}


@pytest.mark.parametrize(
    ("seconds", "again"), [(0, False), (599, False), (601, True), (3600, True)]
)
def test_the_time_offset_is_the_look_back(seconds: int, again: bool) -> None:
    with Sandbox(now=NOW) as box:
        box.insert(TERMS, {"TermsID": "NEW"})
        box.clock.advance(600)
        settings = settings_for(box, TERMS, time_offset=seconds)
        catalog = select_all(discover(settings))
        first = run(settings, catalog=catalog)
        box.clock.advance(60)
        second = run(settings, catalog=catalog, state=first.state)
        assert ("NEW" in {r["TermsID"] for r in second.records()}) == again


def test_instants_come_in_utc_or_as_they_are_shown_and_dates_keep_their_day() -> None:
    zone = "Asia/Kathmandu"
    with Sandbox(now=NOW, time_zone=zone, shown="offset") as box:
        stored: dict[Any, Any] = {r["OrderNbr"]: r for r in box.rows(ORDERS)}
        converted = run(settings_for(box, ORDERS)).records()
        unconverted = run(settings_for(box, ORDERS, convert_to_utc=False)).records()
    for record in converted:
        original = stored[record["OrderNbr"]]["CreatedDateTime"]
        if original:
            assert datetime.fromisoformat(record["CreatedDateTime"]) == datetime.fromisoformat(
                original
            )
            assert record["CreatedDateTime"].endswith("Z")
        day = stored[record["OrderNbr"]]["OrderDate"]
        assert record["OrderDate"][:10] == day[:10]
    for record in unconverted:
        created, original = record["CreatedDateTime"], stored[record["OrderNbr"]]["CreatedDateTime"]
        assert datetime.fromisoformat(created) == datetime.fromisoformat(original)
        assert created.endswith("+05:45")


def test_a_lying_cookie_does_not_prove_a_zone() -> None:
    with Sandbox(
        now=NOW, time_zone="America/New_York", shown="naive", locale="TimeZone=GMTP0900T"
    ) as box:
        output = run(settings_for(box, TERMS))
        assert isinstance(output.error, SettingsError)
        assert "+9" in str(output.error)
        output = run(settings_for(box, TERMS, time_zone="America/New_York"))
        assert output.error is None
        bookmark = output.state["bookmarks"][TERMS]["replication_key_value"]
        assert datetime.fromisoformat(bookmark) < box.clock.now(), "by the rows, not by the clock"


@pytest.mark.parametrize("year", [1, 9999])
def test_clocks_at_the_ends_of_the_calendar_end_no_run(year: int) -> None:
    with Sandbox(now=datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC), rows=5) as box:
        output = run(settings_for(box, TERMS))
        assert output.error is None
        assert len(output.records()) == len(box.rows(TERMS))
