"""Reads all rows of an entity, or all that match a condition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.paging.by_key import KeyPager
from tap_acumatica.odata.paging.by_offset import OffsetPager
from tap_acumatica.odata.paging.keyless import KeylessPager
from tap_acumatica.reading.verification import verifier_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tap_acumatica.odata.paging.pager import Pager, Paging
    from tap_acumatica.odata.table import Table
    from tap_acumatica.reading.model import PageRead, ReadSettings
    from tap_acumatica.reading.pages import PageReader

PAGERS: Final = (KeyPager, OffsetPager, KeylessPager)
"""The kinds of pagers, each better than the next, but suited to fewer tables."""


def first_pager(table: Table, paging: Paging, condition: str = "") -> Pager:
    """Return the pager that begins a read of the rows that match the condition."""
    kind = next(kind for kind in PAGERS if kind.suits(table))
    return kind(table, paging, condition)


def read_full_table(
    pages: PageReader, settings: ReadSettings, condition: str = ""
) -> Iterator[PageRead]:
    """Read all rows that match the condition; they do not move the bookmark.

    Raises:
        AcumaticaError: The read cannot be completed.
    """
    verifier = verifier_for(pages.table, settings)
    for page in pages.read(first_pager(pages.table, pages.paging, condition)):
        verifier.add(page.rows)
        yield page
    verifier.verify(condition, pages.source.ask)
