"""Run a shard: one group of streams of one tenant, as a `meltano run` of its own.

    shard.py INSTANCE TENANT GROUP

The names are those in the file SHARD_TENANTS (if not set, tenants.json beside this script). It
needs nothing but Python and Meltano: orchestrators, containers and people start it in the same way.

Environment:
    MELTANO_PROJECT_ROOT: The Meltano project, in which `meltano install` has run.
    MELTANO_STATE_BACKEND_URI: Where all shards keep their states.
    ACUMATICA_<INSTANCE>_USERNAME, ACUMATICA_<INSTANCE>_PASSWORD: The account of an instance.
    SHARD_LOADER: The loader; target-postgres if not set.
    SHARD_OUTPUT: For target-jsonl, the folder with a folder for each tenant; output if not set.

The exit code is that of the tap, which Meltano hides: of all, 75 alone is worth a retry.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NAME = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")
"""Names of instances, tenants and groups, so that what is joined of them stays unique."""
LONGEST = 63  # characters in the name of a schema in PostgreSQL
PLUGINS = ("extractors", "loaders", "mappers", "utilities")
FAULT, USAGE, WRONG_SETTINGS = 1, 2, 78


class SettingsError(Exception):
    """Something is missing or wrong in the file of the tenants or in the environment."""


def read_tenants() -> dict[str, Any]:
    """Return the groups, and the instances with their tenants.

    Raises:
        SettingsError: A name may not be used.
    """
    path = os.environ.get("SHARD_TENANTS") or Path(__file__).with_name("tenants.json")
    content: dict[str, Any] = json.loads(Path(path).read_text("utf-8"))
    tenants = [name for instance in content["instances"].values() for name in instance["tenants"]]
    for name in (*content["groups"], *content["instances"], *tenants):
        if not NAME.fullmatch(name):
            message = f"{name} is no name: take small letters, digits and single _ between them."
            raise SettingsError(message)
    return content


def shards(instance: str, group: str) -> list[list[str]]:
    """Return the arguments of a group's shards in an instance, one for each tenant."""
    tenants = read_tenants()["instances"][instance]["tenants"]
    return [[instance, tenant, group] for tenant in tenants]


@dataclass(frozen=True)
class Shard:
    """One group of streams of one tenant."""

    instance: str
    tenant: str
    group: str

    @property
    def state(self) -> str:
        """The suffix of its state ID. With another one it would read everything again."""
        return f"{self.instance}--{self.tenant}--{self.group}"

    @property
    def schema(self) -> str:
        """Its schema: of its own for each tenant, since full tables retire what did not come.

        Raises:
            SettingsError: It is too long.
        """
        name = f"{self.instance}__{self.tenant}"
        if len(name) > LONGEST:
            message = f"The schema {name} has more than {LONGEST} characters: shorten a name."
            raise SettingsError(message)
        return name

    def command(self) -> list[str]:
        """Return the command line of Meltano.

        Raises:
            SettingsError: There is no Meltano.
        """
        meltano = shutil.which("meltano")
        if not meltano:
            message = "The program meltano is not in PATH: install it, or add its folder."
            raise SettingsError(message)
        extractor = read_tenants()["groups"][self.group]["extractor"]
        return [meltano, "run", "--state-id-suffix", self.state, extractor, loader()]

    def variables(self) -> dict[str, str]:
        """Return the settings of the extractor and the loader, as environment variables."""
        site = read_tenants()["instances"][self.instance]
        account = f"ACUMATICA_{self.instance.upper()}"
        return {
            "TAP_ACUMATICA_URL": site["url"],
            "TAP_ACUMATICA_TENANTS": json.dumps([site["tenants"][self.tenant]]),
            "TAP_ACUMATICA_USERNAME": os.environ[f"{account}_USERNAME"],
            "TAP_ACUMATICA_PASSWORD": os.environ[f"{account}_PASSWORD"],
            **self._destination(),
        }

    def _destination(self) -> dict[str, str]:
        if loader() == "target-jsonl":
            folder = Path(os.environ.get("SHARD_OUTPUT") or "output", self.schema).absolute()
            folder.mkdir(parents=True, exist_ok=True)
            return {"TARGET_JSONL_DESTINATION_PATH": str(folder)}
        prefix = loader().replace("-", "_").upper()
        return {f"{prefix}_DEFAULT_TARGET_SCHEMA": self.schema}


def loader() -> str:
    """Return the name of the loader."""
    return os.environ.get("SHARD_LOADER") or "target-postgres"


def link_plugins(folder: Path) -> None:
    """Make a folder in which Meltano finds what is installed, and writes for this shard alone.

    In one folder two runs of one extractor would write the same catalog, and fail.
    """
    installed = Path(os.environ["MELTANO_PROJECT_ROOT"], ".meltano")
    for name in PLUGINS:
        if (installed / name).is_dir():
            (folder / name).symlink_to(installed / name, target_is_directory=True)


def run(command: list[str], variables: dict[str, str]) -> int:
    """Run a command in a process group of its own, and return its exit code.

    Signals are passed on to the whole group: the tap has to sign out, and is not told by Meltano.
    """
    # Blocked until there is a group to pass them to.
    signals = (signal.SIGTERM, signal.SIGINT)
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    process = subprocess.Popen(  # noqa: S603 - our own command
        command,
        cwd=os.environ["MELTANO_PROJECT_ROOT"],
        env={**os.environ, **variables},
        start_new_session=True,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, signals),  # noqa: PLW1509 - no thread
    )
    stopped = []

    def stop(number: int, _frame: object) -> None:
        stopped.append(number)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)

    for number in signals:
        signal.signal(number, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
    code = process.wait()
    wait_for_group(process.pid)
    return 128 + stopped[0] if stopped else code


def wait_for_group(group: int) -> None:
    """Wait for the tap and the loader, which may go on after Meltano, and end with a container."""
    while True:
        # The first process of a container inherits the orphans.
        with suppress(ChildProcessError):
            while os.waitpid(-group, os.WNOHANG) != (0, 0):
                pass
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)


def exit_code(code: int, report: Path) -> int:
    """Return the exit code of the tap.

    Args:
        code: The exit code of the run: 1 whatever failed, or that of a signal.
        report: The file of the tap's run report.
    """
    if code != 1:
        return code
    try:
        # Of a tap that read everything, it was the loader that failed.
        return json.loads(report.read_text("utf-8"))["exit_code"] or FAULT
    except FileNotFoundError:
        return FAULT


def main(*names: str) -> int:
    """Run a shard, and return its exit code."""
    if len(names) != 3:  # noqa: PLR2004 - instance, tenant, group
        sys.stderr.write(f"{__doc__}")
        return USAGE
    shard = Shard(*names)
    with tempfile.TemporaryDirectory(prefix="shard-") as folder:
        report = Path(folder, "report.json")
        try:
            link_plugins(Path(folder))
            if not os.environ["MELTANO_STATE_BACKEND_URI"]:  # the default lies in the folder
                raise KeyError("MELTANO_STATE_BACKEND_URI")  # noqa: EM101, TRY301 - as if not set
            command = shard.command()
            variables = shard.variables()
        except (OSError, SettingsError, ValueError) as error:
            sys.stderr.write(f"{error}\n")
            return WRONG_SETTINGS
        except KeyError as error:
            sys.stderr.write(f"{error} is missing, in the file of tenants or the environment.\n")
            return WRONG_SETTINGS
        variables["MELTANO_SYS_DIR_ROOT"] = folder
        variables["TAP_ACUMATICA_RUN_REPORT"] = str(report)
        return exit_code(run(command, variables), report)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
