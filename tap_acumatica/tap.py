"""The tap: settings -> service -> streams."""

from __future__ import annotations

import signal
import sys
from contextlib import contextmanager
from copy import deepcopy
from functools import cached_property
from typing import IO, TYPE_CHECKING, Any, ClassVar, Final, Self

import msgspec
from singer_sdk import Tap
from singer_sdk.helpers._util import load_json
from singer_sdk.helpers.capabilities import PluginCapabilities, TapCapabilities
from singer_sdk.plugin_base import _ConfigInput
from singer_sdk.singerlib.catalog import CatalogEntry
from singer_sdk.tap_base import CliTestOptionValue
from typing_extensions import override

from tap_acumatica import commands, configuration
from tap_acumatica.catalog import discover
from tap_acumatica.metadata_cache import MetadataCache, Source
from tap_acumatica.odata.auth import BasicAuth
from tap_acumatica.odata.client import Client
from tap_acumatica.odata.errors import (
    AcumaticaError,
    DiscoveryError,
    RequestFailed,
    SettingsError,
)
from tap_acumatica.odata.frame import FrameFinder
from tap_acumatica.odata.log import mask_everywhere, masking, set_verbosity
from tap_acumatica.odata.service import Address, Service
from tap_acumatica.prefetch import Prefetcher, Stopped
from tap_acumatica.reading import Dated, EntityReader
from tap_acumatica.selection import read_catalog, selected
from tap_acumatica.settings import SCHEMA
from tap_acumatica.streams import EntityStream
from tap_acumatica.writer import States, Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import FrameType

    import click
    from singer_sdk.helpers.types import Context
    from singer_sdk.singerlib.catalog import Catalog

    from tap_acumatica.catalog import StreamDescription
    from tap_acumatica.reading import Reached, Rows
    from tap_acumatica.records import RecordSettings
    from tap_acumatica.splitting import Brought

MOST_STREAMS: Final = 200
"""Streams that are read without the user having named entities."""

LONGEST_LINE: Final = 60_000
"""Bytes of a line of the catalog: Meltano waits for ever on one over 64 KiB."""

