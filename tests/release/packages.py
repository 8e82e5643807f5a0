"""What `make build` has built, as those who install it meet it."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import tarfile
import tomllib
from datetime import date
from typing import TYPE_CHECKING, Any
from zipfile import ZipFile

import pytest
from support.running import NOW

from demo.meltano import MELTANO, ROOT, USER_PREFIXES
from release.notes import notes
from sandbox import Sandbox
from sandbox.app import PASSWORD, USERNAME
from warehouse import postgres
from warehouse.databases import PostgresSchema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PROJECT: dict[str, Any] = tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))
PACKAGE = PROJECT["project"]
VERSION = PACKAGE["version"]
REPOSITORY = PACKAGE["urls"]["Repository"]
UV = ROOT / ".venv" / "bin" / "uv"
DIST = ROOT / "dist"
WHEEL = DIST / f"tap_acumatica-{VERSION}-py3-none-any.whl"
SDIST = DIST / f"tap_acumatica-{VERSION}.tar.gz"
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
MOST_COMMANDS = 10
TIMEOUT = 1200  # seconds


def run(
    *command: str | Path, cwd: Path, variables: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command as a new user would, and with the packages that have been built."""
    inherited = {name: v for name, v in os.environ.items() if not name.startswith(USER_PREFIXES)}
    finished = subprocess.run(  # noqa: S603 - our own command
        command,
        cwd=cwd,
        env={
            **inherited,
            "MELTANO_SEND_ANONYMOUS_USAGE_STATS": "false",
            # In place of the index, on which the release is not yet.
            "UV_FIND_LINKS": str(DIST),
            "UV_CONSTRAINT": str(ROOT / "constraints.txt"),
            **(variables or {}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert finished.returncode == 0, f"{command}\n{finished.stdout}\n{finished.stderr}"
    return finished


def sdist() -> dict[str, str]:
    """The texts in the source distribution."""
    with tarfile.open(SDIST) as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
        texts = {}
        for member in files:
            content = archive.extractfile(member)
            assert content
            name = member.name.partition("/")[2]
            texts[name] = content.read().decode("utf-8", errors="replace")
        return texts


def metadata() -> str:
    with ZipFile(WHEEL) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith(".dist-info/METADATA"))
        return archive.read(name).decode()


def test_the_version_is_that_of_the_tag_and_of_the_changelog() -> None:
    when, text = notes(ROOT.joinpath("CHANGELOG.md").read_text("utf-8"), VERSION)
    assert text
    tag = os.environ.get("RELEASE_TAG")
    if tag:
        assert tag == f"v{VERSION}"
        assert date.fromisoformat(when)


def test_the_addresses_are_those_of_the_repository_that_releases() -> None:
    assert os.environ.get("RELEASE_REPOSITORY", REPOSITORY) == REPOSITORY
    assert all(address.startswith(REPOSITORY) for address in PACKAGE["urls"].values())


def test_the_source_distribution_holds_what_its_pages_name() -> None:
    texts = sdist()
    templates = {"benchmarks/performance.md", "warehouse/targets.md"}  # of pages in docs
    names = {name for name in texts if name.endswith(".md")} - templates
    pages = {name: texts[name] for name in names}
    assert "docs/README.md" in pages
    for name, text in pages.items():
        for target in LINK.findall(FENCE.sub("", text)):
            if "://" not in target:
                path = os.path.normpath(os.path.join(os.path.dirname(name), target))  # noqa: PTH118, PTH120 - names in an archive
                assert path in texts, f"{name}: {target}"
    assert {"Makefile", "tests/conftest.py", "sandbox/data/dacs.csv", "plugin.yml"} <= texts.keys()
    assert not [name for name in texts if name.startswith((".venv", ".meltano", "output", ".env/"))]


def test_the_page_of_the_index_has_links_that_work_there() -> None:
    _, _, page = metadata().partition("\n\n")
    links = LINK.findall(FENCE.sub("", page))
    assert links
    here = f"{REPOSITORY}/blob/v{VERSION}/"
    for link in links:
        assert link.startswith("https://"), link
        if link.startswith(REPOSITORY):
            assert ROOT.joinpath(link.removeprefix(here)).is_file(), link


def test_the_wheel_has_the_package_alone() -> None:
    with ZipFile(WHEEL) as archive:
        folders = {name.partition("/")[0] for name in archive.namelist()}
        licences = [name for name in archive.namelist() if name.endswith("licenses/LICENSE")]
    assert folders == {"tap_acumatica", f"tap_acumatica-{VERSION}.dist-info"}
    assert licences


def test_one_command_runs_the_wheel_in_an_empty_folder(tmp_path: Path) -> None:
    words = ("tool", "run", "--from", str(WHEEL), "tap-acumatica", "--about", "--format=json")
    about = json.loads(run(UV, *words, cwd=tmp_path).stdout)
    assert (about["name"], about["version"]) == ("tap-acumatica", VERSION)


def test_one_command_adds_the_extractor_to_a_project(tmp_path: Path) -> None:
    run(MELTANO, "init", ".", cwd=tmp_path)
    plugin = ROOT / "plugin.yml"
    run(MELTANO, "add", "tap-acumatica", "--from-ref", plugin, cwd=tmp_path)
    shown = run(MELTANO, "invoke", "tap-acumatica", "--version", cwd=tmp_path)
    assert VERSION in shown.stdout


@pytest.fixture
def commands(tmp_path: Path) -> list[str]:
    """The commands of the page, with the files of this checkout in place of those it downloads."""
    page = ROOT.joinpath("docs", "meltano.md").read_text("utf-8")
    block: str
    (block,) = re.findall(r"^```bash\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    downloaded = block.replace(f"{REPOSITORY}/raw/main", ROOT.as_uri())
    assert downloaded != block
    program = tmp_path / "bin" / "uv"
    program.parent.mkdir()
    program.symlink_to(UV)
    return downloaded.splitlines()


def test_the_page_of_meltano_leads_from_nothing_to_postgresql(
    commands: list[str], tmp_path: Path
) -> None:
    assert len(commands) <= MOST_COMMANDS
    with (
        Sandbox(now=NOW, rows=20) as box,
        postgres.running(tmp_path / "data") as server,
    ):
        tables = PostgresSchema(server, "acumatica")
        filled_in = {
            "TAP_ACUMATICA_URL": box.url,
            "TAP_ACUMATICA_USERNAME": USERNAME,
            "TAP_ACUMATICA_PASSWORD": PASSWORD,
            **{
                f"TARGET_POSTGRES_{name.upper()}": str(tables.settings[name])
                for name in ("host", "port", "user", "password", "database")
            },
        }
        lines = "\n".join(f"{name}={shlex.quote(value)}" for name, value in filled_in.items())
        editor = tmp_path / "editor"
        editor.write_text(f"#!/bin/sh\ncat >> $1 <<'END'\n{lines}\nEND\n")
        editor.chmod(0o755)
        programs = tmp_path / "bin"
        run(
            "bash",
            "-euxc",
            "\n".join(commands),
            cwd=tmp_path,
            variables={
                "EDITOR": str(editor),
                "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
                "UV_CONSTRAINT": "",
                "UV_TOOL_BIN_DIR": str(programs),
                "UV_TOOL_DIR": str(tmp_path / "tools"),
            },
        )
        for stream in ("PX_Objects_SO_SOOrder", "PX_Objects_GL_GLSetup"):
            assert len(tables.rows(stream)) == len(box.rows(stream)) > 0, stream
