"""What differs between a stream as it was and as it is now, with the consequences and remedies."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.catalog.given import FULL_TABLE, INCREMENTAL
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.log import logger
from tap_acumatica.reading.bookmarks import COLUMNS, GONE, KEY, METHOD, VALUE, WAS_READ, part_of
from tap_acumatica.reading.memory import (
    TYPES,
    column_types,
    path_code,
    remembered,
    type_code,
)

if TYPE_CHECKING:
    from collections.abc import (
        Callable,
        Collection,
        Iterable,
        Iterator,
        Mapping,
        MutableMapping,
        Sequence,
    )

    from tap_acumatica.catalog.plan import StreamPlan, Tenant

INQUIRY_PREFIX: Final = "GI_"
NAMES_SHOWN: Final = 20
"""Maximum number of columns that one sentence names."""


class Kind(StrEnum):
    """In what a stream differs."""

    COLUMN_ADDED = "column added"
    COLUMN_REMOVED = "column removed"
    COLUMN_RETYPED = "column retyped"
    KEY_CHANGED = "key changed"
    REPLICATION_KEY_GONE = "replication key gone"
    REPLICATION_KEY_RETYPED = "replication key retyped"
    METHOD_CHANGED = "method changed"
    ENTITY_GONE = "entity gone"
    ENTITY_NEW = "entity new"
    INQUIRY_RENAMED = "inquiry renamed"
    RIGHTS_LOST = "rights lost"


SENTENCES: Final[Mapping[Kind, str]] = {
    Kind.COLUMN_ADDED: (
        "{stream} has columns that were not read before ({names}): they stay null in the rows that "
        "do not change. To read all rows again, use tap-acumatica reread."
    ),
    Kind.COLUMN_REMOVED: (
        "{stream} is read without columns that it was read with before ({names}): the target keeps "
        "their last values. Drop them there; if they were renamed, use tap-acumatica reread."
    ),
    Kind.COLUMN_RETYPED: (
        "{stream} has columns of another type than before ({names}): target-postgres keeps its "
        "columns, so that it rounds what was a whole number, and ends with 'Altering columns is "
        "not supported' if text comes for another type. Drop the columns there, then use "
        "tap-acumatica reread."
    ),
    Kind.KEY_CHANGED: (
        "The key of {stream} is another one than before ({names}): the target still replaces rows "
        "by the old one. Rename or drop its table, then use tap-acumatica reread."
    ),
    Kind.REPLICATION_KEY_GONE: (
        "The replication key of {stream} is gone ({names}), so it is read from the beginning by "
        "another one: make sure that this date changes with each row."
    ),
    Kind.REPLICATION_KEY_RETYPED: (
        "The replication key of {stream} is no date-time any more ({names}), so it is read from "
        "the beginning by another one: make sure that this date changes with each row."
    ),
    Kind.METHOD_CHANGED: (
        "{stream} is read by its changes in another way ({names}): this run reads all rows, and "
        "rows that are deleted do not leave the target. If that is not meant, see replication_keys."
    ),
    Kind.ENTITY_GONE: (
        "The stream {stream}, which earlier runs read, is gone: its table in the target stays as "
        "it is. If the entity was renamed, select its new name; else drop the table."
    ),
    Kind.ENTITY_NEW: "The stream {stream} is new: it is read from the beginning.",
    Kind.INQUIRY_RENAMED: (
        "The inquiry {stream} seems to be called {names} now: it is read from the beginning, into "
        "a table of its own. Drop the old table, or give the inquiry its old title."
    ),
    Kind.RIGHTS_LOST: (
        "The account can no longer read {stream}, which earlier runs read: its table gets no more "
        "rows. Grant the right again, or leave the stream out."
    ),
}
"""For each kind what differs, what follows from it, and what to do."""

IN_FULL: Final[Mapping[Kind, str]] = {
    Kind.COLUMN_ADDED: (
        "{stream} has columns that were not read before ({names}): all rows get them in this run."
    ),
    Kind.REPLICATION_KEY_GONE: (
        "The replication key of {stream} is gone ({names}), so each run reads all rows: name "
        "another date in replication_keys, or give the entity the column back."
    ),
    Kind.REPLICATION_KEY_RETYPED: (
        "The replication key of {stream} is no date-time any more ({names}), so each run reads all "
        "rows: name another date in replication_keys."
    ),
    Kind.METHOD_CHANGED: (
        "{stream} is read in full now ({names}): each run reads all rows. If that is not meant, "
        "see tracking_type and the replication method in the catalog."
    ),
}
"""The same for streams that are read in full now, where it differs."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference of a stream.

    Attributes:
        names: What differs: columns, or the names of a key, a method or an inquiry.
        full: Whether all of the stream's rows are read now.
    """

    kind: Kind
    stream: str
    names: tuple[str, ...] = ()
    full: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return the difference as the run report has it."""
        return {
            "change": str(self.kind),
            "stream": self.stream,
            "names": list(self.names),
            "sentence": self.sentence,
        }

    @property
    def sentence(self) -> str:
        """What differs, what follows from it, and what to do."""
        shown = ", ".join(self.names[:NAMES_SHOWN])
        if len(self.names) > NAMES_SHOWN:
            shown += f" and {len(self.names) - NAMES_SHOWN} more"
        sentence = IN_FULL.get(self.kind) if self.full else None
        return (sentence or SENTENCES[self.kind]).format(stream=self.stream, names=shown)


