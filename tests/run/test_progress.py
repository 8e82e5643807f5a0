"""Progress: log lines, or a bar on a terminal; counted per page, not per row."""

from __future__ import annotations

import io
import logging
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from support.running import run, settings_for

from tap_acumatica.odata.log import logger
from tap_acumatica.run.display import show_progress
from tap_acumatica.run.progress import Lines, NoProgress, Progress
from tap_acumatica.run.progress_bar import Bar

if TYPE_CHECKING:
    from sandbox import Sandbox

LEDGER = "PX_Objects_GL_GLTran"
TERMS = "PX_Objects_CS_Terms"


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_every_ten_seconds_there_is_a_line(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger.name)
    progress = Progress(24, Lines(), clock)
    progress.begin("S", None)
    progress.begin("T", "Company B")
    for _ in range(25):
        clock.now += 1
        progress.page(2000)
    assert caplog.messages == [
        "Progress: 20000 rows (2000 rows/s), 10 pages, stream 2 of 24 (T of Company B)",
        "Progress: 40000 rows (2000 rows/s), 20 pages, stream 2 of 24 (T of Company B)",
    ]


def test_a_page_that_does_not_come_is_no_silence(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger.name)
    progress = Progress(1, Lines(), clock)
    progress.begin("S", None)
    progress.page(10)
    for _ in range(300):
        clock.now += 0.2
        progress.tick()
    assert len(caplog.messages) == 5
    assert caplog.messages[-1] == "Progress: 10 rows (0 rows/s), 1 pages, stream 1 of 1 (S)"


def test_silence_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    progress = NoProgress()
    progress.begin("S", None)
    progress.page(5)
    assert caplog.messages == []


def terminal() -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=110, legacy_windows=False)


def test_the_bar_shows_rows_and_streams(clock: Clock) -> None:
    console = terminal()
    bar = Bar(3, console, moving=False)
    progress = Progress(3, bar, clock)
    with bar.shown():
        progress.begin("S", None)
        progress.begin("T", None)
        clock.now += 4
        progress.page(8000)
    assert isinstance(console.file, io.StringIO)
    output = console.file.getvalue()
    assert "0/3" in output
    assert output.rindex("3/3") > output.index("0/3"), "when all is read"
    assert "8,000 rows, 2,000 rows/s, 1 pages" in output


def test_names_on_the_bar_are_neither_markup_nor_orders_to_the_terminal(clock: Clock) -> None:
    console = terminal()
    bar = Bar(1, console, moving=False)
    with bar.shown():
        Progress(1, bar, clock).begin("S\x1b]0;title\x07", "Company [/B]")
    assert isinstance(console.file, io.StringIO)
    assert r"S\x1b]0;title\x07 of Company [/B]" in console.file.getvalue()


def test_what_is_logged_stands_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stderr = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stderr)
    handler = logging.StreamHandler(stderr)
    logging.getLogger().addHandler(handler)
    console = terminal()
    try:
        with Bar(1, console, moving=False).shown():
            assert handler.stream is sys.stderr
            assert handler.stream is not stderr
            logging.getLogger().warning("in between")
        assert handler.stream is stderr
    finally:
        logging.getLogger().removeHandler(handler)
    assert isinstance(console.file, io.StringIO)
    assert "in between" in console.file.getvalue()
    assert stderr.getvalue() == ""


@pytest.mark.parametrize(
    ("stderr", "stdout", "bar"), [(True, False, True), (True, True, False), (False, False, False)]
)
def test_the_bar_is_for_a_terminal_that_shows_no_messages(
    monkeypatch: pytest.MonkeyPatch, stderr: bool, stdout: bool, bar: bool
) -> None:
    bars = []

    class RecordingBar(Bar):
        def __init__(self, total: int, console: Console) -> None:
            bars.append(total)
            super().__init__(total, console, moving=False)

    monkeypatch.setattr("tap_acumatica.run.progress_bar.Bar", RecordingBar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: stderr)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: stdout)
    with show_progress(7) as progress:
        progress.begin("S", None)
    assert bars == [7] * bar


def test_a_run_counts_its_pages_and_not_its_rows(
    box: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Progress] = []

    class RecordingLines(Lines):
        def show(self, progress: Progress) -> None:
            seen[:] = [progress]

    monkeypatch.setattr("tap_acumatica.run.display.Lines", RecordingLines)
    output = run(settings_for(box, LEDGER, TERMS, page_size=100))
    assert output.error is None
    (progress,) = seen
    assert progress.rows == len(output.records())
    assert (progress.begun, progress.total) == (2, 2)
    assert progress.pages <= box.counters().data_requests
    assert progress.rows > 10 * progress.pages