SIGNAL_EXIT: Final = 128
"""The exit code of a process that a signal ended is this and the signal's number."""


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
        self._refusals: list[tuple[RequestFailed, bool]] = []
        super().__init__(catalog=selected(catalog), **arguments)
        self._state_writer = States(self.message_writer)

    # Settings

    @override
    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        errors = super()._validate_config(raise_errors=False)
        mask_everywhere()
        if raise_errors:
            masking.add(configuration.secrets(self.config))
            configuration.check(dict(self.config))
            set_verbosity(self.config["verbosity"])
        return errors

    @property
    def tenants(self) -> Sequence[str]:
        """The tenants that the settings name; empty where the address decides."""
        return self.config.get("tenants") or ()

    @property
    def tenant_column(self) -> str | None:
        """The column that holds the tenant, where the settings name tenants."""
        return self.config["tenant_column"] if self.tenants else None

    @cached_property
    def record_settings(self) -> RecordSettings:
        """How values are written."""
        return configuration.record_settings(self.config)

    # The server

    @cached_property
    def address(self) -> Address:
        """The setting url, taken apart."""
        return Address.parse(self.config["url"])

    @cached_property
    def client(self) -> Client:
        """The connection of the account."""
        auth = BasicAuth(self.config["username"], self.config["password"])
        masking.add(auth.secrets)
        return Client(configuration.client_settings(self.config), auth)

    @cached_property
    def services(self) -> Mapping[str | None, Service]:
        """The service of each tenant."""
        limits = configuration.query_limits(self.config)
        return {
            tenant: Service(self.client, self.address, tenant, limits)
            for tenant in self.tenants or (None,)
        }

    @cached_property
    def _frames(self) -> Mapping[str | None, FrameFinder]:
        instants = configuration.instant_reader(self.config)
        zone_is_set = self.config.get("time_zone") is not None
        return {tenant: FrameFinder(instants, zone_is_set=zone_is_set) for tenant in self.services}

    def close(self) -> None:
        """Stop reading ahead and sign out."""
        if "_prefetcher" in self.__dict__:
            self._prefetcher.cancel()
        if "client" in self.__dict__:
            self.client.close(self.address.site)

    # Discovery

    @cached_property
    def descriptions(self) -> Sequence[StreamDescription]:
        """What the instance has, by name."""
        settings = configuration.discovery_settings(self.config)
        service = next(iter(self.services.values()))
        model = self._metadata_cache.model(self._source, service.metadata)
        found = sorted(discover(model, settings), key=lambda stream: stream.name)
        if not found:
            message = (
                "The instance has no entity that fits entities and exclude_entities: compare them "
                "with the catalog that --discover prints without these settings."
            )
            raise DiscoveryError(message)
        return found

    @cached_property
    def _metadata_cache(self) -> MetadataCache:
        return configuration.metadata_cache(self.config)

    @property
    def _source(self) -> Source:
        tenant = next(iter(self.tenants), self.address.tenant)
        return Source(self.address.site, tenant, self.config["username"], "dac")

    @override
    def discover_streams(self) -> Sequence[EntityStream]:
        entries: Iterable[CatalogEntry]
        if self.input_catalog is not None:
            entries = self.input_catalog.streams
            self._check_keys(self.input_catalog)
        else:
            entries = (CatalogEntry.from_dict(found.entry) for found in self.descriptions)
        return [EntityStream(self, entry) for entry in entries]

    @property
    @override
    def catalog_dict(self) -> dict[str, Any]:
        """The catalog, without a detour through streams."""
        return {"streams": [found.entry for found in self.descriptions]}

    @property
    @override
    def catalog_json_text(self) -> str:
        """The catalog as text, in a line for each stream unless that would be too long."""
        streams = ",\n".join(_in_lines(entry) for entry in self.catalog_dict["streams"])
        return f'{{"streams":[\n{streams}\n]}}'

    def _check_keys(self, catalog: Catalog) -> None:
        """Refuse a catalog from before `tenants` was set or unset."""
        for entry in catalog.streams:
            key = entry.key_properties or ()
            column = self.config["tenant_column"]
            if key and (column in key) != bool(self.tenants):
                message = (
                    f"The catalog's key of {entry.tap_stream_id} is {list(key)}, which does not "
                    "fit the setting tenants: run discovery again."
                )
                raise DiscoveryError(message)

    # Reading

    @property
    def stopping(self) -> bool:
        """Whether a signal asked to stop."""
        return self.stop_signal is not None

    def reader(self, stream: EntityStream, context: Context | None) -> EntityReader:
        """A reader of one stream in one tenant."""
        tenant = context[self.tenant_column] if context and self.tenant_column else None
        return EntityReader(
            self.services[tenant],
            stream.table(),
            configuration.read_settings(self.config),
            Dated(self._frames[tenant], stream.bookmark(context)) if stream.dated else None,
        )

    def prefetched(self, stream: EntityStream, context: Context | None) -> Iterator[Rows | Reached]:
        """What the reader of one stream in one tenant brings."""
        tenant = context[self.tenant_column] if context and self.tenant_column else None
        return self._prefetcher.items((stream.name, tenant))

    @cached_property
    def _prefetcher(self) -> Prefetcher[tuple[str, str | None], Rows | Reached]:
        plan = [
            (name, tenant)
            for name, stream in self.streams.items()
            if stream.selected
            for tenant in self.services
        ]

        def read(key: tuple[str, str | None]) -> Iterable[Brought]:
            name, tenant = key
            stream = self.streams[name]
            context = {self.tenant_column: tenant} if self.tenant_column else None
            return self.reader(stream, context)  # type: ignore[arg-type] # all are ours

        most = configuration.client_settings(self.config).pool.size
        return Prefetcher(plan, read, most, lambda: self.stopping)

    def skipped(self, failed: RequestFailed, *, expected: bool) -> None:
        """Go on without a stream that the server does not give.

        Args:
            failed: Why.
            expected: It was read before, so that it is missed now.
        """
        self.logger.warning("%s It is skipped.", failed)
        self._refusals.append((failed, expected))

    def selected_streams(self) -> list[EntityStream]:
        """The streams to read.

        Raises:
            SettingsError: There are none, or so many that it can hardly be meant.
        """
        streams = [stream for stream in self.streams.values() if stream.selected]
        if not streams:
            message = (
                "No stream is selected: select streams in the catalog (in Meltano with select), or "
                "name them in the setting entities."
            )
            raise SettingsError(message)
        if len(streams) > MOST_STREAMS and self.config.get("entities") is None:
            message = (
                f"{len(streams)} streams are selected, which is more than {MOST_STREAMS}: select "
                "fewer in the catalog, or name those that you want in the setting entities."
            )
            raise SettingsError(message)
        return streams  # type: ignore[return-value] # all are ours

    def report_missed(self, asked_for: int) -> None:
        """Fail if something is missing that was expected, or everything.

        Raises:
            RequestFailed: The last refusal.
        """
        missed = [failed for failed, expected in self._refusals if expected]
        if missed:
            raise missed[-1]
        if len(self._refusals) == asked_for * len(self.services):
            raise self._refusals[-1][0]

    def sync(self) -> None:
        """Read what is selected.

        Raises:
            AcumaticaError: Something that was asked for is missing.
            Stopped: A signal asked to stop; the state is written.
        """
        asked_for = len(self.selected_streams())
        try:
            self.sync_all()
            self.report_missed(asked_for)
        except AcumaticaError:
            self._metadata_cache.forget(self._source)
            raise

    # Command line

    @override
    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """Remember the signal: the loop stops between two messages, so that none is cut."""
        self.stop_signal = signum

    @classmethod
    @override
    def get_singer_command(cls) -> click.Command:
        return commands.TapCommand.of(super().get_singer_command(), cls, [])

    @classmethod
    @contextmanager
    def opened(
        cls,
        config: _ConfigInput | None,
        *,
        catalog: IO[str] | None = None,
        state: IO[str] | None = None,
        setup_mapper: bool = True,
    ) -> Iterator[Self]:
        """A tap for what the command line says, closed in the end."""
        config = config or _ConfigInput()
        tap = cls.__new__(cls)
        try:
            tap.__init__(  # type: ignore[misc] # to be closed also when discovery fails in it
                config=config.config,
                parse_env_config=config.parse_env,
                catalog=read_catalog(catalog.read()) if catalog else None,
                state=load_json(state.read()) if state else None,
                setup_mapper=setup_mapper,
            )
            yield tap
        finally:
            tap.close()

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
        with cls.opened(config, catalog=catalog, state=state) as tap:
            try:
                tap.sync()
            except Stopped:
                tap.state_writer.write_state(tap.state)
                sys.exit(SIGNAL_EXIT + (tap.stop_signal or signal.SIGTERM))


def _in_lines(entry: dict[str, Any]) -> str:
    text = msgspec.json.encode(entry)
    if len(text) > LONGEST_LINE:
        text = msgspec.json.format(text, indent=1)
    return text.decode()
