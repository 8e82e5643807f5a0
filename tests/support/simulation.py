"""A simulated server table, which changes between requests and answers as oddly as servers may.

It parses the queries with a parser that the tap does not use, so that a wrong query gets the
response that a server would send.
"""

from __future__ import annotations

import operator
import re
import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zlib import crc32
from zoneinfo import ZoneInfo

import msgspec
import requests
from odata_query import ast
from odata_query.grammar import ODataLexer, ODataParser

from support import csdl
from tap_acumatica.odata.csdl import parse
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.http.answer import RawResponse
from tap_acumatica.odata.http.client import Result
from tap_acumatica.odata.http.error_table import classify
from tap_acumatica.odata.query import Link, Query

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from random import Random

    from tap_acumatica.odata.model import Model

R = "LastModifiedDateTime"
SECOND = timedelta(seconds=1)
MAX_REQUESTS = 2000
"""Number of requests after which a simulated read of few rows counts as endless."""
EARLY = re.compile(r"\b0\d{3}-\d\d-\d\dT[\d:.]+")
"""A date-time of a year that the filter parser does not know."""

COMPARISONS: dict[type, Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
}

Row = dict[str, Any]
Key = tuple[Any, ...]


@dataclass
class Clock:
    """The time in a simulated site, which all of its tables share."""

    now: datetime


@dataclass
class Server:
    """How the simulated server behaves; by default it is healthy, and each oddity is switched on.

    Where a behaviour concerns one row in so many, the key decides which: it is the same each time.

    Attributes:
        cap: Maximum number of rows in a response, silently, regardless of `$top`. Of several each
            response draws one.
        max_bytes: Size of the rows in a response, as JSON, which it silently does not exceed.
        sends_oversized: Whether a row above that size is sent, alone. Otherwise each response ends
            in front of it.
        inner_page: Number of rows in the pages of which the server makes a response. At one seam
            two rows change places, or a row comes twice, perhaps in two versions.
        copies: One row in so many arrives twice, as a join returns it.

        counts: Whether it knows `$count`.
        counts_apart: Whether the table may change between counting and reading the rows of one
            response.
        counts_answer: Whether the count is the number of rows in the response.
        counts_skipped: Whether it is that number with the rows that were skipped.
        counts_to: Number at which the server stops counting.
        hides: One row in so many is counted, but never sent.
        max_columns: Number of columns in a row above which rows are missing, though counted.
        misses: Of the rows of such a response one in so many is missing; 1 for all of them.
        misses_in_place: Whether `$skip` and `$top` count the missing rows.

        precision: Microseconds to which instants are displayed.
        rounds: Whether the display rounds instants; otherwise it cuts them.
        zone: The account's time zone, whose wall clock values show unless the label is "UTC".
        label: What values show: true "UTC" with Z, or the wall clock with "Z", with its "offset",
            or without a label ("").
        wall_filters: Whether filters compare the wall clock; otherwise they compare instants.
        skews: How far the clocks of the machines behind the address are off.
        cookie: The Locale cookie.

        nulls_last: Whether nulls sort last.
        shuffles: Whether rows of equal rank arrive in a different order each time.
        collates: Whether text is compared without regard to case, trailing blanks and hyphens.
        equal_keys: Whether rows may exist whose keys are equal in this comparison.
        filters_apart: Whether `$filter` compares text exactly, although `$orderby` does not.
        formulas: Columns by which an inquiry is neither filtered nor sorted: such a query gets an
            empty body.

        slow_above: A `$top` above which requests time out.
        empties: Text in a filter that makes the response empty, silently.
        links: Whether each page but the last carries a nextLink, by `$skip`.
        gone: Columns that no longer exist; queries do not name them, as if they were too long.
        archives: One row in so many is archived.
        shows_archived: Whether archived rows are sent.
        failure: What each request is answered with after `failing_after` others.
        failing_after: Number of requests that are answered before that.
    """

    cap: int | tuple[int, ...] | None = None
    max_bytes: int | None = None
    sends_oversized: bool = True
    inner_page: int | None = None
    copies: int | None = None

    counts: bool = True
    counts_apart: bool = False
    counts_answer: bool = False
    counts_skipped: bool = False
    counts_to: int | None = None
    hides: int | None = None
    max_columns: int | None = None
    misses: int = 1
    misses_in_place: bool = False

    precision: int = 1
    rounds: bool = False
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    label: str = "UTC"
    wall_filters: bool = False
    skews: tuple[timedelta, ...] = (timedelta(0),)
    cookie: str | None = "TimeZone=GMTE0000U&Culture=en-US"

    nulls_last: bool = False
    shuffles: bool = True
    collates: bool = False
    equal_keys: bool = False
    filters_apart: bool = False
    formulas: frozenset[str] = frozenset()

    slow_above: int | None = None
    empties: str | None = None
    links: bool = False
    gone: frozenset[str] = frozenset()
    archives: int | None = None
    shows_archived: bool = False
    failure: RawResponse | None = None
    failing_after: int = 0

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

    def sortable(self, value: Any) -> Any:
        """Return the value that sorting compares."""
        if self.collates and isinstance(value, str):
            return value.casefold().rstrip().replace("-", "")
        return value

    def filterable(self, value: Any) -> Any:
        """Return the value that filters compare."""
        return value if self.filters_apart else self.sortable(value)

    def is_visible(self, key: Key) -> bool:
        """Whether the account sees the row, which it may count even if it does not."""
        return not one_in(self.hides, key)

    def is_there(self, key: Key) -> bool:
        """Whether the row exists for queries with the settings of the run."""
        return self.shows_archived or not one_in(self.archives, key)


