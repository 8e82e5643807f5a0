"""The query options of a data request, as SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.errors import Refusal, not_found
from sandbox.expand import Expanded, read, related_sql
from sandbox.filters import ReadLiteral, column_of, condition, read_instant
from sandbox.store import VISIBLE, Store, flag, joined, name
from sandbox.values import instant, traits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.model import Column, EntityType

REFUSED = ("$apply", "$search", "$skiptoken", "$inlinecount", "$compute")
LARGEST = 2**31 - 1
CHUNK = 16  # columns joined at a time: joining all in one row of || copies the text again each time


@dataclass
class Reading:
    """How a server reads a table; the fields are what quirks and faults change."""

    json: dict[str, str] = field(default_factory=dict)  # SQL templates by lower-case column
    instant_json: str | None = None
    read_literal: ReadLiteral = read_instant
    cap: int | None = None
    count: bool = True
    order: bool = True
    filter: bool = True
    nulls_last: bool = False
    shuffle_ties: bool = False
    vanished: frozenset[str] = frozenset()
    restricted_returned: bool = False
    related_cap: int | None = None
    source: str | None = None  # the subquery of an inquiry; else the table of the class


@dataclass(frozen=True)
class Page:
    """Rows as JSON text, with what the answer says beside them."""

    rows: list[str]
    count: int | None
    selected: tuple[str, ...]
    more: bool = False
    columns: tuple[Column, ...] = ()


def whole_number(options: Mapping[str, str], option: str) -> int | None:
    """The value of ``$top`` or ``$skip``."""
    text = options.get(option)
    if text is None:
        return None
    if not text.isdecimal() or int(text) > LARGEST:
        message = f"Invalid value '{text}' for {option} query option found: not a whole number."
        raise Refusal(message)
    return int(text)


def known(column: Column, entity_type: EntityType, reading: Reading) -> Column:
    """Refuse a column that has vanished."""
    if column.name.lower() in reading.vanished:
        message = f"Could not find a property named '{column.name}' on type '{entity_type.name}'."
        raise Refusal(message)
    return column


def selected(entity_type: EntityType, options: Mapping[str, str], reading: Reading) -> list[Column]:
    """The columns of the answer, in the order asked for."""
    names = [each.strip() for each in options.get("$select", "").split(",") if each.strip()]
    if not names or names == ["*"]:
        lost = reading.vanished
        every = reading.restricted_returned
        offered = tuple(entity_type.columns.values()) if every else entity_type.readable
        return [each for each in offered if each.name.lower() not in lost]
    found = [
        known(column_of(entity_type, each, selecting=True), entity_type, reading) for each in names
    ]
    return list(dict.fromkeys(found))


def ordering(entity_type: EntityType, options: Mapping[str, str], reading: Reading) -> str:
    """The ORDER BY clause; without ``$orderby`` the key, or none at all for an inquiry."""
    if reading.source and not (reading.order and options.get("$orderby")):
        return "ORDER BY random()"
    if not reading.order:
        return "ORDER BY rowid * 7919 % 10007"
    last = " NULLS LAST" if reading.nulls_last else ""
    parts = []
    for each in filter(None, map(str.strip, options.get("$orderby", "").split(","))):
        words = each.split()
        direction = words[1].lower() if len(words) > 1 else "asc"
        if direction not in {"asc", "desc"} or len(words) > 2:  # noqa: PLR2004 - name and direction
            message = f"Syntax error at position {len(each)} in '{each}'."
            raise Refusal(message)
        column = known(column_of(entity_type, words[0]), entity_type, reading)
        parts.append(f"{name(column.stored_as)} {direction.upper()}{last}")
    parts = parts or [name(entity_type.columns[each.lower()].stored_as) for each in entity_type.key]
    if reading.shuffle_ties:
        parts.append("random()")
    return "ORDER BY " + ",".join(parts) if parts else ""


def visible_rows(store: Store, entity_type: EntityType) -> list[str]:
    """The conditions of the rows that are of a type, and were committed by now."""
    parts = [f"{name(flag(each))}=1" for each in entity_type.bases[-1:]]
    if store.hidden_rows:
        parts.append(f"({VISIBLE} IS NULL OR {VISIBLE}<='{instant(store.clock.now())}')")
    return parts


def conditions(
    store: Store, entity_type: EntityType, options: Mapping[str, str], reading: Reading
) -> str:
    """The WHERE clause."""
    parts = [] if reading.source else visible_rows(store, entity_type)
    text = options.get("$filter", "").strip()
    if text:
        wanted = condition(text, entity_type, reading.read_literal)
        for lost in filter(None, map(entity_type.columns.get, reading.vanished)):
            if name(lost.stored_as) in wanted:
                known(lost, entity_type, reading)
        if reading.filter:
            parts.append(wanted)
    return "WHERE " + " AND ".join(parts) if parts else ""


def json_sql(
    columns: Iterable[Column], reading: Reading, related: Mapping[str, str] | None = None
) -> str:
    """The SQL expression that makes the JSON object of a row.

    Args:
        columns: What it holds.
        reading: How values are written.
        related: SQL expressions of what else it holds, by name.
    """
    parts = []
    for column in columns:
        kind = traits(column.declared.type)
        template = reading.json.get(column.name.lower(), kind.json)
        if kind.group == "instant" and reading.instant_json and template == kind.json:
            template = reading.instant_json.replace("{date}", str(int(column.declared.is_date)))
        if column.restricted:
            template = "'null'"
        text = template.replace("{0}", name(column.stored_as))
        parts.append(f"""'"{column.name}":'||{text}""")
    parts += [f"""'"{label}":'||{text}""" for label, text in (related or {}).items()]
    chunks = ["||','||".join(parts[at : at + CHUNK]) for at in range(0, len(parts), CHUNK)]
    return "'{'||" + ("||','||".join(f"({each})" for each in chunks) or "''") + "||'}'"


def expanded_sql(
    store: Store, tenant: str, expanded: Iterable[Expanded], reading: Reading, level: int = 0
) -> dict[str, str]:
    """The SQL expressions of related rows, by the names of the navigation properties."""
    found = {}
    for each in expanded:
        columns = selected(each.target, each.options, reading)
        further = expanded_sql(store, tenant, each.further, reading, level + 1)
        body = json_sql(columns, reading, further)
        where = visible_rows(store, each.target)
        store.index(each.target, tenant, [far for _, far in each.navigation.on])
        table = store.table(each.target, tenant)
        found[each.navigation.name] = related_sql(
            each, body, table, " AND ".join(where), level, reading.related_cap
        )
    return found


def check(options: Mapping[str, str]) -> None:
    """Refuse the options that the interface does not know."""
    for option in REFUSED:
        if option in options:
            message = f"The query parameter '{option}' is not supported."
            raise Refusal(message)


def read_page(
    store: Store, entity_type: EntityType, tenant: str, options: Mapping[str, str], reading: Reading
) -> Page:
    """Read what a request asks for.

    Raises:
        Refusal: The request cannot be served.
    """
    check(options)
    columns = selected(entity_type, options, reading)
    top, skip = whole_number(options, "$top"), whole_number(options, "$skip")
    limit = top if reading.cap is None else min(filter_none(top, reading.cap))
    table = reading.source or store.table(entity_type, tenant)
    where = conditions(store, entity_type, options, reading)
    order = ordering(entity_type, options, reading)
    expand = options.get("$expand", "").strip()
    expanded = read(store.model, entity_type, expand) if expand else ()
    body = json_sql(columns, reading, expanded_sql(store, tenant, expanded, reading))
    window = f"LIMIT {-1 if limit is None else limit + 1} OFFSET {skip or 0}"
    sql = joined("SELECT", body, "FROM", table, "AS t0", where, order, window)
    rows = [str(row[0]) for row in store.read(sql)]
    more = limit is not None and len(rows) > limit
    count = None
    if reading.count and options.get("$count", "").lower() == "true":
        count = count_rows(store, entity_type, tenant, options, reading)
    names = [each.name for each in columns] if "$select" in options else []
    names += filter(None, (each.context for each in expanded))
    return Page(rows[:limit] if more else rows, count, tuple(names), more, tuple(columns))


def filter_none(*values: int | None) -> list[int]:
    """The values that are there."""
    return [each for each in values if each is not None]


def count_rows(
    store: Store, entity_type: EntityType, tenant: str, options: Mapping[str, str], reading: Reading
) -> int:
    """How many rows a filter lets through."""
    check(options)
    where = conditions(store, entity_type, options, reading)
    table = reading.source or store.table(entity_type, tenant)
    sql = joined("SELECT count(*) FROM", table, where)
    return int(str(store.read(sql)[0][0]))


def read_single(
    store: Store, entity_type: EntityType, tenant: str, options: Mapping[str, str], reading: Reading
) -> str:
    """The one object of a singleton.

    Raises:
        Refusal: There is none.
    """
    page = read_page(store, entity_type, tenant, {**options, "$top": "1"}, reading)
    if not page.rows:
        raise not_found(entity_type.sets[0])
    return page.rows[0]