class SchemaChanged(AcumaticaError):  # noqa: N818 - as the sentence says it
    """Streams are not what the state remembers, and that is not accepted."""

    def __init__(self, changes: Iterable[Change]) -> None:
        sentences = " ".join(change.sentence for change in changes)
        message = (
            "Streams are not what the state remembers of them, and the setting schema_changes is "
            f"fail, so nothing was read. {sentences} To accept these changes, run once with warn."
        )
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Shape:
    """What a stream consists of, and how it is read.

    Attributes:
        columns: The code of each column's type by the code of its path; empty if that is not known.
        key: The columns that identify a record; None if that is not known.
        replication_key: The replication key; None without one.
        method: The replication method; None if that is not known.
        names: The columns' paths by their codes, as far as they are known; also of columns that
            are not read.
        types: The columns' types, in words, by the codes of their paths.
    """

    columns: Mapping[str, str]
    key: tuple[str, ...] | None
    replication_key: str | None
    method: str | None
    names: Mapping[str, str] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_plan(cls, plan: StreamPlan, tenant: Tenant, *, selected: bool = True) -> Shape:
        """Return the shape of a stream in a tenant, according to a catalog.

        Args:
            plan: The stream's plan.
            tenant: The tenant.
            selected: Whether to take only the columns that are selected.
        """
        if not selected:
            plan = plan.with_all_columns()
        types = column_types(plan.table(tenant).columns)
        paths = [*plan.schema["properties"], *types]
        return cls(
            {path_code(path): type_code(kind) for path, kind in types.items()},
            plan.key,
            plan.replication_key if plan.incremental else None,
            plan.method,
            {path_code(path): path for path in paths},
            {path_code(path): TYPES.get(type_code(kind), kind) for path, kind in types.items()},
        )

    @classmethod
    def of_state(cls, state: Mapping[str, Any]) -> Shape:
        """Return what a state remembers of a stream in a tenant."""
        key, replication_key = state.get(KEY), state.get("replication_key")
        method = state.get(METHOD) or (INCREMENTAL if state.get(VALUE) else None)
        return cls(
            remembered(state.get(COLUMNS) or ""),
            None if key is None else tuple(key),
            replication_key if method == INCREMENTAL else None,
            method,
        )

    def type_of(self, code: str) -> str:
        """Return the type of the column with a path's code, in words."""
        return self.types.get(code) or TYPES.get(self.columns[code], "another type")


def compare(stream: str, before: Shape, now: Shape) -> Iterator[Change]:
    """Yield the differences of a stream."""
    full = now.method == FULL_TABLE
    told = before.replication_key and path_code(before.replication_key)
    retyped = {
        code: f"{now.names[code]}: {before.type_of(code)}, now {now.type_of(code)}"
        for code in before.columns.keys() & now.columns.keys()
        if before.columns[code] != now.columns[code]
    }
    replication = _replication(stream, before, now, retyped.get(told or ""))
    if replication:
        yield replication
        retyped.pop(told or "", None)
    names = {**before.names, **now.names}
    if before.columns and now.columns:
        added = [now.names[code] for code in now.columns.keys() - before.columns.keys()]
        gone = before.columns.keys() - now.columns.keys()
        gone -= {told} if replication else set()
        lists = {
            Kind.COLUMN_ADDED: added,
            Kind.COLUMN_REMOVED: [names.get(code, f"one with the code {code}") for code in gone],
            Kind.COLUMN_RETYPED: list(retyped.values()),
        }
        for kind, columns in lists.items():
            if columns:
                yield Change(kind, stream, tuple(sorted(columns)), full)
    if before.key is not None and now.key is not None and set(before.key) != set(now.key):
        keys = (", ".join(key) or "none" for key in (before.key, now.key))
        yield Change(Kind.KEY_CHANGED, stream, ("{}; now {}".format(*keys),), full)


