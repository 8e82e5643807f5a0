"""What a read took, for the log."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tap_acumatica.odata.instants import bookmark_text

if TYPE_CHECKING:
    from tap_acumatica.odata.paging.cursor import Window


@dataclass(slots=True)
class ReadStats:
    """What a read took."""

    rows: int = 0
    pages: int = 0
    requests: int = 0
    retries: int = 0
    window: Window | None = None
    started: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, rows: int = 0, pages: int = 0, requests: int = 0, retries: int = 0) -> None:
        """Count; readers of parts do so side by side."""
        with self.lock:
            self.rows += rows
            self.pages += pages
            self.requests += requests
            self.retries += retries

    def __str__(self) -> str:
        """As one line of the log."""
        seconds = time.monotonic() - self.started
        text = (
            f"{self.rows} rows, {self.pages} pages, {self.requests} requests, "
            f"{self.retries} retries, {seconds:.1f} s"
        )
        if self.window:
            low = bookmark_text(self.window.low) if self.window.low else "the beginning"
            text += f", window from {low} to {bookmark_text(self.window.high)}"
        return text
