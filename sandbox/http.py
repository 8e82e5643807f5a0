"""HTTP requests and responses, independent of the sockets that carry them."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from socket import socket
from typing import Literal
from urllib.parse import parse_qsl, unquote

from sandbox.errors import EmptyAnswer, Refusal
from sandbox.sessions import RequestRecord

JSON = "application/json; charset=utf-8"
ODATA_JSON = "application/json; odata.metadata=minimal"
XML = "application/xml"
HTML = "text/html; charset=utf-8"
COMPRESS_ABOVE = 860  # bytes; the threshold of the web server, IIS
Shape = Literal["message", "exception", "error", "odata.error", "text", "html"]
RequestKind = Literal[
    "service", "metadata", "data", "count", "logout", "identity", "control", "other"
]


@dataclass
class Request:
    """A parsed request; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""
    kind: RequestKind = "other"
    origin: str = ""
    path: str = field(init=False)
    query: dict[str, str] = field(init=False)
    raw_query: str = field(init=False)

    def __post_init__(self) -> None:
        """Decode the path and the query."""
        path, _, self.raw_query = self.target.partition("?")
        self.path = unquote(path)
        pairs = parse_qsl(self.raw_query, keep_blank_values=True)
        self.query = {key.lower() if key.startswith("$") else key: value for key, value in pairs}

    def record(self) -> RequestRecord:
        """Return the log record of the request, which leaves out the credentials."""
        headers = {key: value for key, value in self.headers.items() if key != "authorization"}
        return RequestRecord(
            self.method,
            self.path,
            dict(self.query),
            headers,
            kind=self.kind,
            raw_query=self.raw_query,
        )


Send = Callable[[socket, bytes, bytes], bool]


@dataclass
class Response:
    """A response.

    Attributes:
        odata: Whether the response carries the ``OData-Version`` header.
        send: Sends head and body in place of the server; returns whether to keep the connection.
        close: Whether to close the connection afterwards.
    """

    status: int = HTTPStatus.OK
    body: bytes = b""
    content_type: str = JSON
    headers: list[tuple[str, str]] = field(default_factory=list)
    odata: bool = False
    send: Send | None = None
    close: bool = False

    def encode(self, accepted: str) -> bytes:
        """Compress a long body if the client accepts it, and add the headers for that."""
        if "gzip" in accepted.lower() and len(self.body) > COMPRESS_ABOVE:
            self.headers.append(("Content-Encoding", "gzip"))
            self.headers.append(("Vary", "Accept-Encoding"))
            return gzip.compress(self.body, compresslevel=1, mtime=0)
        return self.body


def error_response(status: int, text: str) -> Response:
    """Return an error in the usual shape of the server."""
    return Response(status, json.dumps({"message": text}, ensure_ascii=False).encode())


def server_exception(text: str, exception_type: str, trace: str = "PX.Api") -> Response:
    """Return the error that ASP.NET makes of an exception."""
    content = {
        "message": "An error has occurred.",
        "exceptionMessage": text,
        "exceptionType": exception_type,
        "stackTrace": f"   at {trace}",
    }
    return Response(HTTPStatus.INTERNAL_SERVER_ERROR, json.dumps(content).encode())


def titled_page(title: str, status: int, text: str = "") -> Response:
    """Return a web page."""
    head = f"<!DOCTYPE html><html><head><title>{escape(title)}</title></head>"
    return Response(status, f"{head}<body>{escape(text)}</body></html>".encode(), HTML)


def shaped_error(status: int, text: str, shape: Shape) -> Response:
    """Return an error in one of the shapes that Acumatica servers use."""
    quoted = json.dumps(text, ensure_ascii=False)
    bodies = {
        "message": f'{{"message":{quoted}}}',
        "exception": (
            f'{{"message":"An error has occurred.","exceptionMessage":{quoted},'
            '"exceptionType":"Microsoft.OData.ODataException","stackTrace":"   at PX.Api"}'
        ),
        "error": f'{{"error":{{"code":"","message":{quoted}}}}}',
        "odata.error": (
            f'{{"odata.error":{{"code":"","message":{{"lang":"en-US","value":{quoted}}}}}}}'
        ),
        "text": text,
        "html": f"<html><body><h1>Server Error</h1><p>{escape(text)}</p></body></html>",
    }
    types = {"text": "text/plain", "html": HTML}
    return Response(status, bodies[shape].encode(), types.get(shape, JSON))


def refuse_json(request: Request) -> None:
    """Refuse a request for metadata in JSON, which exists in XML only.

    Raises:
        Refusal: The request asks for JSON.
    """
    accept = request.headers.get("accept", "*/*").lower()
    wants_json = "json" in request.query.get("$format", "").lower()
    if wants_json or ("json" in accept and "xml" not in accept and "*/*" not in accept):
        text = "A supported MIME type could not be found that matches the content type."
        raise Refusal(text)


def login_page() -> Response:
    """Return the sign-in page for people."""
    body = b"<!DOCTYPE html><html><head><title>Sign In</title></head><body>Sign In</body></html>"
    return Response(body=body, content_type=HTML)


def maintenance_page() -> Response:
    """Return the page of a site under maintenance."""
    body = b"<!DOCTYPE html><html><head><title>Maintenance</title></head><body>\
The site is under maintenance. Please try again later.</body></html>"
    return Response(HTTPStatus.SERVICE_UNAVAILABLE, body, HTML)


def page_not_found() -> Response:
    """Return the web server's 404 page for a path outside the application."""
    body = b"<!DOCTYPE html><html><head><title>The resource cannot be found.</title></head>\
<body><h1>Server Error in '/' Application.</h1><h2>The resource cannot be found.</h2></body></html>"
    return Response(HTTPStatus.NOT_FOUND, body, HTML)


def refusal_response(error: Refusal, shape: Shape = "message") -> Response:
    """Return the response to a refused request."""
    if isinstance(error, EmptyAnswer):
        return Response()
    return shaped_error(error.status, error.message, shape)


def unauthorized() -> Response:
    """Return the 401 response to wrong or missing credentials."""
    response = error_response(HTTPStatus.UNAUTHORIZED, "You are not logged in.")
    response.headers.append(("WWW-Authenticate", 'Basic realm="Acumatica"'))
    return response


def no_answer() -> Response:
    """Return a response that sends nothing and waits until the client leaves."""

    def send(sock: socket, _head: bytes, _payload: bytes) -> bool:
        with contextlib.suppress(OSError):
            sock.settimeout(None)
            sock.recv(1)
        return False

    return Response(0, send=send)
