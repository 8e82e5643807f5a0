"""Fetches ahead: readers run in worker threads, one writer consumes what they bring in order.

While a page is written the next one is fetched, and with more than one connection streams that
come later are fetched meanwhile. At most `most` readers are started and not yet consumed, each
with at most three pages in memory: two that wait and one in hand.
"""

from __future__ import annotations

import queue
import signal
import threading
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Key = TypeVar("Key")

WAITING_PAGES: Final = 2
LOOK_UP: Final = 0.2
"""Seconds between looks at whether the run is to stop while no page has come."""


class Stopped(Exception):  # noqa: N818 - no error
    """The run was asked to stop.

    Attributes:
        signal: Number of the signal that asked.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.signal = number


class Worker(Generic[Item]):
    """One reader in a thread of its own."""

    def __init__(self, items: Iterable[Item], name: str) -> None:
        self._queue: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(WAITING_PAGES)
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(items,), name=name, daemon=True)
        self._thread.start()

    def items(self, stopping: Callable[[], bool]) -> Iterator[Item]:
        """What the reader brings, in its order.

        Raises:
            Stopped: `stopping` said so while waiting.
            Exception: Whatever the reader raised, in its turn.
        """
        while True:
            try:
                brought = self._queue.get(timeout=LOOK_UP)
            except queue.Empty:
                if stopping():
                    raise Stopped from None
                continue
            if brought is None:
                return
            if isinstance(brought, BaseException):
                raise brought
            yield brought[0]

    def cancel(self) -> None:
        """Let the reader end with the request that it is in; what it brought is dropped."""
        self._cancelled.set()
        while not self._queue.empty():
            self._queue.get_nowait()

    def _run(self, items: Iterable[Item]) -> None:
        try:
            for item in items:
                self._put((item,))
                if self._cancelled.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            self._put(error)
        else:
            self._put(None)

    def _put(self, brought: tuple[Item] | BaseException | None) -> None:
        while not self._cancelled.is_set():
            try:
                self._queue.put(brought, timeout=LOOK_UP)
            except queue.Full:
                continue
            return


class Prefetcher(Generic[Key, Item]):
    """Starts readers in the order in which they will be consumed."""

    def __init__(
        self,
        plan: Iterable[Key],
        reader: Callable[[Key], Iterable[Item]],
        most: int,
        stopping: Callable[[], bool],
    ) -> None:
        """Plan the readers; none is started yet.

        Args:
            plan: What is going to be consumed, in order.
            reader: Makes the reader of one; called in the consumer's thread.
            most: Readers at once.
            stopping: Whether the run is to stop.
        """
        self._ahead = list(plan)
        self._reader = reader
        self._most = most
        self._stopping = stopping
        self._workers: dict[Key, Worker[Item]] = {}

    def items(self, key: Key) -> Iterator[Item]:
        """What the reader of this key brings; starts it at once if it is not running yet."""
        if key in self._ahead:
            self._ahead.remove(key)
        if key not in self._workers:
            self._start(key)
        worker = self._workers[key]
        self._look_ahead()
        try:
            yield from worker.items(self._stopping)
        finally:
            worker.cancel()
            self._workers.pop(key, None)

    def drop(self, which: Callable[[Key], bool]) -> None:
        """Let these readers end with the requests that they are in, and start no more of them."""
        self._ahead = [key for key in self._ahead if not which(key)]
        for key in [key for key in self._workers if which(key)]:
            self._workers.pop(key).cancel()

    def cancel(self) -> None:
        """Let all readers end with the requests that they are in."""
        self._ahead.clear()
        for worker in self._workers.values():
            worker.cancel()

    def _look_ahead(self) -> None:
        while self._ahead and len(self._workers) < self._most:
            self._start(self._ahead.pop(0))

    def _start(self, key: Key) -> None:
        self._workers[key] = Worker(self._reader(key), name=f"reader of {key}")
