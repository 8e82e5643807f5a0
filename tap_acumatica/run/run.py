"""One run of the tap: the readers ahead of the writer, the failures, and the request to stop."""

from __future__ import annotations

import _thread
import os
import signal as signals
import sys
import threading
from collections import Counter
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from tap_acumatica.catalog.absence import TenantGaps
from tap_acumatica.catalog.plan import StreamPlan
from tap_acumatica.catalog.schema import entry_of
from tap_acumatica.discovery.cache import MetadataCache
from tap_acumatica.discovery.relations import require_found
from tap_acumatica.discovery.tenant import may_ask_for, require_asked_for, require_not_gone
from tap_acumatica.discovery.union import union
from tap_acumatica.odata import edm
from tap_acumatica.odata.deletions import MARK
from tap_acumatica.odata.errors import Action, AcumaticaError, Cause, Defect, RequestFailed
from tap_acumatica.odata.http.client import UNLIMITED, RetryLimits
from tap_acumatica.odata.log import logger
from tap_acumatica.output.records import RecordConverter
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.deletions import DeletionsReader
from tap_acumatica.reading.model import IncrementalStart
from tap_acumatica.reading.prefetch import Prefetcher, Stopped
from tap_acumatica.reading.reader import EntityReader
from tap_acumatica.run.drift import Change, Kind, tell
from tap_acumatica.run.failures import RunFailures
from tap_acumatica.run.instance import Instance
from tap_acumatica.run.progress import NoProgress, Progress
from tap_acumatica.run.report import RunReport, Status
from tap_acumatica.settings.environment import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from tap_acumatica.catalog.entry import StreamDescription
    from tap_acumatica.catalog.plan import Tenant
    from tap_acumatica.discovery.tenant import Discovered
    from tap_acumatica.reading.model import FullRead, ReadEvent
    from tap_acumatica.run.assembly import RunSettings
    from tap_acumatica.run.report import StreamFacts

    Bookmarks = Callable[[StreamPlan, Tenant], Bookmark]
    FullReads = Callable[[StreamPlan, Tenant], FullRead | None]


