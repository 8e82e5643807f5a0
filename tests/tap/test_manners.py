"""However a run ends, it leaves no session open."""

from __future__ import annotations

import json
import mmap
import select
import signal
import subprocess
import sys
import threading
from typing import IO, TYPE_CHECKING, Any

import pytest
from support.running import COMMAND, NOW, STOPPING, run, settings_for, write_json

from sandbox import Fault, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SALES = "PX_Objects_SO_SOOrder"
LINES = "PX_Objects_SO_SOLine"
TERMS = "PX_Objects_CS_Terms"
ITEMS = "PX_Objects_IN_InventoryItem"
STREAMS = (SALES, LINES, TERMS, ITEMS)


@pytest.fixture
def two() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rows=60, tenants=("A", "B")) as box:
        yield box


@pytest.mark.parametrize("pool", [1, 4])
@pytest.mark.parametrize(
    "fault",
    [
        None,
        Fault("unavailable", match=LINES),
        Fault("unauthorized", match=LINES, after=1),
        Fault("forbidden"),
        Fault("truncated", match=LINES, after=1),
        Fault("reset", match=LINES, after=1),
        Fault("empty_body", match=ITEMS),
        Fault("retype", match=SALES, column="LastModifiedDateTime", into="object"),
        Fault("unavailable", match="metadata"),
    ],
    ids=lambda fault: f"{fault.kind} {fault.match}" if fault else "nothing",
)
def test_after_every_run_no_session_is_open(two: Sandbox, fault: Fault | None, pool: int) -> None:
    if fault:
        two.faults.add(Fault(fault.kind, fault.match, fault.times, fault.after, **fault.options))
    settings = settings_for(two, *STREAMS, tenants=["A", "B"], max_pool_size=pool, max_retry_time=0)
    output = run(settings)
    assert (output.error is None) == (fault is None)
    assert two.counters().sessions_open == 0


def test_a_session_for_each_connection_and_no_more(two: Sandbox) -> None:
    assert run(settings_for(two, *STREAMS, tenants=["A"], max_pool_size=3)).error is None
    assert two.counters().sessions_opened <= 3
    assert run(settings_for(two, *STREAMS, tenants=["A"], enable_pooling=False)).error is None
    assert two.counters().sessions_opened <= 4


def test_a_licence_for_one_session_is_enough_for_many_tenants(two: Sandbox) -> None:
    two.quirks.max_sessions = 1
    output = run(settings_for(two, *STREAMS, tenants=["A", "B"], max_retry_time=0))
    assert output.error is None
    assert two.counters().sessions_open == 0


@pytest.mark.parametrize("tenants", [["A"], ["A", "B"]])
@pytest.mark.parametrize("sessions", [1, 2])
def test_a_run_that_is_refused_another_session_goes_on_with_those_it_has(
    two: Sandbox, tenants: list[str], sessions: int, caplog: pytest.LogCaptureFixture
) -> None:
    two.quirks.max_sessions = sessions
    settings = settings_for(two, *STREAMS, tenants=tenants, max_pool_size=4, max_retry_time=0)
    output = run({**settings, "page_size": 10})
    assert output.error is None
    for stream in STREAMS:
        rows = [row for tenant in tenants for row in two.rows(stream, tenant=tenant)]
        assert len({json.dumps(row, default=str) for row in output.records(stream)}) == len(rows)
    assert two.counters().sessions_open == 0
    said = [each for each in caplog.messages if "allows no more sessions" in each]
    assert len(said) <= 3


def test_the_sessions_of_a_tenant_end_with_its_last_stream(two: Sandbox) -> None:
    open_sessions = []
    two.before_request(lambda _: open_sessions.append(two.counters().sessions_open))
    assert run(settings_for(two, SALES, tenants=["A", "B"])).error is None
    assert open_sessions[-1] == 1, "that of the tenant that is read"
    assert two.counters().sessions_open == 0


