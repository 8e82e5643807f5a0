"""`tap-acumatica reread` has streams read again, and touches nothing else in the state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from support.running import NOW, run, run_command, settings_for

from sandbox import Sandbox
from tap_acumatica.odata.errors import SettingsError
from tap_acumatica.odata.instants import in_utc
from tap_acumatica.reading.reread import reread

if TYPE_CHECKING:
    from pathlib import Path

SALES = "PX_Objects_SO_SOOrder"
TERMS = "PX_Objects_CS_Terms"
USERS = "PX_SM_Users"
TENANTS = ("A", "B", "C")

ODD = """\
{"bookmarks": {
  "PX_Objects_SO_SOOrder" : {"partitions": [
    {"context": {"_tenant": "A"}, "replication_key":"L",  "replication_key_value":
      "2026-05-01T00:00:00.000000+00:00", "scope": {"start_date": "2020-01-01"}},
    {"replication_key_value": "2026-05-02T00:00:00+00:00", "context":{"_tenant":"B"}, "n": 1.0 },
    {"context": {"_tenant": "C"}} ] },
  "PX_Objects_CS_Terms": {"replication_key_value": "2026-05-03T00:00:00Z", "x": 1e3, "é": "\\u00e9"}
}, "site": "erp.example" , "more":[ 1,2 ]}"""
"""A state as no program would write it."""


def raw(text: bytes, *path: str | int) -> bytes:
    """What stands at a place of a JSON text, as it is written there."""
    value = msgspec.Raw(text)
    for step in path:
        kind = list[msgspec.Raw] if isinstance(step, int) else dict[str, msgspec.Raw]
        value = msgspec.json.decode(value, type=kind)[step]  # type: ignore[index]
    return bytes(value)


PLACES: list[tuple[str | int, ...]] = [
    ("bookmarks", SALES, "partitions", 0),
    ("bookmarks", SALES, "partitions", 1),
    ("bookmarks", SALES, "partitions", 2),
    ("bookmarks", TERMS),
    ("site",),
    ("more",),
]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize(
    ("stream", "tenant", "changed"),
    [
        (SALES, "A", [PLACES[0]]),
        ("soorder", "b", [PLACES[1]]),
        ("SOOrder", None, PLACES[:2]),
        ("Terms", None, [PLACES[3]]),
    ],
)
def test_nothing_else_is_touched(
    stream: str, tenant: str | None, changed: list[tuple[str | int, ...]], *, wrapped: bool
) -> None:
    text = f'{{"singer_state": {ODD}}}' if wrapped else ODD
    new, unchanged = reread(text.encode(), [stream], tenant)
    assert unchanged == []
    start = ("singer_state",) if wrapped else ()
    for place in PLACES:
        same = raw(new, *start, *place) == raw(text.encode(), *start, *place)
        assert same == (place not in changed), place
    for place in changed:
        part = json.loads(raw(new, *start, *place))
        assert "replication_key_value" not in part
        assert part["was_read"] is True


def test_a_date_moves_bookmarks_back_and_never_ahead() -> None:
    since = in_utc("2026-05-02")
    new, unchanged = reread(ODD.encode(), ["SOOrder", "Terms"], None, since)
    assert unchanged == [SALES]
    assert raw(new, "bookmarks", SALES) == raw(ODD.encode(), "bookmarks", SALES)
    terms = json.loads(raw(new, "bookmarks", TERMS))
    assert terms["replication_key_value"] == "2026-05-02T00:00:00.000000+00:00"
    assert terms["x"] == 1e3


@pytest.mark.parametrize(
    ("text", "stream", "tenant", "words"),
    [
        (ODD, "Nothing", None, "has not one stream Nothing"),
        (ODD, "SOOrder", "D", "does not know the tenant D: name one of its tenants .A, B, C."),
        (ODD, "Terms", "A", "knows no tenants"),
        ("[]", "Terms", None, "The state cannot be read"),
        ("", "Terms", None, "The state cannot be read"),
        ('{"type": "STATE"}', "Terms", None, "has no bookmarks object"),
    ],
)
def test_what_cannot_be_done_is_said(
    text: str, stream: str, tenant: str | None, words: str
) -> None:
    with pytest.raises(SettingsError, match=words):
        reread(text.encode(), [stream], tenant)


def test_the_next_run_reads_one_stream_of_one_tenant_again(tmp_path: Path) -> None:
    with Sandbox(now=NOW, rows=30, tenants=TENANTS) as box:
        config = settings_for(box, SALES, TERMS, USERS, tenants=list(TENANTS))
        state = run(config).state
        box.clock.advance(7200)
        path = tmp_path / "state.json"
        path.write_text(json.dumps(state))
        finished = run_command(
            "reread", "--state", str(path), "--stream", "SOOrder", "--tenant", "B"
        )
        assert finished.returncode == 0, finished.stderr
        second = run(config, state=json.loads(finished.stdout))
        assert second.error is None
        orders: list[dict[str, Any]] = second.records(SALES)
        assert {row["_tenant"] for row in orders} == {"B"}
        assert len(orders) == len(box.rows(SALES, "B"))
        assert second.records(TERMS) == []


def test_the_command_takes_the_state_from_a_pipe_and_says_what_it_leaves(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"bookmarks": {USERS: {"was_read": True}}}))
    finished = run_command(
        "reread", "--state", str(path), "--stream", USERS, "--since", "2026-01-01"
    )
    assert (finished.returncode, json.loads(finished.stdout)) == (0, json.loads(path.read_text()))
    assert f"{USERS} has no bookmark behind that" in finished.stderr
    for arguments, words in (
        ((), "The option --stream is missing"),
        (("--stream", USERS, "--since", "soon"), "The option --since is no date"),
    ):
        wrong = run_command("reread", *arguments)
        assert wrong.returncode == 78
        assert words in wrong.stderr
