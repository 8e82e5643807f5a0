"""An Atom feed becomes the same page as its rows would as JSON, or a clear error."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox import atom
from tap_acumatica.odata import edm
from tap_acumatica.odata.errors import BrokenPayload, ErrorInPayload, InconsistentAnswer
from tap_acumatica.odata.payload.atom import ATOM, MAX_BODY, MAX_DEPTH, AtomDecoder
from tap_acumatica.odata.payload.json import JsonDecoder
from tap_acumatica.odata.payload.page import Page
from tap_acumatica.odata.xml_text import is_allowed

if TYPE_CHECKING:
    from collections.abc import Mapping

TYPES = {
    "InventoryID": "Edm.String",
    "LineNbr": "Edm.Int32",
    "SortOrder": "Edm.Int16",
    "Version": "Edm.Int64",
    "QtyOnHand": "Edm.Decimal",
    "Weight": "Edm.Double",
    "Active": "Edm.Boolean",
    "LastModifiedOn": "Edm.DateTime",
    "NoteID": "Edm.Guid",
    "Picture": "Edm.Binary",
    "_2Update": "Edm.String",
}
COLUMNS = {name: edm.TYPES[edm_type] for name, edm_type in TYPES.items()}
ROOT = "https://host/odata/Company/"
INQUIRY = "PM-Project Summary"
DECODER = AtomDecoder(INQUIRY, COLUMNS)

# The characters of XML; a carriage return is written as a reference.
TEXTS = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r <>&'\"]")
)
DIGITS = st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,6})?", fullmatch=True)
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "Edm.String": TEXTS,
    "Edm.Int16": st.integers(-(2**15), 2**15 - 1),
    "Edm.Int32": st.integers(-(2**31), 2**31 - 1),
    "Edm.Int64": st.integers(-(2**63), 2**63 - 1).map(str),
    "Edm.Decimal": DIGITS,
    "Edm.Double": st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["NaN", "INF", "-INF"]),
    "Edm.Boolean": st.booleans(),
    "Edm.DateTime": st.just("2022-09-14T21:26:36.33"),
    "Edm.Guid": st.uuids().map(str),
    "Edm.Binary": st.binary().map(lambda data: data.hex()),
}
ROWS = st.lists(
    st.fixed_dictionaries(
        {"LineNbr": VALUES["Edm.Int32"]},
        optional={n: st.none() | VALUES[t] for n, t in TYPES.items() if n != "LineNbr"},
    ),
    max_size=3,
)


def feed(rows: list[dict[str, Any]], **more: Any) -> bytes:
    digits = json.JSONDecoder(parse_float=str, parse_int=str)
    texts = [digits.decode(json.dumps(row)) for row in rows]
    return atom.feed(ROOT, INQUIRY, texts, TYPES, **more)


LINKS = st.none() | st.from_regex(r"[A-Za-z%20]+\?[$a-z=0-9&'()]+", fullmatch=True)


@settings(deadline=None)
@given(ROWS, st.none() | st.integers(0, 10**6), LINKS)
def test_a_feed_is_the_page_that_its_rows_as_json_are(
    rows: list[dict[str, Any]], count: int | None, link: str | None
) -> None:
    page = DECODER.page(feed(rows, count=count, next_link=link))
    expected = JsonDecoder(INQUIRY, COLUMNS).page(json.dumps({"value": rows}).encode())
    assert repr(page.rows) == repr(expected.rows), "digits and types too, and not-a-number"
    assert (page.count, page.next_link) == (count, link)


def test_a_feed_as_odata_3_sends_it() -> None:
    body = b"""<?xml version="1.0" encoding="utf-8"?>
