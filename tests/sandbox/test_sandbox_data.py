from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from support.serving import NOW, Get, getting

from sandbox import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

TRAN = "PX_Objects_GL_GLTran"
KEY = "BatchNbr,LineNbr,Module"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(now=NOW) as box:
        yield box


@pytest.fixture
def get(box: Sandbox) -> Iterator[Get]:
    with getting(box) as get:
        yield get


@pytest.fixture(scope="module")
def shared_box() -> Iterator[Sandbox]:
    """For tests that only read."""
    with Sandbox(now=NOW, tenants=("Company", "Company B"), rows=300) as box:
        yield box


@pytest.fixture
def read(shared_box: Sandbox) -> Iterator[Get]:
    with getting(shared_box) as get:
        yield get


@pytest.fixture(scope="module")
def empty_box() -> Iterator[Sandbox]:
    """Without rows but those that the tests of this module add."""
    with Sandbox(now=NOW, empty=True) as box:
        yield box


@pytest.fixture
def read_empty(empty_box: Sandbox) -> Iterator[Get]:
    with getting(empty_box) as get:
        yield get


def values(response: requests.Response) -> list[dict[str, object]]:
    assert response.status_code == 200, response.text
    value = json.loads(response.text, parse_float=Decimal)["value"]
    assert isinstance(value, list)
    return value


def test_every_alias_and_case_leads_to_the_rows(read: Get) -> None:
    names = ("PX_Objects_SO_SOOrder", "SalesOrder", "SOOrder", "px_objects_so_soorder")
    assert len({read(name, top=3).content.partition(b'"value"')[2] for name in names}) == 1


def test_dotted_names_and_types_without_set_are_not_found(read: Get) -> None:
    for name in ("PX.Objects.SO.SOOrder", "AddressLite", "FinYearSetup", "Nonsense"):
        assert read(name).status_code == 404


def test_a_singleton_is_one_object(read: Get) -> None:
    answer = read("GLSetup").json()
    assert "value" not in answer
    assert answer["AutoPostOption"] is True
    assert answer["@odata.context"].endswith("$metadata#PX_Objects_GL_GLSetup")


def test_rows_come_in_key_order_and_pages_make_up_the_whole(read: Get, shared_box: Sandbox) -> None:
    pages = [values(read(TRAN, top=150, skip=skip)) for skip in range(0, 600, 150)]
    assert [row for page in pages for row in page] == shared_box.rows(TRAN)


def test_count_is_of_the_filter_not_of_the_page(read: Get, shared_box: Sandbox) -> None:
    rows = [each for each in shared_box.rows(TRAN) if each["Module"] == "GL"]
    answer = read(TRAN, filter="Module eq 'GL'", top=2, count="true").json()
    assert answer["@odata.count"] == len(rows)
    assert len(answer["value"]) == 2
    assert read(f"{TRAN}/$count", filter="Module eq 'GL'").text == str(len(rows))


def test_select_answers_canonical_names_and_adds_no_key(read: Get) -> None:
    row = values(read("Contact", select="email, firstname", top=1))[0]
    assert list(row) == ["EMail", "FirstName"]


