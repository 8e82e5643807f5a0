"""Compares the delivered rows with a count of the server, if verify_counts asks for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from tap_acumatica.odata.errors import InconsistentAnswer
from tap_acumatica.odata.instants import DISPLAY_MARGIN
from tap_acumatica.odata.query import all_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from tap_acumatica.odata.http.client import Result
    from tap_acumatica.odata.paging.cursor import Window
    from tap_acumatica.odata.payload.page import Page, Row
    from tap_acumatica.odata.query import Query
    from tap_acumatica.odata.table import Table
    from tap_acumatica.reading.model import ReadSettings

    Ask = Callable[[Query], Result[Page]]


class Verifier:
    """Remembers the delivered rows, and compares their number with a count of the server.

    It keeps the key of each row, so its memory grows with the table.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._delivered: dict[Any, Any] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Remember these rows as delivered."""
        key, replication_key = self._table.key, self._table.replication_key
        for row in rows:
            identity = tuple([row[name] for name in key]) if key else len(self._delivered)
            self._delivered[identity] = row[replication_key] if replication_key else None

    def verify(self, condition: str, ask: Ask) -> None:
        """Compare with the rows that match the condition now.

        Raises:
            InconsistentAnswer: There are more rows than delivered, or the server does not count.
        """
        self._compare(condition, len(self._delivered), ask)

    def verify_window(self, window: Window, settings: ReadSettings, ask: Ask) -> None:
        """Compare with the rows of the window, except for those that the next run reads again.

        Transactions that were committed meanwhile may have added rows to the latter.

        Raises:
            InconsistentAnswer: There are more rows than delivered, or the server does not count.
        """
        instants = settings.instants
        settled = window.high - settings.time_offset - DISPLAY_MARGIN
        delivered = sum(
            instants.read(value) < settled + DISPLAY_MARGIN for value in self._delivered.values()
        )
        self._compare(self._window(window.low, settled), delivered, ask)

    def _window(self, low: datetime | None, high: datetime) -> str:
        name = self._table.replication_key
        return all_of(
            f"{name} ge {self._table.instant(low)}" if low else "",
            f"{name} lt {self._table.instant(high)}",
        )

    def _compare(self, condition: str, delivered: int, ask: Ask) -> None:
        query = replace(self._table.query(condition), top=1, count=True)
        count = ask(query).content.count
        if count is None:
            message = (
                f"Acumatica does not count the rows of {self._table.entity_set}, which "
                "verify_counts requires: unset it, or exclude the entity."
            )
            raise InconsistentAnswer(message)
        if count > delivered:
            message = (
                f"Acumatica counts {count} rows of {self._table.entity_set}, but {delivered} were "
                "delivered, so rows were added meanwhile, or the server held some back: run again, "
                "with a smaller page_size if the error persists."
            )
            raise InconsistentAnswer(message)


class NoVerifier(Verifier):
    """Does nothing, for reads that are not verified."""

    @override
    def add(self, rows: Iterable[Row]) -> None:
        pass

    @override
    def verify(self, condition: str, ask: Ask) -> None:
        pass

    @override
    def verify_window(self, window: Window, settings: ReadSettings, ask: Ask) -> None:
        pass


def verifier_for(table: Table, settings: ReadSettings) -> Verifier:
    """Return the verifier for a read; inquiries cannot be counted, so they get none."""
    verified = settings.verify_counts and not table.inquiry
    return (Verifier if verified else NoVerifier)(table)
