"""What an instance tells of deleted rows: the tables that it tracks, and a log of deletions."""

from __future__ import annotations

from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.errors import Refusal, not_found
from sandbox.extras import root_class
from sandbox.filters import text_literal
from sandbox.query import Page, ReadSettings, read_page
from sandbox.store import Row, Store, joined
from sandbox.values import instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.addresses import Address
    from sandbox.model import EntityType
    from sandbox.quirks import Quirks

FUNCTION = "px.getdeletedrecords()"
TRACKED = "PX_Data_DeletedRecordsTracking_DAC_SMDeletedRecordsTrackingTables"
PREFERENCES = "ODataPreferences"
RETENTION = "DaysRetentionHistoryDeletedRecords"
DEFAULT_RETENTION = 10
LOG = root_class("Log", "", "TableName:s RefNoteID:g DeleteDate:t")
RESULT = root_class("PX.Api.OData.DAC.DeletedRecordResult", "", "RefNoteID:g DeleteDate:t")
UNTRACKED = {
    HTTPStatus.BAD_REQUEST: "The deleted records of '{0}' are not tracked.",
    HTTPStatus.NOT_IMPLEMENTED: "The method or operation is not implemented.",
}


class Deletions:
    """The log of deleted rows, which holds those of the tables that are tracked."""

    def __init__(self, store: Store, quirks: Quirks) -> None:
        self._store = store
        self._quirks = quirks

    def tracked(self, tenant: str) -> set[str]:
        """Return the names of the tracked types; the list may name them as an entity set too."""
        tracked = self._store.model.find(TRACKED)
        names = map(str, self._store.values(tracked, "TableName", {}, tenant))
        known = {**self._store.model.by_name, **self._store.model.by_set}
        return {known[name.lower()].name for name in names if name.lower() in known}

    def record(self, entity_type: EntityType, key: Row, tenant: str) -> None:
        """Record that the rows with a key are about to be deleted, if their table is tracked."""
        types = {entity_type.name, *(base.name for base in (entity_type.root, *entity_type.bases))}
        tables = types & self.tracked(tenant)
        has_note = any(column.name == "NoteID" for column in entity_type.stored)
        if not tables or not has_note:
            return
        rows = [
            {"TableName": table, "RefNoteID": note, "DeleteDate": self._store.clock.now()}
            for note in self._store.values(entity_type, "NoteID", key, tenant)
            if note is not None
            for table in tables
        ]
        self._store.insert(LOG, rows, tenant)

    def page(
        self,
        address: Address,
        entity_type: EntityType,
        options: Mapping[str, str],
        settings: ReadSettings,
    ) -> Page:
        """Read the deletions of a type that are still kept.

        Raises:
            Refusal: The release has no such function, or the type is not tracked.
        """
        tenant, status = address.tenant, self._quirks.untracked
        if not self._quirks.tells_deletions:
            raise not_found(address.path)
        if entity_type.name not in self.tracked(tenant):
            if status == HTTPStatus.NOT_FOUND:
                raise not_found(address.path)
            raise Refusal(UNTRACKED[HTTPStatus(status)].format(entity_type.short_name), status)
        preferences = self._store.model.find(PREFERENCES)
        days = self._store.values(preferences, RETENTION, {}, tenant)
        kept = timedelta(days=int(str(days[0])) if days else DEFAULT_RETENTION)
        oldest = text_literal(instant(self._store.clock.now() - kept))
        table, name = self._store.table(LOG, tenant), text_literal(entity_type.name)
        rows = joined("SELECT * FROM", table, "WHERE TableName =", name, "AND DeleteDate >=")
        settings.source = f"({rows} {oldest})"
        return read_page(self._store, RESULT, tenant, options, settings)
