"""Whenever a run is stopped, and however often: whole messages, a true state, no session left.

Moments are requests that arrive at the server and lines that arrive at the target. In the
environment, STOP_MOMENTS says how many are drawn for each way to stop a run, STOP_SEED which, and
STOP_SECONDS how long the end may take: 10 on a machine that has nothing else to do.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from support.batches import batch_config, unpacked
from support.running import NOW, STATES_AT_ONCE, run, settings_for, write_json
from support.states import LINES, ORDERS, require_true_states

from sandbox import Sandbox
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.http import Request, Response

MOMENTS = int(os.environ.get("STOP_MOMENTS", "2"))
SEED = os.environ.get("STOP_SEED", "1")
MAX_SECONDS = float(os.environ.get("STOP_SECONDS", "60"))

TERMS = "PX_Objects_CS_Terms"


@dataclass(frozen=True)
class Way:
    """A way to stop a process: signals by name, each at the next moment after the one before."""

    name: str
    signals: tuple[str, ...]
    exit_code: int


WAYS = [
    Way("TERM", ("SIGTERM",), 143),
    Way("INT", ("SIGINT",), 130),
    Way("HUP", ("SIGHUP",), 129),
    Way("twice TERM", ("SIGTERM", "SIGTERM"), 143),
    Way("KILL", ("SIGKILL",), -9),
]


class Stopper:
    """Sends the signals of a way to a process: the first at a moment, the others at the next."""

    def __init__(self, way: Way, event: str, number: int) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self._overdue: threading.Timer | None = None
        self._signals = [getattr(signal, name) for name in way.signals]
        self._event, self._left = event, number
        self._lock = threading.Lock()

    def happens(self, event: str) -> None:
        """Count a request or a line, and send a signal if it is its moment."""
        with self._lock:
            self._left -= event == self._event
            if not self.process or not self._signals or not (self._overdue or self._left == 0):
                return
            if not self._overdue:
                self._overdue = threading.Timer(MAX_SECONDS, self.process.kill)
                self._overdue.start()
            self.process.send_signal(self._signals.pop(0))

    def end(self) -> None:
        """The process has ended."""
        if self._overdue:
            self._overdue.cancel()


@dataclass
class Site:
    """A sandbox, the arguments of a sync, and how many events a whole one has."""

    box: Sandbox
    arguments: list[str]
    events: dict[str, int]

    @classmethod
    def of(cls, box: Sandbox, config: str) -> Site:
        """Sync once, with a file of settings."""
        site = cls(box, ["--config", config], {})
        box.reset_counters()
        code, lines = site.sync(Stopper(Way("never", (), 0), "line", 0))
        assert code == 0
        total = box.counters().total
        site.events = {"request": total, "answer": total, "line": len(lines)}
        return site

    def sync(self, stopper: Stopper) -> tuple[int, list[bytes]]:
        """Sync until the stopper ends it; returns the exit code and the lines of stdout."""
        answer = self.box.app.answer

        def answer_and_tell(request: Request) -> Response:
            stopper.happens("request")
            response = answer(request)
            stopper.happens("answer")
            return response

        self.box.app.answer = answer_and_tell  # type: ignore[method-assign]
        try:
            with subprocess.Popen(  # noqa: S603 - our own command
                [*STATES_AT_ONCE, *self.arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
            ) as process:
                stopper.process = process
                log = threading.Thread(target=process.stderr.read)  # type: ignore[union-attr]
                log.start()
                lines = []
                for line in process.stdout or ():
                    lines.append(line)
                    stopper.happens("line")
                code = process.wait()
                stopper.end()
                log.join()
        finally:
            self.box.app.answer = answer  # type: ignore[method-assign]
        return code, lines


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Site]]:
    """One site twice: written in lines, and in batches."""
    folder = tmp_path_factory.mktemp("site")
    with Sandbox(now=NOW, rows=60, tenants=("A", "B")) as box:
        settings = settings_for(
            box, ORDERS, LINES, TERMS, tenants=["A", "B"], page_size=10, max_pool_size=3
        )
        in_batches = {"batch_config": batch_config(folder / "batches", 15)}
        yield [
            Site.of(box, write_json(folder / "lines.json", settings)),
            Site.of(box, write_json(folder / "batches.json", settings | in_batches)),
        ]


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals")
@pytest.mark.parametrize("number", range(MOMENTS))
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name.replace(" ", "-"))
def test_a_run_that_is_stopped_at_any_moment_ends_well(
    sites: list[Site], way: Way, number: int
) -> None:
    drawn = random.Random(f"{SEED} {way.name} {number}")
    site = sites[number % 2]
    event = drawn.choice(sorted(site.events))
    moment = drawn.randint(1, site.events[event])
    site.box.end_sessions()
    code, lines = site.sync(Stopper(way, event, moment))
    where = f"{way.name} at {event} {moment} {site.arguments}"
    assert code in {0, way.exit_code}, where  # a process that had to be killed was too late
    if way.name == "KILL":
        lines = [line for line in lines if line.endswith(b"\n")]
    else:
        assert site.box.counters().sessions_open == 0, where
    assert all(line.endswith(b"\n") for line in lines), where
    messages = [*unpacked(map(json.loads, lines))]
    require_true_states(site.box, messages)
    if code > 0 and any(message["type"] == "RECORD" for message in messages):
        assert messages[-1]["type"] == "STATE" or "twice" in way.name, where


@pytest.mark.parametrize("number", range(1, 8))
def test_what_stopped_readers_drop_is_in_front_of_no_bookmark(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    events = Run.events

    def closing(self: Run, *arguments: Any) -> Iterator[Any]:
        for position, event in enumerate(events(self, *arguments)):
            yield event
            if position == number:
                self.stop_signal = signal.SIGTERM
                self.close()

    monkeypatch.setattr(Run, "events", closing)
    with Sandbox(now=NOW, rows=60, tenants=("A", "B")) as box:
        names = [ORDERS, LINES]
        output = run(settings_for(box, *names, tenants=["A", "B"], page_size=10))
        assert isinstance(output.error, Stopped)
        require_true_states(box, output.messages)
