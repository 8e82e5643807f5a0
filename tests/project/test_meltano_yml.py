"""meltano.yml knows every setting of the tap, as the tap itself describes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml
from click.testing import CliRunner

from tap_acumatica.settings.presets import MODULES, entities_of
from tap_acumatica.settings.schema import SCHEMA
from tap_acumatica.tap import TapAcumatica
from warehouse.targets import pins

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[2]
PROJECT = yaml.safe_load(ROOT.joinpath("meltano.yml").read_text())
PLUGIN = yaml.safe_load(ROOT.joinpath("plugin.yml").read_text())
EXTRACTORS = {each["name"]: each for each in PROJECT["plugins"]["extractors"]}
BASE = EXTRACTORS["tap-acumatica"]
LOADERS = {each["name"] for each in PROJECT["plugins"]["loaders"]}
JOBS = {each["name"]: each["tasks"] for each in PROJECT["jobs"]}


@pytest.fixture(scope="module")
def about() -> dict[str, Any]:
    result = CliRunner().invoke(TapAcumatica.cli, ["--about", "--format", "json"])
    assert result.exit_code == 0, result.output
    described: dict[str, Any] = json.loads(result.stdout)
    return described


def setting(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A setting as meltano.yml must have it."""
    expected = {
        "name": name,
        "label": schema["title"],
        "description": schema["description"],
        "kind": kind(schema),
    }
    if "enum" in schema:
        expected["options"] = [{"label": each, "value": each} for each in schema["enum"]]
    if "default" in schema:
        expected["value"] = schema["default"]
    if schema.get("secret"):
        expected["sensitive"] = True
    return expected


def kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return "options"
    if schema.get("format") == "date-time":
        return "date_iso8601"
    # Meltano passes a number on as it is, whatever kind of setting it is for.
    name = next(each for each in schema["type"] if each != "null")
    assert name in {"array", "boolean", "integer", "object", "string"}
    return str(name)


def test_meltano_yml_has_the_settings_of_the_tap_in_their_order(about: dict[str, Any]) -> None:
    names = [each["name"] for each in BASE["settings"]]
    assert names == list(about["settings"]["properties"])


def test_meltano_yml_describes_each_setting_as_the_tap_does(about: dict[str, Any]) -> None:
    properties = about["settings"]["properties"]
    expected = {name: setting(name, schema) for name, schema in properties.items()}
    assert {each["name"]: each for each in BASE["settings"]} == expected


def test_meltano_yml_has_the_capabilities_of_the_tap(about: dict[str, Any]) -> None:
    assert sorted(BASE["capabilities"]) == sorted(about["capabilities"])


def test_required_settings_are_in_every_group() -> None:
    for group in BASE["settings_group_validation"]:
        assert set(SCHEMA["required"]) <= set(group) <= set(SCHEMA["properties"])


def test_the_commands_of_the_tap_can_be_invoked() -> None:
    command = TapAcumatica.cli
    assert isinstance(command, click.Group)
    context = click.Context(command)
    assert BASE["commands"].keys() == {*command.list_commands(context)}
    for name, each in BASE["commands"].items():
        words = each["args"].split()
        assert words[:1] == [name]
        subcommand = command.get_command(context, name)
        assert subcommand
        subcommand.make_context(name, words[1:])


@pytest.mark.parametrize("extractor", EXTRACTORS.values(), ids=EXTRACTORS)
def test_an_extractor_that_selects_all_discovers_only_what_it_names(
    extractor: dict[str, Any],
) -> None:
    assert extractor["select"]
    if any(each.startswith("*") for each in extractor["select"]):
        assert extractor["config"]["presets"]


@pytest.mark.parametrize(
    ("name", "part"),
    [("tap-acumatica--incremental", "documents"), ("tap-acumatica--full-table", "reference")],
)
def test_the_templates_share_all_presets_and_no_stream(name: str, part: str) -> None:
    extractor = EXTRACTORS[name]
    assert extractor["inherit_from"] == "tap-acumatica"
    assert extractor["config"]["presets"] == [f"{module}-{part}" for module in MODULES]
    streams = [
        stream
        for each in EXTRACTORS.values()
        for stream in [
            *entities_of(each.get("config", {}).get("presets", ())),
            *each.get("config", {}).get("entities", ()),
        ]
    ]
    assert len(streams) == len(set(streams))


@pytest.mark.parametrize("extractor", EXTRACTORS.values(), ids=EXTRACTORS)
def test_the_templates_configure_only_settings_that_exist(extractor: dict[str, Any]) -> None:
    assert set(extractor.get("config", {})) <= set(SCHEMA["properties"])


def test_jobs_run_extractors_and_loaders_that_are_defined() -> None:
    tasks = [task.split() for tasks in JOBS.values() for task in tasks]
    assert {extractor for extractor, _ in tasks} <= set(EXTRACTORS)
    assert {loader for _, loader in tasks} <= LOADERS
    assert JOBS["everything"] == [*JOBS["documents"], *JOBS["reference"]]


def test_schedules_run_jobs_with_settings_that_exist() -> None:
    for schedule in PROJECT["schedules"]:
        (extractor, _), *_ = (task.split() for task in JOBS[schedule["job"]])
        prefix = extractor.replace("--", "__").replace("-", "_").upper()
        for name in schedule.get("env", {}):
            assert name.removeprefix(f"{prefix}_").lower() in SCHEMA["properties"], name


def test_rows_that_are_gone_leave_the_warehouse() -> None:
    """What a loader retires, the extractor has to name; a table of documents once a week."""
    loader = next(e for e in PROJECT["plugins"]["loaders"] if e["name"] == "target-postgres")
    assert loader["config"] == {"hard_delete": True}
    name = "emit_activate_version_messages"
    assert EXTRACTORS["tap-acumatica--full-table"]["config"][name]
    assert name not in EXTRACTORS["tap-acumatica--incremental"]["config"]


def test_the_plugin_is_the_extractor_with_addresses_in_place_of_paths() -> None:
    elsewhere = {"docs", "pip_url"}
    same = {name: value for name, value in BASE.items() if name not in elsewhere}
    assert {name: PLUGIN[name] for name in same} == same
    assert PLUGIN["pip_url"] == "tap-acumatica"
    for name in ("docs", "repo", "logo_url", "domain_url"):
        assert PLUGIN[name].startswith("https://")
    assert ROOT.joinpath(*PLUGIN["logo_url"].rpartition("/main/")[2].split("/")).is_file()


def test_no_secret_has_a_value() -> None:
    secret = {name for name, schema in SCHEMA["properties"].items() if schema.get("secret")}
    for extractor in EXTRACTORS.values():
        assert not secret & set(extractor.get("config", {}))
    assert not [each for each in BASE["settings"] if each["name"] in secret and "value" in each]


def test_the_loaders_are_those_that_the_tests_load() -> None:
    for loader in PROJECT["plugins"]["loaders"]:
        requirement, *_ = loader["pip_url"].split()
        assert requirement in pins(requirement.partition("==")[0]).read_text().splitlines()
