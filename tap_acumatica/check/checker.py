"""Tries everything that a sync needs, once, and names each failure.

The findings are yielded one by one, so that each can be shown while the next step runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.check.deletions import check_deletions, tracked_streams
from tap_acumatica.check.findings import Finding, Status, failure, first_names
from tap_acumatica.check.probes import ClockOffsets, TrialReader, TrialStream
from tap_acumatica.odata.errors import (
    SITE_WIDE,
    Action,
    AcumaticaError,
    Cause,
    RequestFailed,
    ZoneError,
)
from tap_acumatica.odata.http.client import RetryLimits
from tap_acumatica.odata.instants import account_offset, account_zone
from tap_acumatica.reading.bookmarks import VALUE, WAS_READ, part_of
from tap_acumatica.run import drift
from tap_acumatica.run.drift import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from tap_acumatica.catalog.plan import StreamPlan, Tenant
    from tap_acumatica.discovery.tenant import Discovered
    from tap_acumatica.odata.clock import ClockCheck
    from tap_acumatica.odata.service import Service
    from tap_acumatica.run.run import Run

RETRY_LIMITS: Final = RetryLimits(timeout=120.0, retry_time=10.0)
"""Upper bounds for a check: it reports temporary failures instead of waiting for their end."""

HALF_A_YEAR: Final = timedelta(days=182)

RIGHTS_REMEDY: Final = "give the account rights on Access Rights by Role (SM201025)"

FAMILIES: Final[Mapping[str, str]] = {
    "/api/odata/": "current releases",
    "/odatav4/": "releases before 2024 R2",
    "/odata/": "releases before 2024 R2",
}
"""The releases that have each form of the address."""


GROUPS_REMEDY: Final = "restriction groups can hide more: compare with an administrator's figures"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What was there before: an older catalog, and the state of the next run.

    Attributes:
        names: The names of all streams of the catalog, selected or not; None without a catalog.
        bookmarks: The bookmarks of the state.
    """

    names: Collection[str] | None = None
    bookmarks: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class StreamTrials:
    """The trials of a tenant's selected streams.

    Attributes:
        expected: The streams that the next run expects to read, since the state has rows of them.
        readable: The streams that can be read.
        told: The streams that can be read, but are no entity.
        refused: The causes of the refusals, for streams that a sync skips.
        refused_in_part: The refusals, for streams of which a sync rephrases a query.
    """

    tenant: Tenant
    expected: Collection[str] = ()
    readable: list[TrialStream] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    refused_in_part: dict[str, str] = field(default_factory=dict)

    def add(self, stream: TrialStream) -> None:
        """Add a stream that can be read."""
        self.readable.append(stream)
        if stream.reader.refused_query:
            self.refused_in_part[stream.name] = str(stream.reader.refused_query)

    @property
    def finding(self) -> Finding:
        """The finding for all streams."""
        readable = len(self.readable) + len(self.told)
        selected = readable + len(self.refused)
        status, cause, text = Status.GOOD, None, f"{selected} selected, all can be read"
        if self.refused:
            status = Status.NOTE
            consequence = "a sync skips them" if readable else RIGHTS_REMEDY
            text = f"{len(self.refused)} of {selected} selected cannot be read: "
            text += f"{first_names(self.refused)}; {consequence}"
        elif self.refused_in_part:
            status = Status.NOTE
            text = f"{selected} selected; some queries of {first_names(self.refused_in_part)} are "
            text += "refused, and a sync rephrases them"
        missed = [name for name in self.refused if name in self.expected]
        if missed:
            text += f"; the run ends with an error, since it read {first_names(missed)} before"
        if missed or not readable:
            status, cause = Status.BAD, Cause.ROLE_MISSING
        facts = {
            "selected": selected,
            "refused": self.refused,
            "refused_in_part": self.refused_in_part,
        }
        return Finding("Streams", status, text, self.tenant, cause, facts)


