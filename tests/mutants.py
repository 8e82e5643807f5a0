"""Breaks each rule of docs/reliability.md in a copy of the code, and has the oracle find it.

Run by `make mutants`; exits with 1 where a broken rule goes unseen.
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

ROOT = Path(__file__).parent.parent
SEARCH = {"ORACLE_EXAMPLES": "500", "ORACLE_QUICK": "1"}


class Mutant:
    """One rule, and the code without it: pairs of what is there and what is put in its place."""

    def __init__(
        self, rule: str, module: str, *edits: str, tests: str = "tests/test_oracle.py"
    ) -> None:
        self.rule = rule
        self.tests = tests
        self.module = module
        self.edits = tuple(zip(edits[::2], edits[1::2], strict=True))

    def broken(self, code: str) -> str:
        """The module's code without the rule."""
        for there, instead in self.edits:
            if code.count(there) != 1:
                sys.exit(f"{self.module} does not hold what breaks {self.rule!r}: mend mutants.py")
            code = code.replace(there, instead)
        return code


MUTANTS = (
    Mutant(
        "the lower bound is inclusive",
        "odata/paging/cursor.py",
        'f"{self._replication_key} ge {self.table.instant(self._base)}"',
        'f"{self._replication_key} gt {self.table.instant(self._base)}"',
    ),
    Mutant(
        "the base stays a second below the last row",
        "odata/paging/cursor.py",
        "base = minus(self._instant(rows[-1]))",
        "base = self._instant(rows[-1])",
    ),
    Mutant(
        "the window has an upper bound",
        "odata/paging/cursor.py",
        'yield f"{self._replication_key} lt {self.table.instant(self._window.high)}"',
        'yield ""',
    ),
    Mutant(
        "skipping overlaps the last page",
        "odata/paging/by_offset.py",
        "self._skip = max(read - 1, 0)\n        self._overlap = min(read, 1)",
        "self._skip = read\n        self._overlap = 0",
        "skipped = self._skip > 0 and self._link is None",
        "skipped = False",
    ),
    Mutant(
        "a table that has shifted is stepped back in",
        "odata/paging/by_offset.py",
        "if skipped and len(fresh) == len(page.rows):",
        "if skipped and len(fresh) == len(page.rows) and not fresh:",
    ),
    Mutant(
        "a pager's own request comes before a link",
        "odata/paging/by_offset.py",
        "return self._counting.size is None or not fresh",
        "return True",
    ),
    Mutant(
        "rows are known by key and replication key",
        "odata/paging/known_rows.py",
        "(*key, replication_key) if replication_key else key",
        "key",
        # The next run's look-back would bring what is dropped; it is to come in the same one.
        tests="tests/test_reading.py",
    ),
    Mutant(
        "known rows are dropped",
        "odata/paging/known_rows.py",
        "elif not self.overlaps(rows):",
        "else:",
    ),
    Mutant(
        "the clock counts only where it is proved",
        "odata/clock.py",
        "or datetime.now(UTC), self.proved)",
        "or datetime.now(UTC), proved=True)",
    ),
    Mutant(
        "an interrupted run resumes a second below its last row",
        "run/partition.py",
        "minus(datetime.fromisoformat(self._newest))",
        "datetime.fromisoformat(self._newest)",
    ),
    Mutant(
        "rows without a date are read",
        "reading/incremental.py",
        "if bookmark.undated_read_on != today:",
        "if bookmark is None:",
    ),
    Mutant(
        "the bookmark moves at the end of the window",
        "reading/incremental.py",
        "if bookmark != self._start.bookmark:\n            yield Checkpoint(bookmark)",
        "yield Checkpoint(replace(bookmark, instant=latest(bookmark.instant, clock.now)))",
    ),
)


def seen(mutant: Mutant, folder: Path) -> str | None:
    """What the oracle found, or None."""
    for part in ("tap_acumatica", "tests", "sandbox"):
        shutil.copytree(ROOT / part, folder / part)
    shutil.copy(ROOT / "pyproject.toml", folder)
    module = folder / "tap_acumatica" / mutant.module
    module.write_text(mutant.broken(module.read_text("utf-8")), "utf-8")
    command = [sys.executable, "-m", "pytest", "-qx", "-p", "no:cacheprovider"]
    finished = subprocess.run(  # noqa: S603 - our own command
        [*command, mutant.tests],
        cwd=folder,
        env={**os.environ, **SEARCH, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    failed = re.search(r"^FAILED \S+::(\w+)", finished.stdout, re.MULTILINE)
    seed = re.search(r"seed=(\d+)", finished.stdout)
    return f"{failed[1]}, seed {seed[1] if seed else '?'}" if failed else None


def tried(mutant: Mutant) -> bool:
    """Say what the oracle found; whether it found anything."""
    with tempfile.TemporaryDirectory() as folder:
        found = seen(mutant, Path(folder))
    print(f"{'seen  ' if found else 'UNSEEN'} without {mutant.rule!r}: {found or 'no failure'}")  # noqa: T201 - its output
    return found is not None


def main() -> int:
    """Try each mutant, as many at once as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return 0 if all(list(threads.map(tried, MUTANTS))) else 1


if __name__ == "__main__":
    sys.exit(main())
