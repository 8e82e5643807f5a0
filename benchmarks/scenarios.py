"""What is measured: each scenario starts its server, runs its programs in turn, and compares."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import requests

from benchmarks.measure import ROOT, Figures, Program, in_turn, python, run, save, serving
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
STATES: Final = 3000
READERS: Final = f"{FEWER_ROWS:,} rows x 30 columns"
TERMS: Final = "PX_Objects_CS_Terms"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure with its bar.

    Attributes:
        what: In words.
        value: What was measured.
        bar: What it must reach.
        unit: Of both; empty for a ratio.
        least: Whether the bar is the least, not the most.
    """

    what: str
    value: float
    bar: float | None
    unit: str = ""
    least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the bar is met; None where there is none."""
        if self.bar is None:
            return None
        return self.value >= self.bar if self.least else self.value <= self.bar


@dataclass(slots=True)
class Results:
    """What a run of the benchmarks found."""

    measures: list[Measure] = field(default_factory=list)
    figures: dict[str, dict[str, Figures]] = field(default_factory=dict)
    rounds: dict[str, int] = field(default_factory=dict)
    """Runs of which the figures are medians."""
    server: list[float] = field(default_factory=list)
    """99 % of the answers of the page server were ready within so many ms, by scenario."""
    missing: list[str] = field(default_factory=list)
    """Readers that are not installed."""


def tap(name: str, address: str, **settings: object) -> list[str]:
    """The tap, with its settings in a file."""
    config = {
        "url": address,
        "username": "someone",
        "password": "something",
        "entities": ["*"],
        "interfaces": ["dac"],
        **settings,
    }
    return [TAP, "--config", _written(name, config)]


def _written(name: str, content: object) -> str:
    path = FOLDER / f"{name}.json"
    path.write_text(json.dumps(content))
    return str(path)


def page_server(**options: float) -> list[str]:
    """The server of made-up tables."""
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    return python("page_server", *arguments)


def _ready(address: str) -> float:
    return float(requests.get(f"{address}/_times", timeout=60).json()["99 % ms"])


class Bench:
    """All scenarios, one after the other."""

    def __init__(self, say: Callable[[str], None], rounds: int) -> None:
        """Prepare to run.

        Args:
            say: Told how it goes.
            rounds: Runs of each program, of which the median counts.
        """
        self.results = Results()
        self._say = say
        self._rounds = rounds

    def run(self, name: str) -> Results:
        """Run one scenario."""
        FOLDER.mkdir(parents=True, exist_ok=True)
        self._say(f"-- {name}")
        self.results = Results()
        SCENARIOS[name](self)
        return self.results

    def _measured(
        self, name: str, programs: Mapping[str, Program], most: int = 5, *, warm_up: bool = True
    ) -> dict[str, Figures]:
        times = min(most, self._rounds)
        found = in_turn(programs, times, warm_up=warm_up, say=self._say)
        self.results.figures[name] = found
        self.results.rounds[name] = times
        return found

    def _add(self, *measures: Measure) -> None:
        self.results.measures.extend(measures)
        for each in measures:
            self._say(f"=> {each.what}: {each.value:.2f} {each.unit} (bar {each.bar})")

    def records(self) -> None:
        """Processor time for each record, against the floor."""
        self._against_floor(ROWS, 30)

    def wide_records(self) -> None:
        """The same with many columns."""
        self._against_floor(WIDE_ROWS, 200)

    def _against_floor(self, rows: int, columns: int) -> None:
        size = f"{rows:,} rows x {columns} columns"
        with serving(page_server(rows=rows, columns=columns)) as address:
            found = self._measured(
                size,
                {
                    "raw loop": Program(python("raw_loop", address, ENTITY)),
                    "tap, full table": Program(tap("full", address, tracking_type="none")),
                    "tap, incremental": Program(tap("incremental", address)),
                },
            )
            self._warm(address, found)
        floor = found["raw loop"].cpu
        for kind in ("full table", "incremental"):
            what = f"CPU seconds, {size}, tap ({kind}) / raw loop"
            self._add(Measure(what, found[f"tap, {kind}"].cpu / floor, 2.0))

    def _warm(self, address: str, found: Mapping[str, Figures]) -> None:
        """How long answers took once all were rendered: ask the server in one more run."""
        requests.get(f"{address}/_times", timeout=60)
        if found:
            run(Program(python("raw_loop", address, ENTITY)))
        self.results.server.append(_ready(address))

    def readers(self) -> None:
        """Other programs that read the same pages."""
        with serving(page_server(rows=FEWER_ROWS, columns=30)) as address:
            config = {"url": address, "entities": [ENTITY], "columns": 30}
            programs = {
                "raw loop": Program(python("raw_loop", address, ENTITY)),
                "tap": Program(tap("full", address, tracking_type="none")),
                "vanilla tap": Program(
                    python("vanilla_tap", "--config", _written("vanilla", config))
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
            found = self._measured(READERS, programs, most=3)
        ratio = found["vanilla tap"].wall / found["tap"].wall
        self._add(Measure("rows per second, tap / vanilla tap", ratio, 4.0, least=True))

    def discovery(self) -> None:
        """Wide catalogs: discovery, and the first record of one selected stream."""
        command = [sys.executable, "-m", "sandbox", "--scale", "--port", "0"]
        with serving(command) as address:
            account = {"username": USERNAME, "password": PASSWORD}
            config = _written("scale", {"url": address, **account})
            cached = _written(
                "cached", {"url": address, **account, "metadata_cache": str(FOLDER / "metadata")}
            )
            found = self._measured(
                "discovery of 2,000 entities",
                {
                    "bare": Program(python("bare_discovery", address, USERNAME, PASSWORD)),
                    "tap": Program([TAP, "--config", config, "--discover"]),
                    "tap, cached": Program([TAP, "--config", cached, "--discover"]),
                },
            )
            bare = found["bare"]
            self._add(
                Measure("discovery of 2,000 entities / bare", found["tap"].wall / bare.wall, 3.0),
                Measure("the same, peak memory", found["tap"].memory, 400, "MB"),
                Measure(
                    "the same with metadata_cache / bare",
                    found["tap, cached"].wall / bare.wall,
                    None,
                ),
            )
            wide, one = self._catalogs(config)
            first = self._measured(
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
        found, wide, one = (str(FOLDER / f"{name}.json") for name in ("found", "wide", "one"))
        save([TAP, "--config", config, "--discover"], found)
        save(python("catalogs", TERMS, found, wide, one), "/dev/null")
        return wide, one

    def streams(self) -> None:
        """Many small streams, with one connection and with four."""
        options = {"rows": SMALL_PAGE, "columns": 10, "streams": STREAMS, "latency": LATENCY}
        with serving(page_server(**options)) as address:
            found = self._measured(
                f"{STREAMS} streams of one page at 200 ms",
                {
                    f"max_pool_size {size}": Program(
                        tap(f"pool{size}", address, tracking_type="none", max_pool_size=size)
                    )
                    for size in (1, 4)
                },
                warm_up=False,
            )
        ratio = found["max_pool_size 4"].wall / found["max_pool_size 1"].wall
        what = f"{STREAMS} streams of one page at 200 ms a request, max_pool_size 4 / 1"
        self._add(Measure(what, ratio, 0.30))

    def split(self) -> None:
        """One large table, with one connection and with four."""
        options = {"rows": SMALL_PAGE * PAGES, "columns": 10, "latency": LATENCY}
        with serving(page_server(**options)) as address:
            found = self._measured(
                f"one table of {PAGES} pages at 200 ms",
                {
                    f"max_pool_size {size}": Program(
                        tap(f"pool{size}", address, page_size=SMALL_PAGE, max_pool_size=size)
                    )
                    for size in (1, 4)
                },
                most=3,
                warm_up=False,
            )
        ratio = found["max_pool_size 4"].wall / found["max_pool_size 1"].wall
        self._add(
            Measure(f"one table of {PAGES} pages at 200 ms, max_pool_size 4 / 1", ratio, 0.40)
        )

    def consumer(self) -> None:
        """A consumer that takes as long for a page as the server."""
        rows = 2000
        options = {"rows": rows * CONSUMED_PAGES, "columns": 30, "latency": LATENCY}
        consumer = python("slow_consumer", str(rows), str(LATENCY))
        with serving(page_server(**options)) as address:
            command = tap("full", address, tracking_type="none")
            run(Program(command))
            found = self._measured(
                f"{CONSUMED_PAGES} pages at 200 ms",
                {
                    "tap": Program(command),
                    "tap and a consumer of 200 ms a page": Program(command, consumer=consumer),
                },
                most=3,
                warm_up=False,
            )
        alone, together = (each.wall for each in found.values())
        ratio = together / (alone + CONSUMED_PAGES * LATENCY)
        what = "a consumer that takes as long for a page as the server, overlap / sum"
        self._add(Measure(what, ratio, 0.60))

    def states(self) -> None:
        """STATE grows with every stream, and every stream ends with one."""
        with serving(page_server(rows=3, columns=5, streams=STATES)) as address:
            config = tap("states", address)[-1]
            run(Program(python("state_time", config)))
        seconds = float(Path(config).with_suffix(".seconds").read_text())
        what = f"{STATES:,} incremental streams of 3 rows, time spent on STATE"
        self._add(Measure(what, seconds, 5.0, "s"))

    def memory(self) -> None:
        """A million rows, with one connection and with four."""
        with serving(page_server(rows=MANY_ROWS, columns=30)) as address:
            found = self._measured(
                f"{MANY_ROWS:,} rows x 30 columns",
                {
                    f"max_pool_size {size}": Program(
                        tap(f"pool{size}", address, max_pool_size=size)
                    )
                    for size in (1, 4)
                },
                most=1,
                warm_up=False,
            )
        for size, bar in ((1, 150), (4, 250)):
            what = f"peak memory, {MANY_ROWS:,} rows, max_pool_size {size}"
            self._add(Measure(what, found[f"max_pool_size {size}"].memory, bar, "MB"))


SCENARIOS: Final[Mapping[str, Callable[[Bench], None]]] = {
    "records": Bench.records,
    "wide_records": Bench.wide_records,
    "readers": Bench.readers,
    "discovery": Bench.discovery,
    "streams": Bench.streams,
    "split": Bench.split,
    "consumer": Bench.consumer,
    "states": Bench.states,
    "memory": Bench.memory,
}
