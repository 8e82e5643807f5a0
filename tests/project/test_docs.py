"""The documentation says what the code does."""

from __future__ import annotations

import ast
import json
import re
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import yaml

from demo.meltano import replication_methods
from docs import generate
from mutants import MUTANTS, Mutant
from sandbox.faultkinds import KINDS
from sandbox.quirks import Quirks
from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import Cause
from tap_acumatica.odata.http.error_table import RULES
from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.oauth.error_table import TOKEN_RULES
from tap_acumatica.odata.paging.cursor import CursorPager, Window
from tap_acumatica.odata.paging.pager import Paging, ProvedBy
from tap_acumatica.odata.payload.page import Page
from tap_acumatica.odata.query import Link
from tap_acumatica.odata.table import Table
from tap_acumatica.reading.bookmarks import Bookmark
from tap_acumatica.reading.memory import CODE_LENGTH
from tap_acumatica.run.drift import Kind
from tap_acumatica.run.endings import EXIT_CODES, ExitCode
from tap_acumatica.run.report import Outcome
from tap_acumatica.run.report import Status as ReadStatus
from tap_acumatica.settings import validation
from tap_acumatica.settings.schema import SCHEMA
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from enum import StrEnum

    from tap_acumatica.odata.http.error_table import Rule

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (
        *sorted(ROOT.glob("*.md")),
        *sorted(ROOT.glob("docs/*.md")),
        *sorted(ROOT.glob("examples/*/README.md")),
        ROOT / "sandbox" / "README.md",
    )
}
README = PAGES["README.md"]
GETTING_STARTED = PAGES["docs/getting-started.md"]
SETTINGS = PAGES["docs/settings.md"]
TROUBLESHOOTING = PAGES["docs/troubleshooting.md"]
OPERATIONS = PAGES["docs/operations.md"]
FACTS = PAGES["docs/acumatica.md"]
RULES_OF_READING = PAGES["docs/reliability.md"]
MELTANO = yaml.safe_load(ROOT.joinpath("meltano.yml").read_text(encoding="utf-8"))
MAKEFILE = ROOT.joinpath("Makefile").read_text(encoding="utf-8")
MODULES = {path: path.read_text("utf-8") for path in sorted(ROOT.glob("tap_acumatica/**/*.py"))}

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
each_page = pytest.mark.parametrize("page", PAGES)


def section(text: str, name: str) -> str:
    """What stands between a heading and the next one that is not below it."""
    start = next(found for found in HEADING.finditer(text) if found[2] == name)
    ends = (f.start() for f in HEADING.finditer(text, start.end()) if len(f[1]) <= len(start[1]))
    return text[start.end() : next(ends, len(text))]


def table(text: str, first: str) -> list[list[str]]:
    """The rows of the table whose first column has this heading, without heading and rule."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f"| {first} |"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    return rows


def tables(text: str, first: str) -> list[list[str]]:
    """The rows of all tables whose first column has this heading."""
    parts = re.split(rf"^(?=\| {re.escape(first)} \|)", text, flags=re.MULTILINE)[1:]
    return [row for part in parts for row in table(part, first)]


def anchors(text: str) -> set[str]:
    """The anchors of the headings, as they are made by who shows the pages."""
    headings = (found[2] for found in HEADING.finditer(FENCE.sub("", text)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def documented_settings() -> dict[str, list[str]]:
    rows = tables(SETTINGS, "setting")
    assert len(rows) == len({row[0] for row in rows})
    return {row[0].strip("`"): row for row in rows}


def kind(name: str, schema: Mapping[str, Any]) -> str:
    """A setting's type as the page says it."""
    text = " or ".join(str(each) for each in schema["type"] if each != "null")
    if "enum" in schema:
        text = " or ".join(f"`{each}`" for each in schema["enum"])
    text = str(schema.get("format", text))
    if "maximum" in schema:
        text += f" {schema['minimum']} to {schema['maximum']}"
    elif "minimum" in schema:
        text += f" from {schema['minimum']}"
    if name in SCHEMA["required"]:
        text += ", required"
    return text + (", secret" if schema.get("secret") else "")


def with_gaps(node: ast.expr) -> str | None:
    """A literal as readers meet it: what is put in at run time is `...`."""
    if isinstance(node, ast.JoinedStr):
        parts = (
            str(part.value) if isinstance(part, ast.Constant) else "..." for part in node.values
        )
        return "".join(parts)
    return str(node.value) if isinstance(node, ast.Constant) else None


