"""A stream that fails does not stop the others; what concerns all of them does, and soon."""

from __future__ import annotations

import re
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from support.running import (
    NOW,
    Output,
    discover,
    run,
    run_command,
    select_all,
    settings_for,
    write_json,
)

from sandbox import Fault, Sandbox
from tap_acumatica.odata.errors import RequestFailed
from tap_acumatica.reading.reader import EntityReader
from tap_acumatica.run.failures import StreamsFailed, TenantsFailed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TERMS = "PX_Objects_CS_Terms"
LEDGER = "PX_Objects_GL_GLTran"
BATCHES = "PX_Objects_GL_Batch"
ITEMS = "PX_Objects_IN_InventoryItem"
ORDERS = "PX_Objects_SO_SOOrder"
LINES = "PX_Objects_SO_SOLine"
USERS = "PX_SM_Users"
STREAMS = (TERMS, BATCHES, LEDGER, ITEMS, LINES, ORDERS, USERS)
"""In the order in which they are read."""


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between retries, which are recorded instead of made."""
    pauses: list[float] = []
    monkeypatch.setattr(
        "backoff._sync.time", SimpleNamespace(sleep=pauses.append, monotonic=time.monotonic)
    )
    return pauses


def path_of(*streams: str) -> str:
    """The pattern of the requests for rows of these streams."""
    return f"/({'|'.join(streams)})([?/]|$)"


def settings(box: Sandbox, **changes: Any) -> dict[str, Any]:
    return settings_for(box, *STREAMS, **{"max_retry_time": 900, **changes})


def catalog_of(box: Sandbox, **changes: Any) -> dict[str, Any]:
    return select_all(discover(settings(box, **changes)))


def incomplete(box: Sandbox, output: Output, tenant: str | None = None) -> list[str]:
    """The streams of which not all rows came, in the order in which they are read."""

    def count(stream: str) -> int:
        rows = output.records(stream)
        return sum(tenant in {None, row.get("_tenant")} for row in rows)

    rows_of = {stream: box.rows(stream, *([tenant] if tenant else [])) for stream in STREAMS}
    return [stream for stream in STREAMS if count(stream) < len(rows_of[stream])]


def requested(box: Sandbox, word: str = "") -> list[str]:
    """The streams of which rows were requested, by addresses that contain a word."""
    paths = [request.path for request in box.log if word in request.path]
    return [stream for stream in STREAMS if any(path.endswith(f"/{stream}") for path in paths)]


FAILURES = [
    ("error", {"message": "An unknown function with name 'substringof' was found."}),
    ("error", {"message": "Could not find a property named 'Gone' on type 'X'."}),
    ("empty_body", {}),
    ("redirect", {}),
    ("unavailable", {}),
    ("truncated", {}),
]


@pytest.mark.parametrize("pool", [1, 4])
@pytest.mark.parametrize(
    ("kind", "options", "failing"),
    [
        *((kind, options, [BATCHES, ORDERS]) for kind, options in FAILURES),
        *(("unavailable", {}, [stream]) for stream in (TERMS, LINES, USERS)),
    ],
)
def test_the_streams_beside_one_that_fails_are_read(
    box: Sandbox, kind: str, options: dict[str, Any], failing: list[str], pool: int
) -> None:
    config = settings(box, max_retry_time=0, timeout=1, max_pool_size=pool, page_size=40)
    catalog = catalog_of(box)
    box.faults.add(Fault(kind, match=path_of(*failing), **options))
    output = run(config, catalog=catalog)
    assert isinstance(output.error, StreamsFailed)
    assert list(output.error.failed) == failing == incomplete(box, output)
    for sentence, stream in zip(output.error.sentences, failing, strict=True):
        assert sentence.startswith(f"The stream {stream} was not read completely. ")
    assert output.types()[-1] == "STATE"
    box.faults.clear()
    rest = run(config, catalog=catalog, state=output.state)
    assert rest.error is None
    assert set(failing) - set(incomplete(box, rest)) == set(failing)


@pytest.mark.parametrize(
    "fault",
    [
        Fault("hang", match=path_of(TERMS)),
        Fault("retype", match=path_of(TERMS), column="LastModifiedDateTime", into="object"),
    ],
)
def test_a_stream_that_hangs_or_changes_does_not_stop_the_others_either(
    box: Sandbox, fault: Fault
) -> None:
    catalog = catalog_of(box)
    box.faults.add(fault)
    output = run(settings(box, timeout=1, page_size=40), catalog=catalog)
    assert isinstance(output.error, StreamsFailed)
    assert list(output.error.failed) == [TERMS] == incomplete(box, output)


@pytest.mark.parametrize("pool", [1, 4])
def test_a_defect_that_one_stream_shows_does_not_stop_the_others(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch, pool: int
) -> None:
    catalog = catalog_of(box)
    read_next = EntityReader.__iter__

    def read(reader: EntityReader) -> Iterator[Any]:
        yield from read_next(reader)
        if reader.table.entity_set == BATCHES:
            message = "date value out of range"
            raise OverflowError(message)

    monkeypatch.setattr(EntityReader, "__iter__", read)
    output = run(settings(box, max_pool_size=pool), catalog=catalog)
    (sentence,) = getattr(output.error, "sentences", [])
    beginning = f"The stream {BATCHES} was not read completely. OverflowError: date"
    assert sentence.startswith(beginning)
    assert "This should not happen" in sentence
    assert incomplete(box, output) == []
    assert "Traceback" not in str(output.error)


@pytest.mark.parametrize("kind", ["unavailable", "empty_body"])
def test_the_bookmark_of_a_stream_that_fails_stays(box: Sandbox, kind: str) -> None:
    config, catalog = settings(box, max_retry_time=0), catalog_of(box)
    first = run(config, catalog=catalog).state["bookmarks"]
    box.clock.advance(7200)
    box.faults.add(Fault(kind, match=path_of(LINES)))
    second = run(config, catalog=catalog, state={"bookmarks": first}).state["bookmarks"]
    still = {stream for stream in STREAMS if second[stream] == first[stream]}
    # A stream in which nothing has changed does not show that its clock is right.
    assert {LINES, USERS} <= still < {*STREAMS}


def test_a_run_that_fails_names_each_stream_and_ends_with_exit_code_3(
    box: Sandbox, tmp_path: Path
) -> None:
    config = write_json(tmp_path / "c.json", settings(box, max_retry_time=0))
    box.faults.add(Fault("empty_body", match=path_of(TERMS, LINES)))
    finished = run_command("--config", config)
    assert finished.returncode == 3
    for stream, line in zip([TERMS, LINES], finished.stderr.splitlines()[-3:-1], strict=True):
        assert f"The stream {stream} was not read completely. " in line


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (Fault("unauthorized", match=path_of(BATCHES)), "sign-in refused"),
        (Fault("throttle", match=path_of(BATCHES)), "licence limit"),
    ],
)
def test_what_concerns_all_stops_at_once(box: Sandbox, fault: Fault, cause: str) -> None:
    catalog = catalog_of(box)
    box.reset_counters()
    box.faults.add(fault)
    output = run(settings(box), catalog=catalog)
    assert isinstance(output.error, RequestFailed)
    assert output.error.cause == cause
    assert requested(box) == [TERMS, BATCHES]


# Outages


def seconds_of(waits: Sequence[float], box: Sandbox, *streams: str) -> list[float]:
    """The seconds that were waited for each of these streams, one after the other."""
    seconds, pauses = [], iter(waits)
    for stream in streams:
        attempts = [r for r in box.log if r.path.endswith(f"/{stream}") and r.status == 503]
        seconds.append(sum(next(pauses) for _ in attempts[1:]))
    return seconds


def test_an_outage_costs_its_patience_once_and_ends_after_three_streams(
    box: Sandbox, waits: list[float]
) -> None:
    catalog = catalog_of(box)
    box.reset_counters()
    down = (BATCHES, LEDGER, ITEMS, LINES, ORDERS, USERS)
    box.faults.add(Fault("unavailable", match=path_of(*down)))
    output = run(settings(box), catalog=catalog)
    assert isinstance(output.error, StreamsFailed)
    assert list(output.error.failed) == [BATCHES, LEDGER, ITEMS]
    assert re.match(
        f"No stream behind {ITEMS} was read, since 3 in a row failed",
        output.error.sentences[-1],
    )
    assert requested(box) == [TERMS, BATCHES, LEDGER, ITEMS]
    first, *others = seconds_of(waits, box, BATCHES, LEDGER, ITEMS)
    assert first > 800
    assert min(others) > 0
    assert max(others) <= 60


def test_a_stream_that_is_read_ends_an_outage(box: Sandbox, waits: list[float]) -> None:
    catalog = catalog_of(box)
    box.reset_counters()
    down = (TERMS, BATCHES, ITEMS, LINES, USERS)
    box.faults.add(Fault("unavailable", match=path_of(*down)))
    output = run(settings(box), catalog=catalog)
    assert isinstance(output.error, StreamsFailed)
    assert tuple(output.error.failed) == down == tuple(incomplete(box, output))
    seconds = seconds_of(waits, box, *down)
    assert [each > 800 for each in seconds] == [True, False, True, False, True]


def test_a_stream_that_fails_behind_its_first_request_ends_no_outage(
    box: Sandbox, waits: list[float]
) -> None:
    """Else each of a hundred streams that answer once would be waited for a quarter of an hour."""
    catalog = catalog_of(box, tracking_type="none")
    for stream in STREAMS[1:]:
        box.faults.add(Fault("unavailable", match=path_of(stream), after=1))
    output = run(settings(box, tracking_type="none", page_size=10), catalog=catalog)
    assert isinstance(output.error, StreamsFailed)
    assert list(output.error.failed) == [BATCHES, LEDGER, ITEMS]
    assert 800 < sum(waits) < 900 + 2 * 60


def test_streams_that_fail_for_good_are_no_outage(box: Sandbox) -> None:
    catalog = catalog_of(box)
    box.faults.add(Fault("empty_body", match=path_of(*STREAMS[:-1])))
    output = run(settings(box), catalog=catalog)
    assert isinstance(output.error, StreamsFailed)
    assert tuple(output.error.failed) == STREAMS[:-1]
    assert output.records(USERS)


@pytest.mark.parametrize("pool", [1, 4])
def test_an_outage_of_one_tenant_ends_with_it(waits: list[float], pool: int) -> None:
    with Sandbox(now=NOW, tenants=("A", "B", "C"), rows=30) as box:
        changes = {"tenants": ["A", "B", "C"], "max_pool_size": pool}
        catalog = catalog_of(box, **changes)
        box.reset_counters()
        box.faults.add(Fault("unavailable", match="/t/B/"))
        box.faults.add(Fault("empty_body", match=f"/t/C/.*{path_of(LINES)}"))
        output = run(settings(box, **changes), catalog=catalog)
        assert isinstance(output.error, TenantsFailed)
        assert list(output.error.failed) == ["B", "C"]
        assert isinstance(given_up := output.error.failed["B"], StreamsFailed)
        assert list(given_up.failed) == list(STREAMS[:3])
        assert isinstance(failed := output.error.failed["C"], RequestFailed | StreamsFailed)
        assert f"The stream {LINES}" in str(failed)
        assert incomplete(box, output, "A") == []
        assert incomplete(box, output, "C") == [LINES]
        if pool == 1:
            assert requested(box, "/t/B/") == list(STREAMS[:3])
            assert 800 < sum(waits) < 900 + 2 * 60
        for sentence, tenant in zip(output.error.sentences, "BC", strict=True):
            assert sentence.startswith(f"The tenant {tenant} was not read completely; ")


# Columns that are gone


@pytest.mark.parametrize("tracking_type", ["date", "none"])
@pytest.mark.parametrize("length", [256, 2048])
@pytest.mark.parametrize("data_format", ["json", "atom"])
def test_a_column_that_is_gone_is_never_nulled(
    box: Sandbox, tmp_path: Path, length: int, tracking_type: str, data_format: str
) -> None:
    """The entity may be so wide that its columns are not named."""
    config = settings(
        box,
        max_url_length=length,
        metadata_cache=str(tmp_path),
        tracking_type=tracking_type,
        data_format=data_format,
    )
    catalog = select_all(discover(config))
    box.declare(ORDERS, without=["OrderDesc"])
    output = run(config, catalog=catalog)
    assert isinstance(output.error, StreamsFailed)
    assert list(output.error.failed) == [ORDERS]
    assert f"no longer has the column OrderDesc of {ORDERS}: run disc" in str(output.error)
    assert output.records(ORDERS) == []
    assert incomplete(box, output) == [ORDERS]
