"""The transport below requests, in which no response takes for ever, whatever is sent.

The timeout of a socket begins anew with each byte, so a server that sends one now and then could
keep a run waiting for days. Here a response has to make progress: once it has begun, it must bring
at least `LEAST_RATE` on average over each stretch as long as the timeout. A slow but steady page
does. How much a response may hold is limited too, both its head and its decompressed body.
"""

from __future__ import annotations

import io
import time
from functools import partial
from http.client import HTTPResponse
from typing import TYPE_CHECKING, Any, Final

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override

from tap_acumatica.odata.http.gunzip import GzipError, gunzipped
from tap_acumatica.odata.urls import origin

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Iterator

    from typing_extensions import Buffer
    from urllib3 import PoolManager
    from urllib3.connection import HTTPConnection

LEAST_RATE: Final = 1_000
"""Bytes per second below which a response is taken for one that does not come."""
MAX_HEAD_SIZE: Final = 1_048_576
"""Bytes of a response's status line and headers at most, with those of informational responses."""
MEGABYTE: Final = 1_000_000
CHUNK_SIZE: Final = 65_536
"""Bytes of a body that are decompressed at once."""


class ResponseTooLarge(requests.RequestException):
    """A response holds more than it may."""


def new_session() -> requests.Session:
    """Return a session whose responses all have to make progress."""
    session = _Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, _PacedAdapter())
    return session


def chunks(response: requests.Response, max_size: int) -> Iterator[bytes]:
    """Yield the decompressed body of a streamed response as it arrives, in parts of some size.

    Raises:
        ResponseTooLarge: It has more than `max_size` bytes.
        requests.RequestException: It did not arrive.
    """
    content = _within(max_size, response, _arriving(response))
    if _is_gzip(response):
        content = _within(max_size, response, _gunzipped(content))
    part = bytearray()
    for chunk in content:  # as small as the server sends them
        if not part and len(chunk) >= CHUNK_SIZE:
            yield chunk
            continue
        part += chunk
        if len(part) >= CHUNK_SIZE:
            yield bytes(part)
            part.clear()
    yield bytes(part)


def _is_gzip(response: requests.Response) -> bool:
    return response.headers.get("Content-Encoding", "").lower() in {"gzip", "x-gzip"}


def _arriving(response: requests.Response) -> Iterator[bytes]:
    """Yield the body as it arrives: compressed if that is gzip, and decompressed otherwise."""
    if _is_gzip(response):
        # Below requests each part would be decompressed in small steps.
        del response.raw.headers["Content-Encoding"]
    try:
        yield from response.iter_content(CHUNK_SIZE)
    except (ValueError, OverflowError) as error:  # of the library, about the size of a chunk
        raise requests.exceptions.ChunkedEncodingError(error) from error


def _gunzipped(compressed: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from gunzipped(compressed)
    except GzipError as error:
        raise requests.exceptions.ContentDecodingError(error) from error


def _within(max_size: int, response: requests.Response, parts: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the parts of a response, or raise ResponseTooLarge if they hold more than this."""
    size = 0
    for part in parts:
        size += len(part)
        if size > max_size:
            response.close()
            message = f"more than {max_size:,} bytes"
            raise ResponseTooLarge(message)
        yield part


class _Session(requests.Session):
    def __init__(self) -> None:
        super().__init__()
        self._merged: dict[tuple[Any, ...], Any] = {}

    @override
    def merge_environment_settings(
        self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any
    ) -> Any:
        """Read the environment once for each site: to look for proxies takes long."""
        asked = (origin(url), stream, verify, cert)  # no proxies are given
        if asked not in self._merged:
            self._merged[asked] = super().merge_environment_settings(
                url, proxies, stream, verify, cert
            )
        return self._merged[asked]

    @override
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Return None: no redirect is followed, and to look where one leads reads all its body."""


class _PacedAdapter(HTTPAdapter):
    """Paces the connections of a session, those through proxies too."""

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        _pace(self.poolmanager)

    @override
    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        is_new = proxy not in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **kwargs)
        if is_new:
            _pace(manager)
        return manager


def _pace(manager: PoolManager) -> None:
    manager.pool_classes_by_scheme = {
        scheme: type(f"Paced{pool.__name__}", (_PacedPool, pool), {})
        for scheme, pool in manager.pool_classes_by_scheme.items()
    }


class _PacedPool:
    """Mixed into urllib3's connection pools."""

    def _new_conn(self) -> HTTPConnection:
        connection: HTTPConnection = super()._new_conn()  # type: ignore[misc]

        # The timeout of each request is set on its connection.
        connection.response_class = partial(_PacedResponse, lambda: connection.timeout)  # type: ignore[assignment]
        return connection


class _PacedResponse(HTTPResponse):
    def __init__(
        self,
        timeout: Callable[[], Any],
        sock: socket.socket,
        *args: Any,  # noqa: ANN401 - http.client's
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(sock, *args, **kwargs)
        self._paced = PacedReader(self.fp.detach(), sock.settimeout, timeout())
        self.fp = io.BufferedReader(self._paced)

    @override
    def begin(self) -> None:
        super().begin()
        self._paced.room = None


class PacedReader(io.RawIOBase):
    """Reads a response from a socket, within the time and the size that it may take.

    Attributes:
        room: Bytes that may still arrive before the body begins; None: the body has begun, and is
            limited by whoever decompresses it.
    """

    def __init__(
        self,
        raw: io.RawIOBase,
        set_timeout: Callable[[float], None],
        timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Wait for the first bytes until the timeout (seconds)."""
        self.room: int | None = MAX_HEAD_SIZE
        self._raw = raw
        self._set_timeout = set_timeout
        self._timeout = timeout
        self._clock = clock
        self._deadline = clock() + timeout
        self._missing = 0
        """Bytes until the deadline moves on."""

    @override
    def readable(self) -> bool:
        return True

    @override
    def readinto(self, buffer: Buffer) -> int | None:
        """Read what has arrived.

        Raises:
            TimeoutError: The response made no progress.
            ResponseTooLarge: Its head does not end.
        """
        remaining = self._deadline - self._clock()
        if remaining <= 0:
            message = f"fewer than {LEAST_RATE:,} bytes per second"
            raise TimeoutError(message)
        self._set_timeout(remaining)
        size = self._raw.readinto(buffer)
        self._progress(size or 0)
        return size

    @override
    def close(self) -> None:
        self._raw.close()
        super().close()

    def _progress(self, size: int) -> None:
        self._missing -= size
        if self._missing <= 0:
            self._missing = int(LEAST_RATE * self._timeout)
            self._deadline = self._clock() + self._timeout
        if self.room is not None:
            self.room -= size
            if self.room < 0:
                message = f"a head of more than {MAX_HEAD_SIZE:,} bytes"
                raise ResponseTooLarge(message)
