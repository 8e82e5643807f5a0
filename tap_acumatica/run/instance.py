"""The instance of Acumatica that the settings describe: its services, and what each tenant has."""

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

    from tap_acumatica.catalog.location import StreamLocation
    from tap_acumatica.run.assembly import RunSettings

TOKEN_TIMEOUT: Final = 8.0
"""Seconds for which tokens are awaited at the end of a run; many are killed ten after SIGTERM."""


class Instance:
    """The site that a run reads, with the run's connections to it.

    Attributes:
        services: The service of each interface and tenant.
        clock_checks: The clock check of each interface and tenant.
    """

    def __init__(
        self,
        settings: RunSettings,
        limits: RetryLimits = UNLIMITED,
        metadata_cache: MetadataCache | None = None,
    ) -> None:
        """Prepare the services; nothing is sent yet.

        Args:
            settings: The settings of the run.
            limits: Upper bounds of the timeout and the retry time in the settings.
            metadata_cache: Replaces the cache that the settings describe.
        """
        self._settings = settings
        self._metadata_cache = metadata_cache or settings.metadata_cache
        self._discovered: dict[str | None, Discovered | AcumaticaError] = {}
        client = limits.applied(settings.client)
        self._accounts = accounts(settings.account, client, settings.tenants)
        self._client = Client(client, next(iter(self._accounts.values())), settings.address.site)
        login_names = settings.account.tenants or (None,)
        self.services: Mapping[tuple[str, str | None], Service] = {
            (interface, tenant): Service(
                self._client,
                settings.address,
                tenant or login_name,
                settings.query_limits,
                auth=self._accounts[tenant],
                interface=interface,
            )
            for login_name, tenant in zip(login_names, settings.tenants, strict=True)
            for interface in settings.interfaces
        }
        zone_is_set = settings.time_zone is not None
        self.clock_checks: Mapping[tuple[str, str | None], ClockCheck] = {
            key: ClockCheck(
                settings.instants,
                zone_is_set=zone_is_set,
                requests_count=settings.reading.paging.count,
            )
            for key in self.services
        }

    @property
    def requests(self) -> int:
        """Number of requests that were sent, for metadata and rows."""
        return self._client.requests

    @property
    def retries(self) -> int:
        """Number of requests that were sent again."""
        return self._client.retries

    @property
    def tenants(self) -> Sequence[str | None]:
        """The tenants to read; None stands for the tenant that the address implies."""
        return self._settings.tenants

    def services_of(self, tenant: str | None) -> dict[str, Service]:
        """Return the services of a tenant, by interface."""
        return {
            interface: service
            for (interface, name), service in self.services.items()
            if name == tenant
        }

    def discovered(self, tenant: str | None) -> Discovered:
        """Return what a tenant has; it is discovered only once.

        Raises:
            AcumaticaError: Discovery failed; every further call raises the same error.
        """
        if tenant not in self._discovered:
            try:
                self._discovered[tenant] = discovered(
                    self.services_of(tenant),
                    self._settings.discovery,
                    lambda interface, service: self._metadata_cache.result(
                        self._source(interface, tenant), service.describe
                    ),
                    [known for known in self._discovered.values() if isinstance(known, Discovered)],
                )
            except AcumaticaError as error:
                self._discovered[tenant] = error
        result = self._discovered[tenant]
        if isinstance(result, AcumaticaError):
            raise result
        return result

    def is_missing(self, location: StreamLocation, tenant: str | None) -> bool:
        """Whether the server lately said that it lacks what the metadata declare."""
        source = self._source(location.interface, tenant)
        return self._metadata_cache.is_missing(source, location.entity_set)

    def add_missing(self, location: StreamLocation, tenant: str | None) -> None:
        """Remember that the server lacks what the metadata declare."""
        source = self._source(location.interface, tenant)
        self._metadata_cache.add_missing(source, location.entity_set)

    def forget_metadata(self) -> None:
        """Delete the cached metadata and what was missing: the server may no longer agree."""
        for interface in self._settings.interfaces:
            for tenant in self.tenants:
                self._metadata_cache.forget(self._source(interface, tenant))

    @property
    def is_busy(self) -> bool:
        """Whether a request is under way."""
        return self._client.is_busy

    def close(self, reason: BaseException | None = None) -> None:
        """Sign out; no request is sent after this, but this reason is raised if it is given.

        Tokens that were requested are awaited for a short time, since the refresh tokens that they
        replace are already spent.
        """
        until = time.monotonic() + TOKEN_TIMEOUT
        for auth in self._accounts.values():
            auth.close()
        self._client.close(self._settings.address.site, reason)
        for auth in self._accounts.values():
            auth.wait_for_token(until)

    def _source(self, interface: str, tenant: str | None) -> Source:
        address = self._settings.address
        account_name = self._settings.account.name
        return Source(address.site, tenant or address.tenant, account_name, interface)
