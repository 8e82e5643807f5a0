"""No row is lost and none is wrong, whatever happens to the table while it is read."""

from __future__ import annotations

from datetime import datetime, timedelta
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from simulation import Key, R, Row, Server, SimulatedTable, at

from tap_acumatica.bookmarks import Bookmark
from tap_acumatica.odata import edm
from tap_acumatica.odata.frame import FrameFinder
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.paging import Paging, Table
from tap_acumatica.reading import Dated, EntityReader, Reached, ReadSettings, Rows

NOW = at("2026-06-01T12:00:00")
OFFSET = timedelta(hours=1)
LATEST = timedelta(minutes=20)
SKEW = timedelta(minutes=2)
TYPES = {"int": edm.INTEGER, "str": edm.STRING}


def table_of(sim: SimulatedTable, kinds: tuple[str, ...], *, dated: bool) -> Table:
    columns = {name: TYPES[kind] for name, kind in zip(sim.key, kinds, strict=True)}
    columns |= {R: edm.INSTANT, "Version": edm.INTEGER}
    return Table("Rows", columns, key=sim.key, replication_key=R if dated else None)


def key_part(random: Random, kind: str) -> Any:
    number = random.randrange(60)
    if kind == "int":
        return number
    return random.choice(["{:03}", "K{}'&", "{} ", "Ä{}"]).format(number)


class History:
    """What happens to a table, drawn from a seed."""

    def __init__(self, seed: int, server: Server) -> None:
        self.random = Random(seed)
        width = self.random.choice([1, 1, 2, 3, 4])
        self.kinds = tuple(self.random.choice(["int", "str"]) for _ in range(width))
        names = tuple(f"K{index}" for index in range(width))
        self.sim = SimulatedTable(names, server, NOW, self.random)
        self.waiting: list[tuple[int, Key, Any]] = []
        self.future = self.random.random() < 0.3
        self._fill()

    def key(self) -> Key:
        return tuple(key_part(self.random, kind) for kind in self.kinds)

    def _fill(self) -> None:
        rows = self.random.choice([0, 1, 5, 30, 30, 80, 200])
        spread = self.random.choice([0, 0, 1, 3, 60, 86400 * 30])
        start = NOW - timedelta(seconds=spread) - timedelta(hours=self.random.choice([0, 2, 900]))
        for _ in range(rows):
            instant: datetime | None = start + timedelta(
                milliseconds=self.random.randrange(spread * 1000 + 1)
            )
            if self.random.random() < 0.02:
                instant = at("1900-01-01T00:00:00")
            if self.random.random() < 0.02:
                instant = None
            if self.future and self.random.random() < 0.02:
                instant = at("2031-01-01T00:00:00")
            self.sim.put(self.key(), instant)

    def change(self) -> None:
        """Something happens between two requests."""
        sim, random = self.sim, self.random
        sim.now += timedelta(milliseconds=random.randrange(3000))
        for due, key, instant in [*self.waiting]:
            if due <= len(sim.queries):
                sim.put(key, instant)
                self.waiting.remove((due, key, instant))
        for _ in range(random.choice([0, 0, 1, 1, 3])):
            self._one_change()

    def _one_change(self) -> None:
        sim, random = self.sim, self.random
        existing = random.choice(list(sim.rows)) if sim.rows else self.key()
        match random.randrange(8):
            case 0 | 1:
                sim.put(self.key(), sim.stamp())
            case 2:
                sim.put(existing, sim.stamp())
            case 3:
                sim.rows.pop(existing, None)
            case 4:
                late = timedelta(seconds=random.randrange(int(LATEST.total_seconds())))
                sim.put(self.key(), sim.stamp() - late)
            case 5:
                self.waiting.append((len(sim.queries) + 3, self.key(), sim.stamp()))
            case 6 if random.random() < 0.2:
                instant = sim.stamp()
                for key in random.sample(list(sim.rows), k=len(sim.rows) // 2):
                    sim.put(key, instant)
            case _:
                row = sim.rows.pop(existing, None)
                if row and random.random() < 0.5:
                    sim.put(existing, sim.stamp())

    def settle(self) -> None:
        """Nothing happens any more; what was in transactions is committed."""
        for _, key, instant in self.waiting:
            self.sim.put(key, instant)
        self.waiting.clear()
        self.sim.between = lambda: None
        self.sim.now += timedelta(days=1, minutes=10)


def run(
    history: History, options: ReadSettings, bookmark: Bookmark, delivered: dict[Key, int]
) -> tuple[Bookmark, list[Row]]:
    frames = FrameFinder(options.instants, zone_is_set=True)
    table = table_of(history.sim, history.kinds, dated=True)
    rows: list[Row] = []
    for item in EntityReader(history.sim, table, options, Dated(frames, bookmark)):
        match item:
            case Rows():
                rows += item.rows
            case Reached():
                bookmark = item.bookmark
    for row in rows:
        delivered[tuple(row[name] for name in history.sim.key)] = row["Version"]
    return bookmark, rows


SERVERS = st.builds(
    Server,
    cap=st.sampled_from([None, None, 7, 25]),
    counts=st.booleans(),
    precision=st.sampled_from([1, 1, 10_000, 1_000_000]),
    rounds=st.booleans(),
    skews=st.sampled_from([(timedelta(0),), (-SKEW / 2, timedelta(0), SKEW / 2)]),
    cookie=st.sampled_from(["TimeZone=GMTE0000U", None]),
)


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    server=SERVERS,
    size=st.sampled_from([10, 10, 13, 50]),
    changes=st.booleans(),
)
def test_every_surviving_row_was_delivered_in_its_last_version(
    seed: int, server: Server, size: int, changes: bool
) -> None:
    history = History(seed, server)
    options = ReadSettings(paging=Paging(size), instants=InstantReader(), time_offset=OFFSET)
    if changes:
        history.sim.between = history.change
    delivered: dict[Key, int] = {}
    bookmark, first = run(history, options, Bookmark(), delivered)
    if not changes:
        versions = [row["Version"] for row in first]
        assert len(versions) == len(set(versions))
    history.settle()
    run(history, options, bookmark, delivered)
    surviving = history.sim.versions_shown()
    assert {key: delivered.get(key) for key in surviving} == surviving


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**32),
    server=SERVERS,
    size=st.sampled_from([10, 10, 13, 50]),
)
def test_every_row_that_was_there_all_the_time_is_in_a_full_read(
    seed: int, server: Server, size: int
) -> None:
    history = History(seed, server)
    before = set(history.sim.rows)
    gone: set[Key] = set()

    def change() -> None:
        history.change()
        gone.update(before - history.sim.rows.keys())

    history.sim.between = change
    table = table_of(history.sim, history.kinds, dated=False)
    options = ReadSettings(paging=Paging(size))
    delivered = {
        tuple(row[name] for name in history.sim.key)
        for item in EntityReader(history.sim, table, options)
        if isinstance(item, Rows)
        for row in item.rows
    }
    assert not (before - gone) - delivered
