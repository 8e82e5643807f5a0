"""One run: what is read ahead, what failed, and when to stop."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from tap_acumatica.discovery.cache import MetadataCache
from tap_acumatica.discovery.relations import require_found
from tap_acumatica.discovery.tenant import require_asked_for
from tap_acumatica.discovery.union import union
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.http.client import UNLIMITED, RetryLimits
from tap_acumatica.odata.log import logger
from tap_acumatica.reading.model import IncrementalStart
from tap_acumatica.reading.prefetch import Prefetcher, Stopped
from tap_acumatica.reading.reader import EntityReader
from tap_acumatica.run.failures import RunFailures
from tap_acumatica.run.instance import Instance
from tap_acumatica.run.progress import NoProgress, Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from tap_acumatica.catalog.entry import StreamDescription
    from tap_acumatica.catalog.plan import StreamPlan, Tenant
    from tap_acumatica.discovery.tenant import Discovered
    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.reading.bookmarks import Bookmark
    from tap_acumatica.reading.model import ReadEvent
    from tap_acumatica.run.assembly import Parts

    Bookmarks = Callable[[StreamPlan, Tenant], Bookmark]


class Run:
    """One run of the tap.

    It is made before the settings are known, so that it can be closed however far the tap came.

    Attributes:
        interruptible: Whether a signal ends the run at once, since no message can be cut by it.
        stop_signal: The signal that asked to stop, or None.
        progress: Shows how far the run is.
    """

    def __init__(self, limits: RetryLimits = UNLIMITED, *, cached_metadata: bool = True) -> None:
        """Begin; nothing is sent yet.

        Args:
            limits: Upper bounds of what the settings say.
            cached_metadata: Whether metadata of earlier runs may be used.
        """
        self.interruptible = True
        self.stop_signal: int | None = None
        self.progress: Progress = NoProgress()
        self._limits = limits
        self._metadata_cache = None if cached_metadata else MetadataCache()
        self._parts: Parts | None = None
        self._instance: Instance | None = None
        self._failures: RunFailures | None = None
        self._readers: Prefetcher[tuple[str, Tenant], ReadEvent] | None = None
        self._plans: Callable[[], Iterable[StreamPlan]] = tuple
        self._bookmarks: Bookmarks | None = None

    def open(self, parts: Parts) -> None:
        """Take the settings, once they are checked."""
        self._parts = parts
        self._instance = Instance(parts, self._limits, self._metadata_cache)
        self._failures = RunFailures(parts.tenants)

    def close(self) -> None:
        """Stop reading ahead and sign out."""
        self.interruptible = False
        if self._readers:
            self._readers.cancel()
        if self._instance:
            self._instance.close()

    def forget_metadata(self) -> None:
        """Let the next run ask for all metadata: something was not as they say."""
        if self._instance:
            self._instance.forget_metadata()

    @property
    def parts(self) -> Parts:
        """The settings, as the parts of the run take them."""
        assert self._parts  # noqa: S101 - the run is open
        return self._parts

    @property
    def instance(self) -> Instance:
        """What the settings lead to."""
        assert self._instance  # noqa: S101 - the run is open
        return self._instance

    @property
    def failures(self) -> RunFailures:
        """What could not be read so far."""
        assert self._failures  # noqa: S101 - the run is open
        return self._failures

    # Stopping

    @property
    def stopping(self) -> bool:
        """Whether a signal asked to stop."""
        return self.stop_signal is not None

    def stop(self, signal: int) -> None:
        """Remember a signal that asks to stop: the run ends between two messages.

        Raises:
            Stopped: No messages are being written, so that none can be cut.
        """
        self.stop_signal = signal
        if self.interruptible:
            raise Stopped(signal)

    # Discovery

    def describe_streams(self) -> list[StreamDescription]:
        """Discover what the instance has, by name: all that any tenant has.

        A tenant that cannot be asked is left out, and remembered as failed.

        Raises:
            AcumaticaError: No tenant could be asked, or what the settings name is nowhere.
        """
        found: dict[Tenant, Discovered] = {}
        for tenant in self.instance.tenants:
            try:
                found[tenant] = self.instance.discovered(tenant)
            except AcumaticaError as error:
                self.failures.fail(tenant, error)
                logger.error("%s The tenant %s is left out.", error, tenant)
        everywhere = len(found) == len(self.instance.tenants)
        require_asked_for(
            found.values(), self.parts.discovery, self.parts.interfaces, everywhere=everywhere
        )
        if everywhere:
            require_found(errors for each in found.values() for errors in each.expand_errors)
        streams = {tenant: each.streams for tenant, each in found.items()}
        return union(streams, self.parts.plans.tenant_column)

    # Reading

    def connect(self, plans: Callable[[], Iterable[StreamPlan]], bookmarks: Bookmarks) -> None:
        """Take what tells what is going to be read.

        Args:
            plans: Tells what the selected streams read, in order; asked when the first one begins.
            bookmarks: Tells where the last read of a stream in a tenant ended.
        """
        self._plans, self._bookmarks = plans, bookmarks

    def events(self, plan: StreamPlan, tenant: Tenant) -> Iterator[ReadEvent]:
        """Read a stream in a tenant; those that follow are read ahead."""
        self._readers = self._readers or self._begin()
        return self._readers.items((plan.name, tenant))

    def _begin(self) -> Prefetcher[tuple[str, Tenant], ReadEvent]:
        """Prepare the readers; they are started as their streams are consumed."""
        by_name = {plan.name: plan for plan in self._plans()}
        order = [
            (plan.name, tenant)
            for plan in by_name.values()
            for tenant in plan.partitions
            if not self.failures.has_failed(tenant)
        ]

        def reader(key: tuple[str, Tenant]) -> EntityReader:
            name, tenant = key
            return self._reader(by_name[name], tenant)

        def look_up() -> bool:
            self.progress.tick()
            return self.stopping

        return Prefetcher(order, reader, self.parts.client.pool.size, look_up)

    def one_row(self, plan: StreamPlan, tenant: Tenant) -> list[dict[str, object]]:
        """Read one row of a stream in a tenant."""
        return self._reader(plan, tenant).one_row()

    def _reader(self, plan: StreamPlan, tenant: Tenant) -> EntityReader:
        service = (plan.location.interface, tenant)
        settings = self.parts.reading
        start = None
        if plan.incremental and self._bookmarks:
            clock_check = self.instance.clock_checks[service]
            start = IncrementalStart(clock_check, self._bookmarks(plan, tenant))
        return EntityReader(
            self.instance.services[service],
            plan.table(tenant),
            replace(settings, scope={**settings.scope, **plan.scope}),
            start,
        )

    # Failures

    def skip(self, tenant: Tenant, failed: RequestFailed, *, expected: bool) -> None:
        """Go on without a stream that the server does not give; see `RunFailures.refuse`."""
        logger.warning("%s It is skipped.", failed)
        self.failures.refuse(tenant, failed, expected=expected)

    def give_up(self, tenant: Tenant, error: AcumaticaError) -> None:
        """Go on without a tenant.

        Raises:
            AcumaticaError: There is no other for which to go on.
        """
        self.failures.fail(tenant, error)
        logger.error("%s Nothing more is read of the tenant %s.", error, tenant)
        if self._readers:
            self._readers.drop(lambda key: key[1] == tenant)

    def require_complete(self, plans: Sequence[StreamPlan]) -> None:
        """Fail if something is missing that was expected, or everything.

        Raises:
            AcumaticaError: See `RunFailures.require_all`.
        """
        asked_for = Counter(tenant for plan in plans for tenant in plan.partitions)
        self.failures.require_all(asked_for)
