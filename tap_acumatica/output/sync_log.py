"""The stream sync_log: a record for each stream that a run read, as its report has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from singer_sdk.singerlib import RecordMessage, SchemaMessage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from singer_sdk.singerlib.encoding.simple import Message

STREAM: Final = "sync_log"
KEY: Final = ("run", "stream", "tenant")

_TEXT: Final = {"type": ["string", "null"]}
_NUMBER: Final = {"type": ["integer", "null"]}
_INSTANT: Final = {"type": ["string", "null"], "format": "date-time"}

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "run": {"type": "string"},
        "stream": {"type": "string"},
        "tenant": {"type": "string"},
        "site": _TEXT,
        "started": _INSTANT,
        "ended": _INSTANT,
        "status": _TEXT,
        "method": _TEXT,
        "rows": _NUMBER,
        "pages": _NUMBER,
        "requests": _NUMBER,
        "retries": _NUMBER,
        "seconds": {"type": ["number", "null"]},
        "window_low": _INSTANT,
        "window_high": _INSTANT,
        "bookmark": _INSTANT,
        "proof": _TEXT,
        "proof_counted": _NUMBER,
        "proof_rows": _NUMBER,
        "cause": _TEXT,
        "sentence": _TEXT,
        "drift": _TEXT,
        "generation": _NUMBER,
    },
}
"""JSON Schema of the records."""

NO_TENANT: Final = "-"
"""The tenant without `tenants`: a key must not be null, and targets make null of an empty text."""


def messages(report: Mapping[str, Any]) -> Iterator[Message]:
    """Yield the messages of the stream for a report; streams that were not begun have none."""
    yield SchemaMessage(STREAM, dict(SCHEMA), KEY)
    for facts in report["streams"]:
        if facts["status"] != "not begun":
            yield RecordMessage(STREAM, _record(report, facts))


def _record(report: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    window, proof = facts["window"] or {}, facts["proof"] or {}
    return {name: facts[name] for name in SCHEMA["properties"] if name in facts} | {
        "run": report["run"],
        "tenant": facts["tenant"] or NO_TENANT,
        "site": report["site"],
        "started": report["started"],
        "window_low": window.get("low"),
        "window_high": window.get("high"),
        "proof": proof.get("by"),
        "proof_counted": proof.get("counted"),
        "proof_rows": proof.get("rows"),
        "drift": ", ".join(facts["drift"]) or None,
    }
