"""Compares states with the records that were written before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sandbox import Sandbox

ORDERS = "PX_Objects_SO_SOOrder"
LINES = "PX_Objects_SO_SOLine"
KEYS = {ORDERS: ("OrderType", "OrderNbr"), LINES: ("OrderType", "OrderNbr", "LineNbr")}
MODIFIED = "LastModifiedDateTime"


def require_true_states(box: Sandbox, messages: Iterable[dict[str, Any]]) -> None:
    """Fail if a state is ahead of the records of two streams that were written before it."""
    written: set[tuple[object, ...]] = set()
    for message in messages:
        if message["type"] == "RECORD" and message["stream"] in KEYS:
            stream, record = message["stream"], message["record"]
            written.add((stream, record["_tenant"], *(record[name] for name in KEYS[stream])))
        if message["type"] != "STATE":
            continue
        for stream, columns in KEYS.items():
            entry = message["value"].get("bookmarks", {}).get(stream, {})
            for partition in entry.get("partitions", ()):
                tenant = partition["context"]["_tenant"]
                bookmark = partition.get("replication_key_value", "")[:19]
                due = {
                    (stream, tenant, *(row[column] for column in columns))
                    for row in box.rows(stream, tenant)
                    if str(row[MODIFIED])[:19] < bookmark
                }
                assert due <= written
