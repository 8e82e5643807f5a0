"""Collects what a run could not read, per stream and tenant."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any, Final

from typing_extensions import override

from tap_acumatica.odata.errors import (
    SITE_WIDE,
    TENANT_WIDE,
    Action,
    AcumaticaError,
    RequestFailed,
    SettingsError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Tenant = str | None

MAX_OUTAGES: Final = 3
"""Streams in a row that fail for a reason that usually passes, until their tenant is given up."""


PASSING: Final = frozenset({Action.RETRY, Action.SHRINK})
"""What the tap does about failures that usually pass."""


class PartsFailed(AcumaticaError):  # noqa: N818 - as the sentences say it
    """Some parts of a run were not read completely."""

    def __init__(
        self, failed: Mapping[Any, AcumaticaError], end: AcumaticaError | None = None
    ) -> None:
        """Combine the errors.

        Args:
            failed: The error of each part, by the part's name.
            end: The error that ended the run before the remaining parts were read.
        """
        self.failed = dict(failed)
        self.end = end
        super().__init__(" ".join(self.sentences))

    @property
    @override
    def sentences(self) -> list[str]:
        """What happened to each part, and why."""
        sentences = [
            " ".join([self._beginning(name), *error.sentences])
            for name, error in self.failed.items()
        ]
        return sentences + (self.end.sentences if self.end else [])

    @staticmethod
    @abstractmethod
    def _beginning(name: Any) -> str:  # noqa: ANN401 - as the keys of `failed`
        """Return what happened to a part."""


class TenantsFailed(PartsFailed):
    """Some tenants were not read completely."""

    @staticmethod
    @override
    def _beginning(name: Tenant) -> str:
        return f"The tenant {name} was not read completely; the next run continues from there."


class StreamsFailed(PartsFailed):
    """Some streams of a tenant were not read completely."""

    @staticmethod
    @override
    def _beginning(name: str) -> str:
        return f"The stream {name} was not read completely."


class RunFailures:
    """Remembers the streams that failed or were refused, and the tenants that were given up."""

    def __init__(self, tenants: Sequence[Tenant]) -> None:
        self._tenants = tenants
        self._several_tenants = len(tenants) > 1
        self._given_up: dict[Tenant, AcumaticaError] = {}
        self._failed: defaultdict[Tenant, dict[str, AcumaticaError]] = defaultdict(dict)
        self._refused: defaultdict[Tenant, dict[str, RequestFailed]] = defaultdict(dict)
        self._outages: Counter[Tenant] = Counter()

    def has_failed(self, tenant: Tenant) -> bool:
        """Whether the tenant was given up, so that nothing more is read from it."""
        return tenant in self._given_up

    @property
    def given_up(self) -> Mapping[Tenant, AcumaticaError]:
        """The error of each tenant that was given up."""
        return self._given_up

    def succeed(self, tenant: Tenant) -> None:
        """Record that a stream of the tenant was read."""
        self._outages[tenant] = 0

    def fail(self, stream: str, tenant: Tenant, error: AcumaticaError) -> None:
        """Give up a stream and let the run continue with the others.

        The tenant is given up as well if the error concerns all of its streams, or if several
        streams in a row failed for a reason that usually passes.

        Raises:
            AcumaticaError: See `give_up`.
        """
        if isinstance(error, SettingsError) or error.cause in TENANT_WIDE:
            self.give_up(tenant, error)
            return
        self._failed[tenant][stream] = error
        if not isinstance(error, RequestFailed) or error.action not in PASSING:
            return
        self._outages[tenant] += 1
        if self._outages[tenant] == MAX_OUTAGES:
            message = (
                f"No stream behind {stream} was read, since {MAX_OUTAGES} in a row failed "
                "for reasons that usually pass: try later; the next run reads them."
            )
            outage = AcumaticaError(message)
            outage.cause = error.cause
            self.give_up(tenant, outage)

    def give_up(self, tenant: Tenant, error: AcumaticaError) -> None:
        """Give up a tenant and let the run continue with the others.

        Raises:
            AcumaticaError: There is no other tenant, or the error concerns all of them.
        """
        if not self._several_tenants:
            raise self._with_streams(tenant, error)
        if error.cause in SITE_WIDE:
            failed = self._errors()
            raise TenantsFailed(failed, error) if failed else error
        self._given_up.setdefault(tenant, error)
        if len(self._given_up) == len(self._tenants):
            raise TenantsFailed(self._errors())

    def refuse(self, stream: str, tenant: Tenant, error: RequestFailed, *, expected: bool) -> None:
        """Record a stream that the server refused, and let the run continue.

        Args:
            stream: The stream's name.
            tenant: The tenant that refused the stream.
            error: The server's refusal.
            expected: Whether the stream had rows before, so that they are missing now.
        """
        if expected:
            self._failed[tenant][stream] = error
        self._refused[tenant][stream] = error

    def require_tenants(self) -> None:
        """Raise an error if a tenant was given up.

        Raises:
            TenantsFailed: At least one tenant was given up.
        """
        if self._given_up:
            raise TenantsFailed(self._given_up)

    def require_all(
        self, stream_counts: Mapping[Tenant, int], end: AcumaticaError | None = None
    ) -> None:
        """Raise an error if a stream failed, or if all streams of a tenant were refused.

        Args:
            stream_counts: The number of streams that were to be read from each tenant.
            end: What is missing beside them.

        Raises:
            AcumaticaError: Something is missing; the error has a sentence for each stream that
                failed or, if there are several tenants, for each tenant.
        """
        errors = self._errors()
        for tenant, refused in self._refused.items():
            if len(refused) == stream_counts[tenant]:
                errors.setdefault(tenant, list(refused.values())[-1])
        if errors and self._several_tenants:
            raise TenantsFailed(errors, end)
        if end:
            raise self._with_streams(self._tenants[0], end)
        for tenant, error in errors.items():
            if isinstance(error, StreamsFailed) and stream_counts[tenant] == 1:
                raise next(iter(error.failed.values()))
            raise error

    def _errors(self) -> dict[Tenant, AcumaticaError]:
        """Return the error of each tenant that was given up, or of which a stream failed."""
        tenants = [tenant for tenant in self._tenants if self._failed[tenant]]
        return {
            tenant: self._with_streams(tenant, self._given_up.get(tenant))
            for tenant in dict.fromkeys([*self._given_up, *tenants])
        }

    def _with_streams(self, tenant: Tenant, end: AcumaticaError | None) -> AcumaticaError:
        """Return the error of a tenant, which names the streams that failed before."""
        failed = self._failed[tenant]
        return StreamsFailed(failed, end) if failed or end is None else end
