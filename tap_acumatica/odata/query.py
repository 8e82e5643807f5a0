"""Queries and nextLinks, and how they are written in a URL."""

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
    """The function through which an inquiry takes its parameters, or one of an entity set.

    Attributes:
        parameters: The values by name: literals in OData 4, plain text in OData 3. Parameters
            without a value are null in OData 4 and missing in OData 3.
        bound_to: The entity set whose function it is; empty for an inquiry's.
    """

    function: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    bound_to: str = ""

    def path(self, protocol: ODataVersion) -> str:
        """Return the path that replaces the entity set's.

        OData 4 passes values by alias in the query string, since paths cannot hold all characters.
        """
        name = quote(self.function, safe="")
        if protocol is ODataVersion.V3:
            return name
        aliases = [f"{quote(p, safe='')}=@{i}" for i, p in enumerate(self.parameters, 1)]
        call = f"{name}({','.join(aliases)})"
        return f"{quote(self.bound_to, safe='')}/{call}" if self.bound_to else call

    def options(self, protocol: ODataVersion) -> dict[str, str]:
        """Return the options of the query string that pass the values."""
        if protocol is ODataVersion.V3:
            return dict(self.parameters)
        return {f"@{i}": literal for i, literal in enumerate(self.parameters.values(), 1)}


@dataclass(frozen=True, slots=True)
class Query:
    """A query for rows of an entity set; options that are empty or None are not sent."""

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
    living: bool = False
    """Whether rows that are marked as deleted are left out, whatever the settings say."""

    @property
    def path(self) -> str:
        """The path below the service's root, without the query string."""
        return self.call.path(self.protocol) if self.call else quote(self.entity_set, safe="")

    def string(self, extra: Mapping[str, str] | None = None, max_length: int | None = None) -> str:
        """Return the query string.

        Args:
            extra: Additional query parameters.
            max_length: The maximum length in characters. A longer string loses its `$select`, then
                also the `$select` of related rows; the caller has to drop the columns that it did
                not ask for.
        """
        text = self._string(extra or {}, self.select)
        if max_length is None or len(text) <= max_length:
            return text
        text = self._string(extra or {}, ())
        return text if len(text) <= max_length else self._string(extra or {}, (), nested=False)

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
            # Without it older services answer in Atom, even if the Accept header asks for JSON.
            "$format": self.format.option or ("json" if self.protocol is ODataVersion.V3 else ""),
            **extra,
        }
        options = {name: value for name, value in options.items() if value}
        if self.call:
            options |= self.call.options(self.protocol)
        return "&".join(
            f"{quote(name, safe='$@')}={quote(value, safe=READABLE)}"
            for name, value in options.items()
        )


def all_of(*conditions: str) -> str:
    """Join conditions by `and`, without empty ones."""
    return " and ".join(condition for condition in conditions if condition)


@dataclass(frozen=True, slots=True)
class Link:
    """A nextLink as the server sent it.

    A relative link is resolved against the entity set's URL, and so against the service's too; one
    that is only a query, against that of the function that was called.
    """

    url: str
    entity_set: str = ""
    format: Format = JSON
    protocol: ODataVersion = ODataVersion.V4
    call: Call | None = None

    @property
    def base(self) -> str:
        """The path below the service's root that a relative link is resolved against."""
        if self.call and self.url.startswith("?"):
            return self.call.path(self.protocol)
        return quote(self.entity_set, safe="")
