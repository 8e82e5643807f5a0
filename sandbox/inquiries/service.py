"""The OData services of inquiries, in both versions."""

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
ODATA_4 = 4


class Inquiries:
    """Answers requests for inquiries.

    Attributes:
        known: Inquiries of all tenants, by lower-case title.
        own: Inquiries of single tenants.
        statuses: Status of a read by lower-case title; 200 if missing.
    """

    def __init__(self, store: Store, quirks: Quirks) -> None:
        self.store = store
        self.quirks = quirks
        self.known: dict[str, Inquiry] = {}
        self.own: dict[str, dict[str, Inquiry]] = {}
        self.statuses: dict[str, int] = {}
        for inquiry in (*INQUIRIES, *HIDDEN):
            self.add(inquiry)
        self.statuses["payroll"] = HTTPStatus.FORBIDDEN

    def add(self, inquiry: Inquiry, tenant: str | None = None) -> None:
        """Add an inquiry to one tenant or to all."""
        inquiries = self.known if tenant is None else self.own.setdefault(tenant, {})
        inquiries[inquiry.title.lower()] = inquiry

    def of_tenant(self, tenant: str) -> dict[str, Inquiry]:
        """Return the inquiries of a tenant by lower-case title."""
        return {**self.known, **self.own.get(tenant, {})}

    def remove(self, title: str) -> None:
        """Remove an inquiry from all tenants."""
        del self.known[title.lower()]

    def rows(self, title: str, tenant: str, values: Mapping[str, str]) -> list[dict[str, object]]:
        """Return the rows as in OData 4, in any order; ``values`` are SQL texts."""
        inquiry = self.of_tenant(tenant)[title.lower()]
        settings = ReadSettings(source=inquiry.sql(self.store, tenant, values))
        page = read_page(self.store, inquiry.entity_type, tenant, {}, settings)
        return [json.loads(row, parse_float=Decimal) for row in page.rows]

    def metadata(self, version: int, tenant: str) -> Response:
        """Return the metadata document of a tenant."""
        body = document(self.of_tenant(tenant).values(), version)
        response = Response(body=body, content_type=XML, odata=version == ODATA_4)
        if version != ODATA_4:
            response.headers.append(("DataServiceVersion", "3.0;"))
        return response

    def service_document(self, site: str, address: Address, request: Request) -> Response:
        """Return the service document: all inquiries, also those that cannot be read."""
        inquiries = self.of_tenant(address.tenant).values()
        titles = [*(inquiry.title for inquiry in inquiries), UNREADABLE]
        accepted = request.query.get("$format", "") or request.headers.get("accept", "")
        if address.version == ODATA_4 or "json" in accepted:
            entries = [
                {"name": title, "kind": "EntitySet", "url": quote(title)} for title in titles
            ]
            context = "@odata.context" if address.version == ODATA_4 else "odata.metadata"
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
        """Return the rows of an inquiry."""
        inquiry, values = self._find(address, request)
        options = self._options(address, request)
        if inquiry.broken:
            raise EmptyAnswer
        settings = self._read_settings(inquiry, values, address, options, settings)
        page = read_page(self.store, inquiry.entity_type, address.tenant, options, settings)
        head: list[str] = []
        for hook in hooks:
            hook(page, head)
        members = json.loads("{" + ",".join(head) + "}")
        if address.version != ODATA_4:
            return self._odata3(site, address, request, inquiry, page, members)
        head.insert(
            0, f'"@odata.context":{json.dumps(_context(site, address, inquiry, page.selected))}'
        )
        head.append(f'"value":[{",".join(page.rows)}]')
        return Response(body=f"{{{','.join(head)}}}".encode(), content_type=ODATA_JSON, odata=True)

    def _options(self, address: Address, request: Request) -> dict[str, str]:
        """Return the query options, translated to OData 4.

        Raises:
            Refusal: An option is not supported, or a literal does not belong to the version.
        """
        options = dict(request.query)
        for option in UNSUPPORTED:
            if option in options:
                message = f"The query option '{option}' is not supported."
                raise Refusal(message)
        if address.version != ODATA_4 and "$filter" in options:
            options["$filter"] = odata3.translate_filter(options["$filter"], self.quirks.zone)
        return options

    def _read_settings(
        self,
        inquiry: Inquiry,
        values: Mapping[str, str],
        address: Address,
        options: Mapping[str, str],
        settings: ReadSettings,
    ) -> ReadSettings:
        """Return the settings with the inquiry's subquery."""
        expressions = f"{options.get('$filter', '')} {options.get('$orderby', '')}"
        appended = set(re.findall(r"\w+", expressions)) & set(inquiry.marked("+"))
        unbound = bool(inquiry.parameters) and not values
        nulls = dict.fromkeys((parameter.name for parameter in inquiry.parameters), "NULL")
        source = inquiry.sql(
            self.store,
            address.tenant,
            values or nulls,
            with_appended=bool(appended) and not unbound,
        )
        if unbound:
            # Without its parameters, an inquiry returns no rows and no error.
            source = joined("(SELECT * FROM", source, "WHERE 0)")
        if self.quirks.text_numbers:
            for declared in inquiry.entity_type.properties:
                if declared.type == "Edm.Decimal":
                    settings.json_templates.setdefault(declared.name.lower(), QUOTED_JSON)
        return replace(settings, source=source)

    def _odata3(  # noqa: PLR0913, PLR0917 - the parts of a response
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
        format_name = request.query.get("$format", "").lower()
        return odata3.respond(feed, format_name, request.headers.get("accept", "").lower())

    def _find(self, address: Address, request: Request) -> tuple[Inquiry, dict[str, str]]:
        """Return the inquiry of an address, and the SQL texts of its parameters.

        Raises:
            Refusal: The inquiry is unknown or may not be read, or its parameters are not bound.
        """
        call = CALL.fullmatch(address.rest) if address.version == ODATA_4 else None
        name = (call["name"] if call else address.rest).lower()
        inquiries = self.of_tenant(address.tenant)
        if name in inquiries:
            if call:
                raise not_found(address.path)
            return self._require_allowed(inquiries[name]), {}
        for inquiry in inquiries.values():
            if inquiry.parameters and inquiry.function.lower() == name:
                allowed = self._require_allowed(inquiry)
                return allowed, self._parameter_values(inquiry, address, request, call)
        raise not_found(address.path)

    def _require_allowed(self, inquiry: Inquiry) -> Inquiry:
        status = self.statuses.get(inquiry.title.lower(), HTTPStatus.OK)
        if status != HTTPStatus.OK:
            message = f"You have insufficient rights to access the object ({inquiry.title})."
            raise Refusal(message, status)
        return inquiry

    def _parameter_values(
        self, inquiry: Inquiry, address: Address, request: Request, call: re.Match[str] | None
    ) -> dict[str, str]:
        query = request.query
        names = {parameter.name for parameter in inquiry.parameters}
        if address.version == ODATA_4:
            literals = {
                argument["name"]: query.get(argument["value"], argument["value"])
                for argument in ARGUMENT.finditer(call["arguments"] if call else "")
            }
            if literals.keys() != names:
                raise not_found(address.path)
        else:
            literals = {name: query[name] for name in names if name in query}
        return {
            parameter.name: sql_text(
                parameter, literals.get(parameter.name), address.version, self.quirks
            )
            for parameter in inquiry.parameters
        }


def sql_text(parameter: Parameter, literal: str | None, version: int, quirks: Quirks) -> str:
    """Translate a parameter's literal to SQL.

    Raises:
        Refusal: The literal does not fit the parameter's type.
    """
    if literal is None or (version == ODATA_4 and literal == "null"):
        return "NULL"
    group = traits(parameter.type).group
    text = TEXT.fullmatch(literal)
    if (group == "string") != (text is not None) and version == ODATA_4:
        message = f"Unrecognized '{parameter.type}' literal '{literal}' at '0' in '{literal}'."
        raise Refusal(message)
    if group == "string":
        return text_literal(text[1].replace("''", "'") if text and version == ODATA_4 else literal)
    try:
        if group == "instant":
            moment = literal if version == ODATA_4 else odata3.instant(literal, quirks.zone)
            return text_literal(instant(moment))
        if group == "boolean":
            return str(int({"true": True, "false": False}[literal.lower()]))
        return str(Decimal(literal))
    except (ArithmeticError, KeyError, ValueError):
        message = f"Unrecognized '{parameter.type}' literal '{literal}' at '0' in '{literal}'."
        raise Refusal(message) from None


def _context(site: str, address: Address, inquiry: Inquiry, selected: Sequence[str]) -> str:
    columns = f"({','.join(selected)})" if selected else ""
    return f"{site}{address.root}/$metadata#{quote(inquiry.title)}{columns}"
