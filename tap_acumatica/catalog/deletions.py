"""The stream deleted_records: the log of deletions, one for all tracked tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.catalog.entry import StreamDescription
from tap_acumatica.catalog.location import StreamLocation
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import DAC
from tap_acumatica.odata.deletions import DATE, ENTITY, FUNCTION, NOTE
from tap_acumatica.odata.dialect import ODataVersion

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAM: Final = "deleted_records"

TYPES: Final[Mapping[str, str]] = {
    ENTITY: "Edm.String",
    NOTE: "Edm.Guid",
    DATE: "Edm.DateTimeOffset",
}
LOCATION: Final = StreamLocation(DAC, ODataVersion.V4, FUNCTION)


def describe(*, selected: bool) -> StreamDescription:
    """Describe the stream."""
    columns: dict[str, Any] = {name: dict(edm.TYPES[kind].schema) for name, kind in TYPES.items()}
    return StreamDescription(
        name=STREAM,
        location=LOCATION,
        schema={"type": "object", "properties": columns},
        key=(ENTITY, NOTE, DATE),
        replication_key=DATE,
        unsupported=frozenset(),
        singleton=False,
        selected=selected,
        types=TYPES,
    )
