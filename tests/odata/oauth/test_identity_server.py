"""The identity server: its addresses, token requests, and what its refusals mean."""

from __future__ import annotations

import logging
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec
import pytest
import requests
import requests_mock
from support.logging_in import sign_in

from sandbox import Fault, Sandbox
from tap_acumatica.odata.errors import Action, RequestFailed, SettingsError
from tap_acumatica.odata.http.client import ClientSettings
from tap_acumatica.odata.masking import masking
from tap_acumatica.odata.oauth.error_table import TOKEN_RULES
from tap_acumatica.odata.oauth.identity_server import Addresses, Application, IdentityServer
from tap_acumatica.odata.oauth.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SITE = "https://erp.example/ERP"
TOKEN_URL = f"{SITE}/identity/connect/token"
DISCOVERY = f"{SITE}/identity/.well-known/openid-configuration"
CALLBACK_URL = "http://localhost:8400/callback"
SECRET_WORDS = "what was sent: hunter2"


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which take no time here."""
    waits: list[float] = []
    monkeypatch.setattr(
        "backoff._sync.time", SimpleNamespace(sleep=waits.append, monotonic=time.monotonic)
    )
    return waits


def sandbox_server(
    box: Sandbox, scope: str = "api openid offline_access", **more: Any
) -> IdentityServer:
    application = Application(box.client_id, more.pop("client_secret", box.client_secret), scope)
    return IdentityServer(box.url, application, ClientSettings(timeout=5, max_retry_time=5), **more)


def mocked_server(max_retry_time: float = 5, addresses: Addresses | None = None) -> IdentityServer:
    return IdentityServer(
        SITE,
        Application("guid@Company", "s3cret", "api"),
        ClientSettings(timeout=5, max_retry_time=max_retry_time, headers={"X-Way": "1"}),
        addresses or Addresses(),
    )


# Tokens


def test_a_refresh_token_leads_to_a_token_and_the_next_refresh_token(box: Sandbox) -> None:
    grant = box.grant()
    first = grant.refresh_token
    assert first
    token = sandbox_server(box).refresh(first)
    assert token.access_token in grant.access_tokens
    assert token.refresh_token == grant.refresh_token != first
    assert set(token.scope.split()) == grant.scopes


def test_a_refresh_token_that_stays_is_kept(box: Sandbox) -> None:
    box.identity.rotate = False
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, json={"access_token": "a", "token_type": "Bearer"})
        assert mocked_server().refresh("r").refresh_token == "r"


def test_user_name_and_password_lead_to_a_token(box: Sandbox) -> None:
    token = sandbox_server(box, "api offline_access").password(box.username, box.password)
    (grant,) = box.identity.grants
    assert token.access_token in grant.access_tokens
    assert token.refresh_token == grant.refresh_token


def test_a_code_counts_with_the_verifier_of_the_sign_in(box: Sandbox) -> None:
    server = sandbox_server(box)
    first = server.begin(CALLBACK_URL)
    answer = dict(parse_qsl(urlsplit(sign_in(box, first.url)).query))
    assert answer["state"] == first.state
    assert server.exchange(first, answer["code"]).refresh_token
    other = server.begin(CALLBACK_URL)
    answer = dict(parse_qsl(urlsplit(sign_in(box, first.url)).query))
    with pytest.raises(RequestFailed, match="refused the code") as raised:
        server.exchange(other, answer["code"])
    assert answer["code"] not in str(raised.value)


def test_a_sign_in_asks_for_what_the_settings_say(box: Sandbox) -> None:
    started = sandbox_server(box, "api offline_access").begin(CALLBACK_URL)
    query = {name: values[0] for name, values in parse_qs(urlsplit(started.url).query).items()}
    assert started.url.startswith(f"{box.url}/identity/connect/authorize?")
    assert query["client_id"] == box.client_id
    assert query["scope"] == "api offline_access"
    assert query["redirect_uri"] == CALLBACK_URL
    assert query["code_challenge_method"] == "S256"
    assert query["response_type"] == "code"
    assert len(query["state"]) >= 32
    assert started.verifier not in started.url


def test_two_sign_ins_have_nothing_in_common(box: Sandbox) -> None:
    first, second = sandbox_server(box).begin(CALLBACK_URL), sandbox_server(box).begin(CALLBACK_URL)
    assert first.state != second.state
    assert first.verifier != second.verifier


# Addresses


@pytest.mark.parametrize(
    "document",
    [
        {"status_code": 404},
        {"status_code": 401, "json": {"message": "no"}},
        {"text": "<html>"},
        {"json": []},
        {"json": {}},
    ],
)
def test_without_a_discovery_document_the_server_is_where_it_is_by_default(
    document: dict[str, Any],
) -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, **document)
        server.post(TOKEN_URL, json={"access_token": "a"})
        assert mocked_server().refresh("r").access_token == "a"
        assert (
            mocked_server()
            .begin(CALLBACK_URL)
            .url.startswith(f"{SITE}/identity/connect/authorize?")
        )


def test_the_site_says_once_where_its_server_is() -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, json={"token_endpoint": "https://erp.example/token"})
        server.post("https://erp.example/token", json={"access_token": "a"})
        client = mocked_server()
        client.refresh("r")
        client.refresh("r")
        assert [request.url for request in server.request_history].count(DISCOVERY) == 1


@pytest.mark.parametrize("name", ["issuer", "token_endpoint", "authorization_endpoint"])
@pytest.mark.parametrize(
    "elsewhere", ["https://login.example/x", "https://erp.example:444/x", "https://[::1/x"]
)
def test_a_site_cannot_have_the_secrets_sent_elsewhere(name: str, elsewhere: str) -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, json={name: elsewhere})
        with pytest.raises(SettingsError, match="announces an identity server elsewhere"):
            mocked_server().refresh("r")
        with pytest.raises(SettingsError, match="announces an identity server elsewhere"):
            mocked_server().begin(CALLBACK_URL)
        assert {request.method for request in server.request_history} == {"GET"}


def test_an_address_of_the_site_s_server_may_be_relative() -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, json={"token_endpoint": "/login/token"})
        server.post("https://erp.example/login/token", json={"access_token": "a"})
        assert mocked_server().refresh("r").access_token == "a"


@pytest.mark.parametrize(
    "odd",
    [
        {"error": None},
        {"refresh_token": 5},
        {"scope": ["api", "offline_access"]},
        {"scope": "\ud83d"},
        {"scope": {"\ud83d": 10**9}},
        {"expires_in": "Infinity"},
        {"expires_in": "nan"},
        {"expires_in": 10**401},
    ],
)
def test_a_token_is_not_lost_to_what_is_odd_beside_it(odd: dict[str, Any]) -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, json={"access_token": "a", "refresh_token": "next", **odd})
        token = mocked_server().refresh("r")
    assert token.access_token == "a"
    assert token.refresh_token == str(odd.get("refresh_token", "next"))
    assert msgspec.json.decode(msgspec.json.encode(token), type=Token) == token


@pytest.mark.parametrize(
    "odd",
    [
        b'"expires_in": 1e400',
        b'"expires_in": NaN',
        b'"expires_in": ' + b"1" * 5_000,
        b'"extra": ' + b"[" * 5_000 + b"]" * 5_000,
        b'"extra": "\xff\xfe"',
        b'"extra": "\x00\n"',
        b'"extra": ,',
    ],
)
def test_a_token_is_found_in_a_response_that_is_no_good_json(odd: bytes) -> None:
    body = b'{"access_token": "a/b\\u00e4", ' + odd + b', "refresh_token": "next"}'
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, content=body)
        token = mocked_server().refresh("r")
    assert (token.access_token, token.refresh_token) == ("a/bä", "next")


@pytest.mark.parametrize("access_token", ["", "a\nb", "\r\na", "a\0", "a\x7f", 5, None])
def test_a_token_that_no_header_can_hold_is_none(access_token: object) -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, json={"access_token": access_token})
        with pytest.raises(RequestFailed):
            mocked_server().refresh("r")


def test_the_settings_say_it_before_the_site_does() -> None:
    addresses = Addresses("https://login.example/sign-in", "https://login.example/token")
    with requests_mock.Mocker() as server:
        server.post("https://login.example/token", json={"access_token": "a"})
        assert mocked_server(addresses=addresses).refresh("r").access_token == "a"
        assert "X-Way" not in server.request_history[0].headers, "they are for the site alone"
        assert (
            mocked_server(addresses=addresses)
            .begin(CALLBACK_URL)
            .url.startswith("https://login.example/sign-in?")
        )
        assert server.call_count == 1


def test_no_secret_goes_over_plain_http() -> None:
    with requests_mock.Mocker() as server:
        addresses = Addresses(token="http://erp.example/token")
        with pytest.raises(SettingsError, match="plain http"):
            mocked_server(addresses=addresses).refresh("r")
        assert server.call_count == 0


def test_a_token_is_asked_for_with_the_headers_of_all_requests_and_none_of_the_machine_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine erp.example login somebody password else")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, json={"access_token": "a"})
        mocked_server().password("odata", "a+b&c=ä %")
        discovery, sent = server.request_history
    form = dict(parse_qsl(sent.text or "", keep_blank_values=True))
    assert form == {
        "grant_type": "password",
        "client_id": "guid@Company",
        "client_secret": "s3cret",
        "username": "odata",
        "password": "a+b&c=ä %",
        "scope": "api",
    }
    for request in (discovery, sent):
        assert request.headers["X-Way"] == "1"
        assert "Authorization" not in request.headers


# Refusals

REFRESH: Callable[[IdentityServer], object] = lambda server: server.refresh("dead")  # noqa: E731
PASSWORD: Callable[[IdentityServer], object] = lambda server: server.password("u", "p")  # noqa: E731


@pytest.mark.parametrize(
    ("ask", "status", "code", "cause"),
    [
        (REFRESH, 400, "invalid_grant", "refresh token refused"),
        (REFRESH, 400, "", "refresh token refused"),
        (REFRESH, 400, "some words of its own", "refresh token refused"),
        (REFRESH, 401, "", "refresh token refused"),
        (REFRESH, 403, "invalid_request", "refresh token refused"),
        (REFRESH, 400, "invalid_client", "application refused"),
        (REFRESH, 401, "unauthorized_client", "application refused"),
        (PASSWORD, 400, "unsupported_grant_type", "application refused"),
        (PASSWORD, 400, "invalid_scope", "scope refused"),
        (PASSWORD, 400, "invalid_grant", "password refused"),
        (REFRESH, 404, "", "no identity server"),
        (REFRESH, 302, "", "no identity server"),
        (REFRESH, 200, "", "no token in the answer"),
    ],
)
def test_a_refusal_is_final_and_shows_nothing_but_its_code(
    ask: Callable[[IdentityServer], object],
    status: int,
    code: str,
    cause: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    body = {"error": code, "error_description": SECRET_WORDS, "form": SECRET_WORDS}
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, status_code=status, json=body)
        with pytest.raises(RequestFailed) as raised:
            ask(mocked_server())
        assert server.call_count == 2, "one for discovery, one for the token"
    assert (raised.value.cause, raised.value.action) == (cause, Action.STOP)
    assert "hunter2" not in str(raised.value) + caplog.text
    if " " in code or not code:
        assert not code or code not in str(raised.value)
    elif cause != "no identity server":
        assert code in str(raised.value)


def test_a_dead_refresh_token_leads_to_the_command_that_helps(box: Sandbox) -> None:
    with pytest.raises(RequestFailed, match=r"run `tap-acumatica login` to sign in again\.$"):
        sandbox_server(box).refresh("dead")


def test_a_wrong_secret_is_said_to_be_one(box: Sandbox) -> None:
    with pytest.raises(RequestFailed, match="connected application") as raised:
        sandbox_server(box, client_secret="wrong").refresh("dead")
    assert "client_secret" in str(raised.value)


def test_a_page_in_place_of_a_token_is_none() -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, text="<html>Sign in</html>")
        with pytest.raises(RequestFailed, match="contains no access token"):
            mocked_server().refresh("r")


LIMITS: dict[str, dict[str, Any]] = {
    "redirect": {"form": "redirect"},
    "page": {"form": "page"},
    "page with 500": {"form": "page", "status": 500},
    "json": {"form": "json"},
    "web server": {"form": "iis"},
}
PASSING: dict[str, tuple[str, str, dict[str, Any], float | None]] = {
    "503": ("unavailable", "connect/token", {"retry_after": "7"}, 7.0),
    "429": ("throttle", "connect/token", {"retry_after": "9"}, 9.0),
    "login limit": ("error", "connect/token", {"message": "API Login Limit", "status": 400}, None),
    "500": ("error", "connect/token", {}, None),
    **{
        f"login limit: {name}": ("login_limit", "connect/token", options, None)
        for name, options in LIMITS.items()
    },
    "a page of something else": ("blocked", "connect/token", {}, None),
    "a page with 407": ("blocked", "connect/token", {"status": 407}, None),
    "temporarily unavailable": (
        "error",
        "connect/token",
        {"status": 400, "body": '{"error":"temporarily_unavailable"}'},
        None,
    ),
    "server error": (
        "error",
        "connect/token",
        {"status": 400, "body": '{"error":"server_error"}'},
        None,
    ),
    "lost discovery": ("reset", "openid-configuration", {}, None),
}


def retrying_server(box: Sandbox) -> IdentityServer:
    application = Application(box.client_id, box.client_secret, "api")
    return IdentityServer(box.url, application, ClientSettings(timeout=5, max_retry_time=60))


@pytest.mark.parametrize("status", [400, 401, 404])
@pytest.mark.parametrize("ask", [REFRESH, PASSWORD], ids=["refresh", "password"])
def test_credentials_are_not_sent_again_after_a_page_that_may_refuse_them(
    waits: list[float], ask: Callable[[IdentityServer], object], status: int
) -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, status_code=status, text="<html>Bad request</html>")
        with pytest.raises(RequestFailed) as raised:
            ask(mocked_server())
    assert (raised.value.action, waits) == (Action.STOP, [])


def test_a_refused_password_may_be_right() -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, status_code=400, json={"error": "invalid_grant"})
        with pytest.raises(RequestFailed) as raised:
            mocked_server().password("u", "p")
    for reason in ("change of the password", "belongs to the tenant", "right to the API"):
        assert reason in str(raised.value)


@pytest.mark.parametrize("name", PASSING)
def test_what_passes_is_waited_for(box: Sandbox, waits: list[float], name: str) -> None:
    kind, match, options, wait = PASSING[name]
    box.faults.add(Fault(kind, match, times=2, **options))
    assert retrying_server(box).refresh(box.grant().refresh_token or "").access_token
    assert len(waits) == 2
    assert wait is None or waits == [wait, wait]


def test_a_lost_answer_has_spent_the_refresh_token(box: Sandbox, waits: list[float]) -> None:
    refresh_token = box.grant().refresh_token or ""
    box.faults.add(Fault("reset", "connect/token", times=1))
    with pytest.raises(RequestFailed, match="run `tap-acumatica login`"):
        retrying_server(box).refresh(refresh_token)
    assert len(waits) == 1


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (requests.exceptions.ReadTimeout("Read timed out"), "no token in time"),
        (requests.exceptions.ConnectionError("Connection aborted"), "connection lost"),
    ],
)
def test_no_answer_ends_in_a_sentence_when_patience_ends(
    waits: list[float], error: Exception, cause: str
) -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, status_code=404)
        server.post(TOKEN_URL, exc=error)
        with pytest.raises(RequestFailed) as raised:
            mocked_server(max_retry_time=5).refresh("r")
    assert raised.value.cause == cause
    assert waits


def test_a_host_that_does_not_exist_is_named_at_once(waits: list[float]) -> None:
    with requests_mock.Mocker() as server:
        server.get(DISCOVERY, exc=requests.exceptions.ConnectionError("Failed to resolve 'erp'"))
        with pytest.raises(RequestFailed, match="host in url was not found"):
            mocked_server().refresh("r")
    assert waits == []


def test_tokens_are_masked_as_soon_as_they_are_there(box: Sandbox) -> None:
    token = sandbox_server(box).password(box.username, box.password)
    for secret in (*token.secrets, box.client_secret):
        assert secret not in masking.masked(f"a message with {secret} in it")


def test_no_rule_for_tokens_repeats_what_the_server_said() -> None:
    rules = [rule for rule in TOKEN_RULES if not rule.exception]
    assert rules
    assert not [rule.cause for rule in rules if "{detail}" in rule.sentence]
