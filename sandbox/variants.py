"""Tenants that differ: features and customizations decide what a tenant's metadata declares."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.model import EntityType, Model

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


def without_entity(model: Model, entity: str) -> Model:
    """The model of a tenant that does not offer an entity."""
    hidden = model.find(entity)
    return _rebuilt(model, {hidden.name: replace(hidden, sets=(), kind="none")})


def with_columns(
    model: Model,
    entity: str,
    without: Collection[str],
    types: Mapping[str, str],
    labels: Mapping[str, str],
) -> Model:
    """The model of a tenant in which an entity lacks columns, or declares them otherwise."""
    changed = model.find(entity)
    properties = tuple(
        replace(
            each,
            type=types.get(each.name, each.type),
            label=labels.get(each.name, each.label),
        )
        for each in changed.properties
        if each.name not in without
    )
    return _rebuilt(model, {changed.name: replace(changed, properties=properties)})


def _rebuilt(model: Model, changed: Mapping[str, EntityType]) -> Model:
    """The model with these types in place of those of the same name, as bases too."""
    types: dict[str, EntityType] = {}
    # Bases stand before the types derived from them.
    for each in model.types:
        made = changed.get(each.name, each)
        if made.base is not None:
            made = replace(made, base=types[made.base.name])
        types[each.name] = made
    return Model(tuple(types.values()), model.extra_schema)
