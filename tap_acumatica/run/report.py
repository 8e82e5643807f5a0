"""The facts of a run: what was read, how it was proved, and what differed.

They are collected once, as the run goes on, and shown in the run report, in the log, by the exit
code and in the stream sync_log.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tap_acumatica.odata.errors import AcumaticaError, Cause, SettingsError
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.masking import shown, visible
from tap_acumatica.reading.bookmarks import VALUE
from tap_acumatica.reading.model import ReadStats
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run.endings import ExitCode, exit_code, gravest, in_words
from tap_acumatica.run.failures import PartsFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tap_acumatica.catalog.plan import StreamPlan, Tenant
    from tap_acumatica.run.drift import Change

RUN: Final = "{run}"
"""Stands for the name of the run in the path of the report."""

MAX_EXTRA: Final = 20_000
"""Bytes of the report that the last log line carries: Meltano hangs on a line over 64 KiB."""


class Outcome(StrEnum):
    """How a run ended."""

    RUNNING = "running"
    """It has not ended, or it was killed."""
    COMPLETE = "complete"
    PARTIAL = "partial"
    """Something was loaded, but not all of it."""
    FAILED = "failed"
    STOPPED = "stopped"
    """A signal stopped it."""


class Status(StrEnum):
    """What became of a stream in a tenant."""

    COMPLETE = "complete"
    NOT_DUE = "not due"
    """It is read at an interval that has not passed."""
    SKIPPED = "skipped"
    """The server refused it."""
    FAILED = "failed"
    """It was not read to its end."""
    NOT_BEGUN = "not begun"


@dataclass(slots=True)
class StreamFacts:
    """What is known of the read of one stream in one tenant.

    Attributes:
        method: The replication method.
        status: What became of it.
        read: The statistics of its reader.
        rows: Number of records that were written.
        state: The state of the partition.
        error: What it was skipped for, or failed of.
        changes: What differs from what the state remembers.
        generation: The version that its records carry; None if they carry none.
        ended: When it ended.
    """

    stream: str
    tenant: Tenant
    method: str
    status: Status = Status.NOT_BEGUN
    read: ReadStats = field(default_factory=ReadStats)
    rows: int = 0
    state: Mapping[str, Any] = field(default_factory=dict)
    error: AcumaticaError | None = None
    changes: list[Change] = field(default_factory=list)
    generation: int | None = None
    ended: datetime | None = None
    seconds: float = 0.0

    def begin(self, state: Mapping[str, Any]) -> None:
        """Record that the stream has begun: it has failed, unless it ends in another way."""
        self.state, self.status = state, Status.FAILED

    def end(self, status: Status, error: AcumaticaError | None = None) -> None:
        """Record that the stream has ended."""
        self.status, self.error = status, error
        self.ended, self.seconds = datetime.now(UTC), self.read.seconds
        # A request that is still under way must not change what was already told.
        self.read = copy(self.read)

    @property
    def failed(self) -> bool:
        """Whether the stream was begun, but not read to its end."""
        return self.status in {Status.SKIPPED, Status.FAILED}

    @property
    def bookmark(self) -> str | None:
        """The bookmark, as the state has it."""
        return self.state.get(VALUE)

    @property
    def cause(self) -> str | None:
        """The cause of the error."""
        return None if self.error is None else str(self.error.cause or Cause.SETTINGS)

    @property
    def sentence(self) -> str | None:
        """The error in words."""
        return None if self.error is None else shown(" ".join(self.error.sentences))

    def as_dict(self) -> dict[str, Any]:
        """Return the facts as the report has them."""
        window, proof = self.read.window, self.read.proof
        return {
            "stream": self.stream,
            "tenant": self.tenant,
            "status": str(self.status),
            "method": self.method,
            "rows": self.rows,
            "pages": self.read.pages,
            "requests": self.read.requests,
            "retries": self.read.retries,
            "seconds": round(self.seconds, 3),
            "ended": _text(self.ended),
            "window": window and {"low": _text(window.low), "high": _text(window.high)},
            "bookmark": self.bookmark,
            "proof": (
                proof
                and self.status is Status.COMPLETE
                and {"by": str(proof.by), "counted": proof.counted, "rows": proof.rows}
            )
            or None,
            "cause": self.cause,
            "sentence": self.sentence,
            "drift": [str(change.kind) for change in self.changes],
            "generation": self.generation,
        }

    @property
    def line(self) -> str:
        """The facts in one line for the log."""
        name = f"{self.stream} of {self.tenant}" if self.tenant else self.stream
        read = self.read
        text = (
            f"{visible(name)}: {self.status}, {_many(self.rows, 'row')}, "
            f"{_many(read.pages, 'page')}, {_many(read.requests, 'request')}, "
            f"{read.retries} retries, {self.seconds:.1f} s"
        )
        if window := read.window:
            low = _text(window.low) if window.low else "the beginning"
            text += f", window from {low} to {_text(window.high)}"
        if self.status is Status.COMPLETE and (proof := read.proof):
            text += f", proved by {proof.by}"
            if proof.counted is not None:
                text += f" ({proof.counted:,} counted, {proof.rows:,} read)"
        return text if self.error is None else f"{text}: {self.cause}"


class RunReport:
    """The facts of a run.

    Attributes:
        run: The name of the run.
        site: The site, as the state names it; None before the settings are known.
        release: The release of Acumatica; None unless the run had to ask for it.
        changes: What differs from what the state remembers.
        streams: The streams to read, each in each of its tenants, in the order of the read.
    """

    def __init__(self) -> None:
        """Begin the report of a run that begins now."""
        self.started = datetime.now(UTC)
        self.run = f"{self.started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
        self.outcome = Outcome.RUNNING
        self.exit_code: int | None = None
        self.ended: datetime | None = None
        self.site: str | None = None
        self.release: str | None = None
        self.requests = 0
        self.retries = 0
        self.changes: list[Change] = []
        self.streams: dict[tuple[str, Tenant], StreamFacts] = {}
        self._error: AcumaticaError | None = None
        self._clock = time.monotonic()
        self._seconds = 0.0
        self._path: Path | None = None

    # Collecting

    def plan(self, plans: Iterable[StreamPlan]) -> None:
        """Take the streams that are to be read."""
        for plan in plans:
            for tenant in plan.partitions:
                self.facts(plan, tenant)

    def facts(self, plan: StreamPlan, tenant: Tenant) -> StreamFacts:
        """Return what is known of a stream in a tenant."""
        key = (plan.name, tenant)
        if key not in self.streams:
            self.streams[key] = StreamFacts(*key, plan.method)
        return self.streams[key]

    def add_changes(self, changes: Iterable[Change]) -> None:
        """Take what differs from what the state remembers."""
        for change in changes:
            self.changes.append(change)
            for facts in self.streams.values():
                if facts.stream == change.stream:
                    facts.changes.append(change)

    def end(
        self,
        error: BaseException | None,
        given_up: Mapping[Tenant, AcumaticaError] | None = None,
    ) -> None:
        """Record how the run ended; decides on its outcome and exit code.

        Args:
            error: What ended it early, or what is missing in the end; None: nothing is.
            given_up: Why tenants were given up.
        """
        self.ended, self._seconds = datetime.now(UTC), time.monotonic() - self._clock
        self._error = told = None if error is None else in_words(error)
        reason = self._error.end if isinstance(self._error, PartsFailed) else self._error
        for facts in self.streams.values():
            if facts.status is Status.NOT_BEGUN:
                facts.error = (given_up or {}).get(facts.tenant, reason)
            elif facts.ended is None:
                facts.end(Status.FAILED, reason)
        loaded = any(
            facts.rows or facts.status is Status.COMPLETE for facts in self.streams.values()
        )
        if error is None or told is None:
            self.outcome, self.exit_code = Outcome.COMPLETE, ExitCode.COMPLETE
        elif isinstance(error, Stopped):
            self.outcome, self.exit_code = Outcome.STOPPED, error.exit_code
        elif loaded and told.cause is not Cause.OUTPUT:
            self.outcome, self.exit_code = Outcome.PARTIAL, ExitCode.PARTIAL
        else:
            self.outcome, self.exit_code = Outcome.FAILED, exit_code(error)

    # Showing

    @property
    def rows(self) -> int:
        """Number of records that were written."""
        return sum(facts.rows for facts in self.streams.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the report, of which docs/run-report.json is the JSON Schema."""
        error = self._error
        cause = error and str(gravest(error).cause or Cause.SETTINGS)
        return {
            "run": self.run,
            "outcome": str(self.outcome),
            "exit_code": None if self.exit_code is None else int(self.exit_code),
            "started": _text(self.started),
            "ended": _text(self.ended),
            "seconds": round(self._seconds, 3),
            "site": self.site,
            "release": self.release,
            "requests": self.requests,
            "retries": self.retries,
            "rows": self.rows,
            "cause": cause,
            "sentences": [] if error is None else [shown(each) for each in error.sentences],
            "drift": [change.as_dict() for change in self.changes],
            "streams": [facts.as_dict() for facts in self.streams.values()],
        }

    @property
    def line(self) -> str:
        """The report in one line: the last one of the log."""
        counts = Counter(facts.status for facts in self.streams.values())
        text = (
            f"Run {self.outcome}: {_many(len(self.streams), 'stream')}, {_many(self.rows, 'row')}, "
            f"{_many(self.requests, 'request')}, {self._seconds:.0f} s"
        )
        others = [f"{counts[each]:,} {each}" for each in Status if each is not Status.COMPLETE]
        shown_counts = [each for each in others if not each.startswith("0 ")]
        return f"{text}; {', '.join(shown_counts)}" if shown_counts else text

    def log(self) -> None:
        """Log the last line, with the report in its fields, or with what fits of its streams."""
        report = self.as_dict()
        streams = report["streams"]
        # What needs attention comes first.
        streams.sort(key=lambda facts: facts["status"] == Status.COMPLETE)
        room = MAX_EXTRA - len(msgspec.json.encode({**report, "streams": []}))
        for index, facts in enumerate(streams):
            room -= len(msgspec.json.encode(facts))
            if room < 0:
                del streams[index:]
                break
        logger.info("%s", self.line, extra=report)

    def write_to(self, path: str, *, now: bool) -> None:
        """Write the report to a file by `write`.

        Args:
            path: The path, in which `{run}` stands for the name of the run.
            now: Whether to write it now as well, as that of a run that has not ended.

        Raises:
            SettingsError: The file cannot be written.
        """
        self._path = Path(path.replace(RUN, self.run))
        try:
            if now:
                self._write(self._path)
        except (OSError, ValueError) as error:
            self._path = None
            message = (
                f"The run report {path} cannot be written ({_reason(error)}): correct the setting "
                "run_report, or make room."
            )
            raise SettingsError(message) from error

    def write(self) -> None:
        """Replace the report in the file by what is known now, if there is a file."""
        if self._path is None:
            return
        try:
            self._write(self._path)
        except (OSError, ValueError) as error:
            logger.warning("The run report could not be written in the end: %s.", _reason(error))

    def _write(self, path: Path) -> None:
        temporary = path.with_name(f".{path.name}.{self.run}")
        try:
            temporary.write_bytes(
                msgspec.json.format(msgspec.json.encode(self.as_dict()), indent=2) + b"\n"
            )
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _reason(error: OSError | ValueError) -> object:
    """Return why a file cannot be written; a path that no system takes is a ValueError."""
    return getattr(error, "strerror", error)


def _many(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def _text(instant: datetime | None) -> str | None:
    return None if instant is None else f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
