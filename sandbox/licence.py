"""The limits of the licence and the account: requests per minute, wrong passwords."""

from __future__ import annotations

import threading
from collections import deque
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.errors import Refusal

if TYPE_CHECKING:
    from datetime import datetime

    from sandbox.clock import Clock

MINUTE = timedelta(minutes=1)
DELAYED_FROM = 0.5  # fraction of the limit
LOCKED = "Your account is locked out. Please contact your system administrator."
DECLINED = "The request was declined: the licence's number of requests per minute is exceeded."


class RequestQuota:
    """The requests of the last minute by the server's clock, against the licence's limit."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._served: deque[datetime] = deque()

    def admit(self, limit: int | None) -> bool:
        """Count a request and return whether to delay it.

        Raises:
            Refusal: The requests of the last minute have reached the limit.
        """
        if limit is None:
            return False
        with self._lock:
            now = self._clock.now()
            while self._served and now - self._served[0] >= MINUTE:
                self._served.popleft()
            if len(self._served) >= limit:
                raise Refusal(DECLINED, HTTPStatus.TOO_MANY_REQUESTS)
            self._served.append(now)
            return len(self._served) > limit * DELAYED_FROM


class Account:
    """The service account, which wrong passwords lock."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._password = password
        self._lock = threading.Lock()
        self._failures = 0

    def admits(self, credentials: str | None, lockout: int | None) -> bool:
        """Return whether the credentials, ``user:password``, are right.

        Raises:
            Refusal: The account is locked, whatever the password.
        """
        username, _, password = (credentials or "").partition(":")
        if username != self._username:
            return False
        with self._lock:
            if lockout is not None and self._failures >= lockout:
                raise Refusal(LOCKED)
            right = password == self._password
            self._failures = 0 if right else self._failures + 1
            return right

    def unlock(self) -> None:
        """Unlock the account, as an administrator does."""
        with self._lock:
            self._failures = 0
