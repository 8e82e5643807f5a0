"""How the answer of the sign-in page comes back: by the browser, or pasted into the terminal."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlsplit

from typing_extensions import override

from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.odata.urls import LOOPBACK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PATIENCE: Final = 600.0
"""Seconds in which somebody is to sign in."""
SHOWING: Final = 10.0
"""Seconds to show the last page in."""
HTTP_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Arrival:
    """The address to which the sign-in page led.

    Attributes:
        url: As a whole, or its query alone.
        pasted: Whether somebody brought it by hand.
    """

    url: str
    pasted: bool = False
    _page: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    _shown: threading.Event = field(default_factory=threading.Event)

    @property
    def answer(self) -> Mapping[str, str]:
        """The parameters in it."""
        query = urlsplit(self.url).query or self.url.partition("?")[2] or self.url
        return {name: values[0] for name, values in parse_qs(query).items()}

    def show(self, page: str) -> None:
        """Show a page in the browser that waits for one."""
        self._page.put(page)
        if not self.pasted:
            self._shown.wait(SHOWING)

    def page(self) -> str:
        """Wait for the page to show."""
        return self._page.get()

    def shown(self) -> None:
        """The browser has the page."""
        self._shown.set()


class _Handler(BaseHTTPRequestHandler):
    timeout = 30
    server: _Server

    def do_GET(self) -> None:
        """Take the answer of the sign-in page."""
        parts = urlsplit(self.path)
        if parts.path != self.server.path or not {"code", "error"} & parse_qs(parts.query).keys():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        arrival = Arrival(self.path)
        self.server.arrivals.put(arrival)
        body = arrival.page().encode()
        try:
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Cache-Control", "no-store")
            self.send_header("Referrer-Policy", "no-referrer")
            self.send_header(
                "Content-Security-Policy",
                "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
            )
            self.end_headers()
            self.wfile.write(body)
        finally:
            arrival.shown()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the address holds the code."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, place: tuple[str, int], path: str, arrivals: queue.Queue[Arrival]) -> None:
        self.path = path
        self.arrivals = arrivals
        self.address_family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
        super().__init__(place, _Handler)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser may leave whenever it likes."""


@contextmanager
def arriving(callback_url: str) -> Iterator[queue.Queue[Arrival]]:
    """What comes back, as long as this is open; opened once, for the terminal is read to its end.

    Raises:
        SettingsError: Another program listens there.
    """
    arrivals: queue.Queue[Arrival] = queue.Queue()
    threading.Thread(target=_read_pasted, args=[arrivals], daemon=True).start()
    parts = urlsplit(callback_url)
    if parts.hostname not in LOOPBACK or parts.scheme != "http":
        yield arrivals  # by hand alone
        return
    host = "::1" if parts.hostname == "::1" else "127.0.0.1"
    place = (host, parts.port or HTTP_PORT)
    try:
        server = _Server(place, parts.path or "/", arrivals)
    except OSError as error:
        message = (
            f"The port of callback_url ({callback_url}) cannot be listened on ({error.strerror}): "
            "end the program that uses it, or choose another one, here and in the connected "
            "application (SM303010)."
        )
        raise SettingsError(message) from error
    listening = threading.Thread(target=server.serve_forever, args=[0.05], daemon=True)
    listening.start()
    try:
        yield arrivals
    finally:
        server.shutdown()
        server.server_close()


def next_arrival(arrivals: queue.Queue[Arrival], until: float) -> Arrival:
    """The next thing that comes back, up to an instant of the monotonic clock.

    Raises:
        AcumaticaError: Nothing came.
    """
    try:
        return arrivals.get(timeout=max(until - time.monotonic(), 0))
    except queue.Empty:
        message = (
            f"Nobody signed in within {PATIENCE / 60:g} minutes: run `tap-acumatica login` again."
        )
        raise AcumaticaError(message) from None


def _read_pasted(arrivals: queue.Queue[Arrival]) -> None:
    """Lines of the terminal.

    They are read past Python's own reader, whose lock would be held for ever: at its end the
    process could not get it.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        pending = b""
        while chunk := os.read(sys.stdin.fileno(), 65_536):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if text := line.decode(errors="replace").strip():
                    arrivals.put(Arrival(text, pasted=True))
