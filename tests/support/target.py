"""A model of a target: it upserts by key, appends without one, and retires on ACTIVATE_VERSION."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
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

BATCH = 7
"""Number of records that are written at once."""


@dataclass(frozen=True)
class Manners:
    """What targets do differently.

    Attributes:
        drains: Whether ACTIVATE_VERSION waits for the records before it. Otherwise it comes before
            those of the last batch.
        keeps_unversioned: Whether rows without a version are never retired.
        deletes: Whether retired rows are deleted, not marked.
    """

    drains: bool = True
    keeps_unversioned: bool = False
    deletes: bool = True


class Target:
    """The tables that the messages of all runs so far have made, and the last state."""

    def __init__(self, manners: Manners | None = None) -> None:
        self.state: dict[str, Any] = {}
        self.manners = manners or Manners()
        self._keys: dict[str, tuple[str, ...]] = {}
        self._tables: dict[str, dict[Any, tuple[int | None, Row]]] = {}
        self._retired: dict[str, set[Any]] = {}
        self._batch: list[RecordMessage] = []
        self._appended = 0

    def copy(self) -> Target:
        """Return a target that holds the same, to which other messages may be sent."""
        target = copy(self)
        target._keys = dict(self._keys)
        target._tables = {stream: dict(table) for stream, table in self._tables.items()}
        target._retired = {stream: set(retired) for stream, retired in self._retired.items()}
        target._batch = [*self._batch]
        return target

    def receive(self, messages: Iterable[Message]) -> None:
        """Store what the messages say."""
        for message in messages:
            match message:
                case SchemaMessage():
                    self._keys[message.stream] = tuple(message.key_properties or ())
                    self._tables.setdefault(message.stream, {})
                    self._retired.setdefault(message.stream, set())
                case RecordMessage():
                    self._batch.append(message)
                    if len(self._batch) == BATCH:
                        self._write()
                case ActivateVersionMessage():
                    if self.manners.drains:
                        self._write()
                    self._retire(message.stream, message.version)
                case StateMessage():
                    self._write()
                    self.state = dict(message.value)
        self._write()

    def rows(self, stream: str) -> Iterator[Row]:
        """Return the rows of a table that are not retired."""
        retired = self._retired.get(stream, set())
        table = self._tables.get(stream, {})
        return (row for identity, (_, row) in table.items() if identity not in retired)

    def _write(self) -> None:
        """Write the records of the batch."""
        for message in self._batch:
            identity = self._identity(message)
            self._tables[message.stream][identity] = (message.version, message.record)
            self._retired[message.stream].discard(identity)
        self._batch.clear()

    def _retire(self, stream: str, current: int) -> None:
        table = self._tables[stream]
        old = [
            identity
            for identity, (version, _) in table.items()
            if (version is None and not self.manners.keeps_unversioned)
            or (version is not None and version < current)
        ]
        self._retired[stream].update(old)
        for identity in old if self.manners.deletes else ():
            del table[identity]

    def _identity(self, message: RecordMessage) -> Any:
        key = self._keys[message.stream]
        if key:
            return tuple([message.record[name] for name in key])
        self._appended += 1
        return self._appended