<feed xml:base="https://host/odata/" xmlns="http://www.w3.org/2005/Atom"
  xmlns:d="http://schemas.microsoft.com/ado/2007/08/dataservices"
  xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
  <m:count>62</m:count>
  <id>https://host/odata/Modified%20Stock%20Items</id>
  <title type="text">Modified Stock Items</title>
  <updated>2022-09-15T08:00:00Z</updated>
  <link rel="self" title="Modified Stock Items" href="Modified%20Stock%20Items" />
  <entry>
    <id>https://host/odata/Modified%20Stock%20Items(InventoryID='AALEGO500%20')</id>
    <category term="PX.Data.ModifiedStockItems"
      scheme="http://schemas.microsoft.com/ado/2007/08/dataservices/scheme" />
    <link rel="edit" title="x" href="x" /><title /><author><name /></author>
    <content type="application/xml">
      <m:properties>
        <d:InventoryID xml:space="preserve">AALEGO500 </d:InventoryID>
        <d:LastModifiedOn m:type="Edm.DateTime">2022-09-14T21:26:36.33</d:LastModifiedOn>
        <d:QtyOnHand m:type="Edm.Decimal">1999.000000</d:QtyOnHand>
        <d:LineNbr m:type="Edm.Int32">3</d:LineNbr>
        <d:NoteID m:type="Edm.Guid" m:null="true" />
        <d:_2Update></d:_2Update>
        <d:Other m:type="PX.Point"><d:LineNbr m:type="Edm.Int32">9</d:LineNbr></d:Other>
      </m:properties>
    </content>
  </entry>
  <link rel="next" href="Modified%20Stock%20Items?$skiptoken=2" />
