"""The streams and columns that tenants lack, according to the catalog."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata.errors import DiscoveryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from singer_sdk.singerlib.catalog import CatalogEntry

    from tap_acumatica.catalog.related import Path

ABSENT_IN: Final = "absent-in"
"""Key in the metadata of a stream or column: the tenants that do not have it."""


@dataclass(frozen=True, slots=True)
class TenantGaps:
    """The streams and columns that tenants lack, according to the catalog.

    Attributes:
        streams: Tenants that lack a stream, by stream.
        columns: Paths of the columns that a tenant lacks, by stream and tenant.
    """

    streams: Mapping[str, frozenset[str]] = field(default_factory=dict)
    columns: Mapping[tuple[str, str | None], frozenset[Path]] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Mapping[str, Any]]) -> TenantGaps:
        """Collect the gaps from catalog entries."""
        streams: dict[str, frozenset[str]] = {}
        columns: dict[tuple[str, str | None], set[Path]] = {}
        for entry in entries:
            name = entry["tap_stream_id"]
            for node in entry.get("metadata", ()):
                tenants = node["metadata"].get(ABSENT_IN, ())
                if not node["breadcrumb"]:
                    streams[name] = frozenset(tenants)
                    continue
                for tenant in tenants:
                    columns.setdefault((name, tenant), set()).add(tuple(node["breadcrumb"][1::2]))
        return cls(streams, {pair: frozenset(paths) for pair, paths in columns.items()})

    def tenants(self, stream: str, all_tenants: Sequence[str]) -> list[str]:
        """Return the tenants that have a stream."""
        lacking = self.streams.get(stream, ())
        return [tenant for tenant in all_tenants if tenant not in lacking]


def require_tenant_keys(entries: Iterable[CatalogEntry], column: str, *, many: bool) -> None:
    """Refuse a catalog that was made before `tenants` was set or unset.

    Raises:
        DiscoveryError: A key lacks the tenant, or contains it needlessly.
    """
    for entry in entries:
        key = entry.key_properties or ()
        if key and (key[0] == column) != many:
            message = (
                f"The catalog's key of {entry.tap_stream_id} is {list(key)}, which does not "
                "fit the setting tenants: run discovery again."
            )
            raise DiscoveryError(message)
