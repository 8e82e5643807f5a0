"""Histories: random changes to a table while it is read, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from support.simulation import Clock, Key, R, Row, Server, SimulatedTable, at

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


@dataclass(frozen=True)
class Content:
    """What a table holds.

    Attributes:
        rows: Number of rows at the start; None draws one.
        widths: Lengths of the texts in a column of the table; empty for no such column. Rows of one
            length follow each other, and the longest may have been changed within one second.
        columns: Number of further columns.
        ahead: Whether rows are dated minutes to hours ahead of the clock.
        ancient: Share of the rows that are from before 2000.
        quiet: How long no row has changed before the start; None draws it.
        kinds: Types of the key's columns; empty draws them.
        restless: Whether one row changes all the time, and the others hardly do and not at once.
        renames: Whether keys of rows change without another date.
        shrinks: Whether rows are deleted, too. If not, no bulk updates change what has grown.
        pace: Maximum time between two requests.
    """

    rows: int | None = None
    widths: tuple[int, ...] = ()
    columns: int = 0
    ahead: bool = False
    ancient: float = 0.02
    quiet: timedelta | None = None
    kinds: tuple[str, ...] = ()
    restless: bool = False
    renames: bool = False
    shrinks: bool = True
    pace: timedelta = timedelta(seconds=3)


DRAWN = Content()


class History:
    """A table, and the changes to it between requests.

    Attributes:
        late: Whether transactions take time, so that rows become visible after their timestamp.
        shape: How the table is exposed.
        content: What it holds.
        restless: The row that changes all the time, or None.
    """

    def __init__(  # noqa: PLR0913 - each is a choice of its own
        self,
        seed: int,
        server: Server,
        *,
        late: bool = True,
        shape: Shape = DAC,
        content: Content = DRAWN,
        clock: Clock | None = None,
        like: History | None = None,
    ) -> None:
        """Fill the table.

        Args:
            seed: Decides on everything that is random.
            server: How the server behaves.
            late: Whether transactions take time.
            shape: How the table is exposed.
            content: What the table holds.
            clock: The clock of the site; None makes one.
            like: The same table of another tenant, which has the same columns.
        """
        self.random = Random(seed)
        self.shape = shape
        self.late = late
        self.content = content
        width = self.random.choice([1, 1, 2, 3, 4])
        self.kinds = tuple(self.random.choice(["int", "int", "str", "guid"]) for _ in range(width))
        self.kinds = content.kinds or self.kinds
        self.nullable = self.random.random() < 0.2
        if like:
            self.kinds, self.nullable = like.kinds, like.nullable
        names = tuple(f"K{index}" for index in range(len(self.kinds)))
        # A server that compares wall clocks loses an hour in autumn, for any reader.
        nows = NOWS[:1] if server.wall_filters else NOWS
        now = at(self.random.choice(nows))
        self.sim = SimulatedTable(names, server, clock or now, self.random)
        self.sim.further_columns = self._further_columns
        self._width = max(content.widths, default=0)
        self._transactions: list[tuple[int, Key, datetime]] = []
        """Open transactions: the number of queries after which they commit, key, timestamp."""
        self._fill()
        self.restless = next(iter(self.sim.rows), None) if content.restless else None

    def _key(self) -> Key:
        return tuple(self._part(kind) for kind in self.kinds)

    def _new_key(self) -> Key:
        """Return a key that no row has, as far as there are some."""
        keys = (self._key() for _ in range(30))
        return next((key for key in keys if key not in self.sim.rows), self._key())

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

    def _further_columns(self, _: Key) -> Row:
        content, row = self.content, Row()
        if content.widths:
            if self.random.random() < 0.05:
                self._width = self.random.choice(content.widths)
            row["Text"] = "x" * self._width
        return row | {f"C{index}": index for index in range(content.columns)}

    def _fill(self) -> None:
        random, content = self.random, self.content
        rows = content.rows
        if rows is None:
            rows = random.choice([0, 1, 5, 30, 30, 80, 200])
        instants = self._instants(rows)
        if content.widths:
            instants.sort()
            self._crowd(instants)
        now, future = self.sim.now, random.random() < 0.2
        for instant in instants:
            chance = random.random()
            stamp: datetime | None = instant
            if chance < content.ancient:
                stamp = at(random.choice(ANCIENT))
            elif chance < content.ancient + 0.02:
                stamp = None
            elif chance < content.ancient + 0.04 and future:
                stamp = random.choice([at("2031-01-01T00:00:00"), now + timedelta(hours=18)])
            elif chance < 0.2 and content.ahead:
                stamp = now + timedelta(minutes=random.choice([1, 5, 9, 30, 60, 115, 240, 300]))
            self.sim.put(self._new_key(), stamp)

    def _instants(self, rows: int) -> list[datetime]:
        """Return the instants of so many rows, as people and imports make them."""
        random = self.random
        spread = random.choice([0, 0, 1, 3, 10, 60, 5400, 86400 * 30])
        quiet = self.content.quiet
        if quiet is None:
            quiet = timedelta(hours=random.choice([0, 2, 900]))
        start = self.sim.now - timedelta(seconds=spread) - quiet
        within = [timedelta(milliseconds=random.randrange(spread * 1000 + 1)) for _ in range(rows)]
        return [start + offset for offset in within]

    def _crowd(self, instants: list[datetime]) -> None:
        """Date some of the rows, which follow each other, within one second."""
        if not instants:
            return
        first = self.random.randrange(len(instants))
        last = min(first + self.random.choice([0, 10, 40]), len(instants))
        for index in range(first, last):
            instants[index] = instants[first] + timedelta(milliseconds=index - first)
        instants.sort()

    def change(self) -> None:
        """Change the table between two requests."""
        sim, random = self.sim, self.random
        if sim.counting and random.random() < 0.7:
            return
        sim.now += random.random() * self.content.pace
        for transaction in [*self._transactions]:
            due, key, instant = transaction
            if due <= len(sim.queries) or sim.now - instant > MAX_DELAY:
                sim.put(key, instant)
                self._transactions.remove(transaction)
        if self.restless in sim.rows:
            sim.put(self.restless, sim.stamp())
        for _ in range(random.choice([0] * 9 + [1] if self.content.restless else [0, 0, 1, 1, 3])):
            self._change_once()

    def _change_once(self) -> None:
        sim, random = self.sim, self.random
        existing = self._existing()
        if self.content.renames and existing in sim.rows and random.random() < 0.2:
            instant = sim.rows[existing][R]
            sim.remove(existing)
            sim.put(self._new_key(), instant)
            return
        match random.randrange(9):
            case 0 | 1:
                sim.put(self._key(), sim.stamp())
            case 2 | 3:
                sim.put(existing, sim.stamp())
            case 4:
                self._delete(existing)
            case 5 if self.late:
                self._commit_late(random.choice([existing, existing, self._key()]))
            case 6 if self.late:
                self._transactions.append((len(sim.queries) + 3, self._key(), sim.stamp()))
            case 7 if self.content.shrinks and random.random() < 0.2 and not self.restless:
                instant = sim.stamp()
                for key in random.sample(list(sim.rows), k=len(sim.rows) // 2):
                    sim.put(key, instant)
            case _:
                self._delete(existing)
                if random.random() < 0.5:
                    sim.put(existing, sim.stamp())

    def _delete(self, key: Key) -> None:
        if self.content.shrinks:
            self.sim.remove(key)

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

    def is_in_the_future(self, key: Key) -> bool:
        """Whether the row is dated up to a day ahead: it is read once that time has passed."""
        instant = self.sim.rows[key][R]
        return instant is not None and timedelta(0) < instant - self.sim.now < timedelta(days=1)


__all__ = ["DAC", "INQUIRIES", "MAX_DELAY", "NOWS", "History", "R", "Shape"]
