"""Connections: each its own HTTP session with its own cookies.

So Acumatica opens one session for each and no more (docs/acumatica.md, "Authentication").
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

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tap_acumatica.odata.http.auth import Authorization

SESSION_COOKIES: Final = frozenset({"ASP.NET_SessionId", ".ASPXAUTH"})
TOKENS: Final = frozenset({Credential.TOKEN, Credential.NEW_TOKEN})


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """How many connections, and how they are kept (seconds)."""

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
    signature: Authorization | None = None
    """With which the server last let it in."""

    @property
    def signed_in(self) -> bool:
        """Whether the server holds a session for it: a token's may be without cookies."""
        return self.token is not None or any(
            cookie.name in SESSION_COOKIES for cookie in self.session.cookies
        )

    @property
    def token(self) -> Authorization | None:
        """The token to sign out with; an old one will do, and a new one could take long."""
        by_token = self.signature is not None and self.signature.credential in TOKENS
        return self.signature if by_token else None


class ConnectionPool:
    """At most `size` connections are in use at once; the last one used is taken first."""

    def __init__(self, settings: PoolSettings, new_session: Callable[[], requests.Session]) -> None:
        self._settings = settings
        self._new_session = new_session
        self._free: list[Connection] = []
        self._busy: list[Connection] = []
        self._slots = threading.BoundedSemaphore(settings.size)
        self._lock = threading.Lock()

    @contextmanager
    def connection(self, owner: str) -> Iterator[Connection]:
        """A connection of this owner.

        After a timeout it is not used again: the server still serves the session. After another
        failure it is opened anew with its cookies, or each would leave a session behind.

        Raises:
            AcumaticaError: None came free within the wait time.
        """
        if not self._slots.acquire(timeout=self._settings.wait_time):
            message = (
                f"No connection came free within {self._settings.wait_time:g} s: raise "
                "max_pool_size or pool_wait_time."
            )
            raise AcumaticaError(message)
        try:
            connection = self._take(owner)
            try:
                yield connection
            except BaseException as error:
                connection.session.close()
                if isinstance(error, requests.RequestException):
                    self._put(connection, self._busy if timed_out(error) else self._free)
                raise
            self._put(connection, self._free)
        finally:
            self._slots.release()

    def wait_until_idle(self, timeout: float) -> None:
        """Wait until no connection is in use, but no longer than so many seconds."""
        deadline = time.monotonic() + timeout
        held = 0
        while held < self._settings.size and self._slots.acquire(
            timeout=max(deadline - time.monotonic(), 0)
        ):
            held += 1
        for _ in range(held):
            self._slots.release()

    def drain(self, but: str | None = None) -> list[Connection]:
        """Take all connections that are not in use out of the pool, but for those of one owner."""
        with self._lock:
            free = [connection for connection in self._free if connection.owner != but]
            self._free[:] = [connection for connection in self._free if connection.owner == but]
        return free

    def given_up(self) -> list[Connection]:
        """Take those out that timed out; the server may have finished with them since."""
        with self._lock:
            busy = self._busy.copy()
            self._busy.clear()
        return busy

    def _take(self, owner: str) -> Connection:
        with self._lock:
            index = next(
                (i for i in reversed(range(len(self._free))) if self._free[i].owner == owner), None
            )
            connection = None if index is None else self._free.pop(index)
        if connection is None:
            return Connection(owner, self._new_session())
        if time.monotonic() - connection.used > self._settings.idle_timeout:
            connection.session.close()
        return connection

    def _put(self, connection: Connection, place: list[Connection]) -> None:
        if not self._settings.kept_alive:
            connection.session.close()
        connection.used = time.monotonic()
        with self._lock:
            place.append(connection)
