"""The bookmark of a stream in the state."""

from __future__ import annotations

from collections import Counter
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
COLUMNS: Final = "columns"
KEY: Final = "key"
"""State key of the columns that identify a record."""
METHOD: Final = "method"
"""State key of the replication method of a stream that is read in full."""
GONE: Final = "gone"
"""State key of a stream that is gone: whether that has been said."""
WAS_READ: Final = "was_read"
"""State key of a stream without a bookmark: it had rows before, so it is missed if refused."""
GENERATION: Final = "generation"
"""State key of a tenant's generation."""
SCHEMA: Final = "schema"
"""State key of the code of a stream's last SCHEMA message."""
SITE: Final = "site"
"""State key beside the bookmarks: the site that they are of."""
TENANT: Final = "tenant"
"""State key beside the bookmarks: the tenant of those that have no partitions, if it is known."""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """How far a stream was read.

    Attributes:
        instant: All rows changed before it were delivered; None: no row was.
        undated_read_on: Day (UTC, ISO) of the last read of the rows that have no date, or a future
            one.
        scope: The values that the settings had that decide which rows exist; those at their
            default are left out.
        columns: The columns that the rows were read with (`memory.column_codes`); empty if the
            state does not say.
    """

    instant: datetime | None = None
    undated_read_on: str | None = None
    scope: Mapping[str, Any] = field(default_factory=dict)
    columns: str = ""

    @classmethod
    def of(cls, state: Mapping[str, Any], replication_key: str | None) -> Bookmark:
        """Return the bookmark in a stream's state; an empty one if the replication key differs.

        Raises:
            ValueError: The bookmark's value is no date-time.
        """
        value = state.get(VALUE)
        if value and state.get("replication_key") != replication_key:
            return cls()
        # A first read has a scope before it has an instant: its first bookmark inherits it.
        instant = _instant(value) if value else None
        columns = state.get(COLUMNS) or ""
        return cls(instant, state.get(UNDATED), state.get(SCOPE) or {}, columns)

    def narrower_than(self, scope: Mapping[str, Any]) -> bool:
        """Whether this scope may contain rows that the bookmark's scope did not."""
        old_start, new_start = self.scope.get("start_date"), scope.get("start_date")
        if old_start and (not new_start or new_start < old_start):
            return True
        names = (self.scope.keys() | scope.keys()) - {"start_date"}
        return any(self.scope.get(name) != scope.get(name) for name in names)

    def store(self, state: MutableMapping[str, Any], replication_key: str) -> None:
        """Replace the bookmark in a stream's state, but never by an earlier instant.

        A bookmark without an instant has the stream read from the beginning. A bookmark of another
        replication key is replaced in any case.
        """
        stored = Bookmark.of(state, replication_key).instant
        if self.instant is None:
            state.pop(VALUE, None)
            state.pop("replication_key", None)
        else:
            state["replication_key"] = replication_key
            state[VALUE] = bookmark_text(max(self.instant, stored or self.instant))
        parts = {
            UNDATED: self.undated_read_on,
            SCOPE: dict(self.scope),
            COLUMNS: self.columns,
        }
        for name, value in parts.items():
            if value:
                state[name] = value
            else:
                state.pop(name, None)


