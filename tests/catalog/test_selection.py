"""Only the selected streams of a catalog are read, in whichever way they are selected."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner
from support.running import NOW, discover, settings_for

from sandbox import Sandbox
from tap_acumatica.catalog.entry import MAX_LINE_LENGTH
from tap_acumatica.catalog.selection import decode_selected, only_selected
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.run.selection import MAX_STREAMS, require_sensible
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from pathlib import Path


def stream(name: str, **root: Any) -> dict[str, Any]:
    return {
        "tap_stream_id": name,
        "schema": {"type": "object", "properties": {"A": {"type": "number", "minimum": 0.10}}},
        "metadata": [
            {"breadcrumb": ["properties", "A"], "metadata": {"selected": True}},
            {"breadcrumb": [], "metadata": root},
        ],
    }


STREAMS: list[tuple[dict[str, Any], bool]] = [
    (stream("A", selected=True), True),
    (stream("B", selected=False), False),
    (stream("C"), False),
    (stream("D", **{"selected-by-default": True}), True),
    (stream("E", **{"selected-by-default": True, "selected": False}), False),
    (stream("F", **{"selected": None, "selected-by-default": True}), False),
    ({**stream("G"), "selected": True}, True),
    ({**stream("H", selected=False), "selected": True}, False),
    ({"tap_stream_id": "I", "selected": True}, True),
    ({"tap_stream_id": "J"}, False),
]


@pytest.mark.parametrize("indent", [None, 1])
def test_the_text_and_the_object_of_a_catalog_select_the_same(indent: int | None) -> None:
    catalog = {"streams": [entry for entry, _ in STREAMS], "more": [1]}
    selected = [entry for entry, is_selected in STREAMS if is_selected]
    decoded = decode_selected(json.dumps(catalog, indent=indent))
    names = [entry["tap_stream_id"] for entry in decoded["streams"]]
    assert names == [entry["tap_stream_id"] for entry in selected]
    assert only_selected(catalog)["streams"] == selected


def test_what_is_kept_is_as_it_was() -> None:
    entry = stream("A", selected=True)
    (decoded,) = decode_selected(json.dumps({"streams": [entry]}))["streams"]
    assert json.loads(json.dumps(decoded, default=float)) == entry


@pytest.mark.parametrize("text", ["[]", "{}", '{"streams": {}}', '{"streams": [{"metadata": 1}]}'])
def test_what_is_no_catalog_is_handed_on_as_it_is(text: str) -> None:
    assert decode_selected(text) == json.loads(text)


def test_the_catalog_on_stdout_is_the_catalog_in_short_lines(tmp_path: Path) -> None:
    with Sandbox(now=NOW, empty=True, scale=True) as box:
        settings = settings_for(box)
        config = tmp_path / "config.json"
        config.write_text(json.dumps(settings))
        result = CliRunner().invoke(TapAcumatica.cli, ["--config", str(config), "--discover"])
        assert result.exit_code == 0
        assert json.loads(result.stdout) == {"streams": list(discover(settings).values())}
        assert max(map(len, result.stdout.splitlines())) <= MAX_LINE_LENGTH
        assert len(result.stdout.splitlines()) < 3000


def test_a_stream_that_is_too_long_for_a_line_gets_more_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tap_acumatica.catalog.entry.MAX_LINE_LENGTH", 500)
    with Sandbox(now=NOW, empty=True) as box:
        tap = TapAcumatica(config=settings_for(box), setup_mapper=False)
        text = tap.catalog_json_text
        tap.run.close()
        assert json.loads(text) == {"streams": list(discover(settings_for(box)).values())}
    assert max(map(len, text.splitlines())) < 500


def test_nothing_and_too_much_are_refused() -> None:
    with pytest.raises(SettingsError, match="No stream is selected"):
        require_sensible(0, named=True)
    require_sensible(MAX_STREAMS, named=False)
    with pytest.raises(SettingsError, match="which is more than 200"):
        require_sensible(MAX_STREAMS + 1, named=False)
    require_sensible(MAX_STREAMS + 1, named=True)
