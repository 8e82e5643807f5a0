"""Cached metadata: as good as the server's, and replaced if they are not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from support.running import discover, in_this_process, select_all, settings_for

from tap_acumatica.discovery.cache import DIGEST_SIZE, MetadataCache, Source
from tap_acumatica.odata.dialect import ODataVersion
from tap_acumatica.odata.http.client import Result
from tap_acumatica.odata.model import EntitySet, EntityType, Model, Property
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox import Sandbox

TERMS = "PX_Objects_CS_Terms"
SOURCE = Source("https://erp.example", "Company", "someone", "dac")


def model(name: str = "A") -> Model:
    declared = EntityType(
        f"N.{name}", "N.Base", "Label", ["K"], [Property("K", "Edm.String", "Key")]
    )
    entity_set = EntitySet("N_A", declared.name, restricted=["X", "Y"], filterable=False)
    return Model(ODataVersion.V4, {declared.name: declared}, {}, ["N.E"], [entity_set])


def model_of(cache: MetadataCache, source: Source, fetch: Callable[[], Model]) -> Model:
    return cache.result(source, lambda: Result(fetch(), None, None)).content


def test_a_second_discovery_asks_nothing_and_finds_the_same(box: Sandbox, tmp_path: Path) -> None:
    settings = settings_for(box, metadata_cache=str(tmp_path / "made" / "on demand"))
    first = discover(settings)
    requests = box.counters().total
    assert discover(settings) == first == discover(settings_for(box))
    assert box.counters().data_requests == 0
    assert [request.kind for request in box.log].count("metadata") == 4, "of two interfaces, twice"
    assert requests


def test_a_model_is_kept_whole(tmp_path: Path) -> None:
    cache = MetadataCache(tmp_path)
    assert model_of(cache, SOURCE, model) == model()
    assert model_of(cache, SOURCE, lambda: pytest.fail("it is cached")) == model()


@pytest.mark.parametrize(
    "other",
    [
        Source("https://other.example", "Company", "someone", "dac"),
        Source("https://erp.example", "Other", "someone", "dac"),
        Source("https://erp.example", None, "someone", "dac"),
        Source("https://erp.example", "Company", "another", "dac"),
        Source("https://erp.example", "Company", "someone", "gi"),
    ],
)
def test_sites_tenants_accounts_and_interfaces_have_files_of_their_own(
    tmp_path: Path, other: Source
) -> None:
    cache = MetadataCache(tmp_path)
    model_of(cache, SOURCE, lambda: model("A"))
    assert model_of(cache, other, lambda: model("B")) == model("B")
    assert model_of(cache, SOURCE, lambda: model("C")) == model("A")


@pytest.mark.parametrize("folder", ["cache", None])
def test_equal_metadata_of_tenants_are_one_object(tmp_path: Path, folder: str | None) -> None:
    tenants = [Source("https://erp.example", name, "someone", "dac") for name in "ABC"]
    contents = {"A": "Same", "B": "Same", "C": "Other"}
    for _fetched_then_cached in range(2):
        cache = MetadataCache(tmp_path / folder if folder else None)
        first, second, third = (
            model_of(cache, source, partial(model, contents[source.tenant or ""]))
            for source in tenants
        )
        assert first is second
        assert first == model("Same")
        assert third == model("Other")


def test_equal_metadata_are_equal_bytes_whichever_process_reads_them() -> None:
    """Else tenants with the same metadata would not share them if they were cached in turn."""
    names = [f"N{number}" for number in range(20)]
    enums = "".join(f'<EnumType Name="{name}"/>' for name in names)
    paths = "".join(f"<PropertyPath>{name}</PropertyPath>" for name in names)
    document = (
        f'<Edmx Version="4.0"><Schema Namespace="A">{enums}<EntityContainer Name="C">'
        '<EntitySet Name="S" EntityType="A.T"><Annotation Term="X.FilterRestrictions"><Record>'
        f'<PropertyValue Property="NonFilterableProperties"><Collection>{paths}</Collection>'
        "</PropertyValue></Record></Annotation></EntitySet></EntityContainer></Schema></Edmx>"
    )
    program = (
        "import sys, msgspec; from tap_acumatica.odata.csdl import parse; "
        "print(msgspec.msgpack.encode(parse([sys.argv[1].encode()])).hex())"
    )
    written = {
        subprocess.run(  # noqa: S603 - our own command
            [sys.executable, "-c", program, document],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    (encoded,) = written
    cached = msgspec.msgpack.decode(bytes.fromhex(encoded.decode()), type=Model)
    assert cached.enums == [f"A.{name}" for name in names]
    assert cached.sets[0].restricted == names


@pytest.mark.parametrize("age", [-100, 101])
def test_a_file_that_is_too_old_or_of_the_future_is_replaced(tmp_path: Path, age: int) -> None:
    cache = MetadataCache(tmp_path, max_age=100)
    model_of(cache, SOURCE, lambda: model("A"))
    (file,) = tmp_path.iterdir()
    written = file.stat().st_mtime
    os.utime(file, (written - age, written - age))
    assert model_of(cache, SOURCE, lambda: model("B")) == model("B")
    assert model_of(cache, SOURCE, lambda: model("C")) == model("B")


@pytest.mark.parametrize("content", [b"", b"\x00", b"{}", b"\xff" * 100])
def test_a_damaged_file_is_replaced_with_a_warning(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    cache = MetadataCache(tmp_path)
    model_of(cache, SOURCE, model)
    (file,) = tmp_path.iterdir()
    file.write_bytes(content)
    assert model_of(cache, SOURCE, lambda: model("B")) == model("B")
    assert "cannot be used" in caplog.text
    assert model_of(cache, SOURCE, lambda: model("C")) == model("B")


@pytest.mark.parametrize("byte", [b"\x00", b"\x81", b"\xed"])
def test_a_file_that_is_wrong_at_one_byte_never_ends_the_run(tmp_path: Path, byte: bytes) -> None:
    model_of(MetadataCache(tmp_path), SOURCE, model)
    (file,) = tmp_path.iterdir()
    body = file.read_bytes()[DIGEST_SIZE:]
    for at in range(len(body)):
        wrong = body[:at] + byte + body[at + 1 :]
        file.write_bytes(sha256(wrong).digest() + wrong)
        assert isinstance(model_of(MetadataCache(tmp_path), SOURCE, model), Model)


@given(st.data())
def test_whatever_byte_was_changed_the_server_is_asked(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        model_of(MetadataCache(Path(folder)), SOURCE, model)
        (file,) = Path(folder).iterdir()
        content = bytearray(file.read_bytes())
        index = data.draw(st.integers(0, len(content) - 1))
        content[index] ^= data.draw(st.integers(1, 255))
        file.write_bytes(content)
        assert model_of(MetadataCache(Path(folder)), SOURCE, lambda: model("B")) == model("B")


def test_what_cannot_be_put_in_its_place_leaves_nothing_behind(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cache = MetadataCache(tmp_path)
    model_of(cache, SOURCE, model)
    (path,) = tmp_path.iterdir()
    path.unlink()
    (path / "in the way").mkdir(parents=True)
    assert model_of(cache, SOURCE, lambda: model("B")) == model("B")
    assert "cannot be cached" in caplog.text
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    assert model_of(MetadataCache(tmp_path / "file"), SOURCE, model) == model()
    assert "cannot be cached" in caplog.text


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    model_of(MetadataCache(tmp_path), SOURCE, model)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_without_a_folder_nothing_is_kept() -> None:
    cache = MetadataCache()
    assert model_of(cache, SOURCE, lambda: model("A")) == model("A")
    assert model_of(cache, SOURCE, lambda: model("B")) == model("B")
    cache.forget(SOURCE)


# Runs that fail


def works(folder: Path, settings: dict[str, Any], *arguments: str) -> bool:
    """Whether the command succeeds."""
    config = folder / "c.json"
    config.write_text(json.dumps(settings), encoding="utf-8")
    with in_this_process():
        result = CliRunner().invoke(TapAcumatica.cli, ["--config", str(config), *arguments])
    return result.exit_code == 0


def test_a_sync_that_fails_drops_its_file(box: Sandbox, tmp_path: Path) -> None:
    cache, catalog = tmp_path / "cache", tmp_path / "k.json"
    settings = settings_for(box, "Terms", metadata_cache=str(cache), interfaces=["dac"])
    catalog.write_text(json.dumps(select_all(discover(settings))), encoding="utf-8")
    assert works(tmp_path, settings, "--catalog", str(catalog))
    assert len(list(cache.iterdir())) == 1
    box.forbid(TERMS)
    assert not works(tmp_path, settings, "--catalog", str(catalog))
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize("what", [["--discover"], ["--test"], []])
def test_a_run_that_finds_nothing_asks_the_server_next_time(
    box: Sandbox, tmp_path: Path, what: list[str]
) -> None:
    settings = settings_for(box, metadata_cache=str(tmp_path / "cache"), interfaces=["gi"])
    discover(settings)
    box.inquiries.add(replace(box.inquiries.known["customer contacts"], title="New"))
    settings["entities"] = ["GI_New"]
    assert not works(tmp_path, settings, *what)
    assert works(tmp_path, settings, *what)
