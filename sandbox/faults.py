"""What goes wrong on demand: for the requests that match, as often as was asked for."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from sandbox.faultkinds import KINDS

if TYPE_CHECKING:
    from sandbox.http import Request, Response
    from sandbox.query import Page, Reading
    from sandbox.sessions import Session, Sessions

Option = str | int | float | bool | None


class Fault:
    """One thing that goes wrong.

    Args:
        kind: A key of :data:`sandbox.faultkinds.KINDS`.
        match: Text or regular expression in the decoded path and query; nothing: every request for
            data.
        times: For how many matching requests; None: for all.
        after: How many matching requests are spared first.
        options: What the kind takes.
    """

    def __init__(
        self,
        kind: str,
        match: str = "",
        times: int | None = None,
        after: int = 0,
        **options: Option,
    ) -> None:
        self.kind = kind
        self.match = match
        self.times = times
        self.after = after
        self.options = options
        self.seen = 0
        self.done = 0

    def number(self, option: str, default: float) -> float:
        """An option as a number."""
        return float(self.options.get(option, default) or 0)

    def whole(self, option: str, default: int) -> int:
        """An option as a whole number."""
        return int(self.number(option, default))

    def text(self, option: str, default: str = "") -> str:
        """An option as text."""
        value = self.options.get(option, default)
        return default if value is None else str(value)

    def on(self, option: str, *, default: bool) -> bool:
        """An option as a switch."""
        return bool(self.options.get(option, default))

    def matches(self, request: Request) -> bool:
        """Whether a request is meant."""
        if not self.match:
            return request.kind == "data"
        query = f"?{unquote_plus(request.raw_query)}" if request.raw_query else ""
        text = request.path + query
        if self.match in text:
            return True
        try:
            return re.search(self.match, text) is not None
        except re.error:
            return False


@dataclass
class Exchange:
    """One request on its way to an answer, for the faults to lay hands on.

    Attributes:
        root: Address of the service root, with the site.
        page_hooks: Change the rows and the members before them.
        response_hooks: Change the finished answer.
    """

    request: Request
    reading: Reading
    session: Session
    sessions: Sessions
    site: str
    root: str
    page_hooks: list[Callable[[Page, list[str]], None]] = field(default_factory=list)
    response_hooks: list[Callable[[Response], None]] = field(default_factory=list)


Kind = Callable[[Fault, Exchange], "Response | None"]


class Faults:
    """The faults that are on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Turn a fault on.

        Raises:
            KeyError: There is no such kind.
        """
        if fault.kind not in KINDS:
            raise KeyError(fault.kind)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Turn all faults off."""
        with self._lock:
            self._faults.clear()

    def active(self, request: Request) -> list[Fault]:
        """The faults that hit a request."""
        hit = []
        with self._lock:
            for fault in self._faults:
                if not fault.matches(request):
                    continue
                fault.seen += 1
                spent = fault.times is not None and fault.done >= fault.times
                if fault.seen > fault.after and not spent:
                    fault.done += 1
                    hit.append(fault)
        return hit
