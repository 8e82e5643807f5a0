"""Resolves the names in the setting `expand` against the metadata."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.catalog.related import Expansions
from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.expand import Expansion
from tap_acumatica.odata.model import ENCRYPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tap_acumatica.odata.model import Entity, Model, Property

MAX_SIMILAR_NAMES: Final = 5
"""Maximum number of names that an error message suggests."""


class ExpansionResolver:
    """Resolves the names in the setting `expand` against the metadata."""

    def __init__(self, model: Model, column: Callable[[Property], dict[str, Any]]) -> None:
        """Prepare to resolve names.

        Args:
            model: The metadata.
            column: Makes the JSON Schema of a property.
        """
        self._model = model
        self._column = column
        self._errors: dict[str, str | None] = {}

    def of(self, entity: Entity, expansions: Sequence[Expansion]) -> Expansions:
        """Return the navigation properties of an entity; unknown names are left out.

        Raises:
            DiscoveryError: A navigation property is named twice.
        """
        if not expansions:
            return Expansions()
        navigations = self._model.navigations(entity.type_name)
        targets = {
            name: item
            for name, type_name in navigations.items()
            if (item := edm.collection_of(type_name) or type_name) in self._model.types
        }
        resolved: dict[str, Expansion] = {}
        columns = {}
        for expansion in expansions:
            name = self._resolve(expansion.name, targets, f"navigation property of {entity.name}")
            if name is None:
                continue
            if name in resolved:
                message = (
                    f"The setting expand names {name} of {entity.name} more than once: name it "
                    "once, with all its columns."
                )
                raise DiscoveryError(message)
            target = self._model.entity(targets[name])
            related = self.of(target, expansion.expansions)
            resolved[name] = Expansion(name, (), related.expansions)
            own = self._target_columns(target, expansion.columns)
            row = {"type": ["object", "null"], "properties": {**own, **related.columns}}
            many = edm.collection_of(navigations[name])
            columns[name] = {"type": ["array", "null"], "items": row} if many else row
        return Expansions(tuple(resolved.values()), columns, self._errors)

    def _target_columns(self, target: Entity, configured: Iterable[str]) -> dict[str, Any]:
        """Return the columns of related rows: those in the setting, or all that can be read."""
        columns = {
            prop.name: prop for prop in target.properties if prop.name not in target.restricted
        }
        # The likeliest slip is a navigation property without its parentheses.
        navigations = [f"{name}()" for name in self._model.navigations(target.type_name)]
        kind = f"column of {target.name}"
        resolved = [self._resolve(name, columns, kind, navigations) for name in configured]
        names = resolved or [name for name in columns if name != ENCRYPTED]
        return {name: self._column(columns[name]) for name in names if name}

    def _resolve(
        self, name: str, known: Iterable[str], kind: str, suggested: Iterable[str] = ()
    ) -> str | None:
        """Return a name as the metadata spell it, or None if it is unknown.

        Args:
            name: The name in the setting.
            known: Names of this kind in the metadata.
            kind: What the name should be, for the error message.
            suggested: Further names that the error message may suggest.
        """
        by_lower = _by_lower(known)
        spelling = by_lower.get(name.lower())
        self._errors[f"{kind} {name.lower()}"] = (
            None if spelling else _unknown(name, {**by_lower, **_by_lower(suggested)}, kind)
        )
        return spelling


def _by_lower(names: Iterable[str]) -> dict[str, str]:
    return {name.lower(): name for name in names}


def _unknown(name: str, by_lower: Mapping[str, str], kind: str) -> str:
    similar = get_close_matches(name.lower(), by_lower, MAX_SIMILAR_NAMES, cutoff=0.5)
    names = ", ".join(by_lower[lower] for lower in similar) or "none"
    return (
        f"The setting expand names {name}, which is no {kind} that can be read: correct it "
        f"(similar names: {names})."
    )


def require_found(errors: Iterable[Mapping[str, str | None]]) -> None:
    """Refuse a name in the setting `expand` that no tenant has.

    Args:
        errors: `Expansions.errors` of each tenant or stream.

    Raises:
        DiscoveryError: There is such a name.
    """
    merged: dict[str, str | None] = {}
    for errors_by_name in errors:
        for name, message in errors_by_name.items():
            merged[name] = merged.get(name, message) and message
    for message in merged.values():
        if message is not None:
            raise DiscoveryError(message)
