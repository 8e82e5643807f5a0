"""The command line. What goes wrong ends in one sentence on stderr, whatever was being done."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource
from singer_sdk.plugin_base import SingerCommand
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_acumatica.cli.check import check_command
from tap_acumatica.cli.login import login_command
from tap_acumatica.cli.opening import CommandTap, open_tap
from tap_acumatica.cli.stdout import OutputFailed, complete_stdout
from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.odata.log import logger, masking
from tap_acumatica.reading.prefetch import Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence


SIGNAL_EXIT: Final = 128
"""The exit code of a process that a signal ended is this and the signal's number."""


class TapCommand(SingerCommand, click.Group):
    """The SDK's command, but for errors, `--discover` and `--test`, with commands of its own.

    Without the name of one of them it is the Singer command.
    """

    @classmethod
    def of(cls, command: SingerCommand, subcommands: Sequence[click.Command]) -> TapCommand:
        """The SDK's command made ours."""
        for parameter in command.params:
            if parameter.name == "catalog":
                # --test reads it while the other parameters are being parsed.
                parameter.is_eager = True

        def sync(**options: Any) -> None:  # noqa: ANN401 - the SDK's
            context = click.get_current_context()
            if context.invoked_subcommand is None and command.callback:
                command.callback(**options)
            elif context.get_parameter_source("config") is ParameterSource.COMMANDLINE:
                name = context.invoked_subcommand
                message = f"The option --config stands before {name}: put it behind that word."
                raise SettingsError(message)

        return cls(
            name=command.name,
            callback=sync,
            commands=subcommands,
            invoke_without_command=True,
            context_settings=command.context_settings,
            help=command.help,
            params=command.params,
            logger=command.logger,
        )

    @override
    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with complete_stdout():
                return super().main(*args, **kwargs)
        except AcumaticaError as error:
            for sentence in error.sentences:
                _say(sentence)
        except Stopped as stopped:
            sys.exit(SIGNAL_EXIT + stopped.signal)
        except OutputFailed as failed:
            _say(str(failed))
        except Exception as error:  # noqa: BLE001 - the last resort: a sentence, not a trace
            _say(
                f"{type(error).__name__}: {error}. This should not happen: please report it with "
                "the trace that TAP_ACUMATICA_LOGLEVEL=DEBUG shows."
            )
            logger.debug("Trace", exc_info=True)
        sys.exit(1)


def command(tap: type[CommandTap], singer_command: click.Command) -> click.Command:
    """Return the command line of a tap: the SDK's Singer command, with commands of its own."""
    assert isinstance(singer_command, SingerCommand)  # noqa: S101 - the SDK's is one
    return TapCommand.of(singer_command, [login_command(tap), check_command(tap, singer_command)])


def discover(tap: type[CommandTap], ctx: click.Context) -> None:
    """Print the catalog."""
    with open_tap(tap, ctx.params.get("config"), setup_mapper=False) as discovering:
        # Bytes, since JSON is UTF-8 whatever the locale is.
        click.echo(discovering.catalog_json_text.encode())


def test(tap: type[CommandTap], ctx: click.Context, what: str) -> None:
    """Write the schema, or one record, of each selected stream."""
    catalog = ctx.params.get("catalog")
    with open_tap(tap, ctx.params.get("config"), catalog=catalog) as tested:
        streams = tested.selected_streams()
        if what == CliTestOptionValue.Schema.value:
            for stream in streams:
                stream._write_schema_message()  # noqa: SLF001 - as the SDK's write_schemas
        else:
            tested.run_sync_dry_run(streams=streams)
        tested.run.require_complete([stream.plan for stream in streams])


def _say(sentence: str) -> None:
    if logging.getLogger().handlers:
        logger.error("%s", sentence)
    else:
        sys.stderr.write(masking.masked(sentence) + "\n")
