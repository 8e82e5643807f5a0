"""When a stream is read in full, with which version, and what retires nothing."""

from __future__ import annotations

from typing import Any

import pytest
from singer_sdk.singerlib.catalog import CatalogEntry

from tap_acumatica.catalog.absence import TenantGaps
from tap_acumatica.catalog.plan import PlanSettings, StreamPlan
from tap_acumatica.reading.bookmarks import COLUMNS, Generation
from tap_acumatica.reading.memory import column_codes
from tap_acumatica.reading.model import FullRead, FullReadEnd
from tap_acumatica.run.generations import (
    DAY,
    HOUR,
    GenerationSettings,
    StreamGeneration,
    TenantGeneration,
)

NIGHT = 1_780_000_000
WEEK = 7 * DAY
SETTINGS = GenerationSettings(hours={"*": 168}, activates=True)


def plan_of(
    *tenants: str, incremental: bool = True, name: str = "PX_Objects_Rows", more: str = ""
) -> StreamPlan:
    entry = {
        "tap_stream_id": name,
        "table_name": f"dac/v4/{name}",
        "key_properties": ["_tenant", "K"],
        "replication_key": "At",
        "replication_method": "INCREMENTAL" if incremental else "FULL_TABLE",
        "schema": {
            "type": "object",
            "properties": {
                "_tenant": {"type": "string"},
                "K": {"type": "integer"},
                "At": {"type": "string", "format": "date-time"},
                **({more: {"type": "string"}} if more else {}),
            },
        },
        "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
    }
    settings = PlanSettings(tenants, "_tenant")
    return StreamPlan.of(CatalogEntry.from_dict(entry), TenantGaps(), settings)


class Runs:
    """Runs of one stream in some tenants, with the state between them."""

    def __init__(self, *tenants: str, incremental: bool = True) -> None:
        self.plan = plan_of(*tenants, incremental=incremental)
        self.settings = SETTINGS
        self.scope: dict[str, Any] = {}
        self.entry: dict[str, Any] = {"partitions": []}

    def begin(self, now: int) -> StreamGeneration:
        return StreamGeneration(self.plan, self.settings, self.entry, self.scope, now)

    def state(self, tenant: str) -> dict[str, Any]:
        for part in self.entry["partitions"]:
            if part["context"] == {"_tenant": tenant}:
                return part  # type: ignore[no-any-return]
        self.entry["partitions"].append({"context": {"_tenant": tenant}})
        return self.state(tenant)

    def run(
        self, now: int, rows: int = 100, *, fails: str = "", at: int = 0
    ) -> tuple[StreamGeneration, int | None]:
        """Read all tenants; one may fail in its full read, behind a row."""
        stream = self.begin(now)
        for tenant in self.plan.tenants:
            state = self.state(tenant)
            generation = TenantGeneration(stream, tenant, state)
            if tenant == fails and at:
                generation.reach(FullRead((str(at),), at))
            if tenant == fails:
                generation.fail()
            elif tenant in stream.full_reads:
                generation.complete(FullReadEnd(rows, by_key=True))
            else:
                generation.load(rows)
            state[COLUMNS] = column_codes(self.plan.table(tenant).columns)
            state["replication_key_value"] = "2026-01-01T00:00:00+00:00"
        states = {tenant: self.state(str(tenant)) for tenant in self.plan.partitions}
        return stream, None if fails else stream.retired(states)


def loaded(*tenants: str) -> Runs:
    runs = Runs(*tenants)
    first, retired = runs.run(NIGHT)
    assert (first.version, dict(first.full_reads), retired) == (NIGHT, {}, None)
    return runs


def test_the_first_full_reads_are_spread_and_the_others_come_at_the_interval() -> None:
    runs = loaded("A")
    hour = next(h for h in range(169) if runs.begin(NIGHT + h * HOUR).full_reads)
    assert 0 <= hour <= 168
    first, retired = runs.run(NIGHT + hour * HOUR)
    assert retired == first.version == NIGHT + hour * HOUR
    assert not runs.begin(first.version + 168 * HOUR - 1).full_reads
    assert runs.begin(first.version + 168 * HOUR).full_reads


