"""How long to go on asking for what fails in passing."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, TypeVar

import backoff

from tap_acumatica.odata.errors import Action, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable


Value = TypeVar("Value")

MAX_PAUSE: Final = 60.0
"""Seconds between two tries where the server names no time."""
MIN_PAUSE: Final = 0.5
"""Seconds, whatever the server says: a Retry-After of 0 must not lead to a storm without end."""
MAX_TIMEOUTS: Final = 3
"""In a row, for what cannot be asked for in a smaller way."""


def retry_timeouts(ask: Callable[[], Value]) -> Value:
    """Ask again at once after a timeout, which the client does in a new session.

    For what has no pages that could be smaller.

    Raises:
        RequestFailed: There were `MAX_TIMEOUTS`, or it is another failure.
    """
    for _ in range(MAX_TIMEOUTS - 1):
        try:
            return ask()
        except RequestFailed as failed:
            if failed.action is not Action.SHRINK:
                raise
    return ask()


def with_retries(
    attempt: Callable[[], Value], seconds: float, on_retry: Callable[[], None] | None = None
) -> Value:
    """Try until it works, or until the pauses add up to more than these seconds.

    Raises:
        RequestFailed: The last failure, or one that is not to be retried.
    """
    patience = _RetryBudget(seconds)
    retrying = backoff.on_exception(
        backoff.runtime,
        RequestFailed,
        value=patience.pause,
        giveup=patience.exhausted,
        on_backoff=lambda _: on_retry() if on_retry else None,
        jitter=None,
        logger=None,
    )
    return retrying(attempt)()


class _RetryBudget:
    """How long to go on asking; the time inside requests does not count."""

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._waits = backoff.expo(base=2, factor=1, max_value=MAX_PAUSE)
        next(self._waits)
        self._next = 0.0

    def exhausted(self, failed: Exception) -> bool:
        """Whether to give up on this failure; else the pause before the next try is set."""
        if not isinstance(failed, RequestFailed) or failed.action is not Action.RETRY:
            return True
        if failed.given_up:  # by the request for a token, which has a patience of its own
            return True
        pause = next(self._waits) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
        self._next = max(pause if failed.wait is None else failed.wait, MIN_PAUSE)
        self._left -= self._next
        failed.given_up = self._left < 0
        return failed.given_up

    def pause(self, _: Exception) -> float:
        """Seconds until the next try."""
        return self._next