SAYING = {"_say", "InconsistentAnswer", "DoubtfulAnswer"}
"""What is called with a sentence."""


def sentences_of_the_code() -> Iterator[str]:
    """What is raised, said or, about settings, yielded: each ends with a full stop."""
    for text in MODULES.values():
        for node in ast.walk(ast.parse(text)):
            said: ast.expr | None = None
            match node:
                case ast.Assign(targets=[ast.Name(id="message")], value=said):
                    pass
                case ast.Yield(value=said) | ast.Return(value=said) if said:
                    pass
                case ast.Call(func=ast.Name(id=name), args=[said]) if name in SAYING:
                    pass
            sentence = with_gaps(said) if said else None
            if sentence and " " in sentence and re.search(r"[^.]\.$", sentence):
                yield sentence


def test_the_table_of_settings_is_the_schema() -> None:
    expected = {
        name: [
            f"`{name}`",
            kind(name, schema),
            f"`{json.dumps(schema['default'])}`" if "default" in schema else "",
            schema["description"],
        ]
        for name, schema in SCHEMA["properties"].items()
    }
    assert documented_settings() == expected


def test_every_documented_setting_is_in_meltano_yml() -> None:
    base = next(e for e in MELTANO["plugins"]["extractors"] if e["name"] == "tap-acumatica")
    assert documented_settings().keys() <= {each["name"] for each in base["settings"]}


def test_the_generator_writes_what_is_committed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    written = ("PAGE", "PRESETS_PAGE", "PROJECT", "PLUGIN")
    committed = {name: getattr(generate, name).read_text("utf-8") for name in written}
    for name, text in committed.items():
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        monkeypatch.setattr(generate, name, path)
    generate.main()
    assert {name: tmp_path.joinpath(name).read_text("utf-8") for name in committed} == committed


@pytest.mark.parametrize("lost", [generate.BEGIN, generate.END])
def test_the_generator_changes_nothing_outside_its_two_comments(lost: str) -> None:
    text = generate.PROJECT.read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="two comments"):
        generate.project(text.replace(lost, ""))


def named_elsewhere() -> set[str]:
    """Names that look like settings: of state, catalog, targets, OAuth, Meltano and others."""
    return {
        *("pip_url", "dags_folder", "max_active_runs"),
        *("batch_size", "batch_age", "clean_up_batch_files"),  # of batch_config, and of a target
        *("undated_rows_read_on", "table_name", "tap_acumatica", "exit_code", "deleted_records"),
        *("key_properties", "replication_key", "replication_method"),
        *("add_record_metadata", "add_metadata_columns"),
        *("so_order", "order_nbr"),
        *("offline_access", "access_token", "unauthorized_client", "invalid_grant"),
        *("above_top", "content_type", "retry_after", "visible_at", *KINDS),
        *("token_life", "refresh_tokens", "callback_urls"),
        *(field.name for field in fields(Quirks)),
    }


@each_page
def test_settings_that_the_pages_mention_exist(page: str) -> None:
    known = {*SCHEMA["properties"], *named_elsewhere()}
    known |= {
        each["name"]
        for plugins in MELTANO["plugins"].values()
        for plugin in plugins
        for each in plugin.get("settings", ())
    }
    for name in re.findall(r"`([a-z]+(?:_[a-z]+)+)(?:: [^`]*)?`", FENCE.sub("", PAGES[page])):
        assert name in known or name.startswith("test_"), name


def examples(page: str) -> list[dict[str, Any]]:
    """The JSON examples of a page that hold settings."""
    blocks = re.findall(r"```json\n(.*?)```", PAGES[page], re.DOTALL)
    found = [json.loads(block) for block in blocks]
    return [each for each in found if each.keys() <= SCHEMA["properties"].keys()]


@each_page
def test_the_settings_of_the_examples_are_right(page: str) -> None:
    account = {"url": "https://company.acumatica.com", "username": "odata", "password": "..."}
    for settings in examples(page):
        validation.check(settings if "url" in settings else {**account, **settings})


@pytest.mark.parametrize(
    "page",
    ["README.md", "docs/getting-started.md", "docs/authentication.md", "docs/tenants.md"],
)
def test_pages_that_lead_to_a_run_have_a_complete_example(page: str) -> None:
    assert [each for each in examples(page) if "url" in each]


