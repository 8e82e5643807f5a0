"""A fault on demand, and the exchange that it may change."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.http import Request, Response
    from sandbox.query import Page, ReadSettings
    from sandbox.sessions import Session, Sessions

Option = str | int | float | bool | None


class Fault:
    """A fault that hits the requests it matches.

    Args:
        kind: A key of :data:`sandbox.faultkinds.KINDS`.
        match: Text or regular expression to find in the decoded path and query; if empty, every
            data request matches.
        times: Number of matching requests to hit, or None to hit all of them.
        after: Number of matching requests to spare first.
        options: Options of the kind.

    Attributes:
        seen: Number of matching requests so far.
        done: Number of requests hit so far.
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
        """Return an option as a number."""
        return float(self.options.get(option, default) or 0)

    def integer(self, option: str, default: int) -> int:
        """Return an option as an integer."""
        return int(self.number(option, default))

    def text(self, option: str, default: str = "") -> str:
        """Return an option as text."""
        value = self.options.get(option, default)
        return default if value is None else str(value)

    def enabled(self, option: str, *, default: bool) -> bool:
        """Return an option as a boolean."""
        return bool(self.options.get(option, default))

    def matches(self, request: Request) -> bool:
        """Return whether the fault applies to a request."""
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
    """A request being answered, open to changes by faults.

    Attributes:
        settings: How the tables are read for this request.
        root: Address of the service root, including the site.
        page_hooks: Callbacks that change the rows and the JSON members in front of them.
        response_hooks: Callbacks that change the finished response.
    """

    request: Request
    settings: ReadSettings
    session: Session
    sessions: Sessions
    site: str
    root: str
    page_hooks: list[Callable[[Page, list[str]], None]] = field(default_factory=list)
    response_hooks: list[Callable[[Response], None]] = field(default_factory=list)
