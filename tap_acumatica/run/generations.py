"""Generations: the full reads of a stream, after which the target retires the rows that are gone.

All tenants of a stream share one version. The rules and their reasons are in docs/incremental.md,
"Generations".
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from hashlib import sha256
from math import ceil
from typing import TYPE_CHECKING, Any, Final

from msgspec.structs import replace

from tap_acumatica.odata.log import logger
from tap_acumatica.reading.bookmarks import GENERATION, VALUE, WAS_READ, Generation, part_of
from tap_acumatica.reading.memory import column_codes
from tap_acumatica.reading.model import FullRead
from tap_acumatica.run.drift import Kind, Shape, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, MutableMapping

    from tap_acumatica.catalog.plan import StreamPlan, Tenant
    from tap_acumatica.reading.model import FullReadEnd

HOUR: Final = 3600
DAY: Final = 24 * HOUR
"""Time after which a full read is tried again that failed, or that was not believed."""
MAX_AGE: Final = 7 * DAY
"""Age at which a full read that is not complete begins anew."""
SHAPE_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """When streams are read in full, and what the target may retire then.

    Attributes:
        hours: The interval in hours, by a glob of streams.
        max_loss: Percentage of rows that may be missing.
        activates: Whether records carry versions, and the target is told to retire rows.
        narrowed_by: The settings that leave out rows of all streams.
        dated_by: The settings that leave out rows of streams that are read by windows.
    """

    hours: Mapping[str, int] = field(default_factory=dict)
    max_loss: int = 20
    activates: bool = False
    narrowed_by: tuple[str, ...] = ()
    dated_by: tuple[str, ...] = ()

    def interval(self, plan: StreamPlan) -> int | None:
        """Return the interval of a stream in seconds, or None if it has none.

        A name comes before a glob that matches it, and a longer glob before a shorter one.
        """
        if plan.is_log:  # it has no rows that go
            return None
        if not plan.incremental:
            return 0
        lower = {name.lower() for name in plan.names}
        matching = [
            (glob.lower() in lower, len(glob), hours)
            for glob, hours in self.hours.items()
            if glob.lower() in lower or any(fnmatchcase(name, glob.lower()) for name in lower)
        ]
        return max(matching)[2] * HOUR if matching else None


class StreamGeneration:
    """The generation of a stream in one run: its version, and which tenants are read in full.

    Attributes:
        plan: The stream's plan.
        settings: The settings of generations.
        started: The start of the run in epoch seconds.
        interval: The interval of full reads in seconds; None: there are none.
        known: The tenants of which rows may be in the target.
        version: The version of the records; all that a run writes carry the same.
        full_reads: The full reads that are due, by tenant.
    """

    def __init__(
        self,
        plan: StreamPlan,
        settings: GenerationSettings,
        entry: Mapping[str, Any],
        scope: Mapping[str, Any],
        started: int,
    ) -> None:
        """Decide what is due.

        Args:
            plan: The stream's plan.
            settings: The settings of generations.
            entry: The state of the stream.
            scope: The settings that decide which rows exist.
            started: The start of the run in epoch seconds.
        """
        self.plan = plan
        self.settings = settings
        self.started = started
        self.interval = settings.interval(plan)
        self._scope = scope
        self._entry = entry
        column = plan.settings.tenant_column
        parts = {tenant: part_of(entry, column, tenant) for tenant in plan.partitions}
        self.known = {
            tenant
            for tenant, part in parts.items()
            if any(part.get(name) for name in (GENERATION, VALUE, WAS_READ))
        }
        states = {tenant: Generation.of(part) for tenant, part in parts.items()}
        everything = [Generation.of(part) for part in (entry, *entry.get("partitions", ()))]
        self.latest = max(max(state.version, state.reading) for state in everything)
        self.version, self.full_reads = (
            self._beside_windows({tenant: states[tenant] for tenant in self.known})
            if plan.incremental
            else self._in_each_run(states)
        )

    @property
    def is_tracked(self) -> bool:
        """Whether the state has to know of the generations that are complete."""
        has_interval = self.plan.incremental and self.interval is not None
        return self.settings.activates or has_interval

    @property
    def record_version(self) -> int | None:
        """The version that records carry; None if they carry none."""
        return self.version if self.settings.activates else None

    @property
    def retry(self) -> int:
        """Seconds until a full read is tried again that failed, or was not believed."""
        return min(DAY, self.interval or 0)

    @property
    def _next_version(self) -> int:
        return max(self.started, self.latest + 1)

    def _in_each_run(
        self, states: Mapping[Tenant, Generation]
    ) -> tuple[int, Mapping[Tenant, FullRead]]:
        begun = [state for state in states.values() if state.reading == self.latest and state.place]
        if not begun or not self._goes_on(states):
            return self._next_version, dict.fromkeys(states, FullRead())
        return self.latest, {tenant: self._rest(state) for tenant, state in states.items()}

    def _beside_windows(
        self, states: Mapping[Tenant, Generation]
    ) -> tuple[int, Mapping[Tenant, FullRead]]:
        if self.interval is None or not states or not self.latest:
            return self.latest or self.started, {}
        pending = {tenant: state for tenant, state in states.items() if state.version < self.latest}
        if pending and self._goes_on(states):
            return self.latest, {
                tenant: self._rest(state)
                for tenant, state in pending.items()
                if state.due <= self.started
            }
        is_due = not self.interval or self.started >= self._due(states.values(), self.interval)
        if is_due or any(map(self._has_new_columns, states)):
            return self._next_version, dict.fromkeys(states, FullRead())
        return self.latest, {}

    def _has_new_columns(self, tenant: Tenant) -> bool:
        """Whether a tenant's rows were read without columns that are read now."""
        part = part_of(self._entry, self.plan.settings.tenant_column, tenant)
        changes = compare(self.plan.name, Shape.of_state(part), Shape.of_plan(self.plan, tenant))
        return any(change.kind is Kind.COLUMN_ADDED for change in changes)

    def _goes_on(self, states: Mapping[Tenant, Generation]) -> bool:
        """Whether the latest generation goes on: it is young, and has brought the same rows."""
        return self.started - self.latest < MAX_AGE and all(
            state.shape in {"", self.shape(tenant)}
            for tenant, state in states.items()
            if self.latest in {state.version, state.reading}
        )

    def _rest(self, state: Generation) -> FullRead:
        is_begun = state.reading == self.latest
        return FullRead(tuple(state.place), state.read or 0) if is_begun else FullRead()

    def _due(self, states: Iterable[Generation], interval: int) -> int:
        """Return when the next generation is due, in epoch seconds.

        The first ones of streams that were loaded together are spread over the interval. A tenant
        that is behind the others does not make them due.
        """
        last = max(state.version for state in states)
        current = [state for state in states if state.version == last]
        if dues := [state.due for state in current if state.due]:
            return min(dues)
        if all(state.first for state in current):
            interval = interval * int.from_bytes(_digest(self.plan.name)[:2]) // 2**16
        return last + interval

    def shape(self, tenant: Tenant) -> str:
        """Return a code for what a read brings, and for how it is written."""
        table = self.plan.table(tenant)
        parts = (
            table.entity_set,
            str(table.protocol),
            table.key,
            column_codes(table.columns),
            sorted(self._scope.items()),
            self.plan.method,
            self.settings.activates,
        )
        return urlsafe_b64encode(_digest(repr(parts))).decode()[:SHAPE_LENGTH]

    def retired(self, states: Mapping[Tenant, MutableMapping[str, Any]]) -> int | None:
        """Settle the generation once it is complete in all tenants.

        Args:
            states: The state of each partition.

        Returns:
            The version, if the target is to retire the rows of earlier ones.
        """
        ends = {tenant: Generation.of(state) for tenant, state in states.items()}
        if not any(end.read is not None for end in ends.values()) or not all(
            end.version == self.version and (end.read is not None or end.first)
            for end in ends.values()
        ):
            return None
        reason = next(self._reasons(), "") if self.settings.activates else ""
        lost = self._lost(ends) if self.settings.activates and not reason else {}
        for tenant, end in ends.items():
            if tenant in lost:
                due = self.started + self.retry if self.retry else 0
                settled = replace(end, read=None, shape="", due=due)
            else:
                rows = end.rows if end.read is None else end.read
                settled = replace(end, read=None, shape="", rows=rows)
            settled.store(states[tenant])
        if not self.settings.activates:
            return None
        for sentence in self._losses(lost) if lost else filter(None, [reason]):
            logger.warning("%s", sentence)
        return None if lost or reason else self.version

    def _lost(self, ends: Mapping[Tenant, Generation]) -> dict[Tenant, Generation]:
        """Return the tenants of which more rows are missing than a full read may lose."""
        return {
            tenant: end
            for tenant, end in ends.items()
            if end.read is not None and self._is_loss(end.rows or 0, end.read)
        }

    def _is_loss(self, before: int, now: int) -> bool:
        """Whether too many rows are lost: one may go from the smallest table, but not all."""
        percentage = self.settings.max_loss
        most = ceil(before * percentage / 100)
        return before - now > most or (before > now == 0 and percentage < 100)  # noqa: PLR2004 - all

    def _losses(self, lost: Mapping[Tenant, Generation]) -> Iterator[str]:
        """Yield what is missing."""
        for tenant, end in lost.items():
            where = f"{self.plan.name} of {tenant}" if tenant else self.plan.name
            yield (
                f"{where} had {end.rows} rows in its last full read and has {end.read} now, so "
                f"more than {self.settings.max_loss} percent are missing and nothing is retired: "
                "give the account back its rights to them or, if they are really gone, raise "
                "full_read_max_loss."
            )

    def _reasons(self) -> Iterator[str]:
        """Yield why nothing may be retired whatever was read."""
        name = self.plan.name
        narrowing = self.settings.narrowed_by + (
            self.settings.dated_by if self.plan.incremental else ()
        )
        for tenant in self._tenants_elsewhere():
            yield (
                f"Nothing of {name} is retired in the target, since the state knows the tenant "
                f"{tenant}, which is not read: name all tenants of the target's tables in the "
                "setting tenants, or remove that one from the state."
            )
        for setting in narrowing:
            yield (
                f"Nothing of {name} is retired in the target, since the setting {setting} leaves "
                "out rows that exist: change it, if rows that are gone are to leave the target."
            )

    def _tenants_elsewhere(self) -> list[str]:
        """Return the tenants that the state knows the stream in, but that are not read."""
        contexts = [part["context"] for part in self._entry.get("partitions", ())]
        tenants = {str(tenant) for context in contexts for tenant in context.values()}
        return sorted(tenants - set(map(str, self.plan.partitions)))


