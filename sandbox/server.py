"""The HTTP/1.1 server: persistent connections, one thread each."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from http import HTTPStatus
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

from typing_extensions import override

from sandbox.http import Request, Response

if TYPE_CHECKING:
    from sandbox.app import App


class Handler(BaseHTTPRequestHandler):
    """Reads the requests of one connection and sends the app's responses."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 600
    server: Server

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else b""
        headers = {key.lower(): value for key, value in self.headers.items()}
        scheme = "https" if isinstance(self.connection, ssl.SSLSocket) else "http"
        origin = f"{scheme}://{headers.get('host', '')}"
        request = Request(self.command, self.path, headers, body, origin=origin)
        self._send(self.server.app.answer(request))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve  # noqa: N815 - names set by the base class

    def _send(self, response: Response) -> None:
        payload = response.encode(self.headers.get("Accept-Encoding", ""))
        head = self._head(response, len(payload))
        if self.command == "HEAD":
            payload = b""
        with contextlib.suppress(ConnectionError, TimeoutError):
            if response.send is None:
                self.connection.sendall(head + payload)
            elif not response.send(self.connection, head, payload):
                self.close_connection = True
        if response.close:
            self.close_connection = True

    def _head(self, response: Response, length: int) -> bytes:
        lines = [f"HTTP/1.1 {int(response.status)} {responses.get(response.status, '')}"]
        headers = [*response.headers, ("Server", "Microsoft-IIS/10.0")]
        if response.status != HTTPStatus.NO_CONTENT:
            names = {name.lower() for name, _ in headers}
            if response.content_type:
                headers.append(("Content-Type", response.content_type))
            if "content-length" not in names:
                headers.append(("Content-Length", str(length)))
        if response.close:
            headers.append(("Connection", "close"))
        lines += [f"{name}: {value}" for name, value in headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Write nothing to stderr: the app has its own log of requests."""

    @override
    def handle(self) -> None:
        """Serve the connection; a client may close it at any time."""
        with contextlib.suppress(ConnectionError, TimeoutError, ssl.SSLError):
            super().handle()


class Server(ThreadingHTTPServer):
    """A server that tracks its connections, so that closing it closes them too."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, app: App, tls: ssl.SSLContext | None = None) -> None:
        self.app = app
        self._tls = tls
        self._connections: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), Handler)

    @override
    def server_bind(self) -> None:
        # The base class looks up the host's full name, which can take seconds.
        socket.socket.bind(self.socket, self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "sandbox", int(self.server_address[1])

    @override
    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection; the TLS handshake follows in its thread, at the first read."""
        accepted, address = self.socket.accept()
        if self._tls is not None:
            accepted = self._tls.wrap_socket(
                accepted, server_side=True, do_handshake_on_connect=False
            )
        return accepted, address

    @override
    def process_request(self, request: object, client_address: object) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._connections.add(request)
        super().process_request(request, client_address)  # type: ignore[arg-type] # typeshed's union

    @override
    def shutdown_request(self, request: object) -> None:
        if isinstance(request, socket.socket):
            with self._lock:
                self._connections.discard(request)
        super().shutdown_request(request)  # type: ignore[arg-type] # typeshed's union

    def close(self) -> None:
        """Stop serving and close every connection."""
        self.shutdown()
        self.server_close()
        with self._lock:
            connections = tuple(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
