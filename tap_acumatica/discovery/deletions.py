"""The stream deleted_records: in the catalog where the instance can tell what it tracks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tap_acumatica.catalog.deletions import STREAM, describe
from tap_acumatica.odata.addresses import DAC
from tap_acumatica.odata.deletions import TRACKED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_acumatica.catalog.entry import StreamDescription
    from tap_acumatica.discovery.filters import DiscoverySettings
    from tap_acumatica.odata.model import Model


def discover_log(model: Model, settings: DiscoverySettings) -> Iterator[StreamDescription]:
    """Describe the stream if the metadata declare the list of tracked tables, or `entities` asks.

    An account that may not see the list can still ask for deletions, so the name alone is enough;
    a glob is not.
    """
    is_named = any(name.strip().lower() == STREAM for name in settings.entities or ())
    is_listed = any(entity_set.name == TRACKED for entity_set in model.sets)
    if (is_named or is_listed) and settings.wants([STREAM], DAC):
        yield describe(selected=settings.entities is not None)
