"""The OData service of the data access classes."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.deletions import FUNCTION
from sandbox.errors import Refusal, not_found
from sandbox.http import ODATA_JSON, XML, Request, Response, refuse_json
from sandbox.metadata import document
from sandbox.query import Page, ReadSettings, count_rows, read_page, read_single

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.addresses import Address
    from sandbox.deletions import Deletions
    from sandbox.model import EntityType, Model
    from sandbox.store import Store

FORBIDDEN = "You have insufficient rights to access the object ({0})."
ENDPOINTS = [{"name": "Default", "version": "25.200.001", "href": "/entity/Default/25.200.001/"}]


def release_response(release: str | None) -> Response:
    """Answer ``/entity``: the release and the endpoints; older releases list the endpoints only."""
    version = {"acumaticaBuildVersion": release, "databaseVersion": release}
    content = {"version": version, "endpoints": ENDPOINTS} if release else ENDPOINTS
    return Response(body=json.dumps(content).encode())


class Service:
    """Answers requests for the data access classes.

    Attributes:
        models: Model by tenant.
        statuses: Status of a read by tenant and type name; 200 gives the rows.
        deletions: What the instance tells of deleted rows.
    """

    def __init__(self, model: Model, store: Store, deletions: Deletions) -> None:
        self.deletions = deletions
        self.models = dict.fromkeys(store.tenants, model)
        self.store = store
        self.statuses: dict[tuple[str, str], int] = {
            (tenant, entity_type.name): entity_type.status
            for tenant in store.tenants
            for entity_type in model.types
        }
        self._metadata_lock = threading.Lock()

    def metadata(self, request: Request, tenant: str, *, annotations: bool) -> Response:
        """Return the metadata document of a tenant, in XML only."""
        refuse_json(request)
        # Many sessions may request the large document at once; the lock lets one render it.
        with self._metadata_lock:
            body = document(self.models[tenant], annotations=annotations)
        return Response(body=body, content_type=XML, odata=True)

    def service_document(self, site: str, address: Address) -> Response:
        """Return the service document."""
        entries = [
            {
                "name": name,
                "kind": "Singleton" if entity_type.kind == "singleton" else "EntitySet",
                "url": name,
            }
            for entity_type in self.models[address.tenant].types
            for name in entity_type.sets
        ]
        context = f"{site}{address.root}/$metadata"
        body = json.dumps({"@odata.context": context, "value": entries}).encode()
        return Response(body=body, content_type=ODATA_JSON, odata=True)

    def entity_type(self, address: Address) -> EntityType:
        """Return the type of the entity set in an address.

        Raises:
            Refusal: There is no such entity set, or it may not be read.
        """
        name = address.rest.split("/")[0].lower()
        entity_type = self.models[address.tenant].by_set.get(name)
        if entity_type is None:
            raise not_found(address.path)
        status = self.statuses[address.tenant, entity_type.name]
        if status == HTTPStatus.FORBIDDEN:
            raise Refusal(FORBIDDEN.format(entity_type.short_name), HTTPStatus.FORBIDDEN)
        if status != HTTPStatus.OK:
            raise not_found(address.path)
        return entity_type

    def count(self, address: Address, request: Request, settings: ReadSettings) -> Response:
        """Return the number of rows as plain text."""
        entity_type = self.entity_type(address)
        number = count_rows(self.store, entity_type, address.tenant, request.query, settings)
        return Response(body=str(number).encode(), content_type="text/plain", odata=True)

    def data(
        self,
        site: str,
        address: Address,
        request: Request,
        settings: ReadSettings,
        hooks: Sequence[Callable[[Page, list[str]], None]] = (),
    ) -> Response:
        """Return the rows of an entity set or of its function, or the object of a singleton."""
        entity_type = self.entity_type(address)
        function = address.rest.partition("/")[2].lower()
        if function == FUNCTION:
            page = self.deletions.page(address, entity_type, request.query, settings)
            result = "Collection(PX.Api.OData.DAC.DeletedRecordResult)"
            return page_response(f"{site}{address.root}/$metadata#{result}", page, hooks)
        if function:
            raise not_found(address.path)
        arguments = (self.store, entity_type, address.tenant, request.query, settings)
        context = f"{site}{address.root}/$metadata#{entity_type.sets[0]}"
        if entity_type.kind == "singleton":
            row = read_single(*arguments)
            text = f'{{"@odata.context":{json.dumps(context)}{"," if row != "{}" else ""}{row[1:]}'
            return Response(body=text.encode(), content_type=ODATA_JSON, odata=True)
        page = read_page(*arguments)
        if page.selected:
            context += f"({','.join(page.selected)})"
        return page_response(context, page, hooks)


def page_response(
    context: str, page: Page, hooks: Sequence[Callable[[Page, list[str]], None]]
) -> Response:
    """Return the response with a page of rows."""
    head = [f'"@odata.context":{json.dumps(context)}']
    if page.count is not None:
        head.append(f'"@odata.count":{page.count}')
    for hook in hooks:
        hook(page, head)
    links = [member for member in head if member.startswith('"@odata.nextLink"')]
    head = [member for member in head if member not in links]
    body = ",".join([*head, f'"value":[{",".join(page.rows)}]', *links])
    return Response(body=f"{{{body}}}".encode(), content_type=ODATA_JSON, odata=True)
