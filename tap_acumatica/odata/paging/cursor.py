"""The pager of incremental reads, which follows the replication key through a window."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import InconsistentAnswer, ZoneError
from tap_acumatica.odata.instants import DISPLAY_MARGIN, minus, plus
from tap_acumatica.odata.paging.by_offset import OffsetPager, ShortfallCheck
from tap_acumatica.odata.paging.end_of_read import Step
from tap_acumatica.odata.paging.pager import not_obeyed
from tap_acumatica.odata.query import Link, Query, all_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from tap_acumatica.odata.instants import InstantReader
    from tap_acumatica.odata.paging.pager import Pager, Paging, Proof
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.table import Table

MAX_TIES: Final = 50_000
"""Maximum number of rows of one second that are read in one request if there is no key."""


@dataclass(frozen=True, slots=True)
class Window:
    """From `low` (inclusive; None: from the beginning) to `high` (exclusive)."""

    low: datetime | None
    high: datetime


@dataclass(frozen=True, slots=True)
class _Origin:
    """A base that was moved.

    Attributes:
        base: The base.
        values: The replication keys of the last page that was read from it.
        read: Number of rows read from it.
        length: Number of rows of that page at whose end the new base stands.
    """

    base: datetime | None
    values: Sequence[Any]
    read: int
    length: int = 0


class CursorPager(OffsetPager):
    """Pages through a window of the replication key, in its order.

    The base, at first the window's lower bound, follows the rows. Once a page begins earlier than
    one second before its last row, and at most half of its rows lie within that second, the next
    request starts at that second and skips nothing. Within a crowded second the pager uses `$skip`
    like its parent, but only if the order ends in a key; otherwise it reads the second in one
    request.

    Answers may lack rows in between, although they are counted. So until one has been proved, the
    count of each has to be what the count of the one before leaves. If it is not, or if an answer
    is short of its count, the answer is compared with its keys alone, and the base waits for that.

    Attributes:
        window: The window.
    """

    _compares_all = False
    """Whether each answer is compared with its keys."""

    def __init__(
        self, table: Table, paging: Paging, window: Window, instants: InstantReader
    ) -> None:
        super().__init__(table, paging)
        self._paging = paging
        self._replication_key = table.replication_key or ""
        self.window = window
        self._instants = instants
        self._base = window.low
        self._whole_second = False
        self._origin: _Origin | None = None
        """Where the base was moved from, until a known row has come from the new one."""
        self.proved_from: datetime | None = None
        """From where on values and filters surely use the same zone; None: unknown."""
        self._is_base_proved = True
        """Whether a known row has come from the base of the last answer, if it was moved."""
        self._lost: set[Any] = set()
        """The identities of known rows that did not come from a base that was moved."""
        self._losses = 0
        """Number of times in a row that such rows had not changed."""
        self._evidence = paging.evidence
        self._may_lack = False
        """Whether the answers so far may lack rows in between."""
        self._rows_left: int | None = None
        """Number of rows from the base on, by the count of the answer before; None: unknown."""
        self._counts_differ = False
        """Whether the answer at the base counted another number of rows."""
        self._count: int | None = None
        """The count of the last answer; None: unknown, or not proved."""
        self._next_step = Step.READ
        """The step behind the comparison of the last answer with its keys."""
        self._holds_less = False
        """Whether the last answer held less than it counted."""
        self._compared: Sequence[Any] = ()
        """The replication keys of the last answer while it is compared with its keys."""
        self._keys_compared = 0
        """Number of its rows whose keys were compared before, if the keys are cut as well."""
        self._came_alone: set[tuple[str, ...]] = set()
        """The keys of rows that an answer lacked, and that came alone."""

    @property
    def reached(self) -> datetime | None:
        """All rows that changed before it have come, in the eyes of the server; None: unknown."""
        return self._origin.base if self._origin else self._base

    @property
    def remaining(self) -> int | None:
        """Rows still to come, as far as the server counted them with the first page."""
        return self._end.remaining(self.delivered)

    def narrow(self, high: datetime) -> None:
        """End the window earlier, above all rows that were read."""
        self.window = Window(self.window.low, high)
        # The count was that of the wider window: it is due with each page from now on.
        self._end.expect(self.delivered)
        self._rows_left = None

    def begin_behind(self, base: datetime, proof: Proof | None) -> None:
        """Begin within the window, up to where others have read it.

        Args:
            base: Where to begin.
            proof: What has proved their parts, if any; its count is that of the whole window.
        """
        self._base = base
        if proof:
            self.delivered = self._delivered_below = proof.rows
            if proof.counted is not None:
                self._end.expect(proof.counted)

    def stop(self) -> None:
        """End behind the last answer, unless rows in front of it may not have come.

        What the answers may lack in between is still read again.
        """
        self.done = self._is_base_proved

    def again(self, announcement: str = "") -> Pager:
        """Return a pager that reads the window again, and compares it with its keys."""
        again = _WindowAgain(self.table, self._paging, self.window, self._instants)
        again.announcement = announcement
        return again

    @override
    def request(self) -> Query | Link:
        """Return the next request."""
        request = super().request()
        if isinstance(request, Link):
            return request
        if self._compared and self._end.step is Step.LOOK:
            size = len(self._compared) - self._keys_compared
            return replace(request, skip=max(self._position - size, 0), top=size)
        is_compared = self._rows_left is not None and self._end.step is Step.READ
        return replace(request, count=request.count or is_compared)

    @override
    def accept(self, page: Page) -> list[Row]:
        """Accept the requested page.

        If no known row has come from a base that was moved, its rows are not remembered.

        Raises:
            ZoneError: Such rows come from the base before, although they have not changed.
        """
        origin = None
        if self._end.step is Step.READ and not self._link:
            if self._known.overlaps(page.rows):
                self._require_in_place(page.rows)
                self._origin = None
            elif not self._skip and not self._is_proved(self._base):
                origin = self._origin
        rows = self._move_back(page, origin) if origin else super().accept(page)
        self._is_base_proved = origin is None
        self.in_doubt = self._may_lack or not self._is_base_proved
        return rows

    def _is_proved(self, base: datetime | None) -> bool:
        """Whether a base needs no known row: where rows change all the time, none may come."""
        return bool(base and self.proved_from and base >= self.proved_from)

    def _require_in_place(self, rows: list[Row]) -> None:
        """Refuse rows that do not come from bases at or below them, but have not changed.

        Once may be chance: two transactions can take a row to another instant and back.
        """
        if self._origin:
            self._losses = 0
        lost, self._lost = self._lost, set()
        unchanged = next((row for row in rows if lost and self._known.identity(row) in lost), None)
        if unchanged is None:
            return
        self._losses += 1
        if self._losses > 1:
            value = unchanged[self._replication_key]
            raise ZoneError.of_row(value, edm.instant_literal(self._instants.read(value)))

    def _move_back(self, page: Page, origin: _Origin) -> list[Row]:
        """Move the base less far: the known rows have changed, or are not where they show.

        Rows may stand in front of those of this page, which are delivered nevertheless: if they
        change all the time, they may not be there when their turn comes.
        """
        self._check(page.rows)
        fresh = self._known.new_rows(page.rows)
        behind = plus(self._instants.read(origin.values[-1]), DISPLAY_MARGIN)
        # If only later rows came, or none, the answer was not cut in front of the known ones.
        is_whole = self._instant(page.rows[0]) > behind if page.rows else not page.count
        if is_whole:
            self._lost.update(self._known.end(self._overlap))
        self._end.shifted()
        self._move_base(origin, origin.length // 2)
        return fresh

    @override
    def _conditions(self) -> Iterable[str]:
        return self._bounds(self._base)

    def _bounds(self, low: datetime | None) -> Iterator[str]:
        if low:
            yield f"{self._replication_key} ge {self.table.instant(low)}"
        yield f"{self._replication_key} lt {self.table.instant(self.window.high)}"

    @override
    def _order(self) -> tuple[str, ...]:
        return (
            self._replication_key,
            *(name for name in super()._order() if name != self._replication_key),
        )

    @override
    def _check(self, rows: list[Row]) -> None:
        low = minus(self._base) if self._base else None
        high = self.window.high + DISPLAY_MARGIN
        previous = None
        values = [row.get(self._replication_key) for row in rows]
        if rows and self._instants.in_order(values):
            # The other values lie between these two.
            values = [values[0], values[-1]]
        for value in values:
            if value is None:
                raise not_obeyed(self.table, "$filter")
            if not self._instants.is_unambiguous(value):
                continue
            instant = self._instants.read(value)
            if instant >= high or (low and instant < low):
                raise not_obeyed(self.table, "$filter")
            if previous and instant < previous:
                raise not_obeyed(self.table, "$orderby")
            previous = instant

    @override
    def _advance(self, page: Page, fresh: list[Row]) -> None:
        if self._whole_second and self._skip and fresh:
            raise self._too_many_ties()
        if fresh:
            self._compare_counts(page)
        super()._advance(page, fresh)
        self._may_lack = self._may_lack or bool(self._compared)

    def _compare_counts(self, page: Page) -> None:
        """Compare the count of an answer with its rows, and with what the last count leaves."""
        expected, self._rows_left = self._rows_left, None
        self._holds_less = self._end.expects_more(page, self._skip + len(page.rows))
        if expected is not None and page.count is not None and not self._evidence.whole:
            self._counts_differ = page.count != expected
            self._evidence.whole = not self._counts_differ
        if self._evidence.whole:
            self._may_lack = self._counts_differ = False
        elif self._holds_less and self._orders_ties:
            self._may_lack = self._end.size is not None
        self._count = page.count if self._end.proved else None

    @override
    def _accept_row_behind(self, page: Page) -> list[Row]:
        if self._whole_second and self._end.step is Step.FETCH and page.rows:
            raise self._too_many_ties()
        if not self._compared:
            return super()._accept_row_behind(page)
        if self._end.step is Step.LOOK:
            self._compare_keys(page)
            return []
        row = next(filter(self._has_key_of_found, page.rows), None)
        self._end.after_fetch(fetched=row is not None)
        self._end.step = Step.LOOK
        if row is None:
            return []
        self._came_alone.add(self._key_conditions(row))
        self._known.add(row)
        # In another version it may have come before.
        self.delivered += self._is_found(row)
        return [row]

    def _compare_keys(self, page: Page) -> None:
        """Find a row that the last answer lacks, among the keys in its place."""
        last = self._instants.read(self._compared[-1])
        unknown = [row for row in page.rows if not self._known.overlaps([row])]
        # A row that changes all the time is lacking each time.
        new = (row for row in unknown if self._key_conditions(row) not in self._came_alone)
        lacking = next((row for row in new if self._instant(row) <= last), None)
        if lacking:
            self._found = lacking
            self._end.take(Step.FETCH, all_of(*self._key_conditions(lacking)))
            return
        reaches_end = page.rows[-1:] == unknown[-1:] or self._known.is_last(page.rows[-1])
        if not reaches_end:
            self._keys_compared += len(page.rows)
            if self._keys_compared < len(self._compared):
                return
        values, self._compared, self._keys_compared = self._compared, (), 0
        self._end.step = self._next_step
        # All rows of the answer may have changed meanwhile.
        if len(unknown) < len(page.rows) and reaches_end:
            self._evidence.whole = True
            self._counts_differ = self._may_lack = False
            if self._next_step is Step.READ:
                self._move_behind(values, self._position)

    @override
    def then(self) -> Pager | None:
        """Return a look for rows that are counted, but were not delivered, or None."""
        if self.table.key and self._end.fell_short(self.delivered):
            conditions = self._bounds(self.window.low)
            whole = self.table.narrow().query(*conditions, orderby=self._order())
            return ShortfallCheck(self, self._end, whole, self.again)
        differ = self._counts_differ and not self._evidence.whole
        return self.again() if differ else None

    def _too_many_ties(self) -> InconsistentAnswer:
        return InconsistentAnswer(
            f"More rows of {self.table.entity_set} were changed within one second than the "
            "server sends in one response, and no key tells them apart: give the inquiry a key "
            "with inquiry_keys, or read it in full (replication method FULL_TABLE in the catalog)."
        )

    @override
    def _step_back(self, rows: list[Row]) -> None:
        if self._whole_second:
            self._skip, self._overlap = 0, self._known.size
        else:
            super()._step_back(rows)

    @override
    def _move(self, rows: list[Row], read: int) -> None:
        # Not the rows themselves, since those that were handed on are converted in place.
        values = [row[self._replication_key] for row in rows]
        if self._is_doubtful(values):
            self._compared = values
            self._next_step, self._end.step = self._end.step, Step.LOOK
            self._skip_to(read)
        else:
            self._move_behind(values, read)

    def _is_doubtful(self, values: Sequence[Any]) -> bool:
        """Whether to compare the last answer with its keys before the base moves."""
        if not values or self._end.stalled or not self._orders_ties:
            return False
        short = self._holds_less and self._end.step is Step.LOOK
        # If the base stays, the next count says nothing about these rows.
        stays = self._may_lack and self._base_after(values) is None
        return short or stays or self._counts_differ or self._compares_all

    def _move_behind(self, values: Sequence[Any], read: int) -> None:
        """Continue behind these replication keys, the last of `read` rows from the base on."""
        self._move_base(_Origin(self._base, values, read), len(values))

    def _move_base(self, origin: _Origin, length: int) -> None:
        """Move the base to the end of the first rows of a page, so many, or read on behind it."""
        base = self._base_after(origin.values[:length])
        if base:
            self._origin = replace(origin, length=length)
            self._base = base
            self._whole_second = False
            self._skip = 0
            self._overlap = self._at_or_above(origin.values, base)
            self._delivered_below = self.delivered - self._overlap
            if self._count is not None:
                self._rows_left = self._count - origin.read + self._overlap
        else:
            self._origin = self._rows_left = None
            self._base = origin.base
            self._stay(origin.read)

    def _stay(self, read: int) -> None:
        """Continue behind the first `read` rows from the base."""
        if self._orders_ties or not read:
            self._skip_to(read)
        else:
            self._read_whole_second(read)

    def _base_after(self, values: Sequence[Any]) -> datetime | None:
        """Return one second before the last of these values, if they hold all from there on.

        None: the base has to stay where it is.
        """
        if not values or not all(map(self._instants.is_unambiguous, (values[0], values[-1]))):
            return None
        base = minus(self._instants.read(values[-1]))
        if self._instants.read(values[0]) >= base:
            return None
        crowded = self._at_or_above(values, base) * 2 > len(values)
        # Rows that change all the time leave no place by which to continue behind a `$skip`.
        stays = crowded and self._orders_ties and not self._is_proved(base)
        return None if stays else base

    def _read_whole_second(self, read: int) -> None:
        """Request all rows from the base again, and more, unless more do not come."""
        if read > MAX_TIES or (self._whole_second and read == self._overlap):
            self._skip_to(read)
        else:
            self._skip, self._overlap = 0, read
        self._whole_second = True

    @property
    def _orders_ties(self) -> bool:
        """Whether the order ends in the whole key."""
        order, limit = self._order(), self.table.max_order
        return bool(self.table.key) and (limit is None or len(order) <= limit)

    def _at_or_above(self, values: Sequence[Any], base: datetime) -> int:
        return len(values) - bisect_left(values, base, key=self._instants.read)

    def _instant(self, row: Row) -> datetime:
        return self._instants.read(row[self._replication_key])


class _WindowAgain(CursorPager):
    """Reads a window again, and compares each answer with its keys."""

    _compares_all = True

    @override
    def accept(self, page: Page) -> list[Row]:
        rows = super().accept(page)
        self.in_doubt = True
        return rows

    @override
    def then(self) -> Pager | None:
        return None
