"""Refusals: the error responses of the server."""

from __future__ import annotations

from http import HTTPStatus


class Refusal(Exception):  # noqa: N818 - a response of the server, not an error of the sandbox
    """A refused request.

    Attributes:
        status: HTTP status of the response.
        message: Error message in the response's body.
    """

    def __init__(self, message: str, status: int = HTTPStatus.INTERNAL_SERVER_ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class EmptyAnswer(Refusal):
    """Status 200 with an empty body, the response of inquiries to an unsupported query."""

    def __init__(self) -> None:
        super().__init__("", HTTPStatus.OK)


def unknown_property(name: str, type_name: str) -> Refusal:
    """Return the refusal of a property that the type does not declare."""
    return Refusal(f"Could not find a property named '{name}' on type '{type_name}'.")


def restricted_property(name: str) -> Refusal:
    """Return the refusal of a property that the filter restrictions exclude."""
    return Refusal(f"Filter on '{name}' is not allowed because it is a virtual field")


def not_found(path: str) -> Refusal:
    """Return the refusal of an unknown path."""
    message = f"No HTTP resource was found that matches the request URI '{path}'."
    return Refusal(message, HTTPStatus.NOT_FOUND)


LOGIN_LIMIT = "The number of concurrent API logins for the user has been reached."
LOGIN_LIMIT_DETAILS = (
    "The maximum number of concurrent API logins is limited. See Max. Number of Concurrent API "
    "Logins on the Users (SM201010) form."
)
NOT_SET_UP = "The required configuration data is not entered on the {} form."
UNKNOWN_COLUMN = "The given key was not present in the dictionary."
SQL_TIMEOUT = (
    "Execution Timeout Expired.  The timeout period elapsed prior to completion of the operation "
    "or the server is not responding."
)
