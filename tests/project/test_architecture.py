"""Imports go as docs/architecture.md says, and never in a circle."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

ROOT = Path(__file__).parents[2]
TAP = "tap_acumatica"
SDK = "singer_sdk"
"""Stands as `SDK` in the table."""
PACKAGES = (TAP, "sandbox", "demo", "benchmarks", "mutants", "docs", "warehouse")


@dataclass(frozen=True)
class Room:
    """A row of the table."""

    modules: frozenset[str]
    may_import: frozenset[str]


def cells(line: str) -> list[list[str]]:
    """The names in each cell of a row."""
    return [
        [name.strip().strip("`") for name in cell.split(",") if name.strip()]
        for cell in line.strip().strip("|").split("|")
    ]


def read_rooms(page: str) -> dict[str, Room]:
    """The rooms of the table, by name."""
    lines = page.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("| room |"))
    rooms = {}
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        (name,), patterns, may_import, _ = cells(line)
        paths = (path for pattern in patterns for path in ROOT.glob(f"{TAP}/{pattern}"))
        named = {SDK if name == "SDK" else name for name in may_import}
        rooms[name] = Room(frozenset(map(module_name, paths)), frozenset(named))
    return rooms


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def modules_of(package: str) -> dict[str, Path]:
    return {module_name(path): path for path in sorted((ROOT / package).rglob("*.py"))}


def imported(code: str, modules: Collection[str]) -> Iterator[str]:
    """The modules that some code imports: ours by their full name, others by their package."""
    for node in ast.walk(ast.parse(code)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            full = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in modules else str(node.module) for name in full]
        for name in names:
            yield name if name in modules else name.partition(".")[0]


def imports_of(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    return {
        name: set(imported(path.read_text("utf-8"), modules)) - {name}
        for name, path in modules.items()
    }


def find_circle(arrows: Mapping[str, Collection[str]]) -> list[str]:
    """Modules of which each imports the next and the last the first; empty: there are none."""
    done: set[str] = set()

    def follow(name: str, path: list[str]) -> list[str]:
        if name in path:
            return path[path.index(name) :]
        if name in done:
            return []
        for other in sorted(arrows.get(name, ())):
            if circle := follow(other, [*path, name]):
                return circle
        done.add(name)
        return []

    return next((circle for name in sorted(arrows) if (circle := follow(name, []))), [])


ROOMS = read_rooms((ROOT / "docs" / "architecture.md").read_text("utf-8"))
MODULES = modules_of(TAP)
IMPORTS = imports_of(MODULES)
ROOM_OF = {module: name for name, room in ROOMS.items() for module in room.modules}


@pytest.mark.parametrize("module", MODULES)
def test_one_room_claims_each_module(module: str) -> None:
    assert [name for name, room in ROOMS.items() if module in room.modules] == [ROOM_OF[module]]


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    room = ROOM_OF[module]
    targets = {ROOM_OF.get(name, name) for name in IMPORTS[module]} & {*ROOMS, SDK}
    assert targets <= {room, *ROOMS[room].may_import}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_uses_each_arrow_that_the_page_lists(room: str) -> None:
    targets = {
        ROOM_OF.get(name, name) for module in ROOMS[room].modules for name in IMPORTS[module]
    }
    assert ROOMS[room].may_import <= targets


def test_the_rooms_stand_above_each_other() -> None:
    assert find_circle({name: room.may_import for name, room in ROOMS.items()}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_leads_back(package: str) -> None:
    assert find_circle(imports_of(modules_of(package))) == []


def test_circles_and_imports_for_types_are_seen() -> None:
    code = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from p.a import B\n"
    code += "def f():\n    from p import c\n    import singer_sdk.helpers\n"
    assert {*imported(code, {"p.a", "p.c"})} == {"typing", "p.a", "p.c", "singer_sdk"}
    assert find_circle({"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"]}) == ["a", "b", "c"]
    assert find_circle({"a": ["b", "c"], "b": ["c"], "c": []}) == []
