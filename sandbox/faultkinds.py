"""The kinds of faults, one function each.

A kind either answers itself, or changes how the table is read, the page, or the finished answer.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, cast
from urllib.parse import quote

from sandbox.http import HTML, Response, Shape, login_page, message, shaped, unauthorized

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sandbox.faults import Exchange, Fault
    from sandbox.query import Page

    Kind = Callable[[Fault, Exchange], Response | None]

TOKEN = "$skiptoken="  # noqa: S105 - a query option
# Values of one type shown as another.
RETYPED: Mapping[str, str] = {
    "string": "json_quote(CAST({0} AS TEXT))",
    "number": "coalesce(length({0}),'null')",
    "boolean": "CASE WHEN {0} IS NULL THEN 'null' ELSE 'true' END",
    "object": """'{"Value":'||json_quote(CAST({0} AS TEXT))||'}'""",
}


def rows_cap(fault: Fault, exchange: Exchange) -> None:
    """Fewer rows than asked for, without a word (``rows``); ``count=False``: no count either."""
    exchange.reading.cap = fault.integer("rows", 250)
    exchange.reading.count &= fault.enabled("count", default=True)


def related_cap(fault: Fault, exchange: Exchange) -> None:
    """No more than ``rows`` of related rows, and a link to the rest beside them."""
    exchange.reading.related_cap = fault.integer("rows", 2)


def next_link(fault: Fault, exchange: Exchange) -> None:
    """Pages of ``size`` rows with a nextLink (``style``: see :func:`link`)."""
    size, style = fault.integer("size", 100), fault.text("style", "absolute")
    exchange.reading.cap = size
    skip = int(exchange.request.query.get("$skip", 0))

    def add(page: Page, head: list[str]) -> None:
        if page.more or style == "loop":
            at = size if style == "loop" else skip + len(page.rows)
            head.append(f'"@odata.nextLink":{json.dumps(link(exchange, style, at, size))}')

    exchange.page_hooks.append(add)


def link(exchange: Exchange, style: str, at: int, size: int) -> str:
    """The address of the page that begins at a row.

    ``absolute``; ``relative`` to the host; ``service``: to the service root; ``query``: the query
    alone; ``token``: absolute, with a token to be sent back exactly; ``foreign``: on another host;
    ``loop``: always to the second page.
    """
    kept = []
    for part in exchange.request.raw_query.split("&"):
        name, _, value = part.replace("%24", "$").partition("=")
        if name == "$top":
            kept.append(f"$top={max(int(value) - size, 1)}")
        elif part and name not in {"$skip", "$skiptoken"}:
            kept.append(part)
    token = f"sbx+=%2B{at}" if style == "token" else f"sbx{at}"
    query = "?" + "&".join([*kept, TOKEN + token])
    entity_set = exchange.request.path.rpartition("/")[2]
    host_relative = quote(exchange.request.path)
    origin = exchange.request.origin
    return {
        "relative": host_relative + query,
        "service": quote(entity_set) + query,
        "query": query,
        "foreign": f"http://elsewhere.example{host_relative}{query}",
    }.get(style, origin + host_relative + query)


def empty_page(_fault: Fault, exchange: Exchange) -> None:
    """No rows, and a nextLink under which they are."""
    skip = int(exchange.request.query.get("$skip", 0))

    def empty(page: Page, head: list[str]) -> None:
        page.rows.clear()
        # The page behind the link has all the rows of this one.
        address = link(exchange, "absolute", skip, 0)
        head.append(f'"@odata.nextLink":{json.dumps(address)}')

    exchange.page_hooks.append(empty)


def duplicate_row(fault: Fault, exchange: Exchange) -> None:
    """One row twice in the stream of rows: at position ``at``, else where the first page ends."""
    query = exchange.request.query
    top, skip = int(query.get("$top", 1000)), int(query.get("$skip", 0))
    at = fault.integer("at", top)
    if 0 < at <= skip:
        query["$skip"] = str(skip - 1)
        return

    def insert(page: Page, _head: list[str]) -> None:
        if 0 < at - skip <= len(page.rows):
            page.rows.insert(at - skip, page.rows[at - skip - 1])
            del page.rows[top:]

    exchange.page_hooks.append(insert)


def empty_body(_fault: Fault, _exchange: Exchange) -> Response:
    """200 without a body."""
    return Response(body=b"", odata=True)


def html_login(_fault: Fault, _exchange: Exchange) -> Response:
    """200 with the sign-in page."""
    return login_page()


def redirect(_fault: Fault, exchange: Exchange) -> Response:
    """302 to the sign-in page."""
    back = quote(exchange.request.path, safe="")
    target = f"{exchange.site}/Frames/Login.aspx?ReturnUrl={back}"
    body = b"<html><body><h2>Object moved</h2></body></html>"
    return Response(HTTPStatus.FOUND, body, HTML, [("Location", target)])


def truncated(fault: Fault, exchange: Exchange) -> None:
    """The JSON cut off (``keep``: part of it), with the Content-Length that fits."""

    def cut(response: Response) -> None:
        response.body = response.body[: int(len(response.body) * fault.number("keep", 0.5))]

    exchange.response_hooks.append(cut)


def short_body(_fault: Fault, exchange: Exchange) -> None:
    """A Content-Length above what is sent before the connection closes."""

    def wire(sock: socket.socket, head: bytes, payload: bytes) -> bool:
        size = str(len(payload)).encode()
        name = b"Content-Length: "
        sock.sendall(head.replace(name + size, name + str(len(payload) + 1000).encode()) + payload)
        return False

    exchange.response_hooks.append(lambda response: setattr(response, "wire", wire))


def reset(fault: Fault, exchange: Exchange) -> None:
    """The connection reset ``when``: ``before`` the headers, in ``headers``, in the ``body``."""
    when = fault.text("when", "before")

    def wire(sock: socket.socket, head: bytes, payload: bytes) -> bool:
        parts = {"headers": head[: len(head) // 2], "body": head + payload[: len(payload) // 2]}
        sock.sendall(parts.get(when, b""))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Files over the socket would put off its own close().
        os.close(sock.detach())
        return False

    exchange.response_hooks.append(lambda response: setattr(response, "wire", wire))


def hang(fault: Fault, exchange: Exchange) -> Response | None:
    """No answer until the client leaves.

    ``above_top``: only where ``$top`` is above it; ``stuck=True``: the session serves no more.
    """
    limit = fault.options.get("above_top")
    top = exchange.request.query.get("$top")
    if limit is not None and top is not None and int(top) <= float(limit):
        return None
    exchange.session.stuck = fault.enabled("stuck", default=False)
    return silence()


def silence() -> Response:
    """An answer that never comes."""

    def wire(sock: socket.socket, _head: bytes, _payload: bytes) -> bool:
        with contextlib.suppress(OSError):
            sock.settimeout(None)
            sock.recv(1)
        return False

    return Response(0, wire=wire)


def refused(status: int, fault: Fault, text: str) -> Response:
    """An answer with a status and, where given, Retry-After."""
    response = message(status, fault.text("message", text))
    if fault.options.get("retry_after") is not None:
        response.headers.append(("Retry-After", fault.text("retry_after")))
    return response


def throttle(fault: Fault, _exchange: Exchange) -> Response:
    """429; ``retry_after``: seconds or an HTTP date."""
    return refused(HTTPStatus.TOO_MANY_REQUESTS, fault, "Too many requests.")


def unavailable(fault: Fault, _exchange: Exchange) -> Response:
    """503; ``retry_after``: seconds or an HTTP date."""
    response = refused(HTTPStatus.SERVICE_UNAVAILABLE, fault, "The service is unavailable.")
    response.content_type, response.body = HTML, b"<h2>HTTP Error 503. Service unavailable.</h2>"
    return response


def error(fault: Fault, _exchange: Exchange) -> Response:
    """Any ``status`` (500) with a ``message`` in a ``shape``, or with a ``body``."""
    status = fault.integer("status", HTTPStatus.INTERNAL_SERVER_ERROR)
    text = fault.text("message", "An error has occurred.")
    response = shaped(status, text, cast("Shape", fault.text("shape", "message")))
    if "body" in fault.options:
        response.body = fault.text("body").encode()
        response.content_type = fault.text("content_type", response.content_type)
    return response


def signed_out(_fault: Fault, exchange: Exchange) -> Response:
    """401: the session is gone, and the credentials are refused."""
    exchange.sessions.close(exchange.session.id)
    exchange.sessions.refuse()
    return unauthorized()


def forbidden(fault: Fault, _exchange: Exchange) -> Response:
    """403."""
    return refused(HTTPStatus.FORBIDDEN, fault, "You have insufficient rights.")


def not_found(fault: Fault, _exchange: Exchange) -> Response:
    """404."""
    return refused(HTTPStatus.NOT_FOUND, fault, "No HTTP resource was found.")


def vanish(fault: Fault, exchange: Exchange) -> None:
    """A ``column`` is no longer there."""
    exchange.reading.vanished |= {fault.text("column").lower()}


def retype(fault: Fault, exchange: Exchange) -> None:
    """The values of a ``column`` come ``into`` another type: string, number, boolean, object."""
    template = RETYPED[fault.text("into", "string")]
    exchange.reading.json[fault.text("column").lower()] = template


def ignore_order(_fault: Fault, exchange: Exchange) -> None:
    """``$orderby`` is ignored."""
    exchange.reading.order = False


def ignore_filter(_fault: Fault, exchange: Exchange) -> None:
    """``$filter`` is ignored."""
    exchange.reading.filter = False


def ignore_count(_fault: Fault, exchange: Exchange) -> None:
    """``$count`` is ignored."""
    exchange.reading.count = False


def nulls_last(_fault: Fault, exchange: Exchange) -> None:
    """Nulls are sorted last."""
    exchange.reading.nulls_last = True


def shuffle(_fault: Fault, exchange: Exchange) -> None:
    """Rows of equal order come in another order at each request."""
    exchange.reading.shuffle_ties = True


def latency(fault: Fault, _exchange: Exchange) -> None:
    """``ms`` go by before the answer."""
    time.sleep(fault.number("ms", 50) / 1000)


KINDS: Mapping[str, Kind] = {
    "duplicate_row": duplicate_row,
    "empty_body": empty_body,
    "empty_page": empty_page,
    "error": error,
    "forbidden": forbidden,
    "hang": hang,
    "ignore_count": ignore_count,
    "ignore_filter": ignore_filter,
    "ignore_order": ignore_order,
    "latency": latency,
    "login_page": html_login,
    "next_link": next_link,
    "not_found": not_found,
    "nulls_last": nulls_last,
    "redirect": redirect,
    "related_cap": related_cap,
    "reset": reset,
    "retype": retype,
    "rows_cap": rows_cap,
    "short_body": short_body,
    "shuffle": shuffle,
    "throttle": throttle,
    "truncated": truncated,
    "unauthorized": signed_out,
    "unavailable": unavailable,
    "vanish": vanish,
}