class Checker:
    """Tries everything that a sync needs."""

    def __init__(
        self,
        run: Run,
        plans: Callable[[], Sequence[StreamPlan]],
        now: Callable[[], datetime],
        earlier: Earlier = Earlier(),
    ) -> None:
        """Prepare the check; nothing is sent yet.

        Args:
            run: An open run.
            plans: Returns the plans of the selected streams; raises an error if the selection is
                wrong.
            now: This machine's clock.
            earlier: What was there before.
        """
        self._run = run
        self._earlier = earlier
        self._settings = run.settings
        self._instance = run.instance
        self._plans = plans
        self._now = now

    def findings(self) -> Iterator[Finding]:
        """Yield the findings of all steps, in order."""
        discoveries: dict[Tenant, Discovered | AcumaticaError] = {}
        for tenant in self._instance.tenants:
            try:
                discoveries[tenant] = self._instance.discovered(tenant)
            except AcumaticaError as error:
                if error.cause in SITE_WIDE:
                    yield failure(error, tenant)
                    return
                discoveries[tenant] = error
        plans: Sequence[StreamPlan] = []
        selection: list[Finding] = []
        if not all(isinstance(result, AcumaticaError) for result in discoveries.values()):
            try:
                plans = self._plans()
                selection += self._check_changes(plans)
            except AcumaticaError as error:
                selection = [failure(error, step="Streams")]
        for tenant, result in discoveries.items():
            if isinstance(result, AcumaticaError):
                yield failure(result, tenant)
                continue
            services, clocks = self._instance.services_of(tenant), ClockOffsets(self._now)
            clocks.add(result.date)
            yield from self._check_site(tenant, services, result)
            # The streams are those of all tenants; they are behind the first address.
            yield from selection
            selection = []
            yield from self._check_streams(tenant, services, result, clocks, plans)

    def _check_changes(self, plans: Sequence[StreamPlan]) -> Iterator[Finding]:
        """Compare the streams with the catalog and the state, if there are any."""
        earlier, known = self._earlier, self._run.known_streams()
        changes = list(drift.against_state(plans, earlier.bookmarks, known))
        if earlier.names is not None:
            current = self._run.current_plans()
            changes += drift.against_instance(plans, earlier.names, current, known)
        elif not earlier.bookmarks:
            return
        found = list(dict.fromkeys(changes))
        facts = {"changes": [change.as_dict() for change in found]}
        text = " ".join(change.sentence for change in found) or "none"
        status = Status.NOTE if found else Status.GOOD
        refused = [change for change in found if change.kind is not Kind.ENTITY_NEW]
        if refused and self._settings.fails_on_changes:
            status = Status.BAD
            text += " The setting schema_changes is fail."
        cause = Cause.SETTINGS if status is Status.BAD else None
        yield Finding("Changes", status, text, cause=cause, facts=facts)

    def _check_site(
        self, tenant: Tenant, services: Mapping[str, Service], discovered: Discovered
    ) -> Iterator[Finding]:
        for interface, protocol in discovered.protocols.items():
            root = services[interface].root or ""
            family = next((name for path, name in FAMILIES.items() if path in root.lower()), "")
            yield Finding(
                "Address",
                Status.GOOD,
                f"{root} answers in OData {protocol.removeprefix('v')}, as {family} do",
                tenant,
                facts={"root": root, "family": family, "protocol": protocol},
            )
        for sentence in discovered.missing:
            yield Finding("Interface", Status.NOTE, sentence, tenant)
        account = self._settings.account
        account_name = account.username or f"the application {account.client_id}"
        yield Finding("Sign-in", Status.GOOD, f"accepted, as {account_name}", tenant)
        release = next(iter(services.values())).release()
        yield Finding(
            "Release",
            Status.GOOD,
            _release_text(release) or "not shown to this account, and not required",
            tenant,
            facts={"release": release},
        )
        counts = ", ".join(f"{count:,} {kind}" for kind, count in discovered.counts.items())
        yield Finding("Entities", Status.GOOD, counts, tenant, facts=dict(discovered.counts))

    def _check_streams(
        self,
        tenant: Tenant,
        services: Mapping[str, Service],
        discovered: Discovered,
        clocks: ClockOffsets,
        plans: Iterable[StreamPlan],
    ) -> Iterator[Finding]:
        tenant_plans = [plan for plan in plans if tenant in plan.partitions]
        trials = StreamTrials(tenant, self._expected(tenant_plans, tenant))
        clock_checks = [self._instance.clock_checks[interface, tenant] for interface in services]
        fatal = self._try_streams(trials, services, clocks, tenant_plans)
        if fatal:
            yield fatal
        elif tenant_plans:
            yield trials.finding
            yield from self._check_rows(tenant, trials)
            yield from self._check_deletions(tenant, services, discovered, tenant_plans)
        yield from self._check_queries(tenant, trials.readable if not fatal else [])
        yield self._check_time_zone(tenant, discovered.locale, clock_checks)
        if not fatal:
            yield from self._check_server_time(tenant, clock_checks)
        yield from self._check_clock(tenant, clocks)

    def _expected(self, plans: Iterable[StreamPlan], tenant: Tenant) -> set[str]:
        """Return the streams of which the state has rows in a tenant."""
        expected = set()
        for plan in plans:
            entry = self._earlier.bookmarks.get(plan.name, {})
            part = part_of(entry, plan.settings.tenant_column, tenant)
            if part.get(VALUE) or part.get(WAS_READ):
                expected.add(plan.name)
        return expected

    def _check_rows(self, tenant: Tenant, trials: StreamTrials) -> Iterator[Finding]:
        """Say how many rows of each stream the account sees, as far as the server counts them."""
        rows = {stream.name: stream.count_rows() for stream in trials.readable}
        counts = {name: count for name, count in rows.items() if count is not None}
        if not counts:
            return
        shown = [f"{name} {count:,}" for name, count in counts.items()]
        text = f"visible to this account: {first_names(shown)}; {GROUPS_REMEDY}"
        status = Status.GOOD if all(counts.values()) else Status.NOTE
        yield Finding("Rows", status, text, tenant, facts={"rows": counts})

    def _check_deletions(
        self,
        tenant: Tenant,
        services: Mapping[str, Service],
        discovered: Discovered,
        plans: Sequence[StreamPlan],
    ) -> Iterator[Finding]:
        if any(not plan.is_log for plan in plans):
            tracked = tracked_streams(plans, discovered, services, self._settings.reading)
            yield check_deletions(tenant, plans, tracked, self._settings.generations)

    def _try_streams(
        self,
        trials: StreamTrials,
        services: Mapping[str, Service],
        clocks: ClockOffsets,
        plans: Iterable[StreamPlan],
    ) -> Finding | None:
        """Read the first pages of each stream; return the failure that would end a sync, if any."""
        for plan in plans:
            interface = plan.location.interface
            clock_check = self._instance.clock_checks[interface, trials.tenant]
            try:
                if plan.is_log:
                    self._run.one_row(plan, trials.tenant)
                    trials.told.append(plan.name)
                    continue
                reader = TrialReader(services[interface], plan.table(trials.tenant), clocks)
                row = reader.read_first_row(self._settings.reading, clock_check)
                trials.add(TrialStream(plan.name, reader, row))
            except AcumaticaError as error:
                if isinstance(error, RequestFailed) and error.action is Action.SKIP:
                    trials.refused[plan.name] = error.cause
                    continue
                step = "Date filter" if isinstance(error, ZoneError) else "Streams"
                return failure(error, trials.tenant, step)
        return None

    def _check_queries(self, tenant: Tenant, streams: Iterable[TrialStream]) -> Iterator[Finding]:
        """Try filters, counts and key paging on the first stream that can show that they work."""
        stream = next((stream for stream in streams if stream.pages_by_key), None)
        if stream is None:
            return
        verify_counts = self._settings.reading.verify_counts
        trials: tuple[tuple[str, Callable[[], bool], Status, str], ...] = (
            ("Filters", stream.filters_match, Status.BAD, "a filter returns the wrong rows"),
            (
                "Counts",
                stream.counts_match,
                Status.BAD if verify_counts else Status.NOTE,
                "the server does not count; each read takes one more request",
            ),
            (
                "Key paging",
                stream.pages_match,
                Status.NOTE,
                "does not work; full tables are read by $skip, which is slower",
            ),
        )
        for step, works, status, text in trials:
            try:
                is_good = works()
            except AcumaticaError as error:
                yield failure(error, tenant, step)
                continue
            if is_good:
                verb = "works" if step == "Key paging" else "work"
                yield Finding(step, Status.GOOD, f"{verb} on {stream.name}", tenant)
            else:
                cause = None if status is Status.NOTE else step.lower()
                yield Finding(step, status, text, tenant, cause)
        try:
            rows, seconds = stream.time_page(self._settings.page_size)
        except AcumaticaError as error:
            yield failure(error, tenant, "Page")
            return
        yield Finding(
            "Page",
            Status.GOOD,
            f"{rows:,} rows of {stream.name} in {seconds:.1f} s",
            tenant,
            facts={"rows": rows, "seconds": round(seconds, 3)},
        )

    def _check_server_time(
        self, tenant: Tenant, clock_checks: Iterable[ClockCheck]
    ) -> Iterator[Finding]:
        """Report the round trip and the clock check of each interface that has dated rows."""
        for clock_check in clock_checks:
            if clock_check.newest is None:
                continue
            if clock_check.round_trip_done:
                text = "filters find rows by their displayed timestamps"
                yield Finding("Date filter", Status.GOOD, text, tenant)
            proved = "proved: timestamps are comparable with the server's clock"
            unproved = "not proved: each run reads the last 14 hours again, and no row is lost"
            status, text = (Status.GOOD, proved) if clock_check.proved else (Status.NOTE, unproved)
            facts = {"proved": clock_check.proved}
            yield Finding("Server time", status, text, tenant, facts=facts)

    def _check_time_zone(
        self,
        tenant: Tenant,
        locale: str | None,
        clock_checks: Iterable[ClockCheck],
    ) -> Finding:
        """Compare the account's time zone with the setting time_zone."""
        offset = account_offset(locale, self._now())
        zone = account_zone(locale)
        instants = self._settings.instants
        time_zone = self._settings.time_zone or "UTC"
        if offset is None:
            return Finding(
                "Time zone",
                Status.NOTE,
                f"the server does not show the account's time zone; {time_zone} is assumed",
                tenant,
            )
        name = None if zone is None else str(zone)
        account = (
            _offset_text(offset) if name in {None, "UTC"} else f"{name} ({_offset_text(offset)})"
        )
        facts = {"account": _offset_text(offset), "zone": name, "time_zone": time_zone}
        # A zone with daylight saving fits another one for half of the year only.
        moments = [self._now(), self._now() + HALF_A_YEAR]
        offsets = [moment.astimezone(zone).utcoffset() if zone else offset for moment in moments]
        if offsets == [moment.astimezone(instants.zone).utcoffset() for moment in moments]:
            return Finding(
                "Time zone",
                Status.GOOD,
                f"the account is at {account}, which fits time_zone {time_zone}",
                tenant,
                facts=facts,
            )
        newest_values = [check.newest for check in clock_checks if check.newest]
        have_offsets = all(instants.has_offset(value) for value in newest_values)
        text = f"the account is at {account}, time_zone is {time_zone}"
        text += (
            "; values carry their own offset"
            if have_offsets
            else f"; set time_zone to {name or 'that of its profile'}"
        )
        return Finding("Time zone", Status.NOTE, text, tenant, facts=facts)

    def _check_clock(self, tenant: Tenant, clocks: ClockOffsets) -> Iterator[Finding]:
        if clocks.ahead is None:
            yield Finding("Clock", Status.NOTE, "the server sends no Date header", tenant)
            return
        ahead, skew = clocks.ahead.total_seconds(), clocks.skew.total_seconds()
        direction = "ahead of" if ahead >= 0 else "behind"
        facts = {"ahead_seconds": ahead, "skew_seconds": skew, "answers": clocks.count}
        text = f"{_duration(abs(ahead))} {direction} this machine's"
        time_offset = self._settings.reading.time_offset.total_seconds()
        text += f"; {clocks.count} responses differ by {skew:.0f} s"
        status = Status.GOOD
        if skew > time_offset:
            status = Status.NOTE
            text += f": raise time_offset ({time_offset:.0f} s) above that"
        yield Finding("Clock", status, text, tenant, facts=facts)


def _release_text(build: str | None) -> str | None:
    """Return a build with the name of its release: 26.101 and later ones are 2026 R1."""
    match = re.match(r"(\d\d)\.([12])\d\d\.", build or "")
    return f"{build} (20{match[1]} R{match[2]})" if match else build


def _duration(seconds: float) -> str:
    """Return a duration in the unit that suits it."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} s"


def _offset_text(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
