"""Reads batches as targets of the SDK do."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from singer_sdk.helpers._batch import StorageTarget

from tap_acumatica.output.batches import BatchFolder, BatchSettings
from tap_acumatica.output.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class _Line(msgspec.Struct):
    record: msgspec.Raw


def writer_into(folder: Path | str, **settings: Any) -> Writer:
    """A writer that may write batches into a folder."""
    writer = Writer()
    writer.batches = BatchFolder(Path(folder), BatchSettings(Path(folder), **settings))
    return writer


def lines_of(address: str) -> list[bytes]:
    """The lines of a file."""
    head, tail = StorageTarget.split_url(address)
    with StorageTarget.from_url(head).open(tail) as file, gzip.open(file) as content:
        return content.read().splitlines(keepends=True)


def text_of_record(line: bytes) -> bytes:
    """The record of a RECORD line as it stands there."""
    return bytes(msgspec.json.decode(line, type=_Line).record)


def unpacked(messages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Messages with a RECORD for each line of a batch in its place."""
    decode = msgspec.json.Decoder(float_hook=Decimal).decode
    for message in messages:
        if message["type"] != "BATCH":
            yield message
            continue
        assert message["encoding"] == {"format": "jsonl", "compression": "gzip"}
        for address in message["manifest"]:
            lines = lines_of(address)
            assert lines, "a batch without records only takes time"
            for line in lines:
                record = decode(line)
                yield {"type": "RECORD", "stream": message["stream"], "record": record}


def batch_config(root: Path, size: int | None = None, **storage: str) -> dict[str, Any]:
    """The setting that has batches written into a folder."""
    config: dict[str, Any] = {"storage": {"root": f"file://{root}", **storage}}
    return config if size is None else {**config, "batch_size": size}