class TenantGeneration:
    """The generation of a stream in one tenant: keeps its state as records are written."""

    def __init__(
        self, stream: StreamGeneration, tenant: Tenant, state: MutableMapping[str, Any]
    ) -> None:
        """Begin to read the tenant.

        Args:
            stream: The generation of the stream.
            tenant: The tenant.
            state: The state of the partition.
        """
        self._stream = stream
        self._state = state
        self._full_read = stream.full_reads.get(tenant)
        self._is_loaded = VALUE in state
        now, shape = Generation.of(state), ""
        if self._full_read or now.shape:
            shape = stream.shape(tenant)
        goes_on = now.shape == shape
        if not goes_on:
            # What this run writes does not go together with what was read before.
            now = replace(now, reading=0, place=(), read=None, shape="")
        if self._full_read:
            place, rows = self._full_read.place, self._full_read.rows
            now = replace(now, reading=stream.version, place=place, read=rows, shape=shape, due=0)
        elif tenant not in stream.known or not stream.latest:
            now = replace(now, version=stream.version, first=True)
        self._now = now
        if stream.is_tracked:
            now.store(state)
        elif stream.plan.incremental or not goes_on:
            state.pop(GENERATION, None)
        if now.place and not stream.plan.incremental:
            since = datetime.fromtimestamp(stream.version, UTC)
            message = (
                f"{stream.plan.name} is read on from where a read ended that began on "
                f"{since:%Y-%m-%d at %H:%M} UTC: some of its rows are as old as that."
            )
            logger.warning("%s", message)

    def reach(self, reached: FullRead) -> None:
        """Record how far the records of the full read are written, if it is one that may go on."""
        if not self._full_read:
            return
        self._now = replace(self._now, place=reached.place, read=reached.rows)
        self._now.store(self._state)

    def complete(self, end: FullReadEnd) -> None:
        """Record that all records of the full read are written."""
        if not self._full_read:
            return
        plan, settings = self._stream.plan, self._stream.settings
        now = replace(
            self._now, version=self._stream.version, first=False, reading=0, place=(), read=end.rows
        )
        if plan.incremental and not end.by_key:
            now = replace(now, read=None, shape="", rows=end.rows)
            if settings.activates:
                message = (
                    f"Nothing of {plan.name} is retired in the target, since it cannot be read by "
                    "its key: set its replication method to FULL_TABLE, if rows that are gone are "
                    "to leave the target."
                )
                logger.warning("%s", message)
        self._now = now
        if self._stream.is_tracked:
            now.store(self._state)
        else:
            self._state.pop(GENERATION, None)

    def load(self, rows: int) -> None:
        """Record the number of rows that the first load has brought, if it was done in one run."""
        if self._now.first and not self._is_loaded and self._stream.is_tracked:
            self._now = replace(self._now, rows=rows)
            self._now.store(self._state)

    def fail(self, *, in_doubt: bool = False) -> None:
        """Try a full read that has not got further not in each run.

        Args:
            in_doubt: Whether what was read before is in doubt, so that the read begins anew.
        """
        begun = self._full_read
        if begun and in_doubt:
            begun = FullRead()
            self._now = replace(self._now, place=(), read=0)
            self._now.store(self._state)
        if begun and self._now.place == begun.place and self._stream.retry:
            self._now = replace(self._now, due=self._stream.started + self._stream.retry)
            self._now.store(self._state)


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()
