"""Where an entity is read, as the catalog keeps it in `table_name`."""

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
"""What stands between the entity set and the related records that are read along.

A sync has no metadata, and a schema does not tell a navigation property from a column that is an
object, so the location names them.
"""


@dataclass(frozen=True, slots=True)
class StreamLocation:
    """Where an entity is read: `<interface>/<protocol>/<entity set>?$expand=<related records>`.

    Attributes:
        interface: One of `INTERFACES`.
        protocol: The version of OData that its service speaks.
        expansions: Its navigation properties that are read along, by name, without columns.
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
        DiscoveryError: The tap did not write it.
    """
    table, _, names = table_name.partition(EXPAND)
    interface, _, rest = table.partition("/")
    protocol, _, entity_set = rest.partition("/")
    try:
        if interface in INTERFACES and entity_set:
            return StreamLocation(interface, ODataVersion(protocol), entity_set, parse(names))
    except ValueError:
        pass
    message = f"The catalog's table_name {table_name!r} is none of the tap's: run discovery again."
    raise DiscoveryError(message)


def location_of(entry: CatalogEntry) -> StreamLocation:
    """Return where a catalog entry says that its stream is read.

    Raises:
        DiscoveryError: The tap did not write it.
    """
    return parse_location(entry.table or f"{DAC}/{ODataVersion.V4}/{entry.tap_stream_id}")
