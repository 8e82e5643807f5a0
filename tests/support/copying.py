"""Copies simulated sites into a model of a target, and holds each run of the tap to its promises.

The whole tap runs except for the network: simulated tables replace the services.
"""

from __future__ import annotations

import logging
import signal
from collections import Counter, defaultdict
from collections.abc import Mapping  # noqa: TC003 - of a dataclass
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias
from unittest.mock import patch

import msgspec
from singer_sdk.singerlib import ActivateVersionMessage, RecordMessage, StateMessage
from typing_extensions import override

from support.histories import DAC, DRAWN, Content, History, Shape
from support.running import in_this_process
from support.simulation import Clock, Key, R, Row, Server, SimulatedService, one_in
from support.stepping import stepped_workers
from support.target import Manners, Target
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.log import logger
from tap_acumatica.output.records import whole
from tap_acumatica.output.writer import Writer
from tap_acumatica.reading import prefetch
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run.run import Run as TapRun
from tap_acumatica.stream import EntityStream
from tap_acumatica.tap import TapAcumatica

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from singer_sdk.singerlib.encoding.simple import Message

TENANT = "_tenant"
SOMETIMES = "C0"
"""A column that the catalog may have later than the tables, or longer."""
DAY = timedelta(days=1)
MANY_CONNECTIONS = 4
"""Number of connections with which windows are split as often as possible."""
SCHEMAS: dict[str, dict[str, Any]] = {
    "int": {"type": "integer"},
    "str": {"type": "string"},
    "guid": {"type": "string", "format": "uuid"},
}

Tenant: TypeAlias = str | None
Place: TypeAlias = tuple[str, Tenant]
"""A stream in a tenant; for services the interface in a tenant."""


@dataclass(frozen=True)
class Stream:
    """One table of each tenant.

    Attributes:
        server: How the server behaves for it: arguments of `Server`.
        dated: Whether it is read by its date.
        shape: How it is exposed.
        content: What it holds.
        declares_key: Whether the metadata declares the first column as its key although it has
            none.
    """

    server: Mapping[str, Any]
    dated: bool = True
    shape: Shape = DAC
    content: Content = DRAWN
    declares_key: bool = False


@dataclass(frozen=True)
class Run:
    """One run of the tap.

    Attributes:
        settings: Its settings; start_date as the time before the start of the scene.
        stop_after: Number of messages after which it is asked to stop; None lets it end.
        is_killed: Whether it is killed right after one of its states.
        minutes: How long the next run waits.
        has_settled: Whether all changes end before it.
        hides: One row in so many is hidden from the account; None: none is.
    """

    settings: Mapping[str, Any]
    stop_after: int | None = None
    is_killed: bool = False
    minutes: float = 0
    has_settled: bool = False
    hides: int | None = None


@dataclass(frozen=True)
class Scene:
    """What is copied, and how often.

    Attributes:
        seed: Decides on all that is random.
        streams: The tables.
        tenants: The tenants, each of which has them.
        runs: The runs, one after the other.
        late: Whether transactions take time.
        changing: Whether the tables change while they are read.
        owes_changed: Whether a row has to come that is changed once during the run.
        in_turn: Whether each run reads one of the tenants.
        moves: Whether the last run reads another site with the state of this one.
        column_later: Whether the catalog has a column more from the second run on.
        column_gone: Whether the tables have a column less from the second run on.
        slips_at: Number of the request that is answered with rows of another table.
        rights_change: Whether each run says which rows are hidden from the account.
        manners: What the target does.
    """

    seed: int
    streams: tuple[Stream, ...]
    runs: tuple[Run, ...]
    tenants: tuple[Tenant, ...] = (None,)
    late: bool = False
    changing: bool = True
    owes_changed: bool = False
    in_turn: bool = False
    moves: bool = False
    column_later: bool = False
    column_gone: bool = False
    slips_at: int | None = None
    rights_change: bool = False
    manners: Manners = field(default_factory=Manners)


