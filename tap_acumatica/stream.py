"""The stream of an entity: what of the SDK's handling of records, state and versions is ours."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from singer_sdk import Stream
from singer_sdk.helpers._util import utc_now
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib import RecordMessage
from typing_extensions import override

from tap_acumatica.catalog.location import StreamLocation
from tap_acumatica.catalog.related import (
    expansions_for,
    fill_nulls,
    parse_location,
    prune,
    without_absent,
)
from tap_acumatica.discovery.inquiries import Parameters, fit_length, sortable_columns
from tap_acumatica.discovery.union import TenantGaps
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import DAC, INQUIRY
from tap_acumatica.odata.dialect import ATOM, JSON, ODataVersion
from tap_acumatica.odata.errors import Action, AcumaticaError, DiscoveryError, RequestFailed
from tap_acumatica.odata.instants import bookmark_text, minus
from tap_acumatica.odata.table import Table
from tap_acumatica.output.records import RecordConverter
from tap_acumatica.output.writer import Writer
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.model import Checkpoint, FullTableFallback
from tap_acumatica.reading.prefetch import Stopped

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib.catalog import CatalogEntry

    from tap_acumatica.tap import TapAcumatica

INCREMENTAL: Final = "INCREMENTAL"

WAS_READ: Final = "was_read"
"""In the state of a stream without a bookmark: rows came once, so that it is missed if refused."""

CHUNK: Final = 500
"""Records that are encoded and written at once."""


class EntityStream(Stream):
    """One entity, in each tenant that is asked for."""

    # Values have the types of the schema when they leave the decoder (odata/payload.py).
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(
        self, tap: TapAcumatica, entry: CatalogEntry, absence: TenantGaps | None = None
    ) -> None:
        """Make the stream of a catalog entry, discovered or given."""
        self._location, self._related = parse_location(
            entry.table or f"{DAC}/{ODataVersion.V4}/{entry.tap_stream_id}"
        )
        prune(entry)
        super().__init__(tap, schema=entry.schema.to_dict(), name=entry.tap_stream_id)
        self._acumatica = tap
        self._entry = entry
        self._absence = absence or TenantGaps()
        self._metadata = entry.metadata
        self.primary_keys = entry.key_properties or ()
        self.replication_key = entry.replication_key
        self._tenant_column = tap.tenant_column
        self._context: Context | None = None
        self._latest = ""
        self._most: datetime | None = None
        self._complete = True
        self._expected = False
        self._in_full = False
        self._held_version: int | None = None

    @property
    @override
    def partitions(self) -> list[dict[str, Any]] | None:
        """One for each tenant that the settings name, and that has the entity."""
        if self._tenant_column is None:
            return None
        return [{self._tenant_column: tenant} for tenant in self.tenants]

    @property
    def tenants(self) -> list[str]:
        """The tenants that the settings name, and that have the entity."""
        return self._absence.tenants(self.name, self._acumatica.tenants)

    def tenant(self, context: Context | None) -> str | None:
        """The tenant of a partition; None where the settings name none."""
        return context[self._tenant_column] if context and self._tenant_column else None

    @property
    def dated(self) -> bool:
        """Whether it is read by windows of its replication key."""
        return self.replication_method == INCREMENTAL

    @cached_property
    def origin(self) -> StreamLocation:
        """Where the entity is read."""
        return StreamLocation.of(self._location)

    @cached_property
    def parameters(self) -> Parameters:
        """The parameters of an inquiry."""
        signed = self._entry.metadata.root.schema_name or ""
        given = self.config.get("inquiry_parameters") or {}
        inquiry = self.origin.interface == INQUIRY
        return Parameters(signed, self.name, self.origin.entity_set, given if inquiry else {})

    @property
    def scope(self) -> dict[str, Any]:
        """What of the settings decides which rows this stream has, beside what holds for all."""
        # As texts: a number that went through a state may have become another object.
        call = self.parameters.call(ODataVersion.V3)
        return {"inquiry_parameters": dict(call.parameters)} if call else {}

    def table(self, tenant: str | None = None) -> Table:
        """The entity with the columns that are selected, as the pagers see it in a tenant.

        Raises:
            SettingsError: It is an inquiry whose parameters are not given as they should be.
            DiscoveryError: Its key is not among the columns.
        """
        schemas = self._present(tenant)
        columns = {
            name: edm.from_schema(column)
            for name, column in schemas.items()
            if self.mask["properties", name]
        }
        key = tuple(name for name in self.primary_keys if name != self._tenant_column)
        if not columns.keys() >= set(key):
            message = (
                f"Not all columns of the key of {self.name} ({', '.join(key)}) are selected: "
                "select them, or give it another key in the catalog."
            )
            raise DiscoveryError(message)
        singleton = self._entry.row_count == 1
        protocol = self.origin.protocol
        table = Table(
            entity_set=self.origin.entity_set,
            columns=columns,
            key=key,
            replication_key=self.replication_key if self.dated else None,
            # The server does not let a set be ordered by a key that it does not show.
            select=bool(key) or singleton,
            singleton=singleton,
            expand=expansions_for({name: schemas[name] for name in columns}, self._related),
            format=ATOM if self._acumatica.wants_atom and protocol is ODataVersion.V3 else JSON,
            protocol=protocol,
        )
        if self.origin.interface != INQUIRY:
            return table
        declared = self._entry.metadata.root.table_key_properties or ()
        usable = [name for name in sortable_columns(schemas, declared) if name in columns]
        return replace(
            table,
            key=key if set(key) <= set(usable) else (),
            order=fit_length(usable, self.config["max_url_length"] // 2),
            select=True,
            inquiry=True,
            call=self.parameters.call(protocol),
        )

    def _present(self, tenant: str | None) -> dict[str, Any]:
        """The schemas of the columns that the server of a tenant has."""
        columns = without_absent(
            self.schema["properties"], self._absence.columns.get((self.name, tenant), ())
        )
        return {name: each for name, each in columns.items() if name != self._tenant_column}

    def bookmark(self, context: Context | None) -> Bookmark:
        """Where the last run ended. The SDK's own start value would mix start_date in."""
        try:
            return Bookmark.of(self.get_context_state(context), self.replication_key)
        except ValueError as error:
            message = f"The bookmark of {self.name} is no date-time ({error}): correct the state."
            raise AcumaticaError(message) from error

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        for records in self._pages(context):
            for record in records:
                if self._acumatica.stopping:
                    raise Stopped
                yield record

    def _pages(self, context: Context | None) -> Iterator[list[Record]]:
        """The records of one tenant, a page at a time."""
        self._context = context
        self._latest = ""
        self._in_full = not self.dated
        tenant = self.tenant(context)
        if self._acumatica.outcome.has_failed(tenant):
            self._complete = False
            return
        # A read may take the bookmark back before its first request is refused.
        self._expected = self._was_read(context)
        try:
            yield from self._read(context)
        except AcumaticaError as error:
            self._complete = False
            self._keep_progress()
            if self._expected and not self._was_read(context):
                self.get_context_state(context)[WAS_READ] = True
            if isinstance(error, RequestFailed) and error.action is Action.SKIP:
                self._acumatica.skipped(tenant, error, expected=self._expected)
            else:
                self._acumatica.give_up(tenant, error)
        else:
            if self._in_full and self.ABORT_AT_RECORD_COUNT is None:
                self.get_context_state(context)[WAS_READ] = True

    def _read(self, context: Context | None) -> Iterator[list[Record]]:
        tenant = self.tenant(context)
        table = self.table(tenant)
        records = RecordConverter(
            table.columns,
            table.replication_key,
            self._acumatica.record_settings,
            [
                name
                for name in self.schema["properties"].keys() - self._present(tenant).keys()
                if name != self._tenant_column and self.mask["properties", name]
            ],
        )
        if self.ABORT_AT_RECORD_COUNT is not None:
            self._complete = False
            yield records.of(self._acumatica.reader(self, context).one_row())
            return
        progress = self._acumatica.progress
        progress.begin(self.name, tenant)
        for brought in self._acumatica.prefetched(self, context):
            if isinstance(brought, Checkpoint):
                self._store(brought.bookmark)
                continue
            if isinstance(brought, FullTableFallback):
                self._in_full = True
                continue
            self._most = brought.max_bookmark
            self._expected = True
            progress.page(len(brought.rows))
            yield records.of(brought.rows)

    @override
    def generate_child_contexts(
        self, record: Record, context: Context | None
    ) -> Iterable[Context | None]:
        """No stream has children; the SDK would copy each record for them."""
        return ()

    @cached_property
    def _as_it_is(self) -> bool:
        """Whether records are written as they come: no stream map and no flattening is set."""
        (first, *others) = self.stream_maps
        mapped = others or type(first) is not SameRecordTransform
        return not mapped and not first.flattening_enabled

    @override
    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        """The record without the SDK's search for deselected columns: none was asked for."""
        if self._as_it_is:
            yield RecordMessage(
                stream=self.stream_maps[0].stream_alias,
                record=record,
                version=self._stream_version,
                time_extracted=utc_now(),
            )
            return
        flattening = self.stream_maps[0].flattening_options
        if flattening and flattening.enabled:
            fill_nulls(record, self.schema["properties"], self._related, flattening.max_level)
        yield from super()._generate_record_messages(record)

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """None: the window's upper bound keeps the bookmark from running ahead."""

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Nothing: readers start from the bookmark itself."""

    @override
    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Remember the greatest instant that was written; rows of the future count for nothing."""
        if self._most and self.dated:
            instant = latest_record[self.replication_key or ""]
            if instant <= bookmark_text(self._most):
                self._latest = max(self._latest, instant)

    @override
    def _write_state_message(self) -> None:
        """Write the state with the progress made."""
        self._keep_progress()
        super()._write_state_message()

    def _keep_progress(self) -> None:
        """Move the bookmark: all rows up to a second before the last were written.

        A displayed instant may be up to a second above the stored one.
        """
        if self._latest:
            instant = minus(datetime.fromisoformat(self._latest))
            kept = self.bookmark(self._context)
            self._store(Bookmark(instant, kept.undated_read_on, kept.scope))

    @override
    def finalize_state_progress_markers(self, state: dict[str, Any] | None = None) -> None:
        """Nothing: each sync has ended with it, and the state of all streams is long."""

    @override
    def _write_activate_version_message(self, full_table_version: int) -> None:
        """Hold it back: before the records it would empty the table in the warehouse."""
        self._held_version = full_table_version

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        at_once = write_messages and self._as_it_is and self.ABORT_AT_RECORD_COUNT is None
        try:
            if at_once and isinstance(self._tap.message_writer, Writer):
                yield from self._write_pages(self._tap.message_writer, context)
            else:
                yield from super()._sync_records(context, write_messages=write_messages)
        except (AcumaticaError, Stopped):
            if write_messages:
                self._write_state_message()
            raise
        if self._held_version is not None and self._complete:
            super()._write_activate_version_message(self._held_version)

    def _write_pages(self, writer: Writer, context: Context | None) -> Generator[Record, Any, Any]:
        """As the SDK's loop, but many records at once: what it does for each takes longer."""
        written = 0
        contexts: list[Context | None] = [context] if context else [*(self.partitions or ())]
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            for each in contexts or [None]:
                counter.with_context(each)
                timer.with_context(each)
                for records in self._pages(each):
                    _add(each, records)
                    for chunk in self._chunks(records, written):
                        self._write_chunk(writer, chunk)
                        written += len(chunk)
                        if written % self.STATE_MSG_FREQUENCY == 0:
                            self._write_state_message()
                        counter.increment(len(chunk))
                        yield from chunk
                self._finalize_state(self.get_context_state(each))
        if not context:
            self._finalize_state(self.stream_state)
        self._write_state_message()

    def _chunks(self, records: list[Record], written: int) -> Iterator[list[Record]]:
        """Parts of a page, none beyond the next state."""
        start = 0
        while start < len(records):
            if self._acumatica.stopping:
                raise Stopped
            to_state = self.STATE_MSG_FREQUENCY - (written + start) % self.STATE_MSG_FREQUENCY
            chunk = records[start : start + min(CHUNK, to_state)]
            yield chunk
            start += len(chunk)

    def _write_chunk(self, writer: Writer, records: list[Record]) -> None:
        stream = self.stream_maps[0].stream_alias
        writer.write_records(stream, records, self._stream_version, utc_now())
        if self._most and self.dated:
            replication_key, most = self.replication_key or "", bookmark_text(self._most)
            newest = max(record[replication_key] for record in records)
            if newest > most:  # of the future, as few are
                shown = (record[replication_key] for record in records)
                newest = max((each for each in shown if each <= most), default="")
            self._latest = max(self._latest, newest)

    def _store(self, bookmark: Bookmark) -> None:
        self._latest = ""
        bookmark.store(self.get_context_state(self._context), self.replication_key or "")
        self.state_manager.is_flushed = False

    def _was_read(self, context: Context | None) -> bool:
        """Whether the state says that rows came, so that more are expected."""
        state = self.get_context_state(context)
        return self.bookmark(context).instant is not None or state.get(WAS_READ, False)


def _add(context: Context | None, records: list[Record]) -> None:
    """The tenant as a column, as the SDK adds it."""
    for name, value in (context or {}).items():
        for record in records:
            record.setdefault(name, value)
