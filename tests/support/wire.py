"""A sandbox behind connections that exist in this process alone, and answers to damage.

It takes the place of the network below HTTP, so that the client reads each byte as from a socket,
but fast. What is sent is decided for each answer, which can be any bytes.
"""

from __future__ import annotations

import io
import os
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from typing_extensions import override
from urllib3.exceptions import LocationParseError

from sandbox.http import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from sandbox.app import App

ADDRESS = ("127.0.0.1", 9)
SITE = "http://127.0.0.1:9"


@dataclass
class Answer:
    """An answer of the sandbox.

    Attributes:
        start: The status line.
        headers: Names and values, in their order, without those of the framing.
        framing: The headers that say where the body ends, computed from the body if None.
        closes: Whether the server closes the connection behind it; if not, it says no more.
    """

    start: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes
    framing: bytes | None = None
    before: bytes = b""
    closes: bool = False

    def encoded(self) -> bytes:
        """Return the bytes on the wire."""
        framing = self.framing
        if framing is None:
            framing = b"Content-Length: %d\r\n" % len(self.body)
        headers = b"".join(b"%s: %s\r\n" % header for header in self.headers)
        return b"%s%s\r\n%s%s\r\n%s" % (self.before, self.start, headers, framing, self.body)


@dataclass
class Wire:
    """The connections to a sandbox.

    Attributes:
        app: Answers the requests.
        damage: Changes an answer to the request with this number, from 0.
        requests: The number of requests so far.
    """

    app: App
    damage: Callable[[int, Request, Answer], None]
    requests: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def connect(self, address: tuple[str, int], *_: Any, **__: Any) -> _Socket:
        """Take the place of urllib3's `create_connection`; nobody answers at other addresses."""
        host, _port = address
        try:
            host.encode("idna")
        except UnicodeError:
            message = f"'{host}', label empty or too long"
            raise LocationParseError(message) from None
        if address != ADDRESS:
            raise ConnectionRefusedError
        return _Socket(self)

    def answer(self, request: Request) -> Answer:
        """Return the answer to a request, damaged."""
        with self._lock:
            number = self.requests
            self.requests += 1
        response = self.app.answer(request)
        headers = list(response.headers)
        if response.content_type:
            headers.append(("Content-Type", response.content_type))
        answer = Answer(
            b"HTTP/1.1 %d Status" % response.status,
            [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers],
            response.body,
        )
        self.damage(number, request, answer)
        return answer


class _Socket:
    """A connection whose server answers as soon as a request is complete, and never again."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._sent = bytearray()
        self._received = bytearray()
        self._closed_by_server = False

    def sendall(self, data: bytes) -> None:
        self._sent += data
        head, end, body = bytes(self._sent).partition(b"\r\n\r\n")
        if not end:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        if len(body) < int(headers.get("content-length") or 0):
            return
        self._sent.clear()
        method, target, _ = first.split(" ")
        answer = self._wire.answer(Request(method, target, headers, body, origin=SITE))
        self._received += answer.encoded()
        self._closed_by_server = answer.closes

    def makefile(self, *_: object) -> io.BufferedReader:
        return io.BufferedReader(_Raw(self))

    def receive(self, size: int) -> bytes:
        """Return what is there.

        Raises:
            TimeoutError: Nothing is there, and nothing follows.
        """
        data = bytes(self._received[:size])
        del self._received[:size]
        if not data and not self._closed_by_server:
            raise TimeoutError
        return data

    def fileno(self) -> int:
        return _SILENT

    def settimeout(self, _: float | None) -> None:
        """Nothing takes time."""

    def setsockopt(self, *_: object) -> None:
        """There are no options."""

    def shutdown(self, _: int) -> None:
        """Nobody waits at the other end."""

    def close(self) -> None:
        """Nobody waits at the other end."""


class _Raw(io.RawIOBase):
    def __init__(self, connection: _Socket) -> None:
        self._connection = connection

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        data = self._connection.receive(len(view))
        view[: len(data)] = data
        return len(data)


_SILENT = os.pipe()[0]
"""A file descriptor from which nothing can be read."""
