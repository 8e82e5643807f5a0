"""An instance of Acumatica as the settings lead to it: its services, and what each tenant has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tap_acumatica.discovery.cache import MetadataCache, Source
from tap_acumatica.discovery.tenant import Discovered, discovered
from tap_acumatica.odata.clock import ClockCheck
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.http.client import UNLIMITED, Client, RetryLimits
from tap_acumatica.odata.service import Service
from tap_acumatica.run.accounts import accounts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_acumatica.run.assembly import Parts

TOKEN_TIMEOUT: Final = 8.0
"""Seconds at the end of a run for tokens under way: ten after SIGTERM many a run is killed."""


class Instance:
    """One site, with the connections of a run.

    Attributes:
        services: The service of each interface and tenant.
        clock_checks: What tells the server's clock, for each of them.
    """

    def __init__(
        self,
        parts: Parts,
        limits: RetryLimits = UNLIMITED,
        metadata_cache: MetadataCache | None = None,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            parts: The settings.
            limits: Upper bounds of what the settings say.
            metadata_cache: In place of the one of the settings.
        """
        self._parts = parts
        self._metadata_cache = metadata_cache or parts.metadata_cache
        self._discovered: dict[str | None, Discovered | AcumaticaError] = {}
        client = limits.applied(parts.client)
        self._accounts = accounts(parts.account, client, parts.tenants)
        self._client = Client(client, next(iter(self._accounts.values())), parts.address.site)
        signs_in_to = parts.account.tenants or (None,)
        self.services: Mapping[tuple[str, str | None], Service] = {
            (interface, tenant): Service(
                self._client,
                parts.address,
                tenant or own,
                parts.query_limits,
                auth=self._accounts[tenant],
                interface=interface,
            )
            for own, tenant in zip(signs_in_to, parts.tenants, strict=True)
            for interface in parts.interfaces
        }
        zone_is_set = parts.time_zone is not None
        self.clock_checks: Mapping[tuple[str, str | None], ClockCheck] = {
            key: ClockCheck(parts.instants, zone_is_set=zone_is_set) for key in self.services
        }

    @property
    def tenants(self) -> Sequence[str | None]:
        """The tenants to read; None is the one that the address decides."""
        return self._parts.tenants

    def services_of(self, tenant: str | None) -> dict[str, Service]:
        """The services of a tenant, by interface."""
        return {
            interface: service
            for (interface, name), service in self.services.items()
            if name == tenant
        }

    def discovered(self, tenant: str | None) -> Discovered:
        """What a tenant has; asked for once.

        Raises:
            AcumaticaError: It could not be asked; again when called again.
        """
        if tenant not in self._discovered:
            try:
                self._discovered[tenant] = discovered(
                    self.services_of(tenant),
                    self._parts.discovery,
                    lambda interface, service: self._metadata_cache.result(
                        self._source(interface, tenant), service.describe
                    ),
                )
            except AcumaticaError as error:
                self._discovered[tenant] = error
        found = self._discovered[tenant]
        if isinstance(found, AcumaticaError):
            raise found
        return found

    def forget_metadata(self) -> None:
        """Let the next run ask for all metadata: something was not as they say."""
        for interface in self._parts.interfaces:
            for tenant in self.tenants:
                self._metadata_cache.forget(self._source(interface, tenant))

    def close(self) -> None:
        """Sign out; no request is sent after this.

        Tokens that were asked for are waited for, but not for long: the refresh token before each
        is spent.
        """
        for auth in self._accounts.values():
            auth.close()
        self._client.close(self._parts.address.site)
        until = time.monotonic() + TOKEN_TIMEOUT
        for auth in self._accounts.values():
            auth.wait_for_token(until)

    def _source(self, interface: str, tenant: str | None) -> Source:
        address = self._parts.address
        name = self._parts.account.name
        return Source(address.site, tenant or address.tenant, name, interface)
