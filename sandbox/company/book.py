"""What all parts of the company write into: the tables, the dice, the calendar."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sandbox.clock import sql_server

FIRST_DAY = datetime(2023, 1, 2, tzinfo=UTC)
DAYS = 1085  # the last documents are of December 2025
LONG_TEXT = "Delivery by arrangement only. " * 60
# Texts that a careless reader breaks on.
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
    """An amount with the four digits of a money column."""
    return Decimal(value).quantize(MONEY)


def quantity(value: Decimal | int | str) -> Decimal:
    """A quantity with the six digits of a quantity column."""
    return Decimal(value).quantize(QTY)


@dataclass(frozen=True)
class Posting:
    """A document's entry in the ledger: amounts by account and side."""

    module: str
    batch: str
    day: datetime
    text: str
    lines: tuple[tuple[int, Decimal, Decimal], ...]  # account, debit, credit


class Book:
    """The tables in the making.

    Attributes:
        size: About how many rows the largest tables are to have.
        tables: The rows by qualified type name.
        postings: What sales and purchases hand to the ledger.
    """

    def __init__(self, seed: int, size: int) -> None:
        self.dice = random.Random(seed)  # noqa: S311 - made-up data, not secrets
        self.size = size
        self.tables: dict[str, list[dict[str, object]]] = {}
        self.postings: list[Posting] = []
        self.customers: list[dict[str, object]] = []
        self.vendors: list[dict[str, object]] = []
        self.items: list[dict[str, object]] = []
        self.users = [self.guid() for _ in range(5)]
        self._tie = sql_server(FIRST_DAY + timedelta(hours=9, milliseconds=337))

    def guid(self) -> str:
        """A new Guid."""
        digits = f"{self.dice.getrandbits(128):032x}"
        return "-".join(digits[at:to] for at, to in GUID_PARTS)

    def day(self, part: float) -> datetime:
        """The day at a part of the company's life, at midnight."""
        return FIRST_DAY + timedelta(days=int(DAYS * part))

    def text(self, usual: str) -> str:
        """A description, now and then an odd one."""
        return self.dice.choice(ODD_TEXTS) if self.dice.random() < 0.06 else usual  # noqa: PLR2004 - rare

    def audit(self, day: datetime, screen: str) -> dict[str, object]:
        """The audit columns of a row made on a day and changed within a month."""
        dice = self.dice
        made = sql_server(day + timedelta(hours=8, seconds=dice.uniform(0, 36_000)))
        changed = sql_server(made + timedelta(seconds=dice.uniform(0, 2_500_000)))
        if dice.random() < 0.05:  # noqa: PLR2004 - some rows were changed at one instant
            changed = max(made, self._tie)
        self._tie = changed if dice.random() < 0.3 else self._tie  # noqa: PLR2004 - ties move along
        return {
            "NoteID": self.guid(),
            "CreatedByID": dice.choice(self.users),
            "CreatedByScreenID": screen,
            "CreatedDateTime": made,
            "LastModifiedByID": dice.choice(self.users),
            "LastModifiedByScreenID": screen,
            "LastModifiedDateTime": changed,
        }

    def add(self, type_name: str, **columns: object) -> dict[str, object]:
        """Write a row."""
        self.tables.setdefault(type_name, []).append(columns)
        return columns


def period(day: datetime) -> str:
    """The financial period of a day, as it is stored: month and year."""
    return f"{day.month:02d}{day.year}"


def both(name: str, value: Decimal) -> dict[str, object]:
    """An amount in the document's currency and in the base currency, which are the same."""
    return {name: value, f"Cury{name}": value}