class Collector(Writer):
    """Collects the messages."""

    def __init__(self, heard: Callable[[int], None]) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self._heard = heard

    @override
    def write_records(
        self, stream: str, records: Iterable[Row], version: int | None, time_extracted: datetime
    ) -> None:
        for record in records:
            self.write_message(RecordMessage(stream, whole(record), version, time_extracted))

    @override
    def write_state(self, state: bytes) -> None:
        self.write_message(StateMessage(value=msgspec.json.decode(state)))

    @override
    def write_message(self, message: Message) -> None:
        self.messages.append(message)
        self._heard(len(self.messages))


@contextmanager
def warnings_of_tap(handler: logging.Handler) -> Iterator[None]:
    """Let the handler collect what the tap says."""
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class Site:
    """The tables of all tenants of a scene, which share a clock."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.tables: dict[Place, History] = {}
        clock: Clock | None = None
        for number, stream in enumerate(scene.streams):
            like = None
            for place, tenant in enumerate(scene.tenants):
                history = History(
                    scene.seed + 1000 * number + place,
                    Server(**stream.server),
                    late=scene.late,
                    shape=stream.shape,
                    content=stream.content,
                    clock=clock,
                    like=like,
                )
                clock, like = history.sim.clock, history
                self.tables[f"Rows{number}", tenant] = history
        assert clock
        self.clock = clock
        self.opened = clock.now
        for history in self.tables.values():
            history.sim.between = self._change_of(history) if scene.changing else lambda: None

    def services(self) -> dict[Place, SimulatedService]:
        """Return the services, as the tap knows them."""
        tables: defaultdict[Place, dict[str, Any]] = defaultdict(dict)
        for (name, tenant), history in self.tables.items():
            tables[history.shape.interface, tenant][name] = history.sim
        slips_at = self.scene.slips_at
        return {service: SimulatedService(named, slips_at) for service, named in tables.items()}

    def catalog(self, *, without: str | None = None) -> dict[str, Any]:
        """Return the catalog, in which all streams are selected."""
        names = enumerate(self.scene.streams)
        entries = [self._entry(f"Rows{number}", stream) for number, stream in names]
        for entry in entries:
            entry["schema"]["properties"].pop(without, None)
        return {"streams": entries}

    def drop(self, column: str) -> None:
        """Let the tables have a column less."""
        for history in self.tables.values():
            history.sim.server.gone = frozenset({column})

    def settle(self) -> None:
        """End all changes, and let time pass."""
        now = self.clock.now
        for history in self.tables.values():
            history.settle()
        self.clock.now = now + DAY + timedelta(minutes=10)

    def _change_of(self, history: History) -> Callable[[], None]:
        """Return what happens when a table is asked: it changes, and sometimes the others do."""
        others = [other for other in self.tables.values() if other is not history]

        def change() -> None:
            history.change()
            for other in others:
                if other.random.random() < 0.2:
                    other.change()

        return change

    def _entry(self, name: str, stream: Stream) -> dict[str, Any]:
        history = self.tables[name, self.scene.tenants[0]]
        columns = {
            column: SCHEMAS[kind]
            for column, kind in zip(history.sim.key, history.kinds, strict=True)
        }
        if history.nullable:
            columns = {
                column: {**schema, "type": [schema["type"], "null"]}
                for column, schema in columns.items()
            }
        columns |= {R: {"type": ["string", "null"], "format": "date-time"}}
        columns |= {"Version": {"type": "integer"}}
        if stream.content.widths:
            columns |= {"Text": {"type": ["string", "null"]}}
        further = range(stream.content.columns)
        columns |= {f"C{index}": {"type": ["integer", "null"]} for index in further}
        key = list(history.sim.key) if stream.shape.keyed else []
        if self.scene.tenants != (None,):
            columns = {TENANT: {"type": "string"}} | columns
            key = [TENANT, *key] if key else []
        declared = {"table-key-properties": ["K0"]} if stream.declares_key else {}
        dated = {"replication_key": R} if stream.dated else {}
        return dated | {
            "tap_stream_id": name,
            "table_name": f"{stream.shape.interface}/{stream.shape.protocol}/{name}",
            "key_properties": key,
            "replication_method": "INCREMENTAL" if stream.dated else "FULL_TABLE",
            "schema": {"type": "object", "properties": columns},
            "metadata": [{"breadcrumb": [], "metadata": {"selected": True, **declared}}],
        }


@dataclass
class Held:
    """A row as it was when a run started."""

    version: int
    instant: datetime | None
    changes: int


class Warnings(logging.Handler):
    """Collects what the tap says."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.text = ""

    @override
    def emit(self, record: logging.LogRecord) -> None:
        self.text += record.getMessage() + "\n"