def _replication(stream: str, before: Shape, now: Shape, retyped: str | None) -> Change | None:
    """Return the difference in how a stream is read, if there is one."""
    if None in {before.method, now.method}:
        return None
    if (before.method, before.replication_key) == (now.method, now.replication_key):
        return None
    full, old = now.method == FULL_TABLE, before.replication_key
    if old and path_code(old) not in now.names:
        return Change(Kind.REPLICATION_KEY_GONE, stream, (old,), full)
    if old and retyped and full:
        return Change(Kind.REPLICATION_KEY_RETYPED, stream, (retyped,), full)
    ways = [
        f"by {shape.replication_key}" if shape.replication_key else "in full"
        for shape in (before, now)
    ]
    return Change(Kind.METHOD_CHANGED, stream, ("before {}, now {}".format(*ways),), full)


def against_state(
    plans: Sequence[StreamPlan],
    bookmarks: Mapping[str, Any],
    known: Collection[str],
    fills: Callable[[StreamPlan], bool] = lambda _: False,
) -> list[Change]:
    """Return the differences between streams and what a state remembers, once for each stream.

    Args:
        plans: The plans of the streams to read.
        bookmarks: The bookmarks of the state.
        known: The names of all streams that there are, selected or not.
        fills: Whether all rows of a stream are read again for the sake of a new column.
    """
    if not bookmarks:
        return []
    changes: dict[Change, None] = {}
    for plan in plans:
        if plan.name not in bookmarks:
            changes[Change(Kind.ENTITY_NEW, plan.name)] = None
            continue
        for tenant in plan.partitions:
            part = part_of(bookmarks[plan.name], plan.settings.tenant_column, tenant)
            if part:
                shapes = Shape.of_state(part), Shape.of_plan(plan, tenant)
                for change in compare(plan.name, *shapes):
                    full = change.full or (change.kind is Kind.COLUMN_ADDED and fills(plan))
                    changes[replace(change, full=full)] = None
    planned = {plan.name for plan in plans}
    for stream, entry in bookmarks.items():
        parts = [entry, *entry.get("partitions", ())]
        was_read = any(part.get(VALUE) or part.get(WAS_READ) for part in parts)
        if stream in planned:
            entry.pop(GONE, None)
        if stream in planned or stream in known or not was_read or entry.get(GONE):
            continue
        columns = [remembered(part[COLUMNS]) for part in parts if part.get(COLUMNS)]
        changes[_gone(stream, columns, plans, changes)] = None
    return list(changes)


def against_instance(
    plans: Sequence[StreamPlan],
    names: Collection[str],
    now: Mapping[str, StreamPlan],
    known: Collection[str],
) -> list[Change]:
    """Return the differences between the streams of a catalog and those of the instance.

    Args:
        plans: The plans of the catalog.
        names: The names of all streams of the catalog, selected or not.
        now: The plans of the instance's streams, by name, which the settings include.
        known: The names of all streams that the instance has.
    """
    new = [plan for name, plan in now.items() if name not in names]
    changes = {Change(Kind.ENTITY_NEW, plan.name): None for plan in new}
    for plan in plans:
        shapes = [Shape.of_plan(plan, tenant, selected=False) for tenant in plan.partitions]
        if plan.name not in known:
            changes[_gone(plan.name, [shape.columns for shape in shapes], new, changes)] = None
        elif plan.name in now:
            for tenant, before in zip(plan.partitions, shapes, strict=True):
                after = Shape.of_plan(now[plan.name], tenant, selected=False)
                changes |= dict.fromkeys(compare(plan.name, before, after))
    return list(changes)


def _gone(
    stream: str,
    before: Sequence[Mapping[str, str]],
    plans: Iterable[StreamPlan],
    changes: dict[Change, None],
) -> Change:
    """Return that a stream is gone, or has another name: the new name is no new stream then."""
    for plan in plans:
        new = Change(Kind.ENTITY_NEW, plan.name)
        if not (new in changes and before and stream.startswith(INQUIRY_PREFIX)):
            continue
        shapes = (Shape.of_plan(plan, tenant) for tenant in plan.partitions)
        if plan.is_inquiry and before[0] in [shape.columns for shape in shapes]:
            del changes[new]
            return Change(Kind.INQUIRY_RENAMED, stream, (plan.name,))
    return Change(Kind.ENTITY_GONE, stream)


def remember(changes: Iterable[Change], bookmarks: MutableMapping[str, Any]) -> None:
    """Record in the bookmarks of the state which streams were said to be gone."""
    for change in changes:
        if change.kind in {Kind.ENTITY_GONE, Kind.INQUIRY_RENAMED}:
            bookmarks[change.stream][GONE] = True


def tell(changes: Iterable[Change], *, fail: bool) -> None:
    """Log the differences, or refuse them; that there is a new stream is no reason to refuse.

    Raises:
        SchemaChanged: There are differences, and they are not accepted.
    """
    refused = [change for change in changes if change.kind is not Kind.ENTITY_NEW]
    if fail and refused:
        raise SchemaChanged(refused)
    for change in changes:
        level = logger.info if change.kind is Kind.ENTITY_NEW else logger.warning
        level("%s", change.sentence, extra={"change": str(change.kind), "stream": change.stream})
