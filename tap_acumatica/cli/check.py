"""The command `tap-acumatica check`."""

from __future__ import annotations

import sys
from contextlib import closing
from copy import copy
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import click

from tap_acumatica.check import report
from tap_acumatica.check.checker import RETRY_LIMITS, Checker, Earlier
from tap_acumatica.check.findings import failure
from tap_acumatica.cli.ending import say
from tap_acumatica.cli.opening import CommandTap, open_tap
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.log import silenced
from tap_acumatica.run.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from singer_sdk.plugin_base import _ConfigInput

    from tap_acumatica.check.findings import Finding


def command(tap: type[CommandTap], singer_command: click.Command) -> click.Command:
    """Return the command `check`, with the Singer command's options --config and --catalog."""
    options = [
        copy(option) for option in singer_command.params if option.name in {"config", "catalog"}
    ]
    for option in options:
        if option.name == "config":
            # The file is read later, so that an error in it is reported as a step of the check.
            option.callback = lambda *arguments: partial(tap.cb_config, *arguments)
    output_format = click.Option(
        ["--format", "output"],
        type=click.Choice(["text", "json"]),
        default="text",
        help="Print one line for each step, or one JSON object.",
    )
    state = click.Option(
        ["--state"], help="The state of the next run, also as meltano state get prints it."
    )
    return click.Command(
        name="check",
        callback=partial(check, tap),
        params=[*options, state, output_format],
        help="Check whether a sync would work, and say what would make it fail.",
    )


def check(
    tap: type[CommandTap],
    config: Callable[[], _ConfigInput],
    catalog: str | None,
    state: str | None,
    output: str,
) -> None:
    """Check whether a sync would work, and print the result.

    Args:
        tap: The tap's class.
        config: Reads the settings.
        catalog: Path of the file with the catalog.
        state: Path of the file with the state.
        output: The output format, text or json.
    Exits with 1 if a sync would not work.
    """
    # Closing the generator restores the log, also when the output cannot be written.
    with closing(_findings(tap, config, catalog, state)) as steps:
        if output == "json":
            text, findings = report.as_json(steps)
            click.echo(text.encode())
        else:
            findings = report.show(steps)
    try:
        report.require_good(findings)
    except report.CheckFailed as error:
        say(error)
        sys.exit(1)


def _findings(
    tap: type[CommandTap],
    config: Callable[[], _ConfigInput],
    catalog: str | None,
    state: str | None,
) -> Generator[Finding]:
    with silenced() as restore:
        # A check asks the server itself, not the metadata cache.
        run = Run(RETRY_LIMITS, cached_metadata=False, strict=True)
        try:
            with open_tap(
                tap, config(), catalog=catalog, state=state, setup_mapper=False, run=run
            ) as opened:
                restore(run.settings.client.verbosity)
                earlier = Earlier(opened.catalog_names, opened.bookmarks)
                plans = opened.selected_plans
                checker = Checker(run, plans, lambda: datetime.now(UTC), earlier)
                yield from checker.findings()
        except AcumaticaError as error:
            yield failure(error)
