"""What an instance tells of deleted rows: the tables that it tracks, and what the log shows of one.

Facts: docs/acumatica.md, "Change tracking".
"""

from __future__ import annotations

from typing import Final

from tap_acumatica.odata import edm
from tap_acumatica.odata.query import Call
from tap_acumatica.odata.table import Table

FUNCTION: Final = "px.GetDeletedRecords"
"""The function of an entity set that returns its deleted rows; no metadata declare it."""

TRACKED: Final = "PX_Data_DeletedRecordsTracking_DAC_SMDeletedRecordsTrackingTables"
"""The entity set that lists the tables whose deletions are logged."""

TABLE_NAME: Final = "TableName"
SINCE: Final = "CreatedDateTime"

PREFERENCES: Final = "ODataPreferences"
"""The singleton with the number of days for which the log keeps a deletion."""

RETENTION: Final = "DaysRetentionHistoryDeletedRecords"
DEFAULT_RETENTION: Final = 10
"""Days for which the log keeps a deletion, unless an administrator has changed that."""

ENTITY: Final = "entity"
"""The column that the tap adds: the entity set that a deleted row was in."""

NOTE: Final = "RefNoteID"
DATE: Final = "DeleteDate"
FLAG: Final = "DeletedDatabaseRecord"
"""The column that says whether a row is marked as deleted, where an entity shows it."""

MARK: Final = "_sdc_deleted_at"
"""The column that the tap adds to entities whose marked rows are read: null for living rows."""

HEADER: Final = "PX-ApiDeleted"
"""The header of requests that have rows that are marked as deleted in their answer."""

ROW_NOTE: Final = "NoteID"
"""The column of a table that holds what the log calls `NOTE`."""


def tracked_tables() -> Table:
    """Return the list of tracked tables; its own key has a type that is not known."""
    columns = {TABLE_NAME: edm.STRING, SINCE: edm.INSTANT}
    return Table(TRACKED, columns, key=(TABLE_NAME,))


def preferences() -> Table:
    """Return the singleton with the retention."""
    return Table(PREFERENCES, {RETENTION: edm.INTEGER}, singleton=True)


def log_of(entity_set: str) -> Table:
    """Return the log of one entity set.

    A row that was restored can be deleted again: the pager tells its entries apart by their dates.
    """
    return Table(
        entity_set,
        {NOTE: edm.TYPES["Edm.Guid"], DATE: edm.INSTANT},
        key=(NOTE,),
        replication_key=DATE,
        select=False,
        call=Call(FUNCTION, bound_to=entity_set),
    )
