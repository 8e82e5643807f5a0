"""EntityStream: the SDK's hooks for the stream of one entity."""

from __future__ import annotations

import logging
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec
from singer_sdk import Stream, metrics
from singer_sdk.helpers._util import utc_now
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.singerlib import RecordMessage
from typing_extensions import override

from tap_acumatica.catalog.related import fill_nulls
from tap_acumatica.catalog.schema import CatalogSchema
from tap_acumatica.odata.errors import Action, RequestFailed
from tap_acumatica.odata.log import REQUESTS
from tap_acumatica.output.records import add_columns, whole
from tap_acumatica.output.stream_maps import stream_map_errors
from tap_acumatica.output.writer import PacedStateWriter, Writer
from tap_acumatica.reading.bookmarks import SCHEMA, Bookmark
from tap_acumatica.reading.memory import schema_code
from tap_acumatica.reading.model import Checkpoint, FullReadEnd, FullTableFallback
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run.generations import StreamGeneration, TenantGeneration
from tap_acumatica.run.partition import PartitionProgress

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping

    from singer_sdk import Tap
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib import SchemaMessage
    from singer_sdk.singerlib.catalog import Catalog, CatalogEntry

    from tap_acumatica.catalog.plan import StreamPlan, Tenant
    from tap_acumatica.run.run import Run

CHUNK_SIZE: Final = 500
"""Maximum number of records that are encoded and written at once."""


