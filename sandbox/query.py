"""Data requests: query options translated to SQL, and the rows they select."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sandbox.errors import Refusal, not_found
from sandbox.expand import Expanded, parse_expand, related_sql
from sandbox.filters import ParseInstant, filter_condition, find_column, parse_instant
from sandbox.store import (
    ARCHIVED,
    DELETED,
    HIDDEN,
    RESTRICTED,
    VISIBLE,
    Store,
    identifier,
    joined,
    type_flag,
)
from sandbox.values import instant, traits

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sandbox.model import Column, EntityType

REFUSED = ("$apply", "$search", "$skiptoken", "$inlinecount", "$compute")
MAX_INT32 = 2**31 - 1
# Columns concatenated at a time: each || copies the text so far, so one long chain is quadratic.
CHUNK_COLUMNS = 16


@dataclass
class ReadSettings:
    """How a table is read; quirks and faults change the fields.

    Attributes:
        json_templates: SQL templates that make JSON of a column, by lower-case column name.
        instant_template: SQL template for instants, in place of the usual one.
        parse_instant: Parser of instants in filters.
        cap: Maximum number of rows in a page.
        apply_count: Whether ``$count`` is applied.
        apply_order: Whether ``$orderby`` is applied.
        apply_filter: Whether ``$filter`` is applied.
        nulls_last: Whether nulls are sorted last.
        shuffle_ties: Whether rows of equal order come in random order.
        vanished_columns: Lower-case names of the columns that have vanished.
        restricted_returned: Whether rows without ``$select`` hold restricted columns, as nulls.
        related_cap: Maximum number of rows in an expanded array.
        source: Subquery of an inquiry or a function, or None for the table of the class.
        hidden: Which rows stay hidden: archived ones, those marked as deleted, restricted ones.
    """

    json_templates: dict[str, str] = field(default_factory=dict)
    instant_template: str | None = None
    parse_instant: ParseInstant = parse_instant
    cap: int | None = None
    apply_count: bool = True
    apply_order: bool = True
    apply_filter: bool = True
    nulls_last: bool = False
    shuffle_ties: bool = False
    vanished_columns: frozenset[str] = frozenset()
    restricted_returned: bool = False
    related_cap: int | None = None
    source: str | None = None
    hidden: int = ARCHIVED | DELETED | RESTRICTED


@dataclass(frozen=True)
class Page:
    """A page of rows.

    Attributes:
        rows: JSON objects, as text.
        count: Number of rows that fit the filter, if requested.
        selected: Select list of the context URL.
        more: Whether further rows follow the page.
        columns: Columns of the rows.
    """

    rows: list[str]
    count: int | None
    selected: tuple[str, ...]
    more: bool = False
    columns: tuple[Column, ...] = ()


def integer_option(options: Mapping[str, str], option: str) -> int | None:
    """Return the value of ``$top`` or ``$skip``, if present.

    Raises:
        Refusal: The value is no integer in range.
    """
    text = options.get(option)
    if text is None:
        return None
    if not text.isdecimal() or int(text) > MAX_INT32:
        message = f"Invalid value '{text}' for {option} query option found: not a whole number."
        raise Refusal(message)
    return int(text)


def require_present(column: Column, entity_type: EntityType, settings: ReadSettings) -> Column:
    """Return a column, or refuse it if it has vanished."""
    if column.name.lower() in settings.vanished_columns:
        message = f"Could not find a property named '{column.name}' on type '{entity_type.name}'."
        raise Refusal(message)
    return column


def selected_columns(
    entity_type: EntityType, options: Mapping[str, str], settings: ReadSettings
) -> list[Column]:
    """Return the columns that ``$select`` names, in its order; without it, all readable ones."""
    names = list(filter(None, map(str.strip, options.get("$select", "").split(","))))
    if not names or names == ["*"]:
        all_columns = tuple(entity_type.columns.values())
        columns = all_columns if settings.restricted_returned else entity_type.readable
        vanished = settings.vanished_columns
        return [column for column in columns if column.name.lower() not in vanished]
    selected = [
        require_present(find_column(entity_type, name, selecting=True), entity_type, settings)
        for name in names
    ]
    return list(dict.fromkeys(selected))


def order_clause(
    entity_type: EntityType, options: Mapping[str, str], settings: ReadSettings
) -> str:
    """Return the ORDER BY clause: ``$orderby``, else the key, or random order for an inquiry."""
    if settings.source and not (settings.apply_order and options.get("$orderby")):
        return "ORDER BY random()"
    if not settings.apply_order:
        return "ORDER BY rowid * 7919 % 10007"
    nulls = " NULLS LAST" if settings.nulls_last else ""
    terms = []
    for term in filter(None, map(str.strip, options.get("$orderby", "").split(","))):
        words = term.split()
        direction = words[1].lower() if len(words) > 1 else "asc"
        if direction not in {"asc", "desc"} or len(words) > 2:  # noqa: PLR2004 - name and direction
            message = f"Syntax error at position {len(term)} in '{term}'."
            raise Refusal(message)
        column = require_present(find_column(entity_type, words[0]), entity_type, settings)
        terms.append(f"{identifier(column.stored_as)} {direction.upper()}{nulls}")
    terms = terms or [
        identifier(entity_type.columns[key.lower()].stored_as) for key in entity_type.key
    ]
    if settings.shuffle_ties:
        terms.append("random()")
    return "ORDER BY " + ",".join(terms) if terms else ""


def visibility_conditions(
    store: Store, entity_type: EntityType, settings: ReadSettings
) -> list[str]:
    """Return the SQL conditions of the rows that are of a type and visible by now."""
    conditions = [f"{identifier(type_flag(base))}=1" for base in entity_type.bases[-1:]]
    if store.hidden_rows:
        conditions.append(f"({VISIBLE} IS NULL OR {VISIBLE}<='{instant(store.clock.now())}')")
    if store.marked_rows:
        conditions.append(f"{HIDDEN} & {settings.hidden} = 0")
    return conditions


def where_clause(
    store: Store, entity_type: EntityType, options: Mapping[str, str], settings: ReadSettings
) -> str:
    """Return the WHERE clause."""
    conditions = [] if settings.source else visibility_conditions(store, entity_type, settings)
    text = options.get("$filter", "").strip()
    if text:
        condition = filter_condition(text, entity_type, settings.parse_instant)
        for column in filter(None, map(entity_type.columns.get, settings.vanished_columns)):
            if identifier(column.stored_as) in condition:
                require_present(column, entity_type, settings)
        if settings.apply_filter:
            conditions.append(condition)
    return "WHERE " + " AND ".join(conditions) if conditions else ""


def json_sql(
    columns: Iterable[Column], settings: ReadSettings, related: Mapping[str, str] | None = None
) -> str:
    """Return the SQL expression that makes the JSON object of a row.

    Args:
        columns: Columns of the object.
        settings: How values are written.
        related: SQL expressions of further members, by name.
    """
    members = []
    for column in columns:
        declared = column.declared
        type_traits = traits(declared.type)
        template = settings.json_templates.get(column.name.lower(), type_traits.json)
        usual = template == type_traits.json
        if type_traits.group == "instant" and settings.instant_template and usual:
            template = settings.instant_template.replace("{date}", str(int(declared.is_date)))
        if column.restricted:
            template = "'null'"
        text = template.replace("{0}", identifier(column.stored_as))
        members.append(f"""'"{column.name}":'||{text}""")
    members += [f"""'"{label}":'||{text}""" for label, text in (related or {}).items()]
    chunks = [
        "||','||".join(members[at : at + CHUNK_COLUMNS])
        for at in range(0, len(members), CHUNK_COLUMNS)
    ]
    return "'{'||" + ("||','||".join(f"({chunk})" for chunk in chunks) or "''") + "||'}'"


def expanded_sql(
    store: Store, tenant: str, expanded: Iterable[Expanded], settings: ReadSettings, level: int = 0
) -> dict[str, str]:
    """Return the SQL expressions of related rows, by name of the navigation property."""
    expressions = {}
    for expansion in expanded:
        navigation, target = expansion.navigation, expansion.target
        columns = selected_columns(target, expansion.options, settings)
        nested = expanded_sql(store, tenant, expansion.nested, settings, level + 1)
        body = json_sql(columns, settings, nested)
        where = " AND ".join(visibility_conditions(store, target, settings))
        store.index(target, tenant, [far for _, far in navigation.on])
        table = store.table(target, tenant)
        expressions[navigation.name] = related_sql(
            expansion, body, table, where, level, settings.related_cap
        )
    return expressions


def refuse_unsupported(options: Mapping[str, str]) -> None:
    """Refuse the query options that the interface does not support."""
    for option in REFUSED:
        if option in options:
            message = f"The query parameter '{option}' is not supported."
            raise Refusal(message)


def read_page(
    store: Store,
    entity_type: EntityType,
    tenant: str,
    options: Mapping[str, str],
    settings: ReadSettings,
) -> Page:
    """Read the page that a request's query options select.

    Raises:
        Refusal: The options are not supported or not valid.
    """
    refuse_unsupported(options)
    columns = selected_columns(entity_type, options, settings)
    top, skip = integer_option(options, "$top"), integer_option(options, "$skip")
    limit = min((number for number in (top, settings.cap) if number is not None), default=None)
    table = settings.source or store.table(entity_type, tenant)
    where = where_clause(store, entity_type, options, settings)
    order = order_clause(entity_type, options, settings)
    expand = options.get("$expand", "").strip()
    expanded = parse_expand(store.model, entity_type, expand) if expand else ()
    body = json_sql(columns, settings, expanded_sql(store, tenant, expanded, settings))
    window = f"LIMIT {-1 if limit is None else limit + 1} OFFSET {skip or 0}"
    sql = joined("SELECT", body, "FROM", table, "AS t0", where, order, window)
    rows = [str(row[0]) for row in store.read(sql)]
    more = limit is not None and len(rows) > limit
    count = None
    if settings.apply_count and options.get("$count", "").lower() == "true":
        count = count_rows(store, entity_type, tenant, options, settings)
    names = [column.name for column in columns] if "$select" in options else []
    names += filter(None, (expansion.context for expansion in expanded))
    return Page(rows[:limit] if more else rows, count, tuple(names), more, tuple(columns))


def count_rows(
    store: Store,
    entity_type: EntityType,
    tenant: str,
    options: Mapping[str, str],
    settings: ReadSettings,
) -> int:
    """Count the rows that fit the filter."""
    refuse_unsupported(options)
    where = where_clause(store, entity_type, options, settings)
    table = settings.source or store.table(entity_type, tenant)
    sql = joined("SELECT count(*) FROM", table, where)
    return int(str(store.read(sql)[0][0]))


def read_single(
    store: Store,
    entity_type: EntityType,
    tenant: str,
    options: Mapping[str, str],
    settings: ReadSettings,
) -> str:
    """Read the one object of a singleton.

    Raises:
        Refusal: The singleton has no object.
    """
    page = read_page(store, entity_type, tenant, {**options, "$top": "1"}, settings)
    if not page.rows:
        raise not_found(entity_type.sets[0])
    return page.rows[0]
