"""Where an entity is read, as the catalog keeps it."""

from __future__ import annotations

from dataclasses import dataclass

from tap_acumatica.odata.dialect import Protocol
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.service import INTERFACES


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an entity is read: what the catalog's `table_name` says."""

    interface: str
    protocol: Protocol
    entity_set: str

    @classmethod
    def of(cls, table_name: str) -> Origin:
        """Take a `table_name` apart.

        Raises:
            DiscoveryError: It is none of the tap's.
        """
        interface, _, rest = table_name.partition("/")
        protocol, _, entity_set = rest.partition("/")
        if interface not in INTERFACES or protocol not in set(Protocol) or not entity_set:
            message = (
                f"The catalog's table_name {table_name!r} is none of the tap's: run discovery "
                "again."
            )
            raise DiscoveryError(message)
        return cls(interface, Protocol(protocol), entity_set)
