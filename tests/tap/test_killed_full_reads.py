"""A large full read that is killed again and again ends whole, and costs little more than one.

In the environment, KILLED_ROWS says how many rows the table has.
"""

from __future__ import annotations

import json
import os
import subprocess
from math import ceil
from typing import TYPE_CHECKING, Any

import pytest
from support.running import NOW, STATES_AT_ONCE, discover, settings_for, write_json

from sandbox import Sandbox

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.sessions import RequestRecord

ROWS = int(os.environ.get("KILLED_ROWS", "40000"))
PAGE = 2000
STATE_EVERY = 10_000
KILLS = 3
TERMS = "PX_Objects_CS_Terms"
COLUMNS = {"TermsID", "LastModifiedDateTime", "Descr"}


def narrow_catalog(settings: dict[str, Any], method: str) -> dict[str, Any]:
    """A catalog with a few columns of the stream, so that a million rows are read soon."""
    stream = discover(settings)[TERMS]
    stream["metadata"][0]["metadata"]["selected"] = True
    for entry in stream["metadata"][1:]:
        entry["metadata"]["selected"] = entry["breadcrumb"][-1] in COLUMNS
    if method == "FULL_TABLE":
        stream["replication_method"] = method
        stream["metadata"][0]["metadata"]["replication-method"] = method
        stream.pop("replication_key", None)
    return {"streams": [stream]}


class Killer:
    """Kills a process when a number of requests has arrived."""

    def __init__(self, box: Sandbox) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.requests = 0
        self.left = 0
        box.before_request(self._count)

    def _count(self, record: RequestRecord) -> None:
        if "$metadata" in str(record):
            return
        self.requests += 1
        self.left -= 1
        if self.left == 0 and self.process:
            self.process.kill()


@pytest.mark.parametrize("method", ["FULL_TABLE", "INCREMENTAL"])
def test_a_full_read_that_is_killed_three_times_ends_whole(method: str, tmp_path: Path) -> None:
    with Sandbox(now=NOW, rows=1) as box:
        box.fill(TERMS, ROWS, start="2020-01-01T00:00:00Z", step_seconds=1)
        rows = len(box.rows(TERMS))
        settings = settings_for(
            box,
            TERMS,
            page_size=PAGE,
            max_pool_size=1,
            emit_activate_version_messages=True,
            full_read_interval=0,
        )
        config = write_json(tmp_path / "c.json", settings)
        catalog = write_json(tmp_path / "catalog.json", narrow_catalog(settings, method))
        state = tmp_path / "state.json"
        killer = Killer(box)
        keys: set[str] = set()
        activated: list[int] = []
        versions: set[int] = set()

        def run(*, kill_at: int = 0) -> int:
            """Run to the end, or until so many requests; a killed run ends at its last STATE."""
            killer.requests, killer.left = 0, kill_at
            command = [*STATES_AT_ONCE, "--config", config, "--catalog", catalog]
            command += ["--state", str(state)] if state.exists() else []
            pending: list[dict[str, Any]] = []
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own command
                killer.process = process
                for line in process.stdout or ():
                    if not line.endswith("\n"):
                        break
                    message = json.loads(line)
                    pending.append(message)
                    if message["type"] != "STATE":
                        continue
                    for each in pending:
                        if each["type"] == "RECORD":
                            keys.add(each["record"]["TermsID"])
                            versions.add(each["version"])
                        elif each["type"] == "ACTIVATE_VERSION":
                            activated.append(each["version"])
                    pending.clear()
                    state.write_text(json.dumps(message["value"]))
            assert (process.returncode != 0) == bool(kill_at)
            return killer.requests

        if method == "INCREMENTAL":
            run()  # the first load
            assert not activated
            box.clock.advance(86_400)
            keys.clear()
            versions.clear()
        pages = ceil(rows / PAGE)
        spent = [run(kill_at=pages // 4 + STATE_EVERY // PAGE) for _ in range(KILLS)]
        assert not activated
        assert len(state.read_text()) < 1000
        spent.append(run())
        assert len(activated) == 1
        assert versions == set(activated)
        assert len(keys) == rows
        # The pages since the last STATE, which the writer and the reader ahead have had, the
        # window with the undated read, and the proof of the end.
        lost = STATE_EVERY // PAGE + 4
        overhead = 10 if method == "INCREMENTAL" else 1
        assert sum(spent) <= pages + 6 + overhead + KILLS * (lost + overhead), (spent, pages)
