"""Related records that come along with a row: how they are named, and how they are asked for.

Facts: docs/acumatica.md, "Query options".
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_LEVELS: Final = 3
"""Levels of `$expand` that the server takes unless it was told otherwise."""

_TOKEN: Final = re.compile(r"\s*(\w+|[(),])")


@dataclass(frozen=True, slots=True)
class Expansion:
    """A navigation property that is read along.

    Attributes:
        name: Of the navigation property.
        columns: Columns of the related rows; empty: all of them.
        expansions: What is read along with the related rows in turn.
    """

    name: str
    columns: tuple[str, ...] = ()
    expansions: tuple[Expansion, ...] = ()

    def __str__(self) -> str:
        """As in the setting `expand`: `SOLineCollection(OrderQty,InventoryItemByInventoryID())`."""
        return f"{self.name}({','.join([*self.columns, *map(str, self.expansions)])})"

    def option(self, *, select: bool = True) -> str:
        """As in `$expand`; without `select` all columns of the related rows come."""
        options = []
        if select and self.columns:
            options.append("$select=" + ",".join(self.columns))
        if self.expansions:
            options.append("$expand=" + ",".join(e.option(select=select) for e in self.expansions))
        return f"{self.name}({';'.join(options)})" if options else self.name

    def names(self, column: str) -> bool:
        """Whether it asks for a column of this name, at whatever level."""
        return column in self.columns or any(e.names(column) for e in self.expansions)

    def without(self, column: str) -> Expansion:
        """The same without the columns of this name."""
        return replace(
            self,
            columns=tuple(name for name in self.columns if name != column),
            expansions=tuple(e.without(column) for e in self.expansions),
        )


def parse(text: str) -> tuple[Expansion, ...]:
    """Read a list of navigation properties: each with or without parentheses.

    Within parentheses a bare name is a column; one that is followed by parentheses is a navigation
    property of the related row.

    Raises:
        ValueError: It is no such list, or deeper than the server takes.
    """
    tokens = []
    position = 0
    text = text.rstrip()
    while position < len(text):
        found = _TOKEN.match(text, position)
        if not found:
            message = f"unexpected {text[position:].lstrip()[:20]!r}"
            raise ValueError(message)
        tokens.append(found.group(1))
        position = found.end()
    reader = _Reader([*reversed(tokens)])
    columns, expansions = reader.items(1, "")
    return (*map(Expansion, columns), *expansions)


class _Reader:
    """Takes the tokens of a list, the first of which stands last."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens

    def items(self, level: int, end: str) -> tuple[list[str], list[Expansion]]:
        """The bare names, and those with parentheses, up to the end token."""
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
                message = f"a comma is missing behind {name}"
                raise ValueError(message)
        return columns, expansions

    def _expansion(self, name: str, level: int) -> Expansion:
        if level > MAX_LEVELS:
            message = f"{name} is deeper than {MAX_LEVELS} levels"
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
    """Read several such lists as one."""
    return tuple(expansion for text in texts for expansion in parse(text))


def option(expansions: Sequence[Expansion], *, select: bool = True) -> str:
    """The value of `$expand`."""
    return ",".join(expansion.option(select=select) for expansion in expansions)
