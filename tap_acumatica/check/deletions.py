"""Finds out by which road the deleted rows of each stream can leave the target."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tap_acumatica.catalog.deletions import STREAM
from tap_acumatica.check.findings import Finding, Status, first_names
from tap_acumatica.check.probes import TRIAL_PAGE
from tap_acumatica.odata.addresses import DAC
from tap_acumatica.odata.deletions import TRACKED
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.paging.by_key import KeyPager
from tap_acumatica.reading.deletions import Tracked
from tap_acumatica.reading.model import ReadStats
from tap_acumatica.run.generations import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tap_acumatica.catalog.plan import StreamPlan, Tenant
    from tap_acumatica.discovery.tenant import Discovered
    from tap_acumatica.odata.service import Service
    from tap_acumatica.reading.model import ReadSettings
    from tap_acumatica.run.generations import GenerationSettings


def check_deletions(
    tenant: Tenant,
    plans: Sequence[StreamPlan],
    tracked: Mapping[str, str | None],
    generations: GenerationSettings,
) -> Finding:
    """Return which roads are open for each stream of a tenant.

    Args:
        tenant: The tenant.
        plans: The streams.
        tracked: Since when streams are tracked, as the server shows it.
        generations: When rows are retired.
    """
    roads: dict[str, list[str]] = {}
    for plan in plans:
        if plan.is_log:
            continue
        roads[plan.name] = []
        if plan.name in tracked:
            since = tracked[plan.name]
            roads[plan.name].append(f"tracked since {since[:10]}" if since else "tracked")
        if road := _full_read(plan, tenant, generations):
            roads[plan.name].append(road)
    by_road: dict[str, list[str]] = {}
    for name, ways in roads.items():
        by_road.setdefault(" and ".join(ways) or "none", []).append(name)
    text = "; ".join(f"{road}: {first_names(names)}" for road, names in by_road.items())
    if "none" in by_road:
        text += " (rows that are deleted stay in the target)"
    if tracked and not any(plan.is_log for plan in plans):
        text += f"; select {STREAM} to read what is tracked"
    status = Status.NOTE if "none" in by_road else Status.GOOD
    facts: dict[str, Any] = {"roads": roads}
    return Finding("Deletions", status, text, tenant, facts=facts)


def _full_read(plan: StreamPlan, tenant: Tenant, generations: GenerationSettings) -> str | None:
    """Return the full read that has rows of a stream retired, or None."""
    interval = generations.interval(plan)
    if interval is None or not generations.activates or generations.narrowed_by:
        return None
    if plan.incremental and (generations.dated_by or not KeyPager.suits(plan.table(tenant))):
        return None
    return f"full read every {interval // HOUR} h" if interval else "full read in each run"


def tracked_streams(
    plans: Iterable[StreamPlan],
    discovered: Discovered,
    services: Mapping[str, Service],
    reading: ReadSettings,
) -> dict[str, str | None]:
    """Return since when streams are tracked, as far as the account may know."""
    model = discovered.models.get(DAC)
    if model is None or not any(entity_set.name == TRACKED for entity_set in model.sets):
        return {}
    streams = {plan.location.entity_set: plan.name for plan in plans if plan.has_notes}
    size = min(reading.paging.size, TRIAL_PAGE) if reading.paging.size else None
    reading = replace(reading, paging=replace(reading.paging, size=size))
    try:
        tracked = Tracked.read(services[DAC], reading, ReadStats())
    except AcumaticaError:
        return {}
    return {
        streams[entity_set]: since
        for entity_set, since in tracked.entity_sets(streams).items()
        if entity_set in streams
    }
