"""The command line. Every error ends in one sentence on stderr."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource
from singer_sdk.plugin_base import SingerCommand
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_acumatica.cli.ending import say
from tap_acumatica.cli.opening import CommandTap, open_tap
from tap_acumatica.cli.stdout import complete_stdout
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.run.endings import exit_code
from tap_acumatica.run.run import Run

if TYPE_CHECKING:
    from collections.abc import Callable

SUBCOMMANDS: Final = ("check", "login", "reread")
"""The subcommands; each is made by the module of its name, which is imported on demand."""


class TapCommand(SingerCommand, click.Group):
    """The SDK's command with subcommands, and with errors as sentences.

    Without a subcommand it is the Singer command.
    """

    make: Callable[[str], click.Command]
    """Makes a subcommand."""

    @classmethod
    def of(cls, command: SingerCommand, make: Callable[[str], click.Command]) -> TapCommand:
        """Create it from the SDK's command; subcommands are made when they are asked for."""

        def sync(**options: Any) -> None:  # noqa: ANN401 - the SDK's
            context = click.get_current_context()
            if context.invoked_subcommand is None and command.callback:
                command.callback(**options)
            elif context.get_parameter_source("config") is ParameterSource.COMMANDLINE:
                name = context.invoked_subcommand
                message = f"The option --config comes before {name}: put it after that word."
                raise SettingsError(message)

        group = cls(
            name=command.name,
            callback=sync,
            invoke_without_command=True,
            context_settings=command.context_settings,
            help=command.help,
            params=command.params,
            logger=command.logger,
        )
        group.make = make
        return group

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    @override
    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.make(cmd_name) if cmd_name in SUBCOMMANDS else None

    @override
    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with complete_stdout():
                return super().main(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the last resort: a sentence, not a traceback
            say(error)
            sys.exit(exit_code(error))


def command(tap: type[CommandTap], singer_command: click.Command) -> click.Command:
    """Return the command line of a tap: the SDK's Singer command with the subcommands."""
    assert isinstance(singer_command, SingerCommand)  # noqa: S101 - the SDK's is one
    for parameter in singer_command.params:
        if parameter.name == "catalog":
            # --test needs the catalog while the other parameters are being parsed.
            parameter.is_eager = True
        if parameter.name in {"catalog", "state"}:
            # The tap opens the file itself: click would end with its usage instead.
            parameter.type = click.STRING

    def make(name: str) -> click.Command:
        subcommand: click.Command = import_module(f"tap_acumatica.cli.{name}").command(
            tap, singer_command
        )
        return subcommand

    return TapCommand.of(singer_command, make)


def discover(tap: type[CommandTap], ctx: click.Context) -> None:
    """Print the catalog."""
    # Without a terminal this is the discovery for a run: one name that is gone must not fail it.
    run = Run(strict=sys.stdout.isatty())
    try:
        with open_tap(tap, ctx.params.get("config"), setup_mapper=False, run=run) as opened:
            # Bytes, since JSON is UTF-8 in every locale.
            click.echo(opened.catalog_json_text.encode())
    except Exception as error:
        # Meltano discovers before each run: there will be none.
        run.end(error)
        run.report.write()
        raise


def test(tap: type[CommandTap], ctx: click.Context, option: str) -> None:
    """Write the SCHEMA message, or one record, of each selected stream."""
    catalog = ctx.params.get("catalog")
    run = Run(strict=True)
    with open_tap(tap, ctx.params.get("config"), catalog=catalog, run=run) as opened:
        streams = opened.selected_streams()
        if option == CliTestOptionValue.Schema.value:
            for stream in streams:
                stream._write_schema_message()  # noqa: SLF001 - as the SDK's write_schemas
        else:
            opened.run_sync_dry_run(streams=streams)
        opened.run.require_complete([stream.plan for stream in streams])
