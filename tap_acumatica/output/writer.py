"""Writes messages: numbers with the server's digits, flushed when a target waits for them."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from singer_sdk.helpers._state import StateWriter
from singer_sdk.singerlib.encoding.base import GenericSingerWriter
from singer_sdk.singerlib.encoding.simple import Message, RecordMessage, StateMessage
from typing_extensions import override

from tap_acumatica.odata.payload.text_rows import TextRow
from tap_acumatica.output.batches import ENCODING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from singer_sdk.helpers.types import TapState

    from tap_acumatica.output.batches import Batch, BatchFolder


class Writer(GenericSingerWriter[bytes, Message]):
    """Writes one JSON object per line to stdout; records are flushed only with another message.

    Records may also go into batches. A batch ends before any other message, so that no state is
    ahead of the records that it counts.

    Attributes:
        batches: Where batches are written; None: nowhere.
    """

    def __init__(self) -> None:
        self.batches: BatchFolder | None = None
        self._batch: Batch | None = None
        self._encoder = msgspec.json.Encoder(decimal_format="number")

    @override
    def serialize_message(self, message: Message) -> bytes:
        return self._encoder.encode(_content(message)) + b"\n"

    @override
    def write_message(self, message: Message) -> None:
        self.end_batch()
        sys.stdout.buffer.write(self.format_message(message))
        if not isinstance(message, RecordMessage):
            sys.stdout.buffer.flush()

    def write_records(
        self,
        stream: str,
        records: Sequence[dict[str, Any]],
        version: int | None,
        time_extracted: datetime,
    ) -> None:
        """Write several records at once, each as `write_message` would write it."""
        head = {"type": "RECORD", "stream": stream}
        tail: dict[str, Any] = {"time_extracted": time_extracted}
        if version is not None:
            tail = {"version": version, **tail}
        start = self._encoder.encode(head)[:-1] + b',"record":'
        end = b"," + self._encoder.encode(tail)[1:] + b"\n"
        if records:
            sys.stdout.buffer.write(start + (end + start).join(self._texts(records)) + end)

    def batch_records(self, stream: str, records: Sequence[dict[str, Any]]) -> None:
        """Write several records at once into the open batch, or into a new one.

        Raises:
            OutputFailed: They cannot be written.
        """
        assert self.batches  # noqa: S101 - there is a folder for them
        if self._batch is None:
            self._batch = self.batches.begin(stream)
        self._batch.write(b"\n".join([*self._texts(records), b""]))

    @property
    def has_old_batch(self) -> bool:
        """Whether a batch is open that is to end now, however few records it has."""
        return bool(self._batch and self.batches and self.batches.is_old(self._batch))

    def end_batch(self) -> None:
        """End the open batch, if there is one, with the message that names its file.

        Raises:
            OutputFailed: Not all of its records could be written.
        """
        if self._batch is None:
            return
        message = {
            "type": "BATCH",
            "stream": self._batch.stream,
            "encoding": ENCODING,
            "manifest": [self._batch.end()],
        }
        self._batch = None
        sys.stdout.buffer.write(self._encoder.encode(message) + b"\n")
        sys.stdout.buffer.flush()

    @contextmanager
    def batching(self) -> Iterator[None]:
        """End the open batch at the end, whatever happens."""
        try:
            yield
        finally:
            self.end_batch()

    def _texts(self, records: Sequence[dict[str, Any]]) -> list[bytes]:
        """Return records as JSON."""
        return [
            record.text if isinstance(record, TextRow) else self._encoder.encode(record)
            for record in records
        ]

    def write_state(self, state: bytes) -> None:
        """Write a state that is already encoded as JSON."""
        self.end_batch()
        sys.stdout.buffer.write(b'{"type":"STATE","value":' + state + b"}\n")
        sys.stdout.buffer.flush()


class PacedStateWriter(StateWriter):
    """Writes at most one state in ten seconds, but for those that must not wait.

    A state is that of all streams, and each stream ends with one, so the bytes would grow with the
    square of the number of streams.

    Attributes:
        INTERVAL: Minimum number of seconds between two states.
    """

    INTERVAL: ClassVar[float] = 10

    def __init__(
        self,
        writer: GenericSingerWriter[Any, Message],
        origin: Mapping[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare to write states.

        Args:
            writer: Writes the messages.
            origin: What each state that is not empty says beside its bookmarks.
            clock: Returns the time in seconds.
        """
        super().__init__(writer)
        self._writer = writer
        self._origin = origin or {}
        self._clock = clock
        self._last: bytes | None = None
        self._begun = -inf

    def begin(self) -> None:
        """Let the interval before the next state begin now."""
        self._begun = self._clock()

    @override
    def write_state(self, state: TapState) -> None:
        """Write the state, unless the last one is too young; a later one says the same then."""
        if self._clock() - self._begun >= self.INTERVAL:
            self.write_now(state)

    def write_now(self, state: TapState) -> None:
        """Write the state, unless it is the same as the last one."""
        self.begin()
        if state:
            state = {**state, **self._origin}  # type: ignore[typeddict-item] # beside the SDK's
        encoded = msgspec.json.encode(state)
        if encoded == self._last:
            return
        if isinstance(self._writer, Writer):
            self._writer.write_state(encoded)
        else:
            self._writer.write_message(StateMessage(value=state))
        self._last = encoded


def _content(message: Message) -> dict[str, Any]:
    if isinstance(message, StateMessage):
        # The same as the SDK's `to_dict`, without its deep copy of the state.
        return {"type": message.type.value, "value": message.value}
    return message.to_dict()
