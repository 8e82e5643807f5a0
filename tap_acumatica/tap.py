"""The tap: settings -> service -> streams."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar

from singer_sdk import Tap
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.plugin_base import _ConfigInput
from singer_sdk.singerlib.catalog import CatalogEntry
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_acumatica.catalog.entry import as_text
from tap_acumatica.catalog.related import prune, require_found
from tap_acumatica.catalog.selection import (
    only_selected,
    require_reached,
    require_sensible,
    warn_of_selection,
)
from tap_acumatica.cli import app as commands
from tap_acumatica.cli.files import read_object
from tap_acumatica.discovery.inquiries import require_inquiry_keys
from tap_acumatica.discovery.tenant import Discovered, require_asked_for
from tap_acumatica.discovery.union import TenantGaps, require_keys, union
from tap_acumatica.login import login
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.log import mask_everywhere, masking, set_verbosity
from tap_acumatica.output.stream_maps import stream_map_errors
from tap_acumatica.output.writer import StateDeduplicator, Writer
from tap_acumatica.reading.bookmarks import require_shape, say_what_is_spelled_otherwise
from tap_acumatica.reading.model import IncrementalStart
from tap_acumatica.reading.prefetch import Prefetcher, Stopped
from tap_acumatica.reading.reader import EntityReader
from tap_acumatica.run import progress
from tap_acumatica.run.failures import RunFailures
from tap_acumatica.run.instance import Instance
from tap_acumatica.settings import validation as configuration
from tap_acumatica.settings.environment import settings_of_environment
from tap_acumatica.settings.schema import SCHEMA
from tap_acumatica.stream import EntityStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from types import FrameType

    import click
    from singer_sdk.helpers.types import Context

    from tap_acumatica.catalog.entry import StreamDescription
    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.output.records import RecordSettings
    from tap_acumatica.reading.model import Checkpoint, FullTableFallback, PageRead, ReadEvent


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
        TapCapabilities.ACTIVATE_VERSION,
        PluginCapabilities.ABOUT,
        PluginCapabilities.STREAM_MAPS,
        PluginCapabilities.FLATTENING,
        PluginCapabilities.STRUCTURED_LOGGING,
    ]

    def __init__(self, *, catalog: Any = None, **arguments: Any) -> None:  # noqa: ANN401 - the SDK's
        """As the SDK's; of a catalog only the selected streams are kept."""
        self.stop_signal: int | None = None
        self._interruptible = True
        self.progress: progress.Progress = progress.NoProgress()
        catalog = only_selected(catalog)
        self._absence = TenantGaps.of(catalog["streams"]) if isinstance(catalog, dict) else None
        super().__init__(catalog=catalog, **arguments)
        self._state_writer = StateDeduplicator(self.message_writer)

    # Settings

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        # Meltano passes what is not set as null; the SDK puts defaults only where nothing is.
        self._config = {name: v for name, v in self._config.items() if v is not None}
        errors = super()._validate_config(raise_errors=False)
        mask_everywhere()
        if raise_errors:
            masking.add(configuration.secrets(self.config))
            configuration.check(dict(self.config), self.config_jsonschema["properties"])
            set_verbosity(self.config["verbosity"])
        return errors

    @classproperty
    @override
    def _env_var_config(cls) -> dict[str, Any]:  # noqa: N805 - a property of the class
        cls.append_builtin_config(cls.config_jsonschema)
        return settings_of_environment(cls.config_jsonschema, cls._env_var_prefix)

    @property
    def tenants(self) -> Sequence[str]:
        """The tenants that the settings name; empty where the address decides."""
        return self.config.get("tenants") or ()

    @property
    def tenant_column(self) -> str | None:
        """The column that holds the tenant, where the settings name tenants."""
        return self.config["tenant_column"] if self.tenants else None

    @property
    def wants_atom(self) -> bool:
        """Whether services that know Atom are to be read in it."""
        return str(self.config["data_format"]) == "atom"

    @cached_property
    def record_settings(self) -> RecordSettings:
        """How values are written."""
        return configuration.record_settings(self.config)

    @cached_property
    def instance(self) -> Instance:
        """What the settings lead to."""
        return Instance(self.config)

    def forget_metadata(self) -> None:
        """Let the next run ask for all metadata: something was not as they say."""
        if "instance" in self.__dict__:
            self.instance.forget_metadata()

    def close(self) -> None:
        """Stop reading ahead and sign out."""
        self._interruptible = False
        if "_prefetcher" in self.__dict__:
            self._prefetcher.cancel()
        if "instance" in self.__dict__:
            self.instance.close()

    # Discovery

    @cached_property
    def descriptions(self) -> Sequence[StreamDescription]:
        """What the instance has, by name: all that any tenant has."""
        found: dict[str | None, Discovered] = {}
        for tenant in self.instance.tenants:
            try:
                found[tenant] = self.instance.discovered(tenant)
            except AcumaticaError as error:
                self.outcome.fail(tenant, error)
                self.logger.error("%s The tenant %s is left out.", error, tenant)  # noqa: TRY400 - a sentence, no trace
        everywhere = len(found) == len(self.instance.tenants)
        require_asked_for(
            found.values(),
            configuration.discovery_settings(self.config),
            configuration.interfaces(self.config),
            everywhere=everywhere,
        )
        if everywhere:
            require_found(names for each in found.values() for names in each.named)
        return union({tenant: each.streams for tenant, each in found.items()}, self.tenant_column)

    @override
    def discover_streams(self) -> Sequence[EntityStream]:
        entries: Iterable[CatalogEntry]
        if self.input_catalog is not None:
            entries = self.input_catalog.streams
            require_keys(entries, self.config["tenant_column"], many=bool(self.tenants))
            require_inquiry_keys(entries, self.config.get("inquiry_keys") or {}, self.tenant_column)
            absence = self._absence or TenantGaps()
        else:
            found = [description.entry for description in self.descriptions]
            entries = [CatalogEntry.from_dict(entry) for entry in found]
            absence = TenantGaps.of(found)
        return [
            EntityStream(self, entry, absence)
            for entry in entries
            if not self.tenants or absence.tenants(entry.tap_stream_id, self.tenants)
        ]

    @override
    def load_state(self, state: dict[str, Any]) -> None:
        require_shape(state)
        say_what_is_spelled_otherwise(state, self.config["tenant_column"], self.tenants)
        super().load_state(state)

    @override
    def setup_mapper(self) -> None:
        for entry in self.input_catalog.streams if self.input_catalog else ():
            prune(entry)
        with stream_map_errors():
            super().setup_mapper()

    @property
    @override
    def catalog_dict(self) -> dict[str, Any]:
        """The catalog, without a detour through streams.

        Raises:
            AcumaticaError: A tenant could not be asked, so that its part would be missing.
        """
        descriptions = self.descriptions
        self.outcome.require_tenants()
        return {"streams": [found.entry for found in descriptions]}

    @property
    @override
    def catalog_json_text(self) -> str:
        """The catalog as text, in a line for each stream unless that would be too long."""
        return as_text(self.catalog_dict["streams"])

    # Reading

    @property
    def stopping(self) -> bool:
        """Whether a signal asked to stop."""
        return self.stop_signal is not None

    @cached_property
    def outcome(self) -> RunFailures:
        """What is missing of the run so far."""
        return RunFailures(self.instance.tenants)

    def reader(self, stream: EntityStream, context: Context | None) -> EntityReader:
        """A reader of one stream in one tenant."""
        tenant = stream.tenant(context)
        service = (stream.origin.interface, tenant)
        settings = configuration.read_settings(self.config)
        return EntityReader(
            self.instance.services[service],
            stream.table(tenant),
            replace(settings, scope={**settings.scope, **stream.scope}),
            IncrementalStart(self.instance.clock_checks[service], stream.bookmark(context))
            if stream.dated
            else None,
        )

    def prefetched(
        self, stream: EntityStream, context: Context | None
    ) -> Iterator[PageRead | Checkpoint | FullTableFallback]:
        """What the reader of one stream in one tenant brings."""
        return self._prefetcher.items((stream.name, stream.tenant(context)))

    @cached_property
    def _prefetcher(
        self,
    ) -> Prefetcher[tuple[str, str | None], PageRead | Checkpoint | FullTableFallback]:
        plan = [
            (name, tenant)
            for name, stream in self.streams.items()
            if stream.selected
            for tenant in (stream.tenants or (None,))  # type: ignore[attr-defined] # all are ours
            if not self.outcome.has_failed(tenant)
        ]

        def read(key: tuple[str, str | None]) -> EntityReader:
            name, tenant = key
            stream = self.streams[name]
            context = {self.tenant_column: tenant} if self.tenant_column else None
            return self.reader(stream, context)  # type: ignore[arg-type] # all are ours

        most = configuration.client_settings(self.config).pool.size

        def look_up() -> bool:
            self.progress.tick()
            return self.stopping

        return Prefetcher(plan, read, most, look_up)

    def skipped(self, tenant: str | None, failed: RequestFailed, *, expected: bool) -> None:
        """Go on without a stream that the server does not give; `Outcome.refuse` says the rest."""
        self.logger.warning("%s It is skipped.", failed)
        self.outcome.refuse(tenant, failed, expected=expected)

    def give_up(self, tenant: str | None, error: AcumaticaError) -> None:
        """Go on without a tenant.

        Raises:
            AcumaticaError: There is no other for which to go on.
        """
        self.outcome.fail(tenant, error)
        self.logger.error("%s Nothing more is read of the tenant %s.", error, tenant)
        self._prefetcher.drop(lambda key: key[1] == tenant)

    def selected_streams(self) -> list[EntityStream]:
        """The streams to read.

        Raises:
            SettingsError: There are none, or so many that it can hardly be meant; or the settings
                do not fit one of them.
        """
        streams = [stream for stream in self.streams.values() if stream.selected]
        require_sensible(len(streams), named=self.config.get("entities") is not None)
        require_reached(streams, configuration.interfaces(self.config))  # type: ignore[arg-type] # all are ours
        return streams  # type: ignore[return-value] # all are ours

    def report_missed(self, streams: Iterable[EntityStream]) -> None:
        """Fail if something is missing that was expected, or everything.

        Raises:
            AcumaticaError: See `Outcome.require_all`.
        """
        asked_for = Counter(tenant for stream in streams for tenant in stream.tenants or (None,))
        self.outcome.require_all(asked_for)

    def sync(self) -> None:
        """Read what is selected.

        Raises:
            AcumaticaError: Something that was asked for is missing.
            Stopped: A signal asked to stop; the state is written.
        """
        streams = self.selected_streams()
        self._interruptible = False
        warn_of_selection(streams, wants_atom=self.wants_atom)
        tables = sum(len(stream.tenants) or 1 for stream in streams)
        with progress.show_progress(tables) as self.progress, stream_map_errors():
            self.sync_all()
        self.report_missed(streams)

    # Command line

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Remember the signal: the loop stops between two messages, so that none is cut.

        Raises:
            Stopped: No messages are being written, so that nothing can be cut.
        """
        self.stop_signal = signum
        if self._interruptible:
            raise Stopped(signum)

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        command = super().get_singer_command()
        own = [login.command(cls), commands.check_command(cls, command)]
        return commands.TapCommand.of(command, cls, own)

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
            commands.discover(cls, ctx)
            ctx.exit()

    @classmethod
    @override
    def cb_test(cls, ctx: click.Context, param: click.Option, value: str) -> None:
        if value != CliTestOptionValue.Disabled.value:
            commands.test(cls, ctx, value)
            ctx.exit()

    @classmethod
    @override
    def invoke(  # type: ignore[override] # as the SDK's
        cls,
        *,
        about: bool = False,
        about_format: str | None = None,
        config: _ConfigInput | None = None,
        state: IO[str] | None = None,
        catalog: IO[str] | None = None,
    ) -> None:
        """Run a sync.

        Args:
            about: Print what the tap is and end.
            about_format: In which form.
            config: Settings.
            state: File with bookmarks.
            catalog: File with the catalog.
        """
        if about:
            cls.print_about(about_format)
            return
        cls.print_version(print_fn=cls.logger.info)
        with commands.open_tap(cls, config, catalog=catalog, state=state) as tap:
            try:
                tap.sync()
            except Stopped:
                tap.state_writer.write_state(tap.state)
                sys.exit(commands.SIGNAL_EXIT + (tap.stop_signal or signal.SIGTERM))
