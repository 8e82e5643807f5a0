"""A limit on the number of requests within any minute, shared by all threads."""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

MINUTE: Final = 60.0
"""In seconds."""


class RateLimiter:
    """Delays requests to keep within the limit, first come, first served."""

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
        """Wait until the next request may be sent."""
        if not self._limited:
            return
        with self._lock:
            now = self._clock()
            at_limit = len(self._sent) == self._sent.maxlen
            start = max(now, self._sent[0] + MINUTE) if at_limit else now
            self._sent.append(start)
        if start > now:
            self._sleep(start - now)
