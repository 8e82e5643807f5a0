"""Loads a company into real databases, and compares every value there with the company's."""

from __future__ import annotations

import base64
import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from support.running import NOW, settings_for
from support.warehouses import LoadError, Pipe, ThroughMeltano

from demo.meltano import Meltano
from sandbox import Sandbox, instance
from sandbox.extras import root_class, small_model
from sandbox.model import Model
from warehouse import postgres
from warehouse.databases import DuckFile, PostgresSchema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VALUES = "Contoso_Objects_WH_WHValues"
TEXTS_ALONE = "Contoso_Objects_WH_WHTexts"
WIDE = "Contoso_Objects_WH_WHWide"
LONG = "Contoso_Objects_WH_WHNamesThatAreLongerThanWhatPostgreSQLTakesForATable"
ITEMS = "PX_Objects_IN_InventoryItem"
ACCOUNTS = "PX_Objects_GL_Account"
TERMS = "PX_Objects_CS_Terms"
ORDERS = "PX_Objects_SO_SOOrder"
CUSTOMER = "CustomerByCustomerID"
STREAMS = (VALUES, TEXTS_ALONE, WIDE, ITEMS, ACCOUNTS, TERMS, ORDERS)

AMOUNTS = ("0.1", "0.2", "1234567890123.456789", "-1.100000", "0.0000", "9007199254740993", "7E-7")
TEXTS = (
    "plain",
    "Zürich, 東京 \U0001f642",
    "quotes \" ' and \\ and ;, |",
    "lines\nand\ttabs",
    "  in front",
    "NULL",
)
LONGEST = "The_name_of_a_column_that_is_longer_than_the_sixty_three_characters_it_may_have"
SCALE = Decimal(1).scaleb(-10)
WIDE_COLUMNS = 300
EXACT = "decimal(38,10)"


def company() -> Model:
    """The sandbox's company, with classes for each kind of value, a wide one and a long name."""
    wide = " ".join(f"Column{n:03}:{'dsti'[n % 4]}" for n in range(WIDE_COLUMNS))
    made_up = (
        root_class(
            "Contoso.Objects.WH.WHValues",
            "Values",
            "Code:s* Nbr:i* Amount:d! Price:d Score:f Big:l Small:h Tiny:by Yes:b At:t OnDate:t"
            " Ref:g Blob:x Tags:c Words:s LastModifiedDateTime:t",
        ),
        root_class("Contoso.Objects.WH.WHTexts", "Texts", "Code:s* Words:s"),
        root_class("Contoso.Objects.WH.WHWide", "Wide", f"Code:s* {wide} LastModifiedDateTime:t"),
        root_class(
            LONG.replace("_", ".", 3), "Long", f"Code:s* {LONGEST}:d LastModifiedDateTime:t"
        ),
    )
    return Model((*small_model().types, *made_up))


def values(number: int, code: str) -> dict[str, Any]:
    """A row with other values for each number, and nulls now and then."""
    return {
        "Code": code,
        "Nbr": number,
        "Amount": Decimal(AMOUNTS[number % len(AMOUNTS)]),
        "Price": None if number % 5 == 0 else Decimal(number) / 8,
        "Score": number / 8 * 10 ** (number % 7),
        "Big": (2**63 - 1 - number) * (-1) ** number,
        "Small": -(2**15) + number,
        "Tiny": number % 256,
        "Yes": [True, False, None][number % 3],
        "At": f"20{number % 30:02}-02-03T04:05:06.{number * 7919 % 10**6:06}Z",
        "OnDate": f"19{number % 100:02}-12-31T00:00:00Z",
        "Ref": f"00000000-0000-4000-8000-{number:012x}",
        "Blob": base64.b64encode(bytes([number % 256, 0, 255])).decode(),
        "Tags": [TEXTS[number % len(TEXTS)], str(number)][: number % 3],
        "Words": None if number % 7 == 0 else TEXTS[number % len(TEXTS)],
    }


def wide(number: int) -> dict[str, Any]:
    kinds = (
        Decimal(number) / 16,
        f"text {number}",
        f"2026-01-{number % 28 + 1:02}T10:00:00.25Z",
        number,
    )
    columns = {
        f"Column{n:03}": None if (n + number) % 11 == 0 else kinds[n % 4]
        for n in range(WIDE_COLUMNS)
    }
    return {"Code": f"W{number}", **columns, "LastModifiedDateTime": "2026-05-01T00:00:00Z"}


