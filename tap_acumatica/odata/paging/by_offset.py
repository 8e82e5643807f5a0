"""The pager that uses `$skip`, for reads that have no reliable order by key."""

from __future__ import annotations

from dataclasses import replace
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.paging.end_of_read import EndOfRead, Step
from tap_acumatica.odata.paging.known_rows import KnownRows
from tap_acumatica.odata.paging.next_links import NextLinks
from tap_acumatica.odata.paging.pager import ProvedBy
from tap_acumatica.odata.paging.sort_order import may_tie
from tap_acumatica.odata.query import all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tap_acumatica.odata.errors import RequestFailed
    from tap_acumatica.odata.paging.pager import Pager, Paging, Proof
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Link, Query
    from tap_acumatica.odata.table import Table

COUNTED_MORE: Final = "is read again, with its keys: Acumatica counted more rows than it sent."

LOOK_SIZE: Final = 5
"""Number of keys that a look behind the last row asks for, should the table grow in front of it."""

STEPS_BACK: Final = 8
"""Number of steps back in search of a known row before a read starts over."""

KNOWN_ROWS: Final = 100
"""Least number of rows by which the place of a read is found again in a table that has shifted."""

STARTS: Final = 100
"""How often a read starts over before it gives up."""


class OffsetPager:
    """Pages by `$skip`; each page overlaps the one before by a row, so that a shift is noticed.

    The row of the overlap is the position to continue from. If it is not in the page, rows before
    it were inserted or deleted: the pager steps back until it finds a known row, or starts over.
    Rows that arrive twice in this way may be delivered twice.

    Rows whose keys differ, but tie in some collation, may change places between two answers. So if
    the key holds a text, the overlap begins with a row that cannot tie with the last one, unless
    answers are too small for that.

    A row that does not come along with the overlap is fetched alone, if one answer has shown its
    key right behind a known one. Where no answer holds two keys, it is delivered once an answer
    with the overlap has shown that it stands behind the same row as before.
    """

    resizable = True
    announcement = ""
    place: tuple[str, ...] | None = ()

    def __init__(self, table: Table, paging: Paging, condition: str = "") -> None:
        self.table = table
        self.done = False
        self.delivered = 0
        self.in_doubt = False
        self.by_key = False
        self._paging = paging
        self._condition = condition
        self._known = KnownRows(table)
        self._end = EndOfRead(paging, table.entity_set)
        self._skip = 0
        self._overlap = 0
        self._found: Row | None = None
        """The columns that identify the row that the last look has found."""
        self._fetched: Row | None = None
        """The row behind the last known one, which was fetched alone."""
        self._tied: set[Any] = set()
        """The identities of the last rows in the last answer which may tie with the next ones."""
        self._overlaps_ties = table.keys_may_tie
        """Whether rows may tie, and answers have room for an overlap that shows it."""
        self._in_front: list[Any] = []
        """The identity of the last row of the last answer, if it had one."""
        self._follows_known = False
        """Whether one answer showed the row that was found right behind a known one."""
        self._looks_apart = False
        """Whether the next look leaves out the overlap: one with it held nothing else."""
        self._steps = 0
        self._starts = 0
        self._delivered_below = 0
        """Number of delivered rows that do not come again if the read starts over."""
        self._link: Link | None = None
        self._links = NextLinks(table)

    @staticmethod
    def suits(table: Table) -> bool:
        """Whether the order by key leaves no ties, so that positions mean the same each time."""
        return bool(table.key)

    def request(self) -> Query | Link:
        """Return the next request."""
        if self._link:
            return self._link
        step, size = self._end.step, self._end.size
        if step is Step.FETCH and self.table.key:
            # Several keys may be equal in the server's eyes.
            key = self._key_conditions(self._found)
            return replace(self.table.query(*self._conditions(), *key), top=size or 1)
        table = self.table.narrow() if step is Step.LOOK else self.table
        query = replace(
            table.query(*self._conditions(), orderby=self._order()),
            count=self._end.is_count_due(self.delivered),
        )
        if step is Step.READ:
            top = None if size is None else max(size + self._overlap, 1)
            return replace(query, top=top, skip=self._skip)
        return replace(query, top=None if size is None else LOOK_SIZE, skip=self._look_from)

    def accept(self, page: Page) -> list[Row]:
        """Accept the requested page; return those of its rows that were not delivered before."""
        self._check(page.rows)
        if self._end.step is not Step.READ and not self._link:
            return self._accept_row_behind(page)
        skipped = self._skip > 0 and self._link is None
        if self.table.key or self._overlap:
            fresh = self._known.new_rows(page.rows, in_sequence=skipped)
        else:
            fresh = page.rows
        distinct = len(page.rows) - self._known.repeats(page.rows)
        position = self._skip + len(page.rows)
        self._end.learn(page, self._skip, distinct)
        if page.next_link is None and self._end.withholds(page, self._skip):
            if not self._skip:
                # If the rows of the overlap were not withheld, they are gone.
                self._skip_to(0)
            self._end.stall(self._known.reach, withheld=True)
            return []
        if skipped and (len(fresh) == distinct or not self._begins_in_front(page.rows)):
            self._step_back(page.rows)
            return []
        if self._steps and len(fresh) == distinct:
            # It reads all from the base on again, and no longer knows what it delivered of that.
            self.delivered = self._delivered_below
        self._steps = 0
        self._looks_apart = False
        fetched, self._fetched = self._fetched, None
        in_front, self._in_front = self._in_front, [*map(self._known.identity, page.rows[-1:])]
        stands = position == self._position and in_front == self._in_front
        if fetched and not fresh and stands:
            return self._deliver_fetched(fetched)
        self.delivered += len(fresh)
        self._advance(page, fresh)
        return fresh

    def resize(self, size: int) -> None:
        """Request this number of new rows from now on."""
        grows = self._end.size is not None and size > self._end.size
        if self.table.key and not grows:
            # Known rows are skipped, so that the response is as small as possible.
            self._skip_to(self._skip + self._overlap)
        self._end.resize(size)

    @property
    def proof(self) -> Proof:
        """What has proved the end."""
        return self._end.proof(self.delivered)

    def then(self) -> Pager | None:
        """Return a look for rows that are counted, but were not delivered, or None."""
        if not self.table.key or not self._end.fell_short(self.delivered):
            return None
        return shortfall_check(self, self._end, self._paging, self._condition)

    def instead(self, failed: RequestFailed) -> Pager | None:  # noqa: ARG002 - of the protocol
        """Return None: there is no plainer request."""
        return None

    def _conditions(self) -> Iterable[str]:
        return (self._condition,)

    def _order(self) -> tuple[str, ...]:
        return self.table.key or self.table.order

    def _check(self, rows: list[Row]) -> None:
        """Refuse rows that the query excludes, or that are out of order."""

    def _begins_in_front(self, rows: list[Row]) -> bool:
        """Whether a known row shows that no row that may tie with the last one stands in front."""
        return not self._tied or any(
            self._known.knows(row) and self._known.identity(row) not in self._tied for row in rows
        )

    def _note_ties(self, rows: list[Row]) -> None:
        """Take note of the rows that may tie with those behind these."""
        tied = takewhile(lambda row: may_tie(row, rows[-1], self._order()), reversed(rows))
        self._tied = set(map(self._known.identity, tied))
        size = self._end.size
        if size is not None and len(self._tied) >= size:
            # An overlap is at most as long as the new rows.
            self._tied = set()

    @property
    def _position(self) -> int:
        """Number of rows before the first unknown one, if the table has not shifted."""
        return self._skip + self._overlap

    def _accept_row_behind(self, page: Page) -> list[Row]:
        """Accept the row behind the last known one, or its key alone."""
        row = page.rows[0] if page.rows else None
        has_come = row is not None
        if self._end.step is Step.FETCH and self.table.key:
            has_come = any(map(self._has_key_of_found, page.rows))
            # In another version it may stand elsewhere by now.
            row = next((row for row in page.rows if self._is_found(row)), None)
        if self._end.step is Step.LOOK:
            self._accept_look(page)
            return []
        self._end.after_fetch(fetched=has_come)
        self._fetched = row
        is_next = self._follows_known or not self._position
        return self._deliver_fetched(row) if row and is_next else []

    @property
    def _look_from(self) -> int:
        """Number of rows before those that a look asks for.

        Where the next row does not come along with the overlap, its key may: then nothing stands
        between the two.
        """
        overlaps = self.table.key and self._end.stalled and not self._looks_apart
        return max(self._position - 1, 0) if overlaps else self._position

    def _accept_look(self, page: Page) -> None:
        # Without a key the few columns of a look do not tell which row it has found.
        is_known = self._known.overlaps if self.table.key else lambda _: False
        known = list(takewhile(lambda row: is_known([row]), page.rows))
        self._found = next((row for row in page.rows if not is_known([row])), None)
        found = all_of(*self._key_conditions(self._found))
        look_from, overlaps = self._look_from, self._look_from < self._position
        self._follows_known = overlaps and bool(known and self._found)
        if overlaps and page.rows:
            self._looks_apart = len(known) == len(page.rows) == 1
            if known and not self._looks_apart:
                self._skip_to(look_from + len(known))
            step = Step.FETCH if self._follows_known else Step.READ
            self._end.take(Step.LOOK if self._looks_apart else step, found)
            return
        self._end.after_look(page, self._position, found, shifted=bool(known))
        if known and self._end.stalled:
            self._skip_to(self._position + len(known))
        self.done = self._end.done

    def _key_conditions(self, row: Row | None) -> tuple[str, ...]:
        if row is None:
            return ()
        names = self.table.key or row
        return tuple([f"{name} eq {self.table.literal(name, row.get(name))}" for name in names])

    def _is_found(self, row: Row) -> bool:
        return self._found is not None and (
            self._known.identity(row) == self._known.identity(self._found)
        )

    def _has_key_of_found(self, row: Row) -> bool:
        """Whether a row is the one that was found, in this version or in another one."""
        return self._key_conditions(row) == self._key_conditions(self._found)

    def _deliver_fetched(self, row: Row) -> list[Row]:
        """Continue behind a row that was fetched alone; the table has not shifted meanwhile."""
        self._end.read_on()
        self._fetched = None
        self._known.remember([row], KNOWN_ROWS)
        self._skip_to(self._position + 1)
        self.delivered += 1
        return [row]

    def _step_back(self, rows: list[Row]) -> None:
        self._end.shifted()
        self._fetched = None
        half_a_page = max((len(rows) or self._known.size) // 2, 1)
        further = half_a_page * 2**self._steps
        self._skip = max(self._skip - min(further, max(self._known.reach // 2, half_a_page)), 0)
        self._steps += 1
        if self._steps > STEPS_BACK:
            self._restart()

    def _restart(self) -> None:
        self._starts += 1
        if self._starts > STARTS:
            message = (
                f"{self.table.entity_set} shifts faster than it can be read, or the server ignores "
                "$orderby or $skip for it: read it at a quieter time, or with a larger page_size."
            )
            raise InconsistentAnswer(message)
        self.delivered = self._delivered_below
        self._known.clear()
        self._tied = set()
        self._skip = self._overlap = self._steps = 0

    def _advance(self, page: Page, fresh: list[Row]) -> None:
        read = self._skip + len(page.rows)
        distinct = read - self._known.repeats(page.rows)
        links = page.next_link is not None
        if fresh:
            self._end.after_new_rows(page, distinct, self._overlap)
            self._known.remember(page.rows, KNOWN_ROWS)
        elif page.rows or not links:
            last = all_of(*self._key_conditions(page.rows[-1] if page.rows else None))
            self._end.after_known_rows(page, distinct, self._known.reach, last)
        if not fresh and self._end.stalled and len(page.rows) <= len(self._tied) + 1:
            self._overlaps_ties, self._tied = False, set()
        if self._overlaps_ties and page.rows:
            self._note_ties(page.rows)
        self.done = self._end.done and not links
        leads_nowhere = not page.rows or (self._end.done and not fresh)
        if self._end.done and links:
            self._end.step = Step.READ
        self._link = None
        if page.next_link is not None and (self._end.size is None or leads_nowhere):
            # The server's link is often a `$skip` without an overlap that would reveal a shift.
            self._link = self._links.follow(page.next_link, page.rows)
            self._skip, self._overlap = read, 0
        elif not self.done:
            self._move(page.rows, read)

    def _move(self, rows: list[Row], read: int) -> None:  # noqa: ARG002 - for subclasses
        """Continue behind the first `read` rows; `rows` are the last of them."""
        self._skip_to(read)

    def _skip_to(self, read: int) -> None:
        overlap = len(self._tied) + 1
        self._skip = max(read - overlap, 0)
        self._overlap = min(read, overlap)


class ShortfallCheck:
    """Looks by key alone whether more rows are there than were delivered, as they were counted.

    Rows that were deleted or left a window meanwhile are fewer now, not missing.
    """

    resizable = False
    place = ()
    announcement = ""
    in_doubt = True

    def __init__(
        self, origin: Pager, end: EndOfRead, whole: Query, again: Callable[[str], Pager]
    ) -> None:
        """Prepare the look.

        Args:
            origin: The pager that delivered fewer rows than were counted.
            end: What it knows of counts.
            whole: The query for the keys of all rows.
            again: Makes the pager that reads all rows again, with an announcement.
        """
        self.table = origin.table
        self.done = False
        self.delivered = origin.delivered
        self.by_key = origin.by_key
        self._origin = origin
        self._end = end
        self._whole = whole
        self._again = again
        self._has_more = False

    def request(self) -> Query:
        """Return the query for the first row behind as many as were delivered."""
        return replace(self._whole, top=1, skip=self.delivered, count=True)

    def accept(self, page: Page) -> list[Row]:
        """Take note of whether there is such a row; deliver none."""
        self._has_more = bool(page.rows)
        if not page.rows:
            self._end.compare_count(page, self.delivered)
        self.done = True
        return []

    @property
    def proof(self) -> Proof:
        """An answer behind the end: there are no more rows than were delivered."""
        return replace(self._origin.proof, by=ProvedBy.ANSWER_BEHIND)

    def resize(self, size: int) -> None:
        """Do nothing: one row is the minimum."""

    def then(self) -> Pager | None:
        """Return a pager for all rows, with their keys, if there are more than were delivered."""
        return self._again(COUNTED_MORE) if self._has_more else None

    def instead(self, failed: RequestFailed) -> Pager | None:  # noqa: ARG002 - of the protocol
        """Return None: there is no other way to look."""
        return None


def shortfall_check(
    origin: Pager, end: EndOfRead, paging: Paging, condition: str
) -> ShortfallCheck:
    """Return a look for rows that a read of a full table may have passed over."""
    table = origin.table

    def again(announcement: str) -> Pager:
        pager = ComparedOffsetPager(table, paging, condition)
        pager.by_key = origin.by_key
        pager.announcement = announcement
        return pager

    return ShortfallCheck(origin, end, table.narrow().query(condition, orderby=table.key), again)


class ComparedOffsetPager(OffsetPager):
    """Reads all rows by `$skip`, and compares each answer with the keys in its place.

    An answer may lack rows in between, so that what follows looks as if the table had shifted. A
    row that it lacks is requested alone: if it comes, it has come meanwhile.
    """

    def __init__(self, table: Table, paging: Paging, condition: str = "") -> None:
        super().__init__(table, paging, condition)
        self._compared = 0
        """Number of rows in the last answer while it is compared."""
        self._compared_from = 0
        """Number of rows before the keys that it is compared with next."""
        self._lacking: Row | None = None
        """The key of a row that it lacks."""
        self._was_last = False

    @override
    def request(self) -> Query | Link:
        if self._lacking:
            return self.table.query(*self._conditions(), *self._key_conditions(self._lacking))
        if self._compared:
            query = self.table.narrow().query(*self._conditions(), orderby=self._order())
            top = None if self._end.size is None else self._compared + LOOK_SIZE
            return replace(query, skip=self._compared_from, top=top)
        return super().request()

    @override
    def accept(self, page: Page) -> list[Row]:
        if self._lacking:
            return self._accept_lacking(page, self._lacking)
        if self._compared:
            self._compare(page)
            return []
        is_read = self._end.step is Step.READ and not self._link
        skipped = self._skip
        rows = super().accept(page)
        if is_read and self._known.overlaps(page.rows):
            self._compared, self._compared_from = len(page.rows), skipped
            self._was_last, self.done = self.done, False
        return rows

    def _compare(self, page: Page) -> None:
        """Find a row that the answer lacks in front of one that it has, or go on behind these."""
        known = [self._known.knows(row) for row in page.rows]
        end = len(known) - known[::-1].index(True) if any(known) else 0
        self._lacking = next((row for row in page.rows[:end] if not self._known.knows(row)), None)
        if self._lacking:
            return
        self._compared_from += end
        if not end or any(map(self._known.is_last, page.rows)):
            self._compared = 0
            self.done = self._was_last

    def _accept_lacking(self, page: Page, lacking: Row) -> list[Row]:
        """Deliver the row that the answer lacked, if it comes alone."""
        self._lacking = None
        wanted = self._known.identity(lacking)
        row = next((row for row in page.rows if self._known.identity(row) == wanted), None)
        self._end.take(self._end.step, all_of(*self._key_conditions(lacking)))
        step = self._end.step
        self._end.after_fetch(fetched=row is not None)
        self._end.step = step
        if row is None:
            return []
        self._known.add(row)
        self.delivered += 1
        return [row]

    @override
    def then(self) -> Pager | None:
        return None
