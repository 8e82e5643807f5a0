"""Opens a tap with the files and settings that the command line names."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from singer_sdk.plugin_base import _ConfigInput

from tap_acumatica.cli.files import read_catalog, read_state
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import click
    from singer_sdk import Stream

    from tap_acumatica.catalog.plan import StreamPlan
    from tap_acumatica.stream import EntityStream


class CommandTap(Protocol):
    """The part of a tap that the commands use."""

    run: Run

    def __init__(  # noqa: PLR0913 - the SDK's
        self,
        *,
        config: dict[str, Any],
        parse_env_config: bool,
        catalog: dict[str, Any] | None,
        state: dict[str, Any] | None,
        setup_mapper: bool,
        run: Run,
    ) -> None: ...

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings, with their defaults."""
        ...

    @property
    def catalog_names(self) -> list[str] | None:
        """The names of all streams of the catalog that was given, or None."""
        ...

    @property
    def bookmarks(self) -> dict[str, Any]:
        """The bookmarks of the state, by stream."""
        ...

    @property
    def catalog_json_text(self) -> str:
        """The discovered catalog as JSON."""
        ...

    @classmethod
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        """Read the settings."""
        ...

    def selected_streams(self) -> list[EntityStream]:
        """Return the streams to read."""
        ...

    def selected_plans(self) -> list[StreamPlan]:
        """Return the plans of the streams to read."""
        ...

    def run_sync_dry_run(
        self, dry_run_record_limit: int | None = 1, streams: Iterable[Stream] | None = None
    ) -> bool:
        """Read one record of each stream."""
        ...


Opened = TypeVar("Opened", bound=CommandTap)


@contextmanager
def open_tap(  # noqa: PLR0913 - the options of the command line
    tap: type[Opened],
    config: _ConfigInput | None,
    *,
    catalog: str | None = None,
    state: str | None = None,
    setup_mapper: bool = True,
    run: Run | None = None,
) -> Iterator[Opened]:
    """Create a tap for the options of the command line, and close its run in the end.

    After an error the cached metadata are deleted: they may be the cause.
    """
    config, run = config or _ConfigInput(), run or Run()
    run.begin_report(config.config, in_environment=config.parse_env)
    try:
        yield tap(
            config=config.config,
            parse_env_config=config.parse_env,
            catalog=read_catalog(catalog) if catalog else None,
            state=read_state(state) if state else None,
            setup_mapper=setup_mapper,
            run=run,
        )
    except AcumaticaError:
        run.forget_metadata()
        raise
    except Stopped as stopped:
        raise Stopped(run.stop_signal or stopped.signal) from None
    finally:
        run.close()
