"""The oracle over real HTTP, and with a million rows of the same timestamp."""

from __future__ import annotations

import re
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.running import NOW, discover, run, select_all, settings_for
from support.simulation import R, at

from sandbox import Sandbox
from tap_acumatica.odata import edm
from tap_acumatica.odata.clock import ClockCheck
from tap_acumatica.odata.http.client import Result
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.paging.pager import Paging
from tap_acumatica.odata.table import Table
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import IncrementalStart, PageRead, ReadSettings
from tap_acumatica.reading.reader import EntityReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.query import Query

STATUS = "PX_Objects_IN_INLocationStatus"
ITEM = "PX_Objects_IN_InventoryItem"
KEY = ("InventoryID", "LocationID", "SiteID", "SubItemID")


def key_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEY)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.sampled_from([10, 17, 50]),
    fractions=st.sampled_from(["exact", "cut_10ms", "cut_seconds", "round_seconds"]),
    skew=st.sampled_from([(0,), (-60, 0, 60)]),
    connections=st.sampled_from([1, 3]),
)
def test_a_table_that_changes_between_requests_arrives_in_its_last_version(
    seed: int, size: int, fractions: Any, skew: tuple[int, ...], connections: int
) -> None:
    random = Random(seed)
    related = random.random() < 0.5
    with Sandbox(now=NOW, fractions=fractions, skew=skew) as box:
        config = settings_for(box, STATUS, "Terms", page_size=size, max_pool_size=connections)
        config["expand"] = {STATUS: ["InventoryItemByInventoryID(InventoryCD)"]} if related else {}
        catalog = select_all(discover(config))

        changing = True

        def change(request: object) -> None:
            assert request
            if not changing:
                return
            box.clock.advance(random.random() * 3)
            rows = box.rows(STATUS)
            for _ in range(random.choice([0, 1, 3])):
                key = dict(zip(KEY, key_of(random.choice(rows)), strict=True))
                match random.randrange(5):
                    case 0:
                        box.delete(STATUS, key)
                    case 1:
                        late = {R: (box.clock.now() - timedelta(minutes=9)).isoformat()}
                        box.insert(STATUS, {**key, "SubItemID": random.randrange(10**6), **late})
                    case 2 if random.random() < 0.1:
                        box.bulk_update(STATUS, {"QtyOnHand": random.randrange(100)}, limit=30)
                    case _:
                        box.update(STATUS, key, {"QtyOnHand": random.randrange(100)})

        box.before_request(change)
        first = run(config, catalog=catalog)
        assert first.error is None
        changing = False
        box.clock.advance(7200)
        second = run(config, catalog=catalog, state=first.state)
        assert second.error is None
        delivered = {key_of(r): r["QtyOnHand"] for r in first.records(STATUS)}
        delivered |= {key_of(r): r["QtyOnHand"] for r in second.records(STATUS)}
        surviving = {key_of(row): row["QtyOnHand"] for row in box.rows(STATUS)}
        assert {key: delivered.get(key) for key in surviving} == surviving
        codes = {row["InventoryID"]: {"InventoryCD": row["InventoryCD"]} for row in box.rows(ITEM)}
        for record in (*first.records(STATUS), *second.records(STATUS)):
            item = codes.get(record["InventoryID"]) if related else None
            assert record.get("InventoryItemByInventoryID") == item


class Ties:
    """A fast simulated server: rows of the same timestamp, ordered by their key."""

    def __init__(self, rows: int, between: Callable[[Ties], None]) -> None:
        self.keys = list(range(rows))
        self._between = between
        self._row = '{"K":%d,"' + R + '":"2026-01-01T00:00:00Z"}'
        self.requests = 0

    def read(self, query: Query, subject: str, decode: Callable[[bytes], Any]) -> Result[Any]:
        assert subject
        self.requests += 1
        self._between(self)
        first = 0 if re.search(r"eq null|ge 2026-06", query.filter) is None else len(self.keys)
        low = first + query.skip
        keys = self.keys[low : low + (query.top or 0)]
        count = f'"@odata.count":{len(self.keys) - first},' if query.count else ""
        body = f'{{{count}"value":[{",".join(self._row % key for key in keys)}]}}'
        return Result(decode(body.encode()), at("2026-06-01T12:00:00"), "TimeZone=GMTE0000U")


@pytest.mark.parametrize(("rows", "changing"), [(1_000_000, False), (200_000, True)])
def test_a_million_rows_of_one_instant_are_all_read(rows: int, changing: bool) -> None:
    random = Random(1)
    deleted: set[int] = set()

    def between(server: Ties) -> None:
        for _ in range(random.randrange(20) if changing else 0):
            deleted.add(server.keys.pop(random.randrange(len(server.keys))))

    server = Ties(rows, between)
    table = Table("Ties", {"K": edm.INTEGER, R: edm.INSTANT}, ("K",), replication_key=R)
    start = IncrementalStart(ClockCheck(InstantReader(), zone_is_set=True), Bookmark())
    keys: set[int] = set()
    delivered = 0
    for event in EntityReader(server, table, ReadSettings(paging=Paging(rows // 100)), start):  # type: ignore[arg-type] # no links
        if isinstance(event, PageRead):
            keys.update(row["K"] for row in event.rows)
            delivered += len(event.rows)
    assert keys >= set(range(rows)) - deleted
    if not changing:
        assert delivered == rows
        # One for the keys of the first page, as its count proves nothing where the base stays, one
        # after the full last page, two for the clock check, and one for the undated rows.
        assert server.requests == 100 + 1 + 1 + 2 + 1