def test_order_is_what_was_asked_for(read: Get, shared_box: Sandbox) -> None:
    rows = values(read(TRAN, orderby=f"DebitAmt desc,{KEY}", select="DebitAmt", top=5))
    amounts = [Decimal(str(each["DebitAmt"])) for each in shared_box.rows(TRAN)]
    assert [each["DebitAmt"] for each in rows] == sorted(amounts, reverse=True)[:5]


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("filter", "NoteText eq 'x'", "Filter on 'NoteText' is not allowed"),
        ("select", "NoteText", "Filter on 'NoteText' is not allowed"),
        ("orderby", "NoteText", "Filter on 'NoteText' is not allowed"),
        ("filter", "Nope eq 1", "Could not find a property named 'Nope' on type"),
        ("select", "Nope", "Could not find a property named 'Nope' on type"),
        ("filter", "substringof('a',TranDesc)", "An unknown function with name 'substringof'"),
        ("filter", "TranDate gt datetimeoffset'2024-01-01'", "Unrecognized 'Edm.String' literal"),
        ("filter", "TranDesc gt 1", "A binary operator with incompatible types was detected."),
        ("filter", "DebitAmt eq 'a'", "Found operand types 'Edm.Decimal' and 'Edm.String'"),
        ("filter", "tstamp eq 'AAAA'", "A binary operator with incompatible types"),
        ("filter", "DebitAmt gt", "Syntax error"),
        ("filter", "DebitAmt ~ 1", "Syntax error"),
        ("filter", " or ".join(["LineNbr eq 1"] * 1500), "Recursion depth exceeded"),
        ("top", "9" * 30, "Invalid value"),
        ("top", "many", "Invalid value 'many' for $top"),
        ("expand", "Missing", "Could not find a property named 'Missing' on type"),
        ("expand", "SubBySubID($select=NoteText)", "not allowed because it is a virtual field"),
    ],
)
def test_refusals_are_500_with_a_message(read: Get, option: str, text: str, message: str) -> None:
    answer = read(TRAN, **{option: text})
    assert answer.status_code == 500
    assert message in answer.json()["message"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Amount eq 0.125", {"B"}),
        ("Amount gt 9007199254740992.5", {"C"}),
        ("Amount ge 0.1250 and not (Active eq true)", {"C"}),
        ("not(Amount ge 0.125)", {"A"}),
        ("UsrTier eq null", {"A"}),
        ("UsrTier ne null and Active", {"B"}),
        ("UsrTier eq 'O''Brien'", {"B"}),
        ("UsrTier eq ''' OR 1=1 --'", set()),
        ("startswith(UsrTier,'O''')", {"B"}),
        ("contains(UsrTier,'%')", {"C"}),
        ("endswith(tolower(UsrTier),'n')", {"B"}),
        ("NoteID eq 0A000000-0000-0000-0000-000000000001", {"A"}),
        ("UsrRenewalDate ge 2025-03-01T00:00:00.0033Z", {"B"}),
        ("UsrRenewalDate eq 2025-03-01T01:00:00.0034+01:00", {"B"}),
        ("UsrRenewalDate eq 2025-02-01", {"A"}),
        ("UsrScore lt 0", {"A"}),
        ("CustomerID in (1,2)", {"A", "B"}),
        ("CustomerID gt 1 or (CustomerID eq 1 and SubscriptionCD gt 'A')", {"B", "C"}),
        ("(CustomerID gt 2) or (CustomerID eq 2 and (Active or UsrTier eq 'x'))", {"B", "C"}),
        ("UsrRenewalDate eq 2025-02-01 or UsrRenewalDate gt 2025-02-01", {"A", "B"}),
        ("usrtier eq null or (CustomerID gt 2 and CustomerID le 3)", {"A", "C"}),
    ],
)
def test_filters_find_the_right_rows(
    empty_box: Sandbox, read_empty: Get, text: str, found: set[str]
) -> None:
    if not empty_box.rows("Subscription"):
        empty_box.insert(
            "Subscription",
            [
                {
                    "SubscriptionCD": "A",
                    "CustomerID": 1,
                    "Amount": "-5",
                    "Active": True,
                    "NoteID": "0a000000-0000-0000-0000-000000000001",
                    "UsrRenewalDate": "2025-02-01T23:59:00Z",
                    "UsrScore": -1.5,
                },
                {
                    "SubscriptionCD": "B",
                    "CustomerID": 2,
                    "Amount": "0.125",
                    "Active": True,
                    "UsrTier": "O'Brien",
                    "UsrRenewalDate": "2025-03-01T00:00:00.0034Z",
                },
                {
                    "SubscriptionCD": "C",
                    "CustomerID": 3,
                    "Amount": "9007199254740993.1234",
                    "UsrTier": "100 %",
                },
            ],
        )
    rows = values(read_empty("Subscription", filter=text, select="SubscriptionCD"))
    assert {each["SubscriptionCD"] for each in rows} == found


def test_names_that_begin_with_a_word_of_the_language_can_be_filtered(read: Get) -> None:
    assert len(values(read("Users", filter="AllowedSessions eq null and not IsOnLine"))) == 5
    assert values(read("BAccount", filter="AllowOverrideCury eq true")) == []


def test_values_have_the_wire_shape(box: Sandbox, get: Get) -> None:
    box.insert(
        "InventoryItem",
        {
            "InventoryCD": "AALEGO500 ",
            "Descr": "Ünï <b> & \"q\" 'a' \\ 🚀",
            "BasePrice": "1999.000000",
            "RecPrice": Decimal("0.10"),
            "MarkupPct": "1234567890123.456789",
            "StdCost": None,
            "PendingStdCostDate": "2024-02-29",
            "LastModifiedDateTime": "2022-09-14T23:26:36.330+02:00",
            "CreatedDateTime": "2022-09-14T21:26:36.007Z",
        },
    )
    text = get("InventoryItem", filter="InventoryCD eq 'AALEGO500 '").text
    for part in (
        '"BasePrice":1999.000000,',
        '"RecPrice":0.10,',
        '"MarkupPct":1234567890123.456789,',
        '"StdCost":null,',
        '"PendingStdCostDate":"2024-02-29T00:00:00Z"',
        '"LastModifiedDateTime":"2022-09-14T21:26:36.33Z"',
        '"CreatedDateTime":"2022-09-14T21:26:36.007Z"',
        '"ItemStatus":null',
        '"StkItem":false',
    ):
        assert part in text
    assert json.loads(text)["value"][0]["Descr"] == "Ünï <b> & \"q\" 'a' \\ 🚀"


