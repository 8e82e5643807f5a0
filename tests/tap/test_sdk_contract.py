"""The SDK's own tests of a tap, and tests of the SDK's internals that this tap relies on."""

from __future__ import annotations

import atexit
import inspect
import re
from collections import Counter

import pytest
from singer_sdk import Stream, Tap
from singer_sdk.helpers._state import StateWriter
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.singerlib.catalog import CatalogEntry
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from support.running import NOW, run, settings_for

from sandbox import Sandbox
from tap_acumatica.output.writer import PacedStateWriter
from tap_acumatica.stream import EntityStream
from tap_acumatica.tap import TapAcumatica

# The SDK's test class discovers streams while pytest collects, so the server must already run.
BOX = Sandbox(now=NOW)
BOX.start()
atexit.register(BOX.close)
SETTINGS = settings_for(BOX, "SOOrder", "Terms", "Users", "GLSetup", "InventoryItem")

TestTapAcumatica = get_tap_test_class(
    TapAcumatica, config=SETTINGS, suite_config=SuiteConfig(max_records_limit=None)
)

# The SDK warns of columns without a value, but only if one of them happens to come first.
pytestmark = pytest.mark.filterwarnings("ignore:No records were available to test")


def test_no_stream_brings_a_key_twice() -> None:
    """Replaces the SDK's test, which compares generators and never fails."""
    output = run(SETTINGS)
    keys = {m["stream"]: m["key_properties"] for m in output.messages if m["type"] == "SCHEMA"}
    for stream, key in keys.items():
        if key:
            times = Counter(tuple(record[k] for k in key) for record in output.records(stream))
            assert max(times.values()) == 1, stream


@pytest.mark.parametrize(
    "hook",
    [
        "_generate_record_messages",
        "_increment_stream_state",
        "_sync_records",
        "_write_activate_version_message",
        "_write_starting_replication_value",
        "_write_state_message",
        "finalize_state_progress_markers",
        "generate_child_contexts",
        "get_records",
        "get_replication_key_signpost",
    ],
)
def test_what_is_overridden_is_called_as_before(hook: str) -> None:
    base = inspect.signature(getattr(Stream, hook)).parameters
    override = inspect.signature(getattr(EntityStream, hook)).parameters
    assert [(p.name, p.kind) for p in base.values()] == [
        (p.name, p.kind) for p in override.values()
    ]


def test_the_sdk_calls_the_hooks_in_the_order_that_is_relied_on() -> None:
    """A record is written before it moves the bookmark; a version is announced before records."""
    records = inspect.getsource(Stream._sync_records)
    assert records.index("_write_record_message(") < records.index("_increment_stream_state(")
    assert records.rindex("_finalize_state(") < records.rindex("_write_state_message(")
    sync = inspect.getsource(Stream.sync)
    assert sync.index("_write_activate_version_message(") < sync.index("_sync_records(")


def test_the_loop_that_pages_replace_does_what_is_relied_on() -> None:
    """Fails if the SDK's loop does more for each record than `_write_pages` takes into account.

    The loop is replaced only where it has no effect: no child streams, no maps, no record limit.
    """
    loop = inspect.getsource(Stream._sync_records)
    called = set(re.findall(r"self\.(\w+)\(", loop))
    assert called == {
        "_check_max_record_limit",
        "_finalize_state",
        "_get_state_partition_context",
        "_increment_stream_state",
        "_process_record",
        "_write_record_message",
        "_write_starting_replication_value",
        "_write_state_message",
        "get_context_state",
        "get_record_counter",
        "get_records",
        "get_sync_timer",
        "post_process",
    }
    row = {"A": 1}
    assert Stream.post_process(None, row) is row  # type: ignore[arg-type] # it uses no self
    assert EntityStream.post_process is Stream.post_process


def test_the_state_writer_is_the_one_that_is_replaced() -> None:
    base = inspect.signature(StateWriter.write_state).parameters
    assert [*base] == [*inspect.signature(PacedStateWriter.write_state).parameters]
    tap = TapAcumatica(config=SETTINGS, setup_mapper=False)
    assert isinstance(tap.state_writer, PacedStateWriter)


def test_pages_and_single_records_end_in_the_same_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With two tenants, frequent states and versions, only the extraction time differs."""
    with Sandbox(now=NOW, tenants=("A", "B")) as box:
        settings = settings_for(
            box,
            "SOOrder",
            "Terms",
            tenants=["A", "B"],
            page_size=10,
            emit_activate_version_messages=True,
        )
        monkeypatch.setattr(EntityStream, "STATE_MSG_FREQUENCY", 7)
        monkeypatch.setattr(TapAcumatica, "initialized_at", 1_780_000_000_000)
        pages = run(settings)
        monkeypatch.setattr(EntityStream, "is_unmapped", False)
        single_records = run(settings)
    assert pages.error is single_records.error is None
    for output in (pages, single_records):
        for message in output.messages:
            message.pop("time_extracted", None)
    assert pages.messages == single_records.messages
    assert pages.types().count("STATE") > 20


def test_a_row_count_and_a_table_name_survive_the_sdk() -> None:
    entry = CatalogEntry.from_dict(
        {"tap_stream_id": "X", "table_name": "dac/v4/X", "row_count": 1, "schema": {}}
    )
    copy = CatalogEntry.from_dict(entry.to_dict())
    assert (copy.table, copy.row_count) == ("dac/v4/X", 1)


def test_a_signal_is_handled_by_the_method_that_is_overridden() -> None:
    assert "_handle_termination" in inspect.getsource(Tap._setup_signal_handlers)


def test_a_state_is_written_once_however_often_it_is_asked_for() -> None:
    written = []

    class Writer:
        def write_message(self, message: object) -> None:
            written.append(message)

    writer = StateWriter(Writer())  # type: ignore[arg-type] # it uses only this
    writer.write_state({"bookmarks": {}})
    writer.write_state({"bookmarks": {}})
    assert len(written) == 1


def test_records_are_the_same_without_the_detour_through_the_sdk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    direct = run(SETTINGS)
    monkeypatch.setattr(EntityStream, "is_unmapped", False)
    monkeypatch.setattr(EntityStream, "TYPE_CONFORMANCE_LEVEL", TypeConformanceLevel.RECURSIVE)
    detour = run(SETTINGS)
    assert direct.error is detour.error is None
    assert direct.records() == detour.records()


def test_stream_maps_and_flattening_are_the_sdks() -> None:
    maps = {"PX_Objects_CS_Terms": {"TermsID": "TermsID", "__else__": None, "Two": "1 + 1"}}
    output = run({**SETTINGS, "entities": ["Terms"], "stream_maps": maps})
    assert output.error is None
    assert [set(record) for record in output.records()] == [{"TermsID", "Two"}] * 3
    flat = {"flattening_enabled": True, "flattening_max_depth": 2}
    assert run({**SETTINGS, "entities": ["Terms"], **flat}).error is None
