"""The stream deleted_records: the log of deletions, one for all tracked tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.catalog.entry import StreamDescription
from tap_acumatica.catalog.location import StreamLocation, location_of
from tap_acumatica.catalog.schema import CatalogSchema
from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import DAC
from tap_acumatica.odata.deletions import DATE, ENTITY, FUNCTION, MARK, NOTE
from tap_acumatica.odata.dialect import ODataVersion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from singer_sdk.singerlib import CatalogEntry

STREAM: Final = "deleted_records"

TYPES: Final[Mapping[str, str]] = {
    ENTITY: "Edm.String",
    NOTE: "Edm.Guid",
    DATE: "Edm.DateTimeOffset",
}
LOCATION: Final = StreamLocation(DAC, ODataVersion.V4, FUNCTION)


def add_mark(entry: CatalogEntry) -> None:
    """Add the column that dates rows marked as deleted, if the rows of the stream can be marked."""
    location = location_of(entry)
    is_entity = location.interface == DAC and location != LOCATION
    if is_entity and entry.key_properties and entry.row_count != 1:
        schema = entry.schema.to_dict()
        column = {**edm.INSTANT.schema, "type": [edm.INSTANT.schema["type"], "null"]}
        schema["properties"] = {**schema["properties"], MARK: column}
        entry.schema = CatalogSchema.from_dict(schema)


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
