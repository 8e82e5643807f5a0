"""Which settings allow a sign-in, to which tenants, and with which account."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tap_acumatica.odata.addresses import Address
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.http.auth import BasicAuth
from tap_acumatica.odata.http.client import ClientSettings
from tap_acumatica.odata.oauth.tokens import FileTokenStore, MemoryTokenStore
from tap_acumatica.run import accounts, oauth_accounts
from tap_acumatica.settings import validation
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
    """Working settings for OAuth with changes; None removes a setting."""
    return {name: value for name, value in {**OAUTH, **changes}.items() if value is not None}


def account(**changes: Any) -> AccountSettings:
    """The account that the same settings and the defaults describe."""
    defaults = {
        name: schema["default"]
        for name, schema in SCHEMA["properties"].items()
        if "default" in schema
    }
    config = {**defaults, **settings(**changes)}
    return AccountSettings.of(config, Address.parse(config["url"]))


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
    validation.check(settings(**changes))


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
        ({"client_id": "GUID@Other"}, "to the tenant Other, but the tenant to read is Company A"),
        (
            {"url": SITE, "tenants": ["Company A", "B", "C"]},
            r"the tenant Company A and gives access to no other \(B, C\): remove @Company A",
        ),
        (
            {"url": SITE, "client_id": "GUID", "tenants": ["A", "B"], "refresh_token": "r"},
            r"The setting refresh_token belongs to one tenant, .* \(A, B\): remove it",
        ),
        ({"url": SITE, "client_id": "GUID"}, "The setting client_id names no tenant"),
        ({"url": SITE, "client_id": "GUID@"}, "The setting client_id names no tenant"),
        ({"url": "http://erp.example/ERP"}, "plain http .*the server does not offer OAuth"),
        (
            {"url": "http://erp.example/ERP", "allow_http": True},
            "plain http .*the server does not offer OAuth",
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
        validation.check(settings(**changes))
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
    config = settings(**changes)
    assert tenants(config, Address.parse(config["url"])) == expected


@pytest.mark.parametrize(
    ("client_id", "expected"), [("GUID", "GUID@Company A"), ("GUID@x", "GUID@x")]
)
def test_the_tenant_is_added_to_a_client_id_that_has_none(client_id: str, expected: str) -> None:
    server = oauth_accounts.identity_server(
        account(client_id=client_id), ClientSettings(), "Company A"
    )
    assert server.application.client_id == expected
    assert server.site == SITE


def test_by_basic_all_tenants_are_one_account() -> None:
    basic = account(auth_method="basic", username="u", password="p", tenants=["A", "B"])
    by_tenant = accounts.accounts(basic, ClientSettings(), ["A", "B"])
    assert by_tenant["A"] is by_tenant["B"]
    assert isinstance(by_tenant["A"], BasicAuth)


def test_by_oauth_each_tenant_is_an_account() -> None:
    oauth = account(url=SITE, client_id="GUID", tenants=["A", "B"])
    by_tenant = accounts.accounts(oauth, ClientSettings(), ["A", "B"])
    assert list(by_tenant) == ["A", "B"]
    assert by_tenant["A"] is not by_tenant["B"]


def file_store(**changes: Any) -> FileTokenStore:
    oauth = account(**changes)
    server = oauth_accounts.identity_server(oauth, ClientSettings(), "Company A")
    store = oauth_accounts.token_store(oauth, ClientSettings(timeout=1, max_retry_time=2), server)
    assert isinstance(store, FileTokenStore)
    return store


def test_tokens_are_kept_for_each_site_application_and_tenant(tmp_path: Path) -> None:
    store = file_store(token_file=str(tmp_path / "t.json"))
    assert store.path == tmp_path / "t.json"
    assert store.key == "https://company.acumatica.com guid@company a"
    assert store.lock_timeout == 3
    assert file_store(token_file="~/t.json").path.is_absolute()


def test_what_a_token_began_with_is_the_refresh_token_else_the_user() -> None:
    fingerprints = [
        file_store(refresh_token="r", username="u").began_with,
        file_store(refresh_token="s").began_with,
        file_store(username="u", password="p").began_with,
        file_store(username="u", password="q").began_with,
        file_store().began_with,
    ]
    assert len(set(fingerprints)) == 4
    assert fingerprints[2] == fingerprints[3], "the password leaves no trace"
    assert fingerprints[4] is None


def test_without_a_file_tokens_live_for_a_run() -> None:
    oauth = account(token_file=None, username="u", password="p")
    server = oauth_accounts.identity_server(oauth, ClientSettings(), "Company A")
    assert isinstance(oauth_accounts.token_store(oauth, ClientSettings(), server), MemoryTokenStore)