def test_a_new_column_makes_a_full_read_due_once() -> None:
    runs = loaded("A", "B")
    runs.run(NIGHT + WEEK)
    soon = NIGHT + WEEK + HOUR
    runs.plan = plan_of("A", "B", more="UsrColor")
    stream, retired = runs.run(soon)
    assert {*stream.full_reads} == {"A", "B"}
    assert retired == stream.version == soon
    assert not runs.begin(soon + HOUR).full_reads
    runs.plan = plan_of("A", "B")
    assert not runs.begin(soon + HOUR).full_reads, "a column less leaves nothing to fill"
    runs.plan = plan_of("A", "B", more="UsrSize")
    runs.settings = GenerationSettings(activates=True)
    assert not runs.begin(soon + HOUR).full_reads, "without an interval nothing is"


def test_streams_that_were_loaded_together_are_not_due_together() -> None:
    hours = set()
    for number in range(50):
        runs = loaded("A")
        runs.plan = plan_of("A", name=f"PX_Objects_Rows{number}")
        hours.add(next(h for h in range(0, 169, 12) if runs.begin(NIGHT + h * HOUR).full_reads))
    assert len(hours) > 7


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ({}, None),
        ({"*": 5}, 5),
        ({"*": 5, "rows": 7}, 7),
        ({"PX_Objects_*": 6, "*": 5}, 6),
        ({"PX_OBJECTS_ROWS": 0, "PX_Objects_*": 6}, 0),
        ({"ROW?": 3, "Other": 1}, 3),
        ({"Other*": 1}, None),
    ],
)
def test_a_name_comes_before_a_glob_and_a_longer_one_before_a_shorter(
    hours: dict[str, int], expected: int | None
) -> None:
    interval = GenerationSettings(hours=hours).interval(plan_of("A"))
    assert interval == (None if expected is None else expected * HOUR)


def test_a_version_is_above_the_last_one() -> None:
    runs = loaded("A")
    runs.settings = GenerationSettings(hours={"*": 0}, activates=True)
    for number in range(3):
        stream, retired = runs.run(NIGHT - number * DAY)
        assert stream.version == retired == NIGHT + number + 1


def test_a_tenant_that_fails_is_read_on_alone_with_the_same_version() -> None:
    runs = loaded("A", "B")
    begun, _ = runs.run(NIGHT + WEEK, fails="B", at=40)
    again = runs.begin(NIGHT + WEEK + HOUR)
    assert again.version == begun.version
    assert again.full_reads == {"B": FullRead(("40",), 40)}
    _, retired = runs.run(NIGHT + WEEK + HOUR)
    assert retired == begun.version
    assert not runs.begin(NIGHT + WEEK + DAY).full_reads


def test_a_read_that_gets_no_further_is_not_tried_in_each_run() -> None:
    runs = loaded("A")
    begun, _ = runs.run(NIGHT + WEEK, fails="A")
    assert not runs.begin(begun.version + HOUR).full_reads
    assert runs.begin(begun.version + HOUR).version == begun.version
    again = runs.begin(begun.version + DAY)
    assert again.full_reads == {"A": FullRead()}
    assert again.version == begun.version


@pytest.mark.parametrize("change", ["week", "scope", "columns", "activates", "interval"])
def test_a_read_begins_anew_if_it_is_old_or_of_other_rows(change: str) -> None:
    runs = loaded("A")
    begun, _ = runs.run(NIGHT + WEEK, fails="A", at=40)
    now = begun.version + HOUR
    match change:
        case "week":
            now = begun.version + WEEK
        case "scope":
            runs.scope = {"include_deleted": True}
        case "columns":
            runs.plan.schema["properties"]["More"] = {"type": "integer"}
        case "activates":
            runs.settings = GenerationSettings(hours={"*": 168})
        case _:
            # A run whose records carry no version ends it, too.
            runs.settings = GenerationSettings()
            runs.run(now)
            runs.settings = SETTINGS
            assert not runs.begin(now).full_reads
            return
    again = runs.begin(now)
    assert again.full_reads == {"A": FullRead()}
    assert again.version > begun.version


def test_rows_are_not_retired_while_a_tenant_waits_for_the_rest_of_its_full_read() -> None:
    runs = loaded("A", "B")
    begun, _ = runs.run(NIGHT + WEEK, fails="B", at=95)
    stuck = begun.version + HOUR
    runs.run(stuck, fails="B", at=95)
    waiting, retired = runs.run(stuck + HOUR)
    assert (waiting.version, dict(waiting.full_reads)) == (begun.version, {})
    assert retired is None, "few enough of B's rows are missing to be believed"
    assert runs.run(stuck + DAY)[1] == begun.version


