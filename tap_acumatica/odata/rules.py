"""A row of a table of errors: to which answers it applies, and what follows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from tap_acumatica.odata.http.answer import Answer
    from tap_acumatica.odata.http.error_table import Action


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table; `statuses` and `pattern` both have to fit, `test` as well."""

    cause: str
    action: Action
    sentence: str
    statuses: tuple[range, ...] = ()
    pattern: re.Pattern[str] | None = None
    exception: type[Exception] | tuple[type[Exception], ...] | None = None
    test: Callable[[Answer], bool] | None = None

    def fits(self, answer: Answer) -> bool:
        """Whether this row is about that answer."""
        if (answer.exception is None) != (self.exception is None):
            return False
        if self.exception and not isinstance(answer.exception, self.exception):
            return False
        if self.statuses and not any(answer.status in statuses for statuses in self.statuses):
            return False
        if self.pattern and not self.pattern.search(answer.message):
            return False
        return self.test is None or self.test(answer)


def status_of(*codes: int) -> tuple[range, ...]:
    """These statuses, for a rule."""
    return tuple(range(code, code + 1) for code in codes)


def words(pattern: str) -> re.Pattern[str]:
    """Words of the server, for a rule."""
    return re.compile(pattern, re.IGNORECASE)
