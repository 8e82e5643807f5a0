"""A query, and the address that asks for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote

from tap_acumatica.odata import expand
from tap_acumatica.odata.dialect import JSON, Format, ODataVersion
from tap_acumatica.odata.urls import READABLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_acumatica.odata.expand import Expansion


@dataclass(frozen=True, slots=True)
class Call:
    """The function through which an inquiry takes its parameters.

    Attributes:
        parameters: Literals of OData 4, or plain texts in OData 3, which leaves out those without
            a value.
    """

    function: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def path(self, protocol: ODataVersion) -> str:
        """What stands in the place of the entity set.

        Values go by aliases, so that it does not matter which letters a path may hold.
        """
        name = quote(self.function, safe="")
        if protocol is ODataVersion.V3:
            return name
        aliases = [f"{quote(p, safe='')}=@{i}" for i, p in enumerate(self.parameters, 1)]
        return f"{name}({','.join(aliases)})"

    def options(self, protocol: ODataVersion) -> dict[str, str]:
        """What stands in the query string."""
        if protocol is ODataVersion.V3:
            return dict(self.parameters)
        return {f"@{i}": literal for i, literal in enumerate(self.parameters.values(), 1)}


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
    protocol: ODataVersion = ODataVersion.V4
    call: Call | None = None

    @property
    def path(self) -> str:
        """The address below the service's root, without the query string."""
        return self.call.path(self.protocol) if self.call else quote(self.entity_set, safe="")

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
            # Whatever the headers say, older services answer in Atom without it.
            "$format": self.format.option or ("json" if self.protocol is ODataVersion.V3 else ""),
            **extra,
        }
        given = {name: value for name, value in options.items() if value}
        if self.call:
            given |= self.call.options(self.protocol)
        return "&".join(
            f"{quote(name, safe='$@')}={quote(value, safe=READABLE)}"
            for name, value in given.items()
        )


def all_of(*conditions: str) -> str:
    """The conditions joined by `and`; empty ones are left out."""
    return " and ".join(condition for condition in conditions if condition)


@dataclass(frozen=True, slots=True)
class Link:
    """A nextLink of the server, as it came.

    A relative one counts from the address of the entity set, and so from the service's as well.
    """

    url: str
    entity_set: str = ""
    format: Format = JSON
    protocol: ODataVersion = ODataVersion.V4
