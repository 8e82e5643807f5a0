"""What a reader brings to the stream that writes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from tap_acumatica.odata.payload.page import Row
    from tap_acumatica.reading.bookmarks import Bookmark


@dataclass(frozen=True, slots=True)
class PageRead:
    """New rows of one page.

    Attributes:
        most: The greatest instant to which they may move the bookmark; None: they do not move it.
    """

    rows: list[Row]
    most: datetime | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A part of the entity was read to its end; the bookmark is as good as the rows before it."""

    bookmark: Bookmark


@dataclass(frozen=True, slots=True)
class FullTableFallback:
    """The entity is read in full after all, and its bookmark stays as it is."""
