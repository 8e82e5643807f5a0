"""Tries what a target does with changes that a tap may send it."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from warehouse.databases import Destination, Rows

STREAM: Final = "Items"
TEXT: Final = {"type": ["string", "null"]}
INSTANT: Final = {"type": ["string", "null"], "format": "date-time"}
FAILS: Final = "the load fails"
QUESTIONS: Final = (
    "a row that comes again",
    "a row that does not come again",
    "a new column",
    "an instant with an offset, `10:00:00+02:00`",
    "ACTIVATE_VERSION, for a row that is gone",
    "the same with `hard_delete: true`",
    "a change of the key",
    "null in a key",
    "a stream without a key, whose row comes again",
    "a column's name of more than 63 characters",
    "a batch (`batch_config`)",
)


def answers(destinations: Iterator[Destination], folder: Path) -> Mapping[str, str]:
    """Return a target's answer to each question.

    Args:
        destinations: The target's destinations, each a new one.
        folder: Folder for the settings.
    """
    found = [
        *_second_load(_Try(next(destinations), folder)),
        _activate_version(_Try(next(destinations), folder)),
        _activate_version(_Try(next(destinations), folder), hard_delete=True),
        _changed_key(_Try(next(destinations), folder)),
        _null_key(_Try(next(destinations), folder)),
        _without_key(_Try(next(destinations), folder)),
        _long_name(_Try(next(destinations), folder)),
        _batch(_Try(next(destinations), folder)),
    ]
    return dict(zip(QUESTIONS, found, strict=True))


@dataclass(frozen=True, slots=True)
class _Try:
    destination: Destination
    folder: Path

    def load(self, messages: str, **settings: bool) -> str | None:
        return self.destination.load(messages, self.folder, **settings)

    def rows(self, code: str | None) -> Rows:
        """The rows with a code; files know no null."""
        rows = self.destination.rows(STREAM)
        return [row for row in rows if (row.get("code") or None) == code]


def _messages(
    rows: Sequence[dict[str, Any]], key: Sequence[str] = ("Code",), version: int | None = None
) -> str:
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: INSTANT if name == "At" else TEXT for name in names}
    schema = {"type": "object", "properties": columns}
    head = {"type": "SCHEMA", "stream": STREAM, "schema": schema, "key_properties": list(key)}
    versions = {"version": version} if version else {}
    records = [{"type": "RECORD", "stream": STREAM, "record": row, **versions} for row in rows]
    activate = [{"type": "ACTIVATE_VERSION", "stream": STREAM, **versions}] if version else []
    state = {"type": "STATE", "value": {"bookmarks": {}}}
    return "".join(f"{json.dumps(message)}\n" for message in (head, *records, *activate, state))


def _second_load(attempt: _Try) -> Iterator[str]:
    at = "2024-02-01T10:00:00+02:00"
    first = [{"Code": "A", "Name": "old", "At": at}, {"Code": "B", "Name": "old", "At": at}]
    second = [{"Code": "A", "Name": "new", "At": at, "More": "x"}]
    if attempt.load(_messages(first)) or attempt.load(_messages(second)):
        yield from [FAILS] * 4
        return
    rows = attempt.rows("A")
    yield "replaced" if [row["name"] for row in rows] == ["new"] else "appended"
    yield "stays" if attempt.rows("B") else "gone"
    yield "added" if any(row.get("more") for row in rows) else "left out"
    yield f"`{str(rows[0]['at']).replace(' ', 'T').partition('T')[2]}`"


def _activate_version(attempt: _Try, **settings: bool) -> str:
    both = [{"Code": "A", "Name": "x"}, {"Code": "B", "Name": "x"}]
    failed = attempt.load(_messages(both, version=1), **settings)
    if failed or attempt.load(_messages(both[:1], version=2), **settings):
        return FAILS
    gone = attempt.rows("B")
    if not gone:
        return "deleted"
    return "dated in `_sdc_deleted_at`" if gone[0].get("_sdc_deleted_at") else "stays"


def _changed_key(attempt: _Try) -> str:
    attempt.load(_messages([{"Code": "A", "Name": "x", "More": "1"}]))
    rows = [{"Code": "A", "Name": name, "More": "2"} for name in "xy"]
    if attempt.load(_messages(rows, key=("Code", "Name"))):
        return FAILS
    found = attempt.rows("A")
    if len(found) == 1:
        return "rows are still replaced by the old key: of two, one is left"
    return "rows are replaced by the new key" if len(found) == len(rows) else "appended"


def _null_key(attempt: _Try) -> str:
    messages = _messages([{"Code": None, "Name": "x"}])
    if attempt.load(messages) or attempt.load(messages):
        return FAILS
    return {0: "lost", 1: "replaced"}.get(len(attempt.rows(None)), "appended")


def _without_key(attempt: _Try) -> str:
    messages = _messages([{"Code": "A", "Name": "x"}], key=())
    if attempt.load(messages) or attempt.load(messages):
        return FAILS
    return {0: "lost", 1: "replaced"}.get(len(attempt.rows("A")), "appended")


def _batch(attempt: _Try) -> str:
    schema, _, state = _messages([{"Code": "A", "Name": "x"}]).splitlines()
    file = attempt.folder / "batch.jsonl.gz"
    file.write_bytes(gzip.compress(b'{"Code": "A", "Name": "x"}\n'))
    batch = {
        "type": "BATCH",
        "stream": STREAM,
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "manifest": [f"file://{file}"],
    }
    if attempt.load("\n".join([schema, json.dumps(batch), state, ""])):
        return FAILS
    return "loaded" if attempt.rows("A") else "lost"


def _long_name(attempt: _Try) -> str:
    name = "Column" * 12
    if attempt.load(_messages([{"Code": "A", name: "x"}])):
        return FAILS
    (row,) = attempt.rows("A")
    return "kept" if name.lower() in row else "cut off"
