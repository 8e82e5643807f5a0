"""Refusals: what the server answers in place of data."""

from __future__ import annotations

from http import HTTPStatus


class Refusal(Exception):  # noqa: N818 - an answer of the server, not an error of the sandbox
    """An answer with a status and a message body.

    Attributes:
        status: The HTTP status.
        message: The text of the body's ``message``.
    """

    def __init__(self, message: str, status: int = HTTPStatus.INTERNAL_SERVER_ERROR) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class EmptyAnswer(Refusal):
    """200 without a body: how inquiries answer a query that they do not support."""

    def __init__(self) -> None:
        super().__init__("", HTTPStatus.OK)


def unknown_property(name: str, type_name: str) -> Refusal:
    """A property that the type does not declare."""
    return Refusal(f"Could not find a property named '{name}' on type '{type_name}'.")


def restricted_property(name: str) -> Refusal:
    """A property that the filter restrictions bar."""
    return Refusal(f"Filter on '{name}' is not allowed because it is a virtual field")


def not_found(path: str) -> Refusal:
    """A path that leads nowhere."""
    message = f"No HTTP resource was found that matches the request URI '{path}'."
    return Refusal(message, HTTPStatus.NOT_FOUND)
