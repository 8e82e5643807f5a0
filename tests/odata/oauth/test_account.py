"""OAuth accounts: tokens are renewed in time, once, and never twice with one refresh token."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from sandbox import Fault, Sandbox
from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import AcumaticaError, RequestFailed
from tap_acumatica.odata.http.client import Client, ClientSettings, Request, Result
from tap_acumatica.odata.http.sessions import PoolSettings
from tap_acumatica.odata.oauth.account import InitialGrant, OAuth, Password
from tap_acumatica.odata.oauth.identity_server import Application, IdentityServer
from tap_acumatica.odata.oauth.tokens import FileTokenStore
from tap_acumatica.odata.payload.json import JsonDecoder

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tap_acumatica.odata.payload.page import Page

TERMS = "PX_Objects_CS_Terms"
DECODER = JsonDecoder(TERMS, {"TermsID": edm.TYPES["Edm.String"]})
HOUR = 3600
SETTINGS = ClientSettings(timeout=5, max_retry_time=0, pool=PoolSettings(size=4))


@dataclass
class Clock:
    """The tap's clock."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    # Only for the identity server's client: the sandbox's clock is left alone.
    monkeypatch.setattr(
        "tap_acumatica.odata.oauth.identity_server.time",
        SimpleNamespace(time=clock, monotonic=time.monotonic),
    )
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def server(box: Sandbox, settings: ClientSettings = SETTINGS) -> IdentityServer:
    application = Application(box.client_id, box.client_secret, "api offline_access")
    return IdentityServer(box.url, application, settings)


def account(box: Sandbox, clock: Clock, path: Path, refresh_token: str | None = None) -> OAuth:
    return OAuth(server(box), InitialGrant(refresh_token), FileTokenStore(path, "key"), clock)


@pytest.fixture
def oauth(box: Sandbox, clock: Clock, path: Path) -> OAuth:
    return account(box, clock, path, box.grant().refresh_token)


@pytest.fixture
def client(box: Sandbox, oauth: OAuth) -> Iterator[Client]:
    client = Client(SETTINGS, oauth)
    yield client
    client.close(box.url)
    assert box.counters().sessions_open == 0


def get(box: Sandbox, client: Client, query: str = "") -> Result[Page]:
    root = f"{box.url}/t/Company/api/odata/dac/"
    return client.get(Request(root + TERMS + query, TERMS, owner=root), DECODER.page)


def token_requests(box: Sandbox) -> int:
    """Return how often a token was requested."""
    return box.counters().requests["/identity/connect/token"]


def test_one_token_serves_until_two_minutes_before_its_end(
    box: Sandbox, clock: Clock, oauth: OAuth
) -> None:
    first = oauth.authorize().header
    clock.now += HOUR - 121
    assert oauth.authorize().header == first
    assert token_requests(box) == 1
    clock.now += 2
    assert oauth.authorize().header != first
    assert token_requests(box) == 2


def test_a_short_token_is_renewed_after_half_its_life(
    box: Sandbox, clock: Clock, oauth: OAuth
) -> None:
    box.identity.token_life = 60
    first = oauth.authorize().header
    clock.now += 29
    assert oauth.authorize().header == first
    clock.now += 2
    assert oauth.authorize().header != first


def test_many_threads_renew_once(box: Sandbox, clock: Clock, oauth: OAuth) -> None:
    oauth.authorize()
    clock.now += HOUR
    together = threading.Barrier(16)

    def sign(_: int) -> str:
        together.wait(10)
        return oauth.authorize().header

    with ThreadPoolExecutor(16) as threads:
        assert len(set(threads.map(sign, range(16)))) == 1
    assert token_requests(box) == 2


def test_many_threads_that_are_refused_renew_once(
    box: Sandbox, oauth: OAuth, client: Client
) -> None:
    get(box, client)
    box.identity.end_access()
    together = threading.Barrier(4)

    def read(_: int) -> int:
        together.wait(10)
        return len(get(box, client).content.rows)

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(read, range(4)))
    assert token_requests(box) == 2
    assert oauth.authorize().header.startswith("Bearer ")


def test_a_refused_token_is_renewed_once_and_the_request_sent_again(
    box: Sandbox, client: Client
) -> None:
    get(box, client)
    box.identity.end_access()
    result = get(box, client)
    assert result.content.rows
    assert result.retries == 0, "no waiting"
    assert token_requests(box) == 2


def test_a_new_token_that_is_refused_ends_it(box: Sandbox, client: Client) -> None:
    get(box, client)
    box.faults.add(Fault("unauthorized", TERMS))
    with pytest.raises(RequestFailed, match=r"refused a new access token .* \(401\)"):
        get(box, client)
    assert token_requests(box) == 2
    count = box.counters().total
    with pytest.raises(RequestFailed, match="refused a new access token"):
        get(box, client)
    assert box.counters().total == count, "nothing more is sent"
    box.faults.clear()


def test_the_first_request_is_refused_no_more_than_twice(box: Sandbox, client: Client) -> None:
    box.faults.add(Fault("unauthorized", TERMS))
    with pytest.raises(RequestFailed, match="refused a new access token"):
        get(box, client)
    assert box.counters().unauthorized == 2
    box.faults.clear()


