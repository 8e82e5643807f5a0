"""The client ends each request, whatever a server sends and however slowly."""

from __future__ import annotations

import gzip
import threading
from contextlib import contextmanager
from itertools import repeat
from typing import TYPE_CHECKING

import pytest
from support.hostile import JSON, Call, answer, hostile_server

from tap_acumatica.odata.errors import Action, Cause, RequestFailed
from tap_acumatica.odata.http.auth import BasicAuth
from tap_acumatica.odata.http.client import Client, ClientSettings, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ROWS = b'{"value":[]}'
HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: {JSON}\r\n".encode()


@contextmanager
def client_of(
    reply: Callable[[Call], bytes | Iterable[bytes]],
) -> Iterator[tuple[Client, Request]]:
    """Yield a client with a timeout of half a second, and a request for the server."""
    settings = ClientSettings(timeout=0.5, max_retry_time=0, max_response_size=1_000_000)
    with hostile_server(reply) as server:
        request = Request(f"{server.site}/Rows", "Rows", "owner")
        yield Client(settings, BasicAuth("user", "password"), server.site), request


def fetch(client: Client, request: Request, *, streamed: bool) -> bytes:
    if streamed:
        return client.get_stream(request, b"".join).content
    return client.get(request, bytes).content


def trickle(first: bytes, then: bytes, over: threading.Event) -> Iterator[bytes]:
    """Send first this, then that every 50 ms."""
    yield first
    for part in repeat(then):
        if over.wait(0.05):
            return
        yield part


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (HEAD, b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["body", "chunks", "headers", "100 Continue"],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_that_trickles_has_not_come_in_time(
    first: bytes, then: bytes, streamed: bool
) -> None:
    over = threading.Event()
    with client_of(lambda _: trickle(first, then, over)) as (client, request):
        with pytest.raises(RequestFailed) as raised:
            fetch(client, request, streamed=streamed)
        over.set()
    assert raised.value.cause is Cause.READ_TIMEOUT
    assert raised.value.action is Action.SHRINK


def test_a_handshake_that_trickles_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_acumatica.odata.http.client.CONNECT_TIMEOUT", 0.5)
    over = threading.Event()
    record = b"\x16\x03\x03\x40\x00\x02\x00\x3f\xfc"  # a hello of 16 kB begins
    with hostile_server(lambda _: b"", lambda: trickle(record, b"\0", over)) as server:
        site = server.site.replace("http:", "https:")
        client = Client(ClientSettings(timeout=60, max_retry_time=0), BasicAuth("user", "p"), site)
        with pytest.raises(RequestFailed) as raised:
            client.get(Request(f"{site}/Rows", "Rows", "owner"), bytes)
        over.set()
    assert raised.value.cause is Cause.READ_TIMEOUT


def test_a_proxy_that_trickles_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tap_acumatica.odata.http.client.CONNECT_TIMEOUT", 0.5)
    over = threading.Event()
    with hostile_server(lambda _: trickle(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", over)) as proxy:
        monkeypatch.setenv("https_proxy", proxy.site)
        site = "https://erp.example"
        client = Client(ClientSettings(timeout=60, max_retry_time=0), BasicAuth("user", "p"), site)
        with pytest.raises(RequestFailed) as raised:
            client.get(Request(f"{site}/Rows", "Rows", "owner"), bytes)
        over.set()
    assert [call.target for call in proxy.calls] == ["erp.example:443"]
    assert raised.value.cause is Cause.READ_TIMEOUT


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("size", ["-5", "-0x1", "1_0", "g", "", "9" * 5_000, "7fffffffffffffff1"])
def test_a_chunk_of_an_impossible_size_is_a_broken_connection(size: str, streamed: bool) -> None:
    sent = HEAD + f"Transfer-Encoding: chunked\r\n\r\n{size}\r\n".encode() + ROWS
    with (
        client_of(lambda _: [sent, b"\r\n0\r\n\r\n"]) as (client, request),
        pytest.raises(RequestFailed) as raised,
    ):
        fetch(client, request, streamed=streamed)
    assert raised.value.cause in {Cause.CONNECTION_LOST, Cause.READ_TIMEOUT}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_of_two_lengths_is_not_taken(streamed: bool) -> None:
    """What stands behind the shorter one could pass for the next response."""
    sent = HEAD + b"Content-Length: 12\r\nContent-Length: 7\r\n\r\n" + ROWS
    with (
        client_of(lambda _: sent) as (client, request),
        pytest.raises(RequestFailed, match="multiple unmatching values") as raised,
    ):
        fetch(client, request, streamed=streamed)
    assert raised.value.action is Action.RETRY


@pytest.mark.parametrize("streamed", [False, True])
def test_a_response_that_grows_beyond_all_measure_is_given_up(streamed: bool) -> None:
    bomb = gzip.compress(b"0" * 200_000_000)
    head = HEAD + f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    with (
        client_of(lambda _: head + bomb) as (client, request),
        pytest.raises(RequestFailed, match="more than 1,000,000 bytes") as raised,
    ):
        fetch(client, request, streamed=streamed)
    assert raised.value.action is Action.SHRINK, "fewer rows may fit"


@pytest.mark.parametrize("location", [b"/elsewhere", b"\xff", b"http://[::1", b""])
def test_a_redirect_is_read_like_any_other_response(location: bytes) -> None:
    bomb = gzip.compress(b"0" * 200_000_000)
    head = b"HTTP/1.1 302 Found\r\nContent-Encoding: gzip\r\nLocation: " + location
    head += b"\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    with (
        client_of(lambda _: head + bomb) as (client, request),
        pytest.raises(RequestFailed, match="more than 1,000,000 bytes"),
    ):
        fetch(client, request, streamed=False)


@pytest.mark.parametrize("charset", ["idna", "punycode", "base64", "unicode_escape", "\0", "none"])
@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Internal Server Error"])
def test_a_charset_that_is_none_ends_in_content_or_in_a_failed_request(
    charset: str, status: str
) -> None:
    body = b'{"error":{"message":"\xff\\u0041"}}'
    sent = answer(body, status, f"application/json; charset={charset}")
    with client_of(lambda _: sent) as (client, request):
        if status == "200 OK":
            assert client.get(request, bytes).content == body
        else:
            with pytest.raises(RequestFailed):
                client.get(request, bytes)


def test_a_sign_out_that_trickles_is_not_waited_for() -> None:
    over = threading.Event()
    session = HEAD + f"Set-Cookie: ASP.NET_SessionId=1\r\nContent-Length: {len(ROWS)}\r\n".encode()

    def reply(call: Call) -> bytes | Iterator[bytes]:
        is_sign_out = "logout" in call.target
        return trickle(HEAD, b"X: y\r\n", over) if is_sign_out else session + b"\r\n" + ROWS

    with client_of(reply) as (client, request):
        assert client.get(request, bytes).content == ROWS
        before = {*threading.enumerate()}
        closing = threading.Thread(target=client.close, args=(request.url,), daemon=True)
        closing.start()
        closing.join(30)
        left = {*threading.enumerate()} - before
        over.set()
    assert not closing.is_alive()
    assert all(thread.daemon for thread in left), "no thread keeps the process alive"
