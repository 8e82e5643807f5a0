"""Bookmarks: how they are stored and read, and that they never move down by themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.reading.bookmarks import Bookmark, require_same_origin, require_shape

R = "LastModifiedDateTime"
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MOMENTS = st.datetimes(
    min_value=datetime(1900, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.integers(-840, 840).map(lambda m: timezone(timedelta(minutes=m))),
)
DAYS = st.none() | st.dates().map(str)
SCOPES = st.fixed_dictionaries(
    {}, optional={"include_archived": st.booleans(), "start_date": st.dates().map(str)}
)
COLUMNS = st.sampled_from(["", "Abc-12", "Abc-12d_Ef34"])
BOOKMARKS = st.builds(Bookmark, st.none() | MOMENTS, DAYS, SCOPES, COLUMNS)


@given(BOOKMARKS)
def test_what_was_stored_is_found_again(bookmark: Bookmark) -> None:
    state: dict[str, Any] = {"context": {"_tenant": "Company"}}
    bookmark.store(state, R)
    assert Bookmark.of(state, R) == bookmark
    assert state["context"] == {"_tenant": "Company"}


def test_a_bookmark_is_stored_in_utc_with_microseconds() -> None:
    state: dict[str, Any] = {}
    moment = datetime(2024, 2, 1, 11, 0, 0, 330000, timezone(timedelta(hours=3)))
    Bookmark(moment, "2024-02-01", {"include_archived": False}).store(state, R)
    assert state == {
        "replication_key": R,
        "replication_key_value": "2024-02-01T08:00:00.330000+00:00",
        "undated_rows_read_on": "2024-02-01",
        "scope": {"include_archived": False},
    }


@given(st.lists(MOMENTS, min_size=1))
def test_a_bookmark_never_moves_down(moments: list[datetime]) -> None:
    state: dict[str, Any] = {}
    for moment in moments:
        Bookmark(moment).store(state, R)
    assert Bookmark.of(state, R).instant == max(moments)


@pytest.mark.parametrize(
    ("held", "earlier"),
    [
        ("2026-06-01T12:00:00Z", False),
        ("2026-06-01T14:30:00+03:00", True),
        ("2026-06-01T11:30:00-03:00", False),
        ("2026-06-01T12:00:00.1+00:00", False),
        ("2026-06-01", True),
        ("2026-06-01T11:59:59", True),
    ],
)
def test_instants_are_compared_and_not_their_texts(held: str, earlier: bool) -> None:
    state = {"replication_key": R, "replication_key_value": held}
    before = Bookmark.of(state, R).instant
    Bookmark(NOON).store(state, R)
    assert Bookmark.of(state, R).instant == (NOON if earlier else before)


def test_a_bookmark_without_an_offset_is_in_utc() -> None:
    state = {"replication_key": R, "replication_key_value": "2026-06-01T12:00:00"}
    assert Bookmark.of(state, R).instant == NOON


def test_a_bookmark_of_another_replication_key_is_none() -> None:
    state: dict[str, Any] = {}
    Bookmark(NOON, "2026-06-01", {"include_archived": False}).store(state, R)
    assert Bookmark.of(state, "CreatedDateTime") == Bookmark()


def test_a_bookmark_of_another_replication_key_holds_nothing_up() -> None:
    """Otherwise all rows up to it would count as read."""
    state: dict[str, Any] = {}
    Bookmark(NOON).store(state, R)
    start = NOON - timedelta(days=1000)
    Bookmark(start).store(state, "CreatedDateTime")
    assert Bookmark.of(state, "CreatedDateTime").instant == start


@given(BOOKMARKS)
def test_a_bookmark_without_an_instant_starts_the_stream_anew(held: Bookmark) -> None:
    state: dict[str, Any] = {"context": {}}
    held.store(state, R)
    Bookmark(scope={"include_archived": False}).store(state, R)
    assert state == {"context": {}, "scope": {"include_archived": False}}
    assert Bookmark.of(state, R) == Bookmark(scope={"include_archived": False})


@pytest.mark.parametrize("state", [{}, {"replication_key_value": None}, {"context": {"a": "b"}}])
def test_an_empty_state_is_no_bookmark(state: dict[str, Any]) -> None:
    assert Bookmark.of(state, R) == Bookmark()


def test_a_state_without_the_parts_of_our_own_counts() -> None:
    """Such as one that was written by hand, or by another tap."""
    state = {"replication_key": R, "replication_key_value": "2026-06-01T12:00:00Z", "scope": None}
    assert Bookmark.of(state, R) == Bookmark(NOON)


@pytest.mark.parametrize(
    "value",
    [
        "yesterday",
        5,
        ["2026-06-01"],
        "2026-13-01",
        "9999-12-31T23:59:59-05:00",
        "0001-01-01T00:00:00+05:00",
    ],
)
def test_what_is_no_date_time_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"."):
        Bookmark.of({"replication_key": R, "replication_key_value": value}, R)


PARTITION = {"context": {"_tenant": "A"}}


@pytest.mark.parametrize(
    "state",
    [
        {"type": "STATE", "value": {"bookmarks": {}}},
        {"singer_state": {"bookmarks": {}}},
        {"value": {"bookmarks": {}}},
        {"bookmarks": None},
        {"bookmarks": []},
    ],
)
def test_a_state_without_bookmarks_is_refused(state: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match=r"has no bookmarks object .* last STATE message"):
        require_shape(state)


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "2026-06-01",
        [],
        {"partitions": None},
        {"partitions": "x"},
        {"partitions": [None]},
        {"partitions": [{"replication_key": R}]},
        {"partitions": [{"context": "A"}]},
        {"partitions": [{"context": {"_tenant": ["A"]}}]},
        {"partitions": [{**PARTITION, "scope": []}]},
        {"scope": "x"},
        {"scope": {"start_date": 5}},
        {"columns": ["OrderNbr"]},
        {"key": ["OrderNbr", None]},
        {"key": "OrderNbr"},
        {"replication_key": ["LastModifiedDateTime"]},
        {"method": {}},
        {"schema": 1},
        {"was_read": "yes"},
        {"gone": "yes"},
        {"undated_rows_read_on": 20260601},
    ],
)
def test_a_damaged_entry_is_refused_with_the_stream_that_it_is_of(entry: object) -> None:
    with pytest.raises(SettingsError, match=r"The state of Sales is damaged \(.*\): correct it"):
        require_shape({"bookmarks": {"Other": {}, "Sales": entry}})


@pytest.mark.parametrize("value", ["yesterday", 7])
@pytest.mark.parametrize("partitioned", [True, False])
def test_a_bookmark_that_is_no_date_time_is_refused_before_anything_is_read(
    value: object, *, partitioned: bool
) -> None:
    entry = {"replication_key": R, "replication_key_value": value}
    entry = {"partitions": [{**PARTITION, **entry}]} if partitioned else entry
    with pytest.raises(SettingsError, match=r"The bookmark of Sales is not a .*: correct the"):
        require_shape({"bookmarks": {"Other": {}, "Sales": entry}})


def test_a_partition_that_stands_twice_is_refused() -> None:
    state = {"bookmarks": {"Sales": {"partitions": [PARTITION, {**PARTITION}]}}}
    with pytest.raises(SettingsError, match=r"holds the partition .*'A'.* twice"):
        require_shape(state)


def test_a_state_of_many_partitions_is_read_once() -> None:
    """To compare each with each would take hours."""
    partitions = [{"context": {"_tenant": str(number)}} for number in range(100_000)]
    require_shape({"bookmarks": {"Sales": {"partitions": partitions}}})
    with pytest.raises(SettingsError, match=r"holds the partition .*'7'.* twice"):
        require_shape({"bookmarks": {"Sales": {"partitions": [*partitions, partitions[7]]}}})


STATE: dict[str, Any] = {"bookmarks": {"Sales": {}}}


@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"site": None, "tenant": None},
        {"site": "erp.example/site"},
        {"site": "erp.example/site", "tenant": "Company"},
        {"site": "erp.example/site", "tenant": "COMPANY"},
        {"tenant": "Company"},
    ],
)
def test_a_state_of_the_same_origin_or_of_none_is_taken(origin: dict[str, Any]) -> None:
    require_shape({**STATE, **origin})
    require_same_origin({**STATE, **origin}, "erp.example/site", "Company")
    require_same_origin({**STATE, **origin}, "erp.example/site", None)


def test_a_state_without_bookmarks_may_be_of_anything() -> None:
    require_same_origin({"bookmarks": {}, "site": "other.example"}, "erp.example", None)


@pytest.mark.parametrize(
    ("origin", "words"),
    [
        (
            {"site": "erp.example"},
            "of the site erp.example, but .* to erp.example/site: .* set site",
        ),
        ({"site": "other.example/site"}, "of the site other.example/site, but .* to erp.example/s"),
        (
            {"tenant": "Other"},
            "of the tenant Other, but the settings lead to Company: .* set tenant",
        ),
    ],
)
def test_a_state_of_another_origin_is_refused(origin: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        require_same_origin({**STATE, **origin}, "erp.example/site", "Company")


def test_an_origin_that_is_no_text_is_damage() -> None:
    with pytest.raises(SettingsError, match="The state is damaged"):
        require_shape({**STATE, "site": ["erp.example"]})


@given(st.lists(BOOKMARKS, max_size=2))
def test_states_of_the_tap_are_taken(bookmarks: list[Bookmark]) -> None:
    partitions: list[dict[str, Any]] = [
        {"context": {"_tenant": str(index)}} for index, _ in enumerate(bookmarks)
    ]
    for partition, bookmark in zip(partitions, bookmarks, strict=True):
        bookmark.store(partition, R)
        partition["was_read"] = True
    require_shape({"bookmarks": {"Sales": {"partitions": partitions}, "New": {}}})
    require_shape({"bookmarks": {str(index): entry for index, entry in enumerate(partitions)}})
    require_shape({"currently_syncing": "Sales", "bookmarks": {}})
    require_shape({})
