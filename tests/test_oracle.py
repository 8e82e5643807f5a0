"""No row is lost and none is wrong, whatever happens to the table while it is read.

The whole tap runs, but for the network: a simulated table answers in place of the service.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

import msgspec
import pytest
from histories import History
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import in_this_process
from simulation import R, Row, Server
from singer_sdk.singerlib import RecordMessage, StateMessage
from typing_extensions import override

from tap_acumatica import prefetch
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.streams import EntityStream
from tap_acumatica.tap import TapAcumatica
from tap_acumatica.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from singer_sdk.singerlib.encoding.simple import Message

EXAMPLES = int(os.environ.get("ORACLE_EXAMPLES", "100"))
MANY = 4
"""Connections with which windows are split as often as can be."""
SKEW = timedelta(minutes=2)
SCHEMAS = {
    "int": {"type": "integer"},
    "str": {"type": "string"},
    "guid": {"type": "string", "format": "uuid"},
}
NEW_YORK, KATHMANDU = ZoneInfo("America/New_York"), ZoneInfo("Asia/Kathmandu")
WORLDS: tuple[tuple[dict[str, Any], dict[str, Any]], ...] = (
    ({}, {}),
    ({"cookie": None}, {}),
    ({"zone": NEW_YORK, "cookie": "TimeZone=GMTM0500G"}, {}),
    ({"zone": NEW_YORK, "cookie": None, "label": "offset"}, {}),
    ({"zone": KATHMANDU, "cookie": "TimeZone=GMTP0545G", "label": "offset"}, {}),
    (
        {"zone": NEW_YORK, "cookie": "TimeZone=GMTM0500G", "label": ""},
        {"time_zone": "America/New_York"},
    ),
    ({"zone": NEW_YORK, "cookie": None, "label": ""}, {"time_zone": "America/New_York"}),
    (
        {"zone": KATHMANDU, "cookie": None, "label": "Z"},
        {"time_zone": "Asia/Kathmandu", "ignore_offsets": True},
    ),
    ({"zone": NEW_YORK, "cookie": None, "label": "Z", "wall_filters": True}, {}),
    ({"zone": KATHMANDU, "cookie": None, "label": "Z", "wall_filters": True}, {}),
)
"""How the server shows and compares instants, with the settings that fit it."""


class Cut(AcumaticaError):  # noqa: N818 - no error
    """The run ends here, for no fault of the table."""


@dataclass
class Collector(Writer):
    """Takes the messages; the run is cut after `most` of them."""

    most: int | None = None
    messages: list[Message] = field(default_factory=list)

    @override
    def write_records(
        self,
        stream: str,
        records: Iterable[Row],
        version: int | None,
        time_extracted: datetime,
    ) -> None:
        for record in records:
            self.write_message(RecordMessage(stream, record, version, time_extracted))

    @override
    def write_state(self, state: bytes) -> None:
        self.write_message(StateMessage(value=msgspec.json.decode(state)))

    @override
    def write_message(self, message: Message) -> None:
        if self.most is not None and len(self.messages) >= self.most:
            raise Cut
        self.messages.append(message)

    def state(self) -> dict[str, Any]:
        states = [m.value for m in self.messages if hasattr(m, "value")]
        return dict(states[-1]) if states else {}


def catalog_of(history: History, *, dated: bool) -> dict[str, Any]:
    columns: dict[str, Any] = {
        name: SCHEMAS[kind] for name, kind in zip(history.sim.key, history.kinds, strict=True)
    }
    if history.nullable:
        columns = {name: {**c, "type": [c["type"], "null"]} for name, c in columns.items()}
    columns |= {R: {"type": ["string", "null"], "format": "date-time"}}
    columns |= {"Version": {"type": "integer"}}
    entry: dict[str, Any] = {
        "tap_stream_id": "Rows",
        "table_name": "dac/v4/Rows",
        "key_properties": list(history.sim.key),
        "replication_method": "INCREMENTAL" if dated else "FULL_TABLE",
        "schema": {"type": "object", "properties": columns},
        "metadata": [{"breadcrumb": [], "metadata": {"selected": True}}],
    }
    if dated:
        entry["replication_key"] = R
    return {"streams": [entry]}


def run(
    history: History,
    config: dict[str, Any],
    state: dict[str, Any] | None = None,
    *,
    dated: bool = True,
    cut: int | None = None,
) -> tuple[list[Row], dict[str, Any], list[Message]]:
    """One run: its rows, its last state, and all its messages."""
    collector = Collector(cut)
    base = {"url": "https://erp.example", "username": "someone", "password": "something"}
    # One page for each of many readers: nearly every window is split.
    pages = 1 if config.get("max_pool_size") == MANY else 3
    with in_this_process(), patch.object(prefetch, "MOST_PAGES", pages):
        tap = TapAcumatica(
            config={**base, **config},
            catalog=catalog_of(history, dated=dated),
            state=state,
            message_writer=collector,
        )
        tap.__dict__["services"] = {None: history.sim}
        try:
            tap.sync()
        except Cut:
            assert cut is not None
        finally:
            tap.close()
            for thread in threading.enumerate():
                if thread.name.startswith("reader of"):
                    thread.join()
    rows = [message.record for message in collector.messages if hasattr(message, "record")]
    return rows, collector.state() or (state or {}), collector.messages


def missing(history: History, delivered: list[Row]) -> dict[Any, Any]:
    last = {history.key_of(row): row["Version"] for row in delivered}
    return {k: v for k, v in history.surviving().items() if last.get(k) != v}


@st.composite
def servers(draw: st.DrawFn, *, late: bool = True) -> tuple[Server, dict[str, Any]]:
    """A healthy server, and the settings that fit it."""
    shown, config = draw(st.sampled_from(WORLDS))
    server = Server(
        cap=draw(st.sampled_from([None, None, 7, 25])),
        counts=draw(st.booleans()),
        precision=draw(st.sampled_from([1, 10_000, 1_000_000, 1_000_000])),
        rounds=draw(st.booleans()),
        nulls_last=draw(st.booleans()),
        skews=(-SKEW / 2, timedelta(0), SKEW / 2) if late and draw(st.booleans()) else (SKEW * 0,),
        slow_above=draw(st.sampled_from([None, None, 60])),
        **shown,
    )
    connections = draw(st.sampled_from([1, 2, MANY, MANY]))
    return server, {
        **config,
        "time_offset": 3600 if late else 0,
        "max_pool_size": connections,
    }


@pytest.fixture(autouse=True, scope="module")
def _often() -> Any:
    before = EntityStream.STATE_MSG_FREQUENCY
    EntityStream.STATE_MSG_FREQUENCY = 4
    yield
    EntityStream.STATE_MSG_FREQUENCY = before


SIZES = st.sampled_from([10, 10, 13, 50, 100])
PROPERTY = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@PROPERTY
@given(data=st.data(), seed=st.integers(0, 2**32), size=SIZES)
def test_every_surviving_row_is_delivered_in_its_last_version(
    data: st.DataObject, seed: int, size: int
) -> None:
    late = data.draw(st.booleans())
    server, config = data.draw(servers(late=late))
    config["page_size"] = size
    history = History(seed, server, late=late)
    delivered: list[Row] = []
    state: dict[str, Any] = {}
    quiet = data.draw(st.booleans())
    if not quiet:
        history.sim.between = history.change
    for _ in range(data.draw(st.integers(1, 3))):
        cut = data.draw(st.none() | st.integers(1, 150))
        rows, state, _ = run(history, config, state, cut=cut)
        delivered += rows
        if quiet:
            versions = [row["Version"] for row in rows]
            assert len(versions) == len(set(versions))
        history.sim.now += timedelta(minutes=data.draw(st.sampled_from([0, 1, 90])))
    history.settle()
    rows, _, _ = run(history, config, state)
    assert missing(history, delivered + rows) == {}


@PROPERTY
@given(data=st.data(), seed=st.integers(0, 2**32), size=SIZES)
def test_every_row_that_was_there_all_the_time_is_in_a_full_read(
    data: st.DataObject, seed: int, size: int
) -> None:
    server, config = data.draw(servers())
    history = History(seed, server)
    before = set(history.sim.rows)
    gone: set[Any] = set()

    def change() -> None:
        history.change()
        gone.update(before - history.sim.rows.keys())

    history.sim.between = change
    rows, _, _ = run(history, {**config, "page_size": size}, dated=False)
    assert not (before - gone) - {history.key_of(row) for row in rows}


@settings(PROPERTY, max_examples=EXAMPLES // 2)
@given(data=st.data(), seed=st.integers(0, 2**32))
def test_no_state_claims_more_than_was_delivered_before_it(data: st.DataObject, seed: int) -> None:
    """Cut after every message, the next run brings the rest."""
    server, config = data.draw(servers(late=False))
    config["page_size"] = 10
    history = History(seed, server, late=False)
    _, _, messages = run(history, config)
    random = Random(seed)
    states = [i for i, m in enumerate(messages) if hasattr(m, "value")]
    for index in random.sample(states, k=min(len(states), 4)):
        rows = [m.record for m in messages[:index] if hasattr(m, "record")]
        history.sim.now += timedelta(minutes=1)
        rest, _, _ = run(history, config, messages[index].value)  # type: ignore[attr-defined]
        assert missing(history, rows + rest) == {}
