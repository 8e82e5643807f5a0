"""Key, replication key and method of a stream are settled once, wherever a catalog says them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from singer_sdk.singerlib.catalog import Catalog
from support.running import discover, run, select_all, settings_for, write_json

from tap_acumatica.catalog.given import settled
from tap_acumatica.odata.errors import DiscoveryError

if TYPE_CHECKING:
    from pathlib import Path

    from support.running import Output

    from sandbox import Sandbox

TERMS = "PX_Objects_CS_Terms"


def entry(root: dict[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    return {
        "tap_stream_id": "Rows",
        "table_name": "dac/v4/Rows",
        "schema": {"type": "object", "properties": {"K": {"type": "integer"}}},
        "metadata": [{"breadcrumb": [], "metadata": {"selected": True, **(root or {})}}],
        **top,
    }


def facts(stream: dict[str, Any]) -> tuple[list[str], str | None, str]:
    (result,) = settled({"streams": [stream]})["streams"]
    return result["key_properties"], result["replication_key"], result["replication_method"]


KEYS = st.sampled_from([None, [], ["K"], ["A", "B"]])
REPLICATION_KEYS = st.sampled_from([None, "At", "On"])
METHODS = st.sampled_from([None, "FULL_TABLE", "INCREMENTAL", "LOG_BASED"])
TOP = {
    "key_properties": KEYS,
    "replication_key": REPLICATION_KEYS,
    "replication_method": METHODS,
}
ROOT = {
    "table-key-properties": KEYS,
    "replication-key": REPLICATION_KEYS,
    "replication-method": METHODS,
    "forced-replication-method": METHODS,
}


@settings(max_examples=400, deadline=None)
@given(top=st.fixed_dictionaries({}, optional=TOP), root=st.fixed_dictionaries({}, optional=ROOT))
def test_the_metadata_count_where_the_top_level_is_silent_and_contradict_it_nowhere(
    top: dict[str, Any], root: dict[str, Any]
) -> None:
    spoken = {**{f"top {name}": value for name, value in top.items()}, **root}
    methods = {value for name, value in spoken.items() if name.endswith("method")} - {None}
    replication_keys = {top.get("replication_key"), root.get("replication-key")} - {None}
    method = next(iter(methods), "INCREMENTAL" if replication_keys else "FULL_TABLE")
    refused = (
        len(methods) > 1
        or method == "LOG_BASED"
        or (method == "INCREMENTAL" and len(replication_keys) != 1)
    )
    if refused:
        with pytest.raises(DiscoveryError, match="Rows"):
            facts(entry(root, **top))
        return
    key = top.get("key_properties")
    expected = root.get("table-key-properties") if key is None else key
    result_key, replication_key, result_method = facts(entry(root, **top))
    assert (result_key, result_method) == (expected or [], method)
    if method == "INCREMENTAL":
        assert {replication_key} == replication_keys


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (entry(replication_method="LOG_BASED"), "LOG_BASED"),
        (entry(replication_method="incremental", replication_key="At"), "which the tap does not"),
        (entry({"replication-method": "FULL_TABLE"}, replication_method="INCREMENTAL"), "methods"),
        (entry(replication_method="INCREMENTAL"), "no replication key"),
        (entry(replication_method="INCREMENTAL", replication_key=""), "no replication key"),
        (entry({"table-key-properties": ["K"]}, key_properties=[], table_key_properties=["K"]),
         "key-properties"),
    ],
)  # fmt: skip
def test_what_contradicts_itself_is_said(stream: dict[str, Any], words: str) -> None:
    with pytest.raises(DiscoveryError, match=words):
        settled({"streams": [stream]})


BROKEN: list[tuple[Any, str]] = [
    ({}, "list of streams"),
    ({"streams": {}}, "list of streams"),
    ({"streams": ["Rows"]}, "a stream is damaged"),
    ({"streams": [entry(metadata={})]}, "Rows is damaged"),
    ({"streams": [entry(metadata=[{"metadata": {"selected": True}}])]}, "breadcrumb"),
    ({"streams": [entry(metadata=[{"breadcrumb": []}])]}, "metadata"),
    ({"streams": [entry(metadata=[{"breadcrumb": "", "metadata": {}}])]}, "breadcrumb"),
    ({"streams": [entry({"selected": "false"})]}, "selected"),
    ({"streams": [entry(metadata=[], selected="yes")]}, "selected"),
    ({"streams": [entry({"absent-in": "A"})]}, "absent-in"),
    ({"streams": [entry(key_properties="K")]}, "key_properties"),
    ({"streams": [entry(replication_key=["At"])]}, "replication_key"),
    ({"streams": [entry(schema={})]}, "properties"),
    ({"streams": [entry(schema={"properties": {"K": None}})]}, "damaged"),
    ({"streams": [entry(schema={"properties": {"K": {"type": 5}}})]}, "type"),
    ({"streams": [{**entry(), "tap_stream_id": None}]}, "tap_stream_id"),
    ({"streams": [{**entry(), "tap_stream_id": ""}]}, "tap_stream_id"),
    ({"streams": [entry(), entry()]}, "twice"),
]


@pytest.mark.parametrize(("catalog", "words"), BROKEN)
def test_a_catalog_of_another_shape_is_refused_in_a_sentence(catalog: Any, words: str) -> None:
    with pytest.raises(DiscoveryError, match=words) as refused:
        settled(catalog)
    assert str(refused.value).startswith("The catalog")


@pytest.mark.parametrize("name", ["Renamed", "", None, 5])
def test_a_stream_has_its_id_as_its_name(name: object) -> None:
    (stream,) = settled({"streams": [entry(stream=name)]})["streams"]
    assert stream["stream"] == "Rows"


@pytest.mark.parametrize("shape", ["no metadata", "no root", "no columns"])
def test_a_catalog_that_says_less_is_read(box: Sandbox, shape: str) -> None:
    config = settings_for(box, TERMS)
    catalog = select_all(discover(config))
    (stream,) = catalog["streams"]
    stream["selected"] = True
    if shape == "no metadata":
        del stream["metadata"]
    else:
        stream["metadata"] = [
            node for node in stream["metadata"] if bool(node["breadcrumb"]) == (shape == "no root")
        ]
    output = run(config, catalog=catalog)
    assert output.error is None
    assert len(output.records()) == len(box.rows(TERMS))


def by_meltano(stream: dict[str, Any], key: str, value: Any) -> None:
    """Apply a rule of Meltano's extra `metadata` to a stream, as Meltano does."""
    stream[key.replace("-", "_")] = value
    next(n for n in stream["metadata"] if not n["breadcrumb"])["metadata"][key] = value


