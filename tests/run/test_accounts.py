"""Which settings let somebody in, and to which tenant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_acumatica.odata.addresses import Address
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.http.auth import BasicAuth
from tap_acumatica.odata.http.client import ClientSettings
from tap_acumatica.odata.oauth.tokens import FileTokenStore, MemoryTokenStore
from tap_acumatica.run import accounts
from tap_acumatica.settings import validation as configuration
from tap_acumatica.settings.accounts import AccountSettings, tenants
from tap_acumatica.settings.schema import SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

SITE = "https://Company.acumatica.com"
OAUTH = {
    "url": f"{SITE}/t/Company%20A/api/odata/dac",
    "auth_method": "oauth",
    "client_id": "GUID@Company A",
    "client_secret": "s3cret",
    "token_file": "tokens.json",
}


def settings(**changes: Any) -> dict[str, Any]:
    """Settings for OAuth that work, but for the changes; None takes one out."""
    return {name: value for name, value in {**OAUTH, **changes}.items() if value is not None}


def account(**changes: Any) -> AccountSettings:
    """The account of the same, with the defaults of the others."""
    defaults = {
        name: schema["default"]
        for name, schema in SCHEMA["properties"].items()
        if "default" in schema
    }
    given = {**defaults, **settings(**changes)}
    return AccountSettings.of(given, Address.parse(given["url"]))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"client_id": "GUID"},
        {"client_id": "GUID@COMPANY a"},
        {"url": SITE},
        {"url": SITE, "tenants": ["Company A"]},
        {"url": SITE, "client_id": "GUID", "tenants": ["A", "B"]},
        {"refresh_token": "r"},
        {"username": "u"},
        {"token_file": None, "username": "u", "password": "p"},
        {"url": "http://localhost:8080/t/Company A/api/odata/dac"},
        {"url": "http://[::1]/t/Company A/api/odata/dac"},
        {"callback_url": "https://intranet.example/callback"},
        {"authorization_url": "https://login.example/a", "access_token_url": "https://l.example/t"},
    ],
)
def test_settings_that_let_somebody_in(changes: dict[str, Any]) -> None:
    configuration.check(settings(**changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"client_id": None}, "The setting client_id is missing"),
        ({"client_secret": None}, "The setting client_secret is missing"),
        ({"token_file": None}, "The setting token_file is missing: name a file"),
        ({"token_file": None, "username": "u"}, "The setting password is missing"),
        ({"token_file": None, "password": "p"}, "The setting token_file is missing: name a file"),
        ({"token_file": None, "refresh_token": "r"}, "The setting refresh_token needs token_file"),
        (
            {"token_file": None, "refresh_token": "r", "username": "u", "password": "p"},
            "The setting refresh_token needs token_file",
        ),
        ({"client_id": "GUID@Other"}, "of the tenant Other, but Company A is to be read"),
        (
            {"url": SITE, "tenants": ["Company A", "B", "C"]},
            r"of the tenant Company A and reaches no other \(B, C\): give it without @Company A",
        ),
        (
            {"url": SITE, "client_id": "GUID", "tenants": ["A", "B"], "refresh_token": "r"},
            r"The setting refresh_token is of one tenant, .* \(A, B\): leave it out",
        ),
        ({"url": SITE, "client_id": "GUID"}, "The setting client_id names no tenant"),
        ({"url": SITE, "client_id": "GUID@"}, "The setting client_id names no tenant"),
        ({"url": "http://erp.example/ERP"}, "plain http .*over which the server does no OAuth"),
        (
            {"url": "http://erp.example/ERP", "allow_http": True},
            "plain http .*over which the server does no OAuth",
        ),
        ({"callback_url": "http://erp.example/cb"}, "The setting callback_url must be an address"),
        ({"callback_url": "localhost:8400"}, "The setting callback_url must be an address"),
        ({"callback_url": "http://localhost:99999"}, "The setting callback_url must be an address"),
        ({"callback_url": "https://[::1/cb"}, "The setting callback_url must be an address"),
        (
            {"access_token_url": "https://erp:x/t"},
            "The setting access_token_url must be an address",
        ),
        ({"authorization_url": "http://erp.example/a"}, "The setting authorization_url must be"),
        ({"access_token_url": "https:///t"}, "The setting access_token_url must be an address"),
        ({"url": f"{SITE}/odata/Company/Orders"}, "not the address of an OData service"),
        ({"auth_method": "openid"}, "The setting auth_method must be one of"),
        ({"auth_method": "basic"}, "The setting username is missing"),
    ],
)
def test_settings_that_let_nobody_in(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError, match=words) as raised:
        configuration.check(settings(**changes))
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, ["Company A"]),
        ({"url": SITE}, ["Company A"]),
        ({"url": SITE, "tenants": ["A", "B"]}, ["A", "B"]),
        ({"url": SITE, "client_id": "GUID"}, []),
        ({"url": SITE, "auth_method": "basic"}, []),
        ({"auth_method": "basic"}, ["Company A"]),
    ],
)
def test_the_tenants_to_sign_in_to(changes: dict[str, Any], expected: list[str]) -> None:
    given = settings(**changes)
    assert tenants(given, Address.parse(given["url"])) == expected


@pytest.mark.parametrize(
    ("client_id", "expected"), [("GUID", "GUID@Company A"), ("GUID@x", "GUID@x")]
)
def test_the_tenant_is_added_to_a_client_id_that_has_none(client_id: str, expected: str) -> None:
    server = accounts.identity_server(account(client_id=client_id), ClientSettings(), "Company A")
    assert server.application.client_id == expected
    assert server.site == SITE


def test_by_basic_all_tenants_are_one_account() -> None:
    given = account(auth_method="basic", username="u", password="p", tenants=["A", "B"])
    found = accounts.accounts(given, ClientSettings(), ["A", "B"])
    assert found["A"] is found["B"]
    assert isinstance(found["A"], BasicAuth)


def test_by_oauth_each_tenant_is_an_account() -> None:
    given = account(url=SITE, client_id="GUID", tenants=["A", "B"])
    found = accounts.accounts(given, ClientSettings(), ["A", "B"])
    assert list(found) == ["A", "B"]
    assert found["A"] is not found["B"]


def store(**changes: Any) -> FileTokenStore:
    given = account(**changes)
    server = accounts.identity_server(given, ClientSettings(), "Company A")
    found = accounts.token_store(given, ClientSettings(timeout=1, max_retry_time=2), server)
    assert isinstance(found, FileTokenStore)
    return found


def test_tokens_are_kept_for_each_site_application_and_tenant(tmp_path: Path) -> None:
    file = store(token_file=str(tmp_path / "t.json"))
    assert file.path == tmp_path / "t.json"
    assert file.key == "https://company.acumatica.com guid@company a"
    assert file.lock_timeout == 3
    assert store(token_file="~/t.json").path.is_absolute()


def test_what_a_token_began_with_is_the_refresh_token_else_the_user() -> None:
    begins = [
        store(refresh_token="r", username="u").began_with,
        store(refresh_token="s").began_with,
        store(username="u", password="p").began_with,
        store(username="u", password="q").began_with,
        store().began_with,
    ]
    assert len(set(begins)) == 4
    assert begins[2] == begins[3], "nothing is kept of a password"
    assert begins[4] is None


def test_without_a_file_tokens_live_for_a_run() -> None:
    given = account(token_file=None, username="u", password="p")
    server = accounts.identity_server(given, ClientSettings(), "Company A")
    assert isinstance(accounts.token_store(given, ClientSettings(), server), MemoryTokenStore)
