"""Columns that no row has are looked up once: gone, or left out since they are null."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import Action, Cause, RequestFailed
from tap_acumatica.odata.http.client import Result
from tap_acumatica.odata.model import EntitySet, EntityType, Model, Property
from tap_acumatica.odata.payload.page import Page
from tap_acumatica.odata.table import Table
from tap_acumatica.reading.model import PageRead, ReadSettings
from tap_acumatica.reading.reader import EntityReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.query import Link, Query

NAMES = "ABCDE"
LINES = edm.from_schema(
    {
        "type": ["array", "null"],
        "items": {"type": "object", "properties": {"Qty": {"type": "number"}, "Item": {}}},
    }
)
TABLE = Table("Rows", {"K": edm.INTEGER, **dict.fromkeys(NAMES, edm.STRING)}, ("K",))


@dataclass
class LeavingOutNulls:
    """A server that leaves nulls out, and its metadata."""

    rows: list[dict[str, Any]]
    declared: str = NAMES
    looks: int = 0
    lines: list[str] = field(default_factory=list)

    def read(
        self, query: Query | Link, subject: str, decode: Callable[[bytes], Page]
    ) -> Result[Page]:
        """Answer with the rows that have a greater key than the last one, two at a time."""
        del subject, decode
        low = int(getattr(query, "filter", "").partition(" gt ")[2] or -1)
        select = getattr(query, "select", ())
        rows = [row for row in self.rows if row["K"] > low] if " eq " not in str(query) else []
        answer = rows[getattr(query, "skip", 0) :][:2]
        page = [{n: v for n, v in row.items() if not select or n in select} for row in answer]
        return Result(Page(page, len(rows)), None, None)

    def metadata(self) -> Model:
        self.looks += 1
        columns = [Property(name, "Edm.String") for name in ("K", *self.declared)]
        lines = EntityType(
            "X.Line", properties=[Property(each, "Edm.String") for each in self.lines]
        )
        rows = EntityType("X.Row", properties=columns, navigations={"Lines": "Collection(X.Line)"})
        return Model(types={"X.Row": rows, "X.Line": lines}, sets=[EntitySet("Rows", "X.Row")])

    def delivered(self, table: Table) -> list[dict[str, Any]]:
        reader = EntityReader(self, table, ReadSettings(), metadata=self.metadata)
        return [row for event in reader if isinstance(event, PageRead) for row in event.rows]


ROWS = st.lists(st.sets(st.sampled_from(NAMES)), max_size=9).map(
    lambda rows: [{"K": k, **dict.fromkeys(names, "x")} for k, names in enumerate(rows)]
)


@example([{"K": k, **dict.fromkeys(NAMES if k < 3 else "", "x")} for k in range(4)], set())
@given(ROWS, st.sets(st.sampled_from(NAMES)))
def test_a_column_that_no_row_has_is_gone_or_null(
    rows: list[dict[str, Any]], gone: set[str]
) -> None:
    rows = [{name: row[name] for name in row if name not in gone} for row in rows]
    declared = "".join(name for name in NAMES if name not in gone)
    server = LeavingOutNulls(rows, declared)
    table = Table(TABLE.entity_set, TABLE.columns, TABLE.key, select=False)
    if rows and gone:
        with pytest.raises(RequestFailed) as failed:
            server.delivered(table)
        assert failed.value.cause is Cause.COLUMN_IS_GONE
        assert failed.value.action is Action.STOP
        assert failed.value.column in gone
        sentence = f"no longer has the column {failed.value.column} of Rows: run discovery again."
        assert sentence in str(failed.value)
    else:
        assert server.delivered(table) == rows
        answers = [rows[i : i + 2] for i in range(0, len(rows), 2)]
        if len(answers) > 1:
            # The last row is requested again behind as many as were delivered.
            answers.append(rows[-1:])
        assert server.looks == any(set(NAMES) - set().union(*answer) for answer in answers)
    assert server.looks <= 1


def test_columns_that_were_not_asked_for_are_not_missed() -> None:
    server = LeavingOutNulls([{"K": 1, "A": "x"}], "A")
    columns = {"K": edm.INTEGER, "A": edm.STRING}
    assert server.delivered(Table("Rows", columns, ("K",))) == [{"K": 1, "A": "x"}]
    assert server.looks == 0


@pytest.mark.parametrize(("declared", "error"), [(["Qty", "Item"], False), (["Qty"], True)])
def test_a_column_of_related_records_may_be_gone_too(declared: list[str], *, error: bool) -> None:
    rows: list[dict[str, Any]] = [
        {"K": 1, "Lines": [{"Qty": 1}, {"Qty": 2}]},
        {"K": 2, "Lines": None},
    ]
    server = LeavingOutNulls(rows, "", lines=declared)
    table = Table("Rows", {"K": edm.INTEGER, "Lines": LINES}, ("K",), select=False)
    if error:
        with pytest.raises(RequestFailed, match="the column Lines/Item of Rows"):
            server.delivered(table)
    else:
        assert server.delivered(table) == rows
    assert server.looks == 1
