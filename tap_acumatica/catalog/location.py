"""Where an entity is read, as the catalog keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from tap_acumatica.odata.addresses import INTERFACES
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.errors import DiscoveryError


@dataclass(frozen=True, slots=True)
class StreamLocation:
    """Where an entity is read: what the catalog's `table_name` says."""

    interface: str
    protocol: ODataVersion
    entity_set: str

    @classmethod
    def of(cls, table_name: str) -> StreamLocation:
        """Take a `table_name` apart.

        Raises:
            DiscoveryError: It is none of the tap's.
        """
        interface, _, rest = table_name.partition("/")
        protocol, _, entity_set = rest.partition("/")
        if interface not in INTERFACES or protocol not in set(ODataVersion) or not entity_set:
            message = (
                f"The catalog's table_name {table_name!r} is none of the tap's: run discovery "
                "again."
            )
            raise DiscoveryError(message)
        return cls(interface, ODataVersion(protocol), entity_set)
