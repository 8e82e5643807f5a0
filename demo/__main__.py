"""``python -m demo``: run the tour and check its figures."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demo.meltano import ROOT, Meltano, streams
from demo.sandbox_process import WORK, SandboxProcess, running
from demo.table import Line, complaints, table
from sandbox.app import PASSWORD, USERNAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demo.sandbox_process import Snapshot

FOLDER = ROOT / "output" / "demo"
INCREMENTAL = "incremental"
WIDTH = 96  # of what a step says
NEXT = """\
With an instance of your own: copy .env.example to .env and set in it
  TAP_ACUMATICA_URL       its address, such as https://company.acumatica.com
  TAP_ACUMATICA_USERNAME  a service account that may sign in to the tenant
  TAP_ACUMATICA_PASSWORD  its password
and run .venv-meltano/bin/meltano --environment=prod run everything\
"""


def say(text: str = "") -> None:
    """Write a line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a step where somebody watches, and tell its duration when it is done."""
    if sys.stdout.isatty():
        sys.stdout.write(f"  {text} ...\r")
        sys.stdout.flush()
    start = time.monotonic()
    yield
    say(f"  {text:<{WIDTH}} {time.monotonic() - start:5.1f} s")


def read(meltano: Meltano, sandbox: SandboxProcess, run: str) -> None:
    """Copy everything into a folder of the run's own."""
    settings = {
        "TAP_ACUMATICA_URL": sandbox.url,
        "TAP_ACUMATICA_USERNAME": USERNAME,
        "TAP_ACUMATICA_PASSWORD": PASSWORD,
        "TAP_ACUMATICA_MAX_RETRY_TIME": "30",
        "TARGET_JSONL_DESTINATION_PATH": str(FOLDER / run),
    }
    meltano("run", "everything", variables=settings)


def written(run: str, stream: str) -> int:
    """How many rows a run has written for a stream."""
    file = FOLDER / run / f"{stream}.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def lines(reads: Mapping[str, str], before: Snapshot, after: Snapshot) -> list[Line]:
    """What the runs wrote, beside what the sandbox had for them."""
    found = []
    for stream, how in reads.items():
        changed = after[stream] - before[stream]
        due = changed if how == INCREMENTAL else after[stream]
        expected = (len(before[stream]), len(due))
        files = f"{FOLDER.relative_to(ROOT)}/*/{stream}.jsonl"
        found.append(
            Line(
                stream, how, (written("first", stream), written("second", stream)), expected, files
            )
        )
    return found


def tour() -> list[Line]:
    """Copy, change, copy again."""
    meltano = Meltano(FOLDER)
    reads = streams()
    with step("Meltano installs the tap and a loader"):
        meltano.install()
    with running(FOLDER / "sandbox.log") as sandbox:
        before = sandbox.snapshot(tuple(reads))
        with step("First run: all rows of all streams"):
            read(meltano, sandbox, "first")
        with step(f"Meanwhile: {WORK}"):
            sandbox.work()
        after = sandbox.snapshot(tuple(reads))
        with step("Second run: incremental streams bring what has changed"):
            read(meltano, sandbox, "second")
    return lines(reads, before, after)


def main() -> int:
    """Run the tour."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    say("A sandbox company, read by tap-acumatica, written by target-jsonl, run by Meltano")
    say()
    try:
        found = tour()
    except RuntimeError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    say()
    say(table(found))
    say()
    wrong = complaints(found)
    if wrong:
        sys.stderr.write(
            "\n".join([*wrong, f"See {(FOLDER / 'meltano.log').relative_to(ROOT)}.", ""])
        )
        return 1
    say(NEXT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
