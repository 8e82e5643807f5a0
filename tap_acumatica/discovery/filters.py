"""The settings of discovery, and the entities that they include."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.addresses import DAC, INQUIRY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tap_acumatica.odata.expand import Expansion
    from tap_acumatica.odata.model import Entity


PREFIXES: Final[Mapping[str, str]] = {DAC: "px_", INQUIRY: "gi_"}
"""The prefix of globs that can match names of one interface only."""


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """Which entities to discover, and how to describe them.

    Attributes:
        decimals: JSON Schema of columns of the type Edm.Decimal.
        expand: Navigation properties to read with an entity, by its name or alias.
        inquiry_keys: Columns to use as an inquiry's key, by its stream name or title.
        inquiry_parameters: The inquiries that have parameter values in the settings, by stream
            name or title.
    """

    entities: Sequence[str] | None = None
    exclude_entities: Sequence[str] = ()
    replication_keys: Sequence[str] = ()
    decimals: edm.Schema = field(default_factory=lambda: edm.NUMBER.schema)
    expand: Mapping[str, Sequence[Expansion]] = field(default_factory=dict)
    inquiry_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    inquiry_parameters: Collection[str] = ()

    def wants(self, names: Iterable[str], interface: str) -> bool:
        """Whether the globs include an entity of an interface, by any of its names."""
        lower = [name.lower() for name in names]

        def match(globs: Sequence[str]) -> bool:
            return any(
                fnmatchcase(name, glob.lower())
                for glob in globs
                if interface in interfaces_of(glob)
                for name in lower
            )

        return (self.entities is None or match(self.entities)) and not match(self.exclude_entities)

    def may_want(self, interface: str) -> bool:
        """Whether the globs alone allow for any entity of an interface."""
        globs = self.entities if self.entities is not None else ("*",)
        excluding = {"*", f"{PREFIXES[interface]}*"} if interface == INQUIRY else {"*"}
        excluded = any(glob.lower() in excluding for glob in self.exclude_entities)
        return not excluded and any(interface in interfaces_of(glob) for glob in globs)

    def unmatched_globs(self, names: Mapping[str, Collection[str]]) -> list[str]:
        """Return the globs of `entities` that match none of these names, given by interface."""
        lower = {interface: {name.lower() for name in group} for interface, group in names.items()}

        def matches(glob: str) -> bool:
            groups = [lower[interface] for interface in interfaces_of(glob) if interface in lower]
            return any(glob in group for group in groups) or any(
                fnmatchcase(name, glob) for group in groups for name in group
            )

        return [glob for glob in self.entities or () if not matches(glob.lower())]

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
    return [name for name, prefix in PREFIXES.items() if glob.lower().startswith(prefix)] or (
        PREFIXES.keys()
    )
