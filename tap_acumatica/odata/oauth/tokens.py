"""Tokens, and the file that keeps them between runs.

A refresh token can be used once: the server returns the next one, and may revoke the grant if it
receives an old one again (docs/acumatica.md, "OAuth"). Hence the next one is written to disk before
anything else is done, and whoever requests it holds the file's lock.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import stat
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import msgspec
from filelock import FileLock, Timeout

from tap_acumatica.odata.errors import AcumaticaError
from tap_acumatica.odata.log import logger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

MAX_RENEWAL_MARGIN: Final = 120.0
"""Seconds before its expiry during which an access token is no longer used."""
DEFAULT_LIFETIME: Final = 3600.0
"""Seconds for which an access token is valid if the server does not say, or makes no sense."""


OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
"""The rights of all but a file's owner."""
RESERVE: Final = 65_536
"""Bytes of room on the disk beyond the size of the token file, before a token is spent."""


_TEXT_FIELDS: Final = re.compile(
    r'"(access_token|refresh_token|id_token|scope)"\s*:\s*"((?:\\.|[^"\\])*)"'
)
_SENDABLE: Final = re.compile(r"[^\x00-\x1f\x7f]+").fullmatch
"""Matches what a header can hold."""


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """An access token, and the refresh token that gets the next one."""

    access_token: str
    refresh_token: str | None = None
    renew_at: float = 0.0
    """When to renew it, in seconds since 1970: all readers of the file share that clock."""
    scope: str = ""

    @classmethod
    def of(cls, response: Mapping[str, Any], requested_at: float) -> Token:
        """Return the token in the fields of a response; others than its own may have any type."""
        try:
            lifetime = float(response["expires_in"])
        except (KeyError, TypeError, ValueError, OverflowError):
            lifetime = math.nan
        if not 0 < lifetime < math.inf:
            lifetime = DEFAULT_LIFETIME
        refresh_token, scope = response.get("refresh_token"), response.get("scope") or ""
        return cls(
            _text(response["access_token"]),
            _text(refresh_token) if refresh_token else None,
            requested_at + lifetime - min(MAX_RENEWAL_MARGIN, lifetime / 2),
            _text(" ".join(map(str, scope)) if isinstance(scope, list) else scope),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """The parts that must not be shown."""
        return self.access_token, self.refresh_token or ""


def token_fields(body: bytes) -> Mapping[str, Any]:
    """Return the fields of a response to a token request; none without a token that can be sent.

    The refresh token is spent by then, so the tokens are found in what is no JSON, too.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace")
        content = {name: _unquoted(value) for name, value in _TEXT_FIELDS.findall(text)}
    token = content.get("access_token") if isinstance(content, dict) else None
    return content if isinstance(token, str) and _SENDABLE(token) else {}


def _unquoted(literal: str) -> str:
    try:
        text: str = json.loads(f'"{literal}"', strict=False)
    except ValueError:
        return literal
    return text


def _text(value: object) -> str:
    """Return a text that a file can hold: half a character, which JSON allows, is none."""
    return str(value).encode("utf-8", "replace").decode()


class StoredToken(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token, with the fingerprint of the setting that it began with."""

    token: Token
    began_with: str | None = None


def fingerprint(setting: str) -> str:
    """Return a hash of a setting, by which a change of the setting is recognized."""
    return sha256(setting.encode()).hexdigest()


class Update(Protocol):
    """Access to a store's token while nobody else can change it."""

    token: Token | None

    def store(self, token: Token) -> None:
        """Replace the stored token."""


class TokenStore(Protocol):
    """A store for the token of one tenant."""

    def read(self) -> Token | None:
        """Return the stored token, or None if it began with another value of the setting."""

    def updating(self) -> AbstractContextManager[Update]:
        """Keep others from changing the store."""


class MemoryTokenStore:
    """A token store in memory, for one run."""

    def __init__(self) -> None:
        self.token: Token | None = None

    def read(self) -> Token | None:
        """Return the run's token."""
        return self.token

    def store(self, token: Token) -> None:
        """Replace the stored token."""
        self.token = token

    @contextmanager
    def updating(self) -> Iterator[Update]:
        """Nobody else has access to the store."""
        yield self


@dataclass(frozen=True, slots=True)
class FileTokenStore:
    """The token of one tenant, in a file that runs and tenants share.

    Attributes:
        path: The file; the lock file next to it has the same name with `.lock` appended.
        key: The site and the application with its tenant.
        began_with: The fingerprint of the current setting; None accepts any stored token.
        lock_timeout: Seconds to wait for another run that is requesting a token.
    """

    path: Path
    key: str
    began_with: str | None = None
    lock_timeout: float = 600.0

    def read(self) -> Token | None:
        """Return the stored token, or None if it began with another value of the setting.

        Raises:
            AcumaticaError: The file is not a token file, or cannot be read.
        """
        stored = self.content().get(self.key)
        if stored is None or self.began_with not in {None, stored.began_with}:
            return None
        return stored.token

    @contextmanager
    def updating(self) -> Iterator[Update]:
        """Keep others from changing the file, after making sure that it can be written.

        Raises:
            AcumaticaError: Another run holds the lock for too long, or the file cannot be written.
        """
        path = self.path.resolve()  # a symbolic link stays one
        with ExitStack() as stack:
            with self.writing():  # failures while the lock is held are not the file's fault
                _make_private(path.parent)
                # FileLock mistakes a folder in which no file can be created for a locked one.
                tempfile.TemporaryFile(dir=path.parent).close()
                lock = FileLock(f"{path}.lock", timeout=self.lock_timeout, mode=0o600)
                stack.enter_context(lock)
                replacement = stack.enter_context(_Replacement(path))
            yield _FileUpdate(self, replacement)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Turn errors in locking or writing the file into errors for users.

        Raises:
            AcumaticaError: The file cannot be locked or written.
        """
        try:
            yield
        except Timeout as error:
            message = (
                f"The token file {self.path} was locked by another run for {self.lock_timeout:g} "
                "s: see what that run is waiting for."
            )
            raise AcumaticaError(message) from error
        except (OSError, NotImplementedError) as error:  # some file systems cannot lock
            reason = getattr(error, "strerror", None) or error
            message = (
                f"The token file {self.path} cannot be written ({reason}): allow the tap to "
                "write and lock files in its folder, then run `tap-acumatica login`."
            )
            raise AcumaticaError(message) from error

    def content(self) -> dict[str, StoredToken]:
        """Return the stored tokens, by key.

        Raises:
            AcumaticaError: The file is not a token file, or cannot be read.
        """
        try:
            self._require_private()
            body = self.path.read_bytes()
            return msgspec.json.decode(body, type=dict[str, StoredToken]) if body.strip() else {}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:  # no JSON is a ValueError
            reason = getattr(error, "strerror", None) or type(error).__name__
            message = (
                f"The token file {self.path} cannot be read ({reason}): correct the setting "
                "token_file, or remove the file and run `tap-acumatica login`."
            )
            raise AcumaticaError(message) from error

    def _require_private(self) -> None:
        """Make sure that only the file's owner can read it.

        Raises:
            OSError: It is no regular file, or others can read it and that cannot be changed.
        """
        mode = self.path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        if os.name != "nt" and mode & OTHERS:
            self.path.chmod(stat.S_IMODE(mode) & ~OTHERS)
            logger.warning(
                "The token file %s could be read by others, and is private now: whoever has read "
                "it can sign in until you run `tap-acumatica login` again.",
                self.path,
            )


class _FileUpdate:
    def __init__(self, file: FileTokenStore, replacement: _Replacement) -> None:
        self.token = file.read()
        self._file = file
        self._replacement = replacement

    def store(self, token: Token) -> None:
        content = self._file.content()
        previous = content.get(self._file.key)
        began_with = self._file.began_with or (previous.began_with if previous else None)
        content[self._file.key] = StoredToken(token, began_with)
        body = msgspec.json.format(msgspec.json.encode(content), indent=2)
        try:
            self._replacement.write(body)
        except OSError as error:
            raise self._kept(body, error) from error
        self.token = token

    def _kept(self, body: bytes, error: OSError) -> AcumaticaError:
        """Keep what was granted elsewhere, since the old token is spent; return the error."""
        try:
            handle, name = tempfile.mkstemp(prefix="tap-acumatica-", suffix=".json")
            with os.fdopen(handle, "wb") as file:
                file.write(body)
        except OSError:
            message = (
                f"New tokens can be written neither to the token file {self._file.path} nor to the "
                f"folder for temporary files ({error.strerror}): make room, then run "
                "`tap-acumatica login`, since the stored tokens are spent."
            )
        else:
            message = (
                f"New tokens cannot be written to the token file {self._file.path} "
                f"({error.strerror}), but are in {name}, which only you can read: make room, and "
                "move that file to the place of the token file."
            )
        return AcumaticaError(message)


class _Replacement:
    """A temporary file that replaces the target in one step.

    It is created before it is needed, and takes the room that it will need, so that missing rights
    and a full disk are noticed before a refresh token is spent.
    """

    def __init__(self, target: Path) -> None:
        self._target = target

    def __enter__(self) -> Self:
        prefix, folder = f".{self._target.name}.", self._target.parent
        for left_behind in folder.iterdir():  # by runs that were killed: this one has the lock
            if left_behind.name.startswith(prefix):
                left_behind.unlink()
        handle, name = tempfile.mkstemp(prefix=prefix, dir=folder)  # with the mode 0600
        self._file, self._path = os.fdopen(handle, "wb"), Path(name)
        try:
            size = self._target.stat().st_size if self._target.exists() else 0
            self._overwrite(bytes(size + RESERVE))
        except OSError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _overwrite(self, body: bytes) -> None:
        self._file.seek(0)
        self._file.write(body)
        self._file.truncate()
        self._file.flush()
        os.fsync(self._file.fileno())

    def write(self, body: bytes) -> None:
        with self._file:
            self._overwrite(body)
        self._path.replace(self._target)
        if hasattr(os, "O_DIRECTORY"):
            folder = os.open(self._target.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)  # otherwise a power cut could undo the rename
            finally:
                os.close(folder)


def _make_private(folder: Path) -> None:
    """Create a folder and its missing parents, each for its owner alone."""
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        parent.chmod(stat.S_IRWXU)
