"""From the model of an instance to catalog entries: names, keys, schemas and what may be selected.

The entry holds all that a sync needs, so that a sync with a catalog asks for no metadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.catalog.absence import ABSENT_IN
from tap_acumatica.catalog.related import Expansions
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.model import ENCRYPTED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_acumatica.catalog.location import StreamLocation


@dataclass(frozen=True, slots=True)
class StreamDescription:
    """A stream as discovery finds it.

    Attributes:
        location: Where a sync reads it, and which of its columns are related records.
        schema: JSON Schema of its records.
        unsupported: Columns that the server refuses to select.
        types: The columns' Edm types, as a sentence can name them.
        absent_in: Tenants that do not have it, where there are many.
        columns_absent_in: The same of its columns, by path; those that all have left out.
        tenant_column: The column that tells the tenant, where there are many.
        declared_key: What an inquiry's metadata call its key, which need not be one.
        appended: Columns of an inquiry that may be none of its results.
        function: What takes an inquiry's parameters, with their types.
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
        """The same with a column that tells the tenant, first in its key.

        Raises:
            DiscoveryError: It has a column of this name, be it in another case.
        """
        columns = self.schema["properties"]
        own = next((name for name in columns if name.casefold() == column.casefold()), None)
        if own:
            message = (
                f"The setting tenant_column names {column}, but {self.name} has a column {own} of "
                "its own: choose another name."
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
        method = "INCREMENTAL" if self.replication_key else "FULL_TABLE"
        stream_metadata: dict[str, Any] = {
            "inclusion": "available",
            "selected": self.selected,
            "selected-by-default": self.selected,
            "table-key-properties": list(
                self.key if self.declared_key is None else self.declared_key
            ),
        }
        if self.function:
            # The SDK drops all metadata but those that it knows, and this is one of them.
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
                        "breadcrumb": list(each),
                        "metadata": {"inclusion": "available", **self._absence(each[1::2])},
                    }
                    for each in self.related.breadcrumbs
                ),
            ],
        }
        if self.replication_key:
            entry["replication_key"] = self.replication_key
        if self.singleton:
            entry["row_count"] = 1
        return entry

    def _column_metadata(self, name: str) -> dict[str, Any]:
        if name in self.unsupported:
            return {"inclusion": "unsupported", "selected-by-default": False}
        if name in self.key or name in {self.replication_key, self.tenant_column}:
            return {"inclusion": "automatic"}
        return {
            "inclusion": "available",
            "selected-by-default": name != ENCRYPTED,
            **self._absence((name,)),
        }

    def _absence(self, path: tuple[str, ...]) -> dict[str, Any]:
        tenants = self.columns_absent_in.get(path)
        return {ABSENT_IN: list(tenants)} if tenants else {}


def as_text(entries: Iterable[Mapping[str, Any]]) -> str:
    """A catalog as text, in a line for each stream unless that would be too long."""
    streams = ",\n".join(_in_lines(entry) for entry in entries)
    return f'{{"streams":[\n{streams}\n]}}'


MAX_LINE_LENGTH: Final = 60_000
"""Bytes of a line of the catalog: Meltano waits for ever on one over 64 KiB."""


def _in_lines(entry: Mapping[str, Any]) -> str:
    text = msgspec.json.encode(entry)
    if len(text) > MAX_LINE_LENGTH:
        text = msgspec.json.format(text, indent=1)
    return text.decode()
