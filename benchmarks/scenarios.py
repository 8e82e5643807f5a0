"""The scenarios: each starts a server, runs programs in turn, and compares their figures."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import requests

from benchmarks.measure import (
    ROOT,
    Figures,
    Program,
    measure_in_turn,
    python,
    run,
    save_output,
    serving,
)
from sandbox.app import PASSWORD, USERNAME

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FOLDER: Final = ROOT / "output" / "bench"
TAP: Final = str(Path(sys.executable).with_name("tap-acumatica"))
ENTITY: Final = "PX_Bench_Rows0000"
LATENCY: Final = 0.2
ROWS, WIDE_ROWS, FEWER_ROWS, MANY_ROWS = 500_000, 100_000, 200_000, 1_000_000
SMALL_PAGE: Final = 500
PAGES, STREAMS, CONSUMED_PAGES = 200, 60, 40
STREAMS_OF_STATES: Final = 3000
NAMED: Final = 300
READERS: Final = f"{FEWER_ROWS:,} rows x 30 columns"
TERMS: Final = "PX_Objects_CS_Terms"


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure with its target.

    Attributes:
        what: Description of the figure.
        value: The measured value.
        bar: The value to reach, or None if there is none.
        unit: Unit of both values; empty for a ratio.
        least: Whether the bar is a minimum, not a maximum.
    """

    what: str
    value: float
    bar: float | None
    unit: str = ""
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the bar is met, or None if there is none."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.least else self.value <= self.bar


@dataclass(slots=True)
class Results:
    """The results of a scenario."""

    measures: list[Measure] = field(default_factory=list)
    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    rounds: dict[str, int] = field(default_factory=dict)
    """Number of runs behind the medians."""
    server: list[float] = field(default_factory=list)
    """99th percentiles of the page server's time in ms until a response was ready."""
    missing: list[str] = field(default_factory=list)
    """Names of the readers that are not installed."""


def tap(name: str, address: str, **settings: object) -> list[str]:
    """Return the command that runs the tap, with its settings in a file."""
    config = {
        "url": address,
        "username": "someone",
        "password": "something",
        "entities": ["*"],
        "interfaces": ["dac"],
        **settings,
    }
    return [TAP, "--config", _write_json(name, config)]


def _write_json(name: str, content: object) -> str:
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(content))
    return str(path)


def page_server(**options: float | str) -> list[str]:
    """Return the command that runs the page server."""
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    return python("page_server", *arguments)


def _with_state(command: list[str]) -> list[str]:
    """Run the tap, and return the command that goes on with the state it leaves."""
    written = FOLDER / "first.jsonl"
    save_output(command, str(written))
    state = next(line for line in reversed(written.read_bytes().splitlines()) if b"STATE" in line)
    return [*command, "--state", _write_json("state", json.loads(state)["value"])]


def _sizes(command: list[str], path: Path) -> dict[str, int]:
    """Run the tap, and return the bytes that it writes, by the type of message."""
    save_output(command, str(path))
    sizes: Counter[str] = Counter()
    for line in path.read_bytes().splitlines(keepends=True):
        sizes[json.loads(line)["type"]] += len(line)
    return sizes


def _dated(command: list[str]) -> list[str]:
    """Return the streams that an instance has and that are read by date."""
    catalog = FOLDER / "dated.json"
    save_output([*command, "--discover"], str(catalog))
    streams = json.loads(catalog.read_bytes())["streams"]
    return [each["stream"] for each in streams if each.get("replication_method") == "INCREMENTAL"]


def _ready_time(address: str) -> float:
    return float(requests.get(f"{address}/_times", timeout=60).json()["99 % ms"])


