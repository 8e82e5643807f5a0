"""Retries of requests that fail temporarily."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Final, TypeVar

import backoff

from tap_acumatica.odata.errors import Action, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Callable

Value = TypeVar("Value")

MAX_PAUSE: Final = 60.0
"""Seconds between two attempts at most, if the server does not ask for a pause."""
MIN_PAUSE: Final = 0.5
"""Seconds, even if the server asks for less: a Retry-After of 0 must not flood it."""
MAX_TIMEOUTS: Final = 3
"""Timeouts in a row of a request that cannot be made smaller."""
VARYING: Final = re.compile(r"\b[0-9a-f-]*[0-9][0-9a-f-]*\b", re.IGNORECASE)
"""Numbers and identifiers, in which messages about the same failure may differ."""


def retry_timeouts(attempt: Callable[[], Value]) -> Value:
    """Try again at once after a timeout; the client then uses a new session.

    This is for requests without pages, which cannot be made smaller.

    Raises:
        RequestFailed: The last of `MAX_TIMEOUTS` timeouts, or any other failure.
    """
    for _ in range(MAX_TIMEOUTS - 1):
        try:
            return attempt()
        except RequestFailed as failed:
            if failed.action is not Action.SHRINK:
                raise
    return attempt()


def with_retries(
    attempt: Callable[[], Value], seconds: float, on_retry: Callable[[], None] | None = None
) -> Value:
    """Try until an attempt succeeds, with pauses of at most so many seconds in total.

    Raises:
        RequestFailed: The last failure, or one that must not be retried.
    """
    budget = _RetryBudget(seconds)
    retrying = backoff.on_exception(
        backoff.runtime,
        RequestFailed,
        value=budget.pause,
        giveup=budget.exhausted,
        on_backoff=lambda _: on_retry() if on_retry else None,
        jitter=None,
        logger=None,
    )
    return retrying(attempt)()


class _RetryBudget:
    """The pauses that are left for retries; the time spent in requests does not count."""

    def __init__(self, seconds: float) -> None:
        self._remaining = seconds
        self._waited = 0.0
        self._last = ""
        self._equal_failures = 0
        self._pauses = backoff.expo(base=2, factor=1, max_value=MAX_PAUSE)
        next(self._pauses)
        self._next_pause = 0.0

    def exhausted(self, failed: Exception) -> bool:
        """Whether to give up after this failure; if not, set the pause before the next attempt."""
        if not isinstance(failed, RequestFailed) or failed.action is not Action.RETRY:
            return True
        if failed.given_up:  # by the token request, which has a budget of its own
            return True
        pause = next(self._pauses) * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
        self._next_pause = max(pause if failed.wait is None else failed.wait, MIN_PAUSE)
        if self._persists(failed):
            return True
        self._waited += self._next_pause
        self._remaining -= self._next_pause
        failed.given_up = self._remaining < 0
        if failed.given_up and failed.persistence and not failed.persistence.seconds:
            failed.action = failed.persistence.action
        return failed.given_up

    def _persists(self, failed: RequestFailed) -> bool:
        """Whether the failure is not expected to pass any more; if so, its action changes."""
        persistence = failed.persistence
        if persistence is None or failed.seconds > persistence.within:
            self._equal_failures = 0
            return False
        text = VARYING.sub("", str(failed))
        self._equal_failures = self._equal_failures + 1 if text == self._last else 1
        self._last = text
        if self._equal_failures < persistence.times:
            return False
        if self._waited + self._next_pause <= persistence.seconds:
            return False
        failed.action = persistence.action
        return True

    def pause(self, _: Exception) -> float:
        """Return the seconds until the next attempt."""
        return self._next_pause
