"""`tap-acumatica login`: a person signs in in a browser, once, and the tap keeps the tokens."""

from __future__ import annotations

import signal
import time
import webbrowser
from typing import TYPE_CHECKING, Any, Final

import click

from tap_acumatica.cli.app import open_tap
from tap_acumatica.login import page as login_page
from tap_acumatica.login.callback import PATIENCE, Arrival, arriving, next_arrival
from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.odata.http.answer import shortened
from tap_acumatica.odata.log import masking
from tap_acumatica.run import accounts
from tap_acumatica.settings import validation as configuration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from queue import Queue

    from singer_sdk.plugin_base import _ConfigInput

    from tap_acumatica.odata.oauth.identity_server import IdentityServer, SignIn
    from tap_acumatica.odata.oauth.tokens import Token, TokenStore
    from tap_acumatica.tap import TapAcumatica

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


def command(tap: type[TapAcumatica]) -> click.Command:
    """The command `login`."""

    def callback(config: _ConfigInput, tenant: str | None, *, browser: bool) -> None:
        with open_tap(tap, config, setup_mapper=False) as made:
            # A tap takes signals for a wish to stop between two records; here they are to end it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            login(made.config, tenant, browser=browser)

    return click.Command(
        "login",
        callback=callback,
        help="Sign in in a browser, for auth_method oauth.",
        params=[
            click.Option(
                ["--config"],
                multiple=True,
                help="Configuration file location or 'ENV' to use environment variables.",
                callback=tap.cb_config,
            ),
            click.Option(["--tenant"], help="Sign in to this tenant only."),
            # With either of them Meltano does not discover first, which needs a sign-in.
            click.Option(
                ["--browser/--no-browser"],
                default=True,
                help="Open the browser, or only print the address.",
            ),
        ],
    )


def login(settings: Mapping[str, Any], tenant: str | None = None, *, browser: bool = True) -> None:
    """Sign in to each tenant of the settings, or to one of them.

    Raises:
        SettingsError: The settings are not for this.
        AcumaticaError: Somebody said no, or nothing at all.
    """
    how = configuration.client_settings(settings)
    chosen, callback_url = _chosen(settings, tenant), settings["callback_url"]
    with arriving(callback_url) as arrivals:
        for each in chosen:
            server = accounts.identity_server(settings, how, each)
            store = accounts.token_store(settings, how, server)
            sign_in = _Login(server, store, each, arrivals)
            _report(settings, each, sign_in.run(callback_url, browser=browser))
    click.echo("Next: tap-acumatica --config=... --discover > catalog.json")


def _chosen(settings: Mapping[str, Any], tenant: str | None) -> Sequence[str]:
    if settings["auth_method"] != "oauth":
        message = "The setting auth_method is basic, for which there is no login: set it to oauth."
        raise SettingsError(message)
    if not settings.get("token_file"):
        message = "The setting token_file is missing: name a file in which login keeps the tokens."
        raise SettingsError(message)
    known = accounts.tenants(settings)
    chosen = [each for each in known if tenant is None or each.lower() == tenant.lower()]
    if not chosen:
        message = (
            f"The option --tenant names {tenant}, which is none of the tenants of the settings "
            f"({', '.join(known)}): correct one of them."
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
            arrival.show(login_page.failed(masking.masked(str(error))))
            raise
        arrival.show(login_page.done(self._tenant, self._server.site))
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
            arrival.show(login_page.failed(sentence))
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


def _report(settings: Mapping[str, Any], tenant: str, token: Token) -> None:
    click.echo(
        f"Signed in to the tenant {tenant}. The tokens are in {settings['token_file']}, which each "
        "run renews; whoever reads that file can sign in."
    )
    if not token.refresh_token:
        click.echo(
            "No refresh token came, so that this ends within the hour: add offline_access to the "
            "setting scope, and sign in again."
        )