class Copying:
    """A site and its copy.

    Attributes:
        site: The site.
        target: The copy.
        error: The error with which the last run ended.
        records: The records of the last run, each with its stream.
    """

    def __init__(self, scene: Scene) -> None:
        self.site = Site(scene)
        self.target = Target(scene.manners)
        self.error: AcumaticaError | None = None
        self.records: list[tuple[str, Row]] = []
        self._scene = scene
        self._random = Random(scene.seed)
        self._url = "https://erp.example"
        self._warnings = ""
        self._runs = 0
        self._days: defaultdict[Place, set[str]] = defaultdict(set)
        """The days on which a stream's undated rows were read."""
        self._goes_on: set[str] = set()
        """The streams of which a generation was begun by an earlier run."""
        self._last_run = Run({})
        self._last_start = self.site.clock.now
        self._begun: dict[Place, tuple[int, dict[Key, Held]]] = {}
        """The full read of a stream that is under way, and the rows as it began."""
        self._held_before: dict[Place, dict[Key, Held]] = {}
        """The rows as they were when the run before began."""

    def run_all(self) -> Iterator[AcumaticaError | None]:
        """Run the tap as often as the scene says; fail if it does not keep a promise.

        Yields:
            The error with which each run ended.
        """
        scene, last = self._scene, len(self._scene.runs) - 1
        for number, run in enumerate(scene.runs):
            if scene.moves and number == last:
                self._move()
            if scene.column_gone and number:
                self.site.drop(SOMETIMES)
            tenants = scene.tenants
            if scene.in_turn:
                tenants = (tenants[number % len(tenants)],)
            catalog = self.site.catalog(
                without=SOMETIMES if scene.column_later and not number else None
            )
            self._run(self._with_date(run), tenants, catalog)
            yield self.error

    def _with_date(self, run: Run) -> Run:
        """Return the run with a start_date as the tap takes it."""
        since = run.settings.get("start_date")
        start_date = (self.site.opened - since).isoformat() if since else None
        return replace(run, settings={**run.settings, "start_date": start_date})

    def _move(self) -> None:
        """Read another site, whose rows go to another target, with the state of this one."""
        state = self.target.state
        self._url = "https://other.example"
        self.site = Site(replace(self._scene, seed=self._scene.seed + 1))
        self.target = Target()
        self.target.state = state
        self._days.clear()

    def _run(self, run: Run, tenants: Sequence[Tenant], catalog: dict[str, Any]) -> None:
        self._prepare(run)
        start = self.site.clock.now
        held = {place: self._held(history) for place, history in self.site.tables.items()}
        begun = {place: self._since_begin(place, rows) for place, rows in held.items()}
        before = self._copied()
        rows_before = {place: self._generation(place).get("rows", 0) for place in self.site.tables}
        messages, has_ended = self._sync(run, tenants, catalog)
        self.records = [(m.stream, m.record) for m in messages if isinstance(m, RecordMessage)]
        if run.is_killed:
            self._kill(messages)
        else:
            self.target.receive(messages)
        after = self._copied()
        activated = {m.stream for m in messages if isinstance(m, ActivateVersionMessage)}
        is_complete = has_ended and not self.error and not run.is_killed
        for place, history in self.site.tables.items():
            self._require_known(history, after[place])
            self._require_kept(history, begun[place], before[place], after[place])
            if is_complete and place[1] in tenants:
                promised = self._promised(place, held[place], begun[place])
                owed = self._owed(place, promised, start, run)
                lost = {k: v for k, v in owed.items() if after[place].get(k, 0) < v}
                assert not lost, f"Rows of {place} are missing or old: {lost}"
                if not history.shape.keyed:
                    self._require_copies(place, owed)
                self._days[place].add(start.date().isoformat())
        if is_complete:
            self._require_columns(catalog, tenants)
            is_full = run.settings.get("full_read_interval") == 0 and tenants == self._scene.tenants
            if run.has_settled and is_full:
                self._require_equal(run, before, activated)
        if not run.is_killed:
            self._require_believable(run, rows_before, after, activated)
        self._last_run, self._last_start = run, start
        self.site.clock.now += timedelta(minutes=run.minutes)

    def _prepare(self, run: Run) -> None:
        """Let the tables be as the run finds them."""
        if run.has_settled:
            self.site.settle()
        for history in self.site.tables.values():
            history.sim.server.shows_archived = bool(run.settings.get("include_archived"))
            if self._scene.rights_change:
                history.sim.server.hides = run.hides
            history.sim.begin()
        names = {name for name, _ in self.site.tables}
        self._goes_on = {name for name in names if self._is_under_way(name)}

    def _is_under_way(self, name: str) -> bool:
        """Whether a generation of the stream was begun by an earlier run, and is not complete."""
        generations = [self._generation((name, tenant)) for tenant in self._scene.tenants]
        versions = {each.get("version") for each in generations}
        return len(versions) > 1 or any(each.get("shape") for each in generations)

    def _since_begin(self, place: Place, held: dict[Key, Held]) -> dict[Key, Held]:
        """Return the rows as they were when the full read began that may go on in this run.

        A row that was hidden or deleted meanwhile was not there all through the read.
        """
        generation = self._generation(place)
        is_whole = generation.get("read") is not None and generation.get("shape")
        is_begun = generation.get("place") or is_whole
        version = generation.get("reading") or generation.get("version", 0)
        last, rows = self._begun.get(place, (0, held))
        if not is_begun:
            version, rows = 0, held
        elif version != last:
            rows = self._held_before[place]  # the run before has begun it
        self._held_before[place] = held
        self._begun[place] = version, {key: row for key, row in rows.items() if key in held}
        return self._begun[place][1]

    def _generation(self, place: Place) -> Mapping[str, Any]:
        """Return what the state says of a stream's generation."""
        name, tenant = place
        entry = self.target.state.get("bookmarks", {}).get(name, {})
        parts = [entry, *entry.get("partitions", ())]
        of_tenant = (part for part in parts if part.get("context", {}).get(TENANT) == tenant)
        part: Mapping[str, Any] = next(of_tenant, {})
        generation: Mapping[str, Any] = part.get("generation", {})
        return generation

    def _promised(
        self, place: Place, held: dict[Key, Held], begun: dict[Key, Held]
    ) -> dict[Key, Held]:
        """Return the rows that a run may owe: a full read that goes on is as old as it is."""
        stream = self._scene.streams[int(place[0].removeprefix("Rows"))]
        if not stream.dated:
            return begun
        if place[0] not in self._goes_on or not self._scene.rights_change:
            return held
        # Windows do not bring what was hidden, or what got another key.
        is_odd = self._last_run.hides or stream.content.renames
        return {
            key: row
            for key, row in held.items()
            if not is_odd and row.instant and row.instant >= self._last_start
        }

    def _sync(
        self, run: Run, tenants: Sequence[Tenant], catalog: dict[str, Any]
    ) -> tuple[list[Message], bool]:
        """Run the tap; return its messages, and whether it came to its own end."""
        settings: dict[str, Any] = {
            "url": self._url,
            "username": "someone",
            "password": "something",
            "emit_activate_version_messages": True,
            "rebuild_records": self._runs % 2 == 1,
            **run.settings,
        }
        if tenants[0]:
            settings["tenants"] = list(tenants)
        # With one page for each of many readers nearly every window is split.
        pages = 1 if settings.get("max_pool_size") == MANY_CONNECTIONS else 3

        def heard(number: int) -> None:
            if number == run.stop_after:
                tap_run.stop(signal.SIGTERM)

        collector, tap_run, warnings = Collector(heard), TapRun(), Warnings()
        self.error = None
        has_ended = True
        with (
            in_this_process(),
            warnings_of_tap(warnings),
            patch.object(prefetch, "MAX_PAGES", pages),
            patch.object(prefetch, "Worker", stepped_workers(self._random)),
            patch.object(EntityStream, "STATE_MSG_FREQUENCY", 4),
        ):
            try:
                tap = TapAcumatica(
                    run=tap_run,
                    config=settings,
                    catalog=catalog,
                    state=msgspec.json.decode(msgspec.json.encode(self.target.state)),
                    message_writer=collector,
                )
                tap_run.instance.services = self.site.services()  # type: ignore[assignment] # a simulation
                self._runs += 1
                for stream in tap.streams.values():
                    # The version is the second in which a run starts, and these take less.
                    stream._initialized_at = 1000 * self._runs
                tap.sync()
            except Stopped:
                has_ended = False
                tap.state_writer.write_state(tap.state)
            except AcumaticaError as error:
                self.error = error
            finally:
                tap_run.close()
        self._warnings += warnings.text
        return collector.messages, has_ended

    def _kill(self, messages: list[Message]) -> None:
        """Store the messages up to one of the states."""
        states = [i for i, message in enumerate(messages, 1) if isinstance(message, StateMessage)]
        end = self._random.choice(states) if states else 0
        self.target.receive(messages[:end])

    def _held(self, history: History) -> dict[Key, Held]:
        """Return the rows that the account may see, as they are now."""
        sim = history.sim
        return {
            key: Held(version, sim.rows[key][R], len(sim.changes[key]))
            for key, version in sim.versions_shown().items()
        }

    def _copied(self) -> dict[Place, dict[Key, int]]:
        """Return the newest version of each row in the target."""
        copied: dict[Place, dict[Key, int]] = {}
        for (name, tenant), history in self.site.tables.items():
            versions = copied[name, tenant] = dict[Key, int]()
            for row in self.target.rows(name):
                if row.get(TENANT) == tenant:
                    key = history.sim.key_of(row)
                    versions[key] = max(row["Version"], versions.get(key, 0))
        return copied

    def _require_copies(self, place: Place, owed: Mapping[Key, int]) -> None:
        """Fail if rows without a key have arrived less often than the table has them."""
        (name, tenant), sim = place, self.site.tables[place].sim
        arrived = Counter(
            (sim.key_of(row), row["Version"])
            for row in self.target.rows(name)
            if row.get(TENANT) == tenant
        )
        copies = sim.server.copies
        few = {k for k, version in owed.items() if arrived[k, version] < 1 + one_in(copies, k)}
        assert not few, f"Rows of {place} have arrived too seldom: {few}"

    def _require_columns(self, catalog: dict[str, Any], tenants: Collection[Tenant]) -> None:
        """Fail if rows lack a column of the catalog, and the tap has never said so.

        Rows without a key are appended, so those of earlier runs stay as they were.
        """
        for entry in catalog["streams"]:
            is_missed = SOMETIMES in entry["schema"]["properties"] and entry["key_properties"]
            if not is_missed or SOMETIMES in self._warnings:
                continue
            name = entry["tap_stream_id"]
            without = [
                row
                for row in self.target.rows(name)
                if row.get(SOMETIMES) is None
                and row.get(TENANT) in tenants
                and self._is_alive(name, row)
            ]
            assert not without, f"Rows without {SOMETIMES}: {without}"

    def _require_believable(
        self,
        run: Run,
        rows_before: Mapping[Place, int],
        after: Mapping[Place, Mapping[Key, int]],
        activated: Collection[str],
    ) -> None:
        """Fail if rows were retired although more are missing than the settings allow."""
        kept = 1 - run.settings.get("full_read_max_loss", 20) / 100
        for place, rows in rows_before.items():
            # Each time that a read goes on it may count a row twice.
            is_counted = place[0] in activated and self.site.tables[place].shape.keyed
            believable = not is_counted or len(after[place]) >= rows * kept - 5
            assert believable, f"{place} had {rows} rows, and a loss was believed"

    def _require_equal(
        self, run: Run, before: Mapping[Place, Mapping[Key, int]], activated: Collection[str]
    ) -> None:
        """Fail if the target is not what the tables are after a run in which nothing changes.

        With a key that cannot be read in order, only what is read in full is retired; nothing is if
        settings leave out rows.
        """
        for number, stream in enumerate(self._scene.streams):
            name = f"Rows{number}"
            if name in self._goes_on:
                continue
            tables = {t: self.site.tables[name, t] for t in self._scene.tenants}
            (first, *_) = tables.values()
            keys = [key for table in tables.values() for key in table.sim.changes]
            in_order = "guid" not in first.kinds and not any(None in key for key in keys)
            is_narrow = not run.settings.get("include_archived", True) or (
                stream.dated and run.settings.get("start_date")
            )
            assert not (is_narrow and name in activated), f"{name} without the rows left out"
            retires = stream.shape == DAC and (in_order or not stream.dated) and not is_narrow
            if retires and run.settings["full_read_max_loss"] == 100 and stream.shape.keyed:
                assert name in activated or not any(before[name, t] for t in tables), name
            if name not in activated or not stream.shape.keyed:
                continue
            for tenant, table in tables.items():
                copied = {
                    table.sim.key_of(row): {k: v for k, v in row.items() if k not in {R, TENANT}}
                    for row in self.target.rows(name)
                    if row.get(TENANT) == tenant
                }
                rows = {
                    key: {column: table.sim.rows[key].get(column) for column in copied.get(key, {})}
                    for key in table.sim.versions_shown()
                }
                assert copied == rows, f"{name} of {tenant} differs from its table"

    def _is_alive(self, name: str, row: Row) -> bool:
        """Whether a row of the target is still in its table."""
        sim = self.site.tables[name, row.get(TENANT)].sim
        return sim.key_of(row) in sim.rows

    def _owed(
        self, place: Place, held: Mapping[Key, Held], start: datetime, run: Run
    ) -> dict[Key, int]:
        """Return the versions in which the rows have to be in the target after the run."""
        return {
            key: row.version
            for key, row in held.items()
            if self._was_readable(self.site.tables[place], key, row, start)
            and self._was_due(place, row, start, run)
        }

    def _was_readable(self, history: History, key: Key, row: Held, start: datetime) -> bool:
        """Whether the row stayed where a read finds it, all through the run."""
        changes = history.sim.changes[key][row.changes :]
        if not changes:
            return True
        if not history.shape.keyed or key not in history.sim.rows or None in changes:
            return False
        if key == history.restless:
            return True
        if row.instant is None or row.instant >= start + DAY:
            # Undated rows are read last, when rows that are dated meanwhile have been read.
            return False
        (first, *more) = changes
        return self._scene.owes_changed and not more and first is not None and first >= start

    def _was_due(self, place: Place, row: Held, start: datetime, run: Run) -> bool:
        """Whether the date of the row lies in what the run has to read."""
        name, _ = place
        stream = self._scene.streams[int(name.removeprefix("Rows"))]
        if not stream.dated:
            return True
        if row.instant is None or row.instant >= start + DAY:
            return start.date().isoformat() not in self._days[place]
        start_date = run.settings.get("start_date")
        if start_date and row.instant < datetime.fromisoformat(start_date) + DAY:
            return False
        skew = max(self.site.tables[place].sim.server.skews)
        return row.instant < start.replace(microsecond=0) - skew

    def _require_known(self, history: History, after: Mapping[Key, int]) -> None:
        """Fail if the target holds rows that the table never had."""
        unknown = after.keys() - history.sim.changes.keys()
        assert not unknown, f"Rows that never existed: {unknown}"

    def _require_kept(
        self,
        history: History,
        held: Mapping[Key, Held],
        before: Mapping[Key, int],
        after: Mapping[Key, int],
    ) -> None:
        """Fail if rows have left the target that the table had all through the run."""
        changes = history.sim.changes
        retired = {
            key
            for key in before.keys() - after.keys()
            if key in held and None not in changes[key][held[key].changes :]
        }
        assert not retired, f"Rows were retired that live: {retired}"
