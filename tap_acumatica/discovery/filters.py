"""The settings of discovery, and the entities that they include."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from fnmatch import translate
from functools import lru_cache
from glob import escape
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import DAC, INQUIRY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from tap_acumatica.odata.expand import Expansion
    from tap_acumatica.odata.model import Entity


PREFIXES: Final[Mapping[str, str]] = {DAC: "px_", INQUIRY: "gi_"}
"""The prefix of globs that can match names of one interface only."""


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Which entities to discover, and how to describe them.

    Attributes:
        optional: Those of the names in `entities` that the instance may lack.
        decimals: JSON Schema of columns of the type Edm.Decimal.
        expand: Navigation properties to read with an entity, by its name or alias.
        inquiry_keys: Columns to use as an inquiry's key, by its stream name or title.
        inquiry_parameters: The inquiries that have parameter values in the settings, by stream
            name or title.
    """

    entities: Sequence[str] | None = None
    optional: Collection[str] = ()
    exclude_entities: Sequence[str] = ()
    replication_keys: Sequence[str] = ()
    decimals: edm.Schema = field(default_factory=lambda: edm.NUMBER.schema)
    expand: Mapping[str, Sequence[Expansion]] = field(default_factory=dict)
    inquiry_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    inquiry_parameters: Collection[str] = ()

    def naming(self, names: Iterable[str]) -> DiscoverySettings:
        """Return the settings with each glob that is one of these names meaning only that name.

        Names may contain what is special in a glob: `[OLD] Sales` is an inquiry's title.
        """
        known = {_folded(name) for name in names}

        def resolved(globs: Sequence[str]) -> list[str]:
            return [escape(glob) if _folded(glob) in known else glob for glob in globs]

        return replace(
            self,
            entities=None if self.entities is None else resolved(self.entities),
            exclude_entities=resolved(self.exclude_entities),
        )

    def wants(self, names: Iterable[str], interface: str) -> bool:
        """Whether the globs include an entity of an interface, by any of its names."""
        folded = [_folded(name) for name in names]
        is_included = self.entities is None or _matcher(tuple(self.entities), interface)(folded)
        return is_included and not _matcher(tuple(self.exclude_entities), interface)(folded)

    def may_want(self, interface: str) -> bool:
        """Whether the globs alone allow for any entity of an interface."""
        globs = self.entities if self.entities is not None else ("*",)
        excluding = {"*", f"{PREFIXES[interface]}*"} if interface == INQUIRY else {"*"}
        excluded = any(_folded(glob) in excluding for glob in self.exclude_entities)
        return not excluded and any(interface in interfaces_of(glob) for glob in globs)

    @property
    def required(self) -> Sequence[str]:
        """The globs of `entities` without the optional names."""
        optional = frozenset(self.optional)
        return [glob for glob in self.entities or () if glob not in optional]

    def unmatched_globs(self, names: Mapping[str, Collection[str]]) -> list[str]:
        """Return the required globs that match none of these names, given by interface."""
        folded = {
            interface: {_folded(name) for name in group} for interface, group in names.items()
        }
        return [
            glob
            for glob in self.required
            if not any(_matcher((glob,), interface)(group) for interface, group in folded.items())
        ]

    def lacking(self, names: Mapping[str, Collection[str]]) -> list[str]:
        """Return the optional names that are none of these, except those that are left out."""
        known = {_folded(name) for group in names.values() for name in group}
        left_out = replace(self, entities=None)
        return [
            name
            for name in self.optional
            if _folded(name) not in known and left_out.wants([name], DAC)
        ]

    def expansions(self, entity: Entity) -> list[Expansion]:
        """Return the navigation properties that the settings expand for an entity."""
        names = lower_names(entity)
        return [
            expansion
            for name, expansions in self.expand.items()
            if name.lower() in names
            for expansion in expansions
        ]


def lower_names(entity: Entity) -> set[str]:
    """Return all names of an entity in lower case."""
    return {name.lower() for name in entity.names}


def interfaces_of(glob: str) -> Collection[str]:
    """Return the interfaces in which a glob can match a name."""
    glob = _folded(glob)
    return [name for name, prefix in PREFIXES.items() if glob.startswith(prefix)] or (
        PREFIXES.keys()
    )


def is_pattern(glob: str) -> bool:
    """Whether a glob may match several names."""
    return any(wildcard in glob for wildcard in "*?[")


@lru_cache(maxsize=1024)
def _matcher(globs: tuple[str, ...], interface: str) -> Callable[[Collection[str]], bool]:
    """Return what tells whether one of these globs is, or matches, one of the folded names.

    It is asked for thousands of entities, and hundreds of globs may name one each.
    """
    suited = [_folded(glob) for glob in globs if interface in interfaces_of(glob)]
    plain = frozenset(suited)
    patterns = "|".join(translate(glob) for glob in suited if is_pattern(glob))
    pattern = re.compile(patterns) if patterns else None

    def match(names: Collection[str]) -> bool:
        return not plain.isdisjoint(names) or bool(pattern and any(map(pattern.match, names)))

    return match


def _folded(name: str) -> str:
    return name.strip().lower()
