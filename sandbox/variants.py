"""Tenants that differ: a tenant's features and customizations decide what its metadata declares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.model import EntityType, Model

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def without_entity(model: Model, entity: str) -> Model:
    """Return the model of a tenant without an entity."""
    hidden = model.find(entity)
    return _rebuilt(model, {hidden.name: replace(hidden, sets=(), kind="none")})


def with_columns(
    model: Model,
    entity: str,
    without: Collection[str],
    types: Mapping[str, str],
    labels: Mapping[str, str],
) -> Model:
    """Return the model of a tenant whose entity lacks columns, or has other types or labels."""
    changed = model.find(entity)
    properties = tuple(
        replace(
            declared,
            type=types.get(declared.name, declared.type),
            label=labels.get(declared.name, declared.label),
        )
        for declared in changed.properties
        if declared.name not in without
    )
    return _rebuilt(model, {changed.name: replace(changed, properties=properties)})


def with_key(model: Model, entity: str, key: tuple[str, ...]) -> Model:
    """Return the model of a tenant whose entity declares another key."""
    changed = model.find(entity)
    return _rebuilt(model, {changed.name: replace(changed, own_key=key)})


def _rebuilt(model: Model, changed: Mapping[str, EntityType]) -> Model:
    """Return the model with some types replaced by name, also where they are bases."""
    types: dict[str, EntityType] = {}
    # Bases stand before the types derived from them.
    for original in model.types:
        entity_type = changed.get(original.name, original)
        if entity_type.base is not None:
            entity_type = replace(entity_type, base=types[entity_type.base.name])
        types[original.name] = entity_type
    return Model(tuple(types.values()), model.extra_schema)
