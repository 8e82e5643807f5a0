"""Collects what a run could not read, per tenant."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from typing_extensions import override

from tap_acumatica.odata.errors import SITE_WIDE, AcumaticaError, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Tenant = str | None


class TenantsFailed(AcumaticaError):  # noqa: N818 - as the sentences say it
    """Some tenants were not read completely."""

    def __init__(self, failed: Mapping[Tenant, AcumaticaError]) -> None:
        self.failed = dict(failed)
        super().__init__(" ".join(self.sentences))

    @property
    @override
    def sentences(self) -> list[str]:
        """What happened to each tenant, and why."""
        return [self._sentence(tenant, error) for tenant, error in self.failed.items()]

    @staticmethod
    def _sentence(tenant: Tenant, error: AcumaticaError) -> str:
        message = f"The tenant {tenant} was not read completely; the next run continues from there."
        return " ".join([message, *error.sentences])


class RunFailures:
    """Remembers the streams that were refused, and the tenants that failed."""

    def __init__(self, tenants: Sequence[Tenant]) -> None:
        self._tenants = tenants
        self._several_tenants = len(tenants) > 1
        self._failed: dict[Tenant, AcumaticaError] = {}
        self._refused: defaultdict[Tenant, list[tuple[RequestFailed, bool]]] = defaultdict(list)

    def has_failed(self, tenant: Tenant) -> bool:
        """Whether the tenant was given up, so that nothing more is read from it."""
        return tenant in self._failed

    def fail(self, tenant: Tenant, error: AcumaticaError) -> None:
        """Give up a tenant and let the run continue with the others.

        Raises:
            AcumaticaError: There is no other tenant, or the error concerns all of them.
        """
        is_site_wide = isinstance(error, RequestFailed) and error.cause in SITE_WIDE
        if not self._several_tenants or is_site_wide:
            raise error
        self._failed.setdefault(tenant, error)
        if len(self._failed) == len(self._tenants):
            raise TenantsFailed(self._failed)

    def refuse(self, tenant: Tenant, error: RequestFailed, *, expected: bool) -> None:
        """Record a stream that the server refused, and let the run continue.

        Args:
            tenant: The tenant that refused the stream.
            error: The server's refusal.
            expected: Whether the stream had rows before, so that they are missing now.
        """
        self._refused[tenant].append((error, expected))

    def require_tenants(self) -> None:
        """Raise an error if a tenant was given up.

        Raises:
            TenantsFailed: At least one tenant was given up.
        """
        if self._failed:
            raise TenantsFailed(self._failed)

    def require_all(self, stream_counts: Mapping[Tenant, int]) -> None:
        """Raise an error if expected rows are missing, or if all streams of a tenant were refused.

        Args:
            stream_counts: The number of streams that were to be read from each tenant.

        Raises:
            AcumaticaError: Something is missing; if there are several tenants, the error has a
                sentence for each that failed.
        """
        errors = dict(self._failed)
        for tenant, refused in self._refused.items():
            missing = [error for error, expected in refused if expected]
            if missing or len(refused) == stream_counts[tenant]:
                errors.setdefault(tenant, (missing or [refused[-1][0]])[-1])
        if not errors:
            return
        if self._several_tenants:
            raise TenantsFailed(errors)
        raise next(iter(errors.values()))
