"""No response takes for ever, whatever is sent."""

from __future__ import annotations

import gzip
import io
import threading
import zlib
from contextlib import contextmanager
from itertools import chain, repeat
from typing import TYPE_CHECKING

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from support.hostile import Call, hostile_server

from tap_acumatica.odata.http.transport import (
    LEAST_RATE,
    MAX_HEAD_SIZE,
    PacedReader,
    ResponseTooLarge,
    chunks,
    new_session,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TIMEOUT = 0.5


class Wire(io.RawIOBase):
    """A socket that delivers bytes at given times of a clock of its own."""

    def __init__(self, deliveries: Iterable[tuple[float, int]]) -> None:
        self.now = 0.0
        self.timeout = 0.0
        self._deliveries = iter(deliveries)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        pause, size = next(self._deliveries, (0.0, 0))
        self.now += min(pause, self.timeout)
        if pause > self.timeout:
            raise TimeoutError
        buffer[:size] = b"x" * size
        return size


def read(wire: Wire, timeout: float, *, body: bool = True) -> int:
    """Read all that comes, and return its size."""

    def set_timeout(seconds: float) -> None:
        wire.timeout = seconds

    reader = PacedReader(wire, set_timeout, timeout, lambda: wire.now)
    if body:
        reader.room = None
    return sum(iter(lambda: reader.readinto(memoryview(bytearray(65_536))) or 0, 0))


@given(st.floats(0.01, 600), st.floats(0.05, 600), st.integers(1, 900))
def test_a_response_that_trickles_ends_after_two_timeouts(
    timeout: float, pause: float, size: int
) -> None:
    size = min(size, int(pause * LEAST_RATE * 0.9))
    wire = Wire(repeat((pause, size)))
    with pytest.raises(TimeoutError):
        read(wire, timeout)
    assert wire.now <= 2 * timeout + 1e-6


@given(
    st.floats(1, 600),
    st.floats(0, 0.999),
    st.lists(st.tuples(st.floats(0, 0.3), st.integers(1_000, 65_536)), max_size=50),
)
def test_a_slow_but_steady_response_arrives_whole(
    timeout: float, wait: float, parts: list[tuple[float, int]]
) -> None:
    """The server may think for as long as the timeout before it begins."""
    steady = [(min(pause, size / LEAST_RATE / 2.1, timeout / 4), size) for pause, size in parts]
    wire = Wire([(wait * timeout, 1), *steady])
    assert read(wire, timeout) == 1 + sum(size for _, size in steady)


def test_a_head_that_does_not_end_is_too_large() -> None:
    with pytest.raises(ResponseTooLarge, match="head"):
        read(Wire(repeat((0.0, 65_536))), 1.0, body=False)
    assert read(Wire(repeat((0.0, 65_536), MAX_HEAD_SIZE // 65_536 + 9)), 1.0) > MAX_HEAD_SIZE


# Over a socket


@contextmanager
def serving(parts: Iterable[bytes], pause: float = 0.0) -> Iterator[str]:
    """Send parts to whoever connects, with pauses in seconds; yields the address."""
    over = threading.Event()

    def reply(_: Call) -> Iterator[bytes]:
        for part in parts:
            yield part
            if over.wait(pause):
                return

    with hostile_server(reply) as server:
        yield server.site
        over.set()


def fetched(url: str, max_size: int = 10**6) -> bytes:
    with new_session() as session:
        response = session.get(url, timeout=(5, TIMEOUT), stream=True)
        return b"".join(chunks(response, max_size))


HEAD = b"HTTP/1.1 200 OK\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (HEAD + b"\r\n", *repeat(b"x", 1_000)),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *repeat(b"1\r\nx\r\n", 1_000)),
        (HEAD, *repeat(b"X: y\r\n", 1_000)),
        (b"HTTP/1.1 200 OK\r\nX-Endless: ", *repeat(b"y", 1_000)),
        tuple(repeat(b"HTTP/1.1 100 Continue\r\n\r\n", 1_000)),
    ],
    ids=["body", "chunks", "headers", "a header", "100 Continue"],
)
def test_what_trickles_is_a_timeout(parts: tuple[bytes, ...]) -> None:
    with serving(parts, pause=0.05) as url, pytest.raises(requests.RequestException) as raised:
        fetched(url)
    assert "timed out" in str(raised.value).lower() or "bytes per second" in str(raised.value)


def test_endless_informational_responses_are_too_large() -> None:
    with (
        serving(repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)) as url,
        pytest.raises(requests.RequestException),
    ):
        fetched(url)


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_body_that_is_larger_than_it_may_be_is_given_up(encoding: str) -> None:
    body = b"0" * 50_000_000
    sent = gzip.compress(body) if encoding == "gzip" else body
    head = HEAD + f"Content-Encoding: {encoding}\r\nContent-Length: {len(sent)}\r\n\r\n".encode()
    with serving([head + sent]) as url:
        with pytest.raises(ResponseTooLarge, match="1,000,000 bytes"):
            fetched(url)
        assert fetched(url, max_size=len(body)) == body


def test_a_body_that_never_comes_to_its_content_is_given_up() -> None:
    head = HEAD + b"Content-Encoding: gzip\r\n\r\n"
    nothing = gzip.compress(b"") * 1_000
    with (
        serving(chain([head], repeat(nothing, 1_000))) as url,
        pytest.raises(ResponseTooLarge, match="1,000,000 bytes"),
    ):
        fetched(url)


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZIP", "deflate", "identity"])
def test_bodies_come_decompressed(encoding: str) -> None:
    body = b'{"value":[]}' * 100_000
    sent = {"deflate": zlib.compress(body), "identity": body}.get(encoding, gzip.compress(body))
    head = HEAD + f"Content-Encoding: {encoding}\r\nContent-Length: {len(sent)}\r\n\r\n".encode()
    with serving([head + sent]) as url:
        assert fetched(url, max_size=len(body)) == body


def test_the_environment_is_read_once_for_each_site(monkeypatch: pytest.MonkeyPatch) -> None:
    session = new_session()

    def proxies(url: str) -> object:
        return session.merge_environment_settings(url, {}, True, None, None)["proxies"]  # noqa: FBT003

    for name in ("HTTP_PROXY", "http_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "inside")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    assert proxies("http://outside/a") == {"http": "http://proxy:1", "no": "inside"}
    assert proxies("http://inside/a") == {}
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:2")
    assert proxies("http://outside/b") == {"http": "http://proxy:1", "no": "inside"}
    assert proxies("http://inside/b") == {}
