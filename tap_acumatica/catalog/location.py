"""Where an entity is read, which the catalog holds in `table_name`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.addresses import DAC, INTERFACES
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.expand import Expansion, parse

if TYPE_CHECKING:
    from singer_sdk.singerlib.catalog import CatalogEntry

EXPAND: Final = "?$expand="
"""Separates the entity set from the navigation properties that are read with it.

A sync has no metadata, and a schema does not distinguish a navigation property from a column that
is an object, so the location names the navigation properties.
"""


@dataclass(frozen=True, slots=True)
class StreamLocation:
    """Where an entity is read: `<interface>/<protocol>/<entity set>?$expand=<navigations>`.

    Attributes:
        interface: One of `INTERFACES`.
        protocol: The version of OData that its service speaks.
        expansions: The navigation properties to read with the entity, without columns.
    """

    interface: str
    protocol: ODataVersion
    entity_set: str
    expansions: tuple[Expansion, ...] = ()

    def __str__(self) -> str:
        table = f"{self.interface}/{self.protocol}/{self.entity_set}"
        return table + EXPAND + ",".join(map(str, self.expansions)) if self.expansions else table


def parse_location(table_name: str) -> StreamLocation:
    """Parse a `table_name`.

    Raises:
        DiscoveryError: The tap did not write this `table_name`.
    """
    table, _, names = table_name.partition(EXPAND)
    interface, _, rest = table.partition("/")
    protocol, _, entity_set = rest.partition("/")
    try:
        if interface in INTERFACES and entity_set:
            return StreamLocation(interface, ODataVersion(protocol), entity_set, parse(names))
    except ValueError:
        pass
    message = (
        f"The catalog's table_name {table_name!r} is not one that the tap writes: run discovery "
        "again."
    )
    raise DiscoveryError(message)


def location_of(entry: CatalogEntry) -> StreamLocation:
    """Return where a catalog entry says that its stream is read.

    Raises:
        DiscoveryError: The tap did not write the location.
    """
    return parse_location(entry.table or f"{DAC}/{ODataVersion.V4}/{entry.tap_stream_id}")