def test_the_state_of_the_example_holds_a_bookmark() -> None:
    text = section(PAGES["docs/incremental.md"], "The state")
    state = json.loads(re.findall(r"```json\n(.*?)```", text, re.DOTALL)[0])
    (entry,) = state["bookmarks"].values()
    bookmark = Bookmark.of(entry, "LastModifiedDateTime")
    stored: dict[str, Any] = {}
    bookmark.store(stored, "LastModifiedDateTime")
    assert {**stored, "key": entry["key"], "schema": entry["schema"]} == entry
    assert len(entry["columns"]) % CODE_LENGTH == 0


@pytest.mark.parametrize(
    ("heading", "rules"),
    [
        ("Messages about the server", RULES),
        ("Messages about tokens", [rule for rule in TOKEN_RULES if rule not in RULES]),
    ],
    ids=["server", "tokens"],
)
def test_each_cause_of_the_error_tables_is_explained(heading: str, rules: Sequence[Rule]) -> None:
    rows = tables(section(TROUBLESHOOTING, heading), "the message begins")
    documented = {row[1]: row for row in rows}
    assert len(documented) == len(rows)
    assert documented.keys() == {rule.cause for rule in rules}
    for rule in rules:
        beginning, _, action, remedy = documented[rule.cause]
        assert re.sub(r"\{\w+\}", "...", rule.sentence).startswith(beginning)
        assert action == rule.action.value
        assert remedy


def test_every_other_sentence_of_the_code_is_explained() -> None:
    text = section(TROUBLESHOOTING, "Messages about settings, catalog and state")
    beginnings = [row[0] for row in tables(text, "the message begins")]
    sentences = list(sentences_of_the_code())
    for sentence in sentences:
        assert sentence.startswith(tuple(beginnings)), sentence
    for beginning in beginnings:
        assert [s for s in sentences if s.startswith(beginning)], beginning


def test_the_table_of_the_demo_has_the_streams_of_meltano_yml() -> None:
    shown = re.findall(r"^(PX_\w+) +(incremental|full-table) ", GETTING_STARTED, re.MULTILINE)
    assert shown == list(replication_methods().items())


def test_the_readme_shows_lines_of_the_demo_in_their_order() -> None:
    shown = re.findall(r"^(?:Stream|PX_\w+) .*$", section(README, "See it work"), re.MULTILINE)
    demo = section(GETTING_STARTED, "The demo").splitlines()
    assert len(shown) > 1
    assert [line for line in demo if line in shown] == shown


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= 180
    links = set(re.findall(r"\]\(([^)#]+)", README))
    assert {page for page in PAGES if page.startswith("docs/")} <= links


def test_the_page_of_targets_has_the_text_of_its_template_and_all_tables() -> None:
    template = ROOT.joinpath("warehouse", "targets.md").read_text("utf-8")
    pieces = re.split(r"<!-- [A-Z]+ -->", template)
    assert all(piece in PAGES["docs/targets.md"] for piece in pieces)
    assert "<!--" not in PAGES["docs/targets.md"]
    assert re.search(r"made on \d{4}-\d\d-\d\d by", PAGES["docs/targets.md"])


def test_the_index_leads_to_every_page() -> None:
    links = set(re.findall(r"\]\(([^)#]+)", PAGES["docs/README.md"]))
    assert {path.name for path in ROOT.glob("docs/*.md")} - {"README.md"} <= links


def test_extractors_and_jobs_that_the_page_of_meltano_names_exist() -> None:
    rows = table(PAGES["docs/meltano.md"], "extractor")
    tasks = {each["name"]: each["tasks"] for each in MELTANO["jobs"]}
    assert len(rows) == len(MELTANO["plugins"]["extractors"]) - 1
    for extractor, *jobs, _ in rows:
        for job, loader in zip(jobs, ("target-jsonl", "target-postgres"), strict=True):
            assert tasks[job.strip("`")] == [f"{extractor.strip('`')} {loader}"]


def test_the_schedules_that_the_page_of_meltano_names_are_those_of_the_project() -> None:
    rows = table(PAGES["docs/meltano.md"], "schedule")
    assert {row[0].strip("`"): row[2].strip("`") for row in rows} == {
        schedule["name"]: schedule["job"] for schedule in MELTANO["schedules"]
    }


