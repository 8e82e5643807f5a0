"""`tap-acumatica login`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from tap_acumatica.cli.opening import CommandTap, open_tap
from tap_acumatica.login.login import login

if TYPE_CHECKING:
    from singer_sdk.plugin_base import _ConfigInput


def login_command(tap: type[CommandTap]) -> click.Command:
    """The command `login`."""

    def callback(config: _ConfigInput, tenant: str | None, *, browser: bool) -> None:
        with open_tap(tap, config, setup_mapper=False) as opened:
            # A tap takes signals for a wish to stop between two records; here they are to end it.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            settings = opened.run.settings
            login(settings.account, settings.client, tenant, browser=browser)

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
