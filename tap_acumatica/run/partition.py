"""How far one stream has come in one tenant, as its state says and as records are written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.instants import bookmark_text, minus
from tap_acumatica.reading.bookmarks import Bookmark

if TYPE_CHECKING:
    from collections.abc import MutableMapping, Sequence

    from tap_acumatica.catalog.plan import StreamPlan
    from tap_acumatica.reading.model import PageRead

WAS_READ: Final = "was_read"
"""In the state of a stream without a bookmark: rows came once, so that it is missed if refused."""


def bookmark_in(plan: StreamPlan, state: MutableMapping[str, Any]) -> Bookmark:
    """Return where the last read ended. The SDK's own start value would mix start_date in.

    Raises:
        AcumaticaError: The state holds something else.
    """
    try:
        return Bookmark.of(state, plan.replication_key)
    except ValueError as error:
        message = f"The bookmark of {plan.name} is no date-time ({error}): correct the state."
        raise AcumaticaError(message) from error


@dataclass(slots=True)
class PartitionProgress:
    """Moves the bookmark of one stream in one tenant, as its records are written.

    Attributes:
        plan: What the stream reads.
        state: The partition's state.
        in_full: Whether the entity is read in full, whatever its bookmark says.
        expected: Whether rows came before, in this run or an earlier one.
    """

    plan: StreamPlan
    state: MutableMapping[str, Any]
    in_full: bool = field(init=False)
    expected: bool = field(init=False)
    _max_bookmark: datetime | None = field(init=False, default=None)
    _newest: str = field(init=False, default="")

    def __post_init__(self) -> None:
        self.in_full = not self.plan.incremental
        # A read may take the bookmark back before its first request is refused.
        self.expected = self.was_read

    @property
    def was_read(self) -> bool:
        """Whether the state says that rows came, so that more are expected."""
        return self.bookmark.instant is not None or self.state.get(WAS_READ, False)

    @property
    def bookmark(self) -> Bookmark:
        """The bookmark in the state."""
        return bookmark_in(self.plan, self.state)

    def begin_page(self, page: PageRead) -> None:
        """Take note of a page whose records are written next."""
        self.expected = True
        self._max_bookmark = page.max_bookmark

    def written(self, records: Sequence[dict[str, Any]]) -> None:
        """Take note of records that were written; rows of the future count for nothing."""
        if self._max_bookmark is None or not self.plan.incremental:
            return
        replication_key = self.plan.replication_key or ""
        limit = bookmark_text(self._max_bookmark)
        newest = max(record[replication_key] for record in records)
        if newest > limit:  # of the future, as few are
            instants = (record[replication_key] for record in records)
            newest = max((instant for instant in instants if instant <= limit), default="")
        self._newest = max(self._newest, newest)

    def keep(self) -> bool:
        """Move the bookmark: all rows up to a second before the newest one were written.

        A displayed instant may be up to a second above the stored one.

        Returns:
            Whether there was anything to move it by.
        """
        if not self._newest:
            return False
        instant = minus(datetime.fromisoformat(self._newest))
        bookmark = self.bookmark
        self.store(Bookmark(instant, bookmark.undated_read_on, bookmark.scope))
        return True

    def store(self, bookmark: Bookmark) -> None:
        """Put a bookmark into the state."""
        self._newest = ""
        bookmark.store(self.state, self.plan.replication_key or "")

    def complete(self) -> None:
        """Take note that the read has ended well."""
        if self.in_full:
            self.state[WAS_READ] = True

    def fail(self) -> None:
        """Take note that the read has not ended well."""
        self.keep()
        if self.expected and not self.was_read:
            self.state[WAS_READ] = True
