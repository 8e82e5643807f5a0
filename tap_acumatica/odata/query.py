"""A query, and the address that asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from tap_acumatica.odata import expand
from tap_acumatica.odata.formats import JSON, Format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_acumatica.odata.expand import Expansion

READABLE = "$,:'()/="
"""Characters left as they are in a query's values, so that the log can be read."""


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of an entity set; empty and None parts are left out."""

    entity_set: str
    select: tuple[str, ...] = ()
    filter: str = ""
    orderby: tuple[str, ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    expand: tuple[Expansion, ...] = ()
    format: Format = JSON

    def string(self, extra: Mapping[str, str] | None = None, longest: int | None = None) -> str:
        """The query string.

        Args:
            extra: Further parameters.
            longest: In characters; where it would be longer, `$select` is left out, then that of
                related rows too, and the columns that were not asked for have to be dropped by
                the caller.
        """
        text = self._string(extra or {}, self.select)
        if longest is None or len(text) <= longest:
            return text
        text = self._string(extra or {}, ())
        return text if len(text) <= longest else self._string(extra or {}, (), nested=False)

    def _string(
        self, extra: Mapping[str, str], select: tuple[str, ...], *, nested: bool = True
    ) -> str:
        options = {
            "$select": ",".join(select),
            "$expand": expand.option(self.expand, select=nested),
            "$filter": self.filter,
            "$orderby": ",".join(self.orderby),
            "$top": "" if self.top is None else str(self.top),
            "$skip": str(self.skip or ""),
            "$count": "true" if self.count else "",
            "$format": self.format.option,
            **extra,
        }
        return "&".join(
            f"{quote(name, safe='$')}={quote(value, safe=READABLE)}"
            for name, value in options.items()
            if value
        )


def all_of(*conditions: str) -> str:
    """The conditions joined by `and`; empty ones are left out."""
    return " and ".join(condition for condition in conditions if condition)
