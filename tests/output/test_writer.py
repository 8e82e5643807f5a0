"""What is written to stdout: lines of JSON with the digits that the server sent."""

from __future__ import annotations

import io
import json
import sys
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from singer_sdk.singerlib import (
    ActivateVersionMessage,
    RecordMessage,
    SchemaMessage,
    StateMessage,
)
from singer_sdk.singerlib.encoding.simple import SimpleSingerWriter

from tap_acumatica.odata import edm
from tap_acumatica.odata.payload.json import JsonDecoder
from tap_acumatica.output.records import RecordConverter, RecordSettings
from tap_acumatica.output.writer import PacedStateWriter, Writer

if TYPE_CHECKING:
    from singer_sdk.singerlib import Message

COLUMNS = {"Amount": edm.TYPES["Edm.Decimal"]}
DIGITS = st.from_regex(r"-?(0|[1-9][0-9]{0,18})(\.[0-9]{1,6})?", fullmatch=True).filter(
    lambda digits: digits != "-0"
)
EXTRACTED = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Stdout(io.BytesIO):
    """Stdout that remembers how much of it was flushed."""

    def __init__(self) -> None:
        super().__init__()
        self.flushed = 0

    def flush(self) -> None:
        self.flushed = self.tell()


def line(message: Message) -> str:
    return Writer().serialize_message(message).decode()


def read(text: str) -> Any:
    """Parse JSON, with its numbers as text."""
    return json.loads(text, parse_float=str, parse_int=str, parse_constant=pytest.fail)


def record(**columns: object) -> RecordMessage:
    return RecordMessage(stream="Items", record=columns, time_extracted=EXTRACTED)


@given(DIGITS)
@example("9999999999999999999.999999")
@example("0.000000")
@example("-0.00")
@example("0.0000001")
def test_a_decimal_arrives_with_the_digits_that_the_server_sent(digits: str) -> None:
    body = f'{{"value":[{{"Amount":{digits}}},{{"Amount":"{digits}"}}]}}'.encode()
    rows = JsonDecoder("Items", COLUMNS).page(body).rows
    for row in RecordConverter(COLUMNS, None, RecordSettings()).convert(rows):
        written = read(line(record(**row)))["record"]["Amount"]
        assert Decimal(written).as_tuple() == Decimal(digits).as_tuple()


@given(DIGITS, st.sampled_from(["text", "decimal(38,10)"]))
@example("0.0000001", "decimal(38,10)")
def test_a_decimal_as_a_string_has_the_very_same_digits(digits: str, decimals: str) -> None:
    row = {"Amount": Decimal(digits)}
    columns = {"Amount": edm.from_schema(edm.decimals(decimals))}
    (converted,) = RecordConverter(columns, None, RecordSettings()).convert([row])
    assert json.loads(line(record(**converted)))["record"]["Amount"] == digits


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_message_is_one_line_whatever_text_it_holds(text: str) -> None:
    written = line(record(Descr=text))
    assert written.endswith("\n")
    assert written.count("\n") == 1
    assert json.loads(written)["record"] == {"Descr": text}


def test_a_record_says_when_it_was_extracted() -> None:
    written = json.loads(line(record(A=None, B=[Decimal("1.10")], C={"D": True})))
    assert datetime.fromisoformat(written.pop("time_extracted")) == EXTRACTED
    assert written == {
        "type": "RECORD",
        "stream": "Items",
        "record": {"A": None, "B": [1.10], "C": {"D": True}},
    }


def test_a_state_is_written_as_it_is() -> None:
    state = {"bookmarks": {"Items": {"replication_key_value": "2026-06-01T12:00:00.000000+00:00"}}}
    assert json.loads(line(StateMessage(value=state))) == {"type": "STATE", "value": state}


def test_schemas_and_versions_are_written() -> None:
    schema = {"type": "object", "properties": {"Amount": {"type": ["number", "null"]}}}
    message = SchemaMessage(stream="Items", schema=schema, key_properties=["Amount"])
    written = json.loads(line(message))
    assert (written["type"], written["schema"]) == ("SCHEMA", schema)
    written = json.loads(line(ActivateVersionMessage(stream="Items", version=7)))
    assert written == {"type": "ACTIVATE_VERSION", "stream": "Items", "version": 7}


def test_records_wait_for_the_next_other_message(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Stdout()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
    writer = Writer()
    for number in range(3):
        writer.write_message(record(Number=number))
    assert stdout.flushed == 0
    writer.write_message(StateMessage(value={}))
    assert stdout.flushed == len(stdout.getvalue())
    lines = stdout.getvalue().splitlines()
    assert [json.loads(text)["type"] for text in lines] == ["RECORD"] * 3 + ["STATE"]


ROWS = [
    {"Amount": Decimal("1.10"), "Descr": "ä\n", "Empty": None},
    {"Lines": [{"A": Decimal("0.0000001")}], "Flag": True},
    {},
]


@pytest.mark.parametrize("version", [None, 7])
def test_records_written_at_once_are_the_messages_one_by_one(
    monkeypatch: pytest.MonkeyPatch, version: int | None
) -> None:
    stdout = Stdout()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
    Writer().write_records("Items", ROWS, version, EXTRACTED)
    messages = [RecordMessage("Items", row, version, EXTRACTED) for row in ROWS]
    assert stdout.getvalue().decode() == "".join(map(line, messages))
    assert stdout.flushed == 0


def test_states_are_paced_but_for_those_that_must_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Stdout()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
    monkeypatch.setattr(PacedStateWriter, "INTERVAL", 10)
    now = [100.0]
    states = PacedStateWriter(Writer(), {"site": "erp"}, lambda: now[0])
    states.begin()
    # Seconds since the last call, whether the state must not wait, and whether it is written.
    calls = [
        (0, False, False),
        (9.5, False, False),
        (0.5, False, True),
        (9.5, False, False),
        (0, True, True),
        (9.5, False, False),
        (0.5, False, True),
    ]
    expected = []
    for value, (seconds, urgent, written) in enumerate(calls):
        now[0] += seconds
        (states.write_now if urgent else states.write_state)({"bookmarks": {"Items": {"v": value}}})
        expected += [value] * written
    values = [json.loads(text)["value"] for text in stdout.getvalue().splitlines()]
    assert [state["bookmarks"]["Items"]["v"] for state in values] == expected
    assert {state["site"] for state in values} == {"erp"}


def test_a_state_is_written_and_flushed_if_it_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = Stdout()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
    writer = PacedStateWriter(Writer())
    state: dict[str, Any] = {"bookmarks": {"Items": {"replication_key_value": "1"}}}
    for value in ("1", "1", "2", "2", "1"):
        state["bookmarks"]["Items"]["replication_key_value"] = value
        writer.write_state(state)  # type: ignore[arg-type] # as the SDK holds it
    messages = [json.loads(text) for text in stdout.getvalue().splitlines()]
    assert [message["type"] for message in messages] == ["STATE"] * 3
    states = [message["value"]["bookmarks"]["Items"] for message in messages]
    assert [state["replication_key_value"] for state in states] == ["1", "2", "1"]
    assert stdout.flushed == len(stdout.getvalue())


def test_a_state_reaches_a_writer_of_another_kind_as_a_message() -> None:
    written: list[Any] = []

    class Other(SimpleSingerWriter):
        def write_message(self, message: Message) -> None:
            written.append(message)

    states = PacedStateWriter(Other())
    for _ in range(2):
        states.write_state({"bookmarks": {"Items": {}}})
    assert [message.value for message in written] == [{"bookmarks": {"Items": {}}}]
