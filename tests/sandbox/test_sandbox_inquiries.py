"""The sandbox's inquiries have the traits that are known of Acumatica's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

import pytest
import requests

from sandbox import Sandbox
from sandbox.inquiries.made import INQUIRIES, UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

V4, V3 = "/t/Company/api/odata/gi/", "/odata/Company/"
both = pytest.mark.parametrize("root", [V4, V3])


class Client:
    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.session = requests.Session()
        self.session.headers.update(
            {"Authorization": box.authorization, "Accept": "application/json"}
        )

    def get(self, path: str, **options: str) -> requests.Response:
        query = {f"${name}": value for name, value in options.items()}
        return self.session.get(self.box.url + path, params=query, timeout=10)

    def rows(self, path: str, **options: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(path, **options).json()["value"]
        return found


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with Sandbox(now="2026-06-01T12:00:00Z") as box:
        client = Client(box)
        yield client
        client.session.close()


def test_there_are_twenty(client: Client) -> None:
    assert len(INQUIRIES) == 20
    for each in INQUIRIES:
        path = quote(each.title, safe="")
        newer, older = client.rows(V4 + path), client.rows(V3 + path)
        assert len(newer) == len(older)
        assert (not newer) == bool(each.parameters)


@both
def test_metadata_are_as_recorded(client: Client, root: str) -> None:
    response = client.session.get(
        f"{client.box.url}{root}$metadata", headers={"Accept": "application/xml"}, timeout=10
    )
    document = ET.fromstring(response.content)  # noqa: S314 - of the sandbox
    version = {V4: "4.0", V3: "1.0"}[root]
    assert document.get("Version") == version
    found = {e.get("Name") for e in document.iter() if e.tag.endswith("}EntitySet")}
    assert found >= {each.title for each in INQUIRIES}
    assert UNREADABLE not in found
    kinds = {e.get("Type") for e in document.iter() if e.tag.endswith("}Property")}
    assert ("Edm.DateTime" in kinds) == (root == V3)
    assert ("Edm.DateTimeOffset" in kinds) == (root == V4)
    assert client.get(root + "$metadata").status_code == 500
    for each in INQUIRIES:
        assert each.marked("+") == each.entity_type.own_key[len(each.marked("*")) :]


def test_pages_have_the_shapes_that_were_recorded(client: Client) -> None:
    path = "Modified%20Stock%20Items"
    older = client.get(V3 + path, top="1")
    assert older.headers["Content-Type"] == "application/json"
    assert "OData-Version" not in older.headers
    assert "Locale" not in older.headers["Set-Cookie"]
    assert older.json()["odata.metadata"].endswith("/odata/Company/$metadata#" + path)
    (row,) = older.json()["value"]
    assert isinstance(row["QtyOnHand"], str)
    assert row["LastModifiedOn"][-1] != "Z"
    newer = client.get(V4 + path, top="1")
    assert newer.json()["@odata.context"].endswith("/api/odata/gi/$metadata#" + path)
    (row,) = newer.json()["value"]
    assert isinstance(row["QtyOnHand"], float)
    assert row["LastModifiedOn"][-1] == "Z"
    assert "Locale" in newer.headers["Set-Cookie"]


def test_the_service_document_lists_what_cannot_be_read(client: Client) -> None:
    titles = {each["name"] for each in client.get(V4).json()["value"]}
    assert {"Payroll", UNREADABLE} <= titles
    assert {each["name"] for each in client.get(V3).json()["value"]} == titles
    atom = client.session.get(client.box.url + V3, headers={"Accept": "*/*"}, timeout=10)
    assert atom.headers["Content-Type"] == "application/atomsvc+xml"
    assert client.get(V4 + "Payroll").status_code == 403
    assert client.get(V4 + quote(UNREADABLE, safe="")).status_code == 404
    assert client.get(V4 + "Nothing").status_code == 404


@both
@pytest.mark.parametrize("option", ["orderby", "filter"])
def test_a_formula_is_answered_by_nothing(client: Client, root: str, option: str) -> None:
    value = {"orderby": "Net", "filter": "Net eq 'x'"}[option]
    response = client.get(root + "GL-Journal", **{option: value})
    assert (response.status_code, response.content) == (200, b"")
    assert client.rows(root + "GL-Journal", select="Net", top="1")
    assert client.get(root + "Broken-Inquiry").content == b""


@both
def test_a_filter_on_an_appended_column_brings_rows_that_the_inquiry_lacks(
    client: Client, root: str
) -> None:
    path = root + "2nd%20Quarter%20Sales"
    assert len(client.rows(path, filter="OrderType ne 'x'")) > len(client.rows(path))


@both
@pytest.mark.parametrize("option", ["count", "expand", "inlinecount"])
def test_options_that_inquiries_do_not_have_are_refused(
    client: Client, root: str, option: str
) -> None:
    response = client.get(root + "Payments", **{option: "true"})
    assert (response.status_code, "not supported" in response.text) == (500, True)


def test_rows_come_in_no_order_unless_asked_for(client: Client) -> None:
    orders = {json.dumps(client.rows(V4 + "Payments")) for _ in range(3)}
    assert len(orders) > 1


@pytest.mark.parametrize(
    "call",
    [
        V4 + "DBStorageDetails_WithParameters(Warehouse='MAIN')",
        V4 + "DBStorageDetails_WithParameters(Warehouse=@1)?@1='MAIN'",
        V3 + "DBStorageDetails_WithParameters?Warehouse=MAIN",
    ],
)
def test_parameters_are_taken_in_the_syntax_of_their_version(client: Client, call: str) -> None:
    rows = client.rows(call)
    assert {each["Warehouse"] for each in rows} == {"MAIN      "}


@pytest.mark.parametrize(
    ("call", "status"),
    [
        (V4 + "DBStorageDetails_WithParameters(Warehouse=MAIN)", 500),
        (V4 + "DBStorageDetails_WithParameters", 404),
        (V4 + "DB-StorageDetails(Warehouse='MAIN')", 404),
        (V4 + "InvoicesofaPeriod_WithParameters(From=x,Least=1,Released=true,Account=1)", 500),
        (V4 + "InvoicesofaPeriod_WithParameters(From=null,Least=a,Released=true,Account=1)", 500),
        (V3 + "InvoicesofaPeriod_WithParameters?From=x&Least=1&Released=true&Account=1", 500),
    ],
)
def test_other_parameters_are_refused(client: Client, call: str, status: int) -> None:
    assert client.get(call).status_code == status


@pytest.mark.parametrize(
    ("root", "condition", "right"),
    [
        (V4, "LastModifiedOn ge 2024-01-01T00:00:00Z", True),
        (V4, "LastModifiedOn ge datetime'2024-01-01T00:00:00Z'", False),
        (V3, "LastModifiedOn ge datetime'2024-01-01T00:00:00'", True),
        (V3, "LastModifiedOn ge datetime'2024-01-01T06:00:00.000+06:00'", True),
        (V3, "LastModifiedOn ge 2024-01-01T00:00:00Z", False),
        (V3, "LastModifiedOn ge datetime'yesterday'", False),
        (V3, "Amount ge 1.5M and Amount ge 1L and RefNbr ne 'datetime''x'", True),
    ],
)
def test_literals_are_those_of_the_version(
    client: Client, root: str, condition: str, right: bool
) -> None:
    assert (client.get(root + "Payments", filter=condition).status_code == 200) == right


def test_a_guid_is_told_by_its_name_in_odata_3(client: Client) -> None:
    row = client.rows(V3 + "SO-Order%20Summary", top="1")[0]
    condition = f"NoteID eq guid'{row['NoteID']}'"
    (found,) = client.rows(V3 + "SO-Order%20Summary", filter=condition)
    assert found == row


def test_a_literal_without_an_offset_is_the_wall_clock_of_the_account() -> None:
    with Sandbox(now="2026-06-01T12:00:00Z", time_zone="America/New_York", empty=True) as box:
        box.insert("Terms", {"TermsID": "A", "LastModifiedDateTime": "2024-01-01T12:00:00Z"})
        client = Client(box)
        path = V3 + "Credit%20Terms"
        (row,) = client.rows(path)
        assert row["LastModifiedOn"] == "2024-01-01T07:00:00"
        for text, found in (
            ("2024-01-01T07:00:00", 1),
            ("2024-01-01T12:00:00Z", 1),
            ("2024-01-01T12:00:00", 0),
        ):
            rows = client.rows(path, filter=f"LastModifiedOn eq datetime'{text}'")
            assert len(rows) == found
        client.session.close()


def test_rows_that_are_not_yet_visible_are_in_no_inquiry(client: Client) -> None:
    path = V4 + "Credit%20Terms"
    before = len(client.rows(path))
    client.box.insert("Terms", {"TermsID": "LATE", "visible_at": "2026-06-01T12:01:00Z"})
    assert len(client.rows(path)) == before
    client.box.clock.advance(60)
    assert len(client.rows(path)) == before + 1


def test_families_of_addresses_can_be_missing() -> None:
    with Sandbox(now="2026-06-01T12:00:00Z", empty=True, addresses=("odata",)) as box:
        client = Client(box)
        assert client.rows(V3 + "Payments") == []
        assert client.get(V4 + "Payments").status_code == 404
        assert client.get("/odatav4/Terms").status_code == 404
        assert client.rows("/odata/Payments") == []
        client.session.close()


def test_inquiries_come_and_go(client: Client) -> None:
    client.box.forbid("Payments")
    assert client.get(V4 + "Payments").status_code == 403
    client.box.allow("Payments")
    client.box.inquiries.remove("Payments")
    assert client.get(V4 + "Payments").status_code == 404
