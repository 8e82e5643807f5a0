"""Runs the steps of the Dockerfile as a script in an empty folder, where no builder can be had.

What is outside the folder in the image (`/opt/acumatica`, `/source`, `/tmp/uv`) is in it here. Not
seen are the base image, the user and the copy from one stage to the other.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shutil
import subprocess
import sys
from string import Template
from typing import TYPE_CHECKING

import pytest
from support.running import NOW

from demo.meltano import ROOT, USER_PREFIXES
from sandbox import Sandbox
from sandbox.app import PASSWORD, USERNAME

if TYPE_CHECKING:
    from pathlib import Path

MOVED = ("/opt/acumatica", "/source", "/tmp/uv")  # noqa: S108 - folders of the image
TIMEOUT = 900  # seconds


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile, each with its arguments."""
    lines = ROOT.joinpath("Dockerfile").read_text("utf-8").replace("\\\n", " ").splitlines()
    words = [line.partition(" ") for line in lines if line and not line.startswith("#")]
    return [(name, arguments) for name, _, arguments in words]


def context(folder: Path) -> None:
    """Copy what .dockerignore leaves of the repository's files."""
    rules = ROOT.joinpath(".dockerignore").read_text("utf-8").splitlines()
    kept = [rule[1:] for rule in rules if rule.startswith("!")]
    git = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607 - git
    for name in git.stdout.splitlines():
        if any(fnmatch.fnmatch(name, rule) or name.startswith(f"{rule}/") for rule in kept):
            folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The folder after all steps of the first stage, and the environment of the second."""
    folder = tmp_path_factory.mktemp("image")

    def moved(text: str) -> str:
        for path in MOVED:
            text = text.replace(path, str(folder / path[1:]))
        return text

    python = folder / "python"
    python.mkdir()
    python.joinpath("python").symlink_to(sys.executable)
    outside = {n: value for n, value in os.environ.items() if not n.startswith(USER_PREFIXES)}
    outside["PATH"] = f"{python}{os.pathsep}{outside['PATH']}"
    environment: dict[str, str] = {}
    work = folder
    for name, arguments in instructions():
        if name == "FROM":
            environment = dict(outside)
        elif name == "ENV":
            for variable, value in re.findall(r"(\w+)=(\S+)", moved(arguments)):
                environment[variable] = Template(value).substitute(environment)
        elif name == "WORKDIR" and not arguments.startswith("$"):
            work = folder / arguments[1:]
            work.mkdir(parents=True)
        elif (name, arguments) == ("COPY", ". ."):
            context(work)
        elif name == "RUN" and "useradd" not in arguments:
            command = ["sh", "-euc", moved(arguments)]
            subprocess.run(command, cwd=work, env=environment, check=True, timeout=TIMEOUT)  # noqa: S603 - the Dockerfile's
    return folder, environment


def call(image: tuple[Path, dict[str, str]], *words: str, **variables: str) -> str:
    folder, environment = image
    program = shutil.which(words[0], path=environment["PATH"])
    assert program
    finished = subprocess.run(  # noqa: S603 - our own command
        [program, *words[1:]],
        cwd=environment["MELTANO_PROJECT_ROOT"],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert finished.returncode == 0, finished.stderr
    assert str(folder) in program
    return finished.stdout


def test_the_image_has_meltano_the_tap_and_the_loader(image: tuple[Path, dict[str, str]]) -> None:
    assert call(image, "meltano", "--version").startswith("meltano, version")
    about = json.loads(call(image, "tap-acumatica", "--about", "--format=json"))
    assert about["name"] == "tap-acumatica"
    assert call(image, "meltano", "invoke", "target-postgres", "--version")


def test_the_image_checks_an_instance(image: tuple[Path, dict[str, str]]) -> None:
    with Sandbox(now=NOW, rows=5) as box:
        account = {
            "TAP_ACUMATICA_URL": box.url,
            "TAP_ACUMATICA_USERNAME": USERNAME,
            "TAP_ACUMATICA_PASSWORD": PASSWORD,
        }
        words = ("meltano", "invoke", "tap-acumatica--incremental:check", "--format", "text")
        assert "A sync would work." in call(image, *words, **account)
        assert box.counters().sessions_open == 0


def test_the_image_runs_without_root_and_takes_no_secret_with_it() -> None:
    users = [arguments for name, arguments in instructions() if name == "USER"]
    assert users == ["10001:10001"]
    assert sum(name == "FROM" for name, _ in instructions()) == 2
    rules = ROOT.joinpath(".dockerignore").read_text("utf-8").splitlines()
    assert "*" in rules
    assert not [rule for rule in rules if ".env" in rule and rule.startswith("!")]
