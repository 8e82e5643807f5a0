"""The tables: an SQLite file in a temporary folder, read by many threads at once."""

from __future__ import annotations

import base64
import itertools
import shutil
import sqlite3
import struct
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, LifoQueue
from typing import TYPE_CHECKING

from sandbox.clock import sql_server
from sandbox.values import Stored, compare_decimals, instant, traits

if TYPE_CHECKING:
    from sandbox.clock import Clock
    from sandbox.model import Column, EntityType, Model

Row = Mapping[str, object]
VISIBLE = "_visible"
HIDDEN = "_hidden"
ARCHIVED, DELETED, RESTRICTED = 1, 2, 4
"""Why a row is hidden: a bit each."""
DELETION_FLAG = "DeletedDatabaseRecord"
RESTORED_VERSION = 1_000_000  # above the row versions in any restored contents
MODIFIED = "LastModifiedDateTime"
STAMPS = ("CreatedDateTime", MODIFIED)
ADMIN = "b5344897-037e-4d58-b5c3-1bdfd0f47bf9"
AUDIT = {
    "CreatedByID": ADMIN,
    "LastModifiedByID": ADMIN,
    "CreatedByScreenID": "SO301000",
    "LastModifiedByScreenID": "SO301000",
}


def identifier(text: str) -> str:
    """Quote an SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


def joined(*words: str) -> str:
    """Join keywords, quoted identifiers and expressions built from them into a statement."""
    return " ".join(words)


class Store:
    """The rows of all tenants.

    Statements consist of keywords, quoted identifiers of the model, and parameters.

    Attributes:
        hidden_rows: Whether some rows become visible only at a later instant.
        marked_rows: Whether some rows are archived, marked as deleted or restricted.
        format_instant: Formats a stored instant for the wire.
    """

    def __init__(self, model: Model, tenants: Sequence[str], clock: Clock) -> None:
        self.model = model
        self.tenants = tuple(tenants)
        self.clock = clock
        self.hidden_rows = False
        self.marked_rows = False
        self.format_instant: Callable[[str, int, str], str] = lambda stored, *_: stored
        self._folder = Path(tempfile.mkdtemp(prefix="sandbox-"))
        self._path = self._folder / "rows.db"
        self._pool: LifoQueue[sqlite3.Connection] = LifoQueue()
        self._writing = threading.RLock()
        self._tables: set[str] = set()
        self._version = itertools.count(1)

    def contents(self) -> bytes:
        """Return the whole database, for another store with the same number of tenants."""
        with self._transaction() as connection, self.connection() as other:
            del connection  # the transaction alone matters: it keeps writers out
            return other.serialize()

    def restore(self, contents: bytes) -> None:
        """Take over the contents of another store."""
        self._path.write_bytes(contents)
        with self.connection() as connection:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            self._tables = {str(row[0]) for row in rows}
        self._version = itertools.count(RESTORED_VERSION)

    def close(self) -> None:
        """Close all connections and remove the file."""
        while True:
            try:
                self._pool.get_nowait().close()
            except Empty:
                break
        shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def connection(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection from the pool."""
        try:
            connection = self._pool.get_nowait()
        except Empty:
            connection = self._connect()
        try:
            yield connection
        finally:
            self._pool.put(connection)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, check_same_thread=False, isolation_level=None, timeout=60
        )
        connection.create_collation("DECIMAL", compare_decimals)
        connection.create_function("format_instant", 3, self._format_instant)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-65536")
        return connection

    def _format_instant(self, stored: str | None, is_date: int, shown: str) -> str | None:
        return None if stored is None else self.format_instant(stored, is_date, shown)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing, self.connection() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def table(self, entity_type: EntityType, tenant: str) -> str:
        """Return the quoted name of a type's table, which is created at its first use.

        Raises:
            ValueError: The tenant is unknown.
        """
        table = self._table(entity_type, tenant)
        if table not in self._tables:
            with self._writing:
                if table not in self._tables:
                    self._create(entity_type.root, table)
                    self._tables.add(table)
        return identifier(table)

    def _table(self, entity_type: EntityType, tenant: str) -> str:
        return f"{self.tenants.index(tenant)}:{entity_type.root.name}"

    def _create(self, root: EntityType, table: str) -> None:
        derived = self.model.derived_from(root)
        columns: dict[str, Column] = {}
        for entity_type in (root, *derived):
            columns.update({column.stored_as: column for column in entity_type.stored})
        fields = [
            f"{identifier(stored_as)} {traits(column.declared.type).declaration}"
            for stored_as, column in columns.items()
        ]
        fields += [
            f"{identifier(type_flag(entity_type))} INTEGER NOT NULL DEFAULT 0"
            for entity_type in derived
        ]
        with self._transaction() as connection:
            connection.execute(
                f"CREATE TABLE {identifier(table)} ({','.join(fields)}, {VISIBLE} TEXT,"
                f" {HIDDEN} INTEGER NOT NULL DEFAULT 0)"
            )
            for statement in indexes(root, table):
                connection.execute(statement)

    def index(self, entity_type: EntityType, tenant: str, columns: Sequence[str]) -> None:
        """Create an index on some columns, unless it exists."""
        table = self.table(entity_type, tenant)
        index = identifier(f"{self._table(entity_type, tenant)}:{','.join(columns)}")
        if index in self._tables:
            return
        fields = ",".join(identifier(entity_type.stored_as(column)) for column in columns)
        with self._transaction() as connection:
            connection.execute(
                joined("CREATE INDEX IF NOT EXISTS", index, "ON", table, f"({fields})")
            )
        self._tables.add(index)

    def next_version(self) -> str:
        """Return a new row version: eight bytes in base64."""
        return base64.b64encode(struct.pack(">Q", next(self._version))).decode()

    def defaults(self, entity_type: EntityType) -> dict[str, Stored]:
        """Return the default values of a new row, by stored column name."""
        now = instant(sql_server(self.clock.now()))
        values: dict[str, Stored] = {}
        for column in entity_type.stored:
            value: Stored = None
            if column.name in STAMPS:
                value = now
            elif column.name in AUDIT:
                value = AUDIT[column.name]
            elif column.declared.required or column.name in entity_type.key:
                value = traits(column.declared.type).default
            values[column.stored_as] = value
        return values

    def insert(self, entity_type: EntityType, rows: Iterable[Row], tenant: str) -> int:
        """Insert rows; a row replaces the one with its key.

        ``visible_at`` in a row is the instant from which on the row is visible.
        """
        table = self.table(entity_type, tenant)
        defaults = self.defaults(entity_type)
        columns = {
            column.name: (column.stored_as, traits(column.declared.type).store)
            for column in entity_type.stored
        }
        stored_as = list(defaults)
        version = "tstamp" if "tstamp" in columns else None
        flags = [type_flag(base) for base in entity_type.bases]
        fields = [*stored_as, *flags, VISIBLE, HIDDEN]

        def values(row: Row) -> list[Stored]:
            stored = dict(defaults)
            if version:
                stored[version] = self.next_version()
            visible_at = row.get("visible_at")
            for key, value in row.items():
                if key != "visible_at":
                    stored_name, store = columns[key]
                    stored[stored_name] = None if value is None else store(value)
            if visible_at is not None:
                self.hidden_rows = True
            visible = None if visible_at is None else instant(visible_at)
            return [*stored.values(), *(1 for _ in flags), visible, 0]

        slots = ",".join("?" * len(fields))
        names = ",".join(map(identifier, fields))
        words = ["INSERT INTO", table, f"({names}) VALUES ({slots})"]
        if entity_type.key:
            # A business account that becomes a customer or a vendor keeps its other roles.
            key = ",".join(map(identifier, entity_type.key))
            assignments = ",".join(f"{field}=excluded.{field}" for field in map(identifier, fields))
            words += [f"ON CONFLICT ({key}) DO UPDATE SET", assignments]
        sql = joined(*words)
        with self._transaction() as connection:
            return connection.executemany(sql, map(values, rows)).rowcount

    def update(  # noqa: PLR0913 - independent options
        self,
        entity_type: EntityType,
        key: Row,
        changes: Row,
        tenant: str,
        *,
        dated: bool = True,
        hidden: int | None = None,
    ) -> int:
        """Update the rows with a key, and return their number.

        Args:
            entity_type: Type of the rows.
            key: Columns that identify the rows.
            changes: New values of columns.
            tenant: Login name of the tenant.
            dated: Whether the change moves the modified date.
            hidden: Why the rows are hidden from now on, as bits; None: as before.
        """
        columns = {column.name: column for column in entity_type.stored}
        where, key_values = self._where(entity_type, key)
        with self._transaction() as connection:
            values = self._changes(columns, changes, dated=dated)
            if hidden is not None:
                self.marked_rows |= hidden > 0
                values[HIDDEN] = hidden
                if DELETION_FLAG in columns:
                    values[DELETION_FLAG] = int(hidden & DELETED > 0)
            assignments = ",".join(f"{identifier(name)}=?" for name in values)
            sql = joined("UPDATE", self.table(entity_type, tenant), "SET", assignments, where)
            return connection.execute(sql, [*values.values(), *key_values]).rowcount

    def bulk_update(
        self, entity_type: EntityType, changes: Row, limit: int | None, tenant: str
    ) -> int:
        """Update the first rows in key order at one instant, and return their number."""
        columns = {column.name: column for column in entity_type.stored}
        where, _ = self._where(entity_type, {})
        table = self.table(entity_type, tenant)
        order = ",".join(map(identifier, entity_type.key)) or "rowid"
        rows = joined("SELECT rowid FROM", table, where, "ORDER BY", order, "LIMIT ?")
        with self._transaction() as connection:
            values = self._changes(columns, changes)
            assignments = ",".join(f"{identifier(name)}=?" for name in values)
            sql = joined("UPDATE", table, "SET", assignments, "WHERE rowid IN (", rows, ")")
            parameters = [*values.values(), -1 if limit is None else limit]
            return connection.execute(sql, parameters).rowcount

    def delete(self, entity_type: EntityType, key: Row, tenant: str) -> int:
        """Delete the rows with a key, and return their number."""
        where, values = self._where(entity_type, key)
        with self._transaction() as connection:
            sql = joined("DELETE FROM", self.table(entity_type, tenant), where)
            return connection.execute(sql, values).rowcount

    def restrict(self, entity_type: EntityType, visible: int | None, tenant: str) -> int:
        """Hide all rows behind the first few in key order, or none; return the number of rows."""
        self.marked_rows = True
        where, _ = self._where(entity_type, {})
        table, key = self.table(entity_type, tenant), ",".join(map(identifier, entity_type.key))
        first = joined("SELECT rowid FROM", table, where, "ORDER BY", key or "rowid", "LIMIT ?")
        others = f"CASE WHEN rowid IN ({first}) THEN 0 ELSE {RESTRICTED} END"
        bits = f"{HIDDEN} & ~{RESTRICTED} | {others}"
        sql = joined("UPDATE", table, "SET", HIDDEN, "=", bits, where)
        with self._transaction() as connection:
            return connection.execute(sql, [-1 if visible is None else visible]).rowcount

    def values(self, entity_type: EntityType, column: str, key: Row, tenant: str) -> list[Stored]:
        """Return the stored values of a column in the rows with a key."""
        where, values = self._where(entity_type, key)
        table = self.table(entity_type, tenant)
        name = identifier(entity_type.stored_as(column))
        with self.connection() as connection:
            rows = connection.execute(joined("SELECT", name, "FROM", table, where), values)
            return [row[0] for row in rows]

    def _changes(
        self, columns: Mapping[str, Column], changes: Row, *, dated: bool = True
    ) -> dict[str, Stored]:
        values: dict[str, Stored] = {}
        if MODIFIED in columns and dated:
            values[MODIFIED] = instant(sql_server(self.clock.now()))
        if "tstamp" in columns:
            values["tstamp"] = self.next_version()
        for key, value in changes.items():
            values[columns[key].stored_as] = to_stored(columns[key], value)
        return values

    def _where(self, entity_type: EntityType, key: Row) -> tuple[str, list[Stored]]:
        columns = {column.name: column for column in entity_type.stored}
        conditions = [f"{identifier(type_flag(base))}=1" for base in entity_type.bases[-1:]]
        conditions += [f"{identifier(columns[name].stored_as)} IS ?" for name in key]
        values = [to_stored(columns[name], value) for name, value in key.items()]
        return "WHERE " + " AND ".join(conditions or ["1"]), values

    @contextmanager
    def bulk(self, entity_type: EntityType, tenant: str) -> Iterator[sqlite3.Connection]:
        """Lend a connection that inserts many rows; the table's indexes are rebuilt afterwards."""
        self.table(entity_type, tenant)
        table = self._table(entity_type, tenant)
        with self._transaction() as connection:
            for suffix in (":key", ":modified"):
                connection.execute(f"DROP INDEX IF EXISTS {identifier(table + suffix)}")
            yield connection
            for statement in indexes(entity_type.root, table):
                connection.execute(statement)

    def read(self, sql: str) -> list[tuple[Stored, ...]]:
        """Return the rows of a query."""
        with self.connection() as connection:
            return connection.execute(sql).fetchall()


def indexes(root: EntityType, table: str) -> list[str]:
    """Return the statements that create a table's indexes: by key, and by modification."""
    key = ",".join(map(identifier, root.key))
    statements = []
    if key:
        statements.append(
            f"CREATE UNIQUE INDEX {identifier(table + ':key')} ON {identifier(table)} ({key})"
        )
    if MODIFIED in {column.name for column in root.stored}:
        fields = ",".join(filter(None, [MODIFIED, key]))
        statements.append(
            f"CREATE INDEX {identifier(table + ':modified')} ON {identifier(table)} ({fields})"
        )
    return statements


def type_flag(entity_type: EntityType) -> str:
    """Return the name of the column that marks the rows of a derived type in the root's table."""
    return f"is {entity_type.name}"


def to_stored(column: Column, value: object) -> Stored:
    """Convert a value to the stored one."""
    return None if value is None else traits(column.declared.type).store(value)
