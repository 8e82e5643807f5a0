"""A budget of requests: no more than so many within any minute, whoever sends them."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE: Final = 60.0
"""Seconds."""


class RateLimiter:
    """Holds requests back, in the order in which they come, so that the limit is kept."""

    def __init__(
        self,
        per_minute: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._limited = per_minute is not None
        self._sent: deque[float] = deque(maxlen=per_minute)

    def acquire(self) -> None:
        """Wait until one more request may be sent."""
        if not self._limited:
            return
        with self._lock:
            now = self._clock()
            full = len(self._sent) == self._sent.maxlen
            at = max(now, self._sent[0] + MINUTE) if full else now
            self._sent.append(at)
        if at > now:
            self._sleep(at - now)
