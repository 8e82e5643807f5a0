"""Expansions: related records that are read with a row, in the settings and in `$expand`.

Facts: docs/acumatica.md, "Query options".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_LEVELS: Final = 3
"""Levels of `$expand` that servers accept by default."""

_TOKEN: Final = re.compile(r"\s*(\w+|[(),])")


@dataclass(frozen=True, slots=True)
class Expansion:
    """A navigation property whose related rows are read with each row.

    Attributes:
        name: The name of the navigation property.
        columns: The columns of the related rows; empty for all of them.
        expansions: The expansions of the related rows in turn.
    """

    name: str
    columns: tuple[str, ...] = ()
    expansions: tuple[Expansion, ...] = ()

    def __str__(self) -> str:
        """Return the notation of the setting `expand`: `SOLineCollection(OrderQty,SOOrder())`."""
        return f"{self.name}({','.join([*self.columns, *map(str, self.expansions)])})"

    def option(self, *, select: bool = True) -> str:
        """Return the notation of `$expand`; without `select`, for all columns of related rows."""
        options = []
        if select and self.columns:
            options.append("$select=" + ",".join(self.columns))
        if self.expansions:
            options.append("$expand=" + ",".join(e.option(select=select) for e in self.expansions))
        return f"{self.name}({';'.join(options)})" if options else self.name

    def selects(self, column: str) -> bool:
        """Whether a column of this name is selected, at any level."""
        return column in self.columns or any(e.selects(column) for e in self.expansions)

    def without(self, column: str) -> Expansion:
        """Return the expansion without the columns of this name, at any level."""
        return replace(
            self,
            columns=tuple(name for name in self.columns if name != column),
            expansions=tuple(e.without(column) for e in self.expansions),
        )


def parse(text: str) -> tuple[Expansion, ...]:
    """Parse a list of navigation properties, each with or without parentheses.

    Within parentheses a bare name is a column; a name followed by parentheses is a navigation
    property of the related row.

    Raises:
        ValueError: The text is not such a list, or has more levels than servers accept.
    """
    tokens = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if not match:
            message = f"unexpected {text[position:].lstrip()[:20]!r}"
            raise ValueError(message)
        tokens.append(match.group(1))
        position = match.end()
    parser = _Parser([*reversed(tokens)])
    columns, expansions = parser.items(1, "")
    return (*map(Expansion, columns), *expansions)


class _Parser:
    """Parses the tokens of a list. They are in reverse order, so that the next one is the last."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens

    def items(self, level: int, end: str) -> tuple[list[str], list[Expansion]]:
        """Parse up to the end token; return the bare names, and the names with parentheses."""
        columns: list[str] = []
        expansions: list[Expansion] = []
        while self._next() != end:
            name = self._take()
            if name in {"(", ")", ","}:
                message = f"unexpected {name!r}"
                raise ValueError(message)
            if self._next() == "(":
                expansions.append(self._expansion(name, level))
            else:
                columns.append(name)
            if self._next() != end and self._take() != ",":
                message = f"a comma is missing after {name}"
                raise ValueError(message)
        return columns, expansions

    def _expansion(self, name: str, level: int) -> Expansion:
        if level > MAX_LEVELS:
            message = f"{name} is nested deeper than {MAX_LEVELS} levels"
            raise ValueError(message)
        self._take()
        columns, expansions = self.items(level + 1, ")")
        self._take()
        return Expansion(name, tuple(columns), tuple(expansions))

    def _next(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _take(self) -> str:
        if not self._tokens:
            message = "a parenthesis is not closed"
            raise ValueError(message)
        return self._tokens.pop()


def parse_all(texts: Iterable[str]) -> tuple[Expansion, ...]:
    """Parse several lists into one."""
    return tuple(expansion for text in texts for expansion in parse(text))


def option(expansions: Sequence[Expansion], *, select: bool = True) -> str:
    """Return the value of `$expand`."""
    return ",".join(expansion.option(select=select) for expansion in expansions)
