"""A small made-up company: the same seed gives the same rows on any day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.company import ledger, masters, purchases, sales, system
from sandbox.company.book import Book

if TYPE_CHECKING:
    from sandbox.store import Store

ROWS = 600  # in the largest tables, by default

_cache: dict[tuple[int, int, int], bytes] = {}


def populate(store: Store, seed: int, rows: int | None) -> None:
    """Fill the tables of all tenants, each with its own company."""
    size = ROWS if rows is None else rows
    cached = (len(store.tenants), seed, size)
    if cached in _cache:
        store.restore(_cache[cached])
        return
    for number, tenant in enumerate(store.tenants):
        write(store, tenant, Book(seed + number, size))
    if size <= ROWS:
        # Tests start many small servers with the same company.
        _cache[cached] = store.contents()


def write(store: Store, tenant: str, book: Book) -> None:
    """Make up one company and insert it into a tenant's tables."""
    masters.write(book)
    sales.write(book)
    purchases.write(book)
    ledger.write(book)
    system.write(book)
    for type_name, table in book.tables.items():
        store.insert(store.model.find(type_name), table, tenant)