def one_in(number: int | None, key: Key) -> bool:
    """Whether the row is the one in so many."""
    return number is not None and crc32(repr(key).encode()) % number == 0


class SimulatedTable:
    """The rows of the table, and the queries for them."""

    def __init__(
        self, key: tuple[str, ...], server: Server, now: datetime | Clock, random: Random
    ) -> None:
        self.key = key
        self.server = server
        self.clock = now if isinstance(now, Clock) else Clock(now)
        self.random = random
        self.rows: dict[Key, Row] = {}
        self.queries: list[Query] = []
        self.between: Callable[[], None] = lambda: None
        self.further_columns: Callable[[Key], Row] = lambda _: {}
        """Returns the columns of a new row beside its key, its instant and its version."""
        self.changes: dict[Key, list[datetime | None]] = {}
        """The instants of all changes of each row, None for its deletion; a test may clear it."""
        self.counting = False
        """Whether a query is between counting and reading."""
        self.versions = 0
        self._last_request = MAX_REQUESTS
        self._one_by_one = threading.Lock()
        self._parsed: dict[str, Callable[[Row], bool]] = {}
        self._links: dict[str, Query] = {}

    @property
    def now(self) -> datetime:
        """The site's time."""
        return self.clock.now

    @now.setter
    def now(self, now: datetime) -> None:
        self.clock.now = now

    # Changes

    def put(self, key: Key, instant: datetime | None) -> Row:
        """Insert a row or make a new version of it."""
        self.versions += 1
        if key not in self.rows and self.server.collates and not self.server.equal_keys:
            rank = self._rank(key)
            for other in [k for k in self.rows if self._rank(k) == rank]:
                self.remove(other)
        old = self.rows.get(key) or self.further_columns(key)
        row = {**dict(zip(self.key, key, strict=True)), R: instant, "Version": self.versions}
        self.rows[key] = {**old, **row}
        self.changes.setdefault(key, []).append(instant)
        return self.rows[key]

    def remove(self, key: Key) -> None:
        """Delete a row, if it exists."""
        if self.rows.pop(key, None):
            self.changes.setdefault(key, []).append(None)

    def stamp(self) -> datetime:
        """Return the time of one of the server's clocks, as precisely as SQL Server stores it."""
        moment = self.now + self.random.choice(self.server.skews)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)

    def versions_shown(self) -> dict[Key, int]:
        """Return the last version of each row that the account may see."""
        shows = self.server
        return {
            key: row["Version"]
            for key, row in self.rows.items()
            if shows.is_visible(key) and shows.is_there(key)
        }

    # Requests

    def begin(self) -> None:
        """Expect that a read begins, and ends.

        Where an answer holds a row or two, each row may take some requests.
        """
        self._last_request = len(self.queries) + MAX_REQUESTS + 10 * len(self.rows)

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
        assert len(self.queries) < self._last_request, f"A read does not end: {self.queries[-9:]}"
        failure = self._failure(query, subject)
        if failure:
            failed = classify(failure)
            assert failed
            raise failed
        matching = self._matching(query)
        total = len(matching)
        if self.server.counts_apart:
            self.counting = query.count
            self.between()
            self.counting = False
            matching = self._matching(query)
        self._sort(matching, query.orderby or self.key)
        visible = self._visible(matching, query)
        rows = self._limited(visible[query.skip :], query)
        end = query.skip + len(rows)
        if self.server.misses_in_place:
            rows = [row for row in rows if not self._is_missing(row, query)]
        if self.server.inner_page:
            rows = self._made_of_pages(rows, query, self.server.inner_page)
            end = query.skip + len({self.key_of(row) for row in rows})
        body: dict[str, Any] = {
            "@odata.context": f"https://erp.example/$metadata#{query.entity_set}",
            "value": [self._shown(row, query) for row in rows],
        }
        if query.count and self.server.counts:
            body["@odata.count"] = self._count(rows, total, query)
        if self.server.links and query.skip < end < len(visible):
            link = f"Rows?$skiptoken={len(self._links)}"
            self._links[link] = replace(query, skip=end)
            body["@odata.nextLink"] = link
        date = (self.now + self.random.choice(self.server.skews)).replace(microsecond=0)
        return Result(decode(msgspec.json.encode(body)), date, self.server.cookie)

    def _failure(self, query: Query, subject: str) -> RawResponse | None:
        """Return what the query is answered with instead of rows, or None."""
        server = self.server
        if server.failure and len(self.queries) > server.failing_after:
            return replace(server.failure, subject=subject)
        if server.slow_above and query.top and query.top > server.slow_above:
            return RawResponse(subject, exception=requests.exceptions.ReadTimeout("slow"))
        if server.formulas & set(re.findall(r"\w+", f"{query.filter} {query.orderby}")):
            return RawResponse(subject, 200)
        return None

    def _matching(self, query: Query) -> list[Row]:
        """Return the rows that match the filter, those that come twice as two."""
        server = self.server
        if server.empties and server.empties in query.filter:
            return []
        fits = self._fits(in_odata_4(query))
        return [
            row
            for key, row in self.rows.items()
            if server.is_there(key) and fits(row)
            for _ in range(1 + one_in(server.copies, key))
        ]

    def _count(self, rows: list[Row], total: int, query: Query) -> int:
        """Return what the server counts, of so many rows and with these in the response."""
        if self.server.counts_skipped:
            return query.skip + len(rows)
        total = len(rows) if self.server.counts_answer else total
        return total if self.server.counts_to is None else min(total, self.server.counts_to)

    def _visible(self, rows: list[Row], query: Query) -> list[Row]:
        """Return the rows without those that are counted only."""
        server = self.server
        if server.hides is None and (server.max_columns is None or server.misses_in_place):
            return rows
        return [
            row
            for row in rows
            if server.is_visible(self.key_of(row))
            and (server.misses_in_place or not self._is_missing(row, query))
        ]

    def _is_missing(self, row: Row, query: Query) -> bool:
        """Whether a row is missing in the response, since that has too many columns."""
        columns = len(query.select) or len(row)
        is_wide = self.server.max_columns is not None and columns > self.server.max_columns
        return is_wide and one_in(self.server.misses, self.key_of(row))

    def _limited(self, rows: list[Row], query: Query) -> list[Row]:
        """Return as many of the rows as one response holds."""
        server = self.server
        cap = self.random.choice(server.cap) if isinstance(server.cap, tuple) else server.cap
        for limit in (query.top, cap):
            rows = rows if limit is None else rows[:limit]
        if server.max_bytes is None:
            return rows
        size = 0
        for index, row in enumerate(rows):
            size += len(msgspec.json.encode(self._shown(row, query)))
            if size > server.max_bytes:
                return rows[: index or int(server.sends_oversized)]
        return rows

    def _made_of_pages(self, rows: list[Row], query: Query, size: int) -> list[Row]:
        """Return the rows as the server puts them together from its own pages."""
        seams = range(size, len(rows), size)
        if not seams:
            return rows
        seam = self.random.choice(seams)
        before, after = rows[:seam], rows[seam:]
        match self.random.choice(["apart"] * 7 + ["swapped", "twice", "changed"]):
            case "swapped":
                before[-1], after[0] = after[0], before[-1]
            case "twice":
                after = [before[-1], *after[:-1]]
            case "changed" if query.orderby[:1] != (R,):
                # In an order by instant the new version would be far from the seam.
                changed = self.put(self.key_of(before[-1]), self.stamp())
                after = [changed, *after[:-1]]
        return before + after

    def _shown(self, row: Row, query: Query) -> Row:
        """Return the columns of a row that the query asks for, as the server displays them."""
        names = [name for name in query.select or row if name not in self.server.gone]
        return {name: self.server.shown(row[R]) if name == R else row.get(name) for name in names}

    @property
    def columns(self) -> list[str]:
        """The columns that the server declares."""
        names = (*self.key, R, "Version", *self.further_columns(()))
        return [name for name in names if name not in self.server.gone]

    def key_of(self, row: Row) -> Key:
        """Return the key of a row."""
        return tuple([row[name] for name in self.key])

    def _rank(self, key: Key) -> Key:
        return tuple(map(self.server.sortable, key))

    def _sort(self, rows: list[Row], orderby: Iterable[str]) -> None:
        if self.server.shuffles:
            self.random.shuffle(rows)
        for part in reversed(list(orderby)):
            name, _, direction = part.partition(" ")
            last = self.server.nulls_last
            rows.sort(
                key=lambda row: (
                    (row[name] is None) == last,
                    0 if row[name] is None else self.server.sortable(row[name]),
                ),
                reverse=direction == "desc",
            )

    def _fits(self, condition: str) -> Callable[[Row], bool]:
        """Return whether a row matches a filter, as a function."""
        if not condition:
            return lambda _: True
        if condition not in self._parsed:
            parsable = EARLY.sub(
                lambda match: late_enough(at(match[0])).isoformat().partition("+")[0], condition
            )
            tree = ODataParser().parse(ODataLexer().tokenize(parsable))
            self._parsed[condition] = _evaluator(tree, self.server)
        return self._parsed[condition]