def test_each_cause_has_the_exit_code_of_the_page() -> None:
    documented = {
        cause: int(code)
        for causes, code in table(OPERATIONS, "causes")
        for cause in causes.split(", ")
    }
    assert documented == {str(cause): int(EXIT_CODES[cause]) for cause in Cause}
    codes = {
        int(code) for row in table(OPERATIONS, "exit code") for code in re.findall(r"\d+", row[0])
    }
    assert codes >= set(ExitCode)


@pytest.mark.parametrize(
    ("heading", "kinds"),
    [("`outcome`", Outcome), ("`status`", ReadStatus), ("`by`", ProvedBy), ("difference", Kind)],
)
def test_what_a_report_can_say_is_explained(heading: str, kinds: type[StrEnum]) -> None:
    assert [row[0].strip("`") for row in table(OPERATIONS, heading)] == [*kinds]


def test_the_schema_of_the_report_knows_all_that_it_can_say() -> None:
    schema = json.loads(ROOT.joinpath("docs", "run-report.json").read_text(encoding="utf-8"))
    stream = schema["$defs"]["stream"]["properties"]
    assert schema["properties"]["outcome"]["enum"] == [*Outcome]
    assert stream["status"]["enum"] == [*ReadStatus]
    assert stream["proof"]["anyOf"][1]["properties"]["by"]["enum"] == [*ProvedBy]
    assert schema["$defs"]["change"]["enum"] == [*Kind]


@each_page
def test_links_lead_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", FENCE.sub("", PAGES[page])):
        if target.startswith("https://"):
            continue
        path = (ROOT / page).parent.joinpath(target).resolve() if target else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(path.read_text(encoding="utf-8")), f"{target}#{anchor}"


@each_page
def test_json_in_the_documentation_is_json(page: str) -> None:
    for block in re.findall(r"```json\n(.*?)```", PAGES[page], re.DOTALL):
        json.loads(block)


@each_page
def test_targets_of_make_that_are_named_exist(page: str) -> None:
    for target in set(re.findall(r"(?:`|^    )make ([a-z-]+)\b", PAGES[page], re.MULTILINE)):
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def commands(page: str, program: str) -> Iterator[list[str]]:
    """The words behind a program, wherever a page shows how to call it."""
    call = re.compile(rf"(?:`|^ {{4,}}(?:\.venv/bin/)?){program} ([^`|>\n]+)", re.MULTILINE)
    for words in call.findall(PAGES[page]):
        yield words.split()


def require_options(command: click.Command, words: Sequence[str]) -> None:
    known = {option for parameter in command.params for option in parameter.opts}
    known |= {option for parameter in command.params for option in parameter.secondary_opts}
    for word in words:
        if word.startswith("--"):
            assert word.partition("=")[0] in known, word


def subcommand(command: click.Group, name: str) -> click.Command:
    """The command of this name; without a name the group itself."""
    found = command.get_command(click.Context(command), name) if name else command
    assert found, name
    return found


@each_page
def test_commands_of_the_tap_that_are_named_exist(page: str) -> None:
    command = TapAcumatica.cli
    assert isinstance(command, click.Group)
    for words in commands(page, "tap-acumatica"):
        name = "" if words[0].startswith("-") else words[0]
        require_options(subcommand(command, name), words)


@each_page
def test_commands_of_meltano_that_are_named_fit_the_project(page: str) -> None:
    tap = TapAcumatica.cli
    assert isinstance(tap, click.Group)
    extractors = {each["name"] for each in MELTANO["plugins"]["extractors"]}
    for words in commands(page, "meltano"):
        if "invoke" in words:
            called = [word for word in words[words.index("invoke") + 1 :] if "--dump" not in word]
            extractor, _, name = called[0].partition(":")
            assert extractor in extractors
            require_options(subcommand(tap, name), called)
        if "run" in words and "schedule" not in words:
            jobs = words[words.index("run") + 1 :]
            assert set(jobs) <= {each["name"] for each in MELTANO["jobs"]}


def test_the_page_of_the_benchmarks_has_their_text() -> None:
    text = ROOT.joinpath("benchmarks", "performance.md").read_text(encoding="utf-8")
    parts = [part.strip() for part in re.split(r"<!-- \w+ -->", text)]
    for part in parts:
        assert part in PAGES["docs/performance.md"]