def test_the_next_refresh_token_is_on_the_disk_before_the_token_is_used(
    box: Sandbox, path: Path, client: Client
) -> None:
    seen = []
    box.before_request(lambda _: seen.append(path.read_text(encoding="utf-8")))
    get(box, client)
    (grant,) = box.identity.grants
    assert grant.refresh_token
    assert grant.refresh_token in seen[0]


def test_the_next_run_goes_on_with_the_same_token(
    box: Sandbox, clock: Clock, path: Path, oauth: OAuth
) -> None:
    first = oauth.authorize().header
    assert account(box, clock, path, "the spent one").authorize().header == first
    clock.now += HOUR
    assert account(box, clock, path, "the spent one").authorize().header != first
    assert not box.identity.grants[0].revoked


def test_another_run_s_token_is_taken_over(
    box: Sandbox, clock: Clock, path: Path, oauth: OAuth
) -> None:
    other = account(box, clock, path)
    first = oauth.authorize()
    assert other.authorize().header == first.header
    second = oauth.reauthorize(first)
    assert other.reauthorize(first).header == second.header
    assert token_requests(box) == 2
    clock.now += HOUR
    third = other.authorize()
    assert oauth.authorize().header == third.header
    assert token_requests(box) == 3


def test_a_refresh_token_that_is_refused_is_sent_once(
    box: Sandbox, clock: Clock, oauth: OAuth
) -> None:
    oauth.authorize()
    box.identity.revoke()
    clock.now += HOUR
    for _ in range(3):
        with pytest.raises(RequestFailed, match="run `tap-acumatica login`"):
            oauth.authorize()
    assert token_requests(box) == 2


def test_what_passes_does_not_end_the_account(box: Sandbox, oauth: OAuth) -> None:
    box.faults.add(Fault("unavailable", "connect/token", times=1))
    with pytest.raises(RequestFailed, match="identity server failed"):
        oauth.authorize()
    assert oauth.authorize().header


def test_the_password_takes_the_place_of_a_dead_refresh_token(
    box: Sandbox, clock: Clock, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    initial_grant = InitialGrant(password=Password(box.username, box.password))
    oauth = OAuth(server(box), initial_grant, FileTokenStore(path, "key"), clock)
    oauth.authorize()
    clock.now += HOUR
    oauth.authorize()
    assert len(box.identity.grants) == 1, "while the grant lives it is refreshed"
    box.identity.revoke()
    clock.now += HOUR
    assert oauth.authorize().header
    assert len(box.identity.grants) == 2
    assert "The password is used instead" in caplog.text


def test_a_password_needs_no_file(box: Sandbox) -> None:
    oauth = OAuth(server(box), InitialGrant(password=Password(box.username, box.password)))
    first = oauth.authorize()
    assert oauth.authorize().header == first.header
    assert oauth.reauthorize(first).header != first.header


def test_a_wrong_password_is_sent_once(box: Sandbox) -> None:
    oauth = OAuth(server(box), InitialGrant(password=Password(box.username, "wrong")))
    for _ in range(3):
        with pytest.raises(RequestFailed, match="issued no access token for the password"):
            oauth.authorize()
    assert token_requests(box) == 1


def test_the_end_of_a_run_waits_for_a_token_no_longer_than_it_is_told(
    box: Sandbox, oauth: OAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    issue, requested, leave = box.identity.token, threading.Event(), threading.Event()

    def issue_later(form: Mapping[str, str]) -> dict[str, object]:
        requested.set()
        assert leave.wait(60)
        return issue(form)

    monkeypatch.setattr(box.identity, "token", issue_later)
    with ThreadPoolExecutor(1) as threads:
        authorization = threads.submit(oauth.authorize)
        assert requested.wait(60)
        oauth.close()
        oauth.wait_for_token(time.monotonic() + 0.1)
        assert not authorization.done()
        leave.set()
        assert authorization.result(60).header.startswith("Bearer ")


def test_no_token_is_asked_for_after_the_end_of_a_run(
    box: Sandbox, clock: Clock, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    oauth = OAuth(
        server(box, replace(SETTINGS, max_retry_time=60)),
        InitialGrant(box.grant().refresh_token),
        FileTokenStore(path, "key"),
        clock,
    )
    # The run ends in the pause before the token is requested again.
    monkeypatch.setattr(
        "backoff._sync.time",
        SimpleNamespace(sleep=lambda _: oauth.close(), monotonic=time.monotonic),
    )
    box.faults.add(Fault("unavailable", "connect/token", times=1))
    with pytest.raises(AcumaticaError, match="The run ended before an access token"):
        oauth.authorize()
    assert token_requests(box) == 1


def test_nobody_has_signed_in_yet(box: Sandbox, clock: Clock, path: Path) -> None:
    with pytest.raises(AcumaticaError, match="Nobody has signed in yet: run `tap-acumatica login`"):
        account(box, clock, path).authorize()
    assert box.counters().total == 0


def test_without_a_refresh_token_the_end_of_the_token_is_the_end(
    box: Sandbox, clock: Clock, path: Path
) -> None:
    initial_grant = InitialGrant(password=Password(box.username, box.password))
    application = Application(box.client_id, box.client_secret, "api")
    without_refresh = IdentityServer(box.url, application, SETTINGS)
    OAuth(without_refresh, initial_grant, FileTokenStore(path, "key"), clock).authorize()
    later = account(box, clock, path)
    assert later.authorize().header
    clock.now += HOUR
    with pytest.raises(AcumaticaError, match="add offline_access"):
        later.authorize()
