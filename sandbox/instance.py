"""An Acumatica instance without a network port, and the actions of tests on it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Unpack

from sandbox.app import PASSWORD, USERNAME, App
from sandbox.clock import Clock
from sandbox.company import populate
from sandbox.deletions import PREFERENCES, RETENTION, TRACKED, Deletions
from sandbox.extras import small_model
from sandbox.fill import fill
from sandbox.identity import CLIENT_SECRET
from sandbox.inquiries import Inquiries
from sandbox.query import ReadSettings, json_sql, order_clause
from sandbox.quirks import Quirks, Switches
from sandbox.scale import full_model
from sandbox.service import Service
from sandbox.store import ARCHIVED, DELETED, Row, Store, identifier, joined, type_flag
from sandbox.variants import with_columns, without_entity

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.identity import Grant
    from sandbox.model import EntityType
    from sandbox.sessions import Counters, RequestRecord

WireValue = str | int | float | Decimal | bool | list[str] | None


class Instance:
    """An Acumatica look-alike without a network port.

    Args:
        tenants: Login names of the tenants; each has its own company.
        seed: Seed of the made-up data; the same seed gives the same data.
        rows: Approximate number of rows in the largest tables.
        now: Instant at which the clock stands still, or None for real time.
        scale: Whether the metadata has the size of a full instance.
        directory: Virtual directory, such as ``/ERP``.
        empty: Whether to leave the tables without rows.
        switches: Quirks, see :class:`sandbox.quirks.Quirks`.
    """

    def __init__(  # noqa: PLR0913 - independent switches
        self,
        *,
        tenants: Sequence[str] = ("Company",),
        seed: int = 7,
        rows: int | None = None,
        now: datetime | str | None = None,
        scale: bool = False,
        directory: str = "",
        empty: bool = False,
        **switches: Unpack[Switches],
    ) -> None:
        self.tenants = tuple(tenants)
        self.username, self.password = USERNAME, PASSWORD
        pair = f"{USERNAME}:{PASSWORD}".encode()
        self.authorization = "Basic " + base64.b64encode(pair).decode()
        self.clock = Clock(now)
        self.model = full_model() if scale else small_model()
        self.store = Store(self.model, self.tenants, self.clock)
        self.quirks = Quirks(**switches)
        self.store.format_instant = self.quirks.format_instant
        self.deletions = Deletions(self.store, self.quirks)
        self.service = Service(self.model, self.store, self.deletions)
        directory = "/" + directory.strip("/") if directory.strip("/") else ""
        self.inquiries = Inquiries(self.store, self.quirks)
        self.app = App(self.service, self.inquiries, self.clock, self.quirks, directory=directory)
        self.faults = self.app.faults
        self.identity = self.app.identity
        self.client_id, self.client_secret = self.identity.client_id(self.tenants[0]), CLIENT_SECRET
        if not empty:
            populate(self.store, seed, rows)

    def close(self) -> None:
        """Remove the data."""
        self.store.close()

    def _tenant(self, tenant: str | None) -> str:
        return self.tenants[0] if tenant is None else tenant

    def rows(self, entity: str, tenant: str | None = None) -> list[dict[str, WireValue]]:
        """Return the rows as on the wire: all readable columns, in key order."""
        entity_type = self.model.find(entity)
        settings = ReadSettings()
        table = self.store.table(entity_type, self._tenant(tenant))
        where = " AND ".join(
            [f"{identifier(type_flag(base))}=1" for base in entity_type.bases[-1:]] or ["1"]
        )
        body = json_sql(entity_type.readable, settings)
        order = order_clause(entity_type, {}, settings)
        sql = joined("SELECT", body, "FROM", table, "WHERE", where, order)
        decimals = {
            column.name for column in entity_type.readable if column.declared.type == "Edm.Decimal"
        }
        rows: list[dict[str, WireValue]] = []
        for (text,) in self.store.read(sql):
            row: dict[str, WireValue] = json.loads(str(text), parse_float=Decimal)
            for name in decimals:
                value = row[name]
                if isinstance(value, int):
                    row[name] = Decimal(value)
            rows.append(row)
        return rows

    def inquiry_rows(
        self, title: str, tenant: str | None = None, **values: str
    ) -> list[dict[str, object]]:
        """Return the rows of an inquiry in any order; its parameters are passed as SQL texts."""
        return self.inquiries.rows(title, self._tenant(tenant), values)

    def insert(self, entity: str, rows: Row | Iterable[Row], tenant: str | None = None) -> int:
        """Insert one row or many, with defaults for missing columns; return their number."""
        many = [rows] if isinstance(rows, Mapping) else rows
        return self.store.insert(self.model.find(entity), many, self._tenant(tenant))

    def update(self, entity: str, key: Row, changes: Row, tenant: str | None = None) -> int:
        """Update and stamp the rows with a key; return their number."""
        return self.store.update(self.model.find(entity), key, changes, self._tenant(tenant))

    def delete(self, entity: str, key: Row, tenant: str | None = None) -> int:
        """Delete the rows with a key, and log it if their class is tracked; return their number."""
        entity_type, tenant = self.model.find(entity), self._tenant(tenant)
        self.deletions.record(entity_type, key, tenant)
        return self.store.delete(entity_type, key, tenant)

    def rename(
        self, entity: str, key: Row, new: Row, tenant: str | None = None, *, dated: bool = True
    ) -> int:
        """Give a row another key, as Change ID does: it keeps its NoteID, and perhaps its date."""
        entity_type = self.model.find(entity)
        return self.store.update(entity_type, key, new, self._tenant(tenant), dated=dated)

    def hide_rows(
        self, entity: str, key: Row, why: str = "", tenant: str | None = None, *, dated: bool = True
    ) -> int:
        """Hide rows since they are ``archived`` or marked as ``deleted``, or show them again."""
        bits = {"": 0, "archived": ARCHIVED, "deleted": DELETED}[why]
        entity_type, tenant = self.model.find(entity), self._tenant(tenant)
        return self.store.update(entity_type, key, {}, tenant, dated=dated, hidden=bits)

    def restrict(self, entity: str, visible: int | None = None, tenant: str | None = None) -> int:
        """Let the account see the first few rows only, as a restriction group does, or all."""
        return self.store.restrict(self.model.find(entity), visible, self._tenant(tenant))

    def track(self, *entities: str, tenant: str | None = None) -> None:
        """Track the deletions of these classes from now on, as an administrator does (SM207010)."""
        names = [self.model.find(entity).name for entity in entities]
        listed = len(self.rows(TRACKED, tenant))
        self.insert(
            TRACKED,
            [{"TableID": at, "TableName": name} for at, name in enumerate(names, listed + 1)],
            tenant,
        )

    def keep_deletions(self, days: int, tenant: str | None = None) -> int:
        """Set the number of days for which the log keeps a deletion."""
        return self.update(PREFERENCES, {}, {RETENTION: days}, tenant)

    def bulk_update(
        self, entity: str, changes: Row, limit: int | None = None, tenant: str | None = None
    ) -> int:
        """Update the first rows in key order at one instant; return their number."""
        entity_type = self.model.find(entity)
        return self.store.bulk_update(entity_type, changes, limit, self._tenant(tenant))

    def fill(  # noqa: PLR0913 - independent options
        self,
        entity: str,
        count: int,
        *,
        start: datetime | str = "2024-01-01T00:00:00Z",
        step_seconds: float = 1.0,
        columns: Row | None = None,
        tenant: str | None = None,
    ) -> int:
        """Insert many made-up rows quickly, with successive stamps; return their number."""
        entity_type: EntityType = self.model.find(entity)
        tenant = self._tenant(tenant)
        return fill(self.store, entity_type, tenant, count, start, step_seconds, columns or {})

    def forbid(
        self, entity: str, status: int = HTTPStatus.FORBIDDEN, tenant: str | None = None
    ) -> None:
        """Refuse reads of an entity, as without access rights (403) or without data (404).

        Applies to one tenant or to all; for an inquiry, always to all.
        """
        if entity.lower() in self.inquiries.known:
            self.inquiries.statuses[entity.lower()] = status
            return
        for name in self.tenants if tenant is None else (tenant,):
            self.service.statuses[name, self.model.find(entity).name] = status

    def allow(self, entity: str, tenant: str | None = None) -> None:
        """Allow reads of an entity, in one tenant or in all."""
        self.forbid(entity, HTTPStatus.OK, tenant)

    def hide(self, entity: str, tenant: str | None = None) -> None:
        """Remove an entity from a tenant's metadata and service."""
        tenant = self._tenant(tenant)
        models = self.service.models
        models[tenant] = without_entity(models[tenant], entity)

    def declare(
        self,
        entity: str,
        tenant: str | None = None,
        *,
        without: Sequence[str] = (),
        types: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        """Remove columns from a tenant's entity, or declare them with other types or labels."""
        tenant = self._tenant(tenant)
        # A table created after this would lack the columns.
        self.store.table(self.model.find(entity), tenant)
        models = self.service.models
        models[tenant] = with_columns(models[tenant], entity, without, types or {}, labels or {})

    def unlock(self) -> None:
        """Unlock the account, as an administrator does."""
        self.app.account.unlock()

    def grant(self, tenant: str | None = None, scope: str = "api openid offline_access") -> Grant:
        """Grant the application access, as a person does in a browser."""
        return self.identity.grant(self._tenant(tenant), scope)

    def counters(self) -> Counters:
        """Return the counts since the start or the last reset."""
        return self.app.sessions.snapshot()

    def reset_counters(self) -> None:
        """Reset the counters and the log."""
        self.app.sessions.reset()

    @property
    def log(self) -> list[RequestRecord]:
        """The requests in the order of arrival."""
        return self.app.sessions.log

    def before_request(self, callback: Callable[[RequestRecord], object]) -> None:
        """Register a callback that runs in the request's thread before each data request."""
        self.app.before.append(callback)

    def end_sessions(self) -> None:
        """End every session, as a restart of the server does."""
        self.app.sessions.end_all()
