"""How a run ends: in words for people, and with an exit code for an orchestrator."""

from __future__ import annotations

import errno
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from tap_acumatica.odata.errors import AcumaticaError, Cause, Defect
from tap_acumatica.reading.prefetch import Stopped
from tap_acumatica.run.failures import PartsFailed

if TYPE_CHECKING:
    from collections.abc import Mapping


class ExitCode(IntEnum):
    """How a run ended; a run that a signal stopped ends with 128 and the signal's number."""

    COMPLETE = 0
    DEFECT = 1
    """A fault of the tap."""
    PARTIAL = 3
    """Something was loaded, but not all of it."""
    PASSING = 75
    """The server, or the way to it, failed in a way that usually passes."""
    RIGHTS = 77
    """The sign-in or the account's rights: repeated attempts can lock the account."""
    SETTINGS = 78
    """Settings, catalog or state, or what the instance makes of them: a person has to act."""


GRAVITY: Final = (ExitCode.RIGHTS, ExitCode.SETTINGS, ExitCode.DEFECT, ExitCode.PASSING)
"""The codes of failures, from the gravest: an account that is locked harms more than this run."""

EXIT_CODES: Final[Mapping[Cause, ExitCode]] = {
    Cause.READ_TIMEOUT: ExitCode.PASSING,
    Cause.RESPONSE_TOO_LARGE: ExitCode.SETTINGS,
    Cause.TLS_FAILURE: ExitCode.SETTINGS,
    Cause.NO_CERTIFICATES: ExitCode.SETTINGS,
    Cause.PROXY: ExitCode.PASSING,
    Cause.IMPOSSIBLE_REQUEST: ExitCode.SETTINGS,
    Cause.HOST_NOT_FOUND: ExitCode.PASSING,
    Cause.NO_CONNECTION: ExitCode.PASSING,
    Cause.BROKEN_PAYLOAD: ExitCode.PASSING,
    Cause.CONNECTION_LOST: ExitCode.PASSING,
    Cause.ACCOUNT_LOCKED: ExitCode.RIGHTS,
    Cause.API_LOGIN_LIMIT: ExitCode.PASSING,
    Cause.TOKEN_ENDED: ExitCode.RIGHTS,
    Cause.TOKEN_REFUSED: ExitCode.RIGHTS,
    Cause.SIGN_IN_REFUSED: ExitCode.RIGHTS,
    Cause.NO_RIGHTS: ExitCode.RIGHTS,
    Cause.NOT_FOUND: ExitCode.SETTINGS,
    Cause.REFUSED_ON_THE_WAY: ExitCode.PASSING,
    Cause.NOT_SET_UP: ExitCode.SETTINGS,
    Cause.LICENCE_LIMIT: ExitCode.PASSING,
    Cause.MAINTENANCE: ExitCode.PASSING,
    Cause.REDIRECT: ExitCode.SETTINGS,
    Cause.COLUMN_MAY_NOT_BE_QUERIED: ExitCode.SETTINGS,
    Cause.COLUMN_IS_GONE: ExitCode.SETTINGS,
    Cause.COLUMN_UNKNOWN: ExitCode.SETTINGS,
    Cause.SERVER_ERROR: ExitCode.PASSING,
    Cause.REFUSED: ExitCode.SETTINGS,
    Cause.EMPTY_BODY: ExitCode.SETTINGS,
    Cause.NOT_ACUMATICA: ExitCode.SETTINGS,
    Cause.PAGE_IN_PLACE_OF_DATA: ExitCode.PASSING,
    Cause.QUERY_TOO_LONG: ExitCode.SETTINGS,
    Cause.QUERY_LIMIT: ExitCode.SETTINGS,
    Cause.QUERY_REFUSED: ExitCode.SETTINGS,
    Cause.NO_TOKEN_IN_TIME: ExitCode.PASSING,
    Cause.ACCOUNT_LOCKED_AT_SIGN_IN: ExitCode.RIGHTS,
    Cause.API_LOGIN_LIMIT_AT_SIGN_IN: ExitCode.PASSING,
    Cause.IDENTITY_SERVER_ERROR: ExitCode.PASSING,
    Cause.TOKEN_REQUEST_BLOCKED: ExitCode.PASSING,
    Cause.NO_IDENTITY_SERVER: ExitCode.SETTINGS,
    Cause.APPLICATION_REFUSED: ExitCode.RIGHTS,
    Cause.SCOPE_REFUSED: ExitCode.RIGHTS,
    Cause.REFRESH_TOKEN_REFUSED: ExitCode.RIGHTS,
    Cause.CODE_REFUSED: ExitCode.RIGHTS,
    Cause.PASSWORD_REFUSED: ExitCode.RIGHTS,
    Cause.NO_TOKEN_IN_THE_ANSWER: ExitCode.SETTINGS,
    Cause.INCONSISTENT_ANSWER: ExitCode.SETTINGS,
    Cause.NOT_SIGNED_IN: ExitCode.RIGHTS,
    Cause.UNKNOWN_TENANT: ExitCode.SETTINGS,
    Cause.ODATA_SWITCHED_OFF: ExitCode.SETTINGS,
    Cause.ROLE_MISSING: ExitCode.RIGHTS,
    Cause.NOT_AN_ACUMATICA_SITE: ExitCode.SETTINGS,
    Cause.SETTINGS: ExitCode.SETTINGS,
    Cause.WRONG_PASSWORD: ExitCode.RIGHTS,
    Cause.STOPPED: ExitCode.PASSING,
    Cause.OUTPUT: ExitCode.PASSING,
    Cause.MEMORY: ExitCode.SETTINGS,
    Cause.DEFECT: ExitCode.DEFECT,
}
"""The exit code for each cause, if nothing was loaded."""


