"""Fetches ahead: readers run in worker threads, one writer consumes their pages in order.

While one page is written, the next ones are fetched, and with more than one connection later
streams are fetched at the same time. A reader may leave parts of its work to further readers,
which run in parallel and are consumed in its place. At most `max_readers` readers fetch
at the same time, and all readers together hold at most three times as many pages.
"""

from __future__ import annotations

import queue
import signal
import threading
from abc import ABC, abstractmethod
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Key = TypeVar("Key")

MAX_PAGES: Final = 3
"""Pages that a reader holds: those that wait, and the one that is being fetched."""

POLL_INTERVAL: Final = 0.2
"""Seconds between checks whether the run is to stop while no page arrives."""


class Stopped(Exception):  # noqa: N818 - no error
    """The run was asked to stop.

    Attributes:
        signal: Number of the signal that asked for it.
    """

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.signal = number

    @property
    def exit_code(self) -> int:
        """The exit code of a process that the signal ended."""
        return 128 + self.signal


class Continuation(ABC, Generic[Item]):
    """Work that a reader leaves to further readers, started one by one as capacity allows."""

    @property
    @abstractmethod
    def has_more(self) -> bool:
        """Whether there are further parts."""

    @abstractmethod
    def next_part(self, pages: int) -> Iterable[Item | Continuation[Item]]:
        """Return the reader of the next part, which should have about this number of pages."""

    @abstractmethod
    def after(self) -> Iterable[Item]:
        """Return the reader of what follows once all parts have been consumed."""


class Threads:
    """Runs functions, each in a thread of its own, which the next one takes over when it is done.

    The threads are daemons, since a reader that hangs in a request must not keep the process alive.
    """

    def __init__(self) -> None:
        self._idle: list[queue.SimpleQueue[Callable[[], None] | None]] = []
        """The queues of the threads that have nothing to do."""
        self._closed = False

    def run(self, function: Callable[[], None]) -> None:
        """Run the function now; it must not raise."""
        try:
            functions = self._idle.pop()
        except IndexError:
            functions = queue.SimpleQueue()
            threading.Thread(target=self._serve, args=(functions,), daemon=True).start()
        functions.put(function)

    def close(self) -> None:
        """Let each thread end when it is done."""
        self._closed = True
        while self._idle:
            self._idle.pop().put(None)

    def _serve(self, functions: queue.SimpleQueue[Callable[[], None] | None]) -> None:
        while function := functions.get():
            function()
            del function  # and with it the reader, while the thread waits
            self._idle.append(functions)
            if self._closed:
                self.close()


