"""The tap's exceptions, with the causes that users look up and the actions that the tap takes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """What went wrong, as far as the tap, a check or users need to distinguish it."""

    # Failures of requests: odata/http/error_table.py.
    READ_TIMEOUT = "read timeout"
    RESPONSE_TOO_LARGE = "response too large"
    TLS_FAILURE = "TLS failure"
    NO_CERTIFICATES = "no certificates"
    PROXY = "proxy"
    IMPOSSIBLE_REQUEST = "impossible request"
    HOST_NOT_FOUND = "host not found"
    NO_CONNECTION = "no connection"
    BROKEN_PAYLOAD = "broken payload"
    CONNECTION_LOST = "connection lost"
    ACCOUNT_LOCKED = "account locked"
    API_LOGIN_LIMIT = "API login limit"
    TOKEN_ENDED = "token ended"
    TOKEN_REFUSED = "token refused"
    SIGN_IN_REFUSED = "sign-in refused"
    NO_RIGHTS = "no rights"
    NOT_FOUND = "not found"
    REFUSED_ON_THE_WAY = "refused on the way"
    NOT_SET_UP = "not set up"
    LICENCE_LIMIT = "licence limit"
    MAINTENANCE = "maintenance"
    REDIRECT = "redirect"
    COLUMN_MAY_NOT_BE_QUERIED = "column may not be queried"
    COLUMN_IS_GONE = "column is gone"
    COLUMN_UNKNOWN = "column unknown"
    SERVER_ERROR = "server error"
    REFUSED = "refused"
    EMPTY_BODY = "empty body"
    NOT_ACUMATICA = "not Acumatica"
    PAGE_IN_PLACE_OF_DATA = "page in place of data"
    QUERY_TOO_LONG = "query too long"
    QUERY_LIMIT = "query limit"
    QUERY_REFUSED = "query refused"

    # Failures of token requests: odata/oauth/error_table.py.
    NO_TOKEN_IN_TIME = "no token in time"
    ACCOUNT_LOCKED_AT_SIGN_IN = "account locked at sign-in"
    API_LOGIN_LIMIT_AT_SIGN_IN = "API login limit at sign-in"
    IDENTITY_SERVER_ERROR = "identity server error"
    TOKEN_REQUEST_BLOCKED = "token request blocked"
    NO_IDENTITY_SERVER = "no identity server"
    APPLICATION_REFUSED = "application refused"
    SCOPE_REFUSED = "scope refused"
    REFRESH_TOKEN_REFUSED = "refresh token refused"
    CODE_REFUSED = "code refused"
    PASSWORD_REFUSED = "password refused"
    NO_TOKEN_IN_THE_ANSWER = "no token in the answer"

    # Conclusions from several responses.
    INCONSISTENT_ANSWER = "inconsistent answer"
    NOT_SIGNED_IN = "not signed in"
    UNKNOWN_TENANT = "unknown tenant"
    ODATA_SWITCHED_OFF = "OData switched off"
    ROLE_MISSING = "role missing"
    NOT_AN_ACUMATICA_SITE = "not an Acumatica site"

    # Distinguished only by a check.
    SETTINGS = "settings"
    WRONG_PASSWORD = "wrong password"

    # Failures of the run itself.
    STOPPED = "stopped"
    OUTPUT = "output"
    MEMORY = "memory"
    DEFECT = "defect"


class AcumaticaError(Exception):
    """An error whose message tells the user what happened, to what, and what to do.

    Attributes:
        cause: The cause, or None if the error has none of its own.
        attempts: The number of requests that ended in it.
    """

    cause: Cause | None = None
    attempts: int = 1

    @property
    def sentences(self) -> list[str]:
        """The messages for the user, one per line."""
        return [" ".join(str(self).split())]


class SettingsError(AcumaticaError):
    """The settings cannot work."""


class ZoneError(SettingsError):
    """Values in an unknown time zone, or in a different one than filters use."""

    @classmethod
    def of_row(cls, value: str, instant: str) -> ZoneError:
        """Return the error for an unchanged row that is not found by the instant that it displays.

        Args:
            value: The instant as the server displays it.
            instant: The instant as the tap reads it.
        """
        return cls(
            f"Acumatica shows a row as changed at {value}, which the tap reads as {instant}, but "
            "does not find the row by that instant: its values and its filters use different time "
            "zones. Best set the account's profile to UTC; otherwise set time_zone to the zone of "
            "the account's profile, and ignore_offsets if the values carry an offset."
        )


class DiscoveryError(AcumaticaError):
    """The catalog, the settings and the instance do not fit together."""


class InconsistentAnswer(AcumaticaError):  # noqa: N818 - what the server did, not what we did
    """The server's response contradicts the request."""

    cause = Cause.INCONSISTENT_ANSWER


