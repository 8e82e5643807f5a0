"""A model of a target: it upserts by key, appends without one, and retires on ACTIVATE_VERSION."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from singer_sdk.singerlib import (
    ActivateVersionMessage,
    RecordMessage,
    SchemaMessage,
    StateMessage,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from singer_sdk.singerlib.encoding.simple import Message

    from support.simulation import Row


class Target:
    """The tables that the messages of all runs so far have made, and the last state."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self._keys: dict[str, tuple[str, ...]] = {}
        self._tables: dict[str, dict[Any, tuple[int, Row]]] = {}
        self._appended = 0

    def copy(self) -> Target:
        """Return a target that holds the same, to which other messages may be sent."""
        target = copy(self)
        target._keys = dict(self._keys)
        target._tables = {stream: dict(table) for stream, table in self._tables.items()}
        return target

    def receive(self, messages: Iterable[Message]) -> None:
        """Store what the messages say."""
        for message in messages:
            match message:
                case SchemaMessage():
                    self._keys[message.stream] = tuple(message.key_properties or ())
                    self._tables.setdefault(message.stream, {})
                case RecordMessage():
                    identity = self._identity(message)
                    self._tables[message.stream][identity] = (message.version or 0, message.record)
                case ActivateVersionMessage():
                    table = self._tables[message.stream]
                    self._tables[message.stream] = {
                        identity: (version, row)
                        for identity, (version, row) in table.items()
                        if version == message.version
                    }
                case StateMessage():
                    self.state = dict(message.value)

    def rows(self, stream: str) -> Iterator[Row]:
        """Return the rows of a table."""
        return (row for _, row in self._tables.get(stream, {}).values())

    def _identity(self, message: RecordMessage) -> Any:
        key = self._keys[message.stream]
        if key:
            return tuple([message.record[name] for name in key])
        self._appended += 1
        return self._appended
