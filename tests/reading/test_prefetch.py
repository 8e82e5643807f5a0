"""Fetching ahead: in order, bounded, and with each error after the items before it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tap_acumatica.reading.prefetch import MAX_PAGES, Prefetcher, Stopped, Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TIMEOUT = 10


class Readers:
    """Readers of numbered pages, which wait at their gates."""

    def __init__(self, pages: int = 3) -> None:
        self.pages = pages
        self.started: list[str] = []
        self.fetched: dict[str, int] = {}
        self.ended: set[str] = set()
        self.threads: dict[str, threading.Thread] = {}
        self.gates: dict[str, threading.Event] = {}
        self.errors: dict[str, Exception] = {}
        self._changed = threading.Condition()

    def __call__(self, key: str) -> Iterator[str]:
        self.started.append(key)
        return self._read(key)

    def _read(self, key: str) -> Iterator[str]:
        self.threads[key] = threading.current_thread()
        try:
            for number in range(self.pages):
                if key in self.gates:
                    assert self.gates[key].wait(TIMEOUT)
                with self._changed:
                    self.fetched[key] = number + 1
                    self._changed.notify_all()
                yield f"{key}{number}"
        finally:
            with self._changed:
                self.ended.add(key)
                self._changed.notify_all()
        if key in self.errors:
            raise self.errors[key]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the threads have made the condition true."""
        with self._changed:
            assert self._changed.wait_for(condition, TIMEOUT)


def prefetcher(
    readers: Readers,
    plan: str = "abcd",
    max_readers: int = 2,
    stopping: Callable[[], bool] = lambda: False,
) -> Prefetcher[str, str]:
    return Prefetcher(plan, readers, max_readers, stopping)


@pytest.mark.parametrize("max_readers", [1, 2, 10])
def test_everything_comes_in_order_however_many_readers_there_are(max_readers: int) -> None:
    readers = Readers(pages=7)
    ahead = prefetcher(readers, max_readers=max_readers)
    for key in "abcd":
        assert list(ahead.items(key)) == [f"{key}{number}" for number in range(7)]
    assert readers.started == list("abcd")


def test_nothing_is_read_before_it_is_asked_for() -> None:
    readers = Readers()
    ahead = prefetcher(readers)
    items = ahead.items("a")
    assert readers.started == []
    assert next(items) == "a0"
    assert readers.started[:2] == ["a", "b"]


def test_with_one_connection_nothing_else_is_read_meanwhile() -> None:
    readers = Readers()
    ahead = prefetcher(readers, max_readers=1)
    assert list(ahead.items("a"))
    assert readers.started == ["a"]


def test_later_readers_are_ready_when_their_turn_comes() -> None:
    readers = Readers(pages=2)
    readers.gates["a"] = threading.Event()
    ahead = prefetcher(readers, max_readers=3)
    items = ahead.items("a")

    def let_go() -> None:
        readers.until(lambda: readers.fetched.get("b") == readers.fetched.get("c") == 2)
        readers.gates["a"].set()

    threading.Thread(target=let_go).start()
    assert list(items) == ["a0", "a1"]
    assert readers.started[:3] == ["a", "b", "c"]
    assert list(ahead.items("b")) == ["b0", "b1"]
    assert readers.started == ["a", "b", "c", "d"]


def test_a_reader_is_no_more_than_so_many_pages_ahead() -> None:
    readers = Readers(pages=50)
    ahead = prefetcher(readers, plan="a")
    items = ahead.items("a")
    for taken in range(1, 20):
        next(items)
        readers.until(lambda taken=taken: readers.fetched["a"] >= taken + MAX_PAGES)  # type: ignore[misc]
        # The pages that were taken, those that wait, and the one that is being fetched.
        assert readers.fetched["a"] <= taken + MAX_PAGES
    items.close()  # type: ignore[attr-defined]


def test_what_is_not_planned_or_out_of_turn_is_read_at_once() -> None:
    readers = Readers()
    ahead = prefetcher(readers, plan="abcd", max_readers=1)
    assert list(ahead.items("c")) == ["c0", "c1", "c2"]
    assert list(ahead.items("z")) == ["z0", "z1", "z2"]
    assert list(ahead.items("a")) == ["a0", "a1", "a2"]
    assert readers.started == ["c", "z", "a"]


