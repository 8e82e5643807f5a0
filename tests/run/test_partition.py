"""The bookmark follows the records that were written, and only those."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from singer_sdk.singerlib.catalog import CatalogEntry

from tap_acumatica.catalog.absence import TenantGaps
from tap_acumatica.catalog.plan import PlanSettings, StreamPlan
from tap_acumatica.odata import edm
from tap_acumatica.odata.instants import bookmark_text
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.memory import column_codes
from tap_acumatica.reading.model import PageRead
from tap_acumatica.run.partition import PartitionProgress
from tap_acumatica.run.report import StreamFacts

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def plan(*, incremental: bool = True) -> StreamPlan:
    entry = {
        "tap_stream_id": "Rows",
        "key_properties": ["K"],
        "replication_key": "At",
        "replication_method": "INCREMENTAL" if incremental else "FULL_TABLE",
        "schema": {"type": "object", "properties": {"K": {"type": "integer"}}},
        "metadata": [],
    }
    return StreamPlan.of(CatalogEntry.from_dict(entry), TenantGaps(), PlanSettings())


def progress_of(plan: StreamPlan, state: dict[str, Any]) -> PartitionProgress:
    return PartitionProgress(plan, state, StreamFacts(plan.name, None, plan.method))


def record(instant: datetime) -> dict[str, Any]:
    return {"At": bookmark_text(instant)}


def test_the_bookmark_stays_a_second_below_the_newest_record() -> None:
    progress = progress_of(plan(), {})
    progress.begin_page(PageRead([], NOON))
    progress.written([record(NOON - 9 * SECOND), record(NOON - 5 * SECOND)])
    assert progress.move_bookmark()
    assert progress.bookmark.instant == NOON - 6 * SECOND
    assert not progress.move_bookmark(), "nothing was written since"


def test_records_of_the_future_do_not_move_it() -> None:
    progress = progress_of(plan(), {})
    progress.begin_page(PageRead([], NOON))
    progress.written([record(NOON - 5 * SECOND), record(NOON + 5 * SECOND)])
    progress.move_bookmark()
    assert progress.bookmark.instant == NOON - 6 * SECOND
    progress.written([record(NOON + 5 * SECOND)])
    assert not progress.move_bookmark()


@pytest.mark.parametrize("year", [1, 1900, 1999])
def test_records_from_before_2000_do_not_move_it(year: int) -> None:
    """The server may store them hours from where the tap reads them."""
    progress = progress_of(plan(), {})
    progress.begin_page(PageRead([], NOON))
    progress.written([record(NOON.replace(year=year))])
    assert not progress.move_bookmark()
    progress.written([record(NOON.replace(year=year)), record(NOON - 5 * SECOND)])
    assert progress.move_bookmark()
    assert progress.bookmark.instant == NOON - 6 * SECOND


def test_the_first_bookmark_keeps_the_scope_of_its_read() -> None:
    """Otherwise a later run could not see that the settings have changed since."""
    progress = progress_of(plan(), {})
    progress.store(Bookmark(scope={"include_deleted": True}))
    progress.begin_page(PageRead([], NOON))
    progress.written([record(NOON - 5 * SECOND)])
    progress.move_bookmark()
    assert progress.bookmark == Bookmark(NOON - 6 * SECOND, scope={"include_deleted": True})


def test_rows_without_a_date_do_not_move_it() -> None:
    progress = progress_of(plan(), {})
    progress.begin_page(PageRead([]))
    progress.written([record(NOON)])
    assert not progress.move_bookmark()
    assert progress.expected, "but if the stream is refused now, it is missed"


def test_a_full_table_moves_none_and_is_remembered_once_it_was_read() -> None:
    state: dict[str, Any] = {}
    progress = progress_of(plan(incremental=False), state)
    progress.begin_page(PageRead([], NOON))
    progress.written([record(NOON)])
    assert not progress.move_bookmark()
    assert not progress.was_read
    progress.complete({"K": edm.INTEGER})
    columns = column_codes({"K": edm.INTEGER})
    method = "FULL_TABLE"
    assert state == {"was_read": True, "key": ["K"], "columns": columns, "method": method}
    assert progress_of(plan(incremental=False), state).expected


def test_a_read_that_failed_keeps_what_was_written_before() -> None:
    state: dict[str, Any] = {}
    progress = progress_of(plan(), state)
    progress.begin_page(PageRead([], NOON))
    progress.written([record(NOON - 5 * SECOND)])
    progress.fail()
    assert state["replication_key_value"] == bookmark_text(NOON - 6 * SECOND)


def test_a_read_that_failed_before_its_bookmark_still_expects_its_rows() -> None:
    state: dict[str, Any] = {}
    progress = progress_of(plan(), state)
    progress.begin_page(PageRead([]))
    progress.fail()
    assert state == {"was_read": True}


def test_a_checkpoint_replaces_what_the_records_showed() -> None:
    progress = progress_of(plan(), {})
    progress.begin_page(PageRead([], NOON))
    progress.written([record(NOON - 5 * SECOND)])
    progress.store(Bookmark(NOON, "2026-06-01"))
    assert not progress.move_bookmark()
    assert progress.bookmark == Bookmark(NOON, "2026-06-01")
