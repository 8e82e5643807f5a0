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
from support.running import NOW, STATES_AT_ONCE, settings_for, write_json

from sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sandbox.http import Request, Response

MOMENTS = int(os.environ.get("STOP_MOMENTS", "2"))
SEED = os.environ.get("STOP_SEED", "1")
MAX_SECONDS = float(os.environ.get("STOP_SECONDS", "60"))

ORDERS = "PX_Objects_SO_SOOrder"
LINES = "PX_Objects_SO_SOLine"
TERMS = "PX_Objects_CS_Terms"
KEYS = {ORDERS: ("OrderType", "OrderNbr"), LINES: ("OrderType", "OrderNbr", "LineNbr")}
MODIFIED = "LastModifiedDateTime"


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
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Sandbox(now=NOW, rows=60, tenants=("A", "B")) as box:
        settings = settings_for(
            box, ORDERS, LINES, TERMS, tenants=["A", "B"], page_size=10, max_pool_size=3
        )
        config = write_json(tmp_path_factory.mktemp("site") / "c.json", settings)
        site = Site(box, ["--config", config], {})
        code, lines = site.sync(Stopper(Way("never", (), 0), "line", 0))
        assert code == 0
        total = box.counters().total
        site.events = {"request": total, "answer": total, "line": len(lines)}
        yield site


def require_true_state(box: Sandbox, messages: list[dict[str, Any]]) -> None:
    """Fail if a state is ahead of the records that were written before it."""
    written: set[tuple[object, ...]] = set()
    for message in messages:
        if message["type"] == "RECORD":
            stream, record = message["stream"], message["record"]
            key = [record[column] for column in KEYS.get(stream, ())]
            written.add((stream, record["_tenant"], *key))
        if message["type"] != "STATE":
            continue
        for stream, columns in KEYS.items():
            entry = message["value"].get("bookmarks", {}).get(stream, {})
            for partition in entry.get("partitions", ()):
                tenant = partition["context"]["_tenant"]
                bookmark = partition.get("replication_key_value", "")[:19]
                due = {
                    (stream, tenant, *(row[column] for column in columns))
                    for row in box.rows(stream, tenant)
                    if str(row[MODIFIED])[:19] < bookmark
                }
                assert due <= written


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot send these signals")
@pytest.mark.parametrize("number", range(MOMENTS))
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name.replace(" ", "-"))
def test_a_run_that_is_stopped_at_any_moment_ends_well(site: Site, way: Way, number: int) -> None:
    drawn = random.Random(f"{SEED} {way.name} {number}")
    event = drawn.choice(sorted(site.events))
    moment = drawn.randint(1, site.events[event])
    site.box.end_sessions()
    code, lines = site.sync(Stopper(way, event, moment))
    where = f"{way.name} at {event} {moment}"
    assert code in {0, way.exit_code}, where  # a process that had to be killed was too late
    if way.name == "KILL":
        lines = [line for line in lines if line.endswith(b"\n")]
    else:
        assert site.box.counters().sessions_open == 0, where
    assert all(line.endswith(b"\n") for line in lines), where
    messages = [json.loads(line) for line in lines]
    require_true_state(site.box, messages)
    if code > 0 and any(message["type"] == "RECORD" for message in messages):
        assert messages[-1]["type"] == "STATE" or "twice" in way.name, where