def test_an_error_comes_in_its_turn_and_only_there() -> None:
    readers = Readers()
    readers.errors["b"] = ValueError("broken")
    ahead = prefetcher(readers, max_readers=4)
    assert list(ahead.items("a")) == ["a0", "a1", "a2"]
    items = ahead.items("b")
    assert [next(items) for _ in range(3)] == ["b0", "b1", "b2"]
    with pytest.raises(ValueError, match="broken"):
        next(items)
    assert list(ahead.items("c")) == ["c0", "c1", "c2"]


def test_a_consumer_that_leaves_ends_the_reader() -> None:
    readers = Readers(pages=1000)
    ahead = prefetcher(readers, plan="a")
    items = ahead.items("a")
    next(items)
    items.close()  # type: ignore[attr-defined]
    readers.until(lambda: "a" in readers.ended)
    assert readers.fetched["a"] < 10
    # It can be read again.
    assert next(iter(ahead.items("a"))) == "a0"
    ahead.cancel()


def test_cancelling_ends_all_readers_and_starts_no_other() -> None:
    readers = Readers(pages=1000)
    ahead = prefetcher(readers, max_readers=3)
    items = ahead.items("a")
    next(items)
    readers.until(lambda: set(readers.fetched) >= set("abc"))
    ahead.cancel()
    started = [*readers.started]
    for thread in readers.threads.values():
        thread.join(TIMEOUT)
        assert not thread.is_alive()
    assert readers.started == started


def test_nothing_comes_behind_what_was_dropped() -> None:
    readers = Readers(pages=3 * MAX_PAGES)
    ahead = prefetcher(readers)
    items = ahead.items("a")
    assert next(items) == "a0"
    readers.until(lambda: readers.fetched["a"] >= MAX_PAGES)
    ahead.cancel()
    with pytest.raises(Stopped):
        next(items)


def test_after_cancelling_nothing_is_read_ahead() -> None:
    readers = Readers()
    ahead = prefetcher(readers)
    ahead.cancel()
    assert list(ahead.items("a")) == ["a0", "a1", "a2"]
    assert readers.started == ["a"]


def test_a_run_that_is_to_stop_does_not_wait_for_a_page() -> None:
    readers = Readers()
    readers.gates["a"] = threading.Event()
    ahead = prefetcher(readers, plan="a", stopping=lambda: True)
    with pytest.raises(Stopped):
        next(ahead.items("a"))
    ahead.cancel()
    readers.gates["a"].set()
    readers.threads["a"].join(TIMEOUT)
    assert not readers.threads["a"].is_alive()


def test_readers_do_not_keep_the_process_alive() -> None:
    readers = Readers()
    ahead = prefetcher(readers, plan="a")
    assert list(ahead.items("a"))
    assert readers.threads["a"].daemon
    assert readers.threads["a"] is not threading.main_thread()
    assert readers.threads["a"].name == "reader of a"


def test_a_thread_that_is_done_takes_the_next_reader_until_all_end() -> None:
    threads, used = Threads(), []
    for _ in range(3):
        done = threading.Event()

        def work(done: threading.Event = done) -> None:
            used.append(threading.current_thread())
            done.set()

        threads.run(work)
        assert done.wait(TIMEOUT)
        while not threads._idle:
            assert used[-1].is_alive()
    assert len({*used}) == 1
    threads.close()
    used[0].join(TIMEOUT)
    assert not used[0].is_alive()


def test_no_thread_is_left_behind_the_last_reader() -> None:
    readers = Readers()
    ahead = prefetcher(readers, plan="ab")
    for key in "ab":
        assert list(ahead.items(key))
    for thread in readers.threads.values():
        thread.join(TIMEOUT)
        assert not thread.is_alive()


def test_a_reader_without_pages_is_at_its_end() -> None:
    assert list(prefetcher(Readers(pages=0)).items("a")) == []


def test_no_more_pages_wait_than_readers_may_hold() -> None:
    readers = Readers(pages=5)
    ahead = prefetcher(readers, plan="abcdefgh", max_readers=2)
    taken = 0
    for key in "abcdefgh":
        for _ in ahead.items(key):
            taken += 1
            assert sum(readers.fetched.values()) <= taken + 2 * MAX_PAGES
    assert taken == 40


def test_a_reader_may_hold_all_its_pages_once_its_turn_has_come() -> None:
    readers = Readers(pages=50)
    readers.gates["a"] = threading.Event()
    ahead = prefetcher(readers, plan="ab", max_readers=2)
    items = ahead.items("a")
    readers.gates["a"].set()
    next(items)
    items.close()  # type: ignore[attr-defined]
    items = ahead.items("b")
    next(items)
    readers.until(lambda: readers.fetched["b"] == 1 + MAX_PAGES)
    ahead.cancel()
