"""A run is opened late, always closed, and stopped only between two messages."""

from __future__ import annotations

import signal
import threading
from queue import Queue
from typing import TYPE_CHECKING, Any

import pytest
from singer_sdk.singerlib.catalog import CatalogEntry
from support.running import NOW, settings_for

from sandbox import Fault, Sandbox
from tap_acumatica.catalog.absence import TenantGaps
from tap_acumatica.catalog.plan import StreamPlan
from tap_acumatica.odata.errors import (
    Action,
    AcumaticaError,
    Cause,
    RequestFailed,
    SettingsError,
)
from tap_acumatica.odata.http.client import RetryLimits
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import Checkpoint, PageRead
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run.assembly import assemble
from tap_acumatica.run.failures import StreamsFailed
from tap_acumatica.run.report import StreamFacts
from tap_acumatica.run.run import Run
from tap_acumatica.settings.schema import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.http import Request, Response

TERMS = "PX_Objects_CS_Terms"
ORDERS = "PX_Objects_SO_SOOrder"
DEFAULTS = {
    name: schema["default"] for name, schema in SCHEMA["properties"].items() if "default" in schema
}


def settings(box: Sandbox, *entities: str, **changes: Any) -> dict[str, Any]:
    return {**DEFAULTS, **settings_for(box, *entities), **changes}


@pytest.fixture
def run(box: Sandbox) -> Iterator[Run]:
    run = Run()
    run.open(assemble(settings(box, "Terms", "SOOrder")))
    yield run
    run.close()


def plans_of(run: Run) -> list[StreamPlan]:
    entries = [description.entry for description in run.describe_streams()]
    gaps = TenantGaps.of(entries)
    return [
        StreamPlan.of(CatalogEntry.from_dict(entry), gaps, run.settings.plans) for entry in entries
    ]


def test_a_run_that_never_opened_can_be_closed() -> None:
    run = Run()
    run.forget_metadata()
    run.close()
    assert not run.interruptible


def test_whoever_closes_it_second_waits_until_it_is_closed(run: Run, box: Sandbox) -> None:
    """A process that ends meanwhile would leave sessions open."""
    run.describe_streams()
    arrived, release, answer = threading.Event(), threading.Event(), box.app.answer

    def hold_sign_out(request: Request) -> Response:
        if "logout" in request.path:
            arrived.set()
            release.wait(20)
        return answer(request)

    box.app.answer = hold_sign_out  # type: ignore[method-assign]
    closing = [threading.Thread(target=run.close) for _ in range(2)]
    closing[0].start()
    assert arrived.wait(20)
    closing[1].start()
    closing[1].join(0.2)
    was_waiting = closing[1].is_alive()
    release.set()
    for thread in closing:
        thread.join()
    assert was_waiting
    assert box.counters().sessions_open == 0


def test_what_it_reads_is_what_its_plans_say(run: Run, box: Sandbox) -> None:
    plans = plans_of(run)
    run.connect(lambda: plans, lambda _plan, _tenant: Bookmark())
    for plan in plans:
        events = list(run.events(plan, None))
        pages = [event for event in events if isinstance(event, PageRead)]
        assert sum(len(page.rows) for page in pages) == len(box.rows(plan.name))
        assert any(isinstance(event, Checkpoint) for event in events) == plan.incremental
    run.require_complete(plans)


def test_a_read_starts_at_the_bookmark_that_it_is_told(run: Run, box: Sandbox) -> None:
    (orders,) = [plan for plan in plans_of(run) if plan.name == ORDERS]
    calls: list[tuple[str, str | None]] = []

    def bookmark(plan: StreamPlan, tenant: str | None) -> Bookmark:
        calls.append((plan.name, tenant))
        return Bookmark(box.clock.now())

    run.connect(lambda: [orders], bookmark)
    box.clock.advance(7200)
    assert [e for e in run.events(orders, None) if isinstance(e, PageRead) and e.reached] == []
    assert calls == [(ORDERS, None)]


