"""Related rows come along as OData 4 has it: an object, or an array, of the columns asked for."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from support.serving import NOW, Get, getting

from sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

ITEM = "InventoryItemByInventoryID"


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW, rows=60) as box:
        yield box


@pytest.fixture
def read(box: Sandbox) -> Iterator[Get]:
    with getting(box) as get:
        yield get


def rows(read: Get, entity: str, **options: object) -> list[dict[str, Any]]:
    answer = read(entity, **options)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json(parse_float=Decimal)["value"]
    return found


def test_one_related_row_is_an_object_of_what_was_selected(box: Sandbox, read: Get) -> None:
    codes = {row["InventoryID"]: row["InventoryCD"] for row in box.rows("InventoryItem")}
    expand = f"{ITEM}($select=InventoryCD)"
    for row in rows(read, "INLocationStatus", select="InventoryID", expand=expand):
        assert row == {
            "InventoryID": row["InventoryID"],
            ITEM: {"InventoryCD": codes[row["InventoryID"]]},
        }


def test_many_related_rows_are_an_array_in_the_order_of_their_key(box: Sandbox, read: Get) -> None:
    expand = "SOLineCollection($select=LineNbr,OrderQty)"
    orders = rows(read, "SOOrder", select="OrderNbr", expand=expand)
    lines = box.rows("SOLine")
    assert len(orders) == len(box.rows("SOOrder"))
    for order in orders:
        assert order["SOLineCollection"] == [
            {"LineNbr": line["LineNbr"], "OrderQty": line["OrderQty"]}
            for line in lines
            if line["OrderNbr"] == order["OrderNbr"]
        ]


def test_a_ledger_line_does_not_declare_its_account_but_leads_to_it(read: Get) -> None:
    (row,) = rows(read, "GLTran", top=1, expand="AccountByAccountID")
    assert not {"AccountID", "SubID"} & row.keys()
    assert row["AccountByAccountID"]["AccountCD"]
    assert "NoteText" not in row["AccountByAccountID"]


def test_related_rows_have_related_rows(read: Get) -> None:
    deepest = f"{ITEM}($select=InventoryCD;$expand=INLocationStatusCollection($select=QtyOnHand))"
    order, *_ = rows(read, "SOOrder", expand=f"SOLineCollection($expand={deepest})")
    item = order["SOLineCollection"][0][ITEM]
    assert item.keys() == {"InventoryCD", "INLocationStatusCollection"}
    assert all(each.keys() == {"QtyOnHand"} for each in item["INLocationStatusCollection"])


def test_what_is_not_there_is_null_or_an_empty_array(box: Sandbox, read: Get) -> None:
    box.insert("SOOrder", {"OrderType": "XX", "OrderNbr": "XX1"})
    (row,) = rows(
        read,
        "SOOrder",
        filter="OrderType eq 'XX'",
        expand="CustomerByCustomerID,SOLineCollection",
    )
    assert row["CustomerByCustomerID"] is None
    assert row["SOLineCollection"] == []


def test_a_derived_type_has_the_navigations_of_its_base(box: Sandbox, read: Get) -> None:
    contacts = box.rows("Contact")
    for customer in rows(read, "Customer", expand="ContactCollection($select=ContactID)"):
        assert customer["ContactCollection"] == [
            {"ContactID": contact["ContactID"]}
            for contact in contacts
            if contact["BAccountID"] == customer["BAccountID"]
        ]


def test_the_context_names_what_was_selected_of_related_rows(read: Get) -> None:
    answer = read("SOLine", top=1, select="LineNbr", expand=f"{ITEM}($select=InventoryCD)")
    context = answer.json()["@odata.context"]
    assert context.endswith(f"#PX_Objects_SO_SOLine(LineNbr,{ITEM}(InventoryCD))")


@pytest.mark.parametrize(
    ("expand", "message"),
    [
        ("A(", "Syntax error"),
        ("A)", "Syntax error"),
        (f"{ITEM}(x)y", "Syntax error"),
        (f"{ITEM}($filter=InventoryCD eq 'A')", "'$filter' is not supported"),
        (
            f"{ITEM}($expand=INTranCollection($expand={ITEM}($expand=INTranCollection)))",
            "too deep. The maximum depth allowed is 3",
        ),
    ],
)
def test_what_cannot_be_expanded_is_refused(read: Get, expand: str, message: str) -> None:
    answer = read("SOLine", expand=expand)
    assert answer.status_code == 400
    assert message in answer.json()["message"]
