"""The progress of one stream in one tenant, and the bookmark that records it in the state."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.reading.bookmarks import COLUMNS, KEY, METHOD, VALUE, WAS_READ, Bookmark
from tap_acumatica.reading.memory import column_codes
from tap_acumatica.reading.model import PageRead

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping

    from tap_acumatica.catalog.plan import StreamPlan
    from tap_acumatica.odata.edm import EdmType
    from tap_acumatica.reading.model import FullReadEnd
    from tap_acumatica.run.generations import TenantGeneration
    from tap_acumatica.run.report import StreamFacts


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
    """Moves the bookmark of one stream in one tenant as pages are written.

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
    _unwritten: int = field(init=False, default=0)
    _page: PageRead = field(init=False, default=PageRead([]))

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
        """Take a page whose records are about to be written; all before it were."""
        self.expected = True
        if page.reached and self.plan.incremental:
            self.store(replace(self.bookmark, instant=page.reached))
        self._page, self._unwritten = page, len(page.rows)

    def written(self, rows: int) -> None:
        """Count records that were written; a full read has come to the end of a whole page."""
        self.facts.rows += rows
        self._unwritten -= rows
        if not self._unwritten and self._page.full_read and self.generation:
            self.generation.reach(self._page.full_read)

    def store(self, bookmark: Bookmark) -> None:
        """Write a bookmark into the state."""
        bookmark.store(self.state, self.plan.replication_key or "")
        self.state.pop(METHOD, None)
        self.state[KEY] = list(self.plan.key)

    def end_full_read(self, end: FullReadEnd) -> None:
        """Record that all rows were written."""
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

    def fail(self, error: Exception) -> None:
        """Record that the read has failed."""
        if self.generation:
            self.generation.fail(in_doubt=isinstance(error, InconsistentAnswer))
        if self.expected and not self.was_read:
            self.state[WAS_READ] = True
