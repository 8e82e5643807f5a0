"""Receives the callback of a sign-in: from the browser, or pasted into the terminal."""

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

SIGN_IN_TIMEOUT: Final = 600.0
"""Seconds to wait until somebody has signed in."""
PAGE_TIMEOUT: Final = 10.0
"""Seconds to wait until the browser has received the last page."""
HTTP_PORT: Final = 80


@dataclass(frozen=True, slots=True)
class Callback:
    """The address to which the sign-in page redirected the browser.

    Attributes:
        url: The address, or only its query.
        pasted: Whether somebody pasted it into the terminal.
    """

    url: str
    pasted: bool = False
    _page: queue.SimpleQueue[str] = field(default_factory=queue.SimpleQueue)
    _shown: threading.Event = field(default_factory=threading.Event)

    @property
    def parameters(self) -> Mapping[str, str]:
        """The parameters in the query."""
        query = urlsplit(self.url).query or self.url.partition("?")[2] or self.url
        return {name: values[0] for name, values in parse_qs(query).items()}

    def show(self, page: str) -> None:
        """Show a page in the browser, which is waiting for it."""
        self._page.put(page)
        if not self.pasted:
            self._shown.wait(PAGE_TIMEOUT)

    def wait_for_page(self) -> str:
        """Return the page to show, as soon as it is set."""
        return self._page.get()

    def mark_shown(self) -> None:
        """Record that the browser has received the page."""
        self._shown.set()


class _Handler(BaseHTTPRequestHandler):
    timeout = 30
    server: _Server

    def do_GET(self) -> None:
        """Accept the callback and answer with the last page."""
        url = urlsplit(self.path)
        if url.path != self.server.path or not {"code", "error"} & parse_qs(url.query).keys():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        callback = Callback(self.path)
        self.server.callbacks.put(callback)
        body = callback.wait_for_page().encode()
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
            callback.mark_shown()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: the address contains the authorization code."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(
        self, address: tuple[str, int], path: str, callbacks: queue.Queue[Callback]
    ) -> None:
        self.path = path
        self.callbacks = callbacks
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore errors: a browser may close the connection at any time."""


@contextmanager
def receive_callbacks(callback_url: str) -> Iterator[queue.Queue[Callback]]:
    """Listen for callbacks, from the browser and from the terminal.

    Call this once in a process, since it reads the terminal to its end.

    Raises:
        SettingsError: The port of the callback address is not available.
    """
    callbacks: queue.Queue[Callback] = queue.Queue()
    threading.Thread(target=_read_terminal, args=[callbacks], daemon=True).start()
    url = urlsplit(callback_url)
    if url.hostname not in LOOPBACK or url.scheme != "http":
        yield callbacks  # from the terminal only
        return
    host = "::1" if url.hostname == "::1" else "127.0.0.1"
    try:
        server = _Server((host, url.port or HTTP_PORT), url.path or "/", callbacks)
    except OSError as error:
        message = (
            f"The port of callback_url ({callback_url}) is not available ({error.strerror}): stop "
            "the program that uses it, or choose another port, in callback_url and in the "
            "connected application (SM303010)."
        )
        raise SettingsError(message) from error
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield callbacks
    finally:
        server.shutdown()
        server.server_close()


def next_callback(callbacks: queue.Queue[Callback], deadline: float) -> Callback:
    """Return the next callback.

    Args:
        callbacks: The callbacks that are received.
        deadline: When to give up, on the monotonic clock.

    Raises:
        AcumaticaError: No callback arrived in time.
    """
    try:
        return callbacks.get(timeout=max(deadline - time.monotonic(), 0))
    except queue.Empty:
        message = (
            f"Nobody signed in within {SIGN_IN_TIMEOUT / 60:g} minutes: run `tap-acumatica login` "
            "again."
        )
        raise AcumaticaError(message) from None


def _read_terminal(callbacks: queue.Queue[Callback]) -> None:
    """Read the lines that are pasted into the terminal.

    This bypasses sys.stdin: its lock would stay held while this thread waits for a line, and the
    process could not acquire it at exit.
    """
    with contextlib.suppress(OSError, ValueError, AttributeError):
        pending = b""
        while chunk := os.read(sys.stdin.fileno(), 65_536):
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                if text := line.decode(errors="replace").strip():
                    callbacks.put(Callback(text, pasted=True))
