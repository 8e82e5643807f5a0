"""Large tables: rows generated inside SQLite, a million within seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.clock import to_utc
from sandbox.store import MODIFIED, Row, Store, identifier, joined, to_stored, type_flag
from sandbox.values import Stored, traits

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.model import EntityType

COUNTING = "WITH RECURSIVE counting(n) AS (SELECT 0 UNION ALL SELECT n+1 FROM counting LIMIT ?)"
MILLISECONDS = "({start}+n*{step})"
STAMP = (
    f"strftime('%Y-%m-%dT%H:%M:%S',{MILLISECONDS}/1000,'unixepoch')"
    f"||printf('.%03d000',{MILLISECONDS}%1000)"
)
GUID = "printf('%08x-0000-4000-8000-%012x', n*2654435761 & 4294967295, {first}+n)"


def fill(  # noqa: PLR0913, PLR0917 - the instance passes all of them
    store: Store,
    entity_type: EntityType,
    tenant: str,
    count: int,
    start: datetime | str,
    step: float,
    columns: Row,
) -> int:
    """Insert rows that differ in their keys and stamps only, ``step`` seconds apart.

    Texts, numbers and Guids in keys, and each NoteID, are counted up.
    """
    table = store.table(entity_type, tenant)
    first = int(str(store.read(joined("SELECT coalesce(max(rowid),0)+1 FROM", table))[0][0]))
    begin = round(to_utc(start).timestamp() * 1000)
    values: dict[str, Stored] = store.defaults(entity_type)
    by_name = {column.name: column for column in entity_type.stored}
    for key, value in columns.items():
        values[by_name[key].stored_as] = to_stored(by_name[key], value)
    computed: dict[str, str] = {}
    for column in entity_type.stored:
        group = traits(column.declared.type).group
        if column.name in columns:
            continue
        if column.name == MODIFIED:
            computed[column.stored_as] = STAMP.format(start=begin, step=round(step * 1000))
        elif column.name in entity_type.key or column.name == "NoteID":
            computed[column.stored_as] = {
                "number": f"{first}+n",
                "guid": GUID.format(first=first),
            }.get(group, f"printf('F%09d', {first}+n)")
    flags = [type_flag(base) for base in entity_type.bases]
    fields = ",".join(map(identifier, [*values, *flags]))
    expressions = ",".join([*(computed.get(name, "?") for name in values), *("1" for _ in flags)])
    parameters = [value for name, value in values.items() if name not in computed]
    sql = joined(
        COUNTING, "INSERT INTO", table, "(", fields, ") SELECT", expressions, "FROM counting"
    )
    with store.bulk(entity_type, tenant) as connection:
        connection.execute(sql, [count, *parameters])
    return count