class Generation(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far the full reads of a stream in a tenant are; instants are epoch seconds.

    Attributes:
        version: All of the tenant's rows that live carry it in the target, or a later one; 0 if
            that is not known.
        first: Whether that is since the first load, not since a full read.
        rows: Number of rows that the last full read that was believed has brought, or the first
            load.
        reading: The version of the full read that is under way; 0: none is.
        place: Literals of the key up to which its records are written.
        read: Number of rows up to there or, until rows are retired by it, of the whole read.
        shape: A code for what it brings, and for how that is written.
        due: When a full read is tried again; 0: at its interval.
    """

    version: int = 0
    first: bool = False
    rows: int | None = None
    reading: int = 0
    place: tuple[str, ...] = ()
    read: int | None = None
    shape: str = ""
    due: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Generation:
        """Return what the state of a partition says."""
        return msgspec.convert(state.get(GENERATION) or {}, cls)

    def store(self, state: MutableMapping[str, Any]) -> None:
        """Write it into the state of a partition."""
        state[GENERATION] = msgspec.to_builtins(self)


class _Origin(msgspec.Struct):
    site: str | None = None
    tenant: str | None = None


class _Scope(msgspec.Struct):
    start_date: str | None = None


class _Entry(msgspec.Struct):
    replication_key: str | None = None
    undated_rows_read_on: str | None = None
    scope: _Scope | None = None
    columns: str | None = None
    key: list[str] | None = None
    method: str | None = None
    gone: bool | None = None
    was_read: bool | None = None
    schema: str | None = None
    generation: Generation | None = None


class _Partition(_Entry, kw_only=True):
    context: dict[str, str | int | float | bool | None]


class _Partitioned(_Entry):
    partitions: list[_Partition] = []


def require_shape(state: Mapping[str, Any]) -> None:
    """Refuse a state that the tap did not write: ignoring it would read everything again.

    Raises:
        SettingsError: The state is another object, or damaged, or a bookmark is not a date-time.
    """
    if state and not isinstance(state.get("bookmarks"), dict):
        message = (
            f"The state has no bookmarks object (found: {', '.join(state)}): pass the state as the "
            "target wrote it, which is the value of the last STATE message."
        )
        raise SettingsError(message)
    try:
        msgspec.convert(state, _Origin)
    except msgspec.ValidationError as error:
        message = f"The state is damaged ({error}): correct it, or start without it."
        raise SettingsError(message) from error
    for stream, entry in state.get("bookmarks", {}).items():
        try:
            partitions = msgspec.convert(entry, _Partitioned).partitions
            for part in (entry, *entry.get("partitions", ())):
                Bookmark.of(part, part.get("replication_key"))
        except msgspec.ValidationError as error:
            message = (
                f"The state of {stream} is damaged ({error}): correct it, or remove the stream's "
                "entry to read the stream from the beginning."
            )
            raise SettingsError(message) from error
        except ValueError as error:
            message = (
                f"The bookmark of {stream} is not a date-time ({error}): correct the state, or "
                "remove the stream's entry."
            )
            raise SettingsError(message) from error
        counts = Counter(frozenset(partition.context.items()) for partition in partitions)
        for context, count in counts.most_common(1):
            if count > 1:
                message = (
                    f"The state of {stream} holds the partition {dict(context)} twice: remove one "
                    "of them."
                )
                raise SettingsError(message)


def part_of(entry: Mapping[str, Any], column: str | None, tenant: str | None) -> Mapping[str, Any]:
    """Return the part of a stream's state that is a tenant's; empty if there is none.

    Args:
        entry: The state of the stream.
        column: The column that holds the tenant; None if the settings name no tenants.
        tenant: The tenant.
    """
    if column is None:
        return entry
    parts: Sequence[Mapping[str, Any]] = entry.get("partitions", ())
    return next((part for part in parts if part["context"].get(column) == tenant), {})


def tenants_in(state: Mapping[str, Any]) -> list[str]:
    """Return the tenants of which a state holds bookmarks, whatever their column was called."""
    return sorted(
        {
            str(tenant)
            for entry in state.get("bookmarks", {}).values()
            for partition in entry.get("partitions", ())
            for tenant in partition["context"].values()
        }
    )


def require_same_origin(state: Mapping[str, Any], site: str, tenant: str | None) -> None:
    """Refuse a state of another site or tenant: its bookmarks would leave out rows of this one.

    A state that does not name them was written by an older release, and is taken as it is.

    Args:
        state: The state.
        site: `Address.site_name` of the settings.
        tenant: The tenant that the address or the account names; None if the settings name
            tenants, which are partitions of the state, or if nothing names it.

    Raises:
        SettingsError: The state is of another site or tenant.
    """
    if not state.get("bookmarks"):
        return
    state_site, state_tenant = state.get(SITE), state.get(TENANT)
    if state_site and state_site != site:
        message = (
            f"The state is of the site {state_site}, but the setting url leads to {site}: if the "
            f"instance has moved, set {SITE} in the state to {site}; else start without this state."
        )
        raise SettingsError(message)
    if state_tenant and tenant and state_tenant.casefold() != tenant.casefold():
        message = (
            f"The state is of the tenant {state_tenant}, but the settings lead to {tenant}: if the "
            f"tenant was renamed, set {TENANT} in the state to {tenant}; else start without this "
            "state."
        )
        raise SettingsError(message)


def warn_of_other_spellings(state: Mapping[str, Any], tenants: Sequence[str]) -> None:
    """Warn of tenants that the state spells in another case: they are read as new tenants."""
    known = tenants_in(state)
    for tenant in tenants:
        spellings = [name for name in known if name.casefold() == tenant.casefold()]
        if spellings and tenant not in spellings:
            logger.warning(
                "The state spells the tenant %s as %s: it is read from the beginning, since its "
                "records get another key. To continue instead, use the state's spelling in the "
                "setting tenants.",
                tenant,
                spellings[0],
            )


def _instant(value: Any) -> datetime:  # noqa: ANN401 - states can be written by hand
    if not isinstance(value, str):
        message = f"{value!r} is no string"
        raise ValueError(message)  # noqa: TRY004 - as for strings that are no date-time
    return in_utc(value)