class Bench:
    """Runs the scenarios."""

    def __init__(self, log: Callable[[str], None], rounds: int) -> None:
        """Make a bench.

        Args:
            log: Callback for progress messages.
            rounds: Number of runs of each program, of which the median counts.
        """
        self.results = Results()
        self._log = log
        self._rounds = rounds

    def run(self, name: str) -> Results:
        """Run one scenario."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._log(f"-- {name}")
        self.results = Results()
        SCENARIOS[name](self)
        return self.results

    def _measure(
        self,
        name: str,
        programs: Mapping[str, Program],
        max_rounds: int = 5,
        *,
        warm_up: bool = True,
    ) -> dict[str, Figures]:
        rounds = min(max_rounds, self._rounds)
        figures = measure_in_turn(programs, rounds, warm_up=warm_up, log=self._log)
        self.results.figures[name] = figures
        self.results.rounds[name] = rounds
        return figures

    def _add(self, *measures: Measure) -> None:
        self.results.measures.extend(measures)
        for measure in measures:
            self._log(f"=> {measure.what}: {measure.value:.2f} {measure.unit} (bar {measure.bar})")

    def start(self) -> None:
        """Measure the tap's start against the import of the SDK alone."""
        figures = self._measure(
            "start",
            {
                "import singer_sdk": Program([sys.executable, "-c", "import singer_sdk"]),
                "tap": Program([TAP, "--version"]),
            },
        )
        ratio = figures["tap"].cpu / figures["import singer_sdk"].cpu
        self._add(Measure("CPU seconds, start, tap / import singer_sdk", ratio, 1.25))

    def records(self) -> None:
        """Measure the CPU time for each record against the floor."""
        self._against_floor(ROWS, 30, (0.75, 0.85))

    def wide_records(self) -> None:
        """Measure the same with many columns."""
        self._against_floor(WIDE_ROWS, 200, (0.55, 0.62))

    def dated_records(self) -> None:
        """Measure the same where half of the columns are date-times and decimals."""
        self._against_floor(ROWS, 30, (0.60, 0.75), "half dates", max_rounds=3)

    def offset_records(self) -> None:
        """Measure the same where each date-time has to be converted."""
        self._against_floor(ROWS, 30, (1.3, 1.3), "offsets", max_rounds=3)

    def narrow_records(self) -> None:
        """Measure the same with few columns, where each date-time shows milliseconds."""
        self._against_floor(WIDE_ROWS, 14, (0.95, 0.95), "milliseconds")

    def _against_floor(
        self,
        rows: int,
        columns: int,
        bars: tuple[float, float],
        mix: str = "",
        max_rounds: int = 5,
    ) -> None:
        """Compare full table and incremental read with the floor.

        Args:
            rows: Number of rows.
            columns: Number of columns.
            bars: The ratios to reach.
            mix: What the rows are made of (`MIXES` of the page server).
            max_rounds: Number of runs at most.
        """
        size = f"{rows:,} rows x {columns} columns" + (f", {mix}" if mix else "")
        server = page_server(rows=rows, columns=columns, **({"mix": mix} if mix else {}))
        with serving(server) as address:
            figures = self._measure(
                size,
                {
                    "raw loop": Program(python("raw_loop", address, ENTITY)),
                    "tap, full table": Program(tap("full", address, tracking_type="none")),
                    "tap, incremental": Program(tap("incremental", address)),
                },
                max_rounds,
            )
            self._measure_server(address)
        floor = figures["raw loop"].cpu
        for kind, bar in zip(("full table", "incremental"), bars, strict=True):
            what = f"CPU seconds, {size}, tap ({kind}) / raw loop"
            self._add(Measure(what, figures[f"tap, {kind}"].cpu / floor, bar))

    def _measure_server(self, address: str) -> None:
        """Measure the page server in one more run, when it has rendered all pages."""
        requests.get(f"{address}/_times", timeout=60)
        run(Program(python("raw_loop", address, ENTITY)))
        self.results.server.append(_ready_time(address))

    def readers(self) -> None:
        """Compare the tap with other programs that read the same pages."""
        with serving(page_server(rows=FEWER_ROWS, columns=30)) as address:
            config = {"url": address, "entities": [ENTITY], "columns": 30}
            programs = {
                "pages unread": Program(python("raw_loop", address, ENTITY, "--unread")),
                "raw loop": Program(python("raw_loop", address, ENTITY)),
                "tap": Program(tap("full", address, tracking_type="none")),
                "vanilla tap": Program(
                    python("vanilla_tap", "--config", _write_json("vanilla", config))
                ),
            }
            for name in ("dlt", "airbyte"):
                interpreter = ROOT / f".venv-{name}" / "bin" / "python"
                script = str(ROOT / "benchmarks" / f"{name}_reader.py")
                command = [str(interpreter), script, address, ENTITY]
                if interpreter.exists():
                    programs[name] = Program(command)
                else:
                    self.results.missing.append(name)
            figures = self._measure(READERS, programs, max_rounds=3)
        ours = {"tap", "raw loop", "pages unread"}
        others = [took.cpu for name, took in figures.items() if name not in ours]
        ratio = figures["tap"].cpu / min(others)
        self._add(Measure("CPU seconds, tap / the best of the other readers", ratio, 0.12))

    def discovery(self) -> None:
        """Measure discovery of a wide catalog, and the time to the first record."""
        command = [sys.executable, "-m", "sandbox", "--scale", "--port", "0"]
        with serving(command) as address:
            account = {"username": USERNAME, "password": PASSWORD}
            config = _write_json("scale", {"url": address, **account})
            cached = _write_json(
                "cached", {"url": address, **account, "metadata_cache": str(FOLDER / "metadata")}
            )
            figures = self._measure(
                "discovery of 2,000 entities",
                {
                    "bare": Program(python("bare_discovery", address, USERNAME, PASSWORD)),
                    "tap": Program([TAP, "--config", config, "--discover"]),
                    "tap, cached": Program([TAP, "--config", cached, "--discover"]),
                },
            )
            bare = figures["bare"]
            self._add(
                Measure("discovery of 2,000 entities / bare", figures["tap"].wall / bare.wall, 3.0),
                Measure("the same, peak memory", figures["tap"].memory, 400, "MB"),
                Measure(
                    "the same with metadata_cache / bare",
                    figures["tap, cached"].wall / bare.wall,
                    None,
                ),
            )
            wide, one = self._catalogs(config)
            first = self._measure(
                "first record",
                {
                    name: Program([TAP, "--config", config, "--catalog", path], until=b'"RECORD"')
                    for name, path in (("wide catalog", wide), ("catalog of one stream", one))
                },
            )
            ratio = first["wide catalog"].wall / first["catalog of one stream"].wall
            self._add(
                Measure(
                    "first record, one stream selected of 2,000",
                    first["wide catalog"].wall,
                    1.0,
                    "s",
                ),
                Measure("the same / with a catalog of one stream", ratio, 1.5),
            )

    @staticmethod
    def _catalogs(config: str) -> tuple[str, str]:
        catalog, wide, one = (str(FOLDER / f"{name}.json") for name in ("catalog", "wide", "one"))
        save_output([TAP, "--config", config, "--discover"], catalog)
        save_output(python("catalogs", TERMS, catalog, wide, one), os.devnull)
        return wide, one

    def streams(self) -> None:
        """Compare one connection with four over many small streams."""
        options = {"rows": SMALL_PAGE, "columns": 10, "streams": STREAMS, "latency": LATENCY}
        with serving(page_server(**options)) as address:
            figures = self._measure(
                f"{STREAMS} streams of one page at 200 ms",
                {
                    f"max_pool_size {size}": Program(
                        tap(f"pool{size}", address, tracking_type="none", max_pool_size=size)
                    )
                    for size in (1, 4)
                },
                warm_up=False,
            )
        ratio = figures["max_pool_size 4"].wall / figures["max_pool_size 1"].wall
        what = f"{STREAMS} streams of one page at 200 ms a request, max_pool_size 4 / 1"
        self._add(Measure(what, ratio, 0.30))

    def split(self) -> None:
        """Compare one connection with four over one large table."""
        options = {"rows": SMALL_PAGE * PAGES, "columns": 10, "latency": LATENCY}
        with serving(page_server(**options)) as address:
            figures = self._measure(
                f"one table of {PAGES} pages at 200 ms",
                {
                    f"max_pool_size {size}": Program(
                        tap(f"pool{size}", address, page_size=SMALL_PAGE, max_pool_size=size)
                    )
                    for size in (1, 4)
                },
                max_rounds=3,
                warm_up=False,
            )
        ratio = figures["max_pool_size 4"].wall / figures["max_pool_size 1"].wall
        self._add(
            Measure(f"one table of {PAGES} pages at 200 ms, max_pool_size 4 / 1", ratio, 0.40)
        )

    def consumer(self) -> None:
        """Measure how fetching overlaps with a consumer that is as slow as the server."""
        rows = 2000
        options = {"rows": rows * CONSUMED_PAGES, "columns": 30, "latency": LATENCY}
        consumer = python("slow_consumer", str(rows), str(LATENCY))
        with serving(page_server(**options)) as address:
            command = tap("full", address, tracking_type="none")
            run(Program(command))
            figures = self._measure(
                f"{CONSUMED_PAGES} pages at 200 ms",
                {
                    "tap": Program(command),
                    "tap and a consumer of 200 ms a page": Program(command, consumer=consumer),
                },
                max_rounds=3,
                warm_up=False,
            )
        alone, together = (measured.wall for measured in figures.values())
        ratio = together / (alone + CONSUMED_PAGES * LATENCY)
        what = "a consumer that takes as long for a page as the server, overlap / sum"
        self._add(Measure(what, ratio, 0.60))

    def batches(self) -> None:
        """Compare batches with records, into a target of the SDK."""
        batches = {"storage": {"root": str(FOLDER / "batches")}}
        target = python("sdk_target")
        with serving(page_server(rows=FEWER_ROWS, columns=30)) as address:
            ways = {
                "records": tap("lines", address, tracking_type="none"),
                "batches": tap("batches", address, tracking_type="none", batch_config=batches),
            }
            run(Program(ways["records"]))
            figures = self._measure(
                f"{FEWER_ROWS:,} rows x 30 columns into a target of the SDK",
                {way: Program(command, consumer=target) for way, command in ways.items()},
                max_rounds=3,
                warm_up=False,
            )
        ratio = figures["batches"].wall / figures["records"].wall
        self._add(Measure("batches / records into a target of the SDK, wall", ratio, 0.25))

    def states(self) -> None:
        """Measure what streams cost that have few rows, and what their states take."""
        sizes = []
        for streams in (STREAMS_OF_STATES // 3, STREAMS_OF_STATES):
            with serving(page_server(rows=3, columns=5, streams=streams)) as address:
                command = tap(f"states{streams}", address)
                first = self._measure(
                    f"{streams:,} incremental streams of 3 rows",
                    {"tap": Program(command)},
                    max_rounds=1,
                    warm_up=False,
                )
                sizes.append(_sizes(_with_state(command), FOLDER / "nothing-new.jsonl")["STATE"])
        what = f"CPU seconds, {STREAMS_OF_STATES:,} incremental streams of 3 rows"
        self._add(
            Measure(what, first["tap"].cpu, 12.0, "s"),
            Measure("bytes of STATE with nothing new, 3 times the streams", sizes[1] / sizes[0], 3),
        )

    def tenants(self) -> None:
        """Measure tenants with equal metadata: many streams with nothing new, and discovery."""
        logins = [f"T{number:02}" for number in range(1, 21)]
        server = [sys.executable, "-m", "sandbox", "--scale", "--rows", "1", "--port", "0"]
        with serving([*server, "--tenants", ",".join(logins)]) as address:
            account = {"username": USERNAME, "password": PASSWORD, "entities": None}
            cache = {**account, "metadata_cache": str(FOLDER / "metadata")}
            names = _dated(tap("discovered", address, **cache, tenants=logins[:1]))[:NAMED]
            some = tap("tenants5", address, **cache | {"entities": names}, tenants=logins[:5])
            again = _with_state(some)
            figures = self._measure(
                f"5 tenants x {NAMED} streams with nothing new",
                {"tap": Program(again)},
                max_rounds=3,
                warm_up=False,
            )
            written = sum(_sizes(again, FOLDER / "nothing-new.jsonl").values()) / 1e6
            discoveries = self._measure(
                "discovery from the cache",
                {
                    f"{count} tenants": Program(
                        [
                            *tap(f"tenants{count}", address, **cache, tenants=logins[:count]),
                            "--discover",
                        ]
                    )
                    for count in (1, 20)
                },
                max_rounds=3,
            )
        one, many = discoveries.values()
        self._add(
            Measure(f"5 tenants x {NAMED} streams with nothing new, stdout", written, 1.0, "MB"),
            Measure("the same, CPU seconds", figures["tap"].cpu, 12.0, "s"),
            Measure("discovery from the cache, 20 tenants / 1, CPU", many.cpu / one.cpu, 1.5),
            Measure("the same, peak memory", many.memory / one.memory, 1.5),
        )

    def memory(self) -> None:
        """Compare the peak memory of one connection and of four over a million rows."""
        with serving(page_server(rows=MANY_ROWS, columns=30)) as address:
            figures = self._measure(
                f"{MANY_ROWS:,} rows x 30 columns",
                {
                    f"max_pool_size {size}": Program(
                        tap(f"pool{size}", address, max_pool_size=size)
                    )
                    for size in (1, 4)
                },
                max_rounds=1,
                warm_up=False,
            )
        for size, bar in ((1, 150), (4, 250)):
            what = f"peak memory, {MANY_ROWS:,} rows, max_pool_size {size}"
            self._add(Measure(what, figures[f"max_pool_size {size}"].memory, bar, "MB"))


SCENARIOS: Final[Mapping[str, Callable[[Bench], None]]] = {
    "start": Bench.start,
    "records": Bench.records,
    "wide_records": Bench.wide_records,
    "dated_records": Bench.dated_records,
    "offset_records": Bench.offset_records,
    "narrow_records": Bench.narrow_records,
    "readers": Bench.readers,
    "discovery": Bench.discovery,
    "streams": Bench.streams,
    "split": Bench.split,
    "consumer": Bench.consumer,
    "batches": Bench.batches,
    "states": Bench.states,
    "tenants": Bench.tenants,
    "memory": Bench.memory,
}
