"""An instance of Acumatica as the settings lead to it: its services, and what each tenant has."""

from __future__ import annotations

import time
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.discovery.cache import MetadataCache, Source
from tap_acumatica.discovery.tenant import Discovered, discovered
from tap_acumatica.odata.addresses import Address
from tap_acumatica.odata.clock import ClockCheck
from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.http.client import Client
from tap_acumatica.odata.http.retry import RetryLimits
from tap_acumatica.odata.service import Service
from tap_acumatica.run import accounts
from tap_acumatica.settings import validation as configuration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tap_acumatica.odata.http.auth import Auth
    from tap_acumatica.odata.http.client import ClientSettings
    from tap_acumatica.odata.instants import InstantReader

TOKEN_TIMEOUT: Final = 8.0
"""Seconds at the end of a run for tokens under way: ten after SIGTERM many a run is killed."""


class Instance:
    """One site, with the connections of a run."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Nothing is sent yet."""
        self.patience = RetryLimits()
        """Upper bounds of what the settings say."""
        self._settings = settings
        self._discovered: dict[str | None, Discovered | AcumaticaError] = {}

    @property
    def tenants(self) -> Sequence[str | None]:
        """The tenants to read; None is the one that the address decides."""
        return self._settings.get("tenants") or (None,)

    @cached_property
    def services(self) -> Mapping[tuple[str, str | None], Service]:
        """The service of each interface and tenant."""
        limits = configuration.query_limits(self._settings)
        return {
            (interface, tenant): Service(
                self._client,
                self._address,
                tenant or own,
                limits,
                auth=auth,
                interface=interface,
            )
            for own, (tenant, auth) in zip(
                accounts.tenants(self._settings) or (None,), self._accounts.items(), strict=True
            )
            for interface in configuration.interfaces(self._settings)
        }

    def services_of(self, tenant: str | None) -> dict[str, Service]:
        """The services of a tenant, by interface."""
        return {
            interface: service
            for (interface, name), service in self.services.items()
            if name == tenant
        }

    @cached_property
    def instants(self) -> InstantReader:
        """How date-times are read."""
        return configuration.instant_reader(self._settings)

    @cached_property
    def clock_checks(self) -> Mapping[tuple[str, str | None], ClockCheck]:
        """What finds the frame of each interface of a tenant."""
        return {key: self.clock_check() for key in self.services}

    def clock_check(self) -> ClockCheck:
        """Finds the frame of an interface of a tenant."""
        return ClockCheck(self.instants, zone_is_set=self._settings.get("time_zone") is not None)

    @cached_property
    def metadata_cache(self) -> MetadataCache:
        """The metadata of earlier runs."""
        return configuration.metadata_cache(self._settings)

    def discovered(self, tenant: str | None) -> Discovered:
        """What a tenant has; asked for once.

        Raises:
            AcumaticaError: It could not be asked; again when called again.
        """
        if tenant not in self._discovered:
            try:
                self._discovered[tenant] = discovered(
                    self.services_of(tenant),
                    configuration.discovery_settings(self._settings),
                    lambda interface, service: self.metadata_cache.reply(
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
        for interface in configuration.interfaces(self._settings):
            for tenant in self.tenants:
                self.metadata_cache.forget(self._source(interface, tenant))

    def close(self) -> None:
        """Sign out; no request is sent after this.

        Tokens that were asked for are waited for, but not for long: the refresh token before each
        is spent.
        """
        auths = self._accounts.values() if "_accounts" in self.__dict__ else ()
        for auth in auths:
            auth.close()
        if "_client" in self.__dict__:
            self._client.close(self._address.site)
        until = time.monotonic() + TOKEN_TIMEOUT
        for auth in auths:
            auth.wait_for_token(until)

    @cached_property
    def _address(self) -> Address:
        return Address.parse(self._settings["url"])

    @cached_property
    def _how(self) -> ClientSettings:
        return self.patience.applied(configuration.client_settings(self._settings))

    @cached_property
    def _accounts(self) -> Mapping[str | None, Auth]:
        return accounts.accounts(self._settings, self._how, self.tenants)

    @cached_property
    def _client(self) -> Client:
        auth = next(iter(self._accounts.values()))
        return Client(self._how, auth, self._address.site)

    def _source(self, interface: str, tenant: str | None) -> Source:
        account = self._settings.get("username") or self._settings.get("client_id") or ""
        return Source(self._address.site, tenant or self._address.tenant, account, interface)
