"""The command `tap-acumatica login`."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from tap_acumatica.cli.opening import CommandTap, open_tap
from tap_acumatica.login.login import login

if TYPE_CHECKING:
    from singer_sdk.plugin_base import _ConfigInput


def command(tap: type[CommandTap], _: click.Command) -> click.Command:
    """Return the command `login`."""

    def callback(config: _ConfigInput, tenant: str | None, *, browser: bool) -> None:
        with open_tap(tap, config, setup_mapper=False) as opened:
            # Let signals end the command at once; a tap would stop only between two records.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            for name in ("SIGTERM", "SIGHUP", "SIGQUIT"):
                if hasattr(signal, name):
                    signal.signal(getattr(signal, name), signal.SIG_DFL)
            settings = opened.run.settings
            login(settings.account, settings.client, tenant, browser=browser)

    return click.Command(
        "login",
        callback=callback,
        help="Sign in with a browser, for auth_method oauth.",
        params=[
            click.Option(
                ["--config"],
                multiple=True,
                help="Configuration file location or 'ENV' to use environment variables.",
                callback=tap.cb_config,
            ),
            click.Option(["--tenant"], help="Sign in to this tenant only."),
            # With either option Meltano skips discovery, which would need a sign-in.
            click.Option(
                ["--browser/--no-browser"],
                default=True,
                help="Open the browser, or only print the address.",
            ),
        ],
    )
