"""Connections, each with an HTTP session and cookies of its own.

Acumatica thus opens exactly one session per connection (docs/acumatica.md, "Authentication").
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import requests

from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.http.answer import Credential
from tap_acumatica.odata.http.error_table import timed_out
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_acumatica.odata.http.auth import Authorization

SESSION_COOKIES: Final = frozenset({"ASP.NET_SessionId", ".ASPXAUTH"})
TOKENS: Final = frozenset({Credential.TOKEN, Credential.NEW_TOKEN})


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The number of connections, and how long they are kept (times in seconds)."""

    size: int = 1
    kept_alive: bool = True
    idle_timeout: float = 60.0
    wait_time: float = 720.0


@dataclass(slots=True, eq=False)
class Connection:
    """One connection to the server, for the requests of one tenant."""

    owner: str
    session: requests.Session
    used: float = field(default_factory=time.monotonic)
    authorization: Authorization | None = None
    """The authorization that the server accepted last."""
    busy: bool = False
    """Whether the server may still be executing a request in its session."""
    refused: bool = False
    """Whether the server refused it a session, since there are too many."""

    @property
    def signed_in(self) -> bool:
        """Whether the server has a session for it; with an access token it may have no cookie."""
        return self.token is not None or any(
            cookie.name in SESSION_COOKIES for cookie in self.session.cookies
        )

    @property
    def token(self) -> Authorization | None:
        """The access token to sign out with: the last one, since a new one could take long."""
        by_token = self.authorization is not None and self.authorization.credential in TOKENS
        return self.authorization if by_token else None


class ConnectionPool:
    """A pool with at most `size` connections in use; the last one used is taken first.

    Attributes:
        in_use: Number of connections in use.
    """

    def __init__(self, settings: PoolSettings, new_session: Callable[[], requests.Session]) -> None:
        self.in_use = 0
        self._settings = settings
        self._new_session = new_session
        self._size = settings.size
        self._refusals = 0
        self._taken: list[Connection] = []
        self._free: list[Connection] = []
        self._timed_out: list[Connection] = []
        self._slots = threading.BoundedSemaphore(settings.size)
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, owner: str) -> Iterator[Connection]:
        """Take a connection of this owner out of the pool, and put it back at the end.

        After a timeout it is not used again, since the server is still busy in its session, and
        neither is one that was refused a session. After any other failure it is reopened with its
        cookies, so that no session is left behind.

        Raises:
            AcumaticaError: No connection became free within the wait time.
        """
        if not self._slots.acquire(timeout=self._settings.wait_time):
            message = (
                f"No connection became free within {self._settings.wait_time:g} s: raise "
                "max_pool_size or pool_wait_time."
            )
            raise AcumaticaError(message)
        self._count(1)
        try:
            connection = self._take(owner)
            try:
                yield connection
            except BaseException as error:
                connection.session.close()
                if isinstance(error, requests.RequestException):
                    connection.busy = timed_out(error)
                    self._put(connection)
                raise
            else:
                self._put(connection)
            finally:
                with self._lock:
                    self._taken.remove(connection)
        finally:
            self._count(-1)
            self._slots.release()

    def wait_until_idle(self, timeout: float) -> None:
        """Wait until no connection is in use, for at most so many seconds."""
        deadline = time.monotonic() + timeout
        acquired = 0
        while acquired < self._size and self._slots.acquire(
            timeout=max(deadline - time.monotonic(), 0)
        ):
            acquired += 1
        for _ in range(acquired):
            self._slots.release()

    def shrink(self) -> bool:
        """Go on with fewer connections, after one was refused a session; False if none has one.

        The next request then waits for a connection that has a session, or for the last one in
        use to be idle.
        """
        with self._lock:
            others = any(connection.signed_in for connection in (*self._taken, *self._free))
            if not self._refusals or not others:
                return False
            self._refusals -= 1
            if self._size == 1:
                return True
            self._size -= 1
            size = self._size
        logger.warning(
            "Acumatica allows no more sessions: the run goes on with at most %d of them.", size
        )
        self._slots.acquire()
        return True

    def drain(self, which: Callable[[str], bool] = lambda _: True) -> list[Connection]:
        """Take the idle connections of these owners out of the pool."""
        with self._lock:
            idle = [connection for connection in self._free if which(connection.owner)]
            self._free[:] = [each for each in self._free if not which(each.owner)]
        return idle

    def drain_timed_out(self) -> list[Connection]:
        """Take out all connections that timed out; the server may have finished in the meantime."""
        with self._lock:
            connections = self._timed_out.copy()
            self._timed_out.clear()
        return connections

    def _count(self, change: int) -> None:
        with self._lock:
            self.in_use += change

    def _take(self, owner: str) -> Connection:
        with self._lock:
            index = next(
                (i for i in reversed(range(len(self._free))) if self._free[i].owner == owner), None
            )
            connection = None if index is None else self._free.pop(index)
            is_new = connection is None
            connection = connection or Connection(owner, self._new_session())
            self._taken.append(connection)
        if is_new:
            return connection
        if time.monotonic() - connection.used > self._settings.idle_timeout:
            connection.session.close()
        return connection

    def _put(self, connection: Connection) -> None:
        if connection.refused:
            with self._lock:
                self._refusals += 1
            return
        if not self._settings.kept_alive:
            connection.session.close()
        connection.used = time.monotonic()
        with self._lock:
            (self._timed_out if connection.busy else self._free).append(connection)
