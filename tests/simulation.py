"""A table on a server, simulated: it changes between requests and answers as oddly as servers may.

It reads the queries themselves, with a parser that the tap does not use, so that a wrong query
gets what a server would give for it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import requests
from odata_query import ast
from odata_query.grammar import ODataLexer, ODataParser

from tap_acumatica.odata.answer import Answer
from tap_acumatica.odata.client import Reply
from tap_acumatica.odata.errors import failure
from tap_acumatica.odata.paging import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from tap_acumatica.odata.query import Query

R = "LastModifiedDateTime"
SECOND = timedelta(seconds=1)

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass
class Server:
    """How the simulated server behaves.

    Attributes:
        cap: Rows that it sends at the most, whatever `$top` says, without a word.
        counts: Whether it knows `$count`.
        precision: Microseconds to which instants are displayed.
        rounds: Whether the display rounds; else it cuts.
        zone: Of the account: the wall clock that values show, but for "UTC".
        label: What values show: true "UTC" with Z, or the wall clock with "Z", its "offset",
            or nothing ("").
        wall_filters: Whether filters are compared with the wall clock; else with instants.
        nulls_last: Where nulls sort.
        skews: Clocks of the machines behind the address.
        cookie: The Locale cookie.
        shuffles: Rows that the order leaves open come in another order each time.
    """

    cap: int | None = None
    counts: bool = True
    precision: int = 1
    rounds: bool = False
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    label: str = "UTC"
    wall_filters: bool = False
    nulls_last: bool = False
    skews: tuple[timedelta, ...] = (timedelta(0),)
    cookie: str | None = "TimeZone=GMTE0000U&Culture=en-US"
    shuffles: bool = True
    slow_above: int | None = None
    """A `$top` above which requests time out."""

    def compared(self, stored: datetime) -> datetime:
        """What filters compare with."""
        if not self.wall_filters:
            return stored
        return stored.astimezone(self.zone).replace(tzinfo=UTC)

    def shown(self, stored: datetime | None) -> str | None:
        """How the server displays an instant."""
        if stored is None:
            return None
        step = self.precision
        micros = stored.microsecond + (step // 2 if self.rounds else 0)
        moment = stored.replace(microsecond=0) + timedelta(microseconds=micros // step * step)
        wall = moment if self.label == "UTC" else moment.astimezone(self.zone)
        text = wall.replace(tzinfo=None).isoformat()
        text = text.rstrip("0") if "." in text else text
        return text + {"UTC": "Z", "Z": "Z", "offset": wall.isoformat()[-6:], "": ""}[self.label]


class SimulatedTable:
    """The rows, and the requests that were made for them."""

    def __init__(self, key: tuple[str, ...], server: Server, now: datetime, random: Random) -> None:
        self.key = key
        self.server = server
        self.now = now
        self.random = random
        self.rows: dict[Key, Row] = {}
        self.late: list[Row] = []
        self.queries: list[Query] = []
        self.between: Callable[[], None] = lambda: None
        self.versions = 0
        self._parsed: dict[str, Any] = {}
        self._one_by_one = threading.Lock()

    # Changes

    def put(self, key: Key, instant: datetime | None) -> Row:
        """Insert a row or make a new version of it."""
        self.versions += 1
        row = {**dict(zip(self.key, key, strict=True)), R: instant, "Version": self.versions}
        self.rows[key] = row
        return row

    def stamp(self) -> datetime:
        """The clock of one of the server's machines, as SQL Server keeps it."""
        moment = self.now + self.random.choice(self.server.skews)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def versions_shown(self) -> dict[Key, int]:
        """The last version of each row."""
        return {key: row["Version"] for key, row in self.rows.items()}

    # Requests

    def read(self, query: Query | Link, subject: str, decode: Callable[[bytes], Any]) -> Reply[Any]:
        """Answer as a service does."""
        assert not isinstance(query, Link)
        with self._one_by_one:
            return self._answer(query, subject, decode)

    def _answer(self, query: Query, subject: str, decode: Callable[[bytes], Any]) -> Reply[Any]:
        self.between()
        self.queries.append(query)
        slow = self.server.slow_above
        if slow and query.top and query.top > slow:
            failed = failure(Answer(subject, exception=requests.exceptions.ReadTimeout("slow")))
            assert failed
            raise failed
        rows = [row for row in self.rows.values() if self._fits(row, query.filter)]
        total = len(rows)
        self._sort(rows, query.orderby or self.key)
        rows = rows[query.skip :]
        for most in (query.top, self.server.cap):
            rows = rows if most is None else rows[:most]
        body: dict[str, Any] = {"value": [{**row, R: self.server.shown(row[R])} for row in rows]}
        if query.count and self.server.counts:
            body["@odata.count"] = total
        date = (self.now + self.random.choice(self.server.skews)).replace(microsecond=0)
        return Reply(decode(msgspec.json.encode(body)), date, self.server.cookie)

    def _sort(self, rows: list[Row], orderby: Iterable[str]) -> None:
        if self.server.shuffles:
            self.random.shuffle(rows)
        for part in reversed(list(orderby)):
            name, _, direction = part.partition(" ")
            last = self.server.nulls_last
            rows.sort(
                key=lambda row: (
                    (row[name] is None) == last,
                    0 if row[name] is None else row[name],
                ),
                reverse=direction == "desc",
            )

    def _fits(self, row: Row, condition: str) -> bool:
        if not condition:
            return True
        if condition not in self._parsed:
            self._parsed[condition] = ODataParser().parse(ODataLexer().tokenize(condition))
        compared = {**row, R: row[R] and self.server.compared(row[R])}
        return bool(_value(self._parsed[condition], compared))


def _value(node: Any, row: Row) -> Any:  # noqa: PLR0911 - one case a line
    match node:
        case ast.BoolOp(op=ast.And()):
            return _value(node.left, row) and _value(node.right, row)
        case ast.BoolOp(op=ast.Or()):
            return _value(node.left, row) or _value(node.right, row)
        case ast.Compare():
            return _compared(node, _value(node.left, row), _value(node.right, row))
        case ast.Identifier():
            return row[node.name]
        case ast.Null():
            return None
        case ast.DateTime():
            return datetime.fromisoformat(node.val).astimezone(UTC)
        case ast.String() | ast.Integer():
            return node.py_val
        case ast.GUID():
            return node.val
    raise AssertionError(node)


def _compared(node: Any, left: Any, right: Any) -> bool:
    match node.comparator:
        case ast.Eq():
            return bool(left == right)
        case _ if left is None or right is None:
            return False
        case ast.Gt():
            return bool(left > right)
        case ast.GtE():
            return bool(left >= right)
        case ast.Lt():
            return bool(left < right)
        case ast.LtE():
            return bool(left <= right)
    raise AssertionError(node)


def at(text: str) -> datetime:
    """An instant, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
