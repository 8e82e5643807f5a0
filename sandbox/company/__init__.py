"""A small company, made from a seed: the same seed gives the same rows, whatever the day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.company import ledger, masters, purchases, sales, system
from sandbox.company.book import Book

if TYPE_CHECKING:
    from sandbox.store import Store

ROWS = 600  # of the largest tables, unless asked otherwise


def populate(store: Store, tenant: str, seed: int, rows: int | None) -> None:
    """Fill the tables of a tenant."""
    book = Book(seed, ROWS if rows is None else rows)
    masters.write(book)
    sales.write(book)
    purchases.write(book)
    ledger.write(book)
    system.write(book)
    for type_name, table in book.tables.items():
        store.insert(store.model.find(type_name), table, tenant)