def test_a_tenant_that_stays_behind_makes_no_other_due() -> None:
    runs = loaded("A", "B")
    begun, _ = runs.run(NIGHT + WEEK, fails="B")
    for day in range(1, 7):
        assert runs.begin(begun.version + day * DAY).full_reads.keys() <= {"B"}
    assert runs.begin(begun.version + WEEK).full_reads.keys() == {"A", "B"}


def test_a_new_tenant_has_the_version_of_the_others_and_starts_nothing() -> None:
    runs = loaded("A")
    due, _ = runs.run(NIGHT + WEEK)
    runs.plan = plan_of("A", "B")
    stream, retired = runs.run(due.version + DAY)
    assert (stream.version, dict(stream.full_reads), retired) == (due.version, {}, None)
    assert Generation.of(runs.state("B")).version == due.version
    assert runs.run(due.version + WEEK)[1] == due.version + WEEK


def test_a_loss_is_held_back_until_the_setting_is_raised() -> None:
    runs = loaded("A", "B")
    due = NIGHT + WEEK
    assert runs.run(due, rows=80)[1] == due, "a loss of 20 percent is believed"
    assert runs.run(due + WEEK, rows=63)[1] is None
    assert not runs.begin(due + WEEK + DAY - 1).full_reads
    assert runs.run(due + WEEK + DAY, rows=63)[1] is None, "it is not believed the second time"
    runs.settings = GenerationSettings(hours={"*": 168}, activates=True, max_loss=22)
    assert runs.run(due + WEEK + 2 * DAY, rows=63)[1] == due + WEEK + 2 * DAY


@pytest.mark.parametrize(
    ("before", "now", "believed"), [(3, 2, True), (3, 1, False), (1, 0, False), (6, 4, True)]
)
def test_a_small_table_may_lose_a_row_but_not_all(before: int, now: int, *, believed: bool) -> None:
    runs = loaded("A")
    runs.run(NIGHT + WEEK, rows=before)
    runs.settings = GenerationSettings(hours={"*": 168}, activates=True, max_loss=100)
    runs.run(NIGHT + 2 * WEEK, rows=before)
    runs.settings = SETTINGS
    assert (runs.run(NIGHT + 3 * WEEK, rows=now)[1] is not None) == believed


def test_the_message_comes_after_a_run_that_was_killed_in_front_of_it() -> None:
    runs = loaded("A")
    stream = runs.begin(NIGHT + WEEK)
    TenantGeneration(stream, "A", runs.state("A")).complete(FullReadEnd(90, by_key=True))
    later, retired = runs.run(NIGHT + WEEK + HOUR)
    assert not later.full_reads
    assert retired == stream.version
    assert runs.run(NIGHT + WEEK + DAY)[1] is None


def test_what_is_not_read_by_key_retires_nothing() -> None:
    runs = loaded("A")
    stream = runs.begin(NIGHT + WEEK)
    state = runs.state("A")
    TenantGeneration(stream, "A", state).complete(FullReadEnd(90, by_key=False))
    assert stream.retired({"A": state}) is None
    assert not runs.begin(NIGHT + WEEK + DAY).full_reads


def test_a_stream_that_is_read_in_full_goes_on_and_is_read_in_each_run() -> None:
    runs = Runs("A", "B", incremental=False)
    begun, _ = runs.run(NIGHT, fails="B", at=40)
    again = runs.begin(NIGHT + HOUR)
    assert again.version == begun.version
    assert again.full_reads == {"A": FullRead(), "B": FullRead(("40",), 40)}
    assert runs.run(NIGHT + HOUR)[1] == begun.version
    assert runs.run(NIGHT + 2 * HOUR)[1] == NIGHT + 2 * HOUR


def test_the_state_of_a_generation_is_small() -> None:
    place = ("'SalesOrder'", "'SO0001234567890'", "2147483647", "datetime'2026-01-01T00:00:00'")
    state: dict[str, Any] = {}
    generation = Generation(
        version=NIGHT,
        rows=10**7,
        reading=NIGHT + 1,
        place=place,
        read=10**7,
        shape="h3Fk9-_a",
        due=NIGHT + DAY,
    )
    generation.store(state)
    assert len(str(state)) < 300
