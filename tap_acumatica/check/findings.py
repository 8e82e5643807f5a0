"""The findings of a check, and the step that each cause belongs to."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from tap_acumatica.odata.errors import Cause

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from tap_acumatica.odata.errors import AcumaticaError

CAUSES: Final[Mapping[Cause, Cause]] = {
    Cause.SIGN_IN_REFUSED: Cause.WRONG_PASSWORD,
    Cause.PASSWORD_REFUSED: Cause.WRONG_PASSWORD,
    Cause.ACCOUNT_LOCKED_AT_SIGN_IN: Cause.ACCOUNT_LOCKED,
    Cause.API_LOGIN_LIMIT_AT_SIGN_IN: Cause.API_LOGIN_LIMIT,
    Cause.NOT_ACUMATICA: Cause.NOT_AN_ACUMATICA_SITE,
}
"""Causes of the error table that have a different name in a check."""

STEPS: Final[Mapping[Cause, str]] = {
    Cause.SETTINGS: "Settings",
    Cause.HOST_NOT_FOUND: "Address",
    Cause.NO_CONNECTION: "Address",
    Cause.PROXY: "Address",
    Cause.TLS_FAILURE: "Address",
    Cause.NO_CERTIFICATES: "Address",
    Cause.IMPOSSIBLE_REQUEST: "Address",
    Cause.NOT_AN_ACUMATICA_SITE: "Address",
    Cause.REDIRECT: "Address",
    Cause.UNKNOWN_TENANT: "Tenant",
    Cause.ODATA_SWITCHED_OFF: "Interface",
    Cause.ROLE_MISSING: "Rights",
    Cause.WRONG_PASSWORD: "Sign-in",
    Cause.ACCOUNT_LOCKED: "Sign-in",
    Cause.API_LOGIN_LIMIT: "Sign-in",
    Cause.NOT_SIGNED_IN: "Sign-in",
    Cause.REFRESH_TOKEN_REFUSED: "Sign-in",
    Cause.TOKEN_REFUSED: "Sign-in",
    Cause.APPLICATION_REFUSED: "Sign-in",
    Cause.SCOPE_REFUSED: "Sign-in",
    Cause.NO_IDENTITY_SERVER: "Sign-in",
    Cause.IDENTITY_SERVER_ERROR: "Sign-in",
    Cause.TOKEN_REQUEST_BLOCKED: "Sign-in",
    Cause.NO_TOKEN_IN_TIME: "Sign-in",
    Cause.NO_TOKEN_IN_THE_ANSWER: "Sign-in",
    Cause.LICENCE_LIMIT: "Licence",
    Cause.INCONSISTENT_ANSWER: "Streams",
}
"""The step of the check that each cause belongs to."""


NAMES_SHOWN: Final = 5
"""Maximum number of stream names in one line; the JSON has all of them."""


def first_names(names: Collection[str]) -> str:
    """Return the first names of a list, for a line of text."""
    return ", ".join(list(names)[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")


class Status(StrEnum):
    """The result of a step."""

    GOOD = "good"
    NOTE = "note"
    """A sync works, but the user should know about this."""
    BAD = "bad"
    """A sync would not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step of a check found.

    Attributes:
        text: The finding for people; for a failure what happened, to what, and what to do.
        cause: The name of the failure's cause, or None.
        facts: The finding for programs.
    """

    step: str
    status: Status
    text: str
    tenant: str | None = None
    cause: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def failure(error: AcumaticaError, tenant: str | None = None, step: str | None = None) -> Finding:
    """Return the finding of a step that failed; by default the cause decides which step it is."""
    cause = error.cause or Cause.SETTINGS
    cause = CAUSES.get(cause, cause)
    step = step or STEPS.get(cause, "Answer")
    return Finding(step, Status.BAD, " ".join(error.sentences), tenant, cause)