def stop_during_request(  # noqa: PLR0913 - when, how and by what
    box: Sandbox,
    tmp_path: Path,
    settings: dict[str, Any],
    *arguments: str,
    at: int,
    number: int = signal.SIGTERM,
    hangs: bool = False,
) -> subprocess.CompletedProcess[str]:
    """Run the command, and stop it while it waits for the response to a request for data.

    The response comes as soon as the signal was sent, unless the request hangs.
    """
    arrived, release, requests = threading.Event(), threading.Event(), []

    def hold(record: object) -> None:
        requests.append(record)
        if len(requests) == at:
            arrived.set()
            release.wait(120)  # longer than a process may take to end

    box.before_request(hold)
    config = write_json(tmp_path / "c.json", settings)
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, *arguments, "--config", config],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert arrived.wait(60)
        process.send_signal(number)
        if not hangs:
            release.set()
        out, err = process.communicate(timeout=60)
        release.set()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.parametrize("pool", [1, 4])
def test_a_sync_that_is_told_to_stop_signs_out_of_all_sessions(
    two: Sandbox, tmp_path: Path, pool: int
) -> None:
    settings = settings_for(two, *STREAMS, tenants=["A", "B"], max_pool_size=pool, page_size=10)
    finished = stop_during_request(two, tmp_path, settings, at=8)
    assert finished.returncode == 143
    assert json.loads(finished.stdout.splitlines()[-1])["type"] == "STATE"
    assert two.counters().sessions_open == 0
    assert two.counters().signed_out >= 1


@pytest.mark.parametrize("name", STOPPING)
def test_each_signal_that_stops_a_process_stops_a_sync(
    two: Sandbox, tmp_path: Path, name: str
) -> None:
    if not hasattr(signal, name):
        return  # this platform has no such signal
    settings = settings_for(two, *STREAMS, tenants=["A", "B"], page_size=10)
    number = getattr(signal, name)
    # A shell has background jobs ignore some signals, which a process inherits.
    before = signal.signal(number, signal.SIG_DFL)
    try:
        finished = stop_during_request(two, tmp_path, settings, at=4, number=number)
    finally:
        signal.signal(number, before)
    assert finished.returncode == 128 + number
    assert json.loads(finished.stdout.splitlines()[-1])["type"] == "STATE"
    assert two.counters().sessions_open == 0


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_sync_under_nohup_outlives_its_terminal(two: Sandbox, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        settings = settings_for(two, *STREAMS, tenants=["A"], page_size=10)
        finished = stop_during_request(two, tmp_path, settings, at=4, number=signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert finished.returncode == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells how full a pipe is")
def test_a_second_signal_ends_a_sync_whose_target_takes_no_more(
    two: Sandbox, tmp_path: Path
) -> None:
    two.fill(SALES, 3_000, start="2025-01-01T00:00:00Z", step_seconds=7)
    config = write_json(tmp_path / "c.json", settings_for(two, SALES, tenants=["A"]))
    with subprocess.Popen(  # noqa: S603 - our own command
        [*COMMAND, "--config", config], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout
        wait_until_full(process.stdout)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        # If both are pending at once, either may be the second one.
        assert process.wait(20) in {128 + signal.SIGTERM, 128 + signal.SIGINT}
    assert two.counters().sessions_open == 0


def wait_until_full(pipe: IO[bytes]) -> None:
    """Wait until a pipe that nobody reads has room for less than a page."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    full = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - mmap.PAGESIZE
    while int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder) <= full:
        select.select([], [], [], 0.01)


@pytest.mark.parametrize(
    ("arguments", "number"), [(["check"], signal.SIGTERM), (["--test"], signal.SIGINT)]
)
def test_what_writes_no_messages_stops_soon_and_leaves_the_busy_session_alone(
    two: Sandbox, tmp_path: Path, arguments: list[str], number: int
) -> None:
    settings = settings_for(two, *STREAMS, tenants=["A", "B"])
    finished = stop_during_request(
        two, tmp_path, settings, *arguments, at=2, number=number, hangs=True
    )
    assert finished.returncode == 128 + number
    assert two.counters().sessions_open == 1, "the one that is executing a request"
    assert two.counters().signed_out == 1
    assert "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "number"), [(["check"], signal.SIGTERM), (["--test"], signal.SIGINT)]
)
def test_what_writes_no_messages_signs_out_when_its_request_has_ended(
    two: Sandbox, tmp_path: Path, arguments: list[str], number: int
) -> None:
    settings = settings_for(two, *STREAMS, tenants=["A", "B"])
    finished = stop_during_request(two, tmp_path, settings, *arguments, at=2, number=number)
    assert finished.returncode == 128 + number
    assert two.counters().sessions_open == 0
    assert "Traceback" not in finished.stderr
