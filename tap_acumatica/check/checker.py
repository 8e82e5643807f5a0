"""Whether a sync would work: each thing that it needs is tried once, and each failure named.

What is found comes a step at a time, so that it can be shown while the next one is tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tap_acumatica.check.findings import Finding, Status, failure
from tap_acumatica.check.probes import ClockOffsets, TrialReader, TrialStream
from tap_acumatica.odata.clock import ZoneError
from tap_acumatica.odata.errors import SITE_WIDE, Action, AcumaticaError, Cause, RequestFailed
from tap_acumatica.odata.http.client import RetryLimits
from tap_acumatica.odata.instants import account_offset, agrees
from tap_acumatica.odata.log import masking

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from tap_acumatica.catalog.plan import StreamPlan, Tenant
    from tap_acumatica.discovery.tenant import Discovered
    from tap_acumatica.odata.clock import ClockCheck
    from tap_acumatica.odata.service import Service
    from tap_acumatica.run.run import Run

RETRY_LIMITS: Final = RetryLimits(timeout=120.0, retry_time=10.0)
"""A check tells what is wrong now; it does not wait until that has passed."""

NAMES_SHOWN: Final = 5
"""Names of streams in one line; the JSON has all of them."""

REMEDY: Final = "give the account rights on Access Rights by Role (SM201025)"

FAMILIES: Final[Mapping[str, str]] = {
    "/api/odata/": "current releases",
    "/odatav4/": "releases before 2024 R2",
    "/odata/": "releases before 2024 R2",
}


@dataclass(slots=True)
class StreamTrials:
    """The streams of a tenant whose first pages were asked for.

    Attributes:
        refused: Causes, of those that a sync skips.
        in_part: What was refused, of those for which a sync asks otherwise.
    """

    tenant: Tenant
    samples: list[TrialStream] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    in_part: dict[str, str] = field(default_factory=dict)

    def add(self, sample: TrialStream) -> None:
        """Take one that can be read."""
        self.samples.append(sample)
        if sample.probe.refused:
            self.in_part[sample.name] = str(sample.probe.refused)

    @property
    def finding(self) -> Finding:
        """What is to be said of all."""
        asked = len(self.samples) + len(self.refused)
        status, cause, text = Status.GOOD, None, f"{asked} selected, all may be read"
        if self.refused:
            status = Status.NOTE
            text = f"{len(self.refused)} of {asked} selected may not be read: "
            text += f"{_listed(self.refused)}; {'a sync skips them' if self.samples else REMEDY}"
        elif self.in_part:
            status = Status.NOTE
            text = f"{asked} selected; queries of {_listed(self.in_part)} are refused in part, "
            text += "a sync asks otherwise"
        if not self.samples:
            status, cause = Status.BAD, Cause.ROLE_MISSING
        facts = {"selected": asked, "refused": self.refused, "refused_in_part": self.in_part}
        return Finding("Streams", status, text, self.tenant, cause, facts)


class Checker:
    """Tries what a sync needs."""

    def __init__(
        self, run: Run, plans: Callable[[], Sequence[StreamPlan]], now: Callable[[], datetime]
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            run: With the settings.
            plans: Tells what the selected streams read; raises what is wrong with the selection.
            now: This machine's clock.
        """
        self._settings = run.settings
        self._instance = run.instance
        self._plans = plans
        self._now = now

    def findings(self) -> Iterator[Finding]:
        """Try one thing after the other."""
        found: dict[Tenant, Discovered | AcumaticaError] = {}
        for tenant in self._instance.tenants:
            try:
                found[tenant] = self._instance.discovered(tenant)
            except AcumaticaError as error:
                if error.cause in SITE_WIDE:
                    yield failure(error, tenant)
                    return
                found[tenant] = error
        plans: Sequence[StreamPlan] = []
        if not all(isinstance(each, AcumaticaError) for each in found.values()):
            try:
                plans = self._plans()
            except AcumaticaError as error:
                yield failure(error, step="Streams")
        for tenant, discovered in found.items():
            if isinstance(discovered, AcumaticaError):
                yield failure(discovered, tenant)
                continue
            services, clocks = self._instance.services_of(tenant), ClockOffsets(self._now)
            clocks.note(discovered.date)
            yield from self._site(tenant, services, discovered)
            yield from self._reads(tenant, services, discovered, clocks, plans)

    def _site(
        self, tenant: Tenant, services: Mapping[str, Service], found: Discovered
    ) -> Iterator[Finding]:
        for interface, protocol in found.protocols.items():
            root = services[interface].root or ""
            family = next((each for part, each in FAMILIES.items() if part in root.lower()), "")
            yield Finding(
                "Address",
                Status.GOOD,
                f"{root} answers in OData {protocol.removeprefix('v')}, as {family} do",
                tenant,
                facts={"root": root, "family": family, "protocol": protocol},
            )
        for sentence in found.missing:
            yield Finding("Interface", Status.NOTE, masking.masked(sentence), tenant)
        account = self._settings.account
        name = account.username or f"the application {account.client_id}"
        yield Finding("Sign-in", Status.GOOD, f"accepted, as {name}", tenant)
        release = next(iter(services.values())).release()
        yield Finding(
            "Release",
            Status.GOOD,
            release or "not told to this account, nor needed",
            tenant,
            facts={"release": release},
        )
        counts = ", ".join(f"{number:,} {name}" for name, number in found.counts.items())
        yield Finding("Entities", Status.GOOD, counts, tenant, facts=dict(found.counts))

    def _reads(
        self,
        tenant: Tenant,
        services: Mapping[str, Service],
        found: Discovered,
        clocks: ClockOffsets,
        plans: Iterable[StreamPlan],
    ) -> Iterator[Finding]:
        its_own = [plan for plan in plans if tenant in plan.partitions]
        begun = StreamTrials(tenant)
        finders = [self._instance.clock_checks[interface, tenant] for interface in services]
        ended = self._begin(begun, services, clocks, its_own)
        if ended:
            yield ended
        elif its_own:
            yield begun.finding
        yield from self._queries(tenant, begun.samples if not ended else [])
        yield self._zone(tenant, account_offset(found.locale), finders)
        if not ended:
            yield from self._frames(tenant, finders)
        yield from self._clock(tenant, clocks)

    def _begin(
        self,
        begun: StreamTrials,
        services: Mapping[str, Service],
        clocks: ClockOffsets,
        plans: Iterable[StreamPlan],
    ) -> Finding | None:
        """Read the first pages of each stream; what a sync would end with, if anything."""
        for plan in plans:
            interface = plan.location.interface
            clock_check = self._instance.clock_checks[interface, begun.tenant]
            try:
                probe = TrialReader(services[interface], plan.table(begun.tenant), clocks)
                begun.add(
                    TrialStream(plan.name, probe, probe.begin(self._settings.reading, clock_check))
                )
            except AcumaticaError as error:
                if isinstance(error, RequestFailed) and error.action is Action.SKIP:
                    begun.refused[plan.name] = error.cause
                    continue
                step = "Date filter" if isinstance(error, ZoneError) else "Streams"
                return failure(error, begun.tenant, step)
        return None

    def _queries(self, tenant: Tenant, samples: Iterable[TrialStream]) -> Iterator[Finding]:
        """Whether filters, counts and paging by key work, on the first stream that can tell."""
        sample = next((each for each in samples if each.pages_by_key), None)
        if sample is None:
            return
        verify_counts = self._settings.reading.verify_counts
        tried: tuple[tuple[str, Callable[[], bool], Status, str], ...] = (
            ("Filters", sample.filters, Status.BAD, "a filter brings other rows than it should"),
            (
                "Counts",
                sample.counts,
                Status.BAD if verify_counts else Status.NOTE,
                "the server does not count; each read takes a request more",
            ),
            (
                "Key paging",
                sample.pages,
                Status.NOTE,
                "does not work; full tables are read by $skip, which is slower",
            ),
        )
        for step, works, otherwise, text in tried:
            try:
                good = works()
            except AcumaticaError as error:
                yield failure(error, tenant, step)
                continue
            yield (
                Finding(
                    step,
                    Status.GOOD,
                    f"work on {sample.name}" if step != "Key paging" else f"works on {sample.name}",
                    tenant,
                )
                if good
                else Finding(
                    step,
                    otherwise,
                    text,
                    tenant,
                    None if otherwise is Status.NOTE else step.lower(),
                )
            )
        try:
            rows, seconds = sample.page(self._settings.page_size)
        except AcumaticaError as error:
            yield failure(error, tenant, "Page")
            return
        yield Finding(
            "Page",
            Status.GOOD,
            f"{rows:,} rows of {sample.name} in {seconds:.1f} s",
            tenant,
            facts={"rows": rows, "seconds": round(seconds, 3)},
        )

    def _frames(self, tenant: Tenant, finders: Iterable[ClockCheck]) -> Iterator[Finding]:
        """The round trip and the frame, as the dated streams of each interface showed them."""
        for finder in finders:
            if finder.newest is None:
                continue
            if finder.round_trip_done:
                text = "rows are found by the instant that they show"
                yield Finding("Date filter", Status.GOOD, text, tenant)
            proved = "proved: date-times compare with the server's clock"
            unproved = "not proved yet; windows get no upper bound, and nothing is lost by it"
            status, text = (Status.GOOD, proved) if finder.proved else (Status.NOTE, unproved)
            yield Finding("Server time", status, text, tenant, facts={"proved": finder.proved})

    def _zone(
        self, tenant: Tenant, account: timedelta | None, finders: Iterable[ClockCheck]
    ) -> Finding:
        """The account's zone beside the one that is assumed."""
        zone = self._settings.instants.zone
        assumed = self._settings.time_zone or "UTC"
        if account is None:
            return Finding(
                "Time zone",
                Status.NOTE,
                f"the server does not tell the account's; {assumed} is assumed",
                tenant,
            )
        shown = _hours(account)
        facts = {"account": shown, "time_zone": assumed}
        if agrees(account, self._now().astimezone(zone).utcoffset()):
            return Finding(
                "Time zone",
                Status.GOOD,
                f"the account is at {shown}, which fits time_zone {assumed}",
                tenant,
                facts=facts,
            )
        labelled = all(
            self._settings.instants.has_offset(each.newest) for each in finders if each.newest
        )
        text = f"the account is at {shown}, time_zone is {assumed}"
        text += (
            "; values carry their own offset" if labelled else "; set time_zone to the account's"
        )
        return Finding("Time zone", Status.NOTE, text, tenant, facts=facts)

    def _clock(self, tenant: Tenant, clocks: ClockOffsets) -> Iterator[Finding]:
        if clocks.ahead is None:
            yield Finding("Clock", Status.NOTE, "the server sends no Date header", tenant)
            return
        ahead, skew = clocks.ahead.total_seconds(), clocks.skew.total_seconds()
        where = "ahead of" if ahead >= 0 else "behind"
        facts = {"ahead_seconds": ahead, "skew_seconds": skew, "answers": clocks.answers}
        text = f"{_long(abs(ahead))} {where} this machine's"
        offset = self._settings.reading.time_offset.total_seconds()
        text += f"; {clocks.answers} answers differ by {skew:.0f} s"
        if skew > offset:
            text += f": raise time_offset ({offset:.0f} s) above it"
        yield Finding(
            "Clock", Status.NOTE if skew > offset else Status.GOOD, text, tenant, facts=facts
        )


def _listed(names: Mapping[str, str]) -> str:
    """The first names."""
    return ", ".join(list(names)[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


def _long(seconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, length in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.0f} {unit}"
    return f"{seconds:.0f} s"


def _hours(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"UTC{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
