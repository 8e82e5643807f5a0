"""Which entities the settings ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.addresses import DAC, INQUIRY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from tap_acumatica.odata.expand import Expansion
    from tap_acumatica.odata.model import Entity


@dataclass(frozen=True, slots=True)
class DiscoverySettings:
    """What to discover, and how to describe it."""

    entities: Sequence[str] | None = None
    exclude_entities: Sequence[str] = ()
    replication_keys: Sequence[str] = ()
    decimals_as_strings: bool = False
    expand: Mapping[str, Sequence[Expansion]] = field(default_factory=dict)
    """Navigation properties to read along, by name or alias of an entity."""
    inquiry_keys: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Columns to use as the key, by the stream's name or title of an inquiry."""
    inquiry_parameters: Collection[str] = ()
    """The inquiries for which there are values, by either."""

    def wants(self, names: Iterable[str], interface: str) -> bool:
        """Whether the globs ask for an entity of an interface, by any of its names."""
        lower = [name.lower() for name in names]

        def fits(globs: Sequence[str]) -> bool:
            return any(
                fnmatchcase(name, glob.lower())
                for glob in globs
                if interface in interfaces_of(glob)
                for name in lower
            )

        return (self.entities is None or fits(self.entities)) and not fits(self.exclude_entities)

    def may_want(self, interface: str) -> bool:
        """Whether the globs, as they are, can ask for anything of an interface."""
        globs = self.entities if self.entities is not None else ("*",)
        barred = {"*", f"{PREFIXES[interface]}*"} if interface == INQUIRY else {"*"}
        excluded = any(glob.lower() in barred for glob in self.exclude_entities)
        return not excluded and any(interface in interfaces_of(glob) for glob in globs)

    def unmatched_globs(self, names: Mapping[str, Collection[str]]) -> list[str]:
        """The globs of `entities` that fit none of the names, which are by interface."""
        lower = {interface: {name.lower() for name in of_it} for interface, of_it in names.items()}

        def fits(glob: str) -> bool:
            reached = [lower[interface] for interface in interfaces_of(glob) if interface in lower]
            return any(glob in of_it for of_it in reached) or any(
                fnmatchcase(name, glob) for of_it in reached for name in of_it
            )

        return [glob for glob in self.entities or () if not fits(glob.lower())]

    def expansions(self, entity: Entity) -> list[Expansion]:
        """What the settings want to be read along with this entity."""
        names = _lower_names(entity)
        return [
            each for name, wanted in self.expand.items() if name.lower() in names for each in wanted
        ]


PREFIXES: Final[Mapping[str, str]] = {DAC: "px_", INQUIRY: "gi_"}
"""With what a glob begins that asks for one interface alone."""


def _lower_names(entity: Entity) -> set[str]:
    return {name.lower() for name in entity.names}


def interfaces_of(glob: str) -> Collection[str]:
    """The interfaces of which a glob can ask for something."""
    return [name for name, prefix in PREFIXES.items() if glob.lower().startswith(prefix)] or (
        PREFIXES.keys()
    )
