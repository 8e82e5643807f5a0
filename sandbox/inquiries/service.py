"""The services of inquiries: which address answers what, in either version."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from sandbox.errors import EmptyAnswer, Refusal, not_found
from sandbox.filters import text_literal
from sandbox.http import ODATA_JSON, XML, Request, Response
from sandbox.inquiries import odata3
from sandbox.inquiries.made import HIDDEN, INQUIRIES, UNREADABLE
from sandbox.inquiries.metadata import document
from sandbox.query import ReadSettings, read_page
from sandbox.store import joined
from sandbox.values import QUOTED_JSON, instant, traits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sandbox.addresses import Address
    from sandbox.inquiries.model import Inquiry, Parameter
    from sandbox.query import Page
    from sandbox.quirks import Quirks
    from sandbox.store import Store

CALL = re.compile(r"(?P<name>[^(]+)\((?P<arguments>.*)\)", re.DOTALL)
ARGUMENT = re.compile(r"\s*(?P<name>\w+)\s*=\s*(?P<value>'(?:[^']|'')*'|[^,]+?)\s*(?:,|$)")
TEXT = re.compile(r"'((?:[^']|'')*)'")
UNSUPPORTED = ("$count", "$expand", "$inlinecount")
FOUR = 4


class Inquiries:
    """Answers what lies under the roots of the inquiries."""

    def __init__(self, store: Store, quirks: Quirks) -> None:
        self.store = store
        self.quirks = quirks
        self.known: dict[str, Inquiry] = {}
        self.own: dict[str, dict[str, Inquiry]] = {}
        self.statuses: dict[str, int] = {}
        for each in (*INQUIRIES, *HIDDEN):
            self.add(each)
        self.statuses["payroll"] = HTTPStatus.FORBIDDEN

    def add(self, inquiry: Inquiry, tenant: str | None = None) -> None:
        """Offer an inquiry, in one tenant or in all."""
        offered = self.known if tenant is None else self.own.setdefault(tenant, {})
        offered[inquiry.title.lower()] = inquiry

    def of(self, tenant: str) -> dict[str, Inquiry]:
        """What a tenant offers."""
        return {**self.known, **self.own.get(tenant, {})}

    def remove(self, title: str) -> None:
        """Offer an inquiry no longer."""
        del self.known[title.lower()]

    def rows(self, title: str, tenant: str, values: Mapping[str, str]) -> list[dict[str, object]]:
        """The rows as the wire of OData 4 shows them, in no order; values are SQL texts."""
        inquiry = self.of(tenant)[title.lower()]
        settings = ReadSettings(source=inquiry.sql(self.store, tenant, values))
        page = read_page(self.store, inquiry.entity_type, tenant, {}, settings)
        return [json.loads(row, parse_float=Decimal) for row in page.rows]

    def metadata(self, version: int, tenant: str) -> Response:
        """The metadata document of a tenant."""
        body = document(self.of(tenant).values(), version)
        response = Response(body=body, content_type=XML, odata=version == FOUR)
        if version != FOUR:
            response.headers.append(("DataServiceVersion", "3.0;"))
        return response

    def service_document(self, site: str, address: Address, request: Request) -> Response:
        """The service document: all inquiries, also those that cannot be read."""
        titles = [*(each.title for each in self.of(address.tenant).values()), UNREADABLE]
        wanted = request.query.get("$format", "") or request.headers.get("accept", "")
        if address.version == FOUR or "json" in wanted:
            entries = [
                {"name": title, "kind": "EntitySet", "url": quote(title)} for title in titles
            ]
            context = "@odata.context" if address.version == FOUR else "odata.metadata"
            body = {context: f"{site}{address.root}/$metadata", "value": entries}
            return Response(body=json.dumps(body).encode(), content_type=ODATA_JSON)
        collections = "".join(
            f"<collection href={quoteattr(quote(title))}><atom:title>{escape(title)}</atom:title>"
            "</collection>"
            for title in titles
        )
        text = (
            '<service xmlns="http://www.w3.org/2007/app" xmlns:atom="http://www.w3.org/2005/Atom">'
            f"<workspace>{collections}</workspace></service>"
        )
        return Response(body=text.encode(), content_type="application/atomsvc+xml")

    def data(
        self,
        site: str,
        address: Address,
        request: Request,
        settings: ReadSettings,
        hooks: Sequence[Callable[[Page, list[str]], None]] = (),
    ) -> Response:
        """The rows of an inquiry."""
        inquiry, values = self._asked_for(address, request)
        options = self._options(address, request)
        if inquiry.broken:
            raise EmptyAnswer
        settings = self._reading(inquiry, values, address, options, settings)
        page = read_page(self.store, inquiry.entity_type, address.tenant, options, settings)
        head: list[str] = []
        for hook in hooks:
            hook(page, head)
        members = json.loads("{" + ",".join(head) + "}")
        if address.version != FOUR:
            return self._odata3(site, address, request, inquiry, page, members)
        head.insert(
            0, f'"@odata.context":{json.dumps(_context(site, address, inquiry, page.selected))}'
        )
        head.append(f'"value":[{",".join(page.rows)}]')
        return Response(body=f"{{{','.join(head)}}}".encode(), content_type=ODATA_JSON, odata=True)

    def _options(self, address: Address, request: Request) -> dict[str, str]:
        """The query options, as OData 4 writes them.

        Raises:
            Refusal: One is not supported, or a literal is none of the version.
        """
        options = dict(request.query)
        for option in UNSUPPORTED:
            if option in options:
                message = f"The query option '{option}' is not supported."
                raise Refusal(message)
        if address.version != FOUR and "$filter" in options:
            options["$filter"] = odata3.translated(options["$filter"], self.quirks.zone)
        return options

    def _reading(
        self,
        inquiry: Inquiry,
        values: Mapping[str, str],
        address: Address,
        options: Mapping[str, str],
        settings: ReadSettings,
    ) -> ReadSettings:
        """How the inquiry is read, with its subquery."""
        named = f"{options.get('$filter', '')} {options.get('$orderby', '')}"
        appended = set(re.findall(r"\w+", named)) & set(inquiry.marked("+"))
        unbound = bool(inquiry.parameters) and not values
        nothing = dict.fromkeys((each.name for each in inquiry.parameters), "NULL")
        source = inquiry.sql(
            self.store,
            address.tenant,
            values or nothing,
            with_appended=bool(appended) and not unbound,
        )
        if unbound:
            # Without its parameters an inquiry shows nothing, and does not say why.
            source = joined("(SELECT * FROM", source, "WHERE 0)")
        if self.quirks.text_numbers:
            for each in inquiry.entity_type.properties:
                if each.type == "Edm.Decimal":
                    settings.json_templates.setdefault(each.name.lower(), QUOTED_JSON)
        return replace(settings, source=source)

    def _odata3(  # noqa: PLR0913, PLR0917 - all of it is needed
        self,
        site: str,
        address: Address,
        request: Request,
        inquiry: Inquiry,
        page: Page,
        members: Mapping[str, str],
    ) -> Response:
        feed = odata3.Feed(
            title=inquiry.title,
            root=f"{site}{address.root}/",
            columns=page.columns,
            rows=[json.loads(row, parse_float=Decimal) for row in page.rows],
            next_link=members.get("@odata.nextLink"),
        )
        wanted = request.query.get("$format", "").lower()
        return odata3.form(feed, wanted, request.headers.get("accept", "").lower())

    def _asked_for(self, address: Address, request: Request) -> tuple[Inquiry, dict[str, str]]:
        """The inquiry of an address, and the SQL text of its parameters.

        Raises:
            Refusal: There is none, it may not be read, or its parameters are not bound.
        """
        call = CALL.fullmatch(address.rest) if address.version == FOUR else None
        name = call["name"] if call else address.rest
        offered = self.of(address.tenant)
        found = offered.get(name.lower())
        if found is None:
            found = next(
                (
                    each
                    for each in offered.values()
                    if each.parameters and each.function.lower() == name.lower()
                ),
                None,
            )
            if found is None:
                raise not_found(address.path)
            return self._allowed(found), self._bound(found, address, request, call)
        if call:
            raise not_found(address.path)
        return self._allowed(found), {}

    def _allowed(self, inquiry: Inquiry) -> Inquiry:
        status = self.statuses.get(inquiry.title.lower(), HTTPStatus.OK)
        if status != HTTPStatus.OK:
            message = f"You have insufficient rights to access the object ({inquiry.title})."
            raise Refusal(message, status)
        return inquiry

    def _bound(
        self, inquiry: Inquiry, address: Address, request: Request, call: re.Match[str] | None
    ) -> dict[str, str]:
        query = request.query
        if address.version == FOUR:
            given = {
                each["name"]: query.get(each["value"], each["value"])
                for each in ARGUMENT.finditer(call["arguments"] if call else "")
            }
        else:
            given = {each.name: query[each.name] for each in inquiry.parameters
                     if each.name in query}  # fmt: skip
        names = {each.name for each in inquiry.parameters}
        if address.version == FOUR and given.keys() != names:
            raise not_found(address.path)
        return {
            each.name: sql_text(each, given.get(each.name), address.version, self.quirks)
            for each in inquiry.parameters
        }


def sql_text(parameter: Parameter, given: str | None, version: int, quirks: Quirks) -> str:
    """A parameter's value as SQL.

    Raises:
        Refusal: It is no value of the parameter's type.
    """
    if given is None or (version == FOUR and given == "null"):
        return "NULL"
    group = traits(parameter.type).group
    text = TEXT.fullmatch(given)
    if (group == "string") != (text is not None) and version == FOUR:
        message = f"Unrecognized '{parameter.type}' literal '{given}' at '0' in '{given}'."
        raise Refusal(message)
    if group == "string":
        return text_literal(text[1].replace("''", "'") if text and version == FOUR else given)
    try:
        if group == "instant":
            return text_literal(
                instant(given if version == FOUR else odata3.instant(given, quirks.zone))
            )
        if group == "boolean":
            return str(int({"true": True, "false": False}[given.lower()]))
        return str(Decimal(given))
    except (ArithmeticError, KeyError, ValueError):
        message = f"Unrecognized '{parameter.type}' literal '{given}' at '0' in '{given}'."
        raise Refusal(message) from None


def _context(site: str, address: Address, inquiry: Inquiry, selected: Sequence[str]) -> str:
    columns = f"({','.join(selected)})" if selected else ""
    return f"{site}{address.root}/$metadata#{quote(inquiry.title)}{columns}"
