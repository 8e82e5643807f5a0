"""What the documentation says is so."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tap_acumatica.odata.errors import RULES
from tap_acumatica.settings import SCHEMA

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "sandbox" / "README.md"]


def section(name: str) -> str:
    return README.split(f"\n## {name}\n")[1].split("\n## ")[0]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def test_the_table_of_settings_is_the_schema() -> None:
    documented = {row[0].strip("`| "): row for row in rows(section("Settings"))}
    assert documented.keys() == SCHEMA["properties"].keys()
    for name, schema in SCHEMA["properties"].items():
        _, kind, default, meaning = documented[name]
        types = [t for t in schema["type"] if t != "null"]
        expected = types[0]
        expected += ", required" if name in SCHEMA["required"] else ""
        expected += ", secret" if schema.get("secret") else ""
        assert kind == expected, name
        assert default.strip("`") == (
            json.dumps(schema["default"]) if "default" in schema else ""
        ), name
        assert meaning == schema["description"], name


def test_each_cause_of_the_error_table_is_explained() -> None:
    documented = {row[0].strip("| "): row for row in rows(section("Troubleshooting"))}
    assert documented.keys() == {rule.cause for rule in RULES}
    for rule in RULES:
        row = documented[rule.cause]
        assert row[1] == rule.action.value
        assert rule.sentence.split("{")[0].strip() in row[2]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_json_in_the_documentation_is_json(page: Path) -> None:
    for block in re.findall(r"```json\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        json.loads(block)


def test_targets_of_make_that_are_named_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"\bmake ([a-z]+)\b", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_sections_that_the_code_refers_to_exist() -> None:
    headings = set(
        re.findall(r"^## (.+)$", (ROOT / "docs" / "acumatica.md").read_text("utf-8"), re.MULTILINE)
    )
    named = set()
    for module in (ROOT / "tap_acumatica").rglob("*.py"):
        for line in module.read_text(encoding="utf-8").splitlines():
            if "docs/acumatica.md" in line:
                named |= set(re.findall(r'"([A-Z][^"]+)"', line.partition("acumatica.md")[2]))
    assert named
    assert named <= headings
