"""The tables: one SQLite file in a temporary folder, read by many threads at once."""

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
RESTORED_VERSION = 1_000_000  # above the row versions of any contents
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
    """An SQL identifier."""
    return '"' + text.replace('"', '""') + '"'


def joined(*words: str) -> str:
    """A statement; its words are keywords, quoted identifiers, and expressions made of them."""
    return " ".join(words)


class Store:
    """The rows of all tenants.

    The statements are put together from identifiers of the model, quoted, and from numbered
    parameters.
    """

    def __init__(self, model: Model, tenants: Sequence[str], clock: Clock) -> None:
        self.model = model
        self.tenants = tuple(tenants)
        self.clock = clock
        self.hidden_rows = False
        self.format_instant: Callable[[str, int, str], str] = lambda stored, *_: stored
        self._folder = Path(tempfile.mkdtemp(prefix="sandbox-"))
        self._path = self._folder / "rows.db"
        self._pool: LifoQueue[sqlite3.Connection] = LifoQueue()
        self._writing = threading.RLock()
        self._tables: set[str] = set()
        self._version = itertools.count(1)

    def contents(self) -> bytes:
        """The whole file, for another store of the same tenants."""
        with self._transaction() as connection, self.connection() as other:
            del connection  # holds the lock, so that nothing is written meanwhile
            return other.serialize()

    def restore(self, contents: bytes) -> None:
        """Begin with the contents of another store."""
        self._path.write_bytes(contents)
        with self.connection() as connection:
            found = connection.execute("SELECT name FROM sqlite_master WHERE type='table'")
            self._tables = {str(row[0]) for row in found}
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
        """A connection of the pool, for the length of one piece of work."""
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
        """The quoted name of the table of a type, made at the first use.

        Raises:
            ValueError: There is no such tenant.
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
        for each in (root, *derived):
            columns.update({column.stored_as: column for column in each.stored})
        fields = [
            f"{identifier(stored_as)} {traits(column.declared.type).declaration}"
            for stored_as, column in columns.items()
        ]
        fields += [f"{identifier(type_flag(each))} INTEGER NOT NULL DEFAULT 0" for each in derived]
        with self._transaction() as connection:
            connection.execute(
                f"CREATE TABLE {identifier(table)} ({','.join(fields)}, {VISIBLE} TEXT)"
            )
            for statement in indexes(root, table):
                connection.execute(statement)

    def index(self, entity_type: EntityType, tenant: str, columns: Sequence[str]) -> None:
        """Make an index for lookups by some columns, unless there is one."""
        table = self.table(entity_type, tenant)
        index = identifier(f"{self._table(entity_type, tenant)}:{','.join(columns)}")
        if index in self._tables:
            return
        listed = ",".join(identifier(entity_type.stored_as(each)) for each in columns)
        with self._transaction() as connection:
            connection.execute(
                joined("CREATE INDEX IF NOT EXISTS", index, "ON", table, f"({listed})")
            )
        self._tables.add(index)

    def next_version(self) -> str:
        """A new row version, base64 of eight bytes."""
        return base64.b64encode(struct.pack(">Q", next(self._version))).decode()

    def defaults(self, entity_type: EntityType) -> dict[str, Stored]:
        """What a new row holds where nothing is given, by the stored name of the column."""
        now = instant(sql_server(self.clock.now()))
        found: dict[str, Stored] = {}
        for column in entity_type.stored:
            value: Stored = None
            if column.name in STAMPS:
                value = now
            elif column.name in AUDIT:
                value = AUDIT[column.name]
            elif column.declared.required or column.name in entity_type.key:
                value = traits(column.declared.type).default
            found[column.stored_as] = value
        return found

    def insert(self, entity_type: EntityType, rows: Iterable[Row], tenant: str) -> int:
        """Add rows; a row whose key is there already takes its place.

        ``visible_at`` in a row says from which instant on it is seen.
        """
        table = self.table(entity_type, tenant)
        defaults = self.defaults(entity_type)
        columns = {
            column.name: (column.stored_as, traits(column.declared.type).store)
            for column in entity_type.stored
        }
        stored_as = list(defaults)
        version = "tstamp" if "tstamp" in columns else None
        flags = [type_flag(each) for each in entity_type.bases]
        fields = [*stored_as, *flags, VISIBLE]

        def values(row: Row) -> list[Stored]:
            new = dict(defaults)
            if version:
                new[version] = self.next_version()
            visible = row.get("visible_at")
            for key, value in row.items():
                if key != "visible_at":
                    stored_name, store = columns[key]
                    new[stored_name] = None if value is None else store(value)
            if visible is not None:
                self.hidden_rows = True
            seen = None if visible is None else instant(visible)
            return [*new.values(), *(1 for _ in flags), seen]

        slots = ",".join("?" * len(fields))
        listed = ",".join(map(identifier, fields))
        words = ["INSERT INTO", table, f"({listed}) VALUES ({slots})"]
        if entity_type.key:
            # A business account may become a customer and a vendor: what it was before stays.
            key = ",".join(map(identifier, entity_type.key))
            sets = ",".join(f"{identifier(each)}=excluded.{identifier(each)}" for each in fields)
            words += [f"ON CONFLICT ({key}) DO UPDATE SET", sets]
        sql = joined(*words)
        with self._transaction() as connection:
            return connection.executemany(sql, map(values, rows)).rowcount

    def update(self, entity_type: EntityType, key: Row, changes: Row, tenant: str) -> int:
        """Change the rows of a key; returns how many."""
        columns = {column.name: column for column in entity_type.stored}
        where, values = self._where(entity_type, key)
        with self._transaction() as connection:
            new = self._changes(columns, changes)
            sets = ",".join(f"{identifier(each)}=?" for each in new)
            sql = joined("UPDATE", self.table(entity_type, tenant), "SET", sets, where)
            return connection.execute(sql, [*new.values(), *values]).rowcount

    def bulk_update(
        self, entity_type: EntityType, changes: Row, limit: int | None, tenant: str
    ) -> int:
        """Change the first rows in key order, all at one instant; returns how many."""
        columns = {column.name: column for column in entity_type.stored}
        where, _ = self._where(entity_type, {})
        table = self.table(entity_type, tenant)
        order = ",".join(map(identifier, entity_type.key)) or "rowid"
        rows = joined("SELECT rowid FROM", table, where, "ORDER BY", order, "LIMIT ?")
        with self._transaction() as connection:
            new = self._changes(columns, changes)
            sets = ",".join(f"{identifier(each)}=?" for each in new)
            sql = joined("UPDATE", table, "SET", sets, "WHERE rowid IN (", rows, ")")
            return connection.execute(sql, [*new.values(), -1 if limit is None else limit]).rowcount

    def delete(self, entity_type: EntityType, key: Row, tenant: str) -> int:
        """Remove the rows of a key; returns how many."""
        where, values = self._where(entity_type, key)
        with self._transaction() as connection:
            sql = joined("DELETE FROM", self.table(entity_type, tenant), where)
            return connection.execute(sql, values).rowcount

    def _changes(self, columns: Mapping[str, Column], changes: Row) -> dict[str, Stored]:
        new: dict[str, Stored] = {}
        if MODIFIED in columns:
            new[MODIFIED] = instant(sql_server(self.clock.now()))
        if "tstamp" in columns:
            new["tstamp"] = self.next_version()
        for key, value in changes.items():
            new[columns[key].stored_as] = to_stored(columns[key], value)
        return new

    def _where(self, entity_type: EntityType, key: Row) -> tuple[str, list[Stored]]:
        columns = {column.name: column for column in entity_type.stored}
        parts = [f"{identifier(type_flag(each))}=1" for each in entity_type.bases[-1:]]
        parts += [f"{identifier(columns[each].stored_as)} IS ?" for each in key]
        values = [to_stored(columns[each], value) for each, value in key.items()]
        return "WHERE " + " AND ".join(parts or ["1"]), values

    @contextmanager
    def bulk(self, entity_type: EntityType, tenant: str) -> Iterator[sqlite3.Connection]:
        """A connection that adds many rows to a table; the indexes are made again afterwards."""
        self.table(entity_type, tenant)
        table = self._table(entity_type, tenant)
        with self._transaction() as connection:
            for each in (":key", ":modified"):
                connection.execute(f"DROP INDEX IF EXISTS {identifier(table + each)}")
            yield connection
            for statement in indexes(entity_type.root, table):
                connection.execute(statement)

    def read(self, sql: str) -> list[tuple[Stored, ...]]:
        """The rows of a query."""
        with self.connection() as connection:
            return connection.execute(sql).fetchall()


def indexes(root: EntityType, table: str) -> list[str]:
    """The statements that make the indexes of a table: one by key, one by stamp."""
    key = ",".join(map(identifier, root.key))
    made = []
    if key:
        made.append(
            f"CREATE UNIQUE INDEX {identifier(table + ':key')} ON {identifier(table)} ({key})"
        )
    if MODIFIED in {each.name for each in root.stored}:
        wide = ",".join(filter(None, [MODIFIED, key]))
        made.append(
            f"CREATE INDEX {identifier(table + ':modified')} ON {identifier(table)} ({wide})"
        )
    return made


def type_flag(entity_type: EntityType) -> str:
    """The column that says whether a row of the root's table is also of a derived type."""
    return f"is {entity_type.name}"


def to_stored(column: Column, value: object) -> Stored:
    """A given value as it is kept."""
    return None if value is None else traits(column.declared.type).store(value)