@pytest.fixture
def box(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    monkeypatch.setattr(instance, "small_model", company)
    with Sandbox(now=NOW, rows=60) as box:
        box.insert(VALUES, [values(number, f"C{number % 4}".ljust(10)) for number in range(60)])
        box.insert(WIDE, [wide(number) for number in range(20)])
        box.insert(TEXTS_ALONE, [{"Code": text, "Words": text[::-1]} for text in TEXTS])
        box.insert(LONG, {"Code": "A", LONGEST: Decimal("0.5")})
        box.clock.advance(60)
        yield box


def change(box: Sandbox) -> None:
    """Change, add and delete rows."""
    box.insert(TEXTS_ALONE, {"Code": "new", "Words": "new"})
    for number in range(0, 60, 7):
        key = {"Code": f"C{number % 4}".ljust(10), "Nbr": number}
        box.update(VALUES, key, {"Amount": Decimal("-0.000001"), "Words": "changed"})
    box.insert(VALUES, [values(number, "NEW       ") for number in range(100, 110)])
    (item, *_) = box.rows(ITEMS)
    box.update(ITEMS, {"InventoryCD": item["InventoryCD"]}, {"RecPrice": Decimal("0.3")})
    (terms, *_) = box.rows(TERMS)
    box.delete(TERMS, {"TermsID": terms["TermsID"]})
    box.clock.advance(60)


@dataclass
class Case:
    """One way of loading one database.

    Attributes:
        retires: Whether the database loses the rows that are gone from tables read in full.
    """

    database: PostgresSchema | DuckFile
    way: Pipe | ThroughMeltano
    settings: dict[str, Any]
    retires: bool


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Postgres]:
    with postgres.running(tmp_path_factory.mktemp("postgres") / "data") as server:
        yield server


@pytest.fixture(scope="session")
def meltano(tmp_path_factory: pytest.TempPathFactory) -> Meltano:
    meltano = Meltano(tmp_path_factory.mktemp("meltano"))
    databases = (PostgresSchema, DuckFile)
    meltano.install({database.loader: database.package for database in databases})
    return meltano


CASES: dict[
    str, tuple[type[PostgresSchema | DuckFile], type[Pipe | ThroughMeltano], dict[str, Any]]
] = {
    "PostgreSQL by a pipe": (
        PostgresSchema,
        Pipe,
        {"decimals": "number", "trim_strings": True},
    ),
    "PostgreSQL by a pipe, in batches": (
        PostgresSchema,
        Pipe,
        {"decimals": "number", "batch_config": {"batch_size": 17}},
    ),
    "PostgreSQL by Meltano": (PostgresSchema, ThroughMeltano, {"decimals": EXACT}),
    "DuckDB by a pipe": (DuckFile, Pipe, {"decimals": "text"}),
    "DuckDB by Meltano": (DuckFile, ThroughMeltano, {"decimals": "text", "trim_strings": True}),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, box: Sandbox, tmp_path: Path) -> Case:
    kind, way, changes = CASES[request.param]
    settings = settings_for(
        box,
        *STREAMS,
        expand={"SOOrder": [f"{CUSTOMER}(AcctCD,CreditLimit)"]},
        emit_activate_version_messages=kind is PostgresSchema,
        **changes,
    )
    if batches := settings.get("batch_config"):
        batches["storage"] = {"root": str(tmp_path / "in batches")}
    database: PostgresSchema | DuckFile
    if kind is PostgresSchema:
        schema = f"s{uuid4().hex}"
        database = PostgresSchema(request.getfixturevalue("server"), schema)
    else:
        database = DuckFile(tmp_path / "company.duckdb")
    runs: Pipe | ThroughMeltano
    if way is Pipe:
        runs = Pipe(tmp_path, full=(TERMS,))
    else:
        runs = ThroughMeltano(request.getfixturevalue("meltano"))
    retires = kind is PostgresSchema and way is Pipe and "batch_config" not in settings
    return Case(database, runs, settings, retires)


