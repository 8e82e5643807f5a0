"""Presets: lists of entities that the warehouse of a module needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MODULES: Final[Mapping[str, Mapping[str, Mapping[str, str]]]] = json.loads(
    Path(__file__).with_name("presets.json").read_text(encoding="utf-8")
)
"""The label of each entity, by its name, by part of a module and by module."""


def _presets() -> dict[str, Sequence[str]]:
    presets: dict[str, Sequence[str]] = {}
    for module, parts in MODULES.items():
        presets[module] = [name for entities in parts.values() for name in entities]
        presets |= {f"{module}-{part}": list(entities) for part, entities in parts.items()}
    return presets


PRESETS: Final[Mapping[str, Sequence[str]]] = _presets()
"""The names of entities of each preset: of each module, and of each of its parts."""


def entities_of(presets: Iterable[str]) -> list[str]:
    """Return the names of the entities of presets, each once."""
    return list(dict.fromkeys(name for preset in presets for name in PRESETS[preset]))
