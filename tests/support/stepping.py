"""Readers that take turns in one thread, so that a seed decides on the order of their requests."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from tap_acumatica.reading import prefetch
from tap_acumatica.reading.prefetch import Stopped, Threads, Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from random import Random


class SteppedWorker(Worker[Any]):
    """A reader that fetches when its turn comes: as with threads, any reader may be ahead."""

    crew: ClassVar[list[SteppedWorker]]
    random: ClassVar[Random]

    @override
    def __init__(
        self, items: Iterable[Any], name: str, threads: Threads, pages: int | None = None
    ) -> None:
        self.done = False
        self._pages = pages or prefetch.MAX_PAGES
        self._items = iter(items)
        self._fetched: deque[Any] = deque()
        self._error: BaseException | None = None
        self.crew.append(self)

    @property
    @override
    def pages(self) -> int:
        return len(self._fetched) if self.done else self._pages

    @property
    @override
    def is_fetching(self) -> bool:
        return not self.done and len(self._fetched) < self._pages

    @override
    def widen(self, pages: int) -> None:
        self._pages += pages

    @override
    def items(self, stopping: Callable[[], bool], meanwhile: Callable[[], None]) -> Iterator[Any]:
        while not self.done or self._fetched:
            for worker in [*self.crew]:
                if worker.is_fetching and self.random.random() < 0.5:
                    worker.fetch()
            if not self._fetched and not self.done:
                self.fetch()
            if self._fetched:
                yield self._fetched.popleft()
            elif stopping():
                raise Stopped
            meanwhile()
        if self._error:
            raise self._error

    @override
    def cancel(self) -> None:
        self.done = True
        self._fetched.clear()

    def fetch(self) -> None:
        """Fetch a page, or the end."""
        try:
            self._fetched.append(next(self._items))
        except StopIteration:
            self.done = True
        except BaseException as error:  # noqa: BLE001 - raised again by the consumer
            self.done, self._error = True, error


def stepped_workers(random: Random) -> type[SteppedWorker]:
    """Return what replaces `Worker` in one run."""
    return type("Stepped", (SteppedWorker,), {"crew": [], "random": random})