def test_a_business_account_is_one_row_of_several_types(box: Sandbox, get: Get) -> None:
    both = get("Vendor", filter="Type eq 'VC'", top=1).json()["value"][0]["AcctCD"]
    assert get("Customer", filter=f"AcctCD eq '{both}'", count="true").json()["@odata.count"] == 1
    box.update("Vendor", {"AcctCD": both}, {"AcctName": "Renamed"})
    row = get("BAccount", filter=f"AcctCD eq '{both}'").json()["value"][0]
    assert row["AcctName"] == "Renamed"
    assert row["LastModifiedDateTime"] == "2026-06-01T12:00:00Z"


def test_rights_can_be_taken_and_given(box: Sandbox, get: Get) -> None:
    assert get("UsersInRoles").status_code == 403
    box.allow("UsersInRoles")
    box.forbid("SOOrder")
    assert get("UsersInRoles").status_code == 200
    assert get("SalesOrder").status_code == 403


def test_changes_are_stamped_and_seen(box: Sandbox) -> None:
    box.clock.advance(3.5)
    assert box.bulk_update("Terms", {"DayDue00": 9}, limit=2) == 2
    assert box.delete("Terms", {"TermsID": "COD"}) == 1
    rows = {each["TermsID"]: each for each in box.rows("Terms")}
    stamps = {key: each["LastModifiedDateTime"] for key, each in rows.items()}
    assert stamps == {"14D": "2026-06-01T12:00:03.5Z", "30D": "2026-06-01T12:00:03.5Z"}


def test_a_row_becomes_visible_at_its_instant(box: Sandbox, get: Get) -> None:
    box.insert("Terms", {"TermsID": "LATE", "visible_at": "2026-06-01T12:00:30Z"})
    late = {"filter": "TermsID eq 'LATE'"}
    assert get("Terms", **late).json()["value"] == []
    box.clock.advance(30)
    assert get("Terms", **late).json()["value"][0]["LastModifiedDateTime"] == (
        "2026-06-01T12:00:00Z"
    )


def test_data_change_between_two_requests(box: Sandbox, get: Get) -> None:
    box.before_request(lambda record: box.insert("Terms", {"TermsID": record.query["$top"]}))
    assert "7" in [each["TermsID"] for each in get("Terms", top=7).json()["value"]]


def test_a_large_table_is_filled_and_read_by_index(empty_box: Sandbox, read_empty: Get) -> None:
    start = "2024-01-01T00:00:00.500Z"
    assert empty_box.fill("SOLine", 20_000, start=start, step_seconds=0.25) == 20_000
    stamp = "2024-01-01T00:41:40Z"
    order = "LastModifiedDateTime,LineNbr,OrderNbr,OrderType"
    rows = values(
        read_empty("SOLine", filter=f"LastModifiedDateTime ge {stamp}", orderby=order, top=3)
    )
    assert [each["LastModifiedDateTime"] for each in rows] == [
        "2024-01-01T00:41:40Z",
        "2024-01-01T00:41:40.25Z",
        "2024-01-01T00:41:40.5Z",
    ]


def test_the_same_seed_gives_the_same_company() -> None:
    with Sandbox(seed=3, rows=40) as one, Sandbox(seed=3, rows=40, now="2020-01-01") as two:
        for each in one.model.types:
            if each.kind == "entityset":
                mine, others = one.rows(each.name), two.rows(each.name)
                assert mine == others, each.name


def test_the_books_are_consistent(shared_box: Sandbox) -> None:
    lines = shared_box.rows("SOLine")
    for order in shared_box.rows("SOOrder"):
        mine = [each for each in lines if each["OrderNbr"] == order["OrderNbr"]]
        assert sum(Decimal(str(each["LineAmt"])) for each in mine) == order["OrderTotal"]
    trans = shared_box.rows(TRAN)
    debit, credit = (sum(Decimal(str(each[side])) for each in trans) for side in
                     ("DebitAmt", "CreditAmt"))  # fmt: skip
    assert debit == credit
    customers = {each["BAccountID"] for each in shared_box.rows("Customer")}
    assert {each["CustomerID"] for each in shared_box.rows("ARInvoice")} <= customers


def test_tenants_have_rows_of_their_own(shared_box: Sandbox) -> None:
    assert shared_box.rows("SOOrder") != shared_box.rows("SOOrder", tenant="Company B")