def test_one_row_is_read_without_a_bookmark(run: Run) -> None:
    (orders,) = [plan for plan in plans_of(run) if plan.name == ORDERS]
    assert len(run.one_row(orders, None)) == 1


def test_a_signal_ends_it_at_once_only_while_no_message_can_be_cut() -> None:
    run = Run()
    with pytest.raises(Stopped) as stopped:
        run.stop(signal.SIGTERM)
    assert stopped.value.signal == signal.SIGTERM
    run = Run()
    run.interruptible = False
    run.stop(signal.SIGINT)
    assert run.stopping
    assert run.stop_signal == signal.SIGINT


def test_another_signal_signs_out_and_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: Queue[int] = Queue()
    monkeypatch.setattr("os._exit", ended.put)
    run = Run()
    run.interruptible = False
    run.stop(signal.SIGTERM)
    assert ended.empty()
    run.stop(signal.SIGINT)
    assert ended.get(timeout=10) == 130


def facts(stream: str, tenant: str | None) -> StreamFacts:
    return StreamFacts(stream, tenant, "FULL_TABLE")


@pytest.mark.parametrize(
    "error",
    [
        SettingsError("gone"),
        RequestFailed(Cause.SIGN_IN_REFUSED, Action.STOP, "gone"),
        RequestFailed(Cause.LICENCE_LIMIT, Action.RETRY, "gone"),
        RequestFailed(Cause.REFRESH_TOKEN_REFUSED, Action.STOP, "gone"),
    ],
    ids=["settings", "sign-in", "licence", "token"],
)
def test_what_concerns_all_streams_ends_a_run_of_one_tenant(
    run: Run, error: AcumaticaError
) -> None:
    with pytest.raises(type(error)) as raised:
        run.fail(facts(TERMS, None), error)
    assert raised.value is error


def test_the_error_that_ends_a_run_comes_behind_the_streams_that_failed_before(run: Run) -> None:
    run.fail(facts(TERMS, None), AcumaticaError("broken"))
    with pytest.raises(StreamsFailed) as raised:
        run.fail(facts(ORDERS, None), RequestFailed(Cause.SIGN_IN_REFUSED, Action.STOP, "Refused."))
    assert raised.value.sentences == [
        f"The stream {TERMS} was not read completely. broken",
        "Refused.",
    ]


def test_a_tenant_that_is_given_up_is_not_read_and_fails_the_run() -> None:
    with Sandbox(now=NOW, tenants=("A", "B"), rows=30) as box:
        run = Run()
        run.open(assemble(settings(box, "Terms", tenants=["A", "B"])))
        try:
            plans = plans_of(run)
            run.fail(facts(TERMS, "A"), SettingsError("gone"))
            assert run.failures.has_failed("A")
            with pytest.raises(AcumaticaError, match="The tenant A"):
                run.require_complete(plans)
        finally:
            run.close()


@pytest.mark.parametrize("expected", [True, False])
def test_a_skipped_stream_fails_the_run_if_its_rows_were_expected(
    run: Run, *, expected: bool
) -> None:
    plans = plans_of(run)
    refused = RequestFailed(Cause.NO_RIGHTS, Action.SKIP, "No rights.")
    run.skip(facts(TERMS, None), refused, expected=expected)
    if expected:
        with pytest.raises(StreamsFailed, match=f"stream {TERMS} .* No rights"):
            run.require_complete(plans)
    else:
        run.require_complete(plans)


def test_limits_hold_below_the_settings(box: Sandbox) -> None:
    run = Run(RetryLimits(timeout=30, retry_time=0))
    run.open(assemble(settings(box, "Terms", max_retry_time=900)))
    box.faults.add(Fault("unavailable", match="metadata"))
    try:
        with pytest.raises(RequestFailed) as failed:
            run.describe_streams()
        assert failed.value.cause is Cause.MAINTENANCE
    finally:
        run.close()
