"""Fetches ahead: readers run in worker threads, one writer consumes what they bring in order.

While a page is written the next ones are fetched, and with more than one connection streams that
come later are fetched meanwhile. A reader may leave parts of its work to further readers, which
run side by side and are consumed in its place. At most `most` readers are at work, and the pages
of all together are at most three for each of them.
"""

from __future__ import annotations

import queue
import signal
import threading
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

Item = TypeVar("Item")
Key = TypeVar("Key")

MAX_PAGES: Final = 3
"""Pages that a reader holds: those that wait and the one in hand."""
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


class Continuation(ABC, Generic[Item]):
    """What a reader leaves to others: they are made one by one, as there is room for them."""

    @property
    @abstractmethod
    def left(self) -> bool:
        """Whether there are further parts."""

    @abstractmethod
    def part(self, pages: int) -> Iterable[Item | Continuation[Item]]:
        """The reader of the next part, which is to bring about so many pages."""

    @abstractmethod
    def after(self) -> Iterable[Item]:
        """What is read when all parts were consumed."""


class Worker(Generic[Item]):
    """One reader in a thread of its own, no more than so many pages ahead."""

    def __init__(
        self, items: Iterable[Item | Continuation[Item]], name: str, pages: int | None = None
    ) -> None:
        pages = pages or MAX_PAGES
        self._pages = pages
        self._queue: queue.SimpleQueue[tuple[Item | Continuation[Item]] | BaseException | None] = (
            queue.SimpleQueue()
        )
        self._room = threading.Semaphore(pages)
        self._cancelled = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(items,), name=name, daemon=True)
        self.done = False
        """Whether the reader has brought all."""
        self._thread.start()

    @property
    def pages(self) -> int:
        """Pages that it holds, or may come to hold."""
        # The end waits in the queue as well.
        return max(self._queue.qsize() - 1, 0) if self.done else self._pages

    @property
    def at_work(self) -> bool:
        """Whether it reads, and does not wait for its pages to be consumed."""
        return not self.done and self._queue.qsize() < self._pages

    def widen(self, pages: int) -> None:
        """Let it hold so many pages more."""
        self._pages += pages
        for _ in range(pages):
            self._room.release()

    def items(
        self, stopping: Callable[[], bool], meanwhile: Callable[[], None]
    ) -> Iterator[Item | Continuation[Item]]:
        """What the reader brings, in its order; now and then `meanwhile` is called.

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
                meanwhile()
                continue
            if brought is None:
                return
            if isinstance(brought, BaseException):
                raise brought
            self._room.release()
            yield brought[0]

    def cancel(self) -> None:
        """Let the reader end with the request that it is in; what it brought is dropped."""
        self._cancelled.set()
        self._room.release()
        while not self._queue.empty():
            self._queue.get_nowait()

    def _run(self, items: Iterable[Item | Continuation[Item]]) -> None:
        try:
            self._bring(iter(items))
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            self._queue.put(error)
        else:
            self._queue.put(None)
        self.done = True

    def _bring(self, items: Iterator[Item | Continuation[Item]]) -> None:
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
    """Starts readers in the order in which they will be consumed."""

    def __init__(
        self,
        plan: Iterable[Key],
        reader: Callable[[Key], Iterable[Item | Continuation[Item]]],
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
        self._line: deque[Worker[Item] | Continuation[Item]] = deque()

    def items(self, key: Key) -> Iterator[Item]:
        """What the reader of this key brings; starts it at once if it is not running yet."""
        if key in self._ahead:
            self._ahead.remove(key)
        if key not in self._workers:
            self._start(key)
        line = self._line = deque([self._workers[key]])
        try:
            yield from self._consume(line, key)
        finally:
            _cancel(line)
            self._workers.pop(key, None)

    def drop(self, which: Callable[[Key], bool]) -> None:
        """Let these readers end with the requests that they are in, and start no more of them."""
        self._ahead = [key for key in self._ahead if not which(key)]
        for key in [key for key in self._workers if which(key)]:
            self._workers.pop(key).cancel()

    def cancel(self) -> None:
        """Let all readers end with the requests that they are in."""
        self._ahead.clear()
        _cancel(self._line)
        _cancel(self._workers.values())

    def _consume(self, line: deque[Worker[Item] | Continuation[Item]], key: Key) -> Iterator[Item]:
        """What the readers of the line bring, and those of the parts that they leave."""

        def go_on() -> None:
            self._start_parts(line, key)
            self._look_ahead()

        self._widen(self._workers[key])
        while line:
            go_on()
            first = line[0]
            if isinstance(first, Continuation):
                line[0] = first = Worker(first.after(), f"reader of {key}")
            for brought in first.items(self._stopping, go_on):
                if isinstance(brought, Continuation):
                    line.insert(1, brought)
                else:
                    yield brought
                go_on()
            line.popleft()

    def _free(self) -> tuple[int, int]:
        """How many readers more may be at work, and how many pages may be held."""
        workers = {each for each in self._line if isinstance(each, Worker)}
        workers.update(self._workers.values())
        idle = self._most - sum(each.at_work for each in workers)
        return idle, self._most * MAX_PAGES - sum(each.pages for each in workers)

    def _widen(self, worker: Worker[Item]) -> None:
        """Its turn has come: let it hold as many pages as a reader may."""
        _, room = self._free()
        if not worker.done and room > 0:
            worker.widen(min(MAX_PAGES - min(worker.pages, MAX_PAGES), room))

    def _start_parts(self, line: deque[Worker[Item] | Continuation[Item]], key: Key) -> None:
        """Start the readers of parts, in order, as far as there is room."""
        while parts := next((p for p in line if isinstance(p, Continuation) and p.left), None):
            index = line.index(parts)
            idle, room = self._free()
            if index and (idle < 1 or room < 1):
                return
            pages = min(max(room // max(idle, 1), 1), MAX_PAGES)
            line.insert(index, Worker(parts.part(pages), f"reader of {key}", pages))

    def _look_ahead(self) -> None:
        """Start the next readers, unless there is but one connection."""
        while self._ahead and self._most > 1:
            idle, room = self._free()
            if idle < 1 or room < 1:
                return
            self._start(self._ahead.pop(0), min(max(room // idle, 1), MAX_PAGES))

    def _start(self, key: Key, pages: int | None = None) -> None:
        self._workers[key] = Worker(self._reader(key), f"reader of {key}", pages)


def _cancel(line: Iterable[Worker[Item] | Continuation[Item]]) -> None:
    for each in line:
        if isinstance(each, Worker):
            each.cancel()