def in_words(error: BaseException) -> AcumaticaError:
    """Return an error, of whatever kind, with its cause and its sentences."""
    if isinstance(error, AcumaticaError):
        return error
    cause = getattr(error, "cause", None)
    message = str(error)
    if isinstance(error, Stopped):
        cause = Cause.STOPPED
        message = "The run was stopped: the next one continues from the state."
    elif _lacks_memory(error):
        cause = Cause.MEMORY
        message = (
            "The tap ran out of memory: lower page_size, max_pool_size or max_response_size, or "
            "allow it more."
        )
    if not isinstance(cause, Cause):
        return Defect(error)
    result = AcumaticaError(message)
    result.cause = cause
    return result


def _lacks_memory(error: BaseException) -> bool:
    """Whether the system gave no more memory: threads and compiled modules need some, too."""
    words = str(error)
    return (
        isinstance(error, MemoryError)
        or (isinstance(error, OSError) and error.errno == errno.ENOMEM)
        or (isinstance(error, ImportError) and "failed to map segment" in words)
        or (isinstance(error, RuntimeError) and "can't start new thread" in words)
    )


def gravest(error: AcumaticaError) -> AcumaticaError:
    """Return the gravest of the errors that an error consists of."""
    return min(_parts(error), key=lambda part: GRAVITY.index(code_of(part)))


def exit_code(error: BaseException) -> int:
    """Return the exit code of a command that an error ended before it had done anything."""
    if isinstance(error, Stopped):
        return error.exit_code
    return code_of(gravest(in_words(error)))


def code_of(error: AcumaticaError) -> ExitCode:
    """Return the exit code for the cause of an error."""
    return EXIT_CODES[error.cause or Cause.SETTINGS]


def _parts(error: AcumaticaError) -> list[AcumaticaError]:
    if not isinstance(error, PartsFailed):
        return [error]
    errors = [*error.failed.values(), *([error.end] if error.end else [])]
    return [part for each in errors for part in _parts(each)]
