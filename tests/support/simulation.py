"""A simulated server table, which changes between requests and answers as oddly as servers may.

It parses the queries with a parser that the tap does not use, so that a wrong query gets the
response that a server would send.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec
import requests
from odata_query import ast
from odata_query.grammar import ODataLexer, ODataParser

from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.http.answer import RawResponse
from tap_acumatica.odata.http.client import Result
from tap_acumatica.odata.http.error_table import classify
from tap_acumatica.odata.query import Link

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from random import Random

    from tap_acumatica.odata.query import Query

R = "LastModifiedDateTime"
SECOND = timedelta(seconds=1)
MAX_REQUESTS = 5000
"""Number of requests after which a simulated read counts as endless."""
EARLY = re.compile(r"\b0\d{3}-\d\d-\d\dT[\d:.]+")
"""A date-time of a year that the filter parser does not know."""

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass
class Server:
    """How the simulated server behaves.

    Attributes:
        cap: Maximum number of rows in a response, silently, regardless of `$top`.
        counts: Whether it knows `$count`.
        precision: Microseconds to which instants are displayed.
        rounds: Whether the display rounds instants; otherwise it cuts them.
        zone: The account's time zone, whose wall clock values show unless the label is "UTC".
        label: What values show: true "UTC" with Z, or the wall clock with "Z", with its "offset",
            or without a label ("").
        wall_filters: Whether filters compare the wall clock; otherwise they compare instants.
        nulls_last: Whether nulls sort last.
        skews: How far the clocks of the machines behind the address are off.
        cookie: The Locale cookie.
        shuffles: Whether rows of equal rank arrive in a different order each time.
        slow_above: A `$top` above which requests time out.
        empties: Text in a filter that makes the response empty, silently.
        formulas: Columns by which an inquiry is neither filtered nor sorted: such a query gets an
            empty body.
        collates: Whether text is compared without regard to case, trailing blanks and hyphens.
        links: Whether each page but the last carries a nextLink, by `$skip`.
        counts_apart: Whether the table may change between counting and reading the rows of one
            response.
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
    empties: str | None = None
    formulas: frozenset[str] = frozenset()
    collates: bool = False
    links: bool = False
    counts_apart: bool = False

    def compared(self, stored: datetime) -> datetime:
        """Return the instant that filters compare."""
        if stored.year < 1000:
            return late_enough(stored)
        if not self.wall_filters:
            return stored
        return self._in_zone(stored).replace(tzinfo=UTC)

    def shown(self, stored: datetime | None) -> str | None:
        """Return an instant as the server displays it."""
        if stored is None:
            return None
        step = self.precision
        micros = stored.microsecond + (step // 2 if self.rounds else 0)
        moment = stored.replace(microsecond=0) + timedelta(microseconds=micros // step * step)
        wall = moment if self.label == "UTC" else self._in_zone(moment)
        text = wall.replace(tzinfo=None).isoformat()
        text = text.rstrip("0") if "." in text else text
        return text + {"UTC": "Z", "Z": "Z", "offset": wall.isoformat()[-6:], "": ""}[self.label]

    def _in_zone(self, moment: datetime) -> datetime:
        """Return an instant in the account's zone; the year 1 stays as it is."""
        return moment if moment.year == 1 else moment.astimezone(self.zone)

    def comparable(self, value: Any) -> Any:
        """Return the value that sorting and filtering compare."""
        if self.collates and isinstance(value, str):
            return value.casefold().rstrip().replace("-", "")
        return value


class SimulatedTable:
    """The rows of the table, and the queries for them."""

    def __init__(self, key: tuple[str, ...], server: Server, now: datetime, random: Random) -> None:
        self.key = key
        self.server = server
        self.now = now
        self.random = random
        self.rows: dict[Key, Row] = {}
        self.late: list[Row] = []
        self.queries: list[Query] = []
        self.between: Callable[[], None] = lambda: None
        self.counting = False
        """Whether a query is between counting and reading."""
        self.versions = 0
        self._parsed: dict[str, Any] = {}
        self._links: dict[str, Query] = {}
        self._one_by_one = threading.Lock()

    # Changes

    def put(self, key: Key, instant: datetime | None) -> Row:
        """Insert a row or make a new version of it."""
        self.versions += 1
        if self.server.collates:
            compared = self._comparable(key)
            equal = [k for k in self.rows if k != key and self._comparable(k) == compared]
            for other in equal:
                del self.rows[other]
        row = {**dict(zip(self.key, key, strict=True)), R: instant, "Version": self.versions}
        self.rows[key] = row
        return row

    def stamp(self) -> datetime:
        """Return the time of one of the server's clocks, as precisely as SQL Server stores it."""
        moment = self.now + self.random.choice(self.server.skews)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def versions_shown(self) -> dict[Key, int]:
        """Return the last version of each row."""
        return {key: row["Version"] for key, row in self.rows.items()}

    # Requests

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Any]
    ) -> Result[Any]:
        """Answer a query as a service does."""
        with self._one_by_one:
            return self._answer(query, subject, decode)

    def _answer(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Any]
    ) -> Result[Any]:
        self.between()
        if isinstance(query, Link):
            query = self._links[query.url]
        self.queries.append(query)
        assert len(self.queries) < MAX_REQUESTS, f"A read does not end: {self.queries[-9:]}"
        slow = self.server.slow_above
        if slow and query.top and query.top > slow:
            failed = classify(
                RawResponse(subject, exception=requests.exceptions.ReadTimeout("slow"))
            )
            assert failed
            raise failed
        if self.server.formulas & set(re.findall(r"\w+", f"{query.filter} {query.orderby}")):
            failed = classify(RawResponse(subject, 200))
            assert failed
            raise failed
        total = len(self._matching(query))
        if self.server.counts_apart:
            self.counting = query.count
            self.between()
            self.counting = False
        rows = self._matching(query)
        self._sort(rows, query.orderby or self.key)
        available = len(rows) - query.skip
        rows = rows[query.skip :]
        for limit in (query.top, self.server.cap):
            rows = rows if limit is None else rows[:limit]
        body: dict[str, Any] = {"value": [{**row, R: self.server.shown(row[R])} for row in rows]}
        if query.count and self.server.counts:
            body["@odata.count"] = total
        if self.server.links and len(rows) < available:
            link = f"Rows?$skiptoken={len(self._links)}"
            self._links[link] = replace(query, skip=query.skip + len(rows))
            body["@odata.nextLink"] = link
        date = (self.now + self.random.choice(self.server.skews)).replace(microsecond=0)
        return Result(decode(msgspec.json.encode(body)), date, self.server.cookie)

    def _matching(self, query: Query) -> list[Row]:
        if self.server.empties and self.server.empties in query.filter:
            return []
        return [row for row in self.rows.values() if self._fits(row, in_odata_4(query))]

    def _comparable(self, key: Key) -> Key:
        return tuple(map(self.server.comparable, key))

    def _sort(self, rows: list[Row], orderby: Iterable[str]) -> None:
        if self.server.shuffles:
            self.random.shuffle(rows)
        for part in reversed(list(orderby)):
            name, _, direction = part.partition(" ")
            last = self.server.nulls_last
            rows.sort(
                key=lambda row: (
                    (row[name] is None) == last,
                    0 if row[name] is None else self.server.comparable(row[name]),
                ),
                reverse=direction == "desc",
            )

    def _fits(self, row: Row, condition: str) -> bool:
        if not condition:
            return True
        if condition not in self._parsed:
            parsable = EARLY.sub(
                lambda match: late_enough(at(match[0])).isoformat().partition("+")[0], condition
            )
            self._parsed[condition] = ODataParser().parse(ODataLexer().tokenize(parsable))
        compared = {**row, R: row[R] and self.server.compared(row[R])}
        return bool(_value(self._parsed[condition], compared, self.server.comparable))


