"""What proves the end of a read.

A short answer proves nothing: a server may cut answers by rows, by bytes or by time, and say
nothing. A count proves nothing either, until an answer has counted rows behind its last one: it
could be the number of rows in the answer, or of all up to there. And an answer that overlaps the
last one, and holds nothing but the overlap, may have been cut right behind it. So a read ends

- *counted*: at an answer that reaches its own count, if counts are proved. If it is full, or as
  long as one that was cut, a row that was inserted between counting and reading may have pushed
  out the last one; then the next answer must reach the count and bring nothing new.
- *looked behind*: if a request behind the last row brings nothing, and a request that overlaps it
  then finds the last row where it was, and nothing new. The first cannot be cut, but the table may
  have shifted; the second shows that it has not.

The look behind asks for the key alone, which every server can send. If it finds a row that does
not come along with the overlap, its key may, and that row is fetched alone; if it does not come
alone either, the read is stuck there. If it finds none although more are counted, the count is
too high for good.
"""

from __future__ import annotations

from collections import Counter
from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.paging.pager import Proof, ProvedBy

if TYPE_CHECKING:
    from tap_acumatica.odata.paging.pager import Paging
    from tap_acumatica.odata.payload.page import Page

MAX_FETCHES: Final = 10
"""How often a row is asked for alone before the read is stuck at it."""

MAX_STALLS: Final = 30
"""Answers in a row that may bring nothing new; to halve the page to one row takes about 15."""


class Step(Enum):
    """The next request of a read."""

    READ = auto()
    """For the rows from the last known one on."""

    LOOK = auto()
    """For the key of the row behind the last known one."""

    FETCH = auto()
    """For the row behind the last known one, alone."""

    DONE = auto()
    """None: the end is proved."""


