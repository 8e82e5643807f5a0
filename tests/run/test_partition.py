"""The bookmark follows the records that were written, and only those."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

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


def test_a_page_moves_the_bookmark_to_where_those_before_it_have_reached() -> None:
    progress = progress_of(plan(), {})
    progress.begin_page(PageRead([]))
    assert progress.bookmark.instant is None
    progress.begin_page(PageRead([], NOON))
    assert progress.bookmark.instant == NOON
    progress.begin_page(PageRead([], NOON - SECOND))
    progress.begin_page(PageRead([]))
    assert progress.bookmark.instant == NOON


def test_the_first_bookmark_keeps_the_scope_of_its_read() -> None:
    """Otherwise a later run could not see that the settings have changed since."""
    progress = progress_of(plan(), {})
    progress.store(Bookmark(scope={"include_deleted": True}))
    progress.begin_page(PageRead([], NOON))
    assert progress.bookmark == Bookmark(NOON, scope={"include_deleted": True})


def test_a_full_table_moves_none_and_is_remembered_once_it_was_read() -> None:
    state: dict[str, Any] = {}
    progress = progress_of(plan(incremental=False), state)
    progress.begin_page(PageRead([], NOON))
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
    progress.fail(OSError())
    assert state["replication_key_value"] == bookmark_text(NOON)
    assert "was_read" not in state


def test_a_read_that_failed_before_its_bookmark_still_expects_its_rows() -> None:
    state: dict[str, Any] = {}
    progress = progress_of(plan(), state)
    progress.begin_page(PageRead([]))
    progress.fail(OSError())
    assert state == {"was_read": True}
