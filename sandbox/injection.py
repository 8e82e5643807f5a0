"""Fault injection: the faults that are switched on, and the requests they hit."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from sandbox.faultkinds import KINDS

if TYPE_CHECKING:
    from sandbox.faults import Exchange, Fault
    from sandbox.http import Request, Response


class FaultInjector:
    """The faults that are switched on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """Switch a fault on.

        Raises:
            KeyError: The kind is unknown.
        """
        if fault.kind not in KINDS:
            raise KeyError(fault.kind)
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Switch all faults off."""
        with self._lock:
            self._faults.clear()

    def inject(self, exchange: Exchange) -> Response | None:
        """Apply the faults that hit a request.

        Returns:
            The first response that a fault gives in place of the server's, or None.
        """
        for fault in self._hitting(exchange.request):
            response = KINDS[fault.kind](fault, exchange)
            if response is not None:
                return response
        return None

    def _hitting(self, request: Request) -> list[Fault]:
        """Count the request for each fault that matches it, and return the faults that hit it."""
        hitting = []
        with self._lock:
            for fault in self._faults:
                if not fault.matches(request):
                    continue
                fault.seen += 1
                spent = fault.times is not None and fault.done >= fault.times
                if fault.seen > fault.after and not spent:
                    fault.done += 1
                    hitting.append(fault)
        return hitting
