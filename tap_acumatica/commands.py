"""The command line. What goes wrong ends in one sentence on stderr, whatever was being done."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Final

import click
from singer_sdk.plugin_base import SingerCommand
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.log import logger, masking
from tap_acumatica.prefetch import Stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tap_acumatica.tap import TapAcumatica


SIGNAL_EXIT: Final = 128
"""The exit code of a process that a signal ended is this and the signal's number."""


class TapCommand(SingerCommand, click.Group):
    """The SDK's command, but for errors, `--discover` and `--test`, with commands of its own.

    Without the name of one of them it is the Singer command.
    """

    @classmethod
    def of(
        cls, command: click.Command, tap: type[TapAcumatica], subcommands: Sequence[click.Command]
    ) -> TapCommand:
        """The SDK's command made ours."""
        for parameter in command.params:
            if parameter.name == "catalog":
                # --test reads it while the other parameters are being parsed.
                parameter.is_eager = True

        def sync(**options: Any) -> None:  # noqa: ANN401 - the SDK's
            if click.get_current_context().invoked_subcommand is None and command.callback:
                command.callback(**options)

        return cls(
            name=command.name,
            callback=sync,
            commands=subcommands,
            invoke_without_command=True,
            context_settings=command.context_settings,
            help=command.help,
            params=command.params,
            logger=tap.logger,
        )

    @override
    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().main(*args, **kwargs)
        except AcumaticaError as error:
            for sentence in error.sentences:
                _say(sentence)
        except Stopped as stopped:
            sys.exit(SIGNAL_EXIT + stopped.signal)
        except BrokenPipeError:
            # Nothing more can be written; without this, Python says so again at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            _say("The target closed the pipe before everything was written: see its own log.")
        except Exception as error:  # noqa: BLE001 - the last resort: a sentence, not a trace
            _say(
                f"{type(error).__name__}: {error}. This should not happen: please report it with "
                "the trace that TAP_ACUMATICA_LOGLEVEL=DEBUG shows."
            )
            logger.debug("Trace", exc_info=True)
        sys.exit(1)


def discover(tap: type[TapAcumatica], ctx: click.Context) -> None:
    """Print the catalog."""
    with tap.opened(ctx.params.get("config"), setup_mapper=False) as opened:
        opened.run_discovery()


def test(tap: type[TapAcumatica], ctx: click.Context, what: str) -> None:
    """Write the schema, or one record, of each selected stream."""
    catalog = ctx.params.get("catalog")
    with tap.opened(ctx.params.get("config"), catalog=catalog) as opened:
        streams = opened.selected_streams()
        if what == CliTestOptionValue.Schema.value:
            for stream in streams:
                stream._write_schema_message()  # noqa: SLF001 - as the SDK's write_schemas
        else:
            opened.run_sync_dry_run(streams=streams)
        opened.report_missed(streams)


def _say(sentence: str) -> None:
    if logging.getLogger().handlers:
        logger.error("%s", sentence)
    else:
        sys.stderr.write(masking.masked(sentence) + "\n")
