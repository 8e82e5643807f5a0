"""Mutants: the rules of docs/reliability.md, each with an edit of the code that breaks it."""

from __future__ import annotations


class Mutant:
    """One rule, and the edits that break it: pairs of a code fragment and its replacement.

    Attributes:
        tests: The tests that are to find it.
        trait: The trait of the oracle under which it is looked for; None for any.
    """

    def __init__(
        self,
        rule: str,
        module: str,
        *edits: str,
        tests: str = "tests/oracle/test_oracle.py",
        trait: str | None = None,
    ) -> None:
        self.rule = rule
        self.tests = tests
        self.trait = trait
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
        # Chance dates no row exactly at a bound.
        tests="tests/reading/test_incremental.py",
    ),
    Mutant(
        "the base stays a second below the last row",
        "odata/paging/cursor.py",
        "base = minus(self._instants.read(values[-1]))",
        "base = self._instants.read(values[-1])",
    ),
    Mutant(
        "the window has an upper bound",
        "odata/paging/cursor.py",
        'yield f"{self._replication_key} lt {self.table.instant(self.window.high)}"',
        'yield ""',
    ),
    Mutant(
        "skipping overlaps the last page",
        "odata/paging/by_offset.py",
        "self._skip = max(read - overlap, 0)\n        self._overlap = min(read, overlap)",
        "self._skip = read\n        self._overlap = 0",
        "skipped = self._skip > 0 and self._link is None",
        "skipped = False",
    ),
    Mutant(
        "a table that has shifted is stepped back in",
        "odata/paging/by_offset.py",
        "if skipped and (len(fresh) == distinct or",
        "if skipped and (len(fresh) == distinct and not fresh or",
    ),
    Mutant(
        "a row that comes twice hides no shift",
        "odata/paging/by_offset.py",
        "if skipped and (len(fresh) == distinct or",
        "if skipped and (len(fresh) == len(page.rows) or",
        # It takes two rare faults at once.
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "a row that was fetched stands behind the row that stood in front of it",
        "odata/paging/by_offset.py",
        "position == self._position and in_front == self._in_front",
        "position == self._position",
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "a place is found again by rows of earlier answers",
        "odata/paging/known_rows.py",
        "(self._sequence[max(earlier, 0) :] if self._key else [])",
        "[]",
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "one answer shows which row stands behind a known one",
        "odata/paging/by_offset.py",
        "self._follows_known = overlaps and bool(known and self._found)",
        "self._follows_known = overlaps and bool(self._found)",
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "no read ends below a count because nothing new comes",
        "odata/paging/end_of_read.py",
        "if self._next_row or withheld or behind:",
        "if self._next_row or withheld:",
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "an overlap begins with a row that cannot tie with the last one",
        "odata/paging/by_offset.py",
        "overlap = len(self._tied) + 1",
        "overlap = 1",
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "a known row that may tie with the next one hides no shift",
        "odata/paging/by_offset.py",
        "return not self._tied or any(",
        "return True or any(",
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "a look that finds no row at all shows that the table has shifted",
        "odata/paging/by_offset.py",
        "if overlaps and page.rows:",
        "if overlaps:",
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "a look behind the last row asks for few columns",
        "odata/table.py",
        "names = self.key or tuple(islice(sorts, 1))",
        "names = self.key or tuple(self.columns)",
        trait="row above the size",
    ),
    Mutant(
        "a row that changes before it is fetched is not the one that was found",
        "odata/paging/by_offset.py",
        "if self._is_found(row)), None)",
        "if self._found), None)",
        # It takes two rare changes in a row.
        tests="tests/reading/test_ends.py",
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
        "if not self.overlaps(rows):",
        "if rows:",
    ),
    Mutant(
        "the clock counts only where it is proved",
        "odata/clock.py",
        "self.keeps_up else minus(self.now, MAX_SHIFT)",
        "self.keeps_up else self.now",
    ),
    Mutant(
        "an interrupted run resumes where the rows before its last page have reached",
        "reading/incremental.py",
        "reached = max(pager.reached or unshifted, unshifted)",
        "reached = last",
        trait="killed runs",
    ),
    Mutant(
        "a bookmark waits for a row from the base that was moved",
        "odata/paging/cursor.py",
        "return self._origin.base if self._origin else self._base",
        "return self._base",
        trait="misread zone",
    ),
    Mutant(
        "a base counts once a known row has come from it",
        "odata/paging/cursor.py",
        "elif not self._skip and not self._is_proved(self._base):",
        "elif False:",
        trait="misread zone",
    ),
    Mutant(
        "rows that are not stored where they show are an error",
        "odata/clock.py",
        "if found is False:",
        "if False:",
        tests="tests/odata/test_clock.py",
    ),
    Mutant(
        "rows near the clock are no proof against the cookie",
        "odata/clock.py",
        "self.has_near_rows and self.cookie_agrees is not False",
        "self.has_near_rows",
        # The oracle seldom draws rows near the clock that are in a wrong zone.
        tests="tests/odata/test_clock.py",
    ),
    Mutant(
        "one row near the clock is no proof",
        "odata/clock.py",
        "len(set(values)) < NEAR_ROWS:",
        "not values:",
        tests="tests/odata/test_clock.py",
    ),
    Mutant(
        "rows of two streams ahead of the clock are an error",
        "odata/clock.py",
        "if len(frame.ahead) > 1:",
        "if False:",
        tests="tests/odata/test_clock.py",
    ),
    Mutant(
        "values that look different have a round trip of their own",
        "odata/clock.py",
        "self._frames.setdefault((name, self._instants.label(row[name])), _Frame())",
        'self._frames.setdefault((name, ""), _Frame())',
        # Rows are safe without it, by each page border; values are not.
        tests="tests/odata/test_clock.py",
    ),
    Mutant(
        "the part behind the clock ends behind what was there when it was begun",
        "reading/incremental.py",
        "is_newer = begun is not None and first > begun + DISPLAY_MARGIN",
        "is_newer = begun is not None",
        trait="changing rows",
    ),
    Mutant(
        "the part behind the clock ends although its answers may lack rows",
        "reading/incremental.py",
        "                pager.stop()\n",
        "",
        tests="tests/reading/test_incremental.py",
    ),
    Mutant(
        "no part ends at an answer in front of which rows may not have come",
        "odata/paging/cursor.py",
        "self.done = self._is_base_proved",
        "self.done = True",
        tests="tests/odata/paging/test_cursor.py",
    ),
    Mutant(
        "behind a proved clock a base needs no known row",
        "odata/paging/cursor.py",
        "return bool(base and self.proved_from and base >= self.proved_from)",
        "return False",
        tests="tests/odata/paging/test_cursor.py",
    ),
    Mutant(
        "the newest row may be as late as its wall-clock time can mean",
        "odata/clock.py",
        "later=True",
        "later=False",
        tests="tests/odata/test_clock.py",
    ),
    Mutant(
        "the part behind the clock is read behind all slices",
        "reading/incremental.py",
        "whole = replace(window, high=read.clock.horizon)",
        "whole = window",
        trait="changing rows",
    ),
    Mutant(
        "slices meet at one instant",
        "reading/slices.py",
        "Window(None if high == self._window.high else high, self._window.high)",
        "Window(None if high == self._window.high else plus(high, DISPLAY_MARGIN),"
        " self._window.high)",
    ),
    Mutant(
        "a look back finds what was committed late",
        "reading/incremental.py",
        "minus(bookmark.instant, self._settings.time_offset)",
        "minus(bookmark.instant, DISPLAY_MARGIN)",
    ),
    Mutant(
        "a wider scope has everything read again",
        "reading/bookmarks.py",
        "if old_start and (not new_start or new_start < old_start):",
        "if False:",
        trait="settings change",
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
    Mutant(
        "a key that the metadata declare is none of the catalog's",
        "catalog/given.py",
        "root.table_key_properties if entry.key_properties is None else entry.key_properties",
        "entry.key_properties or root.table_key_properties",
        trait="declared key",
    ),
    Mutant(
        "a row is looked for behind the last one",
        "odata/paging/end_of_read.py",
        "Step.DONE if self.counts_no_more(page, position) else Step.LOOK",
        "Step.DONE",
        trait="caps of chance",
    ),
    Mutant(
        "a count is worth nothing until it is proved",
        "odata/paging/end_of_read.py",
        "return self.counts and self._evidence.most_counted > 0",
        "return self.counts",
        trait="count up to the answer",
    ),
    Mutant(
        "a count that is proved leaves rows behind its answer",
        "odata/paging/pager.py",
        "page.count > skipped + len(page.rows)",
        "page.count > len(page.rows)",
        trait="count up to the answer",
    ),
    Mutant(
        "a count that the answer holds may be the server's limit",
        "odata/paging/end_of_read.py",
        "len(page.rows) < page.count or page.count < self._evidence.most_counted",
        "True",
        trait="count up to the limit",
    ),
    Mutant(
        "a full table that brought fewer rows than counted is compared with its keys",
        "odata/paging/by_offset.py",
        "self._has_more = bool(page.rows)",
        "self._has_more = False",
        tests="tests/reading/test_ends.py",
    ),
    Mutant(
        "the count of a page is what the one before leaves",
        "odata/paging/cursor.py",
        "self._counts_differ = page.count != expected",
        "self._counts_differ = False",
        # The oracle does not meet it each time.
        tests="tests/reading/test_ends.py",
    ),
    Mutant(
        "pages that nothing has proved do not move the bookmark",
        "odata/paging/cursor.py",
        "self._may_lack = self._end.size is not None",
        "self._may_lack = False",
        trait="rows missing when wide",
    ),
    Mutant(
        "an answer that is short of its count is compared with its keys",
        "odata/paging/cursor.py",
        "short = self._holds_less and self._end.step is Step.LOOK",
        "short = False",
        trait="rows missing when wide",
    ),
    Mutant(
        "a row that only its key brings is an error",
        "odata/paging/end_of_read.py",
        "if self._failed_fetches[self._next_row] >= MAX_FETCHES:",
        "if False:",
        trait="rows missing when wide",
    ),
    Mutant(
        "keys that the collation holds for equal are read",
        "odata/paging/by_key.py",
        '["ge" if table.keys_may_tie else "gt"]',
        '["gt"]',
        trait="equal keys",
    ),
    Mutant(
        "the last row of a read by key stands where the rows before it end",
        "odata/paging/by_key.py",
        "self._origin.passed_over = self.done = True",
        "pass",
        trait="filters apart",
    ),
    Mutant(
        "keys that are cut are asked for to the end of the answer",
        "odata/paging/cursor.py",
        "self._keys_compared += len(page.rows)",
        "self._keys_compared = len(self._compared)",
        tests="tests/odata/paging/test_cursor.py",
    ),
    Mutant(
        "a row that comes alone in another version is not stuck",
        "odata/paging/by_offset.py",
        "self._end.after_fetch(fetched=has_come)",
        "self._end.after_fetch(fetched=row is not None)",
        tests="tests/odata/paging/test_cursor.py",
    ),
    Mutant(
        "a row that changes all the time is not lacking each time",
        "odata/paging/cursor.py",
        "self._came_alone.add(self._key_conditions(row))",
        "pass",
        tests="tests/odata/paging/test_cursor.py",
    ),
    Mutant(
        "a round trip without a key asks for no more than a column and the date",
        "odata/clock.py",
        "fetch(replace(table.narrow().query(condition), top=1))",
        "fetch(replace(_narrow(table).query(condition), top=1))",
        tests="tests/odata/test_clock.py",
    ),
    Mutant(
        "what stands where the rows in front of a null end is not taken for a shift",
        "odata/paging/by_key.py",
        "self._end.read_on()",
        "pass",
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "rows that arrive again show that filters compare in another way than the order",
        "odata/paging/by_key.py",
        "self.passed_over = not all(map(self._ties_with_last, again))",
        "self.passed_over = False",
        tests="tests/odata/paging/test_pager.py",
    ),
    Mutant(
        "the settings that decide which rows exist are remembered from the start",
        "reading/bookmarks.py",
        "if value and state.get(",
        "if not value or state.get(",
        trait="settings change",
    ),
    Mutant(
        "rows without a key that are read in pages have to come alike twice",
        "odata/paging/keyless.py",
        "self.reached = content == self._last",
        "self.reached = True",
        # One read is right unless rows move back in the order while it goes on, which is rare.
        tests="tests/odata/paging/test_keyless.py",
    ),
    Mutant(
        "a page ends in front of the rows that may tie",
        "odata/paging/keyless.py",
        "while border and self._rank(",
        "while False and self._rank(",
        trait="ties",
    ),
    Mutant(
        "a cookie stands for a zone, which keeps summer time",
        "odata/clock.py",
        "account, offset = account_zone(self._cookie),",
        'account, offset = account_zone((self._cookie or "").replace("0000K", "0000U")),',
        trait="London",
    ),
    Mutant(
        "a web page is no refusal of Acumatica's",
        "odata/http/answer.py",
        "if self.is_page:\n            return False\n        if any(name",
        "if self.is_page:\n            return True\n        if any(name",
        trait="web page",
    ),
    Mutant(
        "a column that comes later is named",
        "run/drift.py",
        "            if columns:",
        "            if False:",
        trait="column later",
    ),
    Mutant(
        "a state is of one site",
        "reading/bookmarks.py",
        "if state_site and state_site != site:",
        "if False:",
        trait="another site",
    ),
    Mutant(
        "what changes during a read is read behind the clock",
        "reading/incremental.py",
        "window = replace(window_slice.window, high=horizon or window_slice.window.high)",
        "window = window_slice.window",
        trait="changing rows",
    ),
    Mutant(
        "rows are judged before they are handed on",
        "reading/incremental.py",
        "yield replace(page, reached=reached if is_settled else None)",
        "yield replace(page, reached=reached if is_settled else None)\n"
        "            first = last = instants.read(page.rows[-1][self._replication_key])",
        tests="tests/reading/test_ends.py",
    ),
    Mutant(
        "a column that is gone is not null",
        "reading/unsent.py",
        "if path not in self._declared:",
        "if False:",
        trait="column gone",
    ),
    Mutant(
        "tenants that are not read are not retired",
        # Full tables are refused besides.
        "run/generations.py",
        "for tenant in self._tenants_elsewhere():",
        "for tenant in ():",
        trait="tenants in turn",
    ),
    Mutant(
        "rows are retired behind the last record",
        "stream.py",
        "        self._stream_version = self.generation.record_version\n",
        "        self._stream_version = self.generation.record_version\n"
        "        if self.generation.full_reads:\n"
        "            super()._write_activate_version_message(self.generation.version)\n",
        trait="generations",
    ),
    Mutant(
        "a generation is read by key, not by a window",
        "reading/reader.py",
        "read_full_table(pages, self._settings, all_of(self._dated(), behind)):",
        "self._pages.read(CursorPager(pages.table, pages.paging, "
        "Window(None, self._start.clock_check.clock(pages.table, pages.look).now), "
        "self._settings.instants)) if self.table.replication_key else "
        "read_full_table(pages, self._settings, behind):",
        "yield FullReadEnd(begun.rows + rows, by_key=pages.by_key)",
        "yield FullReadEnd(begun.rows + rows, by_key=True)",
        "from tap_acumatica.odata.paging.by_key import rows_not_up_to\n",
        "from tap_acumatica.odata.paging.by_key import rows_not_up_to\n"
        "from tap_acumatica.odata.paging.cursor import CursorPager, Window\n",
        trait="generations",
    ),
    Mutant(
        "a loss above the guard is not believed",
        "run/generations.py",
        "before - now > most or (before > now == 0 and percentage < 100)",
        "False",
        trait="generations",
    ),
    Mutant(
        "the records of windows carry the version",
        "stream.py",
        "writer.write_records(stream, records, self._stream_version, utc_now())",
        "is_full = self._progress and self._progress._page.reached\n"
        "        version = self._stream_version if is_full else None\n"
        "        writer.write_records(stream, records, version, utc_now())",
        trait="generations",
    ),
    Mutant(
        "rows are retired when all tenants are complete in the version",
        "run/generations.py",
        "for end in ends.values()) or not all(",
        "for end in ends.values()) or not any(",
        # It takes a tenant that has failed and waits, while the oracle reads all in full each time.
        tests="tests/run/test_generation_plans.py",
    ),
    Mutant(
        "a full read goes on behind its window",
        "reading/reader.py",
        "            after = self._in_full if self._full_read else tuple\n",
        "            after = self._in_full if self._full_read else tuple\n"
        "            if self._full_read and self._full_read.place:\n"
        "                yield from after()\n"
        "                return\n",
        # The oracle seldom stops a full read in its middle, and then owes little.
        tests="tests/reading/test_full_read_places.py",
    ),
    Mutant(
        "a full read goes on with its version",
        "run/generations.py",
        "return self.latest, {tenant: self._rest(state) for tenant, state in states.items()}",
        "return self._next_version, {t: self._rest(state) for t, state in states.items()}",
        trait="generations",
    ),
    Mutant(
        "a full read goes on behind the records that were written",
        "run/partition.py",
        "if not self._unwritten and ",
        "if ",
        trait="generations",
    ),
    Mutant(
        "the bookmark goes back where rows were missing",
        "reading/incremental.py",
        "if page.missed:",
        "if False:",
        # The oracle meets it too seldom.
        tests="tests/reading/test_ends.py",
    ),
    Mutant(
        "a window that was split is compared with its count",
        "odata/paging/cursor.py",
        "if proof.counted is not None:",
        "if False:",
        # The oracle meets it too seldom.
        tests="tests/reading/test_slices.py",
    ),
    Mutant(
        "rows that come again are not counted twice",
        "odata/paging/by_offset.py",
        "            self.delivered = self._delivered_below\n        self._steps = 0\n",
        "            pass\n        self._steps = 0\n",
        # The oracle meets it too seldom.
        tests="tests/reading/test_ends.py",
    ),
    Mutant(
        "an answer is of the table that was asked for",
        "odata/payload/page.py",
        "if _squeezed(name) == _squeezed(expected):",
        "if name:",
        trait="answer of another table",
    ),
)
