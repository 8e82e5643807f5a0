"""Mutants: the rules of docs/reliability.md, each with an edit of the code that breaks it."""

from __future__ import annotations


class Mutant:
    """One rule, and the edits that break it: pairs of a code fragment and its replacement."""

    def __init__(
        self, rule: str, module: str, *edits: str, tests: str = "tests/oracle/test_oracle.py"
    ) -> None:
        self.rule = rule
        self.tests = tests
        self.module = module
        self.edits = tuple(zip(edits[::2], edits[1::2], strict=True))

    def broken(self, code: str) -> str:
        """Return the module's code with the rule broken.

        Raises:
            ValueError: A fragment is not in the code, or more than once.
        """
        for fragment, replacement in self.edits:
            if code.count(fragment) != 1:
                message = (
                    f"{self.module} does not contain the fragment of {self.rule!r} exactly once: "
                    "correct the mutant."
                )
                raise ValueError(message)
            code = code.replace(fragment, replacement)
        return code


MUTANTS = (
    Mutant(
        "the lower bound is inclusive",
        "odata/paging/cursor.py",
        'f"{self._replication_key} ge {self.table.instant(low)}"',
        'f"{self._replication_key} gt {self.table.instant(low)}"',
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
        "if page.next_link is not None and (self._end.size is None or leads_nowhere):",
        "if page.next_link is not None:",
    ),
    Mutant(
        "rows are known by key and replication key",
        "odata/paging/known_rows.py",
        "(*key, replication_key) if replication_key else key",
        "key",
        # The next run's look-back would deliver a dropped row, but it has to arrive in this run.
        tests="tests/reading/test_reader.py",
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
        "self.keeps_up else minus(self.now, MAX_SHIFT)",
        "self.keeps_up else self.now",
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
