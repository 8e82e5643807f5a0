"""`tap-acumatica check`."""

from __future__ import annotations

from contextlib import closing
from copy import copy
from datetime import UTC, datetime
from functools import partial
from typing import IO, TYPE_CHECKING

import click

from tap_acumatica.check import report
from tap_acumatica.check.checker import RETRY_LIMITS, Checker
from tap_acumatica.check.findings import failure
from tap_acumatica.cli.opening import CommandTap, open_tap
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.log import silenced
from tap_acumatica.run.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from singer_sdk.plugin_base import _ConfigInput

    from tap_acumatica.check.findings import Finding


def check_command(tap: type[CommandTap], command: click.Command) -> click.Command:
    """`tap-acumatica check`, with --config and --catalog as the Singer command has them."""
    options = [copy(each) for each in command.params if each.name in {"config", "catalog"}]
    for option in options:
        if option.name == "config":
            # Read where what is wrong with a file is a step.
            option.callback = lambda *given: partial(tap.cb_config, *given)
    how = click.Option(
        ["--format", "output"],
        type=click.Choice(["text", "json"]),
        default="text",
        help="One line a step, or one JSON object.",
    )
    return click.Command(
        name="check",
        callback=partial(check, tap),
        params=[*options, how],
        help="Try what a sync needs, and name what stands in its way.",
    )


def check(
    tap: type[CommandTap],
    config: Callable[[], _ConfigInput],
    catalog: IO[str] | None,
    output: str,
) -> None:
    """Try what a sync needs.

    Args:
        tap: The tap.
        config: Reads the settings.
        catalog: File with the catalog.
        output: The form, text or json.

    Raises:
        CheckFailed: A sync would not work.
    """
    # Closed, so that it is not quiet any more when its text cannot be written.
    with closing(_findings(tap, config, catalog)) as findings:
        if output == "json":
            text, found = report.as_json(findings)
            click.echo(text.encode())
        else:
            found = report.show(findings)
    report.require_good(found)


def _findings(
    tap: type[CommandTap], config: Callable[[], _ConfigInput], catalog: IO[str] | None
) -> Generator[Finding]:
    with silenced() as restore:
        # What the server says now is asked for.
        run = Run(RETRY_LIMITS, cached_metadata=False)
        try:
            with open_tap(tap, config(), catalog=catalog, setup_mapper=False, run=run) as checked:
                restore(run.settings.client.verbosity)
                checker = Checker(run, checked.selected_plans, lambda: datetime.now(UTC))
                yield from checker.findings()
        except AcumaticaError as error:
            yield failure(error)
