"""The HTTP client: requests, retries, sessions and sign-out, over real connections."""

from __future__ import annotations

import itertools
import logging
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import requests
import requests_mock

from sandbox import Fault, Sandbox
from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import (
    Action,
    AcumaticaError,
    BrokenPayload,
    InconsistentAnswer,
    RequestFailed,
)
from tap_acumatica.odata.http.auth import BasicAuth
from tap_acumatica.odata.http.client import Client, ClientSettings, Request, Result
from tap_acumatica.odata.http.rate_limit import RateLimiter
from tap_acumatica.odata.http.sessions import PoolSettings
from tap_acumatica.odata.payload.json import JsonDecoder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tap_acumatica.odata.payload.page import Page

NOW = "2026-06-01T12:00:00Z"
TERMS = "PX_Objects_CS_Terms"
DECODER = JsonDecoder(TERMS, {"TermsID": edm.TYPES["Edm.String"]})
ROWS = [{"TermsID": "30D"}, {"TermsID": "7D"}]
SITE = "https://host.example/ERP"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time here."""
    waits: list[float] = []
    # Only for retries: the sandbox's clock is left alone.
    monkeypatch.setattr(
        "backoff._sync.time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
    )
    return waits


@pytest.fixture(autouse=True)
def _never_really_waiting(waits: list[float]) -> None:
    """No test really waits between attempts."""
    assert waits == []


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, empty=True) as box:
        box.insert(TERMS, ROWS)
        yield box


@pytest.fixture
def box(server: Sandbox) -> Iterator[Sandbox]:
    """The server as if it had just been started."""
    server.end_sessions()
    server.reset_counters()
    yield server
    server.faults.clear()
    server.app.before.clear()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Tenant:
    """A client of a sandbox, with requests for rows of a tenant."""

    def __init__(self, box: Sandbox, settings: ClientSettings, password: str | None = None) -> None:
        self.box = box
        self.client = Client(settings, BasicAuth(box.username, password or box.password))

    def get(
        self, entity_set: str = TERMS, tenant: str = "Company", query: str = ""
    ) -> Result[Page]:
        root = f"{self.box.url}/t/{tenant}/api/odata/dac/"
        request = Request(root + entity_set + query, entity_set, owner=root)
        return self.client.get(request, DECODER.page)

    def failing(self, entity_set: str = TERMS) -> RequestFailed:
        with pytest.raises(RequestFailed) as raised:
            self.get(entity_set)
        return raised.value

    def close(self) -> None:
        self.client.close(self.box.url)


@pytest.fixture
def connect(box: Sandbox, stack: ExitStack) -> Callable[..., Tenant]:
    def connect(
        *,
        password: str | None = None,
        pool: PoolSettings | None = None,
        **settings: Any,
    ) -> Tenant:
        client_settings = ClientSettings(**{"timeout": 5, **settings}, pool=pool or PoolSettings())
        tenant = Tenant(box, client_settings, password)
        stack.callback(tenant.close)
        return tenant

    return connect


@pytest.fixture
def tenant(connect: Callable[..., Tenant]) -> Tenant:
    return connect()


def test_an_answer_brings_rows_clock_and_the_zone_of_the_account(tenant: Tenant) -> None:
    result = tenant.get()
    assert result.content.rows == ROWS
    assert result.date == datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert result.locale == "TimeZone=GMTE0000U&Culture=en-US"


def test_a_server_may_tell_neither_clock_nor_zone(box: Sandbox) -> None:
    with requests_mock.Mocker() as server:
        server.get(f"{SITE}/Terms", text='{"value":[]}')
        client = Client(ClientSettings(), BasicAuth("odata", "x"))
        result = client.get(Request(f"{SITE}/Terms", "Terms", SITE), DECODER.page)
    assert (result.date, result.locale) == (None, None)
    assert box.counters().total == 0


def test_headers_are_sent_with_every_request(box: Sandbox, connect: Callable[..., Tenant]) -> None:
    tenant = connect(headers={"PX-ApiArchive": "SHOW", "Accept-Language": "fr-FR"})
    tenant.get()
    tenant.get()
    for request in box.log:
        assert request.headers["px-apiarchive"] == "SHOW"
        assert request.headers["accept-language"] == "fr-FR"
        assert request.headers["accept"] == "application/json"
        assert request.headers["user-agent"] == "tap-acumatica"
        assert "gzip" in request.headers["accept-encoding"]


# Sessions


def test_all_requests_of_a_connection_are_one_session_that_is_signed_out_in_the_end(
    box: Sandbox, tenant: Tenant
) -> None:
    for _ in range(5):
        tenant.get()
    counters = box.counters()
    assert (counters.sessions_opened, counters.sessions_open) == (1, 1)
    tenant.close()
    assert (box.counters().sessions_open, box.counters().signed_out) == (0, 1)
    signed_out = box.log[-1]
    assert (signed_out.method, signed_out.path) == ("POST", "/entity/auth/logout")
    assert signed_out.headers["content-length"] == "0"
    assert signed_out.status == 204


def test_each_connection_of_a_pool_is_one_session(
    box: Sandbox, connect: Callable[..., Tenant]
) -> None:
    tenant = connect(pool=PoolSettings(size=3))
    together = threading.Barrier(3)
    tenant.get()
    box.before_request(lambda _: together.wait(5))
    with ThreadPoolExecutor(3) as threads:
        for _ in range(4):
            list(threads.map(lambda _: tenant.get(), range(3)))
    assert box.counters().most_at_once == 3
    assert box.counters().sessions_opened == 3
    tenant.close()
    assert (box.counters().sessions_open, box.counters().signed_out) == (0, 3)


def test_no_more_requests_are_under_way_than_connections(
    box: Sandbox, connect: Callable[..., Tenant]
) -> None:
    tenant = connect(pool=PoolSettings(size=2))
    tenant.get()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: tenant.get(), range(40)))
    assert box.counters().most_at_once <= 2
    assert box.counters().sessions_opened <= 2
    assert tenant.client.requests == 41


def test_tenants_do_not_share_sessions(stack: ExitStack) -> None:
    box = stack.enter_context(Sandbox(now=NOW, empty=True, tenants=("Company", "Other")))
    tenant = Tenant(box, ClientSettings())
    stack.callback(tenant.close)
    for name in ("Company", "Other", "Company", "Other"):
        tenant.get(tenant=name)
    first, second, third, fourth = (request.session for request in box.log)
    assert (first, second) == (third, fourth)
    assert first != second
    tenant.close()
    assert box.counters().sessions_open == 0


def test_an_ended_session_is_followed_by_another(box: Sandbox, tenant: Tenant) -> None:
    tenant.get()
    box.end_sessions()
    assert tenant.get().content.rows == ROWS
    tenant.close()
    assert box.counters().sessions_open == 0


def test_sign_out_that_fails_does_no_harm(
    box: Sandbox, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    tenant.get()
    box.faults.add(Fault("reset", match="logout"))
    tenant.close()
    assert "Sign-out failed" in caplog.text
    tenant.close()
    assert box.counters().requests["/entity/auth/logout"] == 1


def test_a_redirect_of_the_sign_out_is_not_followed(box: Sandbox, tenant: Tenant) -> None:
    tenant.get()
    box.faults.add(Fault("redirect", match="logout"))
    tenant.close()
    assert [request.method for request in box.log] == ["GET", "POST"]


def test_a_sign_out_goes_without_what_a_netrc_holds_for_the_host(
    box: Sandbox, tenant: Tenant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    sent: list[requests.PreparedRequest] = []
    send = requests.Session.send

    def remember(
        session: requests.Session, request: requests.PreparedRequest, **options: Any
    ) -> requests.Response:
        sent.append(request)
        return send(session, request, **options)

    monkeypatch.setattr("requests.Session.send", remember)
    tenant.get()
    tenant.close()
    assert [request.method for request in sent] == ["GET", "POST"]
    assert ["Authorization" in request.headers for request in sent] == [True, False]
    assert box.counters().signed_out == 1


def test_nothing_is_signed_out_where_nothing_was_signed_in(box: Sandbox, tenant: Tenant) -> None:
    tenant.close()
    assert box.counters().total == 0


def test_nothing_is_sent_after_the_end(box: Sandbox, tenant: Tenant) -> None:
    tenant.get()
    tenant.close()
    sent = box.counters().total
    with pytest.raises(AcumaticaError, match="The run ended") as caught:
        tenant.get()
    assert caught.value.attempts == 0, "nothing was sent"
    assert box.counters().total == sent


# Signing in


def test_a_wrong_password_is_sent_once(box: Sandbox, connect: Callable[..., Tenant]) -> None:
    tenant = connect(password="wrong")
    messages = {str(tenant.failing(name)) for name in (TERMS, "Other")}
    assert len(messages) == 1
    assert "check username, password" in messages.pop()
    assert box.counters().total == 1
    assert box.counters().unauthorized == 1


def test_a_wrong_password_is_sent_once_whatever_the_number_of_threads(
    box: Sandbox, connect: Callable[..., Tenant]
) -> None:
    tenant = connect(password="wrong", pool=PoolSettings(size=8))
    together = threading.Barrier(8)

    def ask(_: int) -> str:
        together.wait(5)
        return tenant.failing().cause

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(ask, range(8))) == {"sign-in refused"}
    assert box.counters().unauthorized == 1
    assert box.counters().total == 1


def test_a_password_that_is_refused_later_is_not_sent_again(box: Sandbox, tenant: Tenant) -> None:
    tenant.get()
    box.faults.add(Fault("unauthorized", times=1))
    assert tenant.failing().cause == "sign-in refused"
    assert tenant.failing().cause == "sign-in refused"
    assert box.counters().total == 2


@pytest.mark.parametrize("owner", ["signed in", "other"])
def test_a_password_that_is_refused_under_way_goes_out_once_whatever_the_size_of_the_pool(
    box: Sandbox,
    connect: Callable[..., Tenant],
    monkeypatch: pytest.MonkeyPatch,
    owner: str,
) -> None:
    monkeypatch.setattr("tap_acumatica.odata.http.client.SIGN_IN_TURN", 60.0)
    size = 16
    tenant = connect(pool=PoolSettings(size=size))
    root = f"{box.url}/t/Company/api/odata/dac/"
    request = Request(root + TERMS, TERMS, "signed in")
    assert tenant.client.get(request, DECODER.page).content.rows == ROWS
    others = threading.Barrier(size)

    def hold(_: object) -> None:
        """Let all answers go together that would come at the same time."""
        with suppress(threading.BrokenBarrierError):
            others.wait(0.5)

    box.before_request(hold)
    box.faults.add(Fault("unauthorized"))

    def ask(_: int) -> str:
        with pytest.raises(RequestFailed) as raised:
            tenant.client.get(replace(request, owner=owner), DECODER.page)
        return raised.value.cause

    with ThreadPoolExecutor(size) as threads:
        assert set(threads.map(ask, range(size))) == {"sign-in refused"}
    # Whoever is signed in already need not wait for others to sign in.
    assert box.counters().unauthorized <= 1 + (owner == "signed in")


def test_a_sign_in_that_hangs_does_not_hold_up_the_others(
    box: Sandbox, connect: Callable[..., Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tap_acumatica.odata.http.client.SIGN_IN_TURN", 0.01)
    tenant = connect(pool=PoolSettings(size=4))
    tenant.get()
    together = threading.Barrier(4)
    box.before_request(lambda _: together.wait(20))
    with ThreadPoolExecutor(4) as threads:
        assert len(list(threads.map(lambda _: tenant.get(), range(4)))) == 4
    assert box.counters().most_at_once == 4


def test_a_locked_account_is_not_knocked_at(box: Sandbox, tenant: Tenant) -> None:
    box.faults.add(Fault("error", status=500, message="The account is locked out.", times=1))
    for _ in range(3):
        assert tenant.failing().cause == "account locked"
    assert box.counters().total == 1


def test_the_first_request_of_a_run_goes_alone(
    box: Sandbox, connect: Callable[..., Tenant]
) -> None:
    tenant = connect(pool=PoolSettings(size=4))
    alone = threading.Event()
    others = threading.Barrier(3)
    most_at_once: list[int] = []

    def observe(_: object) -> None:
        most_at_once.append(box.counters().most_at_once)
        if not alone.is_set():
            alone.set()
        else:
            others.wait(5)

    box.before_request(observe)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: tenant.get(), range(4)))
    assert most_at_once[0] == 1
    # The others then go together, as the barrier requires.
    assert box.counters().most_at_once == 3


def test_after_a_first_request_that_failed_the_next_goes_alone_too(
    box: Sandbox, connect: Callable[..., Tenant]
) -> None:
    tenant = connect(pool=PoolSettings(size=4))
    box.faults.add(Fault("forbidden", times=3))

    def ask(_: int) -> str:
        try:
            tenant.get()
        except RequestFailed as failed:
            return failed.cause
        return "rows"

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(ask, range(4))) == ["no rights"] * 3 + ["rows"]
    assert box.counters().most_at_once == 1


# Temporary failures


PASSING = {
    "unavailable": Fault("unavailable"),
    "throttle": Fault("throttle"),
    "server error": Fault("error", status=500, shape="html"),
    "bad gateway": Fault("error", status=502, shape="html"),
    "request timeout": Fault("error", status=408, shape="text"),
    "login limit": Fault("error", status=500, message="API Login Limit"),
    "login limit as a redirect": Fault("login_limit", form="redirect"),
    "login limit as a page": Fault("login_limit", form="page"),
    "login limit as a page with 500": Fault("login_limit", form="page", status=500),
    "login limit in the server's words": Fault("login_limit", form="json"),
    "login limit in the web server's words": Fault("login_limit", form="iis"),
    "page with 403": Fault("blocked", status=403),
    "page with 404": Fault("blocked", status=404),
    "gateway timeout": Fault("error", status=504, shape="html"),
    "database timeout of a request without pages": Fault("timed_out"),
    "informational": Fault("informational"),
    "error in a body": Fault("error_in_body", message="Timeout expired."),
    "truncated JSON": Fault("truncated"),
    "wrong Content-Length": Fault("short_body"),
    "reset before the headers": Fault("reset", when="before"),
    "reset in the headers": Fault("reset", when="headers"),
    "reset in the body": Fault("reset", when="body"),
}


def fresh(fault: Fault, times: int | None = None) -> Fault:
    """Return a copy of a fault, since faults count how often they occurred."""
    copy = Fault(fault.kind, times=times)
    copy.options = fault.options
    return copy


@pytest.mark.parametrize("name", PASSING)
@pytest.mark.parametrize("first", [True, False])
def test_a_failure_that_passes_is_waited_out(
    box: Sandbox,
    tenant: Tenant,
    waits: list[float],
    name: str,
    first: bool,
) -> None:
    if not first:
        tenant.get()
    box.faults.add(fresh(PASSING[name], times=3))
    assert tenant.get().content.rows == ROWS
    assert len(waits) == 3
    assert tenant.client.retries == 3
    assert tenant.client.requests == 4 + (not first)
    # Each pause is about twice the one before.
    for wait, max_wait in zip(waits, (1, 2, 4), strict=True):
        assert max_wait / 2 <= wait <= max_wait
    if not first:
        # No failure leaves a session behind.
        assert box.counters().sessions_open == 1


@pytest.mark.parametrize("name", PASSING)
def test_a_failure_that_stays_is_told(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float], name: str
) -> None:
    tenant = connect(max_retry_time=100)
    box.faults.add(fresh(PASSING[name]))
    failed = tenant.failing()
    assert failed.action is Action.RETRY
    assert TERMS in str(failed)
    assert 100 - 60 < sum(waits) <= 100
    assert box.counters().total == len(waits) + 1


def test_no_patience_is_no_second_try(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    tenant = connect(max_retry_time=0)
    box.faults.add(Fault("unavailable"))
    tenant.failing()
    assert (box.counters().total, waits) == (1, [])


def test_pauses_grow_to_a_minute(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    tenant = connect(max_retry_time=1000)
    box.faults.add(Fault("unavailable"))
    tenant.failing()
    assert max(waits) <= 60
    assert min(waits[7:]) >= 30


def test_each_request_has_its_own_patience(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    tenant = connect(max_retry_time=8)
    for _ in range(3):
        box.faults.add(Fault("unavailable", times=2))
        tenant.get()
        box.faults.clear()
    assert len(waits) == 6


@pytest.mark.parametrize(
    ("retry_after", "wait"),
    [
        ("7", 7),
        ("Mon, 01 Jun 2026 12:00:30 GMT", 30),
        ("86400", 600),
        ("Tue, 02 Jun 2026 12:00:00 GMT", 600),
    ],
)
def test_the_server_says_how_long_to_wait(
    box: Sandbox, tenant: Tenant, waits: list[float], retry_after: str, wait: float
) -> None:
    for kind in ("throttle", "unavailable"):
        box.faults.add(Fault(kind, times=1, retry_after=retry_after))
        assert tenant.get().content.rows == ROWS
    assert waits == [wait, wait]


@pytest.mark.parametrize("retry_after", ["0", "Mon, 01 Jun 2026 11:00:00 GMT"])
def test_a_server_that_says_at_once_is_not_stormed(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float], retry_after: str
) -> None:
    tenant = connect(max_retry_time=10)
    box.faults.add(Fault("throttle", retry_after=retry_after))
    assert tenant.failing().cause == "licence limit"
    assert min(waits) >= 0.5
    assert sum(waits) <= 10


def test_a_longer_wait_than_there_is_patience_for_is_not_begun(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    tenant = connect(max_retry_time=60)
    box.faults.add(Fault("throttle", retry_after=61))
    assert tenant.failing().cause == "licence limit"
    assert waits == []


# Permanent failures


@pytest.mark.parametrize(
    ("fault", "cause", "action"),
    [
        (Fault("forbidden"), "no rights", Action.SKIP),
        (Fault("not_found"), "not found", Action.SKIP),
        (Fault("empty_body"), "empty body", Action.REPHRASE),
        (Fault("redirect"), "redirect", Action.STOP),
        (Fault("login_page"), "not Acumatica", Action.STOP),
        (Fault("error", status=414), "query too long", Action.STOP),
        (Fault("error", status=411), "refused", Action.STOP),
        (
            Fault("error", status=500, shape="exception", message="An unknown function with name"),
            "query refused",
            Action.REPHRASE,
        ),
    ],
)
def test_a_failure_that_does_not_pass_is_not_waited_out(  # noqa: PLR0913, PLR0917 - a table
    box: Sandbox, tenant: Tenant, waits: list[float], fault: Fault, cause: str, action: Action
) -> None:
    box.faults.add(fault)
    failed = tenant.failing()
    assert (failed.cause, failed.action) == (cause, action)
    assert (box.counters().total, waits) == (1, [])


def test_a_redirect_to_the_sign_in_page_is_not_followed(box: Sandbox, tenant: Tenant) -> None:
    tenant.get()
    box.faults.add(Fault("redirect"))
    assert "url" in str(tenant.failing())
    assert [request.path.rpartition("/")[2] for request in box.log] == [TERMS, TERMS]


def test_a_page_in_place_of_data_passes_when_there_were_data_before(
    box: Sandbox, tenant: Tenant, waits: list[float]
) -> None:
    tenant.get()
    box.faults.add(Fault("login_page", times=2))
    assert tenant.get().content.rows == ROWS
    assert len(waits) == 2


def test_other_values_than_expected_are_asked_for_once_more(
    box: Sandbox, tenant: Tenant, waits: list[float]
) -> None:
    box.faults.add(Fault("retype", column="TermsID", into="number"))
    with pytest.raises(InconsistentAnswer, match=TERMS):
        tenant.get()
    assert (box.counters().total, waits) == (2, [])
    box.faults.clear()
    assert tenant.get().content.rows == ROWS
    assert box.counters().sessions_opened == 1


UNKNOWN = Fault("error", status=500, message="Object reference not set.")


def test_an_unknown_error_that_stays_the_same_gets_a_minute(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    tenant = connect(max_retry_time=900)
    box.faults.add(fresh(UNKNOWN))
    failed = tenant.failing()
    assert (failed.cause, failed.action) == ("server error", Action.STOP)
    assert len(waits) >= 4
    assert 20 < sum(waits) <= 60


def test_an_unknown_error_that_stays_the_same_but_for_numbers_gets_a_minute(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    tenant = connect(max_retry_time=900)
    for number in range(100):
        text = f"Error {number} in 3f2504e0-4f89-11d3-9a0c-{number:012d}"
        box.faults.add(Fault("error", message=text, after=number, times=1))
    assert tenant.failing().action is Action.STOP
    assert sum(waits) <= 60


def test_errors_that_change_are_waited_out(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    tenant = connect(max_retry_time=900)
    for number in range(20):
        text = ("The database is starting.", "Object reference not set.")[number % 2]
        box.faults.add(Fault("error", message=text, after=number, times=1))
    assert tenant.get().content.rows == ROWS
    assert sum(waits) > 300


def test_an_unknown_error_that_takes_its_time_is_waited_out(
    box: Sandbox,
    connect: Callable[..., Tenant],
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = itertools.count(step=6)
    monkeypatch.setattr(
        "tap_acumatica.odata.http.client.time", SimpleNamespace(monotonic=lambda: next(clock))
    )
    box.faults.add(fresh(UNKNOWN, times=15))
    assert connect(max_retry_time=900).get().content.rows == ROWS
    assert len(waits) == 15


def test_a_column_that_the_server_does_not_know_is_asked_for_once_more(
    box: Sandbox, tenant: Tenant, waits: list[float]
) -> None:
    box.faults.add(Fault("unknown_column", times=1))
    assert tenant.get(query="?$select=TermsID").content.rows == ROWS
    box.faults.add(Fault("unknown_column"))
    with pytest.raises(RequestFailed) as raised:
        tenant.get(query="?$select=TermsID")
    assert (raised.value.cause, raised.value.action) == ("column unknown", Action.REPHRASE)
    assert len(waits) == 2


def test_a_column_that_the_server_does_not_know_is_asked_for_in_another_way_without_patience(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    box.faults.add(Fault("unknown_column"))
    with pytest.raises(RequestFailed) as raised:
        connect(max_retry_time=0).get(query="?$select=TermsID")
    assert (raised.value.action, waits) == (Action.REPHRASE, [])


def test_an_error_in_a_body_is_told_in_the_server_s_words(
    box: Sandbox, tenant: Tenant, waits: list[float]
) -> None:
    box.faults.add(Fault("error_in_body", message="Could not find a property named 'Gone'"))
    failed = tenant.failing()
    assert (failed.cause, failed.column, waits) == ("column is gone", "Gone", [])


@pytest.mark.parametrize(
    ("fault", "sessions"),
    [
        # A gateway has given up, and the server goes on in the old session.
        (Fault("error", status=504, times=1), 2),
        (Fault("error", status=524, shape="html", times=1), 2),
        (Fault("timed_out", times=1), 1),
    ],
)
def test_a_timeout_that_a_status_tells_is_told_at_once_if_a_page_can_be_smaller(
    box: Sandbox, tenant: Tenant, waits: list[float], fault: Fault, sessions: int
) -> None:
    box.faults.add(fresh(fault, times=1))
    root = f"{box.url}/t/Company/api/odata/dac/"
    request = Request(root + TERMS, TERMS, owner=root, resizable=True)
    with pytest.raises(RequestFailed) as raised:
        tenant.client.get(request, DECODER.page)
    assert (raised.value.action, waits) == (Action.SHRINK, [])
    assert tenant.get().content.rows == ROWS
    assert box.counters().sessions_opened == sessions
    tenant.close()
    assert box.counters().sessions_open == 0


def test_an_answer_of_the_wrong_type_is_broken(tenant: Tenant, waits: list[float]) -> None:
    root = f"{tenant.box.url}/t/Company/api/odata/dac/"
    request = Request(root + "$metadata", "$metadata", root, accept="application/xml")
    with pytest.raises(RequestFailed) as raised:
        tenant.client.get(request, DECODER.page)
    assert raised.value.cause == "broken payload"
    assert isinstance(raised.value, RequestFailed)
    assert waits


# Timeouts


def test_a_read_timeout_is_told_at_once_and_leads_to_a_new_session(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    tenant = connect(timeout=0.1)
    tenant.get()
    box.faults.add(Fault("hang", times=1, stuck=True))
    failed = tenant.failing()
    assert (failed.cause, failed.action) == ("read timeout", Action.SHRINK)
    assert waits == []
    # The old session is still busy.
    assert tenant.get().content.rows == ROWS
    first, second, third = (request.session for request in box.log)
    assert first == second
    assert third != second


def test_a_session_in_which_a_request_timed_out_is_signed_out_in_the_end(
    box: Sandbox, connect: Callable[..., Tenant]
) -> None:
    tenant = connect(timeout=0.1)
    tenant.get()
    box.faults.add(Fault("hang", times=1))
    tenant.failing()
    tenant.get()
    assert box.counters().sessions_open == 2
    tenant.close()
    assert (box.counters().sessions_open, box.counters().signed_out) == (0, 2)


@contextmanager
def stalling_server(response: bytes) -> Iterator[str]:
    """A server that sends the beginning of a response and then nothing more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(response)
                done.wait(10)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        done.set()
        thread.join()


