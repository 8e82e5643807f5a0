"""The settings, the events and the statistics of a read."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeAlias

from tap_acumatica.odata.instants import InstantReader
from tap_acumatica.odata.paging.pager import Paging, Proof, ProvedBy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from tap_acumatica.odata.clock import ClockCheck
    from tap_acumatica.odata.paging.cursor import Window
    from tap_acumatica.odata.payload.page import Row
    from tap_acumatica.reading.bookmarks import Bookmark


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """The settings that all reads of a run share.

    Attributes:
        paging: How pages are requested.
        instants: How date-time values are read.
        time_offset: How far a window looks back behind the bookmark.
        start_date: Lower bound of the first window; None: from the beginning.
        scope: The settings that decide which rows exist, without those at their default.
        verify_counts: Whether to compare the delivered rows with a count at the end.
        readers: Maximum number of parallel readers.
        marks_deleted: Whether rows that are marked as deleted are read, so that they get a date.
    """

    paging: Paging = field(default_factory=Paging)
    instants: InstantReader = field(default_factory=InstantReader)
    time_offset: timedelta = timedelta(hours=1)
    start_date: datetime | None = None
    scope: Mapping[str, Any] = field(default_factory=dict)
    verify_counts: bool = False
    readers: int = 1
    marks_deleted: bool = False


@dataclass(frozen=True, slots=True)
class IncrementalStart:
    """Where an incremental read starts.

    Attributes:
        clock_check: Finds out the server's clock.
        bookmark: Where the last read ended.
    """

    clock_check: ClockCheck
    bookmark: Bookmark


@dataclass(frozen=True, slots=True)
class FullRead:
    """A read of all rows, or what is still to be read of one that ended early.

    Attributes:
        place: Literals of the key up to which rows were read; empty to begin.
        rows: Number of rows up to there.
    """

    place: tuple[str, ...] = ()
    rows: int = 0


@dataclass(frozen=True, slots=True)
class PageRead:
    """The new rows of one page.

    Attributes:
        reached: The instant to which the rows before these move the bookmark; None: they do not
            move it.
        seen: The server's time when it sent the page; None if it did not say.
        refused: Columns that the server refused, so that the rows lack them.
        in_doubt: Whether rows may be missing before these, which are read again.
        missed: Whether these rows come behind the end of a read, since some were missing.
        place: The `Pager.place` behind these rows.
        full_read: What is left of a full read that ends behind these rows; None: they are not of
            one.
    """

    rows: list[Row]
    reached: datetime | None = None
    seen: datetime | None = None
    refused: frozenset[str] = frozenset()
    in_doubt: bool = False
    missed: bool = False
    place: tuple[str, ...] | None = None
    full_read: FullRead | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All rows up to the bookmark have been delivered."""

    bookmark: Bookmark


@dataclass(frozen=True, slots=True)
class FullTableFallback:
    """The entity is read in full after all; its bookmark stays as it is."""


@dataclass(frozen=True, slots=True)
class FullReadEnd:
    """All rows have been delivered, and that is proved.

    Attributes:
        rows: Number of rows.
        by_key: See `Pager.by_key`.
    """

    rows: int
    by_key: bool


ReadEvent: TypeAlias = PageRead | Checkpoint | FullTableFallback | FullReadEnd


@dataclass(slots=True)
class ReadStats:
    """Statistics of a read, shared by the parallel readers of one entity.

    Attributes:
        proof: What has proved the parts of the read that are complete; None: nothing yet.
        counted: The counts of these parts.
    """

    rows: int = 0
    pages: int = 0
    requests: int = 0
    retries: int = 0
    window: Window | None = None
    proof: Proof | None = None
    counted: list[int | None] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, rows: int = 0, pages: int = 0, requests: int = 0) -> None:
        """Add to the counts."""
        with self.lock:
            self.rows += rows
            self.pages += pages
            self.requests += requests

    def add_attempts(self, number: int) -> None:
        """Add a request that was sent so many times; none if the run was over before."""
        with self.lock:
            self.requests += number
            self.retries += max(number - 1, 0)

    def prove(self, proof: Proof, *, counts: bool = True) -> None:
        """Add the proof of a part; the weakest way to prove a part is that of the read.

        Args:
            proof: The proof.
            counts: Whether to add its count, since that of no other part includes it.
        """
        with self.lock:
            if counts:
                self.counted += [proof.counted]
            known = [count for count in self.counted if count is not None]
            counted = sum(known) if known and len(known) == len(self.counted) else None
            before = self.proof or replace(proof, rows=0)
            by = max(before.by, proof.by, key=list(ProvedBy).index)
            self.proof = Proof(by, counted, before.rows + proof.rows)

    @property
    def seconds(self) -> float:
        """Seconds since the read was begun."""
        return time.monotonic() - self.started