class EndOfRead:
    """Decides what to request next, and when the end is proved.

    Positions are numbers of rows: those before a row in the order of the read.

    Attributes:
        size: Number of new rows in one request; None leaves it to the server.
        counts: Whether to request counts.
        step: The next request.
    """

    def __init__(self, paging: Paging, entity_set: str) -> None:
        self.size = paging.size
        self.counts = paging.count and not paging.evidence.counts_too_high
        self.step = Step.READ
        self._entity_set = entity_set
        self._full_size = paging.size
        self._expected: int | None = None
        self._first_count: int | None = None
        self._evidence = paging.evidence
        self._rows = 0
        """Number of rows in the last answer that brought new ones."""
        self._stalls = 0
        """Number of answers in a row that brought nothing new."""
        self._failed_fetches: Counter[str] = Counter()
        """How often each row, by its key as text, did not come alone."""
        self._next_row = ""
        """The key, as text, that the last look found."""
        self._nothing_at: int | None = None
        """Position at which the last look found nothing."""
        self._agreed = False
        """Whether the last answer ended where its count did."""

    @property
    def done(self) -> bool:
        """Whether the end is proved."""
        return self.step is Step.DONE

    def proof(self, delivered: int) -> Proof:
        """Return what has proved the end of a read that delivered this number of rows."""
        looked_behind = self._nothing_at is not None or self.stalled
        trusted = self.proved or self._evidence.counts_too_high or self._first_count == delivered
        return Proof(
            ProvedBy.ANSWER_BEHIND if looked_behind else ProvedBy.COUNT,
            self._first_count if trusted else None,
            delivered,
        )

    @property
    def stalled(self) -> bool:
        """Whether the last answer brought nothing new."""
        return self._stalls > 0

    # Counts

    @property
    def proved(self) -> bool:
        """Whether counts are proved."""
        return self.counts and self._evidence.most_counted > 0

    def is_count_due(self, delivered: int) -> bool:
        """Whether to request the count with the next page, after this number of rows.

        It is due with the first page, to know when the end is near, and with each that may be the
        last.
        """
        if self._expected is None or self.size is None or not self.proved:
            return self.counts
        is_near = self._expected - delivered <= self.size
        in_doubt = self.stalled or self._nothing_at is not None or self.step is not Step.READ
        return self.counts and (is_near or in_doubt)

    def learn(self, page: Page, skipped: int, rows: int) -> None:
        """Learn from an answer what its count is worth.

        Args:
            page: The answer.
            skipped: Number of rows before the answer.
            rows: Number of different rows in it.
        """
        if page.count is None:
            self.counts = self.counts and self._expected is not None
            return
        if self._expected is None:
            self._expected = self._first_count = page.count
        self._evidence.learn(page, skipped)
        self._agreed = page.count == skipped + rows
        if page.rows and page.count < skipped + rows:
            self.counts = False

    def expect(self, rows: int) -> None:
        """Set the expected number of rows."""
        self._expected = rows

    def remaining(self, delivered: int) -> int | None:
        """Return how many more rows the first page counted; None if the server does not count."""
        return None if self._expected is None else max(self._expected - delivered, 0)

    def expects_more(self, page: Page, position: int) -> bool:
        """Whether an answer whose rows end at this position counts more rows."""
        return self.proved and page.count is not None and page.count > position

    def fell_short(self, delivered: int) -> bool:
        """Whether fewer rows arrived than were counted with the first page, proved by now."""
        return self.proved and self._expected is not None and delivered < self._expected

    def proved_by_one(self, page: Page, rows: int) -> bool:
        """Whether the first answer, with this number of rows, proves the end by itself."""
        full = self.size is not None and rows >= self.size
        return page.count == rows == 0 or (not full and self.counts_no_more(page, rows))

    def shifted(self) -> None:
        """Forget what the last look found: the table has shifted."""
        self._nothing_at = None

    def counts_no_more(self, page: Page, rows: int) -> bool:
        """Whether an answer counts, for certain, no more than this number of rows.

        If it holds all rows that it counts, that may be as far as the server sends and counts,
        unless more rows were counted before.
        """
        if not self.proved or page.count is None or page.count > rows:
            return False
        return len(page.rows) < page.count or page.count < self._evidence.most_counted

    # Answers

    def after_new_rows(self, page: Page, position: int, overlap: int) -> None:
        """Decide on the step after an answer that brought new rows.

        Args:
            page: The answer.
            position: Number of rows up to its last row.
            overlap: Number of known rows that it was to begin with.
        """
        self._rows = len(page.rows)
        full = self.size is not None and self._rows >= self.size + overlap
        shortest_cut = self._evidence.shortest_cut
        cut = shortest_cut is not None and self._rows >= shortest_cut
        self._stalls = 0
        self._nothing_at = None
        if full:
            self._grow()
        if full or cut:
            self.step = Step.READ
        else:
            self.step = Step.DONE if self.counts_no_more(page, position) else Step.LOOK

    def after_known_rows(self, page: Page, position: int, known: int, last: str) -> None:
        """Decide on the step after an answer that brought no new row.

        Args:
            page: The answer.
            position: Number of rows up to its last row.
            known: Number of rows that are known, which a look may find again.
            last: The key of its last row, as text; empty if it has none.

        Raises:
            InconsistentAnswer: No answer brings new rows.
        """
        empty = page.count == position == 0
        if empty or self.counts_no_more(page, position):
            self.step = Step.DONE
        elif self._nothing_at == position:
            self.compare_count(page, position)
            self.step = Step.DONE
        else:
            self._nothing_at = None
            self.stall(known, behind=last if self.expects_more(page, position) else "")

    def withholds(self, page: Page, skip: int) -> bool:
        """Whether an answer without rows counts more than the rows that were skipped.

        If a look has found nothing either, the table has shifted, or the count is too high.
        """
        in_vain = self._nothing_at is not None
        return not page.rows and not in_vain and self.expects_more(page, skip)

    def stall(self, known: int, *, withheld: bool = False, behind: str = "") -> None:
        """Look behind the last row, since an answer brought nothing new.

        Args:
            known: Number of rows that are known, which a look may find again.
            withheld: The answer had no row at all, although more are counted: the next request is
                for fewer rows.
            behind: The key, as text, of the row behind which more are counted; empty for none.

        Raises:
            InconsistentAnswer: No answer brings new rows.
        """
        self._stalls += 1
        if withheld and self.size is not None:
            self.size //= 2
        self.step = Step.LOOK
        if self._stalls > MAX_STALLS + known:
            if self._next_row or withheld or behind:
                raise self._stuck(behind)
            # The table grows faster in front of its last row than a look can follow.
            self.step = Step.DONE

    def after_look(self, page: Page, position: int, found: str, *, shifted: bool) -> None:
        """Decide on the step after a look behind this position.

        Args:
            page: The answer.
            position: Number of rows before the row that was looked for.
            found: The key, as text, of the first row that is not known; empty if there is none.
            shifted: Whether a known row stands there, so that the table has shifted.
        """
        agreed = self._agreed
        self.learn(page, position, len(page.rows))
        agrees = agreed and self.counts and page.count == position
        if page.rows:
            if self._rows and not shifted:
                cut = self._evidence.shortest_cut
                self._evidence.shortest_cut = min(self._rows, cut or self._rows)
            self._next_row = found
            self.step = Step.FETCH if self.stalled and not shifted else Step.READ
            return
        self._nothing_at = position
        if page.next_link is None and (agrees or position == 0):
            self.compare_count(page, position)
            self.step = Step.DONE
        else:
            self.step = Step.READ

    def take(self, step: Step, found: str) -> None:
        """Take this step next, since an answer lacks the row with this key, as text.

        Args:
            step: The step.
            found: The key, as text, of the first row that is not known; empty if there is none.
        """
        self._next_row = found
        self.step = step

    def after_fetch(self, *, fetched: bool) -> None:
        """Decide on the step after a request for the row that the look has found.

        Raises:
            InconsistentAnswer: The row does not come.
        """
        self._failed_fetches[self._next_row] += not fetched
        if self._failed_fetches[self._next_row] >= MAX_FETCHES:
            raise self._stuck()
        self.step = Step.READ if fetched else Step.LOOK

    def read_on(self) -> None:
        """Read on behind the last row, where nothing is in doubt."""
        self._stalls = 0
        self._nothing_at = None
        self.step = Step.READ

    def _grow(self) -> None:
        """Request more rows again, if answers to fewer rows were too few."""
        if self.size is not None and self._full_size is not None:
            self.size = min(max(self.size * 2, 1), self._full_size)

    def resize(self, size: int) -> None:
        """Request this number of new rows from now on."""
        self.size = self._full_size = size

    def compare_count(self, page: Page, rows: int) -> None:
        """Count no more if more rows are counted than these, and no way to ask brings them."""
        if not self.expects_more(page, rows):
            return
        logger.warning(
            "%s: Acumatica counts more rows than it sends (%d more), even if it is asked for their "
            "keys alone: the account may lack the right to see them.",
            self._entity_set,
            (page.count or 0) - rows,
        )
        self._evidence.counts_too_high = True
        self.counts = False

    def _stuck(self, behind: str = "") -> InconsistentAnswer:
        unknown = f"an unknown key, behind the one with {behind}" if behind else "an unknown key"
        return InconsistentAnswer(
            f"Acumatica does not send the row of {self._entity_set} with "
            f"{self._next_row or unknown}, although it counts it or sends its key: "
            "deselect large or computed columns, then read the stream from the start, without its "
            "bookmark."
        )
