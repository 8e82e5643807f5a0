"""``python -m demo``: run the tour and check its figures."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demo.meltano import ROOT, Meltano, replication_methods
from demo.sandbox_process import CHANGES, SandboxProcess, running
from demo.table import Line, mismatches, table
from sandbox.app import PASSWORD, USERNAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from demo.sandbox_process import Snapshot

FOLDER = ROOT / "output" / "demo"
INCREMENTAL = "incremental"
WIDTH = 96  # of the text of a step
NEXT_STEPS = """\
To read your own instance, copy .env.example to .env, set in it
  TAP_ACUMATICA_URL       its address, such as https://company.acumatica.com
  TAP_ACUMATICA_USERNAME  a service account with access to the tenant
  TAP_ACUMATICA_PASSWORD  its password
and run .venv-meltano/bin/meltano --environment=prod run everything\
"""


def print_line(text: str = "") -> None:
    """Print a line and flush stdout."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def step(text: str) -> Iterator[None]:
    """Print a step with its duration at its end, and on a terminal also at its start."""
    if sys.stdout.isatty():
        sys.stdout.write(f"  {text} ...\r")
        sys.stdout.flush()
    start = time.monotonic()
    yield
    print_line(f"  {text:<{WIDTH}} {time.monotonic() - start:5.1f} s")


def run_sync(meltano: Meltano, sandbox: SandboxProcess, run: str) -> None:
    """Copy all streams into the run's own folder."""
    settings = {
        "TAP_ACUMATICA_URL": sandbox.url,
        "TAP_ACUMATICA_USERNAME": USERNAME,
        "TAP_ACUMATICA_PASSWORD": PASSWORD,
        "TAP_ACUMATICA_MAX_RETRY_TIME": "30",
        "TARGET_JSONL_DESTINATION_PATH": str(FOLDER / run),
    }
    meltano("run", "everything", variables=settings)


def count_rows(run: str, stream: str) -> int:
    """Count the rows that a run wrote for a stream."""
    file = FOLDER / run / f"{stream}.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def compare(methods: Mapping[str, str], before: Snapshot, after: Snapshot) -> list[Line]:
    """Compare the rows that the runs wrote with the rows in the sandbox, by stream."""
    lines = []
    for stream, method in methods.items():
        changed = after[stream] - before[stream]
        second = changed if method == INCREMENTAL else after[stream]
        expected = (len(before[stream]), len(second))
        written = (count_rows("first", stream), count_rows("second", stream))
        files = f"{FOLDER.relative_to(ROOT)}/*/{stream}.jsonl"
        lines.append(Line(stream, method, written, expected, files))
    return lines


def tour() -> list[Line]:
    """Copy the company, change it, and copy it again."""
    meltano = Meltano(FOLDER)
    methods = replication_methods()
    with step("Meltano installs the tap and a loader"):
        meltano.install()
    with running(FOLDER / "sandbox.log") as sandbox:
        before = sandbox.snapshot(tuple(methods))
        with step("First run: all rows of all streams"):
            run_sync(meltano, sandbox, "first")
        with step(f"Meanwhile: {CHANGES}"):
            sandbox.make_changes()
        after = sandbox.snapshot(tuple(methods))
        with step("Second run: incremental streams read what has changed"):
            run_sync(meltano, sandbox, "second")
    return compare(methods, before, after)


def main() -> int:
    """Run the tour."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    print_line("A sandbox company, read by tap-acumatica, written by target-jsonl, run by Meltano")
    print_line()
    try:
        lines = tour()
    except RuntimeError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    print_line()
    print_line(table(lines))
    print_line()
    errors = mismatches(lines)
    if errors:
        sys.stderr.write(
            "\n".join([*errors, f"See {(FOLDER / 'meltano.log').relative_to(ROOT)}.", ""])
        )
        return 1
    print_line(NEXT_STEPS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
