"""Finds what the setting `expand` names in the metadata."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import DiscoveryError
from tap_acumatica.odata.expand import Expansion
from tap_acumatica.odata.model import ENCRYPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from tap_acumatica.odata.model import Entity, Model, Property

    Breadcrumb = tuple[str, ...]
    Path = tuple[str, ...]
from tap_acumatica.catalog.related import Expansions

NEAR_NAMES: Final = 5


class ExpansionResolver:
    """Finds what the setting `expand` names in the metadata."""

    def __init__(self, model: Model, column: Callable[[Property], dict[str, Any]]) -> None:
        """Prepare to look.

        Args:
            model: The metadata.
            column: Makes the JSON Schema of a property.
        """
        self._model = model
        self._column = column
        self._said: dict[str, str | None] = {}

    def of(self, entity: Entity, wanted: Sequence[Expansion]) -> Expansions:
        """What an entity reads along; what it lacks is left out.

        Raises:
            DiscoveryError: A navigation property is named twice.
        """
        if not wanted:
            return Expansions()
        navigations = self._model.navigations(entity.type_name)
        targets = {
            name: item
            for name, type_name in navigations.items()
            if (item := edm.collection_of(type_name) or type_name) in self._model.types
        }
        found: dict[str, Expansion] = {}
        columns = {}
        for each in wanted:
            name = self._named(each.name, targets, f"navigation property of {entity.name}")
            if name is None:
                continue
            if name in found:
                message = (
                    f"The setting expand names {name} of {entity.name} more than once: name it "
                    "once, with all its columns."
                )
                raise DiscoveryError(message)
            target = self._model.entity(targets[name])
            related = self.of(target, each.expansions)
            found[name] = Expansion(name, (), related.expansions)
            row = {
                "type": ["object", "null"],
                "properties": {**self._target_columns(target, each.columns), **related.columns},
            }
            many = edm.collection_of(navigations[name])
            columns[name] = {"type": ["array", "null"], "items": row} if many else row
        return Expansions(tuple(found.values()), columns, self._said)

    def _target_columns(self, target: Entity, wanted: Iterable[str]) -> dict[str, Any]:
        """The columns of related rows: those named, or all that can be read."""
        columns = {p.name: p for p in target.properties if p.name not in target.restricted}
        # To name a navigation property where a column could be is the likeliest slip.
        others = [f"{name}()" for name in self._model.navigations(target.type_name)]
        what = f"column of {target.name}"
        named = [self._named(name, columns, what, others) for name in wanted]
        names = named or [name for name in columns if name != ENCRYPTED]
        return {name: self._column(columns[name]) for name in names if name}

    def _named(
        self, wanted: str, known: Iterable[str], what: str, others: Iterable[str] = ()
    ) -> str | None:
        """The name as the metadata has it, or None."""
        by_lower = _by_lower(known)
        name = by_lower.get(wanted.lower())
        self._said[f"{what} {wanted.lower()}"] = (
            None if name else _unknown(wanted, {**by_lower, **_by_lower(others)}, what)
        )
        return name


def _by_lower(names: Iterable[str]) -> dict[str, str]:
    return {name.lower(): name for name in names}


def _unknown(wanted: str, by_lower: Mapping[str, str], what: str) -> str:
    near = get_close_matches(wanted.lower(), by_lower, NEAR_NAMES, cutoff=0.5)
    names = ", ".join(by_lower[name] for name in near) or "none"
    return (
        f"The setting expand names {wanted}, which is no {what} that can be read: correct it "
        f"(near names: {names})."
    )


def require_found(named: Iterable[Mapping[str, str | None]]) -> None:
    """Refuse what the setting `expand` names and no tenant has.

    Args:
        named: Of each tenant or stream, as `Related.named`.

    Raises:
        DiscoveryError: There is such a name.
    """
    found: dict[str, str | None] = {}
    for each in named:
        for name, said in each.items():
            found[name] = found.get(name, said) and said
    for said in found.values():
        if said is not None:
            raise DiscoveryError(said)
