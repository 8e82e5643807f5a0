"""The progress of one stream in one tenant, and the bookmark that records it in the state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata.clock import EARLIEST_EVIDENCE
from tap_acumatica.odata.instants import bookmark_text, minus
from tap_acumatica.reading.bookmarks import COLUMNS, KEY, METHOD, VALUE, WAS_READ, Bookmark
from tap_acumatica.reading.memory import column_codes
from tap_acumatica.reading.model import PageRead

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence

    from tap_acumatica.catalog.plan import StreamPlan
    from tap_acumatica.odata.edm import EdmType
    from tap_acumatica.reading.model import FullRead, FullReadEnd
    from tap_acumatica.run.generations import TenantGeneration
    from tap_acumatica.run.report import StreamFacts


_EARLIEST_BOOKMARK: Final = bookmark_text(EARLIEST_EVIDENCE)


def streams_read(state: Mapping[str, Any]) -> set[str]:
    """Return the streams of which earlier runs read rows, according to a state."""
    return {
        stream
        for stream, entry in state.get("bookmarks", {}).items()
        for part in (entry, *entry.get("partitions", ()))
        if part.get(VALUE) or part.get(WAS_READ)
    }


@dataclass(slots=True)
class PartitionProgress:
    """Moves the bookmark of one stream in one tenant as records are written.

    Attributes:
        plan: The stream's plan.
        state: The partition's state.
        in_full: Whether the entity is read in full, without regard to its bookmark.
        facts: Counts the records that are written.
        generation: The generation of the stream in the tenant; None: it has none.
        expected: Whether the stream had rows before, in this run or an earlier one.
    """

    plan: StreamPlan
    state: MutableMapping[str, Any]
    facts: StreamFacts
    generation: TenantGeneration | None = None
    in_full: bool = field(init=False)
    expected: bool = field(init=False)
    _max_bookmark: datetime | None = field(init=False, default=None)
    _newest: str = field(init=False, default="")
    _unwritten: int = field(init=False, default=0)
    _page: PageRead = field(init=False, default=PageRead([]))
    _reached: FullRead | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.in_full = not self.plan.incremental
        self.facts.begin(self.state)
        # A read may reset the bookmark before its first request is refused.
        self.expected = self.was_read

    @property
    def was_read(self) -> bool:
        """Whether the stream had rows before, according to the state."""
        return self.bookmark.instant is not None or self.state.get(WAS_READ, False)

    @property
    def bookmark(self) -> Bookmark:
        """The bookmark in the state."""
        return Bookmark.of(self.state, self.plan.replication_key)

    def begin_page(self, page: PageRead) -> None:
        """Take a page whose records are about to be written."""
        self.expected = True
        self._max_bookmark = page.max_bookmark
        self._page, self._unwritten = page, len(page.rows)

    def written(self, records: Sequence[dict[str, Any]]) -> None:
        """Take records that were written.

        Those dated in the future do not move the bookmark, nor do those from before 2000: a server
        may store them hours from where another table of time zones reads them.
        """
        self.facts.rows += len(records)
        self._unwritten -= len(records)
        if not self._unwritten:
            self._reached = self._page.reached or self._reached
        if self._max_bookmark is None or not self.plan.incremental:
            return
        replication_key = self.plan.replication_key or ""
        limit = bookmark_text(self._max_bookmark)
        newest = max(record[replication_key] for record in records)
        if newest > limit:  # few records are dated in the future
            instants = (record[replication_key] for record in records)
            newest = max((instant for instant in instants if instant <= limit), default="")
        if newest >= _EARLIEST_BOOKMARK:
            self._newest = max(self._newest, newest)

    def move_bookmark(self) -> bool:
        """Move the bookmark to a second below the newest record that was written.

        All rows up to there were written: a displayed timestamp may be up to a second above the
        stored one. A full read has a place of its own, behind the last page that was written.

        Returns:
            Whether a record was written since the last move.
        """
        if self._reached and self.generation:
            self.generation.reach(self._reached)
            self._reached = None
            return True
        if not self._newest:
            return False
        instant = minus(datetime.fromisoformat(self._newest))
        self.store(replace(self.bookmark, instant=instant))
        return True

    def store(self, bookmark: Bookmark) -> None:
        """Write a bookmark into the state."""
        self._newest = ""
        bookmark.store(self.state, self.plan.replication_key or "")
        self.state.pop(METHOD, None)
        self.state[KEY] = list(self.plan.key)

    def end_full_read(self, end: FullReadEnd) -> None:
        """Record that all rows were written."""
        self._reached = None
        if self.generation:
            self.generation.complete(end)

    def complete(self, columns: Mapping[str, EdmType]) -> None:
        """Record that the read has succeeded, and with which columns."""
        if self.generation:
            self.generation.load(self.facts.rows)
        if self.in_full:
            self.state[WAS_READ] = True
            self.state[KEY] = list(self.plan.key)
            self.state[COLUMNS] = column_codes(columns)
            if not self.plan.incremental:
                self.state[METHOD] = self.plan.method

    def fail(self) -> None:
        """Record that the read has failed."""
        self.move_bookmark()
        if self.generation:
            self.generation.fail()
        if self.expected and not self.was_read:
            self.state[WAS_READ] = True
