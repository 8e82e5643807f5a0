"""The command line. What goes wrong ends in one sentence on stderr, whatever was being done."""

from __future__ import annotations

import logging
import sys
from contextlib import closing, contextmanager
from copy import copy
from datetime import UTC, datetime
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final, TypeVar

import click
from click.core import ParameterSource
from singer_sdk.plugin_base import SingerCommand, _ConfigInput
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_acumatica.check import report
from tap_acumatica.check.checker import PATIENCE, Checker
from tap_acumatica.check.findings import failure
from tap_acumatica.cli import stdout as stdio
from tap_acumatica.cli.files import read_catalog, read_object
from tap_acumatica.discovery.cache import MetadataCache
from tap_acumatica.odata.errors import AcumaticaError, SettingsError
from tap_acumatica.odata.log import logger, masking, silenced
from tap_acumatica.reading.prefetch import Stopped

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from tap_acumatica.check.findings import Finding
    from tap_acumatica.tap import TapAcumatica

    Opened = TypeVar("Opened", bound=TapAcumatica)


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
            logger=tap.logger,
        )

    @override
    def main(self, *args: Any, **kwargs: Any) -> Any:
        try:
            with stdio.complete_stdout():
                return super().main(*args, **kwargs)
        except AcumaticaError as error:
            for sentence in error.sentences:
                _say(sentence)
        except Stopped as stopped:
            sys.exit(SIGNAL_EXIT + stopped.signal)
        except stdio.OutputFailed as failed:
            _say(str(failed))
        except Exception as error:  # noqa: BLE001 - the last resort: a sentence, not a trace
            _say(
                f"{type(error).__name__}: {error}. This should not happen: please report it with "
                "the trace that TAP_ACUMATICA_LOGLEVEL=DEBUG shows."
            )
            logger.debug("Trace", exc_info=True)
        sys.exit(1)


@contextmanager
def open_tap(
    tap: type[Opened],
    config: _ConfigInput | None,
    *,
    catalog: IO[str] | None = None,
    state: IO[str] | None = None,
    setup_mapper: bool = True,
) -> Iterator[Opened]:
    """A tap for what the command line says, closed in the end."""
    config = config or _ConfigInput()
    made = tap.__new__(tap)
    try:
        made.__init__(  # type: ignore[misc] # to be closed also when discovery fails in it
            config=config.config,
            parse_env_config=config.parse_env,
            catalog=read_catalog(catalog) if catalog else None,
            state=read_object(state) if state else None,
            setup_mapper=setup_mapper,
        )
        yield made
    except AcumaticaError:
        made.forget_metadata()
        raise
    finally:
        made.close()


def discover(tap: type[TapAcumatica], ctx: click.Context) -> None:
    """Print the catalog."""
    with open_tap(tap, ctx.params.get("config"), setup_mapper=False) as discovering:
        # Bytes, since JSON is UTF-8 whatever the locale is.
        click.echo(discovering.catalog_json_text.encode())


def test(tap: type[TapAcumatica], ctx: click.Context, what: str) -> None:
    """Write the schema, or one record, of each selected stream."""
    catalog = ctx.params.get("catalog")
    with open_tap(tap, ctx.params.get("config"), catalog=catalog) as tested:
        streams = tested.selected_streams()
        if what == CliTestOptionValue.Schema.value:
            for stream in streams:
                stream._write_schema_message()  # noqa: SLF001 - as the SDK's write_schemas
        else:
            tested.run_sync_dry_run(streams=streams)
        tested.report_missed(streams)


def check_command(tap: type[TapAcumatica], command: click.Command) -> click.Command:
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
    tap: type[TapAcumatica],
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
    tap: type[TapAcumatica], config: Callable[[], _ConfigInput], catalog: IO[str] | None
) -> Generator[Finding]:
    with silenced() as talking:
        try:
            with open_tap(tap, config(), catalog=catalog, setup_mapper=False) as checked:
                checked.instance.patience = PATIENCE
                # What the server says now is asked for.
                checked.instance.metadata_cache = MetadataCache()
                talking(checked.config["verbosity"])
                yield from Checker(checked, lambda: datetime.now(UTC)).findings()
        except AcumaticaError as error:
            yield failure(error)


def _say(sentence: str) -> None:
    if logging.getLogger().handlers:
        logger.error("%s", sentence)
    else:
        sys.stderr.write(masking.masked(sentence) + "\n")
