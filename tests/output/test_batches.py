"""Batches hold the records that lines would hold, and no message is ahead of one."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from singer_sdk.singerlib import RecordMessage, SchemaMessage, StateMessage
from support.batches import lines_of, text_of_record, writer_into
from support.running import captured_stdout

from tap_acumatica.odata import deflate
from tap_acumatica.odata.errors import Cause, OutputFailed, SettingsError
from tap_acumatica.odata.payload.text_rows import TextRow
from tap_acumatica.output.batches import Batch, BatchFolder, BatchSettings, batch_folder
from tap_acumatica.output.records import add_columns
from tap_acumatica.output.writer import PacedStateWriter, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

NOW = datetime(2026, 6, 1, tzinfo=UTC)
DIGITS = st.decimals(allow_nan=False, allow_infinity=False)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | DIGITS | TEXTS,
    lambda values: st.lists(values, max_size=3) | st.dictionaries(TEXTS, values, max_size=3),
    max_leaves=6,
)
CALLS: dict[str, Callable[[Writer], object]] = {
    "a record": lambda writer: writer.write_message(RecordMessage("Other", {"A": 1})),
    "a schema": lambda writer: writer.write_message(SchemaMessage("Other", {"properties": {}})),
    "a state": lambda writer: writer.write_message(StateMessage({})),
    "an encoded state": lambda writer: writer.write_state(b"{}"),
    "a state that differs": lambda writer: PacedStateWriter(writer).write_state({}),
}
"""All that writes a message which may not be ahead of records."""


def text_row(text: str) -> TextRow:
    row = TextRow()
    row.text = b'{"Words":' + json.dumps(text, ensure_ascii=False).encode() + b',"Amount":1.50}'
    return row


RECORDS = st.dictionaries(TEXTS, VALUES) | TEXTS.map(text_row)


def written(write: Callable[[], object]) -> list[Any]:
    with captured_stdout() as stdout:
        write()
    return [json.loads(line) for line in stdout.getvalue().splitlines()]


@pytest.fixture
def writer(tmp_path: Path) -> Writer:
    return writer_into(tmp_path)


@given(st.lists(st.lists(RECORDS, max_size=5), max_size=4), st.none() | TEXTS)
def test_the_records_of_a_batch_are_those_of_lines_byte_for_byte(
    chunks: Sequence[list[dict[str, Any]]], tenant: str | None
) -> None:
    with captured_stdout() as stdout, tempfile.TemporaryDirectory() as folder:
        writer = writer_into(folder)
        for chunk in chunks:
            add_columns(chunk, {} if tenant is None else {"_tenant": tenant})
            writer.write_records("Items", chunk, 17, NOW)
            writer.batch_records("Items", chunk)
        writer.end_batch()
        *lines, batch = stdout.getvalue().splitlines() if chunks else [b"{}"]
        (address,) = json.loads(batch).get("manifest", ["none"])
        content = lines_of(address) if chunks else []
    assert content == [text_of_record(line) + b"\n" for line in lines]


@pytest.mark.parametrize("library", ["zlib", "isal.isal_zlib"])
def test_each_library_writes_whole_files(
    library: str, writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deflate, "library", pytest.importorskip(library))
    rows = [{"Number": number, "Words": os.urandom(20).hex()} for number in range(20_000)]
    for start in range(0, len(rows), 500):
        writer.batch_records("Items", rows[start : start + 500])
    (message,) = written(writer.end_batch)
    assert [json.loads(line) for line in lines_of(*message["manifest"])] == rows


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_batch_ends_before_any_other_message(
    call: Callable[[Writer], object], writer: Writer
) -> None:
    def write() -> None:
        writer.batch_records("Items", [{"A": 1}])
        writer.batch_records("Items", [{"A": 2}, {"A": 3}])
        call(writer)
        writer.batch_records("Items", [{"A": 4}])
        writer.end_batch()
        writer.end_batch()

    first, _, second = written(write)
    assert first == {
        "type": "BATCH",
        "stream": "Items",
        "encoding": {"format": "jsonl", "compression": "gzip"},
        "manifest": first["manifest"],
    }
    assert lines_of(*first["manifest"]) == [b'{"A":1}\n', b'{"A":2}\n', b'{"A":3}\n']
    assert lines_of(*second["manifest"]) == [b'{"A":4}\n']


def test_no_message_follows_records_that_could_not_be_written(
    writer: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write() -> None:
        writer.batch_records("Items", [{"A": 1}])
        with monkeypatch.context() as patch:
            patch.setattr(Batch, "write", lambda batch, _: _write_to_full_disk(batch))
            with pytest.raises(OutputFailed, match=r"The batch file .* \(No space left on device"):
                writer.batch_records("Items", [{"A": 2}])
        for call in CALLS.values():
            with pytest.raises(OutputFailed):
                call(writer)
        with pytest.raises(OutputFailed) as raised:
            writer.batch_records("Items", [{"A": 3}])
        assert raised.value.cause is Cause.OUTPUT

    write_to = Batch.write

    def _write_to_full_disk(batch: Batch) -> None:
        assert batch._file
        batch._file.close()
        batch._file = open("/dev/full", "wb", buffering=0)  # noqa: PTH123, SIM115 - no path of ours
        write_to(batch, os.urandom(10**6))

    assert not written(write)
    assert not [*tmp_path.iterdir()], "the file only takes room"


def test_a_batch_whose_rows_were_lost_by_any_error_is_never_named(
    writer: Writer, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Compressor:
        def compress(self, _: bytes) -> bytes:
            raise MemoryError

    def write() -> None:
        writer.batch_records("Items", [{"A": 1}])
        batch = writer._batch
        assert batch
        monkeypatch.setattr(batch, "_compressor", Compressor())
        for _ in range(2):
            with pytest.raises(MemoryError):
                writer.batch_records("Items", [{"A": 2}])
            with pytest.raises(MemoryError):
                writer.write_state(b"{}")

    assert not written(write)


def test_a_batch_is_old_after_its_time(tmp_path: Path) -> None:
    times = iter([100.0, 159.0, 160.0])  # when it begins, and when it is asked for its age
    writer = Writer()
    writer.batches = BatchFolder(tmp_path, BatchSettings(tmp_path, age=60), lambda: next(times))
    found = [writer.has_old_batch]
    for _ in range(2):
        writer.batch_records("Items", [{"A": 1}])
        found.append(writer.has_old_batch)
    written(writer.end_batch)
    assert [*found, writer.has_old_batch] == [False, False, True, False]


@pytest.mark.parametrize(
    "name", ["plain", "a blank", "äöü 東京", "100%", "a%20b", "#1", "[x]", "a+b&c", "x;y", "'q'"]
)
def test_targets_find_the_files_in_any_folder(name: str, tmp_path: Path) -> None:
    settings = BatchSettings(tmp_path / name, prefix="daily-")
    writer = Writer()
    with batch_folder(settings, "run") as writer.batches:
        writer.batch_records("GI_Ümlaut/../x" * 50, [{"A": 1}])
        (message,) = written(writer.end_batch)
        assert lines_of(*message["manifest"]) == [b'{"A":1}\n']
    (file,) = tmp_path.glob("*/*/*.jsonl.gz")
    assert file.name.startswith("daily-000001-GI__mlaut____x")


def test_a_folder_in_which_targets_find_nothing_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(SettingsError, match="question mark"),
        batch_folder(BatchSettings(tmp_path / "what?"), "run"),
    ):
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has other errors")
def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for root in (file, file / "below", tmp_path / ("x" * 300)):
        with (
            pytest.raises(SettingsError, match=r"^The folder /.* cannot be used \(.+\): correct"),
            batch_folder(BatchSettings(root), "run"),
        ):
            pass


def run_folders(root: Path) -> Iterator[str]:
    return (path.name for path in sorted(root.iterdir()) if not path.name.startswith("."))


def test_only_the_files_of_runs_that_have_ended_are_deleted(tmp_path: Path) -> None:
    settings = BatchSettings(tmp_path)

    def write(folder: BatchFolder) -> None:
        folder.begin("Items").end()

    with batch_folder(settings, "1") as first:
        write(first)
        with batch_folder(settings, "2") as second:
            write(second)
        with batch_folder(settings, "3") as third:
            write(third)
            assert [*run_folders(tmp_path)] == ["tap-acumatica-1", "tap-acumatica-3"]
        write(first)
        assert len([*tmp_path.glob("tap-acumatica-1/*.gz")]) == 2
    assert [*run_folders(tmp_path)] == ["tap-acumatica-1", "tap-acumatica-3"]
    with batch_folder(settings, "4"):
        assert [*run_folders(tmp_path)] == ["tap-acumatica-4"]


def test_what_is_not_the_taps_is_never_deleted(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    theirs = [
        tmp_path / "root" / "other" / "data.jsonl.gz",
        tmp_path / "root" / "data.jsonl.gz",
        tmp_path / "root" / "tap-acumatica-1" / "notes.txt",
        tmp_path / "root" / "tap-acumatica-1" / "below" / "data.jsonl.gz",
        elsewhere / "data.jsonl.gz",
    ]
    for path in theirs:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    link = tmp_path / "root" / "tap-acumatica-2"
    link.symlink_to(elsewhere)
    (tmp_path / "root" / "tap-acumatica-3").touch()
    with batch_folder(BatchSettings(tmp_path / "root"), "4"):
        assert all(path.exists() for path in (*theirs, link))


def test_a_folder_is_locked_and_private_while_its_run_goes_on(tmp_path: Path) -> None:
    with batch_folder(BatchSettings(tmp_path), "1") as folder:
        batch = folder.begin("Items")
        path = Path(batch.end().removeprefix("file://")).parent
        if os.name != "nt":
            assert path.stat().st_mode & 0o77 == 0
        with pytest.raises(TimeoutError), FileLock(path / ".lock", timeout=0):
            pass
    with FileLock(path / ".lock", timeout=0):
        pass


def test_numbers_keep_their_digits(writer: Writer) -> None:
    writer.batch_records("Items", [{"A": Decimal("1.10")}])
    (message,) = written(writer.end_batch)
    assert lines_of(*message["manifest"]) == [b'{"A":1.10}\n']