class EntityStream(Stream):
    """Replaces the SDK's handling of records, state and ACTIVATE_VERSION.

    Attributes:
        plan: What the stream reads.
    """

    # The decoder (odata/payload) returns values that have the types of the schema.
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE

    def __init__(self, tap: Tap, run: Run, plan: StreamPlan, entry: CatalogEntry) -> None:
        """Create the stream of a catalog entry, discovered or from a catalog file."""
        super().__init__(tap, schema=dict(plan.schema), name=plan.name)
        self.plan = plan
        self.primary_keys = plan.key
        self.replication_key = plan.replication_key
        self.forced_replication_method = plan.method
        self._metadata = entry.metadata
        self._mask = plan.mask
        self._run = run
        self._progress: PartitionProgress | None = None
        self._complete = True
        self._has_records = False
        self._schema_messages: list[SchemaMessage] = []
        """The SCHEMA messages that are still to be written."""

    @override
    def apply_catalog(self, catalog: Catalog) -> None:
        """Do nothing: the plan was made from the catalog entry."""

    @property
    @override
    def _singer_catalog_entry(self) -> CatalogEntry:
        entry = super()._singer_catalog_entry
        entry.schema = CatalogSchema.from_dict(self.schema)
        return entry

    @property
    @override
    def partitions(self) -> list[dict[str, Any]] | None:
        """One partition for each tenant that the settings name and that has the entity."""
        column = self.plan.settings.tenant_column
        return [{column: tenant} for tenant in self.plan.tenants] if column else None

    def partition_of(self, tenant: Tenant) -> Context | None:
        """Return the partition of a tenant, or None if the settings do not name tenants."""
        column = self.plan.settings.tenant_column
        return {column: tenant} if column else None

    def bookmark(self, tenant: Tenant) -> Bookmark:
        """Return the bookmark of a tenant.

        The SDK's own starting value would also take start_date into account.
        """
        state = self.get_context_state(self.partition_of(tenant))
        return Bookmark.of(state, self.plan.replication_key)

    @cached_property
    def generation(self) -> StreamGeneration:
        """The generation of this run, decided before any tenant is read."""
        settings = self._run.settings
        reading = settings.reading
        return StreamGeneration(
            self.plan,
            settings.generations,
            self.tap_state.get("bookmarks", {}).get(self.name, {}),
            {**reading.scope, **self.plan.scope, "start_date": reading.start_date},
            self._initialized_at // 1000,
        )

    def _tenant(self, context: Context | None) -> Tenant:
        column = self.plan.settings.tenant_column
        return context[column] if context and column else None

    @override
    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """Leave out what the SDK says about beginnings and errors: the tap has lines for them."""
        if logging.INFO < level < logging.ERROR:
            super().log(message, *args, level=level, **kwargs)

    # Reading

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        for records in self._pages(context):
            for record in records:
                if self._run.stopping:
                    raise Stopped
                yield whole(record)

    def _pages(self, context: Context | None) -> Iterator[list[Record]]:
        """Yield the records of one tenant, page by page."""
        tenant = self._tenant(context)
        self._progress = None
        if self._run.failures.has_failed(tenant):
            self._complete = False
            return
        facts = self._run.report.facts(self.plan, tenant)
        facts.generation = self._stream_version
        state = self.get_context_state(context)
        self._progress = progress = PartitionProgress(self.plan, state, facts)
        try:
            yield from self._read(tenant, progress)
        except (Stopped, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - not even a defect is to stop other streams
            self._complete = False
            progress.fail(error)
            self.state_manager.is_flushed = False
            if isinstance(error, RequestFailed) and error.action is Action.SKIP:
                self._run.skip(facts, error, expected=progress.expected)
            else:
                self._run.fail(facts, error)
        else:
            self._run.succeed(facts)
            if self.ABORT_AT_RECORD_COUNT is None:
                progress.complete(self.plan.table(tenant).columns)

    def _read(self, tenant: Tenant, progress: PartitionProgress) -> Iterator[list[Record]]:
        converter = self._run.converter(self.plan, tenant)
        if self.ABORT_AT_RECORD_COUNT is not None:
            self._complete = False
            yield converter.convert(self._run.one_row(self.plan, tenant))
            return
        progress.generation = TenantGeneration(self.generation, tenant, progress.state)
        self._run.progress.begin(self.name, tenant)
        for event in self._run.events(self.plan, tenant):
            match event:
                case Checkpoint():
                    progress.store(event.bookmark)
                    self.state_manager.is_flushed = False
                case FullTableFallback():
                    progress.in_full = True
                case FullReadEnd():
                    progress.end_full_read(event)
                    self.state_manager.is_flushed = False
                case _:
                    progress.begin_page(event)
                    self._run.progress.page(len(event.rows))
                    yield converter.convert(event.rows, event.refused)

    @override
    def generate_child_contexts(
        self, record: Record, context: Context | None
    ) -> Iterable[Context | None]:
        """Return nothing: no stream has children, for which the SDK would copy each record."""
        return ()

    # Schema

    @override
    def _write_schema_message(self) -> None:
        """Prepare the SCHEMA message, which costs a target as much as many records.

        It is written at once if it is another than that of the state, or if the stream is read in
        full, and otherwise before the first message that needs it.
        """
        self._schema_messages = [*self._generate_schema_messages()]
        if self.plan.incremental:
            content = [message.to_dict() for message in self._schema_messages]
            code = schema_code(msgspec.json.encode(content))
            if self.stream_state.get(SCHEMA) == code:
                return
            self.stream_state[SCHEMA] = code
        self._write_pending_schema()

    def _write_pending_schema(self) -> None:
        for message in self._schema_messages:
            self._tap.write_message(message)
        self._schema_messages = []

    # Records

    @cached_property
    def is_unmapped(self) -> bool:
        """Whether records are written unchanged: neither a stream map nor flattening is set."""
        (first, *more) = self.stream_maps
        is_mapped = more or type(first) is not SameRecordTransform
        return not is_mapped and not first.flattening_enabled

    @override
    def get_batch_config(self, config: Mapping[str, Any]) -> None:
        """Return None: the SDK would write a batch of all that a row has, and with other digits."""

    @override
    def _generate_record_messages(self, record: Record) -> Generator[RecordMessage, None, None]:
        """Skip the SDK's search for deselected columns, since they are not requested at all."""
        self._write_pending_schema()
        if self.is_unmapped:
            yield RecordMessage(
                stream=self.stream_maps[0].stream_alias,
                record=record,
                version=self._stream_version,
                time_extracted=utc_now(),
            )
            return
        flattening = self.stream_maps[0].flattening_options
        if flattening and flattening.enabled:
            expansions = self.plan.location.expansions
            fill_nulls(record, self.schema["properties"], expansions, flattening.max_level)
        with stream_map_errors():
            yield from super()._generate_record_messages(record)

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        self._stream_version = self.generation.record_version
        in_chunks = write_messages and self.is_unmapped and self.ABORT_AT_RECORD_COUNT is None
        if in_chunks and isinstance(self._tap.message_writer, Writer):
            yield from self._write_pages(self._tap.message_writer, context)
        else:
            yield from super()._sync_records(context, write_messages=write_messages)
        if write_messages and self._complete:
            self._end_generation()

    def _end_generation(self) -> None:
        """Tell the target to retire what is gone, behind all records, then record that."""
        partitions = {tenant: self.partition_of(tenant) for tenant in self.plan.partitions}
        version = self.generation.retired(
            {tenant: self.get_context_state(context) for tenant, context in partitions.items()}
        )
        if version is not None:
            self._write_pending_schema()
            super()._write_activate_version_message(version)
            self._states.write_now(self.tap_state)
        else:
            self.state_manager.is_flushed = False
            self._write_state_message()

    def _write_pages(self, writer: Writer, context: Context | None) -> Generator[Record, Any, Any]:
        """Do what the SDK's loop does, but per chunk: its work per record takes longer."""
        written, batches = 0, writer.batches
        interval = batches.settings.size if batches else self.STATE_MSG_FREQUENCY
        contexts: list[Context | None] = [context] if context else [*(self.partitions or ())]
        with (
            self.get_record_counter() as counter,
            self.get_sync_timer() as timer,
            writer.batching(),
        ):
            for partition in contexts or [None]:
                counter.with_context(partition)
                timer.with_context(partition)
                for records in self._pages(partition):
                    add_columns(records, partition or {})
                    for chunk in self._chunks(records, written, interval):
                        self._write_chunk(writer, chunk)
                        written += len(chunk)
                        if written % interval == 0 or writer.has_old_batch:
                            writer.end_batch()
                            self._write_state_message()
                        counter.increment(len(chunk))
                        yield from chunk
                self._finalize_state(self.get_context_state(partition))
        if not context:
            self._finalize_state(self.stream_state)
        self._write_state_message()

    def _chunks(self, records: list[Record], written: int, interval: int) -> Iterator[list[Record]]:
        """Cut a page into chunks, none of which extends beyond the next STATE message."""
        start = 0
        while start < len(records):
            if self._run.stopping:
                raise Stopped
            to_state = interval - (written + start) % interval
            chunk = records[start : start + min(CHUNK_SIZE, to_state)]
            yield chunk
            start += len(chunk)

    def _write_chunk(self, writer: Writer, records: list[Record]) -> None:
        self._write_pending_schema()
        stream = self.stream_maps[0].stream_alias
        if writer.batches:
            writer.batch_records(stream, records)
        else:
            writer.write_records(stream, records, self._stream_version, utc_now())
        self._written(len(records))

    def _written(self, records: int) -> None:
        """Count records that were written: the state may have moved with them."""
        self._has_records = True
        self.state_manager.is_flushed = False
        if self._progress:
            self._progress.written(records)

    # Metrics

    @override
    def get_record_counter(self, **options: Any) -> metrics.Counter:
        counter = super().get_record_counter(**options)
        return _Counter(counter.metric, counter.tags, counter.log_interval)

    @override
    def get_sync_timer(self) -> metrics.Timer:
        timer = super().get_sync_timer()
        says_all = self.config["verbosity"] >= REQUESTS
        return _Timer(timer.metric, timer.tags, lambda: self._progress, says_all=says_all)

    # State

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        """Return None: the window's upper bound already limits the bookmark."""

    @override
    def _write_starting_replication_value(self, context: Context | None) -> None:
        """Do nothing: readers start from the bookmark itself."""

    @override
    def _increment_stream_state(
        self, latest_record: Record, *, context: Context | None = None
    ) -> None:
        """Count a record that the SDK has written by itself; the bookmark follows the pages."""
        self._written(1)

    @override
    def _write_state_message(self) -> None:
        """Write the state, if this stream has had records.

        It holds all streams, so what streams without a new row change waits for another's, or for
        the end of the run.
        """
        if self._has_records:
            super()._write_state_message()

    @property
    def _states(self) -> PacedStateWriter:
        writer = self._tap.state_writer
        assert isinstance(writer, PacedStateWriter)  # noqa: S101 - the tap sets it
        return writer

    @override
    def finalize_state_progress_markers(self, state: dict[str, Any] | None = None) -> None:
        """Do nothing: each stream's sync has done it, and for the whole state it is slow."""

    @override
    def _write_activate_version_message(self, full_table_version: int) -> None:
        """Do nothing: sent before the records, the message would empty the target's table."""


class _Counter(metrics.Counter):
    """Counts each partition by itself; a count of no record is not logged."""

    @override
    def with_context(self, value: Context | None) -> None:
        self.exit()
        self.tags = dict(self.tags)
        super().with_context(value)

    @override
    def exit(self) -> None:
        if self.value:
            super().exit()


class _Timer(metrics.Timer):
    """Times each partition by itself, and says that it failed if it did: its error stays in it.

    At the lowest verbosity it says only that.
    """

    def __init__(
        self,
        metric: metrics.Metric,
        tags: dict[str, Any],
        progress: Callable[[], PartitionProgress | None],
        *,
        says_all: bool,
    ) -> None:
        super().__init__(metric, tags)
        self._says_all = says_all
        self._progress = progress
        self._begun = False

    @override
    def with_context(self, value: Context | None) -> None:
        if self._begun:
            self.__exit__(None, None, None)
        self._begun = True
        self.tags = {tag: each for tag, each in self.tags.items() if tag != metrics.Tag.STATUS}
        self.start_time = time.time()
        super().with_context(value)

    @override
    def __exit__(self, *error: Any) -> None:  # noqa: PYI036 - the SDK's types
        progress = self._progress()
        failed = progress is None or progress.facts.failed
        if failed:
            self.tags[metrics.Tag.STATUS] = metrics.Status.FAILED
        # The stream's own line says how long it took.
        if failed or self._says_all:
            super().__exit__(*error)
