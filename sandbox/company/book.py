"""The tables of a company in the making, its calendar and its random numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sandbox.clock import sql_server

FIRST_DAY = datetime(2023, 1, 2, tzinfo=UTC)
DAYS = 1085  # the last documents are from December 2025
LONG_TEXT = "Delivery by arrangement only. " * 60
# Texts that break a careless reader.
ODD_TEXTS = (
    "O'Brien & Söhne <Großhandel>",
    'The "best" price, 100 %',
    "Łódź, 東京, Ελλάδα",
    "Rocket 🚀 launch party 🎉",
    "Line one\nline two\ttabbed",
    "back\\slash / slash",
    LONG_TEXT,
    "",
)
GUID_PARTS = ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32))
MONEY = Decimal("0.0001")
QTY = Decimal("0.000001")


def money(value: Decimal | int | str) -> Decimal:
    """Return an amount with the four decimals of a money column."""
    return Decimal(value).quantize(MONEY)


def quantity(value: Decimal | int | str) -> Decimal:
    """Return a quantity with the six decimals of a quantity column."""
    return Decimal(value).quantize(QTY)


@dataclass(frozen=True)
class Posting:
    """A document's entry in the general ledger.

    Attributes:
        lines: Account, debit and credit of each line.
    """

    module: str
    batch: str
    day: datetime
    text: str
    lines: tuple[tuple[int, Decimal, Decimal], ...]


class Book:
    """The tables of one company.

    Attributes:
        random: Random numbers from the seed.
        size: Approximate number of rows in the largest tables.
        tables: Rows by qualified type name.
        postings: Postings of sales and purchases to the ledger.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - made-up data, not secrets
        self.size = size
        self.tables: dict[str, list[dict[str, object]]] = {}
        self.postings: list[Posting] = []
        self.customers: list[dict[str, object]] = []
        self.vendors: list[dict[str, object]] = []
        self.items: list[dict[str, object]] = []
        self.users = [self.guid() for _ in range(5)]
        self._tie = sql_server(FIRST_DAY + timedelta(hours=9, milliseconds=337))

    def guid(self) -> str:
        """Return a random Guid."""
        digits = f"{self.random.getrandbits(128):032x}"
        return "-".join(digits[at:to] for at, to in GUID_PARTS)

    def day(self, fraction: float) -> datetime:
        """Return midnight of the day after a fraction of the company's life."""
        return FIRST_DAY + timedelta(days=int(DAYS * fraction))

    def text(self, usual: str) -> str:
        """Return the usual description or, rarely, an odd one."""
        odd = self.random.random() < 0.06  # noqa: PLR2004 - rarely
        return self.random.choice(ODD_TEXTS) if odd else usual

    def audit(self, day: datetime, screen: str) -> dict[str, object]:
        """Return the audit columns of a row created on a day and modified within a month."""
        rng = self.random
        created = sql_server(day + timedelta(hours=8, seconds=rng.uniform(0, 36_000)))
        modified = sql_server(created + timedelta(seconds=rng.uniform(0, 2_500_000)))
        if rng.random() < 0.05:  # noqa: PLR2004 - some rows are modified at the same instant
            modified = max(created, self._tie)
        self._tie = modified if rng.random() < 0.3 else self._tie  # noqa: PLR2004 - often a new tie
        return {
            "NoteID": self.guid(),
            "CreatedByID": rng.choice(self.users),
            "CreatedByScreenID": screen,
            "CreatedDateTime": created,
            "LastModifiedByID": rng.choice(self.users),
            "LastModifiedByScreenID": screen,
            "LastModifiedDateTime": modified,
        }

    def add(self, type_name: str, **columns: object) -> dict[str, object]:
        """Add a row to a table, and return it."""
        self.tables.setdefault(type_name, []).append(columns)
        return columns


def period(day: datetime) -> str:
    """Return the financial period of a day as stored: month and year."""
    return f"{day.month:02d}{day.year}"


def in_both_currencies(name: str, value: Decimal) -> dict[str, object]:
    """Return an amount's columns in the document's and in the base currency, which are equal."""
    return {name: value, f"Cury{name}": value}
