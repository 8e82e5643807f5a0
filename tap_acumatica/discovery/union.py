"""One catalog for many tenants: the union of what each has, and what which of them lacks.

Features, customizations and rights make tenants differ. What one lacks is noted in the metadata of
the catalog, so that a sync asks it for nothing that it does not have.
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
    found: Mapping[Any, Sequence[StreamDescription]],
    tenant_column: str | None = None,
) -> list[StreamDescription]:
    """The streams of all tenants, by name.

    Args:
        found: What each tenant has.
        tenant_column: Column that the tap adds to each stream, or None.

    Raises:
        DiscoveryError: Tenants have the same column with different types, or different keys,
            titles or parameters; or a stream has the tap's column as one of its own.
    """
    by_name: dict[str, dict[str | None, StreamDescription]] = {}
    for tenant, streams in found.items():
        for stream in streams:
            by_name.setdefault(stream.name, {})[tenant] = stream
    merged = [_merged(found, by_name[name]) for name in sorted(by_name)]
    return [each.with_tenant(tenant_column) for each in merged] if tenant_column else merged


def _merged(
    found: Iterable[str | None], versions: Mapping[str | None, StreamDescription]
) -> StreamDescription:
    (_, first), *others = versions.items()
    absent_in = tuple(str(tenant) for tenant in found if tenant not in versions)
    if not others:
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
            shown = schema if required else {**schema, "type": _nullable(schema["type"])}
            columns.setdefault(path, shown)
    # A sync takes the last columns for appended ones, if they are declared as keys.
    appended = frozenset().union(*(version.appended for version in versions.values()))
    columns = {path: columns[path] for path in sorted(columns, key=lambda p: p[0] in appended)}
    declared = [name for version in versions.values() for name in version.declared_key or ()]
    replication_keys = {version.replication_key for version in versions.values()}
    replication_key = first.replication_key if len(replication_keys) == 1 else None
    if len(replication_keys) > 1:
        logger.warning(
            "%s is read in full, since not all tenants have the same replication key: %s.",
            first.name,
            _by_tenant({t: each.replication_key or "none" for t, each in versions.items()}),
        )
    # A column that may not be queried is as good as absent where others have it.
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
    related = Expansions(expansions, {each.name: properties[each.name] for each in expansions})
    return replace(
        first,
        location=replace(first.location, expansions=related.expansions),
        schema={"type": "object", "properties": properties},
        key=key,
        replication_key=replication_key,
        unsupported=unsupported,
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
    """Refuse inquiries that differ in what a sync asks for.

    Raises:
        DiscoveryError: Titles lead to one name, or parameters differ.
    """
    titles = {tenant: each.location.entity_set for tenant, each in versions.items()}
    _require_same("title", versions, titles)
    parameters = {tenant: _parameters(each.function) for tenant, each in versions.items()}
    _require_same("parameter list", versions, parameters)


def _parameters(function: str) -> str:
    types = parse_qsl(function.partition("?")[2], keep_blank_values=True)
    return ", ".join(f"{name} ({kind})" for name, kind in sorted(types)) or "none"


def _require_same(
    what: str,
    versions: Mapping[str | None, StreamDescription],
    values: Mapping[str | None, str],
) -> None:
    """Refuse what differs between tenants, but for those that have none of it."""
    if len({value for value in values.values() if value}) > 1:
        (name,) = {version.name for version in versions.values()}
        message = (
            f"The {what} of {name} differs between tenants ({_by_tenant(values)}): leave the "
            "stream out with exclude_entities, or read these tenants in runs of their own."
        )
        raise DiscoveryError(message)


def _require_same_types(
    versions: Mapping[str | None, StreamDescription],
    flattened: Mapping[str | None, Mapping[Path, Any]],
) -> None:
    seen: dict[Path, tuple[str | None, StreamDescription, Any]] = {}
    for tenant, version in versions.items():
        for path, schema in flattened[tenant].items():
            other, known, kind = seen.setdefault(path, (tenant, version, schema))
            if _bare(kind) == _bare(schema):
                continue
            message = (
                f"The column {'/'.join(path)} of {version.name} is {_type(known, path, kind)} in "
                f"the tenant {other} and {_type(version, path, schema)} in {tenant}: leave the "
                "stream out with exclude_entities, or read these tenants in runs of their own."
            )
            raise DiscoveryError(message)


def _type(version: StreamDescription, path: Path, schema: Mapping[str, Any]) -> str:
    """A column's type as a sentence can name it: of related records that in the catalog."""
    if len(path) == 1 and path[0] in version.types:
        return version.types[path[0]]
    (name, *_) = _nullable(schema["type"])
    return f"{name} {schema['format']}" if "format" in schema else name


def _common_key(versions: Mapping[str | None, StreamDescription]) -> tuple[str, ...]:
    """The key that all have; none where it may not be queried in one of them.

    Raises:
        DiscoveryError: The keys differ.
    """
    keys = {tenant: version.key for tenant, version in versions.items()}
    _require_same("key", versions, {tenant: ", ".join(key) for tenant, key in keys.items()})
    return next(iter(keys.values())) if all(keys.values()) else ()


def _by_tenant(values: Mapping[str | None, str]) -> str:
    return "; ".join(f"{tenant}: {value}" for tenant, value in values.items())


def _nullable(types: Any) -> list[str]:  # noqa: ANN401 - a name or a list of them
    names = [types] if isinstance(types, str) else list(types)
    return names if "null" in names else [*names, "null"]


def _bare(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A column's schema without what may differ: its title, and whether it may be null."""
    return {**schema, "title": None, "type": _nullable(schema["type"])}
