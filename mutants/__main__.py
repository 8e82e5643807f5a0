"""Breaks each rule of docs/reliability.md in a copy of the code, and expects a test to fail.

Run by `make mutants`; exits with 1 if a mutant survives.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from mutants import MUTANTS

if TYPE_CHECKING:
    from mutants import Mutant

ROOT = Path(__file__).parent.parent
SEARCH = {"ORACLE_EXAMPLES": "500", "ORACLE_TRAIT_EXAMPLES": "25", "ORACLE_QUICK": "1"}
SEARCH_WITH_TRAIT = {**SEARCH, "ORACLE_TRAIT_EXAMPLES": "500"}
TRAIT_TEST = "::test_every_run_keeps_its_promises_with_the_trait"


def find_failure(mutant: Mutant, folder: Path) -> str | None:
    """Return which test fails in a copy of the code with the mutant, and with which seed."""
    for part in ("tap_acumatica", "tests", "sandbox", "mutants"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "pyproject.toml", folder)
    module = folder / "tap_acumatica" / mutant.module
    module.write_text(mutant.broken(module.read_text("utf-8")), "utf-8")
    tests, search = mutant.tests, SEARCH
    if mutant.trait:
        tests += f"{TRAIT_TEST}[{mutant.trait.replace(' ', '-')}]"
        search = SEARCH_WITH_TRAIT
    command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider"]
    finished = subprocess.run(  # noqa: S603 - our own command
        [*command, tests],
        cwd=folder,
        env={**os.environ, **search, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = re.search(r"^FAILED \S+::(\w+)", finished.stdout, re.MULTILINE)
    seed = re.search(r"seed=(\d+)", finished.stdout)
    return f"{failed[1]}, seed {seed[1] if seed else '?'}" if failed else None


def is_killed(mutant: Mutant) -> bool:
    """Print which test fails, and return whether any does."""
    with tempfile.TemporaryDirectory() as folder:
        failure = find_failure(mutant, Path(folder))
    print(f"{'killed  ' if failure else 'SURVIVED'} {mutant.rule!r}: {failure or 'no failure'}")  # noqa: T201 - its output
    return failure is not None


def main() -> int:
    """Try the mutants whose rule contains the arguments, one for each processor at a time."""
    words = " ".join(sys.argv[1:])
    chosen = [mutant for mutant in MUTANTS if words in mutant.rule]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return 0 if chosen and all(list(threads.map(is_killed, chosen))) else 1


if __name__ == "__main__":
    sys.exit(main())
