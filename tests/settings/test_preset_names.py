"""The presets hold names that are documented, each once and each in the same part."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import pytest

from sandbox.model import real_types
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.settings import validation
from tap_acumatica.settings.presets import MODULES, PRESETS, entities_of

DOCUMENTED = Path(__file__).with_name("entity-sets.csv")
"""Types, labels and entity sets of the metadata of a clean instance of release 2026 R2.

Those that the sandbox has with all columns are not repeated.
"""


def documented() -> dict[str, tuple[str, str]]:
    """The type and the label by the entity set with the generated name."""
    found = {real.sets[0]: (real.name, real.label) for real in real_types()}
    with DOCUMENTED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert not found.keys() & {row["entity_set"] for row in rows}
    return found | {row["entity_set"]: (row["type"], row["label"]) for row in rows}


def test_every_entity_of_a_preset_is_documented_with_its_label() -> None:
    known = documented()
    for parts in MODULES.values():
        for entities in parts.values():
            for name, label in entities.items():
                type_name, documented_label = known[name]
                assert name == type_name.replace(".", "_")
                assert label == documented_label


def test_an_entity_is_in_the_same_part_of_all_modules() -> None:
    """Else two runs, of which each reads one part of several modules, would share a table."""
    parts_of = defaultdict(set)
    for parts in MODULES.values():
        for part, entities in parts.items():
            for name in entities:
                parts_of[name].add(part)
    assert [name for name, parts in parts_of.items() if len(parts) > 1] == []


def test_a_module_is_the_sum_of_its_parts() -> None:
    for module, parts in MODULES.items():
        of_parts = [name for part in parts for name in PRESETS[f"{module}-{part}"]]
        assert list(PRESETS[module]) == of_parts == entities_of([module, f"{module}-documents"])
        assert {"documents", "reference"} == parts.keys()
        assert all(parts.values())


def test_a_preset_that_does_not_exist_is_refused_with_those_that_do() -> None:
    settings = {"url": "https://erp.example", "username": "u", "password": "p"}
    validation.check({**settings, "presets": list(PRESETS)})
    with pytest.raises(SettingsError, match=r"presets\[1\] must be one of .*finance-documents"):
        validation.check({**settings, "presets": ["sales", "production"]})