def _value(node: Any, row: Row, form: Callable[[Any], Any]) -> Any:  # noqa: PLR0911 - one case a line
    match node:
        case ast.BoolOp(op=ast.And()):
            return _value(node.left, row, form) and _value(node.right, row, form)
        case ast.BoolOp(op=ast.Or()):
            return _value(node.left, row, form) or _value(node.right, row, form)
        case ast.Compare():
            left, right = (form(_value(side, row, form)) for side in (node.left, node.right))
            return _compared(node, left, right)
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


def late_enough(early: datetime) -> datetime:
    """Map instants before the year 1000 to its first days, in the same order."""
    return at("1000-01-01T00:00:00") + (early - at("0001-01-01T00:00:00")) / 86_400


def in_odata_4(query: Query) -> str:
    """Return the query's filter as OData 4 writes it; its literals must fit the query's version."""
    if query.protocol is ODataVersion.V4:
        assert not re.search("datetime'|guid'", query.filter)
        return query.filter
    assert not query.count
    assert not re.search(r"(?<!')\b\d{4}-\d\d-\d\d|(?<!')\b[0-9a-f]{8}-", query.filter)
    return re.sub(r"\b(?:datetime|guid)'([^']*)'", r"\1", query.filter)


def at(text: str) -> datetime:
    """Return an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
