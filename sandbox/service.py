"""The OData service: which address answers what."""

from __future__ import annotations

import json
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.errors import Refusal, not_found
from sandbox.http import ODATA_JSON, XML, Request, Response, refuse_json
from sandbox.metadata import document
from sandbox.query import Page, Reading, count_rows, read_page, read_single

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sandbox.addresses import Address
    from sandbox.model import EntityType, Model
    from sandbox.store import Store

FORBIDDEN = "You have insufficient rights to access the object ({0})."
ENDPOINTS = [{"name": "Default", "version": "25.200.001", "href": "/entity/Default/25.200.001/"}]


def versions(release: str | None) -> Response:
    """What the root of the REST interface tells; older releases list their endpoints only."""
    version = {"acumaticaBuildVersion": release, "databaseVersion": release}
    content = {"version": version, "endpoints": ENDPOINTS} if release else ENDPOINTS
    return Response(body=json.dumps(content).encode())


class Service:
    """Answers what lies under the roots of the data access classes."""

    def __init__(self, model: Model, store: Store) -> None:
        self.models = dict.fromkeys(store.tenants, model)
        self.store = store
        self.statuses: dict[tuple[str, str], int] = {
            (tenant, each.name): each.status for tenant in store.tenants for each in model.types
        }
        self._metadata_lock = threading.Lock()

    def metadata(self, request: Request, tenant: str, *, annotations: bool) -> Response:
        """The metadata document of a tenant, which exists as XML only."""
        refuse_json(request)
        # Many sessions may ask for the large document at once; it is made once.
        with self._metadata_lock:
            body = document(self.models[tenant], annotations=annotations)
        return Response(body=body, content_type=XML, odata=True)

    def root(self, site: str, address: Address) -> Response:
        """The service document."""
        entries = [
            {
                "name": name,
                "kind": "Singleton" if each.kind == "singleton" else "EntitySet",
                "url": name,
            }
            for each in self.models[address.tenant].types
            for name in each.sets
        ]
        context = f"{site}{address.root}/$metadata"
        body = json.dumps({"@odata.context": context, "value": entries}).encode()
        return Response(body=body, content_type=ODATA_JSON, odata=True)

    def entity_type(self, address: Address) -> EntityType:
        """The type of the entity set in an address.

        Raises:
            Refusal: There is none, or it may not be read.
        """
        name = address.rest.split("/")[0].lower()
        found = self.models[address.tenant].by_set.get(name)
        if found is None:
            raise not_found(address.path)
        status = self.statuses[address.tenant, found.name]
        if status == HTTPStatus.FORBIDDEN:
            raise Refusal(FORBIDDEN.format(found.short_name), HTTPStatus.FORBIDDEN)
        if status != HTTPStatus.OK:
            raise not_found(address.path)
        return found

    def count(self, address: Address, request: Request, reading: Reading) -> Response:
        """The number of rows, as plain text."""
        entity_type = self.entity_type(address)
        number = count_rows(self.store, entity_type, address.tenant, request.query, reading)
        return Response(body=str(number).encode(), content_type="text/plain", odata=True)

    def data(
        self,
        site: str,
        address: Address,
        request: Request,
        reading: Reading,
        hooks: Sequence[Callable[[Page, list[str]], None]] = (),
    ) -> Response:
        """The rows of an entity set, or the object of a singleton."""
        entity_type = self.entity_type(address)
        if "/" in address.rest:
            raise not_found(address.path)
        arguments = (self.store, entity_type, address.tenant, request.query, reading)
        context = f"{site}{address.root}/$metadata#{entity_type.sets[0]}"
        if entity_type.kind == "singleton":
            row = read_single(*arguments)
            text = f'{{"@odata.context":{json.dumps(context)}{"," if row != "{}" else ""}{row[1:]}'
            return Response(body=text.encode(), content_type=ODATA_JSON, odata=True)
        page = read_page(*arguments)
        if page.selected:
            context += f"({','.join(page.selected)})"
        head = [f'"@odata.context":{json.dumps(context)}']
        if page.count is not None:
            head.append(f'"@odata.count":{page.count}')
        for hook in hooks:
            hook(page, head)
        links = [each for each in head if each.startswith('"@odata.nextLink"')]
        head = [each for each in head if each not in links]
        body = ",".join([*head, f'"value":[{",".join(page.rows)}]', *links])
        return Response(body=f"{{{body}}}".encode(), content_type=ODATA_JSON, odata=True)
