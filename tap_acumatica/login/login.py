"""`tap-acumatica login`: a person signs in with a browser, once, and the tap stores the tokens."""

from __future__ import annotations

import time
import webbrowser
from typing import TYPE_CHECKING, Final

import click

from tap_acumatica.login import page
from tap_acumatica.login.callback import (
    SIGN_IN_TIMEOUT,
    Callback,
    next_callback,
    receive_callbacks,
)
from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.odata.http.answer import shortened
from tap_acumatica.odata.masking import shown, visible
from tap_acumatica.run.oauth_accounts import identity_server, token_store

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from queue import Queue

    from tap_acumatica.odata.http.client import ClientSettings
    from tap_acumatica.odata.oauth.identity_server import IdentityServer, SignIn
    from tap_acumatica.odata.oauth.tokens import Token, TokenStore
    from tap_acumatica.settings.accounts import AccountSettings

WRONG_FLOW: Final = (
    "the application has another flow; set it to Authorization Code on Connected Applications "
    "(SM303010)"
)
EXPLANATIONS: Final[Mapping[str, str]] = {
    "access_denied": "access was denied on the consent page; allow it there",
    "invalid_scope": (
        "the application may not request what the setting scope names; compare it with Connected "
        "Applications (SM303010), and remove offline_access if the application issues no refresh "
        "tokens"
    ),
    "unauthorized_client": WRONG_FLOW,
    "unsupported_response_type": WRONG_FLOW,
    "invalid_request": (
        "the identity server did not understand the request; check client_id and callback_url"
    ),
    "server_error": "the identity server failed; see the trace log of the instance",
    "temporarily_unavailable": "the identity server is busy or under maintenance; wait a while",
}
"""What the error codes of the sign-in page mean (RFC 6749, 4.1.2.1)."""


def login(
    account: AccountSettings,
    client: ClientSettings,
    tenant: str | None = None,
    *,
    browser: bool = True,
) -> None:
    """Sign in to each tenant of the settings, or to one of them.

    Args:
        account: The settings for the sign-in.
        client: The settings for requests.
        tenant: The only tenant to sign in to, or None for all.
        browser: Whether to open the browser.

    Raises:
        SettingsError: The settings do not allow a login.
        AcumaticaError: The sign-in was refused, or nobody signed in.
    """
    names = _chosen_tenants(account, tenant)
    with receive_callbacks(account.callback_url) as callbacks:
        for name in names:
            server = identity_server(account, client, name)
            store = token_store(account, client, server)
            tenant_login = _Login(server, store, name, callbacks)
            _report(account, name, tenant_login.run(account.callback_url, browser=browser))
    click.echo("Next: tap-acumatica --config=... --discover > catalog.json")


def _chosen_tenants(account: AccountSettings, tenant: str | None) -> Sequence[str]:
    if not account.by_oauth:
        message = "The setting auth_method is basic, which has no login: set it to oauth."
        raise SettingsError(message)
    if not account.token_file:
        message = "The setting token_file is missing: name a file in which to store the tokens."
        raise SettingsError(message)
    if tenant is None:
        return account.tenants
    names = [name for name in account.tenants if name.lower() == tenant.lower()]
    if not names:
        message = (
            f"The option --tenant names {tenant}, which is not among the tenants of the settings "
            f"({', '.join(account.tenants)}): correct the option or the settings."
        )
        raise SettingsError(message)
    return names


class _Login:
    """One sign-in to one tenant."""

    def __init__(
        self, server: IdentityServer, store: TokenStore, tenant: str, callbacks: Queue[Callback]
    ) -> None:
        self._server = server
        self._store = store
        self._tenant = tenant
        self._callbacks = callbacks

    def run(self, callback_url: str, *, browser: bool) -> Token:
        sign_in = self._server.begin(callback_url)
        self._print_address(sign_in, opened=browser and webbrowser.open(sign_in.url))
        callback = self._wait_for_callback(sign_in)
        try:
            token = self._obtain_token(sign_in, callback.parameters)
        except AcumaticaError as error:
            callback.show(page.failed(shown(str(error))))
            raise
        callback.show(page.done(self._tenant, self._server.site))
        return token

    def _print_address(self, sign_in: SignIn, *, opened: bool) -> None:
        where = "in the browser, which was opened at" if opened else "in a browser, at"
        click.echo(f"Sign in to the tenant {self._tenant} {where}\n\n  {visible(sign_in.url)}\n")
        click.echo(
            "If the browser runs on another machine, its last page does not load: then paste the "
            "address of that page here.\n"
        )

    def _wait_for_callback(self, sign_in: SignIn) -> Callback:
        """Return the callback of this sign-in, and reject those of others."""
        deadline = time.monotonic() + SIGN_IN_TIMEOUT
        while True:
            callback = next_callback(self._callbacks, deadline)
            parameters = callback.parameters
            if parameters.get("state") == sign_in.state and parameters.keys() & {"code", "error"}:
                return callback
            sentence = _rejection(parameters)
            callback.show(page.failed(sentence))
            click.echo(sentence)

    def _obtain_token(self, sign_in: SignIn, parameters: Mapping[str, str]) -> Token:
        if "error" in parameters:
            code = parameters["error"]
            explanation = EXPLANATIONS.get(
                code, "the identity server refused; see its own description"
            )
            description = parameters.get("error_description", "").rstrip(".")
            detail = ", ".join(text for text in (code, description) if text)
            message = (
                f"Nobody was signed in: {explanation} ({shortened(detail)}). Then run "
                "`tap-acumatica login` again."
            )
            raise AcumaticaError(message)
        with self._store.updating() as update:
            token = self._server.exchange(sign_in, parameters["code"])
            update.store(token)
        return token


def _rejection(parameters: Mapping[str, str]) -> str:
    if "state" in parameters:
        return (
            "This is the answer to another sign-in: close it, and continue with the address that "
            "was printed last."
        )
    return "This is not the address of the last page: copy the whole address, to its very end."


def _report(account: AccountSettings, tenant: str, token: Token) -> None:
    click.echo(
        f"Signed in to the tenant {tenant}. The tokens are in {account.token_file}; runs renew "
        "them, and whoever can read that file can sign in."
    )
    if not token.refresh_token:
        click.echo(
            "The identity server issued no refresh token, so this sign-in ends within the hour: "
            "add offline_access to the setting scope, and sign in again."
        )