class Defect(AcumaticaError):  # noqa: N818 - the field's term
    """A defect of the tap showed in an error that nothing expects."""

    cause = Cause.DEFECT

    def __init__(self, error: BaseException) -> None:
        message = (
            f"{type(error).__name__}: {error}. This should not happen: please report it with the "
            "traceback that TAP_ACUMATICA_LOGLEVEL=DEBUG shows."
        )
        super().__init__(message)


class DoubtfulAnswer(InconsistentAnswer):
    """A response that contradicts its request, as one made of the server's internal pages may.

    The same request may be answered well another time.
    """


class BrokenPayload(Exception):  # noqa: N818 - caught by the client, never seen by users
    """A body is not what its headers say: cut off, or not JSON at all."""


class ErrorInPayload(BrokenPayload):
    """A successful response holds an error of the server, perhaps after some of the rows.

    Attributes:
        body: The error alone, as the body of an error response has it.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__("an error instead of rows")
        self.body = body


class OutputFailed(Exception):  # noqa: N818 - as the sentence says it
    """Records can no longer be written, to standard output or to a file.

    Attributes:
        cause: As that of an `AcumaticaError`, which this is not: no stream is to go on.
    """

    cause = Cause.OUTPUT


class Action(StrEnum):
    """What the tap does about a failure."""

    RETRY = "retry"
    """Send the request again after a pause, within max_retry_time."""

    REFRESH = "refresh the token, then retry"
    """Request a new access token, then send the request again at once."""

    SHRINK = "ask for a smaller page"
    """Send the request again at once in a new session, for half the rows."""

    REPHRASE = "rephrase the query"
    """The server refuses this query; a different one may work."""

    SKIP = "skip the stream"
    """The entity is unavailable; other entities can be read."""

    STOP = "stop"


@dataclass(frozen=True, slots=True)
class Persistence:
    """When a failure that is retried is not expected to pass any more, and what is done then.

    Attributes:
        action: What the tap does about a failure that does not pass.
        times: The number of equal failures in a row that show it.
        seconds: The pauses that it is given at least, in total.
        within: The time in seconds of each response; a slower one may be due to load.
    """

    action: Action
    times: int
    seconds: float = 0.0
    within: float = math.inf


class RequestFailed(AcumaticaError):  # noqa: N818 - the field's term
    """A request that failed, classified by an error table.

    Attributes:
        action: What the tap does about the failure; a failure that does not pass gets another one.
        status: The status of the response; 0 if there was none.
        wait: The pause in seconds that the server asked for, or None.
        column: The column that the server objects to, or None.
        limits: The query option that exceeds a limit, if the server names the limit.
        limit: That limit, or None.
        is_page: Whether the response is a web page.
        persistence: When the failure is not expected to pass any more; None for never.
        seconds: How long the response took.
        given_up: Whether the retries are exhausted, so that the request is not sent again.
    """

    cause: Cause

    def __init__(  # noqa: PLR0913 - the facts of one failure
        self,
        cause: Cause,
        action: Action,
        sentence: str,
        *,
        status: int = 0,
        wait: float | None = None,
        column: str | None = None,
        limits: str = "",
        limit: int | None = None,
        is_page: bool = False,
        persistence: Persistence | None = None,
    ) -> None:
        super().__init__(sentence)
        self.cause = cause
        self.action = action
        self.status = status
        self.wait = wait
        self.column = column
        self.limits = limits
        self.limit = limit
        self.is_page = is_page
        self.persistence = persistence
        self.seconds = 0.0
        self.given_up = False


SITE_WIDE: Final = frozenset(
    {
        Cause.SIGN_IN_REFUSED,
        Cause.PASSWORD_REFUSED,
        Cause.ACCOUNT_LOCKED,
        Cause.PROXY,
        Cause.HOST_NOT_FOUND,
        Cause.NO_CONNECTION,
        Cause.TLS_FAILURE,
        Cause.NO_CERTIFICATES,
        Cause.IMPOSSIBLE_REQUEST,
    }
)
"""Causes that affect all tenants of a site alike."""

TENANT_WIDE: Final = SITE_WIDE | {
    Cause.API_LOGIN_LIMIT,
    Cause.LICENCE_LIMIT,
    Cause.TOKEN_ENDED,
    Cause.TOKEN_REFUSED,
    Cause.NOT_ACUMATICA,
    Cause.TOKEN_REQUEST_BLOCKED,
    Cause.NO_TOKEN_IN_TIME,
    Cause.ACCOUNT_LOCKED_AT_SIGN_IN,
    Cause.API_LOGIN_LIMIT_AT_SIGN_IN,
    Cause.IDENTITY_SERVER_ERROR,
    Cause.NO_IDENTITY_SERVER,
    Cause.APPLICATION_REFUSED,
    Cause.SCOPE_REFUSED,
    Cause.REFRESH_TOKEN_REFUSED,
    Cause.NO_TOKEN_IN_THE_ANSWER,
    Cause.NOT_SIGNED_IN,
    Cause.UNKNOWN_TENANT,
}
"""Causes that affect all streams of a tenant alike."""