class SimulatedService:
    """The tables of one interface of one tenant, by entity set.

    Attributes:
        tables: The tables.
        slips_at: Number of the request that is answered with rows of another table.
    """

    def __init__(self, tables: Mapping[str, SimulatedTable], slips_at: int | None = None) -> None:
        self.tables = tables
        self.slips_at = slips_at
        self._requests = 0

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Any]
    ) -> Result[Any]:
        """Answer a query as a service does."""
        self._requests += 1
        others = [name for name in self.tables if name != query.entity_set]
        if self._requests == self.slips_at and others and not isinstance(query, Link):
            query = Query(others[0], top=query.top, protocol=query.protocol)
        return self.tables[query.entity_set].read(query, subject, decode)

    def trust(self) -> None:
        """Do nothing: simulated requests are not retried."""

    def sign_out(self) -> None:
        """Do nothing: a simulation has no sessions."""

    def metadata(self) -> Model:
        """Return what the service declares; all types are those of texts, since no test asks."""
        types = [
            csdl.Type(f"Site.{name}", tuple(map(csdl.Column, table.columns)), sets=(name,))
            for name, table in self.tables.items()
        ]
        return parse([csdl.Document(tuple(types), annotations=False).encode()])


def _evaluator(node: Any, server: Server) -> Callable[[Row], Any]:
    """Return what computes an expression for a row; made once, as it is asked of many rows."""
    match node:
        case ast.BoolOp():
            left, right = (_evaluator(side, server) for side in (node.left, node.right))
            if isinstance(node.op, ast.And):
                return lambda row: left(row) and right(row)
            return lambda row: left(row) or right(row)
        case ast.Compare():
            left, right = (_evaluator(side, server) for side in (node.left, node.right))
            return _comparison(COMPARISONS[type(node.comparator)], left, right)
        case ast.Identifier(name=name) if name == R:
            return lambda row: row[R] and server.compared(row[R])
        case ast.Identifier(name=name):
            return lambda row: server.filterable(row[name])
    value = server.filterable(_literal(node))
    return lambda _: value


def _comparison(
    holds: Callable[[Any, Any], bool], left: Callable[[Row], Any], right: Callable[[Row], Any]
) -> Callable[[Row], bool]:
    def compare(row: Row) -> bool:
        one, other = left(row), right(row)
        return holds(one, other) if (one is None) == (other is None) else False

    return compare


def _literal(node: Any) -> Any:
    match node:
        case ast.Null():
            return None
        case ast.DateTime():
            return datetime.fromisoformat(node.val).astimezone(UTC)
        case ast.String() | ast.Integer():
            return node.py_val
        case ast.GUID():
            return node.val
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
