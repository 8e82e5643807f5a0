"""Writes messages: numbers with the digits that came, and flushed where a target waits for them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import msgspec
from singer_sdk.singerlib.encoding.base import GenericSingerWriter
from singer_sdk.singerlib.encoding.simple import Message, RecordMessage, StateMessage
from typing_extensions import override

if TYPE_CHECKING:
    from typing import Any


class Writer(GenericSingerWriter[bytes, Message]):
    """One JSON object a line on stdout; records are flushed with the next other message."""

    def __init__(self) -> None:
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    @override
    def serialize_message(self, message: Message) -> bytes:
        return self._encoder.encode(_content(message)) + b"\n"

    @override
    def write_message(self, message: Message) -> None:
        sys.stdout.buffer.write(self.format_message(message))
        if not isinstance(message, RecordMessage):
            sys.stdout.buffer.flush()


def _content(message: Message) -> dict[str, Any]:
    if isinstance(message, StateMessage):
        # The SDK copies the whole state, value by value, to do the same.
        return {"type": message.type.value, "value": message.value}
    return message.to_dict()
