"""Histories: random changes to a table while it is read, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from support.simulation import Key, R, Row, Server, SimulatedTable, at

NOWS = ("2026-06-01T12:00:00", "2026-03-08T08:10:00", "2026-11-01T06:40:00", "2026-11-01T07:30:00")
"""The server's clock at the start; the last three are around clock changes in New York."""

ANCIENT = ("0001-01-01T00:00:00", "1950-01-01T00:00:00")

MAX_DELAY = timedelta(minutes=20)
"""Maximum duration of a transaction."""


@dataclass(frozen=True)
class Shape:
    """How a table is exposed: as a data access class, or as an inquiry with or without a key."""

    interface: str = "dac"
    protocol: str = "v4"
    keyed: bool = True


DAC = Shape()
INQUIRIES = tuple(
    Shape("gi", version, keyed) for version in ("v3", "v4") for keyed in (True, False)
)


class History:
    """A table, and the changes to it between requests.

    Attributes:
        late: Whether transactions take time, so that rows become visible after their timestamp.
        shape: How the table is exposed.
    """

    def __init__(self, seed: int, server: Server, *, late: bool = True, shape: Shape = DAC) -> None:
        self.random = Random(seed)
        self.shape = shape
        self.late = late
        width = self.random.choice([1, 1, 2, 3, 4])
        self.kinds = tuple(self.random.choice(["int", "int", "str", "guid"]) for _ in range(width))
        self.nullable = self.random.random() < 0.2
        names = tuple(f"K{index}" for index in range(width))
        # A server that compares wall clocks loses an hour in autumn, for any reader.
        nows = NOWS[:1] if server.wall_filters else NOWS
        self.sim = SimulatedTable(names, server, at(self.random.choice(nows)), self.random)
        self._transactions: list[tuple[int, Key, datetime]] = []
        """Open transactions: the number of queries after which they commit, key, timestamp."""
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
        """Change the table between two requests."""
        sim, random = self.sim, self.random
        if sim.counting and random.random() < 0.7:
            return
        sim.now += timedelta(milliseconds=random.randrange(3000))
        for transaction in [*self._transactions]:
            due, key, instant = transaction
            if due <= len(sim.queries) or sim.now - instant > MAX_DELAY:
                sim.put(key, instant)
                self._transactions.remove(transaction)
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
                self._transactions.append((len(sim.queries) + 3, self._key(), sim.stamp()))
            case 7 if random.random() < 0.2:
                instant = sim.stamp()
                for key in random.sample(list(sim.rows), k=len(sim.rows) // 2):
                    sim.put(key, instant)
            case _:
                row = sim.rows.pop(existing, None)
                if row and random.random() < 0.5:
                    sim.put(existing, sim.stamp())

    def _existing(self) -> Key:
        """Return a row's key; rows that changed recently are likelier to change again."""
        rows = [*self.sim.rows]
        if self.random.random() < 0.5:
            dated = [key for key in rows if self.sim.rows[key][R] is not None]
            rows = sorted(dated, key=lambda key: self.sim.rows[key][R])[-5:] or rows
        return self.random.choice(rows) if rows else self._key()

    def _commit_late(self, key: Key) -> None:
        """Commit a transaction with an earlier timestamp, often soon after the row's last one."""
        sim, random = self.sim, self.random
        delay = timedelta(seconds=random.randrange(int(MAX_DELAY.total_seconds())))
        stamp = sim.stamp() - delay
        last = sim.rows[key][R] if key in sim.rows else None
        if last and timedelta(0) < sim.now - last < MAX_DELAY and random.random() < 0.8:
            stamp = min(last + timedelta(milliseconds=random.randrange(4000)), sim.now)
        sim.put(key, stamp)

    def settle(self) -> None:
        """Commit all transactions, end all changes, and let time pass."""
        for _, key, instant in self._transactions:
            self.sim.put(key, instant)
        self._transactions.clear()
        self.sim.between = lambda: None
        self.sim.server.slow_above = None
        self.sim.now += timedelta(days=1, minutes=10)

    def surviving(self) -> dict[Key, int]:
        """Return the last version of each row that exists."""
        return {key: row["Version"] for key, row in self.sim.rows.items()}

    def is_in_the_future(self, key: Key) -> bool:
        """Whether the row is dated up to a day ahead: it is read once that time has passed."""
        instant = self.sim.rows[key][R]
        return instant is not None and timedelta(0) < instant - self.sim.now < timedelta(days=1)

    def key_of(self, row: Row) -> Key:
        """Return the key of a delivered row."""
        return tuple(row[name] for name in self.sim.key)


__all__ = ["DAC", "INQUIRIES", "MAX_DELAY", "NOWS", "History", "R", "Shape"]
