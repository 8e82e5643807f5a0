"""A catalog as it was given to a run: its shape, and what it says about each stream, said once.

Tools write key, replication key and method of a stream at its top level, in its metadata, or at
both places. They are settled here, before the SDK parses the catalog: it drops some of the
metadata, and it takes an empty key for none at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from tap_acumatica.catalog.selection import only_selected
from tap_acumatica.odata.errors import DiscoveryError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

INCREMENTAL: Final = "INCREMENTAL"
FULL_TABLE: Final = "FULL_TABLE"

SQL_DATATYPE: Final = "sql-datatype"
"""Key in the metadata of a column: the Edm type of its values on the wire."""


TOP_LEVEL: Final = 2
"""Length of the breadcrumb of a column that is no part of another one."""


class _Column(msgspec.Struct):
    type: str | list[str] | None = None
    format: str | None = None
    properties: dict[str, _Column] = {}
    items: _Column | None = None


class _Schema(msgspec.Struct):
    properties: dict[str, _Column]


class _Metadata(msgspec.Struct, rename="kebab"):
    selected: bool | None = None
    selected_by_default: bool | None = None
    absent_in: list[str] = []
    sql_datatype: str | None = None
    schema_name: str | None = None
    table_key_properties: list[str] | None = None
    replication_key: str | None = None
    replication_method: str | None = None
    forced_replication_method: str | None = None


class _Node(msgspec.Struct):
    breadcrumb: list[str]
    metadata: _Metadata


class _Entry(msgspec.Struct):
    tap_stream_id: Annotated[str, msgspec.Meta(min_length=1)]
    schema: _Schema
    metadata: list[_Node] = []
    selected: bool | None = None
    table_name: str | None = None
    row_count: int | None = None
    key_properties: list[str] | None = None
    table_key_properties: list[str] | None = None
    replication_key: str | None = None
    replication_method: str | None = None

    @property
    def root(self) -> _Metadata:
        return next((node.metadata for node in self.metadata if not node.breadcrumb), _Metadata())


class _Selection(msgspec.Struct):
    """The part of an entry that says whether it is selected."""

    metadata: list[_Node] = []
    selected: bool | None = None


def settled(catalog: Mapping[str, Any]) -> dict[str, Any]:
    """Return a catalog with its selected streams, each with its facts at the top level.

    Raises:
        DiscoveryError: The catalog is another object or damaged, or an entry comes twice,
            contradicts itself, or names a replication method that the tap does not have.
    """
    if not isinstance(catalog.get("streams"), list):
        message = (
            f"The catalog has no list of streams (found: {', '.join(catalog) or 'nothing'}): pass "
            "the catalog as --discover prints it."
        )
        raise DiscoveryError(message)
    for stream in catalog["streams"]:
        _convert(stream, _Selection)
    entries: dict[str, dict[str, Any]] = {}
    for stream in only_selected(catalog)["streams"]:
        entry = _convert(stream, _Entry)
        if entry.tap_stream_id in entries:
            message = f"The catalog has the stream {entry.tap_stream_id} twice: remove one of them."
            raise DiscoveryError(message)
        entries[entry.tap_stream_id] = {
            **stream,
            "stream": entry.tap_stream_id,
            **_facts(entry),
            "metadata": _metadata(stream),
        }
    return {**catalog, "streams": list(entries.values())}


def declared_types(streams: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return the Edm types of the columns by stream, as far as settled entries say them."""
    return {
        stream["tap_stream_id"]: {
            node["breadcrumb"][1]: node["metadata"][SQL_DATATYPE]
            for node in stream["metadata"]
            if len(node["breadcrumb"]) == TOP_LEVEL and node["metadata"].get(SQL_DATATYPE)
        }
        for stream in streams
    }


def _convert(stream: Any, shape: type[Any]) -> Any:  # noqa: ANN401 - of this shape
    try:
        return msgspec.convert(stream, shape)
    except msgspec.ValidationError as error:
        name = stream.get("tap_stream_id") if isinstance(stream, dict) else None
        message = (
            f"The catalog's entry of {name or 'a stream'} is damaged ({error}): correct it, or run "
            "discovery again."
        )
        raise DiscoveryError(message) from error


def _metadata(stream: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the metadata, with the selection that older tools write at the top level only."""
    nodes = list(stream.get("metadata", ()))
    roots = [node["metadata"] for node in nodes if not node["breadcrumb"]]
    root = {**(roots[0] if roots else {}), "selected": True}
    return [
        {"breadcrumb": [], "metadata": root},
        *(node for node in nodes if node["breadcrumb"]),
    ]


def _facts(entry: _Entry) -> dict[str, Any]:
    """Return key, replication key and method: the metadata count where the top level is silent."""
    name, root = entry.tap_stream_id, entry.root
    key = root.table_key_properties if entry.key_properties is None else entry.key_properties
    # Meltano writes a rule for metadata at the top level too, under a name with underscores.
    if entry.table_key_properties not in (None, key):
        message = (
            f"The catalog names {entry.table_key_properties} as the table-key-properties of "
            f"{name}, but {key} as its key: name the key in key_properties (in Meltano: "
            "key-properties), or that of an inquiry in the setting inquiry_keys."
        )
        raise DiscoveryError(message)
    replication_keys = _spoken(entry.replication_key, root.replication_key)
    methods = _spoken(
        entry.replication_method, root.replication_method, root.forced_replication_method
    )
    _require_one("methods", name, methods)
    method = next(iter(methods), INCREMENTAL if any(replication_keys) else FULL_TABLE)
    if method not in {INCREMENTAL, FULL_TABLE}:
        message = (
            f"The catalog gives {name} the replication method {method}, which the tap does not "
            f"have: set {INCREMENTAL} or {FULL_TABLE} in its place."
        )
        raise DiscoveryError(message)
    if method == INCREMENTAL:
        _require_one("keys", name, replication_keys)
        if not any(replication_keys):
            message = (
                f"The catalog gives {name} the replication method {INCREMENTAL}, but no "
                f"replication key: name a date-time column, or set {FULL_TABLE} in its place."
            )
            raise DiscoveryError(message)
    return {
        "key_properties": list(dict.fromkeys(key or ())),
        "replication_key": next(iter(replication_keys), None) or None,
        "replication_method": method,
    }


def _spoken(*values: str | None) -> list[str]:
    """Return the different values of the places that are not silent, the top level's first."""
    return list(dict.fromkeys(value for value in values if value is not None))


def _require_one(what: str, stream: str, values: Sequence[str]) -> None:
    if len(values) > 1:
        message = (
            f"The catalog names different replication {what} for {stream} ({values[0] or 'none'} "
            f"and {values[1] or 'none'}), at its top level and in its metadata: make them the same."
        )
        raise DiscoveryError(message)