class Run:
    """One run of the tap.

    It is created before the settings are known, so that it can be closed however far the tap got.

    Attributes:
        interruptible: Whether a signal ends the run at once, since it cannot cut off a message.
        stop_signal: The signal that asked the run to stop, or None.
        progress: Counts and shows the run's progress.
        report: The facts of the run.
    """

    def __init__(
        self,
        limits: RetryLimits = UNLIMITED,
        *,
        cached_metadata: bool = True,
        strict: bool = False,
        reports: bool = False,
    ) -> None:
        """Create the run; nothing is sent yet.

        Args:
            limits: Upper bounds of the timeout and the retry time in the settings.
            cached_metadata: Whether cached metadata of earlier runs may be used.
            strict: Whether a name in `entities` that does not exist is an error. If not, it is left
                out with a warning, so that the other streams are read.
            reports: Whether it writes the run report even if it does not fail.
        """
        self.interruptible = True
        self.stop_signal: int | None = None
        self.progress: Progress = NoProgress()
        self._closing = threading.Lock()
        self._interrupting = False
        self.report = RunReport()
        self._limits = limits
        self._strict = strict
        self._reports = reports
        self._metadata_cache = None if cached_metadata else MetadataCache()
        self._settings: RunSettings | None = None
        self._instance: Instance | None = None
        self._failures: RunFailures | None = None
        self._readers: Prefetcher[tuple[str, Tenant], ReadEvent] | None = None
        self._left: Counter[Tenant] = Counter()
        """How many streams of each tenant have not ended."""
        self._plans: Callable[[], Iterable[StreamPlan]] = tuple
        self._bookmarks: Bookmarks | None = None
        self._takes_text: Callable[[StreamPlan], bool] = lambda _: False
        self._full_reads: FullReads = lambda _plan, _tenant: None
        self._streams_read: Callable[[], Collection[str]] = tuple

    def open(self, settings: RunSettings) -> None:
        """Prepare the run with settings that were checked."""
        self._settings = settings
        self._instance = Instance(settings, self._limits, self._metadata_cache)
        self._failures = RunFailures(settings.tenants)
        self.report.site = settings.site_name

    def begin_report(self, settings: Mapping[str, Any], *, in_environment: bool) -> None:
        """Begin to write the report, before anything that can fail is done with the settings.

        Args:
            settings: The settings of the command line, which are not checked yet.
            in_environment: Whether the environment holds settings, too.

        Raises:
            SettingsError: The file cannot be written.
        """
        path = settings.get("run_report")
        if in_environment:
            path = os.environ.get(f"{PREFIX}RUN_REPORT", path)
        if isinstance(path, str) and path:
            self.report.write_to(path, now=self._reports)

    def close(self) -> None:
        """Stop reading ahead and sign out; if another thread is at it, wait until it is done."""
        self.interruptible = False
        self._close()

    def _close(self, reason: BaseException | None = None) -> None:
        with self._closing:
            if self._readers:
                self._readers.cancel()
            if self._instance:
                self._instance.close(reason)

    def forget_metadata(self) -> None:
        """Delete the cached metadata, since the server may no longer agree with it."""
        if self._instance:
            self._instance.forget_metadata()

    @property
    def settings(self) -> RunSettings:
        """The settings of the run."""
        assert self._settings  # noqa: S101 - the run is open
        return self._settings

    @property
    def instance(self) -> Instance:
        """The instance of Acumatica that is read."""
        assert self._instance  # noqa: S101 - the run is open
        return self._instance

    @property
    def failures(self) -> RunFailures:
        """The streams and tenants that could not be read so far."""
        assert self._failures  # noqa: S101 - the run is open
        return self._failures

    # Stopping

    @property
    def stopping(self) -> bool:
        """Whether a signal asked the run to stop."""
        return self.stop_signal is not None

    def stop(self, signal: int) -> None:
        """Record a signal that asks the run to stop; the run then ends between two messages.

        After another signal the process ends as soon as it has signed out, even if the run hangs.

        Raises:
            Stopped: The run is interruptible: no message is being written that could be cut off,
                and no request is under way, whose session could not be signed out then.
        """
        is_interrupt, self._interrupting = self._interrupting, False
        if self.stopping and not is_interrupt:
            threading.Thread(target=self._end, args=(signal,), daemon=True).start()
            return
        self.stop_signal = signal
        if not self.interruptible:
            return
        if is_interrupt or not (self._instance and self._instance.is_busy):
            raise Stopped(signal)
        threading.Thread(target=self._close_and_interrupt, args=(signal,), daemon=True).start()

    def _close_and_interrupt(self, signal: int) -> None:
        """Sign out, once the request under way has ended or has had its time; then interrupt."""
        self._close(Stopped(signal))
        self._interrupting = True
        if sys.platform == "win32":
            _thread.interrupt_main(signals.Signals(signal))
        else:
            # A real signal, since the thread may wait for a response that never comes.
            signals.pthread_kill(threading.main_thread().ident or 0, signal)

    def _end(self, signal: int) -> None:
        self.close()
        stopped = Stopped(signal)
        self.end(stopped)
        self.report.write()
        os._exit(stopped.exit_code)

    def end(self, error: BaseException | None) -> None:
        """Complete the report with how the run ended; nothing is read any more."""
        if self._readers:
            self._readers.cancel()
        if self._instance:
            self.report.requests = self._instance.requests
            self.report.retries = self._instance.retries
        self.report.end(error, self._failures.given_up if self._failures else None)

    # Discovery

    def describe_streams(self) -> list[StreamDescription]:
        """Discover the streams of all tenants, ordered by name.

        A tenant whose discovery fails is left out and recorded as failed.

        Raises:
            AcumaticaError: Discovery failed for all tenants, or the settings name something that
                no tenant has.
        """
        by_tenant: dict[Tenant, Discovered] = {}
        for tenant in self.instance.tenants:
            try:
                by_tenant[tenant] = self.instance.discovered(tenant)
            except AcumaticaError as error:
                self.failures.give_up(tenant, error)
                logger.error("%s The tenant %s is left out.", error, tenant)
        is_complete = len(by_tenant) == len(self.instance.tenants)
        require_asked_for(
            by_tenant.values(),
            self.settings.discovery,
            self.settings.interfaces,
            everywhere=is_complete,
            strict=self._strict,
        )
        if is_complete:
            require_found(
                errors for discovered in by_tenant.values() for errors in discovered.expand_errors
            )
        streams = {tenant: discovered.streams for tenant, discovered in by_tenant.items()}
        return union(streams, self.settings.plans.tenant_column)

    # Reading

    def known_streams(self) -> set[str]:
        """Return the names of all streams that the instance has, whatever the settings include."""
        return {
            name
            for tenant in self.instance.tenants
            if not self.failures.has_failed(tenant)
            for names in self.instance.discovered(tenant).names.values()
            for aliases in names
            for name in aliases
        }

    def current_plans(self) -> dict[str, StreamPlan]:
        """Return the plans of the streams that the instance has and the settings include."""
        settings, failed = self.settings.plans, self.failures.has_failed
        tenants = [tenant for tenant in self.instance.tenants if not failed(tenant)]
        streams = {tenant: self.instance.discovered(tenant).streams for tenant in tenants}
        entries = [stream.entry for stream in union(streams, settings.tenant_column)]
        gaps = TenantGaps.of(entries)
        plans = [StreamPlan.of(entry_of(entry), gaps, settings) for entry in entries]
        return {plan.name: plan for plan in plans}

    def connect(
        self,
        plans: Callable[[], Iterable[StreamPlan]],
        bookmarks: Bookmarks,
        takes_text: Callable[[StreamPlan], bool] = lambda _: False,
        full_reads: FullReads | None = None,
        streams_read: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Set the callbacks that tell the run what to read.

        Args:
            plans: Returns the plans of the selected streams, in order; called when the first
                stream begins.
            bookmarks: Returns the bookmark of a stream in a tenant.
            takes_text: Returns whether a stream writes records that are text.
            full_reads: Returns the full read of a stream in a tenant, if it is due.
            streams_read: Returns the streams of which earlier runs read rows.
        """
        self._streams_read = streams_read
        self._plans, self._bookmarks, self._takes_text = plans, bookmarks, takes_text
        self._full_reads = full_reads or self._full_reads

    def events(self, plan: StreamPlan, tenant: Tenant) -> Iterator[ReadEvent]:
        """Read a stream in a tenant, and fetch the streams that follow ahead of time.

        Raises:
            RequestFailed: Among others, the server lately said that it lacks the entity.
        """
        self._readers = self._readers or self._create_readers()
        if self._is_missing(plan, tenant):
            message = (
                f"Acumatica has no {plan.location.entity_set} (404, as remembered in "
                "metadata_cache): leave the stream out with exclude_entities, or delete the files "
                "in that folder to ask again at once."
            )
            raise RequestFailed(Cause.NOT_FOUND, Action.SKIP, message, status=HTTPStatus.NOT_FOUND)
        try:
            yield from self._readers.items((plan.name, tenant))
        except RequestFailed as failed:
            if failed.cause is Cause.NOT_FOUND and self._may_be_missing(plan):
                self.instance.add_missing(plan.location, tenant)
            raise

    def _is_missing(self, plan: StreamPlan, tenant: Tenant) -> bool:
        return self._may_be_missing(plan) and self.instance.is_missing(plan.location, tenant)

    def _may_be_missing(self, plan: StreamPlan) -> bool:
        """Whether an answer that there is no such entity may be right for some time."""
        return plan.singleton and plan.name not in self._streams_read()

    def _create_readers(self) -> Prefetcher[tuple[str, Tenant], ReadEvent]:
        """Create the readers, which are started while the streams are being consumed."""
        by_name = {plan.name: plan for plan in self._plans()}
        order = [
            (plan.name, tenant)
            for plan in by_name.values()
            for tenant in plan.partitions
            if not self.failures.has_failed(tenant)
        ]
        self._left = Counter(tenant for _, tenant in order)

        def create_reader(key: tuple[str, Tenant]) -> EntityReader | DeletionsReader:
            name, tenant = key
            reader = self._reader(by_name[name], tenant)
            self.report.facts(by_name[name], tenant).read = reader.stats
            return reader

        def poll() -> bool:
            self.progress.tick()
            return self.stopping

        asked = [(name, each) for name, each in order if not self._is_missing(by_name[name], each)]
        return Prefetcher(asked, create_reader, self.settings.client.pool.size, poll)

    def one_row(self, plan: StreamPlan, tenant: Tenant) -> list[dict[str, object]]:
        """Read one row of a stream in a tenant."""
        return self._reader(plan, tenant).one_row()

    def with_notes(self, tenant: Tenant) -> list[str]:
        """Return the selected entity sets of a tenant whose rows a log of deletions can name."""
        plans = (plan for plan in self._plans() if plan.has_notes)
        return [plan.location.entity_set for plan in plans if tenant in plan.partitions]

    def _reader(self, plan: StreamPlan, tenant: Tenant) -> EntityReader | DeletionsReader:
        service_key = (plan.location.interface, tenant)
        reading = self.settings.reading
        if plan.is_log:
            bookmark = self._bookmarks(plan, tenant) if self._bookmarks else Bookmark()
            service, table = self.instance.services[service_key], plan.table(tenant)
            return DeletionsReader(service, table, reading, bookmark, self.with_notes(tenant))
        start = None
        if plan.incremental and self._bookmarks:
            clock_check = self.instance.clock_checks[service_key]
            start = IncrementalStart(clock_check, self._bookmarks(plan, tenant))
        service = self.instance.services[service_key]
        takes_text = self._takes_text(plan) and not plan.has_marks
        written = self.converter(plan, tenant).text_columns if takes_text else None
        return EntityReader(
            service,
            replace(plan.table(tenant), written=written),
            replace(reading, scope={**reading.scope, **plan.scope}),
            start,
            service.metadata,
            full_read=self._full_reads(plan, tenant),
        )

    def converter(self, plan: StreamPlan, tenant: Tenant) -> RecordConverter:
        """Return what makes the records of a stream of a tenant's rows."""
        table = plan.table(tenant)
        marks = {MARK: edm.INSTANT} if plan.has_marks else {}
        return RecordConverter(
            {**table.columns, **marks},
            table.replication_key,
            self.settings.records,
            plan.absent_columns(tenant),
            stream=plan.name,
            key=table.key,
        )

    # Failures

    def succeed(self, facts: StreamFacts) -> None:
        """Record that a stream was read: its tenant's server is up."""
        self._end_stream(facts, Status.COMPLETE)
        self.failures.succeed(facts.tenant)
        for service in self.instance.services_of(facts.tenant).values():
            service.trust()

    def skip(self, facts: StreamFacts, error: RequestFailed, *, expected: bool) -> None:
        """Continue without a stream that the server refused; see `RunFailures.refuse`."""
        logger.warning("%s The stream is skipped.", error)
        if expected and error.cause is Cause.NO_RIGHTS:
            lost = Change(Kind.RIGHTS_LOST, facts.stream)
            tell([lost], fail=False)
            self.report.add_changes([lost])
        self._end_stream(facts, Status.SKIPPED, error)
        self.failures.refuse(facts.stream, facts.tenant, error, expected=expected)

    def fail(self, facts: StreamFacts, error: Exception) -> None:
        """Continue without the rest of a stream or, if the error concerns it, of its tenant.

        Raises:
            AcumaticaError: See `RunFailures.fail`.
        """
        if not isinstance(error, AcumaticaError):
            logger.debug("Traceback", exc_info=error)
            error = Defect(error)
        stream, tenant = facts.stream, facts.tenant
        self._end_stream(facts, Status.FAILED, error)
        self.failures.fail(stream, tenant, error)
        if not self.failures.has_failed(tenant):
            logger.error("%s The rest of the stream %s is not read.", error, stream)
            return
        logger.error("%s The rest of the tenant %s is not read.", error, tenant)
        if self._readers:
            self._readers.drop(lambda key: key[1] == tenant)

    def _end_stream(
        self, facts: StreamFacts, status: Status, error: AcumaticaError | None = None
    ) -> None:
        facts.end(status, error)
        logger.info("%s", facts.line, extra=facts.as_dict())
        self._left[facts.tenant] -= 1
        # At the end of the run all tenants are signed out.
        if self._left[facts.tenant] == 0 and self._left.total():
            for service in self.instance.services_of(facts.tenant).values():
                service.sign_out()

    def require_complete(self, plans: Sequence[StreamPlan], known: Collection[str] = ()) -> None:
        """Raise an error if a stream failed, or if all streams of a tenant were refused.

        Args:
            plans: The plans of the streams that were to be read.
            known: The streams that earlier runs read.

        Raises:
            AcumaticaError: See `RunFailures.require_all`; or a stream is gone that the setting
                `entities` asks for.
        """
        stream_counts = Counter(tenant for plan in plans for tenant in plan.partitions)
        try:
            self._require_not_gone(plans, known)
        except AcumaticaError as error:
            self.failures.require_all(stream_counts, error)
        else:
            self.failures.require_all(stream_counts)

    def _require_not_gone(self, plans: Sequence[StreamPlan], known: Collection[str]) -> None:
        """Refuse to be without streams that were read before and that `entities` asks for."""
        settings, tenants = self.settings.discovery, self.instance.tenants
        lost = set(known) - {plan.name for plan in plans}
        names = [(plan.name, plan.location.entity_set) for plan in plans]
        if not may_ask_for(settings, lost, names) or any(map(self.failures.has_failed, tenants)):
            return
        require_not_gone(lost, [self.instance.discovered(tenant) for tenant in tenants], settings)