@pytest.mark.parametrize("page", ["docs/acumatica.md", "docs/reliability.md"])
def test_pages_and_sections_that_the_code_refers_to_exist(page: str) -> None:
    headings = {found[2] for found in HEADING.finditer(FENCE.sub("", PAGES[page]))}
    references = [
        text[found.end() :].partition('"""')[0]
        for text in MODULES.values()
        for found in re.finditer(re.escape(page), text)
    ]
    assert references
    for reference in references:
        listed = re.match(r'(?:,? (?:and |sections? )*"[^"]+"(?: \([^)]*\))?)*', reference)
        named = set(re.findall(r'"([^"]+)"', listed[0] if listed else ""))
        assert named <= headings


@pytest.mark.parametrize("standing", ["documented", "recorded", "reported", "inferred", "unknown"])
def test_standings_are_explained_and_used(standing: str) -> None:
    assert standing in [row[0] for row in table(FACTS, "standing")]
    assert len(re.findall(rf"\b{standing}\b", FACTS)) > 1


def test_every_fact_has_a_standing() -> None:
    standings = {row[0] for row in table(FACTS, "standing")}
    column, facts = None, 0
    for line in FACTS.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            column = None
        elif "standing" in cells[1:]:
            column = cells.index("standing")
        elif column is not None and not line.startswith("|---"):
            facts += 1
            assert set(re.findall(r"\w+", cells[column])) & standings, line
    assert facts > 100


def test_figures_are_those_of_the_code() -> None:
    for _, value, constant in table(section(RULES_OF_READING, "Figures"), "figure"):
        module, _, name = constant.strip("`").rpartition(".")
        actual = getattr(import_module(f"tap_acumatica.{module}"), name)
        seconds = actual.total_seconds() if isinstance(actual, timedelta) else actual
        assert float(value.removesuffix(" s").replace(",", "")) == seconds, constant


def test_the_example_of_a_read_is_what_the_pager_does() -> None:
    midnight = datetime(2026, 6, 1, tzinfo=UTC)
    columns = {"Key": edm.INTEGER, "R": edm.INSTANT}
    window = Window(None, midnight + timedelta(minutes=1))
    pager = CursorPager(Table("E", columns, ("Key",), (), "R"), Paging(3), window, InstantReader())
    rows = ["1a", "2b", "5c", "7d", "7e", "7f", "7g", "9h"]
    for base, skip, top, count, answer, counted, new, _ in table(
        section(RULES_OF_READING, "An example"), "base"
    ):
        query = pager.request()
        assert not isinstance(query, Link)
        lower = re.search(r"R ge .*:(\d\d)Z and", query.filter)
        assert str(int(lower[1]) if lower else "") == base
        assert (str(query.skip or ""), str(query.top)) == (skip, top)
        assert query.count == (count == "yes")
        fit = [row for row in rows if int(row[:-1]) >= int(base or 0)]
        sent = fit[query.skip :][: query.top]
        assert " ".join(sent) == answer
        assert str(len(fit) if query.count else "") == counted
        shown = [
            {"Key": row[-1], "R": edm.instant_literal(midnight + timedelta(seconds=int(row[:-1])))}
            for row in sent
        ]
        fresh = pager.accept(Page(shown, len(fit) if query.count else None))
        assert [row["Key"] for row in fresh] == [word for word in new.split() if len(word) == 1]
        if "7f" in sent and "7d" in rows:
            rows.remove("7d")
            rows.append("12d")
    assert pager.done


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.rule)
def test_what_make_mutants_breaks_is_in_the_code(mutant: Mutant) -> None:
    code = ROOT.joinpath("tap_acumatica", mutant.module).read_text(encoding="utf-8")
    assert mutant.broken(code) != code


@pytest.mark.parametrize("page", ["docs/reliability.md", "SECURITY.md"])
def test_tests_that_are_named_exist(page: str) -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py"))
    named = set(re.findall(r"`(test_\w+)`", PAGES[page]))
    assert named
    assert {name for name in named if f"def {name}(" not in code} == set()


def test_each_promise_of_security_names_its_test() -> None:
    for promise, tests in table(PAGES["SECURITY.md"], "promise"):
        assert re.fullmatch(r"`test_\w+`(, `test_\w+`)*", tests), promise
