"""The rate limiter never allows more requests per minute, and delays none without need."""

from __future__ import annotations

from bisect import bisect_right
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

from tap_acumatica.odata.http.rate_limit import MINUTE, RateLimiter


class Clock:
    """A clock that advances only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


PAUSES = st.integers(0, 90 * 1024).map(lambda ticks: ticks / 1024)
"""Seconds whose sums are exact: a rounding error would pass for a wait without need."""


@given(st.integers(1, 20), st.lists(PAUSES, max_size=100))
def test_no_minute_has_more_requests_than_the_budget(limit: int, pauses: list[float]) -> None:
    clock = Clock()
    limiter = RateLimiter(limit, clock=clock, sleep=clock.sleep)
    sent: list[float] = []
    for pause in pauses:
        clock.now += pause
        before = clock.now
        limiter.acquire()
        delayed = clock.now > before
        recent = len(sent) - bisect_right(sent, before - MINUTE)
        assert not delayed or recent >= limit, "no request waits without need"
        sent.append(clock.now)
    for index in range(limit, len(sent)):
        assert sent[index] - sent[index - limit] >= MINUTE


def test_without_a_limit_nothing_waits() -> None:
    clock = Clock()
    limiter = RateLimiter(None, clock=clock, sleep=clock.sleep)
    for _ in range(1000):
        limiter.acquire()
    assert clock.slept == []


def test_threads_share_one_budget() -> None:
    waits: list[float] = []
    limiter = RateLimiter(10, clock=lambda: 0.0, sleep=waits.append)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: limiter.acquire(), range(35)))
    assert sorted(waits) == [60.0] * 10 + [120.0] * 10 + [180.0] * 5
