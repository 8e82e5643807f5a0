"""What happens to a table while it is read, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from support.simulation import Key, R, Row, Server, SimulatedTable, at

NOWS = ("2026-06-01T12:00:00", "2026-03-08T08:10:00", "2026-11-01T06:40:00", "2026-11-01T07:30:00")
"""The last three lie around the changes of New York's clocks."""

ANCIENT = ("0001-01-01T00:00:00", "1950-01-01T00:00:00")

LATEST = timedelta(minutes=20)
"""How long a transaction takes at the most."""


@dataclass(frozen=True)
class Shape:
    """As what a table is read: a data access class, or an inquiry with or without a key."""

    interface: str = "dac"
    protocol: str = "v4"
    keyed: bool = True


DAC = Shape()
INQUIRIES = tuple(
    Shape("gi", version, keyed) for version in ("v3", "v4") for keyed in (True, False)
)


class History:
    """A table, and the changes that come between requests.

    Attributes:
        late: Whether transactions take time, so that rows show up after their stamp.
        shape: As what the table is read.
    """

    def __init__(self, seed: int, server: Server, *, late: bool = True, shape: Shape = DAC) -> None:
        self.random = Random(seed)
        self.shape = shape
        self.late = late
        width = self.random.choice([1, 1, 2, 3, 4])
        self.kinds = tuple(self.random.choice(["int", "int", "str", "guid"]) for _ in range(width))
        self.nullable = self.random.random() < 0.2
        names = tuple(f"K{index}" for index in range(width))
        # A server that compares wall clocks loses an hour in autumn, whoever reads it.
        nows = NOWS[:1] if server.wall_filters else NOWS
        self.sim = SimulatedTable(names, server, at(self.random.choice(nows)), self.random)
        self._waiting: list[tuple[int, Key, datetime]] = []
        self._fill()

    def _key(self) -> Key:
        return tuple(self._part(kind) for kind in self.kinds)

    def _part(self, kind: str) -> Any:
        number = self.random.randrange(60)
        if self.nullable and number < 4 and len(self.kinds) > 1:
            return None
        if kind == "int":
            return number
        if kind == "guid":
            return str(UUID(int=number * 2**120 + number))
        forms = ["{:03}", "K{}'&", "k{}'&", "{} ", "{}", "Ä{}", "K-{}"]
        return self.random.choice(forms).format(number)

    def _fill(self) -> None:
        random, now = self.random, self.sim.now
        rows = random.choice([0, 1, 5, 30, 30, 80, 200])
        spread = random.choice([0, 0, 1, 3, 10, 60, 5400, 86400 * 30])
        start = now - timedelta(seconds=spread) - timedelta(hours=random.choice([0, 2, 900]))
        future = random.random() < 0.2
        for _ in range(rows):
            instant: datetime | None = start + timedelta(
                milliseconds=random.randrange(spread * 1000 + 1)
            )
            chance = random.random()
            if chance < 0.02:
                instant = at(random.choice(ANCIENT))
            elif chance < 0.04:
                instant = None
            elif chance < 0.06 and future:
                instant = random.choice([at("2031-01-01T00:00:00"), now + timedelta(hours=18)])
            self.sim.put(self._key(), instant)

    def change(self) -> None:
        """Something happens between two requests."""
        sim, random = self.sim, self.random
        if sim.counting and random.random() < 0.7:
            return
        sim.now += timedelta(milliseconds=random.randrange(3000))
        for waiting in [*self._waiting]:
            due, key, instant = waiting
            if due <= len(sim.queries) or sim.now - instant > LATEST:
                sim.put(key, instant)
                self._waiting.remove(waiting)
        for _ in range(random.choice([0, 0, 1, 1, 3])):
            self._change_once()

    def _change_once(self) -> None:
        sim, random = self.sim, self.random
        existing = self._existing()
        match random.randrange(9):
            case 0 | 1:
                sim.put(self._key(), sim.stamp())
            case 2 | 3:
                sim.put(existing, sim.stamp())
            case 4:
                sim.rows.pop(existing, None)
            case 5 if self.late:
                self._commit_late(random.choice([existing, existing, self._key()]))
            case 6 if self.late:
                self._waiting.append((len(sim.queries) + 3, self._key(), sim.stamp()))
            case 7 if random.random() < 0.2:
                instant = sim.stamp()
                for key in random.sample(list(sim.rows), k=len(sim.rows) // 2):
                    sim.put(key, instant)
            case _:
                row = sim.rows.pop(existing, None)
                if row and random.random() < 0.5:
                    sim.put(existing, sim.stamp())

    def _existing(self) -> Key:
        """A row; what was changed of late is likelier to be changed again."""
        rows = [*self.sim.rows]
        if self.random.random() < 0.5:
            dated = [key for key in rows if self.sim.rows[key][R] is not None]
            rows = sorted(dated, key=lambda key: self.sim.rows[key][R])[-5:] or rows
        return self.random.choice(rows) if rows else self._key()

    def _commit_late(self, key: Key) -> None:
        """A transaction ends that set its stamp a while ago; often soon after the row's last."""
        sim, random = self.sim, self.random
        late = timedelta(seconds=random.randrange(int(LATEST.total_seconds())))
        stamp = sim.stamp() - late
        last = sim.rows[key][R] if key in sim.rows else None
        if last and timedelta(0) < sim.now - last < LATEST and random.random() < 0.8:
            stamp = min(last + timedelta(milliseconds=random.randrange(4000)), sim.now)
        sim.put(key, stamp)

    def settle(self) -> None:
        """Nothing happens any more; what was in transactions is committed, and time passes."""
        for _, key, instant in self._waiting:
            self.sim.put(key, instant)
        self._waiting.clear()
        self.sim.between = lambda: None
        self.sim.server.slow_above = None
        self.sim.now += timedelta(days=1, minutes=10)

    def surviving(self) -> dict[Key, int]:
        """The last version of each row that is there."""
        return {key: row["Version"] for key, row in self.sim.rows.items()}

    def is_to_come(self, key: Key) -> bool:
        """Whether the row is dated within a day ahead: it is read when that has passed."""
        instant = self.sim.rows[key][R]
        return instant is not None and timedelta(0) < instant - self.sim.now < timedelta(days=1)

    def key_of(self, row: Row) -> Key:
        """The key of a delivered row."""
        return tuple(row[name] for name in self.sim.key)


__all__ = ["DAC", "INQUIRIES", "LATEST", "NOWS", "History", "R", "Shape"]
