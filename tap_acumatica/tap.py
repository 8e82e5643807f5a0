"""TapAcumatica: the SDK's hooks for the tap."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ClassVar, Final

from singer_sdk import Tap
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import (
    CapabilitiesEnum,
    PluginCapabilities,
    TapCapabilities,
)
from singer_sdk.plugin_base import _ConfigInput
from singer_sdk.singerlib.catalog import Catalog
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_acumatica.catalog.absence import TenantGaps, require_tenant_keys
from tap_acumatica.catalog.deletions import add_mark
from tap_acumatica.catalog.entry import as_text
from tap_acumatica.catalog.given import declared_types, settled
from tap_acumatica.catalog.inquiries import require_inquiry_keys
from tap_acumatica.catalog.plan import StreamPlan
from tap_acumatica.catalog.related import prune
from tap_acumatica.catalog.schema import catalog_of, entry_of
from tap_acumatica.catalog.selection import names_in
from tap_acumatica.cli import app
from tap_acumatica.cli.ending import ending
from tap_acumatica.cli.files import read_catalog, read_object
from tap_acumatica.cli.opening import open_tap
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.log import logger, set_verbosity, show_safely
from tap_acumatica.output import sync_log
from tap_acumatica.output.batches import batch_folder
from tap_acumatica.output.stream_maps import name_expressions, stream_map_errors
from tap_acumatica.output.writer import PacedStateWriter, Writer
from tap_acumatica.reading.bookmarks import (
    SITE,
    TENANT,
    require_same_origin,
    require_shape,
    tenants_in,
    warn_of_other_spellings,
)
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run import drift
from tap_acumatica.run.assembly import assemble
from tap_acumatica.run.display import show_progress
from tap_acumatica.run.partition import streams_read
from tap_acumatica.run.run import Run
from tap_acumatica.run.selection import (
    require_all_tenants,
    require_readable,
    require_sensible,
    warn_of_old_decimals,
    warn_of_selection,
)
from tap_acumatica.settings import validation
from tap_acumatica.settings.environment import PREFIX, settings_of_environment
from tap_acumatica.settings.schema import SCHEMA
from tap_acumatica.stream import EntityStream

if TYPE_CHECKING:
    import logging
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType

    import click
    from singer_sdk.singerlib.catalog import CatalogEntry

    from tap_acumatica.catalog.entry import StreamDescription
    from tap_acumatica.catalog.plan import Tenant
    from tap_acumatica.reading.bookmarks import Bookmark
    from tap_acumatica.reading.model import FullRead


NOT_FOR_USERS: Final = frozenset(
    {"Parsing env var for settings config...", "Skipping parse of env var settings..."}
)
"""What the SDK logs about itself."""

ACTIVATE_VERSION: Final[CapabilitiesEnum] = (
    # SDK 0.55 moves it from one class to the other.
    getattr(PluginCapabilities, "ACTIVATE_VERSION", None) or TapCapabilities.ACTIVATE_VERSION
)


class TapAcumatica(Tap):
    """Singer tap for Acumatica ERP: every OData entity, complete, exact and incremental."""

    name = "tap-acumatica"
    package_name = "tap-acumatica"
    config_jsonschema: ClassVar[dict[str, Any]] = deepcopy(SCHEMA)  # the SDK adds its own
    dynamic_catalog = True
    message_writer_class = Writer
    capabilities: ClassVar[list[Any]] = [
        TapCapabilities.CATALOG,
        TapCapabilities.STATE,
        TapCapabilities.DISCOVER,
        ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.BATCH,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(
        self,
        *,
        catalog: Any = None,  # noqa: ANN401 - the SDK takes several types
        run: Run | None = None,
        **arguments: Any,  # noqa: ANN401 - the SDK's
    ) -> None:
        """Set up the tap for one run.

        Args:
            catalog: The SDK's argument; its selected streams are kept, and settled.
            run: The run that the tap serves; whoever created it closes it.
            arguments: The SDK's other arguments.
        """
        logger.addFilter(_is_for_users)
        self.run = run or Run()
        self.run.connect(
            self._plans,
            self._bookmark,
            self._takes_text,
            self._full_read,
            lambda: streams_read(self.state),
        )
        if isinstance(catalog, str | PurePath):
            catalog = read_catalog(str(catalog))
        elif isinstance(catalog, Catalog):
            catalog = catalog.to_dict()
        self._names: list[str] | None = None
        if catalog is not None:
            settled_catalog = settled(catalog)
            self._names, catalog = names_in(catalog), settled_catalog
        given_streams = catalog["streams"] if catalog else ()
        self._gaps = TenantGaps.of(given_streams)
        self._types = declared_types(given_streams)
        self._origin: dict[str, str] = {}
        super().__init__(catalog=catalog and catalog_of(catalog), **arguments)
        self._states = PacedStateWriter(self.message_writer, self._origin)
        self._state_writer = self._states

    # Settings

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # Meltano passes unset settings as null, for which the SDK would not fill in defaults.
        self._config = {name: value for name, value in self._config.items() if value is not None}
        errors = super()._validate_config(raise_errors=False)
        show_safely()
        if raise_errors:
            validation.mask_secrets(self.config)
            validation.check(dict(self.config), self.config_jsonschema["properties"])
            set_verbosity(self.config["verbosity"])
            self.run.open(assemble(self.config))
        return errors

    @classproperty
    @override
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - a property of the class
        cls.append_builtin_config(cls.config_jsonschema)
        return settings_of_environment(cls.config_jsonschema, PREFIX)

    # Discovery

    @cached_property
    def descriptions(self) -> Sequence[StreamDescription]:
        """The streams that the instance has in any tenant, ordered by name."""
        return self.run.describe_streams()

    @override
    def discover_streams(self) -> Sequence[EntityStream]:
        settings = self.run.settings
        entries: Iterable[CatalogEntry]
        if self.input_catalog is not None:
            entries = self.input_catalog.streams
            require_tenant_keys(
                entries, self.config["tenant_column"], many=bool(settings.plans.tenants)
            )
            require_inquiry_keys(
                entries, settings.discovery.inquiry_keys, settings.plans.tenant_column
            )
            gaps = self._gaps
        else:
            discovered = [description.entry for description in self.descriptions]
            entries = map(entry_of, discovered)
            gaps = TenantGaps.of(discovered)
        streams = []
        for entry in entries:
            self._complete(entry)
            types = self._types.get(entry.tap_stream_id)
            plan = StreamPlan.of(entry, gaps, settings.plans, types)
            if plan.partitions:
                streams.append(EntityStream(self, self.run, plan, entry))
        return streams

    def _complete(self, entry: CatalogEntry) -> None:
        """Give an entry the columns that its records have."""
        prune(entry)
        if self.config["include_deleted"]:
            add_mark(entry)

    @property
    @override
    def catalog_dict(self) -> dict[str, Any]:
        """The discovered catalog; unlike the SDK's, it is built without stream objects.

        Raises:
            AcumaticaError: Discovery failed for a tenant, so that the catalog would be incomplete.
        """
        descriptions = self.descriptions
        self.run.failures.require_tenants()
        return {"streams": [description.entry for description in descriptions]}

    @property
    @override
    def catalog_json_text(self) -> str:
        """The catalog as JSON, with one line per stream unless the line would be too long."""
        return as_text(self.catalog_dict["streams"])

    # Reading

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        require_shape(state)
        settings = self.run.settings
        require_same_origin(state, settings.site_name, settings.tenant)
        warn_of_other_spellings(state, settings.plans.tenants)
        self._origin[SITE] = settings.site_name
        if tenant := settings.tenant or state.get(TENANT):
            self._origin[TENANT] = tenant
        super().load_state(state)

    @override
    def setup_mapper(self) -> None:
        for entry in self.input_catalog.streams if self.input_catalog else ():
            self._complete(entry)
        with stream_map_errors():
            super().setup_mapper()
        for stream_maps in self.mapper.stream_maps.values():
            name_expressions(stream_maps)

    def selected_streams(self) -> list[EntityStream]:
        """Return the streams to read.

        Raises:
            SettingsError: The selection is empty or too large, or one of the streams cannot be
                read with the settings.
        """
        streams = self._selected_streams()
        require_sensible(len(streams), named=self.run.settings.discovery.entities is not None)
        require_readable([stream.plan for stream in streams], self.run.settings.interfaces)
        return streams

    @property
    def bookmarks(self) -> dict[str, Any]:
        """The bookmarks of the state, by stream."""
        bookmarks: dict[str, Any] = self.state.get("bookmarks", {})
        return bookmarks

    @property
    def catalog_names(self) -> list[str] | None:
        """The names of all streams of the catalog that was given, selected or not, or None."""
        return self._names

    def selected_plans(self) -> list[StreamPlan]:
        """Return the plans of the streams to read.

        Raises:
            SettingsError: See `selected_streams`.
        """
        return [stream.plan for stream in self.selected_streams()]

    def _selected_streams(self) -> list[EntityStream]:
        return [
            stream
            for stream in self.streams.values()
            if isinstance(stream, EntityStream) and stream.selected
        ]

    def _plans(self) -> list[StreamPlan]:
        return [stream.plan for stream in self._selected_streams()]

    def sync(self) -> None:
        """Read the selected streams.

        Raises:
            AcumaticaError: Streams, or their rows, could not be read.
            Stopped: A signal asked the run to stop; the state has been written.
        """
        plans = self.selected_plans()
        self.run.interruptible = False
        warn_of_selection(plans)
        warn_of_old_decimals(plans, self.run.settings.discovery.decimals)
        if self.config.get("emit_activate_version_messages"):
            require_all_tenants(plans, tenants_in(self.state))
        self.run.report.plan(plans)
        self._tell_drift(plans)
        try:
            with (
                self._batches(plans),
                show_progress(len(self.run.report.streams)) as self.run.progress,
            ):
                try:
                    self._states.begin()
                    self.sync_all()
                finally:
                    self.write_state_now()
            self.run.require_complete(plans, streams_read(self.state))
        except (AcumaticaError, Stopped) as error:
            self._write_sync_log(error)
            raise
        self._write_sync_log(None)

    def write_state_now(self) -> None:
        """Write a STATE message, however young the last one is."""
        self._states.write_now(self.state)

    @contextmanager
    def _batches(self, plans: Sequence[StreamPlan]) -> Iterator[None]:
        """Have records written in batches, if they are to be."""
        writer = self.message_writer
        settings = self.run.settings.batches
        if settings is None or not isinstance(writer, Writer):
            yield
            return
        mapped = [plan.name for plan in plans if not self._stream(plan).is_unmapped]
        if mapped:
            logger.warning(
                "Streams with stream maps or flattening are not written in batches: %s.",
                ", ".join(mapped),
            )
        with batch_folder(settings, self.run.report.run) as writer.batches:
            yield

    def _tell_drift(self, plans: Sequence[StreamPlan]) -> None:
        """Say what differs from what the state remembers, once.

        Raises:
            SchemaChanged: The setting `schema_changes` does not accept it.
        """
        bookmarks = self.bookmarks
        known = self.run.known_streams() if self._names is None else self._names
        changes = drift.against_state(plans, bookmarks, known, self._reads_in_full)
        self.run.report.add_changes(changes)
        drift.tell(changes, fail=self.run.settings.fails_on_changes)
        drift.remember(changes, bookmarks)

    def _reads_in_full(self, plan: StreamPlan) -> bool:
        return self._stream(plan).generation.interval is not None

    def _write_sync_log(self, error: AcumaticaError | Stopped | None) -> None:
        """Write what became of each stream, whatever ended the run."""
        if self.config["sync_log"]:
            self.run.end(error)
            for message in sync_log.messages(self.run.report.as_dict()):
                self.write_message(message)

    def _bookmark(self, plan: StreamPlan, tenant: Tenant) -> Bookmark:
        return self._stream(plan).bookmark(tenant)

    def _takes_text(self, plan: StreamPlan) -> bool:
        return self._stream(plan).is_unmapped

    def _full_read(self, plan: StreamPlan, tenant: Tenant) -> FullRead | None:
        return self._stream(plan).generation.full_reads.get(tenant)

    def _stream(self, plan: StreamPlan) -> EntityStream:
        stream = self.streams[plan.name]
        assert isinstance(stream, EntityStream)  # noqa: S101 - all are
        return stream

    # Command line

    @override
    def _setup_signal_handlers(self) -> None:
        super()._setup_signal_handlers()
        if threading.current_thread() is not threading.main_thread():
            return
        for name in ("SIGHUP", "SIGQUIT"):  # those that Windows lacks
            number = getattr(signal, name, None)
            if number and signal.getsignal(number) != signal.SIG_IGN:  # as nohup has it
                signal.signal(number, self._handle_termination)

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        self.run.stop(signum)

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        return app.command(cls, super().get_singer_command())

    @classmethod
    @override
    def cb_config(
        cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]
    ) -> _ConfigInput:
        config: dict[str, Any] = {}
        for path in value:
            config |= {} if path == "ENV" else read_object(path)
        return _ConfigInput(config=config, parse_env="ENV" in value)

    @classmethod
    @override
    def cb_discover(cls, ctx: click.Context, param: click.Option, value: bool) -> None:
        if value:
            app.discover(cls, ctx)
            ctx.exit()

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        if value != CliTestOptionValue.Disabled.value:
            app.test(cls, ctx, value)
            ctx.exit()

    @classmethod
    @override
    def invoke(  # type: ignore[override] # as the SDK's
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: str | None = None,
        catalog: str | None = None,
    ) -> None:
        """Run a sync.

        Args:
            about: Print a description of the tap and exit.
            about_format: The format of that description.
            config: The settings.
            state: Path of the file with the state.
            catalog: Path of the file with the catalog.
        """
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        run = Run(reports=True)
        with (
            ending(run),
            open_tap(cls, config, catalog=catalog, state=state, run=run) as tap,
        ):
            try:
                tap.sync()
            except Stopped:
                tap.write_state_now()
                raise Stopped(run.stop_signal or signal.SIGTERM) from None


def _is_for_users(record: logging.LogRecord) -> bool:
    return record.msg not in NOT_FOR_USERS
