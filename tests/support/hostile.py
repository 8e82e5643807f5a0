"""A server that sends any bytes on its connections: it keeps no rule of HTTP by itself."""

from __future__ import annotations

import contextlib
import socket
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

JSON = "application/json; odata.metadata=minimal"


@dataclass
class Call:
    """A request as it arrived.

    Attributes:
        connection: The number of the connection, from 0.
        number: The number of the request on its connection, from 0.
        target: Path and query, as they were sent.
    """

    connection: int
    number: int
    target: str


@dataclass
class HostileServer:
    """The address of the server, and the requests so far."""

    site: str
    calls: list[Call] = field(default_factory=list)


def answer(
    body: bytes | str,
    status: str = "200 OK",
    content_type: str = JSON,
    *,
    length: int | None = None,
) -> bytes:
    """Return the bytes of a response, by default with the Content-Length that fits."""
    content = body.encode() if isinstance(body, str) else body
    size = len(content) if length is None else length
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {size}\r\n\r\n"
    return head.encode() + content


@contextmanager
def hostile_server(
    reply: Callable[[Call], bytes | Iterable[bytes]],
    greeting: Callable[[], Iterable[bytes]] = tuple,
) -> Iterator[HostileServer]:
    """Serve each request with the bytes that `reply` returns, at once or in parts.

    Nothing closes the connection. Connections stay open, whatever is sent on them. The greeting is
    sent on each connection before a request is read.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = HostileServer(f"http://127.0.0.1:{listener.getsockname()[1]}")
        connections: list[socket.socket] = []

        def serve(connection: socket.socket, index: int) -> None:
            with connection, contextlib.suppress(OSError):
                for part in greeting():
                    connection.sendall(part)
                requests = connection.makefile("rb")
                number = 0
                while len(words := requests.readline().split()) > 1:
                    while requests.readline().strip():
                        pass
                    call = Call(index, number, words[1].decode("latin-1"))
                    number += 1
                    server.calls.append(call)
                    sent = reply(call)
                    if not sent:
                        return
                    for part in [sent] if isinstance(sent, bytes) else sent:
                        connection.sendall(part)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connections.append(connection)
                    index = len(connections) - 1
                    threading.Thread(target=serve, args=(connection, index), daemon=True).start()

        acceptor = threading.Thread(target=accept, daemon=True)
        acceptor.start()
        try:
            yield server
        finally:
            # Closing alone does not end a call of accept.
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            acceptor.join(5)
            for connection in connections:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
