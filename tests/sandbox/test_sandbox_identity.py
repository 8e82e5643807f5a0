"""The sandbox's identity server does what is known of Acumatica's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
import requests
from support.logging_in import sign_in

from sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = "2026-06-01T12:00:00Z"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
CALLBACK_URL = "http://localhost:8400/callback"


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, tenants=("Company", "Other"), empty=True) as box:
        yield box


@pytest.fixture
def box(server: Sandbox) -> Iterator[Sandbox]:
    yield server
    identity = server.identity
    identity.rotate, identity.refresh_tokens, identity.consent = True, "absolute", "ask"
    identity.discovery, identity.token_life = True, 3600
    identity.grants.clear()
    server.end_sessions()
    server.reset_counters()
    server.quirks.max_sessions, server.quirks.lockout = None, 5
    server.clock.set(NOW)


def ask(box: Sandbox, **form: Any) -> requests.Response:
    given = {"client_id": box.client_id, "client_secret": box.client_secret, **form}
    return requests.post(f"{box.url}/identity/connect/token", data=given, timeout=10)


def refresh(box: Sandbox, token: str | None) -> requests.Response:
    return ask(box, grant_type="refresh_token", refresh_token=token)


def read(box: Sandbox, token: str, tenant: str = "Company", **cookies: str) -> requests.Response:
    url = f"{box.url}/t/{tenant}/api/odata/dac/PX_SM_Users"
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(url, headers=headers, cookies=cookies, timeout=10)


def authorize(box: Sandbox, **changes: str) -> str:
    query = {
        "client_id": box.client_id,
        "redirect_uri": CALLBACK_URL,
        "response_type": "code",
        "scope": "api offline_access",
        "state": "s",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    url = f"{box.url}/identity/connect/authorize"
    return str(requests.Request("GET", url, params=query).prepare().url)


def answer(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


def exchange(box: Sandbox, code: str, **changes: str) -> requests.Response:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK_URL}
    return ask(box, **{**form, "code_verifier": VERIFIER, **changes})


def token(box: Sandbox, scope: str = "api offline_access") -> str:
    form = {"grant_type": "password", "username": box.username, "password": box.password}
    return str(ask(box, **form, scope=scope).json()["access_token"])


def test_the_site_tells_where_its_server_is(box: Sandbox) -> None:
    url = f"{box.url}/identity/.well-known/openid-configuration"
    document = requests.get(url, timeout=10).json()
    assert document["token_endpoint"] == f"{box.url}/identity/connect/token"
    assert document["authorization_endpoint"] == f"{box.url}/identity/connect/authorize"
    box.identity.discovery = False
    assert requests.get(url, timeout=10).status_code == 404


def test_a_code_counts_once_and_with_its_verifier_alone(box: Sandbox) -> None:
    led = answer(sign_in(box, authorize(box)))
    assert led["state"] == "s"
    assert exchange(box, led["code"]).json()["scope"] == "api offline_access"
    assert exchange(box, led["code"]).json() == {"error": "invalid_grant"}
    for change in ({"code_verifier": "other"}, {"redirect_uri": "http://localhost/other"}):
        code = answer(sign_in(box, authorize(box)))["code"]
        assert exchange(box, code, **change).status_code == 400
    code = answer(sign_in(box, authorize(box)))["code"]
    box.clock.advance(3600)
    assert exchange(box, code).status_code == 400


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"scope": "everything"}, "invalid_scope"),
    ],
)
def test_a_wrong_request_is_led_back_with_a_code(
    box: Sandbox, changes: dict[str, str], code: str
) -> None:
    led = requests.get(authorize(box, **changes), timeout=10, allow_redirects=False)
    assert led.status_code == 302
    assert answer(led.headers["Location"]) == {"error": code, "state": "s"}


@pytest.mark.parametrize("changes", [{"client_id": "x"}, {"redirect_uri": "http://evil.example"}])
def test_nobody_is_led_to_a_place_that_is_not_registered(
    box: Sandbox, changes: dict[str, str]
) -> None:
    led = requests.get(authorize(box, **changes), timeout=10, allow_redirects=False)
    assert led.status_code == 400
    assert "Location" not in led.headers


def test_nobody_agrees_without_having_signed_in(box: Sandbox) -> None:
    page = requests.post(authorize(box), data={"step": "allow", "ticket": "made-up"}, timeout=10)
    assert "Sign in to Company" in page.text


def test_a_denial_is_led_back(box: Sandbox) -> None:
    assert answer(sign_in(box, authorize(box), "deny"))["error"] == "access_denied"
    box.identity.consent = "deny"
    assert answer(sign_in(box, authorize(box)))["error"] == "access_denied"


def test_each_refresh_token_counts_once_and_the_second_time_ends_the_grant(box: Sandbox) -> None:
    first = box.grant().refresh_token
    given = refresh(box, first).json()
    assert read(box, given["access_token"]).status_code == 200
    assert refresh(box, first).json() == {"error": "invalid_grant"}
    assert read(box, given["access_token"]).status_code == 401
    assert refresh(box, given["refresh_token"]).status_code == 400


def test_without_rotation_a_refresh_token_counts_again(box: Sandbox) -> None:
    box.identity.rotate = False
    token = box.grant().refresh_token
    assert refresh(box, token).json()["refresh_token"] == token
    assert refresh(box, token).status_code == 200


def test_a_refresh_token_ends_after_thirty_days(box: Sandbox) -> None:
    token = box.grant().refresh_token
    box.clock.advance(31 * 86_400)
    assert refresh(box, token).status_code == 400


def test_an_application_may_have_no_refresh_tokens(box: Sandbox) -> None:
    box.identity.refresh_tokens = "none"
    form = {"grant_type": "password", "username": box.username, "password": box.password}
    assert ask(box, **form, scope="api offline_access").json() == {"error": "invalid_scope"}
    assert "refresh_token" not in ask(box, **form, scope="api").json()


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
        ({"grant_type": "other"}, "unsupported_grant_type"),
        ({"grant_type": "password", "username": "odata", "password": "x"}, "invalid_grant"),
        ({"grant_type": "refresh_token", "client_secret": "x"}, "invalid_client"),
        ({"grant_type": "refresh_token", "client_id": "x"}, "invalid_client"),
    ],
)
def test_what_is_refused_has_a_code(box: Sandbox, form: dict[str, str], code: str) -> None:
    response = ask(box, **form)
    assert (response.status_code, response.json()) == (400, {"error": code})


def test_a_locked_account_gets_no_token(box: Sandbox) -> None:
    box.quirks.lockout = 0
    response = ask(box, grant_type="password", username=box.username, password=box.password)
    assert response.status_code == 500
    assert "locked out" in response.json()["message"]


def test_an_application_may_name_itself_in_the_header(box: Sandbox) -> None:
    form = {"grant_type": "refresh_token", "refresh_token": box.grant().refresh_token}
    url = f"{box.url}/identity/connect/token"
    pair = (quote(box.client_id, ""), quote(box.client_secret, ""))
    assert requests.post(url, form, auth=pair, timeout=10).status_code == 200
    assert requests.post(url, form, auth=("x", "y"), timeout=10).status_code == 400


def test_an_access_token_lives_for_an_hour_of_the_server(box: Sandbox) -> None:
    given = token(box)
    assert read(box, given).status_code == 200
    box.clock.advance(3599)
    assert read(box, given).status_code == 200
    box.clock.advance(2)
    assert read(box, given).status_code == 401


def test_a_token_reaches_its_own_tenant_and_what_its_scope_covers(box: Sandbox) -> None:
    assert read(box, token(box), "Other").status_code == 403
    assert read(box, token(box, "openid")).status_code == 403
    assert read(box, "made-up").status_code == 401


def test_revocation_ends_the_grant_of_a_token(box: Sandbox) -> None:
    grant = box.grant()
    given = refresh(box, grant.refresh_token).json()
    url = f"{box.url}/identity/connect/revocation"
    application = {"client_id": box.client_id, "client_secret": box.client_secret}
    form = {**application, "token": given["refresh_token"]}
    assert requests.post(url, {**form, "client_secret": "x"}, timeout=10).status_code == 400
    assert requests.post(url, form, timeout=10).status_code == 200
    assert refresh(box, given["refresh_token"]).status_code == 400
    assert read(box, given["access_token"]).status_code == 401


def test_a_grant_is_one_session_whatever_the_connections(box: Sandbox) -> None:
    given = token(box)
    for _ in range(3):
        assert "ASP.NET_SessionId" not in read(box, given).cookies
    assert box.counters().sessions_open == 1
    url = f"{box.url}/entity/auth/logout"
    headers = {"Authorization": f"Bearer {given}"}
    box.identity.end_access()
    assert requests.post(url, headers=headers, timeout=10).status_code == 204
    assert box.counters().sessions_open == 0


def test_the_session_of_a_grant_without_refresh_tokens_ends_with_its_token(box: Sandbox) -> None:
    short, long = token(box, "api"), token(box, "api offline_access")
    read(box, short)
    read(box, long)
    assert box.counters().sessions_open == 2
    box.clock.advance(3601)
    read(box, short)
    read(box, long)
    assert box.counters().sessions_open == 1


def test_with_concurrent_access_cookies_are_sessions(box: Sandbox) -> None:
    given = token(box, "api:concurrent_access")
    cookie = read(box, given).cookies["ASP.NET_SessionId"]
    read(box, given, **{"ASP.NET_SessionId": cookie})
    read(box, given)
    assert box.counters().sessions_open == 2


def test_sessions_count_against_the_licence(box: Sandbox) -> None:
    box.quirks.max_sessions = 1
    assert read(box, token(box)).status_code == 200
    refused = read(box, token(box))
    assert (refused.status_code, refused.json()) == (429, {"message": "API Login Limit"})


def test_other_processes_act_on_the_server_too(box: Sandbox) -> None:
    def control(action: str, **body: Any) -> Any:
        response = requests.post(f"{box.url}/_control/{action}", json=body, timeout=10)
        return response.json()["result"] if response.ok else response.status_code

    told = control("identity", token_life=2.5, callback_urls=[CALLBACK_URL])
    assert told["token_life"] == 2.5
    assert told["client_id"] == box.client_id
    assert control("identity", nothing=1) == 400
    given = refresh(box, control("grant", tenant="Company"))
    assert given.json()["expires_in"] == 2.5
    control("end-tokens")
    assert read(box, given.json()["access_token"]).status_code == 401
    control("revoke")
    assert refresh(box, given.json()["refresh_token"]).status_code == 400
    assert requests.get(f"{box.url}/identity/else", timeout=10).status_code == 404
