"""What a step of a check found, and the step that a cause belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata.log import masking

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tap_acumatica.odata.http.error_table import AcumaticaError

CAUSES: Final[Mapping[str, str]] = {
    "sign-in refused": "wrong password",
    "password refused": "wrong password",
    "account locked at sign-in": "account locked",
    "API login limit at sign-in": "API login limit",
    "not Acumatica": "not an Acumatica site",
}
"""What causes of the error table are called here, where it is not the same."""

STEPS: Final[Mapping[str, str]] = {
    "settings": "Settings",
    "host not found": "Address",
    "no connection": "Address",
    "proxy": "Address",
    "TLS failure": "Address",
    "no certificates": "Address",
    "impossible request": "Address",
    "not an Acumatica site": "Address",
    "redirect": "Address",
    "unknown tenant": "Tenant",
    "OData switched off": "Interface",
    "role missing": "Rights",
    "wrong password": "Sign-in",
    "account locked": "Sign-in",
    "API login limit": "Sign-in",
    "not signed in": "Sign-in",
    "refresh token refused": "Sign-in",
    "token refused": "Sign-in",
    "application refused": "Sign-in",
    "scope refused": "Sign-in",
    "no identity server": "Sign-in",
    "identity server error": "Sign-in",
    "no token in time": "Sign-in",
    "no token in the answer": "Sign-in",
    "licence limit": "Licence",
    "inconsistent answer": "Streams",
}
"""The step that a cause belongs to."""


class Status(StrEnum):
    """How a step went."""

    GOOD = "good"
    NOTE = "note"
    """A sync works, but the user should know."""
    BAD = "bad"
    """A sync would not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step found.

    Attributes:
        text: For people; of a failure what happened, to what, and what to do.
        cause: Of a failure: its name.
        facts: For programs.
    """

    step: str
    status: Status
    text: str
    tenant: str | None = None
    cause: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def failure(error: AcumaticaError, tenant: str | None = None, step: str | None = None) -> Finding:
    """A step that ended in an error; which one follows from the cause where it is not given."""
    cause = CAUSES.get(error.cause, error.cause or "settings")
    step = step or STEPS.get(cause, "Answer")
    text = masking.masked(" ".join(error.sentences))
    return Finding(step, Status.BAD, text, tenant, cause)
