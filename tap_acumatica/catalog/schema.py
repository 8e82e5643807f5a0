"""Catalog entries whose schemas keep the precision and scale of decimals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, cast

from singer_sdk.singerlib import Schema
from singer_sdk.singerlib.catalog import Catalog, CatalogEntry
from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Mapping


class CatalogSchema(Schema):
    """A JSON Schema with the keywords of decimals, which the SDK's own class drops."""

    precision: int | None = None
    scale: int | None = None

    @classmethod
    @override
    def from_dict(cls, data: dict[str, Any], **schema_defaults: Any) -> Self:
        schema = cast("Self", super().from_dict(data, **schema_defaults))
        schema.precision, schema.scale = data.get("precision"), data.get("scale")
        return schema

    @override
    def to_dict(self) -> dict[str, Any]:
        schema = super().to_dict()
        if self.precision is not None:
            schema["precision"] = self.precision
        if self.scale is not None:
            schema["scale"] = self.scale
        return schema


def entry_of(stream: Mapping[str, Any]) -> CatalogEntry:
    """Return a stream of a catalog as an object."""
    entry = CatalogEntry.from_dict({**stream, "schema": {}})
    entry.schema = CatalogSchema.from_dict(stream.get("schema", {}))
    return entry


def catalog_of(catalog: Mapping[str, Any]) -> Catalog:
    """Return a catalog as an object."""
    entries = map(entry_of, catalog.get("streams", ()))
    return Catalog((entry.tap_stream_id, entry) for entry in entries)
