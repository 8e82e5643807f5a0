"""What of a run is missing in the end, tenant by tenant."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from typing_extensions import override

from tap_acumatica.odata.errors import SITE_WIDE, AcumaticaError, RequestFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Tenant = str | None


class TenantsFailed(AcumaticaError):  # noqa: N818 - as the sentences say it
    """Some tenants were not read to their end."""

    def __init__(self, failed: Mapping[Tenant, AcumaticaError]) -> None:
        self.failed = dict(failed)
        super().__init__(" ".join(self.sentences))

    @property
    @override
    def sentences(self) -> list[str]:
        """What happened to each tenant, and why."""
        return [self._said(tenant, error) for tenant, error in self.failed.items()]

    @staticmethod
    def _said(tenant: Tenant, error: AcumaticaError) -> str:
        message = f"The tenant {tenant} was not read to its end; the next run goes on from there."
        return " ".join([message, *error.sentences])


class RunFailures:
    """Remembers the refused streams, and the tenants that failed while others go on."""

    def __init__(self, tenants: Sequence[Tenant]) -> None:
        self._many = len(tenants) > 1
        self._tenants = tenants
        self._failed: dict[Tenant, AcumaticaError] = {}
        self._refused: defaultdict[Tenant, list[tuple[RequestFailed, bool]]] = defaultdict(list)

    def has_failed(self, tenant: Tenant) -> bool:
        """Whether nothing more is to be asked of a tenant."""
        return tenant in self._failed

    def fail(self, tenant: Tenant, error: AcumaticaError) -> None:
        """Give a tenant up.

        Raises:
            AcumaticaError: There is no other tenant for which to go on.
        """
        if not self._many or (isinstance(error, RequestFailed) and error.cause in SITE_WIDE):
            raise error
        self._failed.setdefault(tenant, error)
        if len(self._failed) == len(self._tenants):
            raise TenantsFailed(self._failed)

    def refuse(self, tenant: Tenant, failed: RequestFailed, *, expected: bool) -> None:
        """Go on without a stream that the server does not give.

        Args:
            tenant: Where it was asked for.
            failed: Why.
            expected: Rows of it came before, so that it is missed now.
        """
        self._refused[tenant].append((failed, expected))

    def require_tenants(self) -> None:
        """Fail if a tenant was given up.

        Raises:
            TenantsFailed: One was.
        """
        if self._failed:
            raise TenantsFailed(self._failed)

    def require_all(self, asked_for: Mapping[Tenant, int]) -> None:
        """Fail if something is missing that was expected, or all of a tenant.

        Args:
            asked_for: How many streams of each tenant.

        Raises:
            AcumaticaError: Something is; for many tenants with a sentence for each that failed.
        """
        failed = dict(self._failed)
        for tenant, refused in self._refused.items():
            missed = [failure for failure, expected in refused if expected]
            if missed or len(refused) == asked_for[tenant]:
                failed.setdefault(tenant, (missed or [refused[-1][0]])[-1])
        if not failed:
            return
        if self._many:
            raise TenantsFailed(failed)
        raise next(iter(failed.values()))
