"""``python -m demo``: run the tour and check its figures."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from demo.loaders import LOADERS
from demo.meltano import ROOT, Meltano, replication_methods
from demo.sandbox_process import CHANGES, SandboxProcess, running
from demo.table import Line, mismatches, table
from sandbox.app import PASSWORD, USERNAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from demo.loaders import Loader
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


def run_sync(meltano: Meltano, sandbox: SandboxProcess, loader: Loader, run: str) -> None:
    """Copy all streams."""
    settings = {
        "TAP_ACUMATICA_URL": sandbox.url,
        "TAP_ACUMATICA_USERNAME": USERNAME,
        "TAP_ACUMATICA_PASSWORD": PASSWORD,
        "TAP_ACUMATICA_MAX_RETRY_TIME": "30",
        **loader.variables(run),
    }
    extractors = ("tap-acumatica--incremental", "tap-acumatica--full-table")
    tasks = [name for extractor in extractors for name in (extractor, loader.name)]
    meltano("run", *tasks, variables=settings)


def compare(
    methods: Mapping[str, str],
    snapshots: tuple[Snapshot, Snapshot],
    written: tuple[Mapping[str, int], Mapping[str, int]],
    cells: Mapping[str, tuple[tuple[str, ...], str]],
) -> list[Line]:
    """Compare what the runs wrote with the rows in the sandbox, by stream."""
    before, after = snapshots
    lines = []
    for stream, method in methods.items():
        changed = after[stream] - before[stream]
        second = changed if method == INCREMENTAL else after[stream]
        expected = (before[stream].total(), second.total())
        counts = (written[0][stream], written[1][stream])
        lines.append(Line(stream, method, counts, expected, *cells[stream]))
    return lines


def tour(name: str) -> tuple[Sequence[str], list[Line], str]:
    """Copy the company, change it, and copy it again.

    Returns:
        The headings of the loader's columns, the lines of the table, and how to look at the copy.
    """
    meltano = Meltano(FOLDER)
    methods = replication_methods()
    streams = tuple(methods)
    with LOADERS[name](FOLDER) as loader, running(FOLDER / "sandbox.log") as sandbox:
        with step("Meltano installs the tap and a loader"):
            meltano.install({loader.name: loader.package})
        before = sandbox.snapshot(streams)
        with step("First run: all rows of all streams"):
            run_sync(meltano, sandbox, loader, "first")
        first = {stream: loader.count("first", stream) for stream in streams}
        with step(f"Meanwhile: {CHANGES}"):
            sandbox.make_changes()
        after = sandbox.snapshot(streams)
        with step("Second run: incremental streams read what has changed"):
            run_sync(meltano, sandbox, loader, "second")
        second = {stream: loader.count("second", stream) for stream in streams}
        cells = {stream: loader.cells(stream, sandbox.rows(stream)) for stream in streams}
        lines = compare(methods, (before, after), (first, second), cells)
        return loader.headings, lines, loader.how_to_look


def main() -> int:
    """Run the tour."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    name = sys.argv[1] if len(sys.argv) > 1 else next(iter(LOADERS))
    if name not in LOADERS:
        sys.stderr.write(f"The demo has no loader {name}: choose one of {', '.join(LOADERS)}.\n")
        return 1
    print_line(f"A sandbox company, read by tap-acumatica, written by {name}, run by Meltano")
    print_line()
    try:
        headings, lines, how_to_look = tour(name)
    except RuntimeError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    print_line()
    print_line(table(headings, lines))
    print_line()
    errors = mismatches(lines)
    if errors:
        sys.stderr.write(
            "\n".join([*errors, f"See {(FOLDER / 'meltano.log').relative_to(ROOT)}.", ""])
        )
        return 1
    if how_to_look:
        print_line(how_to_look)
        print_line()
    print_line(NEXT_STEPS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
