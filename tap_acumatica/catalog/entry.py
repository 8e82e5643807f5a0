"""Catalog entries of streams: names, keys, schemas, and what can be selected.

An entry holds all that a sync needs, so that a sync with a catalog requests no metadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.catalog.absence import ABSENT_IN
from tap_acumatica.catalog.given import FULL_TABLE, INCREMENTAL, SQL_DATATYPE
from tap_acumatica.catalog.related import Expansions
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.model import ENCRYPTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_acumatica.catalog.location import StreamLocation

MAX_LINE_LENGTH: Final = 60_000
"""Maximum bytes of a line of the catalog: Meltano waits forever on a line over 64 KiB."""


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """A stream as discovery describes it.

    Attributes:
        location: Where a sync reads the stream, and which of its columns are related records.
        schema: JSON Schema of the records.
        unsupported: Columns that the server refuses to select.
        selected: Whether the stream is selected by default.
        tenant_column: Column that holds the tenant, if there are several tenants.
        types: The columns' Edm types: those of values on the wire, whatever schema a user gives
            a column.
        absent_in: Tenants that lack the stream, if there are several tenants.
        columns_absent_in: Tenants that lack a column, by the column's path; without the columns
            that all tenants have.
        declared_key: The columns that an inquiry's metadata declare as its key, which need not
            identify rows.
        appended: Columns of an inquiry that may have been appended to its results.
        function: The function that takes an inquiry's parameters, with their types; empty if the
            inquiry has none.
    """

    name: str
    location: StreamLocation
    schema: dict[str, Any]
    key: tuple[str, ...]
    replication_key: str | None
    unsupported: frozenset[str]
    singleton: bool
    selected: bool
    tenant_column: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    absent_in: tuple[str, ...] = ()
    columns_absent_in: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    related: Expansions = field(default_factory=Expansions)
    declared_key: tuple[str, ...] | None = None
    appended: frozenset[str] = frozenset()
    function: str = ""

    def with_tenant(self, column: str) -> StreamDescription:
        """Return the description with a column for the tenant, first in its key.

        Raises:
            DiscoveryError: The stream has a column of this name, in any case.
        """
        columns = self.schema["properties"]
        existing = next((name for name in columns if name.casefold() == column.casefold()), None)
        if existing:
            message = (
                f"The setting tenant_column names {column}, but {self.name} has a column "
                f"{existing} of its own: choose another name."
            )
            raise DiscoveryError(message)
        tenant = {column: {"type": "string", "title": "Tenant"}}
        return replace(
            self,
            schema={**self.schema, "properties": {**tenant, **columns}},
            key=(column, *self.key) if self.key else (),
            tenant_column=column,
        )

    @property
    def entry(self) -> dict[str, Any]:
        """The catalog entry."""
        method = INCREMENTAL if self.replication_key else FULL_TABLE
        stream_metadata: dict[str, Any] = {
            "inclusion": "available",
            "selected": self.selected,
            "selected-by-default": self.selected,
            "table-key-properties": list(
                self.key if self.declared_key is None else self.declared_key
            ),
        }
        if self.function:
            # The SDK drops all metadata that it does not know; it knows this key.
            stream_metadata["schema-name"] = self.function
        if self.replication_key:
            stream_metadata["valid-replication-keys"] = [self.replication_key]
        if self.absent_in:
            stream_metadata[ABSENT_IN] = list(self.absent_in)
        entry: dict[str, Any] = {
            "tap_stream_id": self.name,
            "stream": self.name,
            "table_name": str(self.location),
            "key_properties": list(self.key),
            "replication_method": method,
            "schema": self.schema,
            "metadata": [
                {"breadcrumb": [], "metadata": stream_metadata},
                *(
                    {"breadcrumb": ["properties", name], "metadata": self._column_metadata(name)}
                    for name in self.schema["properties"]
                ),
                *(
                    {
                        "breadcrumb": list(breadcrumb),
                        "metadata": {"inclusion": "available", **self._absence(breadcrumb[1::2])},
                    }
                    for breadcrumb in self.related.breadcrumbs
                ),
            ],
        }
        if self.replication_key:
            entry["replication_key"] = self.replication_key
        if self.singleton:
            entry["row_count"] = 1
        return entry

    def _column_metadata(self, name: str) -> dict[str, Any]:
        declared = {SQL_DATATYPE: self.types[name]} if name in self.types else {}
        if name in self.unsupported:
            return {"inclusion": "unsupported", "selected-by-default": False, **declared}
        if name in self.key or name in {self.replication_key, self.tenant_column}:
            return {"inclusion": "automatic", **declared}
        return {
            "inclusion": "available",
            "selected-by-default": name != ENCRYPTED,
            **declared,
            **self._absence((name,)),
        }

    def _absence(self, path: tuple[str, ...]) -> dict[str, Any]:
        tenants = self.columns_absent_in.get(path)
        return {ABSENT_IN: list(tenants)} if tenants else {}


def as_text(entries: Iterable[Mapping[str, Any]]) -> str:
    """Return a catalog as text, one line per stream unless that line would be too long."""
    streams = ",\n".join(_entry_text(entry) for entry in entries)
    return f'{{"streams":[\n{streams}\n]}}'


def _entry_text(entry: Mapping[str, Any]) -> str:
    text = msgspec.json.encode(entry)
    if len(text) > MAX_LINE_LENGTH:
        text = msgspec.json.format(text, indent=1)
    return text.decode()