def schema_of(output: Output) -> dict[str, Any]:
    (schema,) = [message for message in output.messages if message["type"] == "SCHEMA"]
    return dict(schema)


def test_rules_of_meltano_win_over_what_was_discovered(box: Sandbox) -> None:
    config = settings_for(box, TERMS)
    streams = discover(config)
    assert streams[TERMS]["replication_method"] == "INCREMENTAL"
    by_meltano(streams[TERMS], "replication-method", "FULL_TABLE")
    by_meltano(streams[TERMS], "key-properties", [])
    output = run(config, catalog=select_all(streams))
    assert output.error is None
    assert schema_of(output)["key_properties"] == []
    assert "replication_key" not in str(output.state)
    assert not [request for request in box.log if "$filter" in request.query]

    streams = discover(config)
    by_meltano(streams[TERMS], "replication-key", "CreatedDateTime")
    output = run(config, catalog=select_all(streams))
    assert output.error is None
    assert output.state["bookmarks"][TERMS]["replication_key"] == "CreatedDateTime"

    streams = discover(config)
    by_meltano(streams[TERMS], "replication-method", "LOG_BASED")
    assert "LOG_BASED" in str(run(config, catalog=select_all(streams)).error)


def test_a_rule_for_the_metadata_alone_counts_where_the_top_level_is_silent(box: Sandbox) -> None:
    config = settings_for(box, TERMS)
    streams = discover(config)
    key = streams[TERMS].pop("key_properties")
    for name in ("replication_key", "replication_method"):
        del streams[TERMS][name]
    streams[TERMS]["metadata"][0]["metadata"]["replication-method"] = "FULL_TABLE"
    output = run(config, catalog=select_all(streams))
    assert output.error is None
    assert schema_of(output)["key_properties"] == key
    assert "replication_key" not in str(output.state)

    streams = discover(config)
    streams[TERMS]["metadata"][0]["metadata"]["replication-method"] = "FULL_TABLE"
    refused = run(config, catalog=select_all(streams))
    assert "different replication methods" in str(refused.error)
    assert not refused.messages


def test_every_form_of_a_catalog_is_settled_alike(box: Sandbox, tmp_path: Path) -> None:
    config = settings_for(box, TERMS)
    streams = discover(config)
    streams[TERMS]["key_properties"] = []
    catalog = select_all(streams)
    path = tmp_path / "catalog.json"
    write_json(path, catalog)
    for form in (catalog, Catalog.from_dict(catalog), path, str(path)):
        output = run(config, catalog=form)
        assert output.error is None
        assert schema_of(output)["key_properties"] == []
