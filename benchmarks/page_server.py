"""``python -m benchmarks.page_server``: made-up tables over OData, never the bottleneck.

The server renders and compresses each response once; later it sends it from memory, in well under
a millisecond. It supports the queries of all readers: pages by key, by replication key and by
``$skip``, and, without ``$top``, server-driven pages with nextLinks.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import signal
import socket
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from typing import Final
from urllib.parse import parse_qsl, unquote

ROOT: Final = "/t/Company/api/odata/dac/"
FIRST: Final = datetime(2024, 1, 1, tzinfo=UTC)
STEP: Final = timedelta(seconds=10)
"""Interval between the replication keys of successive rows."""
SERVER_PAGE: Final = 2000
"""Rows in a server-driven page."""

KINDS: Final = (
    *("text", "text", "whole", "money", "flag", "text", "null", "date"),
    *("text", "whole", "money", "text", "flag", "text", "null", "date"),
    *("text", "whole", "money", "text", "flag", "date", "null", "text"),
    *("whole", "money", "text", "money"),
)
"""Kinds of the columns after key and replication key, repeated as often as needed."""

HALF: Final = (
    *("code", "date", "money", "moment", "whole", "money", "date", "code", "text", "moment"),
    *("money", "date", "flag", "money", "moment", "code", "null", "money", "date", "text"),
    *("whole", "text", "money", "code", "flag", "null", "money", "text"),
)
"""The same, with a date-time or a decimal in more than every other column."""

EDM: Final = {
    "text": "Edm.String",
    "code": "Edm.String",
    "null": "Edm.String",
    "whole": "Edm.Int32",
    "money": "Edm.Decimal",
    "flag": "Edm.Boolean",
    "date": "Edm.DateTimeOffset",
    "moment": "Edm.DateTimeOffset",
}
VALUES: Final = {
    "text": '"Item %(a)d of the warehouse"',
    "code": '"%(h)016x"',
    "null": "null",
    "whole": "%(a)d",
    "money": "%(a)d.%(b)04d",
    "flag": "true",
    "date": '"2024-%(m)02d-%(d)02dT00:00:00%(z)s"',
    "moment": '"%(s)s%(z)s"',
}
KEY, CHANGED = "RefNbr", "LastModifiedDateTime"


@dataclass(frozen=True, slots=True)
class Mix:
    """What the rows of a table are made of.

    Attributes:
        kinds: Kinds of the columns after key and replication key, repeated as often as needed.
        zone: What follows the seconds of each date-time.
        ahead: How far the clock of that zone is ahead of UTC.
    """

    kinds: tuple[str, ...] = KINDS
    zone: str = "Z"
    ahead: timedelta = timedelta()

    def columns(self, number: int) -> list[tuple[str, str]]:
        """Return names and kinds of the columns after key and replication key."""
        kinds = [self.kinds[at % len(self.kinds)] for at in range(number - 2)]
        return [
            (f"{kind.capitalize()}{at}{'DateTime' if kind == 'moment' else ''}", kind)
            for at, kind in enumerate(kinds)
        ]


MIXES: Final = {
    "plain": Mix(),
    "half dates": Mix(HALF),
    "offsets": Mix(HALF, "+02:00", timedelta(hours=2)),
    "milliseconds": Mix(HALF, ".000Z"),
}


@dataclass(frozen=True, slots=True)
class Table:
    """Rows at equal intervals of time, each a function of its position."""

    rows: int
    columns: int
    mix: Mix = field(default_factory=Mix)
    template: str = field(init=False)

    def __post_init__(self) -> None:
        """Build the template of a row."""
        parts = [f'"{KEY}":"R%(i)09d"', f'"{CHANGED}":"%(t)s%(z)s"']
        parts += [f'"{name}":{VALUES[kind]}' for name, kind in self.mix.columns(self.columns)]
        object.__setattr__(self, "template", "{" + ",".join(parts) + "}")

    def row(self, position: int) -> str:
        """Return a row as JSON."""
        moment = FIRST + position * STEP + self.mix.ahead
        return self.template % {
            "i": position,
            "t": moment.strftime("%Y-%m-%dT%H:%M:%S"),
            "s": (moment - position % 977 * timedelta(seconds=3607)).strftime("%Y-%m-%dT%H:%M:%S"),
            "z": self.mix.zone,
            "h": position * 0x9E3779B97F4A7C15 % 2**64,
            "a": position * 7919 % 100003,
            "b": position * 104729 % 10000,
            "m": moment.month,
            "d": moment.day,
        }

    def positions(self, query: dict[str, str]) -> tuple[int, int]:
        """Return the range of the positions that fit the filter: first, and last + 1."""
        low, high = 0, self.rows
        without_nulls = re.sub(r"\w+ eq null or ", "", query.get("$filter", ""))
        for condition in filter(None, without_nulls.split(" and ")):
            name, operator, literal = re.sub(r"[()]", "", condition).split(" ", 2)
            if literal == "null":
                return 0, 0
            if name == KEY:
                at, exact = int(literal.strip("'R")), True
            else:
                ahead = datetime.fromisoformat(literal) - FIRST
                at, exact = ahead // STEP, not ahead % STEP
            first = at if exact else at + 1
            low = max(low, {"gt": at + 1, "ge": first, "eq": at}.get(operator, 0))
            high = min(high, {"lt": first, "le": at + 1, "eq": at + 1}.get(operator, self.rows))
        return low, max(low, high)


class Pages:
    """The responses, each rendered once."""

    def __init__(self, table: Table, streams: int) -> None:
        self._table = table
        self._streams = streams
        self._bodies: dict[tuple[object, ...], bytes] = {}
        self._lock = threading.Lock()

    def metadata(self) -> bytes:
        """Return the metadata document; all tables have the same columns."""
        columns = "".join(
            f'<Property Name="{name}" Type="{EDM[kind]}"/>'
            for name, kind in self._table.mix.columns(self._table.columns)
        )
        types, sets = [], []
        for number in range(self._streams):
            types.append(
                f'<EntityType Name="Rows{number:04d}"><Key><PropertyRef Name="{KEY}"/></Key>'
                f'<Property Name="{KEY}" Type="Edm.String"/>'
                f'<Property Name="{CHANGED}" Type="Edm.DateTimeOffset"/>{columns}</EntityType>'
            )
            name = f"Rows{number:04d}"
            sets.append(f'<EntitySet Name="PX_Bench_{name}" EntityType="PX.Bench.{name}"/>')
        return (
            '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
            '<edmx:DataServices><Schema Namespace="PX.Bench" '
            f'xmlns="http://docs.oasis-open.org/odata/ns/edm">{"".join(types)}</Schema>'
            '<Schema Namespace="Default" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
            f'<EntityContainer Name="Container">{"".join(sets)}</EntityContainer></Schema>'
            "</edmx:DataServices></edmx:Edmx>"
        ).encode()

    def page(self, address: str, query: dict[str, str], *, compressed: bool) -> bytes:
        """Return the body of a page."""
        low, high = self._table.positions(query)
        skip = int(query.get("$skip", "0"))
        top = int(query.get("$top", str(SERVER_PAGE)))
        counted = high - low if query.get("$count") == "true" else None
        descending = " desc" in query.get("$orderby", "")
        first, last = (
            (max(high - skip - top, low), high - skip) if descending else (low + skip, high)
        )
        last = min(last, first + top)
        linked = "$top" not in query and last < high
        select = query.get("$select", "")
        key = (first, last, descending, counted, linked and address, len(select), compressed)
        with self._lock:
            body = self._bodies.get(key)
        if body is None:
            positions = range(first, last)[:: -1 if descending else 1]
            rows = ",".join(map(self._table.row, positions))
            count = f'"@odata.count":{counted},' if counted is not None else ""
            link = f',"@odata.nextLink":"{address}?$skip={skip + top}"' if linked else ""
            body = f'{{{count}"value":[{rows}]{link}}}'.encode()
            body = gzip.compress(body, compresslevel=1, mtime=0) if compressed else body
            with self._lock:
                self._bodies[key] = body
        return body


class Server:
    """A server with as much HTTP as readers need, one thread for each connection."""

    def __init__(self, pages: Pages, latency: float) -> None:
        self._pages = pages
        self._latency = latency
        self._metadata = gzip.compress(pages.metadata(), mtime=0)
        self._busy = 0
        self._lock = threading.Lock()
        self._seconds: list[float] = []
        self._max_concurrent = 0
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        """Accept connections until the process ends."""
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve_connection, args=(connection,), daemon=True).start()

    def _serve_connection(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = connection.makefile("rb")
        with connection, stream:
            while line := stream.readline():
                method, target, _ = line.decode("latin-1").split(" ", 2)
                headers = {}
                while (header := stream.readline().strip()) and b":" in header:
                    name, _, value = header.decode("latin-1").partition(":")
                    headers[name.lower()] = value.strip()
                stream.read(int(headers.get("content-length", "0")))
                try:
                    self._answer(connection, method, target, headers)
                except ConnectionError:
                    return

    def _answer(
        self, connection: socket.socket, method: str, target: str, headers: dict[str, str]
    ) -> None:
        started = time.perf_counter()
        compressed = "gzip" in headers.get("accept-encoding", "")
        path, _, text = target.partition("?")
        content_type = "application/json; odata.metadata=minimal"
        is_data = False
        if path == "/_times":
            body, compressed = self._times(), False
        elif method != "GET":
            body, compressed = b"", False
        elif path.endswith("$metadata"):
            body, content_type = self._metadata, "application/xml"
            compressed = True
        else:
            is_data = True
            query = dict(parse_qsl(text))
            body = self._pages.page(self.address + unquote(path), query, compressed=compressed)
        head = (
            f"HTTP/1.1 {200 if method == 'GET' else 204} OK\r\n"
            f"Date: {formatdate(usegmt=True)}\r\n"
            f"Content-Type: {content_type}\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Set-Cookie: Locale=TimeZone=GMTE0000U&Culture=en-US; path=/\r\n"
            + ("Content-Encoding: gzip\r\n" if compressed else "")
            + "\r\n"
        ).encode("latin-1")
        ready = time.perf_counter() - started
        if is_data:
            with self._lock:
                self._busy += 1
                self._max_concurrent = max(self._max_concurrent, self._busy)
                self._seconds.append(ready)
            time.sleep(max(self._latency - ready, 0))
            with self._lock:
                self._busy -= 1
        connection.sendall(head + body)

    def _times(self) -> bytes:
        """Return the number of requests since the last call, and the times to their responses."""
        with self._lock:
            seconds, self._seconds = self._seconds or [0.0], []
            concurrent, self._max_concurrent = self._max_concurrent, 0
        figures = {
            "requests": len(seconds),
            "at once": concurrent,
            "median ms": statistics.median(seconds) * 1000,
            "99 % ms": sorted(seconds)[int(len(seconds) * 0.99)] * 1000,
        }
        return json.dumps(figures).encode()


def main() -> int:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser("page_server")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=30)
    parser.add_argument("--streams", type=int, default=1)
    parser.add_argument("--mix", choices=MIXES, default="plain")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each page")
    options = parser.parse_args()
    table = Table(options.rows, options.columns, MIXES[options.mix])
    server = Server(Pages(table, options.streams), options.latency)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    sys.stdout.write(server.address + "\n")
    sys.stdout.flush()
    server.serve()
    return 0


if __name__ == "__main__":
    sys.exit(main())