</feed>"""
    page = AtomDecoder("Modified Stock Items", COLUMNS).page(body)
    assert page.count == 62
    assert page.next_link == "Modified%20Stock%20Items?$skiptoken=2"
    (row,) = page.rows
    assert {name: str(value) for name, value in row.items()} == {
        "InventoryID": "AALEGO500 ",
        "LastModifiedOn": "2022-09-14T21:26:36.33",
        "QtyOnHand": "1999.000000",
        "LineNbr": "3",
        "NoteID": "None",
        "_2Update": "",
    }


def wrapped(content: str, root: str = "feed", *, around: str = "<entry>{}</entry>") -> bytes:
    spaces = f'xmlns="{ATOM}" xmlns:d="{atom.DATA}" xmlns:m="{atom.METADATA}"'
    return f"<{root} {spaces}>{around.format(content)}</{root}>".encode()


def properties(content: str) -> str:
    return f"<content><m:properties>{content}</m:properties></content>"


LINE = "<d:LineNbr>1</d:LineNbr>"


def test_a_single_entry_is_a_page_of_one_row() -> None:
    entry = wrapped(properties(LINE), "entry", around="{}")
    assert DECODER.singleton(entry) == Page([{"LineNbr": 1}])
    assert DECODER.singleton(wrapped(properties(LINE))) == Page([{"LineNbr": 1}])
    with pytest.raises(BrokenPayload, match="an entry instead of a feed"):
        DECODER.page(entry)


def test_a_column_in_another_case_is_not_taken_for_one_without_values() -> None:
    other = "<d:Other><d:qtyonhand>1</d:qtyonhand></d:Other>"
    (row,) = DECODER.page(wrapped(properties(LINE + other))).rows
    assert row == {"LineNbr": 1}
    with pytest.raises(InconsistentAnswer, match=f"QtyOnHand of {INQUIRY} as QTYOnHand"):
        DECODER.page(wrapped(properties(LINE + "<d:QTYOnHand>1</d:QTYOnHand>")))


@pytest.mark.parametrize("null", ["true", "True", "1", " TRUE "])
def test_null_is_null_however_it_is_written(null: str) -> None:
    value = f'<d:_2Update m:null="{null}" />'
    assert DECODER.page(wrapped(properties(value))).rows == [{"_2Update": None}]


def test_properties_may_stand_beside_the_content() -> None:
    body = wrapped(f'<content src="x" /><m:properties>{LINE}</m:properties>')
    assert DECODER.page(body).rows == [{"LineNbr": 1}]


def test_entries_within_an_entry_are_no_rows() -> None:
    inner = f"<link><m:inline><feed><entry>{properties(LINE)}</entry></feed></m:inline></link>"
    body = wrapped(inner + properties("<d:LineNbr>2</d:LineNbr>"))
    assert DECODER.page(body).rows == [{"LineNbr": 2}]


def test_links_that_are_not_the_next_page_s_are_none() -> None:
    body = wrapped('<link rel="next" href="x" />' + properties(LINE))
    assert DECODER.page(body).next_link is None


def test_collections_and_objects_are_read_too() -> None:
    schema = {
        "type": "object",
        "properties": {
            "Tags": {"type": ["array", "null"], "items": {"type": ["integer", "null"]}},
            "Point": {"type": ["object", "null"], "properties": {"X": {"type": "number"}}},
        },
    }
    decoder = AtomDecoder("X", edm.columns_of(schema))
    row = (
        '<d:Tags m:type="Collection(Edm.Int32)"><d:element>1</d:element>'
        '<d:element m:null="true" /></d:Tags>'
        '<d:Point m:type="PX.Point"><d:X m:type="Edm.Decimal">1.10</d:X><d:Y>2</d:Y></d:Point>'
    )
    (decoded,) = decoder.page(wrapped(properties(row))).rows
    assert decoded["Tags"] == [1, None]
    assert str(decoded["Point"]) == "{'X': Decimal('1.10')}"


@pytest.mark.parametrize(
    ("name", "text", "edm_type"),
    [
        ("LineNbr", "1.5", "Edm.Int32"),
        ("LineNbr", "many", "Edm.Int32"),
        ("LineNbr", "", "Edm.Int32"),
        ("LineNbr", "9" * 5000, "Edm.Int32"),
        ("LineNbr", "true", "Edm.Boolean"),
        ("QtyOnHand", "1,5", "Edm.Decimal"),
        ("Active", "maybe", "Edm.Boolean"),
        ("InventoryID", "5", "Edm.Int32"),
    ],
)
def test_another_value_than_the_catalog_says_is_an_error(
    name: str, text: str, edm_type: str
) -> None:
    body = wrapped(properties(f'<d:{name} m:type="{edm_type}">{text}</d:{name}>'))
    with pytest.raises(InconsistentAnswer, match=f"{INQUIRY}.*{name}"):
        DECODER.page(body)


@pytest.mark.parametrize("content", ["", properties("<d:Other>1</d:Other>")])
def test_rows_of_something_else_are_no_rows(content: str) -> None:
    with pytest.raises(InconsistentAnswer, match="none of the columns"):
        DECODER.page(wrapped(content))


ERROR = b"""<?xml version="1.0" encoding="utf-8"?>
<m:error xmlns:m="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">
<m:code /><m:message xml:lang="en-US">Execution   Timeout.</m:message></m:error>"""


def test_an_error_in_a_feed_is_told_in_the_server_s_words() -> None:
    for body in (ERROR, wrapped(properties(LINE) + ERROR.partition(b"?>")[2].decode())):
        with pytest.raises(ErrorInPayload) as raised:
            DECODER.page(body)
        assert raised.value.body == b'{"error":{"message":"Execution Timeout."}}'


@given(st.text(st.characters(codec="utf-8"), min_size=1))
def test_a_text_loses_no_more_than_the_characters_that_xml_does_not_allow(text: str) -> None:
    rows = [{"LineNbr": 1, "InventoryID": text}, {"LineNbr": 2, "InventoryID": "&#x1F;"}]
    allowed = "".join(character for character in text if is_allowed(ord(character)))
    page = DECODER.page(feed(rows))
    assert [row["InventoryID"] for row in page.rows] == [allowed, "&#x1F;"]


def test_what_only_looks_like_such_a_character_is_kept() -> None:
    text = "<d:InventoryID><![CDATA[&#x1F;]]></d:InventoryID>"
    assert DECODER.page(wrapped(properties(LINE + text))).rows[0]["InventoryID"] == "&#x1F;"


@pytest.mark.parametrize("identifier", ["Customer%20Contacts", "Customer Contacts?$top=5"])
def test_a_feed_of_another_set_is_not_the_answer(identifier: str) -> None:
    body = wrapped(properties(LINE)).replace(
        b"<entry>", f"<id>{ROOT}{identifier}</id><entry>".encode()
    )
    with pytest.raises(InconsistentAnswer, match="of Customer Contacts"):
        DECODER.page(body)


@pytest.mark.parametrize(
    "identifier",
    [
        f"{ROOT}PM-Project%20Summary",
        f"{ROOT}PMProjectSummary_WithParameters",
        "urn:uuid:60a76c80-d399-11d9-b91C-0003939e0af6",
        "https://host/feeds/1",
        "",
    ],
)
def test_a_feed_may_be_identified_in_any_other_way(identifier: str) -> None:
    body = wrapped(properties(LINE)).replace(b"<entry>", f"<id>{identifier}</id><entry>".encode())
    assert DECODER.page(body).rows


def test_columns_that_were_not_requested_are_told_if_others_are_missing() -> None:
    assert DECODER.page(wrapped(properties(LINE + "<d:X>1</d:X>"))).unrequested == {"X"}
    assert DECODER.page(wrapped(properties(LINE))).unrequested == frozenset()


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (b"", "not well-formed"),
        (b"{}", "not well-formed"),
        (b"<html></html>", "no Atom feed, but html"),
        (b"<feed></feed>", "no Atom feed, but feed"),
        (wrapped("<m:error><m:message>x</m:message></m:error>"), "an error instead of rows"),
        (ERROR, "an error instead of rows"),
        (wrapped(f"<m:error><a>{'<b>' * MAX_DEPTH}"), "nested elements"),
        (wrapped("<a>&#x1F;</b>"), "not well-formed"),
        (b"<?xml version='1.0' encoding='x-none'?><feed/>", "not well-formed"),
        (wrapped("<a>" * MAX_DEPTH + "</a>" * MAX_DEPTH), "nested elements"),
        (wrapped(properties("<d:InventoryID>" * 99)), "nested elements"),
    ],
)
def test_what_is_no_feed_is_broken(body: bytes, problem: str) -> None:
    for decode in (DECODER.page, DECODER.singleton):
        with pytest.raises(BrokenPayload, match=problem):
            decode(body)


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE feed [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]>',
        '<!DOCTYPE feed SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE feed [<!ENTITY % x SYSTEM "http://127.0.0.1/x"> %x;]>',
    ],
)
def test_a_document_type_is_refused_before_anything_is_expanded_or_fetched(declared: str) -> None:
    with pytest.raises(BrokenPayload, match="a document type"):
        DECODER.page(declared.encode() + wrapped(properties(LINE)))


def test_an_answer_of_a_size_that_no_page_has_is_refused_unread() -> None:
    class Huge(bytes):
        __slots__ = ()

        def __len__(self) -> int:
            return MAX_BODY + 1

    with pytest.raises(BrokenPayload, match="more than"):
        DECODER.page(Huge())


WHOLE = wrapped(properties(LINE) + "<title>a</title>")


@settings(deadline=None)
@given(st.integers(0, len(WHOLE) - 1))
def test_a_feed_that_is_cut_off_anywhere_is_broken(length: int) -> None:
    for decode in (DECODER.page, DECODER.singleton):
        with pytest.raises(BrokenPayload):
            decode(WHOLE[:length])


def test_what_is_passed_over_takes_no_memory() -> None:
    skipped = properties(LINE + f"<d:Other>{'x' * 1000}</d:Other>") + f"<a>{'y' * 1000}</a>"
    body = wrapped("".join([f"<entry>{skipped}</entry>"] * 5000), around="{}")
    tracemalloc.start()
    page = DECODER.page(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(page.rows) == 5000
    assert len(body) > 10_000_000
    assert peak < 4_000_000