class Worker(Generic[Item]):
    """Runs one reader in another thread, at most a number of pages ahead of the consumer."""

    def __init__(
        self,
        items: Iterable[Item | Continuation[Item]],
        name: str,
        threads: Threads,
        pages: int | None = None,
    ) -> None:
        pages = pages or MAX_PAGES
        self._pages = pages
        self._queue: queue.SimpleQueue[tuple[Item | Continuation[Item]] | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._room = threading.Semaphore(pages)
        self._cancelled = threading.Event()
        self.done = False
        """Whether the reader has ended."""
        threads.run(partial(self._run, items, name))

    @property
    def pages(self) -> int:
        """Number of pages that the worker holds, or may hold."""
        # The queue also contains the end marker.
        return max(self._queue.qsize() - 1, 0) if self.done else self._pages

    @property
    def is_fetching(self) -> bool:
        """Whether the reader is fetching, rather than waiting for its pages to be consumed."""
        return not self.done and self._queue.qsize() < self._pages

    def widen(self, pages: int) -> None:
        """Let the worker hold this number of additional pages."""
        self._pages += pages
        for _ in range(pages):
            self._room.release()

    def items(
        self, stopping: Callable[[], bool], meanwhile: Callable[[], None]
    ) -> Iterator[Item | Continuation[Item]]:
        """Yield the reader's items in order; while waiting, call `meanwhile` now and then.

        Raises:
            Stopped: `stopping` returned true while waiting, or items were dropped.
            Exception: The reader's error, after the items before it.
        """
        while True:
            try:
                entry = self._queue.get(timeout=POLL_INTERVAL)
            except queue.Empty:
                if stopping():
                    raise Stopped from None
                meanwhile()
                continue
            if self._cancelled.is_set():
                raise Stopped
            if entry is None:
                return
            if isinstance(entry, BaseException):
                raise entry
            self._room.release()
            yield entry[0]

    def cancel(self) -> None:
        """Let the reader end after its current request, and drop its items."""
        self._cancelled.set()
        self._room.release()
        while not self._queue.empty():
            self._queue.get_nowait()

    def _run(self, items: Iterable[Item | Continuation[Item]], name: str) -> None:
        threading.current_thread().name = name
        try:
            self._fetch(iter(items))
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            self._queue.put(error)
        else:
            self._queue.put(None)
        self.done = True

    def _fetch(self, items: Iterator[Item | Continuation[Item]]) -> None:
        while True:
            self._room.acquire()
            if self._cancelled.is_set():
                return
            for item in items:
                self._queue.put((item,))
                break
            else:
                return


class Prefetcher(Generic[Key, Item]):
    """Starts readers in the order in which their items will be consumed."""

    def __init__(
        self,
        plan: Iterable[Key],
        reader: Callable[[Key], Iterable[Item | Continuation[Item]]],
        max_readers: int,
        stopping: Callable[[], bool],
    ) -> None:
        """Plan the readers; none is started yet.

        Args:
            plan: Keys of the readers to consume, in order.
            reader: Makes the reader for a key; called in the consumer's thread.
            max_readers: Maximum number of readers that fetch at the same time.
            stopping: Whether the run is to stop.
        """
        self._planned = list(plan)
        self._reader = reader
        self._max_readers = max_readers
        self._stopping = stopping
        self._threads = Threads()
        self._workers: dict[Key, Worker[Item]] = {}
        self._lineup: deque[Worker[Item] | Continuation[Item]] = deque()
        """The readers of the current key and their continuations, in order of consumption."""

    def items(self, key: Key) -> Iterator[Item]:
        """Yield the items of this key's reader; start it now if it is not running yet."""
        if key in self._planned:
            self._planned.remove(key)
        if key not in self._workers:
            self._start(key)
        lineup = self._lineup = deque([self._workers[key]])
        try:
            yield from self._consume(lineup, key)
        finally:
            _cancel(lineup)
            self._workers.pop(key, None)
            if not (self._planned or self._workers):
                self._threads.close()

    def drop(self, which: Callable[[Key], bool]) -> None:
        """Let these readers end after their current requests, and start no more of them."""
        self._planned = [key for key in self._planned if not which(key)]
        for key in [key for key in self._workers if which(key)]:
            self._workers.pop(key).cancel()

    def cancel(self) -> None:
        """Let all readers end after their current requests, and start no more."""
        self._planned.clear()
        _cancel(self._lineup)
        _cancel(self._workers.values())
        self._threads.close()

    def _consume(
        self, lineup: deque[Worker[Item] | Continuation[Item]], key: Key
    ) -> Iterator[Item]:
        """Yield the items of the readers in the lineup, and of those that continue them."""

        def start_more() -> None:
            self._start_parts(lineup, key)
            self._start_ahead()

        self._widen(self._workers[key])
        while lineup:
            start_more()
            first = lineup[0]
            if isinstance(first, Continuation):
                lineup[0] = first = Worker(first.after(), f"reader of {key}", self._threads)
            for item in first.items(self._stopping, start_more):
                if isinstance(item, Continuation):
                    lineup.insert(1, item)
                else:
                    yield item
                start_more()
            lineup.popleft()

    def _capacity(self) -> tuple[int, int]:
        """Return how many more readers may fetch, and how many more pages may be held."""
        workers = {entry for entry in self._lineup if isinstance(entry, Worker)}
        workers.update(self._workers.values())
        idle = self._max_readers - sum(worker.is_fetching for worker in workers)
        return idle, self._max_readers * MAX_PAGES - sum(worker.pages for worker in workers)

    def _widen(self, worker: Worker[Item]) -> None:
        """Give the reader that is consumed now its full page allowance."""
        _, room = self._capacity()
        if not worker.done and room > 0:
            worker.widen(min(MAX_PAGES - min(worker.pages, MAX_PAGES), room))

    def _start_parts(self, lineup: deque[Worker[Item] | Continuation[Item]], key: Key) -> None:
        """Start the readers of parts, in order, as far as capacity allows."""
        while continuation := next(
            (entry for entry in lineup if isinstance(entry, Continuation) and entry.has_more), None
        ):
            index = lineup.index(continuation)
            idle, room = self._capacity()
            if index and (idle < 1 or room < 1):
                return
            pages = min(max(room // max(idle, 1), 1), MAX_PAGES)
            part = continuation.next_part(pages)
            lineup.insert(index, Worker(part, f"reader of {key}", self._threads, pages))

    def _start_ahead(self) -> None:
        """Start the next planned readers, unless there is only one connection."""
        while self._planned and self._max_readers > 1:
            idle, room = self._capacity()
            if idle < 1 or room < 1:
                return
            self._start(self._planned.pop(0), min(max(room // idle, 1), MAX_PAGES))

    def _start(self, key: Key, pages: int | None = None) -> None:
        reader = self._reader(key)
        self._workers[key] = Worker(reader, f"reader of {key}", self._threads, pages)


def _cancel(lineup: Iterable[Worker[Item] | Continuation[Item]]) -> None:
    for entry in lineup:
        if isinstance(entry, Worker):
            entry.cancel()
