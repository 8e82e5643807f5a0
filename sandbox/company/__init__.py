"""A small company, made from a seed: the same seed gives the same rows, whatever the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.company import ledger, masters, purchases, sales, system
from sandbox.company.book import Book

if TYPE_CHECKING:
    from sandbox.store import Store

ROWS = 600  # of the largest tables, unless asked otherwise


_made: dict[tuple[int, int, int], bytes] = {}


def populate(store: Store, seed: int, rows: int | None) -> None:
    """Fill the tables of all tenants, each with a company of its own."""
    size = ROWS if rows is None else rows
    made = (len(store.tenants), seed, size)
    if made in _made:
        store.restore(_made[made])
        return
    for number, tenant in enumerate(store.tenants):
        write(store, tenant, Book(seed + number, size))
    if size <= ROWS:
        # Tests start many small servers; what one has made serves the next.
        _made[made] = store.contents()


def write(store: Store, tenant: str, book: Book) -> None:
    """Make one company and put it into its tables."""
    masters.write(book)
    sales.write(book)
    purchases.write(book)
    ledger.write(book)
    system.write(book)
    for type_name, table in book.tables.items():
        store.insert(store.model.find(type_name), table, tenant)
