"""The connection pool: how many connections, of which owner, and which are used again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
import requests
from typing_extensions import override

from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.http.sessions import Connection, ConnectionPool, PoolSettings


class Session(requests.Session):
    """An HTTP session that counts how often it was closed."""

    closed = 0

    @override
    def close(self) -> None:
        self.closed += 1
        super().close()


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@dataclass
class Opened:
    """Opens sessions for a pool, and remembers them."""

    sessions: list[Session] = field(default_factory=list)

    def __call__(self) -> Session:
        self.sessions.append(Session())
        return self.sessions[-1]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(
        "tap_acumatica.odata.http.sessions.time", SimpleNamespace(monotonic=clock.monotonic)
    )
    # A new connection uses the real clock: dataclass fields hold the original function.
    return clock


@pytest.fixture
def opened() -> Opened:
    return Opened()


def used(pool: ConnectionPool, owner: str = "Company") -> Connection:
    with pool.connection(owner) as connection:
        return connection


def test_a_connection_is_used_again(opened: Opened) -> None:
    pool = ConnectionPool(PoolSettings(), opened)
    assert len({id(used(pool).session) for _ in range(5)}) == 1
    assert [session.closed for session in opened.sessions] == [0]


def test_connections_belong_to_their_owners(opened: Opened) -> None:
    pool = ConnectionPool(PoolSettings(), opened)
    first, second = used(pool, "A"), used(pool, "B")
    assert first.session is not second.session
    assert used(pool, "A") is first
    assert used(pool, "B") is second


def test_the_last_one_used_is_taken_first(opened: Opened) -> None:
    pool = ConnectionPool(PoolSettings(size=3), opened)
    with ExitStack() as stack:
        one, two, three = (stack.enter_context(pool.connection("A")) for _ in range(3))
    # They were put back in reverse order.
    assert used(pool) not in {one, two, three}
    with pool.connection("A") as first, pool.connection("A") as second:
        assert (first, second) == (one, two)


def test_there_are_never_more_connections_than_the_pool_may_have(opened: Opened) -> None:
    pool = ConnectionPool(PoolSettings(size=3), opened)

    def use(number: int) -> None:
        with suppress(requests.ConnectionError), pool.connection("A"):
            if number % 7 == 0:
                message = "broken"
                raise requests.ConnectionError(message)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(use, range(200)))
    assert len(opened.sessions) <= 3
    assert len(pool.drain()) == len(opened.sessions)


def test_waiting_for_a_connection_has_an_end(opened: Opened) -> None:
    pool = ConnectionPool(PoolSettings(wait_time=0.01), opened)
    with (
        pool.connection("A"),
        pytest.raises(AcumaticaError, match=r"within 0\.01 s: raise max_pool_size"),
        pool.connection("B"),
    ):
        pass
    assert used(pool).owner == "Company"


@pytest.mark.parametrize(
    ("error", "reused"),
    [
        (requests.ConnectionError("reset by peer"), True),
        (requests.exceptions.ChunkedEncodingError("cut off"), True),
        (requests.ReadTimeout("timed out"), False),
        (requests.ConnectionError("Read timed out."), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_a_connection_that_failed_is_opened_anew_but_one_that_is_busy_is_given_up(
    opened: Opened,
    error: BaseException,
    reused: bool,
) -> None:
    pool = ConnectionPool(PoolSettings(), opened)
    before = used(pool)
    before.session.cookies.set("ASP.NET_SessionId", "abc")
    with pytest.raises(type(error)), pool.connection("Company"):
        raise error
    assert opened.sessions[0].closed == 1
    after = used(pool)
    assert (after.session is before.session) == reused
    assert after.signed_in == reused


def test_an_idle_connection_is_opened_anew_and_keeps_its_session(
    opened: Opened, clock: Clock
) -> None:
    pool = ConnectionPool(PoolSettings(idle_timeout=60), opened)
    used(pool).session.cookies.set("ASP.NET_SessionId", "abc")
    clock.now += 60
    assert used(pool).session.cookies["ASP.NET_SessionId"] == "abc"
    assert opened.sessions[0].closed == 0
    clock.now += 61
    assert used(pool).session.cookies["ASP.NET_SessionId"] == "abc"
    assert [session.closed for session in opened.sessions] == [1]


def test_without_pooling_a_connection_is_closed_after_each_request_and_keeps_its_session(
    opened: Opened,
) -> None:
    pool = ConnectionPool(PoolSettings(kept_alive=False), opened)
    used(pool).session.cookies.set("ASP.NET_SessionId", "abc")
    for times in (1, 2, 3):
        assert [session.closed for session in opened.sessions] == [times]
        assert used(pool).session.cookies["ASP.NET_SessionId"] == "abc"


@pytest.mark.parametrize(
    ("cookie", "signed_in"),
    [("ASP.NET_SessionId", True), (".ASPXAUTH", True), ("Locale", False), ("UserBranch", False)],
)
def test_a_session_shows_by_its_cookie(
    opened: Opened,
    cookie: str,
    signed_in: bool,
) -> None:
    connection = Connection("A", opened())
    assert not connection.signed_in
    connection.session.cookies.set(cookie, "abc")
    assert connection.signed_in is signed_in


def test_connections_in_use_are_not_drained(opened: Opened) -> None:
    pool = ConnectionPool(PoolSettings(size=2), opened)
    with pool.connection("A"):
        free = used(pool, "B")
        assert pool.drain() == [free]
        assert pool.drain() == []
