"""One catalog for several tenants: the union of their streams, with the gaps of each tenant.

Features, customizations and rights make tenants differ. The metadata of the catalog say what a
tenant lacks, so that a sync does not request it there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tap_acumatica.catalog.related import Expansions, flat, merge, nested
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tap_acumatica.catalog.entry import StreamDescription
    from tap_acumatica.catalog.related import Path


def union(
    tenants: Mapping[Any, Sequence[StreamDescription]],
    tenant_column: str | None = None,
) -> list[StreamDescription]:
    """Return the streams of all tenants, sorted by name.

    Args:
        tenants: The streams of each tenant.
        tenant_column: Column that the tap adds to each stream, or None.

    Raises:
        DiscoveryError: Tenants have the same column with different types, or the same stream with
            different keys, titles or parameters; or a stream has a column of the name
            `tenant_column`.
    """
    by_name: dict[str, dict[str | None, StreamDescription]] = {}
    for tenant, streams in tenants.items():
        for stream in streams:
            by_name.setdefault(stream.name, {})[tenant] = stream
    merged = [_merge_versions(tenants, by_name[name]) for name in sorted(by_name)]
    return [stream.with_tenant(tenant_column) for stream in merged] if tenant_column else merged


def _merge_versions(
    tenants: Iterable[str | None], versions: Mapping[str | None, StreamDescription]
) -> StreamDescription:
    (_, first), *others = versions.items()
    absent_in = tuple(str(tenant) for tenant in tenants if tenant not in versions)
    if all(version is first for _, version in others):
        return replace(first, absent_in=absent_in)
    _require_same_inquiry(versions)
    flattened = {
        tenant: flat(version.schema["properties"], version.related.expansions)
        for tenant, version in versions.items()
    }
    _require_same_types(versions, flattened)
    key = _common_key(versions)
    columns: dict[Path, dict[str, Any]] = {}
    for paths in flattened.values():
        for path, schema in paths.items():
            required = len(path) == 1 and path[0] in key
            column = schema if required else {**schema, "type": _nullable(schema["type"])}
            columns.setdefault(path, column)
    # Appended columns come last, since a sync recognizes them by that and by the declared key.
    appended = frozenset().union(*(version.appended for version in versions.values()))
    columns = {
        path: columns[path] for path in sorted(columns, key=lambda path: path[0] in appended)
    }
    declared = [name for version in versions.values() for name in version.declared_key or ()]
    replication_keys = {version.replication_key for version in versions.values()}
    replication_key = first.replication_key if len(replication_keys) == 1 else None
    if len(replication_keys) > 1:
        logger.warning(
            "%s is read in full, since its replication key differs between tenants: %s.",
            first.name,
            _by_tenant(
                {tenant: version.replication_key or "none" for tenant, version in versions.items()}
            ),
        )
    # A column that may not be queried counts as absent, if other tenants have it.
    lacking = {
        path: tuple(
            str(tenant)
            for tenant, version in versions.items()
            if path not in flattened[tenant] or path[0] in version.unsupported
        )
        for path in columns
    }
    unsupported = frozenset(path[0] for path in columns if len(lacking[path]) == len(versions))
    properties = nested(columns)
    expansions = merge(version.related.expansions for version in versions.values())
    related_columns = {expansion.name: properties[expansion.name] for expansion in expansions}
    related = Expansions(expansions, related_columns)
    return replace(
        first,
        location=replace(first.location, expansions=related.expansions),
        schema={"type": "object", "properties": properties},
        key=key,
        replication_key=replication_key,
        unsupported=unsupported,
        types={name: each for v in versions.values() for name, each in v.types.items()},
        related=related,
        declared_key=None if first.declared_key is None else tuple(dict.fromkeys(declared)),
        appended=appended,
        absent_in=absent_in,
        columns_absent_in={
            path: tenants
            for path, tenants in lacking.items()
            if tenants and path[0] not in unsupported
        },
    )


def _require_same_inquiry(versions: Mapping[str | None, StreamDescription]) -> None:
    """Refuse inquiries that a sync would have to request in different ways.

    Raises:
        DiscoveryError: Different titles lead to the same stream name, or parameters differ.
    """
    titles = {tenant: version.location.entity_set for tenant, version in versions.items()}
    _require_same("title", versions, titles)
    parameters = {tenant: _parameters(version.function) for tenant, version in versions.items()}
    _require_same("parameter list", versions, parameters)


def _parameters(function: str) -> str:
    types = parse_qsl(function.partition("?")[2], keep_blank_values=True)
    return ", ".join(f"{name} ({type_name})" for name, type_name in sorted(types)) or "none"


def _require_same(
    what: str,
    versions: Mapping[str | None, StreamDescription],
    values: Mapping[str | None, str],
) -> None:
    """Refuse values that differ between tenants; empty values are ignored."""
    if len({value for value in values.values() if value}) > 1:
        (name,) = {version.name for version in versions.values()}
        message = (
            f"The {what} of {name} differs between tenants ({_by_tenant(values)}): leave the "
            "stream out with exclude_entities, or read these tenants in separate runs."
        )
        raise DiscoveryError(message)


def _require_same_types(
    versions: Mapping[str | None, StreamDescription],
    flattened: Mapping[str | None, Mapping[Path, Any]],
) -> None:
    seen: dict[Path, tuple[str | None, StreamDescription, Any]] = {}
    for tenant, version in versions.items():
        for path, schema in flattened[tenant].items():
            other_tenant, other, other_schema = seen.setdefault(path, (tenant, version, schema))
            if _comparable(other_schema) == _comparable(schema):
                continue
            message = (
                f"The column {'/'.join(path)} of {version.name} is "
                f"{_type(other, path, other_schema)} in the tenant {other_tenant} and "
                f"{_type(version, path, schema)} in {tenant}: leave the stream out with "
                "exclude_entities, or read these tenants in separate runs."
            )
            raise DiscoveryError(message)


def _type(version: StreamDescription, path: Path, schema: Mapping[str, Any]) -> str:
    """Return a column's type for an error message; for related records that in the catalog."""
    if len(path) == 1 and path[0] in version.types:
        return version.types[path[0]]
    (name, *_) = _nullable(schema["type"])
    return f"{name} {schema['format']}" if "format" in schema else name


def _common_key(versions: Mapping[str | None, StreamDescription]) -> tuple[str, ...]:
    """Return the key that all versions have, or none if a tenant may not query it.

    Raises:
        DiscoveryError: The keys differ.
    """
    keys = {tenant: version.key for tenant, version in versions.items()}
    _require_same("key", versions, {tenant: ", ".join(key) for tenant, key in keys.items()})
    return next(iter(keys.values())) if all(keys.values()) else ()


def _by_tenant(values: Mapping[str | None, str]) -> str:
    return "; ".join(f"{tenant}: {value}" for tenant, value in values.items())


def _nullable(types: Any) -> list[str]:  # noqa: ANN401 - a name or a list of names
    names = [types] if isinstance(types, str) else list(types)
    return names if "null" in names else [*names, "null"]


def _comparable(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a column's schema without what may differ: its title, and whether it is nullable."""
    return {**schema, "title": None, "type": _nullable(schema["type"])}