def test_a_body_that_does_not_go_on_is_a_read_timeout_too(waits: list[float]) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n"
    with stalling_server(head + b'{"value":[') as site:
        client = Client(ClientSettings(timeout=0.1), BasicAuth("odata", "x"))
        with pytest.raises(RequestFailed) as raised:
            client.get(Request(f"{site}/Terms", "Terms", site), DECODER.page)
        client.close(site)
    assert raised.value.action is Action.SHRINK
    assert waits == []


# No server, or the wrong one


def test_a_server_that_is_not_there_is_told_at_once(waits: list[float]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        site = f"http://127.0.0.1:{listener.getsockname()[1]}"
    client = Client(ClientSettings(), BasicAuth("odata", "x"))
    with pytest.raises(RequestFailed) as raised:
        client.get(Request(f"{site}/Terms", "Terms", site), DECODER.page)
    assert raised.value.cause == "no connection"
    assert waits == []


def test_a_server_that_goes_away_is_waited_for(waits: list[float]) -> None:
    with Sandbox(now=NOW, empty=True) as box:
        box.insert(TERMS, ROWS)
        tenant = Tenant(box, ClientSettings(max_retry_time=10))
        tenant.get()
    assert tenant.failing().cause == "connection lost"
    assert waits


def test_plain_http_behind_https_is_told_at_once(box: Sandbox, waits: list[float]) -> None:
    site = box.url.replace("http:", "https:")
    client = Client(ClientSettings(), BasicAuth("odata", "x"))
    with pytest.raises(RequestFailed) as raised:
        client.get(Request(f"{site}/Terms", "Terms", site), DECODER.page)
    assert raised.value.cause == "TLS failure"
    assert waits == []


@pytest.mark.parametrize("verify", [False, "/path/ca.pem", True])
def test_the_setting_decides_on_certificates_and_not_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    verify: bool | str,
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/environment.pem")
    client = Client(ClientSettings(verify=verify), BasicAuth("odata", "x"))
    with requests_mock.Mocker() as server:
        server.get(f"{SITE}/Terms", text='{"value":[]}')
        client.get(Request(f"{SITE}/Terms", "Terms", SITE), DECODER.page)
    verified_with = [request.verify for request in server.request_history]
    # If the setting is only true, the environment may name the bundle.
    assert verified_with == [verify if verify is not True else "/environment.pem"]


# Logs and counts


def test_requests_and_failures_are_logged(
    box: Sandbox, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tap-acumatica")
    box.faults.add(Fault("unavailable", times=1))
    tenant.get(query="?$top=5")
    (failure,) = (
        record.getMessage() for record in caplog.records if record.name == "tap-acumatica"
    )
    assert f"{TERMS}?$top=5: maintenance (503) after" in failure
    assert box.password not in caplog.text


def test_requests_are_logged_with_headers_and_by_the_number_of_their_columns(
    box: Sandbox, connect: Callable[..., Tenant], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tap-acumatica")
    query = "?$select=TermsID,Descr&$top=5"
    for verbosity, words in ((2, "?$select=2 columns&$top=5: "), (3, f"{query}: ")):
        connect(verbosity=verbosity).get(query=query)
        assert f"{TERMS}{words}" in caplog.text
        assert " bytes in " in caplog.text
        caplog.clear()
    assert box.password not in caplog.text


def test_counting_is_right_with_many_threads(box: Sandbox, connect: Callable[..., Tenant]) -> None:
    tenant = connect(pool=PoolSettings(size=4))
    box.faults.add(Fault("unavailable", times=20))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: tenant.get(), range(60)))
    assert tenant.client.requests == box.counters().total == 80
    assert tenant.client.retries == 20


def test_a_decoder_that_finds_a_body_broken_has_it_sent_again(
    tenant: Tenant, waits: list[float]
) -> None:
    bodies: list[bytes] = []

    def decode(body: bytes) -> int:
        bodies.append(body)
        if len(bodies) < 3:
            message = "cut off"
            raise BrokenPayload(message)
        return len(body)

    root = f"{tenant.box.url}/t/Company/api/odata/dac/"
    result = tenant.client.get(Request(root + TERMS, TERMS, root), decode)
    assert result.content == len(bodies[0])
    assert len(waits) == 2


# Consideration for the server


def test_idle_sessions_of_other_tenants_make_room_where_the_licence_allows_no_more(
    stack: ExitStack, waits: list[float]
) -> None:
    box = stack.enter_context(
        Sandbox(now=NOW, empty=True, tenants=("Company", "B", "C"), max_sessions=1)
    )
    client = Client(ClientSettings(), BasicAuth(box.username, box.password), box.url)
    stack.callback(client.close, box.url)
    for tenant in ("Company", "B", "C", "B"):
        root = f"{box.url}/t/{tenant}/api/odata/dac/"
        client.get(Request(root + TERMS, TERMS, owner=root), DECODER.page)
    assert box.counters().sessions_open == 1
    assert waits == []
    client.close(box.url)
    assert (box.counters().sessions_opened, box.counters().sessions_open) == (4, 0)


def test_a_session_of_somebody_else_is_waited_for(
    stack: ExitStack, box: Sandbox, tenant: Tenant, waits: list[float]
) -> None:
    stranger = Tenant(box, ClientSettings())
    stack.callback(stranger.close)
    tenant.get()
    tenant.close()
    stranger.get()
    box.quirks.max_sessions = 1
    stack.callback(setattr, box.quirks, "max_sessions", None)
    other = Tenant(box, ClientSettings(max_retry_time=3))
    stack.callback(other.close)
    assert other.failing().cause == "API login limit"
    assert waits


def test_the_budget_holds_for_all_threads_and_retries(
    box: Sandbox, connect: Callable[..., Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []
    monkeypatch.setattr(
        "tap_acumatica.odata.http.client.RateLimiter",
        lambda per_minute: RateLimiter(per_minute, clock=lambda: 0.0, sleep=delays.append),
    )
    tenant = connect(per_minute=4, pool=PoolSettings(size=3))
    box.faults.add(Fault("unavailable", times=2))
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda _: tenant.get(), range(7)))
    assert tenant.client.requests == 9
    assert sorted(delays) == [60.0] * 4 + [120.0]


def test_licence_delays_are_sat_out_and_a_declined_request_comes_again(
    stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = stack.enter_context(Sandbox(now=NOW, empty=True, requests_per_minute=4))
    tenant = Tenant(box, ClientSettings())
    stack.callback(tenant.close)
    waits: list[float] = []

    def minute_passes(seconds: float) -> None:
        waits.append(seconds)
        box.clock.advance(60)

    clock = SimpleNamespace(sleep=minute_passes, monotonic=time.monotonic)
    monkeypatch.setattr("backoff._sync.time", clock)
    for _ in range(4):
        tenant.get()
    assert (box.counters().delayed, waits) == (2, [])
    assert tenant.get().retries == 1
    assert len(waits) == 1


def test_a_request_that_is_about_to_end_is_waited_for_at_the_end(
    box: Sandbox, connect: Callable[..., Tenant]
) -> None:
    tenant = connect(pool=PoolSettings(size=2))
    tenant.get()
    arrived, leave = threading.Event(), threading.Event()

    def hold(_: object) -> None:
        arrived.set()
        assert leave.wait(5)

    box.before_request(hold)
    with ThreadPoolExecutor(2) as threads:
        pending = [threads.submit(tenant.get) for _ in range(2)]
        assert arrived.wait(5)
        leave.set()
        tenant.close()
        for future in pending:
            future.exception(5)
    assert box.counters().sessions_open == 0


def test_what_comes_behind_a_request_that_was_waited_for_in_vain_is_waited_for_less(
    box: Sandbox, connect: Callable[..., Tenant], waits: list[float]
) -> None:
    client = connect(max_retry_time=300).client
    address = f"{box.url}/t/Company/api/odata/dac/{TERMS}"

    def seconds_waited(owner: str) -> float:
        waits.clear()
        with pytest.raises(RequestFailed):
            client.get(Request(address, TERMS, owner), DECODER.page)
        return sum(waits)

    box.faults.add(Fault("unavailable"))
    first, *others = [seconds_waited(owner) for owner in ("A", "B", "A")]
    assert first > 200
    assert 0 < max(others) <= 60
    box.faults.clear()
    client.get(Request(address, TERMS, "A"), DECODER.page)
    box.faults.add(Fault("unavailable"))
    assert seconds_waited("C") > 200, "an answer shows that the site is up"
    box.faults.clear()
    client.get(Request(address, TERMS, "A"), DECODER.page)
    box.faults.add(Fault("unavailable"))
    assert 0 < seconds_waited("A") <= 60, "an answer does not show that the streams of A are"
    client.trust("A")
    box.faults.clear()
    client.get(Request(address, TERMS, "C"), DECODER.page)
    box.faults.add(Fault("unavailable"))
    assert seconds_waited("A") > 200