def test_every_table_is_equal_to_the_companys(case: Case, box: Sandbox) -> None:
    case.way.load(case.settings, case.database)
    require_equal(case, box)
    gone = box.rows(TERMS)
    change(box)
    case.way.load(case.settings, case.database)
    gone = [] if case.retires else [row for row in gone if row not in box.rows(TERMS)]
    require_equal(case, box, gone)
    case.way.load(case.settings, case.database)
    require_equal(case, box, gone)
    require_equal_sums(case, box)
    if isinstance(case.database, PostgresSchema) and case.settings["decimals"] == EXACT:
        assert case.database.type_of(VALUES, "Amount") == "numeric(38,10)"


def require_equal(case: Case, box: Sandbox, gone: list[dict[str, Any]] | None = None) -> None:
    for stream in STREAMS:
        expected = [*box.rows(stream), *((gone or []) if stream == TERMS else [])]
        types = types_of(box, stream)
        wanted = Counter(
            json.dumps(expected_row(case, box, stream, row), sort_keys=True) for row in expected
        )
        loaded = Counter(
            json.dumps(
                {name: comparable(types.get(name, ""), value) for name, value in row.items()},
                sort_keys=True,
            )
            for row in case.database.table(stream)
        )
        assert (loaded - wanted, wanted - loaded) == (Counter(), Counter()), stream


def types_of(box: Sandbox, stream: str) -> dict[str, str]:
    columns = box.model.find(stream).readable
    return {column.name.lower(): column.declared.type for column in columns}


def expected_row(case: Case, box: Sandbox, stream: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of the company as the database should have it."""
    types = types_of(box, stream)
    expected = {
        name.lower(): comparable(types[name.lower()], as_set(case, types[name.lower()], value))
        for name, value in row.items()
    }
    if stream == ORDERS:
        customers = {customer["BAccountID"]: customer for customer in box.rows("Customer")}
        customer = customers[row["CustomerID"]]
        limit = comparable("Edm.Decimal", as_set(case, "", customer["CreditLimit"]))
        code = as_set(case, "Edm.String", customer["AcctCD"])
        expected[CUSTOMER.lower()] = {"AcctCD": code, "CreditLimit": limit}
    return expected


def as_set(case: Case, edm_type: str, value: Any) -> Any:
    """A value of the company as the settings change it."""
    if edm_type == "Edm.String" and value is not None and case.settings.get("trim_strings"):
        return value.rstrip(" ")
    if edm_type == "Edm.Decimal" and value is not None and case.settings["decimals"] == EXACT:
        return value.quantize(SCALE)
    return value


def comparable(edm_type: str, value: Any) -> Any:
    """A value in a form that is equal only for equal values, and for decimals equal digits."""
    if value is None:
        return None
    match edm_type:
        case "Edm.Decimal":
            return f"{Decimal(value):f}"
        case "Edm.DateTimeOffset":
            instant = datetime.fromisoformat(value)
            return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).isoformat()
        case "Edm.Double":
            return float(value)
    if isinstance(value, dict):  # a related record; JSON in a database keeps all digits
        return {**value, "CreditLimit": f"{Decimal(value['CreditLimit']):f}"}
    return value


def require_equal_sums(case: Case, box: Sandbox) -> None:
    for stream in (VALUES, WIDE, ITEMS):
        rows = box.rows(stream)
        columns = box.model.find(stream).readable
        decimals = [c.name for c in columns if c.declared.type == "Edm.Decimal"][:10]
        assert decimals
        for column in decimals:
            total = sum((row[column] or Decimal(0) for row in rows), start=Decimal(0))
            assert case.database.total(stream, column) == total, column


def test_a_name_that_is_too_long_is_refused_by_the_loader_and_shortened_by_a_stream_map(
    box: Sandbox, tmp_path: Path, server: postgres.Postgres
) -> None:
    database = PostgresSchema(server, f"s{uuid4().hex}")
    settings = settings_for(box, LONG, decimals=EXACT)
    with pytest.raises(LoadError, match="exceeds maximum length of 63 characters"):
        Pipe(tmp_path).load(settings, database)
    short = {LONG: {"__alias__": "wh_names", "amount": LONGEST, LONGEST: None}}
    Pipe(tmp_path).load(settings | {"stream_maps": short}, database)
    (row,) = database.table("wh_names")
    assert (row["code"], row["amount"]) == ("A", Decimal("0.5000000000"))
