"""The bookmark of a stream, as the state holds it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.instants import bookmark_text, in_utc
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Mapping, MutableMapping, Sequence
    from datetime import datetime

VALUE: Final = "replication_key_value"
UNDATED: Final = "undated_rows_read_on"
SCOPE: Final = "scope"


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a stream was read.

    Attributes:
        instant: Rows changed before it were delivered; None: none were.
        undated_read_on: Day (UTC, ISO) of the last read of rows without a date, or with one that
            is yet to come.
        scope: The settings that decide which rows exist, as they were; those at their default
            left out.
    """

    instant: datetime | None = None
    undated_read_on: str | None = None
    scope: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, state: Mapping[str, Any], replication_key: str | None) -> Bookmark:
        """The bookmark in a stream's state. One of another replication key is none.

        Raises:
            ValueError: Its value is no date-time.
        """
        value = state.get(VALUE)
        if not value or state.get("replication_key") != replication_key:
            return cls()
        return cls(_moment(value), state.get(UNDATED), state.get(SCOPE) or {})

    def narrower_than(self, scope: Mapping[str, Any]) -> bool:
        """Whether rows may be in this scope that were not in the bookmark's."""
        started, starts = self.scope.get("start_date"), scope.get("start_date")
        if started and (not starts or starts < started):
            return True
        names = (self.scope.keys() | scope.keys()) - {"start_date"}
        return any(self.scope.get(name) != scope.get(name) for name in names)

    def store(self, state: MutableMapping[str, Any], replication_key: str) -> None:
        """Put it into a stream's state in place of the one there, if that is not ahead of it.

        A bookmark without an instant starts the stream anew. One of another replication key says
        nothing about this one.
        """
        last = Bookmark.of(state, replication_key).instant
        if self.instant is None:
            state.pop(VALUE, None)
            state.pop("replication_key", None)
        else:
            state["replication_key"] = replication_key
            state[VALUE] = bookmark_text(max(self.instant, last or self.instant))
        for name, content in ((UNDATED, self.undated_read_on), (SCOPE, dict(self.scope))):
            if content:
                state[name] = content
            else:
                state.pop(name, None)


class _Scope(msgspec.Struct):
    start_date: str | None = None


class _Entry(msgspec.Struct):
    scope: _Scope | None = None


class _Partition(_Entry, kw_only=True):
    context: dict[str, Any]


class _Partitioned(_Entry):
    partitions: list[_Partition] = []


def require_shape(state: Mapping[str, Any]) -> None:
    """Refuse a state that is not as the tap writes it: by mistake everything would be read anew.

    Raises:
        SettingsError: It is another object, or damaged.
    """
    if state and not isinstance(state.get("bookmarks"), dict):
        message = (
            f"The state holds no object bookmarks (found {', '.join(state)}): give what the target "
            "wrote, which is the value of the last STATE message."
        )
        raise SettingsError(message)
    for stream, entry in state.get("bookmarks", {}).items():
        try:
            partitions = msgspec.convert(entry, _Partitioned).partitions
        except msgspec.ValidationError as error:
            message = (
                f"The state of {stream} is damaged ({error}): correct it, or take the stream's "
                "entry out, so that it is read anew."
            )
            raise SettingsError(message) from error
        contexts = [each.context for each in partitions]
        for place, context in enumerate(contexts):
            if context in contexts[:place]:
                message = (
                    f"The state of {stream} holds the partition {context} twice: take out one of "
                    "them."
                )
                raise SettingsError(message)


def warn_of_other_spellings(state: Mapping[str, Any], column: str, tenants: Sequence[str]) -> None:
    """Warn of tenants that the state knows in other letters: they are read anew, as others."""
    known = {
        str(partition["context"].get(column))
        for entry in state.get("bookmarks", {}).values()
        for partition in entry.get("partitions", ())
    }
    for tenant in tenants:
        alike = [each for each in known if each.casefold() == tenant.casefold()]
        if alike and tenant not in alike:
            logger.warning(
                "The state knows the tenant %s as %s: it is read anew, since its records get "
                "another key. Spell it so in the setting tenants to go on from there.",
                tenant,
                alike[0],
            )


def _moment(value: Any) -> datetime:  # noqa: ANN401 - states can be written by hand
    if not isinstance(value, str):
        message = f"{value!r} is no text"
        raise ValueError(message)  # noqa: TRY004 - as for texts that are no date-time
    return in_utc(value)
