from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests

from sandbox import Quirks, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

STAMP = "2024-07-01T03:30:00.1266Z"
ROW = {"SubscriptionCD": "A", "LastModifiedDateTime": STAMP, "UsrRenewalDate": "2024-07-01"}


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now="2026-06-01T12:00:00Z", empty=True) as box:
        box.insert("Subscription", ROW)
        yield box


def get(box: Sandbox, **options: str) -> requests.Response:
    query = {f"${key}": value for key, value in options.items()}
    headers = {"Authorization": box.authorization}
    return requests.get(f"{box.url}/odatav4/Subscription", params=query, headers=headers, timeout=5)


def row(box: Sandbox) -> dict[str, object]:
    found = get(box, select="LastModifiedDateTime,UsrRenewalDate").json()["value"][0]
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    ("zone", "shown", "instant", "date"),
    [
        ("UTC", "utc", "2024-07-01T03:30:00.1266Z", "2024-07-01T00:00:00Z"),
        ("Asia/Kathmandu", "utc", "2024-07-01T03:30:00.1266Z", "2024-07-01T00:00:00Z"),
        (
            "America/New_York",
            "offset",
            "2024-06-30T23:30:00.1266-04:00",
            "2024-07-01T00:00:00-04:00",
        ),
        ("GMTP0545A", "offset", "2024-07-01T09:15:00.1266+05:45", "2024-07-01T00:00:00+05:45"),
        ("UTC", "wrong_offset", "2024-07-01T03:30:00.1266+03:00", "2024-07-01T00:00:00+03:00"),
        ("GMTM0500G", "wall_z", "2024-06-30T23:30:00.1266Z", "2024-07-01T00:00:00Z"),
        ("GMTM0500G", "naive", "2024-06-30T23:30:00.1266", "2024-07-01T00:00:00"),
    ],
)
def test_how_instants_are_written(
    box: Sandbox, zone: str, shown: str, instant: str, date: str
) -> None:
    box.quirks.time_zone = zone
    box.quirks.shown = shown  # type: ignore[assignment] # one of the words
    assert row(box) == {"LastModifiedDateTime": instant, "UsrRenewalDate": date}
    assert box.rows("Subscription")[0]["LastModifiedDateTime"] == STAMP


@pytest.mark.parametrize(
    ("fractions", "instant"),
    [
        ("exact", "2024-07-01T03:30:00.1266Z"),
        ("cut_10ms", "2024-07-01T03:30:00.12Z"),
        ("cut_seconds", "2024-07-01T03:30:00Z"),
        ("round_seconds", "2024-07-01T03:30:00Z"),
    ],
)
def test_what_is_shown_of_fractions(box: Sandbox, fractions: str, instant: str) -> None:
    box.quirks.fractions = fractions  # type: ignore[assignment] # one of the words
    assert row(box)["LastModifiedDateTime"] == instant
    found = get(box, filter="LastModifiedDateTime ge 2024-07-01T03:30:00.1266Z").json()
    assert len(found["value"]) == 1


def test_rounding_goes_up(box: Sandbox) -> None:
    box.quirks.fractions = "round_seconds"
    later = {"LastModifiedDateTime": "2024-07-01T03:30:59.5Z"}
    box.update("Subscription", {"SubscriptionCD": "A"}, later)
    assert row(box)["LastModifiedDateTime"] == "2024-07-01T03:31:00Z"


def test_literals_as_wall_clock(box: Sandbox) -> None:
    text = "LastModifiedDateTime eq 2024-06-30T23:30:00.1266Z"
    box.quirks.time_zone = "America/New_York"
    assert get(box, filter=text).json()["value"] == []
    box.quirks.literals = "wall"
    assert len(get(box, filter=text).json()["value"]) == 1
    same_day = "UsrRenewalDate eq 2024-07-01T00:00:00Z"
    assert len(get(box, filter=same_day).json()["value"]) == 1


def test_the_cookie_tells_the_zone_or_nothing_or_lies(box: Sandbox) -> None:
    box.quirks.time_zone = "Asia/Kathmandu"
    assert "Locale=TimeZone=GMTP0545A&" in get(box).headers["Set-Cookie"]
    box.quirks.locale = None
    assert "Locale" not in get(box).headers["Set-Cookie"]
    box.quirks.locale = "GMTE0000U"
    assert "Locale=TimeZone=GMTE0000U&" in get(box).headers["Set-Cookie"]


def test_the_clock_of_the_answers_jumps(box: Sandbox) -> None:
    box.quirks.skew = (0, -7, 60)
    dates = [get(box).headers["Date"][17:25] for _ in range(4)]
    assert dates == ["12:00:00", "11:59:53", "12:01:00", "12:00:00"]


def test_restrictions_may_go_untold(box: Sandbox) -> None:
    def metadata() -> str:
        headers = {"Authorization": box.authorization}
        return requests.get(f"{box.url}/odatav4/$metadata", headers=headers, timeout=5).text

    assert "FilterRestrictions" in metadata()
    box.quirks.annotations = False
    assert "FilterRestrictions" not in metadata()
    assert get(box, select="NoteText").status_code == 500


def test_restricted_columns_may_be_returned(box: Sandbox) -> None:
    box.quirks.restricted_returned = True
    assert get(box).json()["value"][0]["NoteText"] is None


def test_refusals_in_another_shape(box: Sandbox) -> None:
    box.quirks.refusal_shape = "odata.error"
    body = get(box, filter="Nope eq 1").json()
    assert "Could not find a property" in body["odata.error"]["message"]["value"]


def test_the_licence_is_full(box: Sandbox) -> None:
    box.quirks.max_sessions = 2
    assert [get(box).status_code for _ in range(3)] == [200, 200, 429]


def test_switches_are_keywords_and_control_fields() -> None:
    with Sandbox(empty=True, time_zone="GMTM0500G", shown="naive") as box:
        assert box.quirks == Quirks(time_zone="GMTM0500G", shown="naive")
        address = f"{box.url}/_control/quirks"
        answer = requests.post(address, json={"shown": "wall_z"}, timeout=5)
        assert answer.json()["result"]["shown"] == "wall_z"
        assert box.quirks.shown == "wall_z"
        assert requests.post(address, json={"nope": 1}, timeout=5).status_code == 400
