"""The command `tap-acumatica reread`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tap_acumatica.cli.files import read_bytes
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.instants import in_utc
from tap_acumatica.odata.masking import shown
from tap_acumatica.reading.reread import reread

if TYPE_CHECKING:
    from datetime import datetime

    from tap_acumatica.cli.opening import CommandTap


def command(_: type[CommandTap], __: click.Command) -> click.Command:
    """Return the command `reread`."""
    return click.Command(
        "reread",
        callback=_reread,
        help=(
            "Change a state so that the next run reads streams again: takes it from a file or from "
            "standard input, and prints the new one."
        ),
        params=[
            click.Option(["--state"], default="-", help="The state; - for standard input."),
            click.Option(
                ["--stream"],
                multiple=True,
                help="A stream to read again, by its name or its end (SOOrder); may be repeated.",
            ),
            click.Option(["--tenant"], help="Read it again in this tenant only."),
            click.Option(["--since"], help="Read the rows that changed since this date."),
        ],
    )


def _reread(state: str, stream: tuple[str, ...], tenant: str | None, since: str | None) -> None:
    if not stream:
        message = "The option --stream is missing: name the streams to read again."
        raise SettingsError(message)
    text, unchanged = reread(read_bytes(state), stream, tenant, _instant(since))
    click.echo(text)
    for name in unchanged:
        click.echo(
            shown(
                f"{name} has no bookmark behind that: the next run reads it in any case, and the "
                "state stays as it is."
            ),
            err=True,
        )


def _instant(since: str | None) -> datetime | None:
    try:
        return None if since is None else in_utc(since)
    except ValueError as error:
        message = f"The option --since is no date ({since}): write it as 2026-01-31."
        raise SettingsError(message) from error
