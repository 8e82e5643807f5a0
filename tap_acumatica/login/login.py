"""`tap-acumatica login`: a person signs in in a browser, once, and the tap keeps the tokens."""

from __future__ import annotations

import time
import webbrowser
from typing import TYPE_CHECKING, Final

import click

from tap_acumatica.login import page
from tap_acumatica.login.callback import PATIENCE, Arrival, arriving, next_arrival
from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.odata.http.answer import shortened
from tap_acumatica.odata.log import masking
from tap_acumatica.run.accounts import identity_server, token_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from queue import Queue

    from tap_acumatica.odata.http.client import ClientSettings
    from tap_acumatica.odata.oauth.identity_server import IdentityServer, SignIn
    from tap_acumatica.odata.oauth.tokens import Token, TokenStore
    from tap_acumatica.settings.accounts import AccountSettings

FLOW: Final = (
    "the application's flow is another one; set Authorization Code on Connected Applications "
    "(SM303010)"
)
WORDS: Final[Mapping[str, str]] = {
    "access_denied": "the access was denied on the consent page; allow it there",
    "invalid_scope": (
        "the application may not ask for the setting scope; compare it with Connected Applications "
        "(SM303010), and leave offline_access out where no refresh tokens are given"
    ),
    "unauthorized_client": FLOW,
    "unsupported_response_type": FLOW,
    "invalid_request": "the identity server did not understand; check client_id and callback_url",
    "server_error": "the identity server failed; see the trace log of the instance",
    "temporarily_unavailable": "the identity server is busy or under maintenance; wait a while",
}
"""The codes with which a sign-in page may answer (RFC 6749, 4.1.2.1)."""


def login(
    account: AccountSettings,
    client: ClientSettings,
    tenant: str | None = None,
    *,
    browser: bool = True,
) -> None:
    """Sign in to each tenant of the settings, or to one of them.

    Args:
        account: Who signs in, and where.
        client: How requests are sent.
        tenant: The only tenant to sign in to.
        browser: Whether to open the browser.

    Raises:
        SettingsError: The settings are not for this.
        AcumaticaError: Somebody said no, or nothing at all.
    """
    tenants = _chosen_tenants(account, tenant)
    with arriving(account.callback_url) as arrivals:
        for name in tenants:
            server = identity_server(account, client, name)
            store = token_store(account, client, server)
            sign_in = _Login(server, store, name, arrivals)
            _report(account, name, sign_in.run(account.callback_url, browser=browser))
    click.echo("Next: tap-acumatica --config=... --discover > catalog.json")


def _chosen_tenants(account: AccountSettings, tenant: str | None) -> Sequence[str]:
    if not account.by_oauth:
        message = "The setting auth_method is basic, for which there is no login: set it to oauth."
        raise SettingsError(message)
    if not account.token_file:
        message = "The setting token_file is missing: name a file in which login keeps the tokens."
        raise SettingsError(message)
    if tenant is None:
        return account.tenants
    chosen = [name for name in account.tenants if name.lower() == tenant.lower()]
    if not chosen:
        message = (
            f"The option --tenant names {tenant}, which is none of the tenants of the settings "
            f"({', '.join(account.tenants)}): correct one of them."
        )
        raise SettingsError(message)
    return chosen


class _Login:
    """One sign-in to one tenant."""

    def __init__(
        self, server: IdentityServer, store: TokenStore, tenant: str, arrivals: Queue[Arrival]
    ) -> None:
        self._server = server
        self._store = store
        self._tenant = tenant
        self._arrivals = arrivals

    def run(self, callback_url: str, *, browser: bool) -> Token:
        begun = self._server.begin(callback_url)
        self._invite(begun, opened=browser and webbrowser.open(begun.url))
        arrival = self._awaited(begun)
        try:
            token = self._token(begun, arrival.answer)
        except AcumaticaError as error:
            arrival.show(page.failed(masking.masked(str(error))))
            raise
        arrival.show(page.done(self._tenant, self._server.site))
        return token

    def _invite(self, begun: SignIn, *, opened: bool) -> None:
        where = "in the browser, which was opened at" if opened else "in a browser, at"
        click.echo(f"Sign in to the tenant {self._tenant} {where}\n\n  {begun.url}\n")
        click.echo(
            "Where the browser is on another machine, its last page does not load: then paste the "
            "address of that page here.\n"
        )

    def _awaited(self, begun: SignIn) -> Arrival:
        """The answer to what was begun; others are turned away."""
        until = time.monotonic() + PATIENCE
        while True:
            arrival = next_arrival(self._arrivals, until)
            answer = arrival.answer
            if answer.get("state") == begun.state and answer.keys() & {"code", "error"}:
                return arrival
            sentence = _turned_away(answer)
            arrival.show(page.failed(sentence))
            click.echo(sentence)

    def _token(self, begun: SignIn, answer: Mapping[str, str]) -> Token:
        if "error" in answer:
            code = answer["error"]
            words = WORDS.get(code, "the identity server refused; see its own words")
            said = answer.get("error_description", "")
            detail = ", ".join(part for part in (code, said.rstrip(".")) if part)
            message = (
                f"Nobody was signed in: {words} ({shortened(detail)}). Then run `tap-acumatica "
                "login` again."
            )
            raise AcumaticaError(message)
        with self._store.updating() as update:
            token = self._server.exchange(begun, answer["code"])
            update.store(token)
        return token


def _turned_away(answer: Mapping[str, str]) -> str:
    if "state" in answer:
        return (
            "This is the answer to another sign-in: close it, and go on with the address that was "
            "printed last."
        )
    return "This is not the address of the last page: copy all of it, to its very end."


def _report(account: AccountSettings, tenant: str, token: Token) -> None:
    click.echo(
        f"Signed in to the tenant {tenant}. The tokens are in {account.token_file}, which each "
        "run renews; whoever reads that file can sign in."
    )
    if not token.refresh_token:
        click.echo(
            "No refresh token came, so that this ends within the hour: add offline_access to the "
            "setting scope, and sign in again."
        )
