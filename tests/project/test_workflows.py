"""The workflows run what they name, with no more rights than they need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from release.notes import CHANGELOG, notes

ROOT = Path(__file__).parents[2]
WORKFLOWS = {path.name: path.read_text("utf-8") for path in ROOT.glob(".github/workflows/*.yml")}
MAKEFILE = ROOT.joinpath("Makefile").read_text("utf-8")
each_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def jobs(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(WORKFLOWS[name])["jobs"]
    return found


@each_workflow
def test_actions_are_pinned_and_say_their_version(name: str) -> None:
    for action in re.findall(r"uses: (.*)", WORKFLOWS[name]):
        assert re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+(\.\d+)+", action), action


def test_an_action_has_one_version() -> None:
    actions = set(re.findall(r"uses: (.*)", "".join(WORKFLOWS.values())))
    assert len({action.partition("@")[0] for action in actions}) == len(actions)


@each_workflow
def test_rights_are_given_job_by_job(name: str) -> None:
    given = yaml.safe_load(WORKFLOWS[name])["permissions"]
    assert given in ({}, {"contents": "read"})
    for title, job in jobs(name).items():
        may_write = {right for right, how in job.get("permissions", {}).items() if how == "write"}
        assert may_write <= {
            "index": {"id-token"},
            "image": {"packages"},
            "notes": {"contents"},
        }.get(title, set())


@each_workflow
def test_targets_of_make_that_are_run_exist(name: str) -> None:
    lists = re.findall(r"target: \[(.*)\]", WORKFLOWS[name])
    targets = {word for words in lists for word in words.split(", ")}
    targets |= set(re.findall(r"\bmake ([a-z-]+)", WORKFLOWS[name]))
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_the_notes_of_a_version_are_its_section() -> None:
    text = "# Changelog\n\n## 0.2.0 - 2027-01-02\n\n- new\n\n## 0.1.0 - 2026-01-02\n\n- first\n"
    assert notes(text, "0.2.0") == ("2027-01-02", "- new")
    assert notes(text, "0.1.0") == ("2026-01-02", "- first")
    with pytest.raises(ValueError, match=CHANGELOG.name):
        notes(text, "0.3.0")
