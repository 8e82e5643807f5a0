"""Whether a sync would work: each thing that it needs is tried once, and each failure named.

What is found comes a step at a time, so that it can be shown while the next one is tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_acumatica.findings import Finding, Status, failure
from tap_acumatica.odata.client import Patience
from tap_acumatica.odata.errors import OF_THE_SITE, AcumaticaError
from tap_acumatica.odata.instants import account_offset, agrees
from tap_acumatica.odata.log import masking
from tap_acumatica.odata.service import INTERFACES
from tap_acumatica.probing import Clocks, Probe, Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta

    from tap_acumatica.discovery import Discovered
    from tap_acumatica.odata.service import Service
    from tap_acumatica.streams import EntityStream
    from tap_acumatica.tap import TapAcumatica

PATIENCE: Final = Patience(timeout=120.0, retry_time=10.0)
"""A check tells what is wrong now; it does not wait until it has passed."""

NAMES_SHOWN: Final = 5
"""Names of streams in one line; the JSON has all of them."""

FAMILIES: Final[Mapping[str, str]] = {
    "/api/odata/": "current releases",
    "/odatav4/": "releases before 2024 R2",
    "/odata/": "releases before 2024 R2",
}


class Checker:
    """Tries what a sync needs."""

    def __init__(self, tap: TapAcumatica, now: Callable[[], datetime]) -> None:
        """Prepare; nothing is sent yet.

        Args:
            tap: With its settings, and the catalog where there is one.
            now: This machine's clock.
        """
        self._tap = tap
        self._now = now

    def findings(self) -> Iterator[Finding]:
        """Try one thing after the other."""
        found: dict[str | None, Discovered | AcumaticaError] = {}
        for tenant in self._tap.instance.tenants:
            try:
                found[tenant] = self._tap.instance.discovered(tenant)
            except AcumaticaError as error:
                if error.cause in OF_THE_SITE:
                    yield failure(error, tenant)
                    return
                found[tenant] = error
        streams: list[EntityStream] = []
        if not all(isinstance(each, AcumaticaError) for each in found.values()):
            try:
                streams = self._tap.selected_streams()
            except AcumaticaError as error:
                yield failure(error, step="Streams")
        for tenant, each in found.items():
            if isinstance(each, AcumaticaError):
                yield failure(each, tenant)
                continue
            services, clocks = self._tap.instance.services_of(tenant), Clocks(self._now)
            clocks.note(each.date)
            yield from self._site(tenant, services, each)
            yield from self._reads(tenant, services, each, clocks, streams)

    def _site(
        self, tenant: str | None, services: Mapping[str, Service], found: Discovered
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
        name = self._tap.config.get("username")
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
        tenant: str | None,
        services: Mapping[str, Service],
        found: Discovered,
        clocks: Clocks,
        streams: Iterable[EntityStream],
    ) -> Iterator[Finding]:
        probes = [
            (stream, Probe(services[stream.origin.interface], stream.table(tenant), clocks))
            for stream in streams
            if tenant is None or tenant in stream.tenants
        ]
        samples: list[Sample] = []
        finding = self._rights(tenant, probes, samples)
        if finding:
            yield finding
        if finding is None or finding.status is not Status.BAD:
            yield from self._queries(tenant, samples)
            yield from self._time(tenant, found, samples)
        yield from self._clock(tenant, clocks)

    def _rights(
        self,
        tenant: str | None,
        probes: Iterable[tuple[EntityStream, Probe]],
        samples: list[Sample],
    ) -> Finding | None:
        """Ask for a row of each selected stream."""
        refused: dict[str, str] = {}
        in_part: dict[str, str] = {}
        asked = 0
        for stream, probe in probes:
            asked += 1
            try:
                samples.append(Sample(stream, probe, probe.row()))
            except AcumaticaError as error:
                if Probe.is_skipped(error):
                    refused[stream.name] = error.cause
                elif Probe.is_rephrased(error):
                    in_part[stream.name] = str(error)
                else:
                    return failure(error, tenant, "Streams")
        if not asked:
            return None
        facts = {"selected": asked, "refused": refused, "refused_in_part": in_part}
        if not refused and in_part:
            names = _listed(in_part)
            text = (
                f"{asked} selected; queries of {names} are refused in part, a sync asks otherwise"
            )
            return Finding("Streams", Status.NOTE, text, tenant, facts=facts)
        if not refused:
            return Finding(
                "Streams", Status.GOOD, f"{asked} selected, all may be read", tenant, facts=facts
            )
        text = f"{len(refused)} of {asked} selected may not be read: {_listed(refused)}"
        if len(refused) < asked:
            return Finding(
                "Streams", Status.NOTE, f"{text}; a sync skips them", tenant, facts=facts
            )
        remedy = "give the account rights on Access Rights by Role (SM201025)"
        return Finding("Streams", Status.BAD, f"{text}; {remedy}", tenant, "role missing", facts)

    def _queries(self, tenant: str | None, samples: Iterable[Sample]) -> Iterator[Finding]:
        """Whether filters, counts and paging by key work, on the first stream that can tell."""
        sample = next((each for each in samples if each.pages_by_key), None)
        if sample is None:
            return
        verify_counts = self._tap.config["verify_counts"]
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
            rows, seconds = sample.page(self._tap.config["page_size"])
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

    def _time(
        self, tenant: str | None, found: Discovered, samples: Iterable[Sample]
    ) -> Iterator[Finding]:
        """The account's zone, the round trip and the frame, on the dated streams."""
        dated = [each for each in samples if each.dated and each.row]
        yield self._zone(tenant, account_offset(found.locale), dated)
        for interface in INTERFACES:
            of_it = [each for each in dated if each.stream.origin.interface == interface]
            if of_it:
                yield from self._frame(tenant, of_it)

    def _frame(self, tenant: str | None, dated: Sequence[Sample]) -> Iterator[Finding]:
        """The round trip and the frame, once for each interface."""
        finder = self._tap.instance.frame_finder()
        try:
            for sample in dated[:NAMES_SHOWN]:
                frame = finder.frame(sample.probe.table, sample.probe.ask)
                if finder.round_trip_done and frame.proved:
                    break
        except AcumaticaError as error:
            yield failure(error, tenant, "Round trip")
            return
        if finder.round_trip_done:
            text = "rows are found by the instant that they show"
            yield Finding("Round trip", Status.GOOD, text, tenant)
        proved = "proved: date-times compare with the server's clock"
        unproved = "not proved yet; windows get no upper bound, and nothing is lost by it"
        status, text = (Status.GOOD, proved) if frame.proved else (Status.NOTE, unproved)
        yield Finding("Frame", status, text, tenant, facts={"proved": frame.proved})

    def _zone(
        self, tenant: str | None, account: timedelta | None, dated: Iterable[Sample]
    ) -> Finding:
        zone = self._tap.instance.instants.zone
        assumed = str(self._tap.config.get("time_zone") or "UTC")
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
            self._tap.instance.instants.labelled(each.instant) for each in dated if each.instant
        )
        text = f"the account is at {shown}, time_zone is {assumed}"
        text += (
            "; values carry their own offset" if labelled else "; set time_zone to the account's"
        )
        return Finding("Time zone", Status.NOTE, text, tenant, facts=facts)

    def _clock(self, tenant: str | None, clocks: Clocks) -> Iterator[Finding]:
        if clocks.ahead is None:
            yield Finding("Clock", Status.NOTE, "the server sends no Date header", tenant)
            return
        ahead, skew = clocks.ahead.total_seconds(), clocks.skew.total_seconds()
        where = "ahead of" if ahead >= 0 else "behind"
        facts = {"ahead_seconds": ahead, "skew_seconds": skew, "answers": clocks.answers}
        text = f"{_long(abs(ahead))} {where} this machine's"
        offset = self._tap.config["time_offset"]
        text += f"; {clocks.answers} answers differ by {skew:.0f} s"
        if skew > offset:
            text += f": raise time_offset ({offset} s) above it"
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
