"""The tap's errors: what a user reads, and what the tap does about a failure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Cause(StrEnum):
    """What went wrong. Causes are what the tap, a check and its users tell apart."""

    # What a request can meet: odata/http/error_table.py.
    READ_TIMEOUT = "read timeout"
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
    LICENCE_LIMIT = "licence limit"
    MAINTENANCE = "maintenance"
    REDIRECT = "redirect"
    COLUMN_MAY_NOT_BE_QUERIED = "column may not be queried"
    COLUMN_IS_GONE = "column is gone"
    SERVER_ERROR = "server error"
    REFUSED = "refused"
    EMPTY_BODY = "empty body"
    NOT_ACUMATICA = "not Acumatica"
    PAGE_IN_PLACE_OF_DATA = "page in place of data"
    QUERY_TOO_LONG = "query too long"
    QUERY_REFUSED = "query refused"

    # What a request for a token can meet: odata/oauth/error_table.py.
    NO_TOKEN_IN_TIME = "no token in time"
    ACCOUNT_LOCKED_AT_SIGN_IN = "account locked at sign-in"
    API_LOGIN_LIMIT_AT_SIGN_IN = "API login limit at sign-in"
    IDENTITY_SERVER_ERROR = "identity server error"
    NO_IDENTITY_SERVER = "no identity server"
    APPLICATION_REFUSED = "application refused"
    SCOPE_REFUSED = "scope refused"
    REFRESH_TOKEN_REFUSED = "refresh token refused"
    CODE_REFUSED = "code refused"
    PASSWORD_REFUSED = "password refused"
    NO_TOKEN_IN_THE_ANSWER = "no token in the answer"

    # What several answers together show.
    INCONSISTENT_ANSWER = "inconsistent answer"
    NOT_SIGNED_IN = "not signed in"
    UNKNOWN_TENANT = "unknown tenant"
    ODATA_SWITCHED_OFF = "OData switched off"
    ROLE_MISSING = "role missing"
    NOT_AN_ACUMATICA_SITE = "not an Acumatica site"

    # What only a check tells apart.
    SETTINGS = "settings"
    WRONG_PASSWORD = "wrong password"


class AcumaticaError(Exception):
    """An error with one sentence for the user: what happened, to what, what to do.

    Attributes:
        cause: The cause, where causes are told apart.
    """

    cause: Cause | None = None

    @property
    def sentences(self) -> list[str]:
        """What the user reads, each on a line of its own."""
        return [" ".join(str(self).split())]


class SettingsError(AcumaticaError):
    """Settings that cannot work."""


class DiscoveryError(AcumaticaError):
    """A catalog that does not fit the settings or the instance."""


class InconsistentAnswer(AcumaticaError):  # noqa: N818 - what the server did, not what we did
    """The server answered something else than it was asked for."""

    cause = Cause.INCONSISTENT_ANSWER


class BrokenPayload(Exception):  # noqa: N818 - caught by the client, never seen by users
    """A body that is not what its headers say: cut off, or no JSON at all."""


class Action(StrEnum):
    """What the tap does about a failure."""

    RETRY = "retry"
    """Ask again, later, within max_retry_time."""

    REFRESH = "refresh the token, then retry"
    """Ask for a new access token, then ask again at once."""

    SHRINK = "ask for a smaller page"
    """Ask again at once in a new session, for half the rows."""

    REPHRASE = "rephrase the query"
    """The server refuses this query; another one may do."""

    SKIP = "skip the stream"
    """The entity is not to be had; the others are."""

    STOP = "stop"


class RequestFailed(AcumaticaError):  # noqa: N818 - the field's term
    """A request that failed, classified by an error table.

    Attributes:
        action: What to do about it.
        wait: Seconds that the server asked to wait, or None.
        column: The property that the server objects to, or None.
        is_page: Whether a web page came.
        given_up: Whether its retries are exhausted, so that it is not sent again.
    """

    cause: Cause

    def __init__(  # noqa: PLR0913 - the facts of one failure
        self,
        cause: Cause,
        action: Action,
        sentence: str,
        *,
        wait: float | None = None,
        column: str | None = None,
        is_page: bool = False,
    ) -> None:
        super().__init__(sentence)
        self.cause = cause
        self.action = action
        self.wait = wait
        self.column = column
        self.is_page = is_page
        self.given_up = False


OF_THE_SITE: Final = frozenset(
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
"""Causes that are the same whichever tenant is asked."""
