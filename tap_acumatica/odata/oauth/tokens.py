"""Tokens, and the file in which they outlive a run.

A refresh token counts once: the server answers it with the next one, and may end the grant when it
comes again (docs/acumatica.md, "OAuth"). So the next one is on the disk before anything else is
done, and whoever asks for it holds the lock of the file.
"""

from __future__ import annotations

import math
import os
import tempfile
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import msgspec
from filelock import FileLock, Timeout

from tap_acumatica.odata.errors import AcumaticaError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

MAX_RENEWAL_MARGIN: Final = 120.0
"""Seconds before its end from which on an access token is not used."""
USUAL_LIFE: Final = 3600.0
"""Seconds; of an access token where the server does not tell."""


class Token(msgspec.Struct, frozen=True, omit_defaults=True):
    """An access token, and the refresh token that leads to the next one."""

    access_token: str
    refresh_token: str | None = None
    renew_at: float = 0.0
    """In seconds since 1970: the clock is shared by all who read the file."""
    scope: str = ""

    @classmethod
    def of(cls, answer: Mapping[str, Any], asked_at: float) -> Token:
        """The token in an answer of the identity server, whatever the types of the rest."""
        try:
            life = float(answer["expires_in"])
        except (KeyError, TypeError, ValueError):
            life = math.nan
        if not math.isfinite(life):
            life = USUAL_LIFE
        refresh_token, scope = answer.get("refresh_token"), answer.get("scope") or ""
        return cls(
            answer["access_token"],
            str(refresh_token) if refresh_token else None,
            asked_at + life - min(MAX_RENEWAL_MARGIN, life / 2),
            " ".join(map(str, scope)) if isinstance(scope, list) else str(scope),
        )

    @property
    def secrets(self) -> tuple[str, ...]:
        """All of it that must not be shown."""
        return self.access_token, self.refresh_token or ""


class StoredToken(msgspec.Struct, frozen=True, omit_defaults=True):
    """A token and what it began with, so that a change of that setting is seen."""

    token: Token
    began_with: str | None = None


def fingerprint(setting: str) -> str:
    """What is kept of a setting: enough to see that it was changed."""
    return sha256(setting.encode()).hexdigest()


class Update(Protocol):
    """The store while nobody else may change it."""

    token: Token | None

    def store(self, token: Token) -> None:
        """Keep a token in place of the one before."""


class TokenStore(Protocol):
    """Where the token of one tenant is kept."""

    def read(self) -> Token | None:
        """The token that was kept, if it began with the setting as it is."""

    def updating(self) -> AbstractContextManager[Update]:
        """Keep others from changing it."""


class MemoryTokenStore:
    """A store for one run."""

    def __init__(self) -> None:
        self.token: Token | None = None

    def read(self) -> Token | None:
        """The token of this run."""
        return self.token

    def store(self, token: Token) -> None:
        """Keep a token in place of the one before."""
        self.token = token

    @contextmanager
    def updating(self) -> Iterator[Update]:
        """Nobody else knows of it."""
        yield self


@dataclass(frozen=True, slots=True)
class FileTokenStore:
    """The token of one tenant in a file that runs and tenants share.

    Attributes:
        path: The file; beside it lies a lock file of the same name and `.lock`.
        key: Site and application, with the tenant.
        began_with: Fingerprint of the setting in force, or None: whatever is there counts.
        patience: Seconds to wait for another run that is asking for a token.
    """

    path: Path
    key: str
    began_with: str | None = None
    patience: float = 600.0

    def read(self) -> Token | None:
        """The token that was kept, if it began with the setting as it is.

        Raises:
            AcumaticaError: The file is none of ours, or may not be read.
        """
        stored = self.content().get(self.key)
        if stored is None or self.began_with not in {None, stored.began_with}:
            return None
        return stored.token

    @contextmanager
    def updating(self) -> Iterator[Update]:
        """Keep others from changing the file, which is proved to be writable.

        Raises:
            AcumaticaError: Another run has it for too long, or it cannot be written.
        """
        place = self.path.resolve()  # a link stays one
        with ExitStack() as held:
            with self.writing():  # what fails while it is held is not the file's fault
                place.parent.mkdir(parents=True, exist_ok=True)
                # FileLock takes a folder in which nothing can be made for one that is locked.
                tempfile.TemporaryFile(dir=place.parent).close()
                lock = FileLock(f"{place}.lock", timeout=self.patience, mode=0o600)
                held.enter_context(lock)
                replacement = held.enter_context(_Replacement(place))
            yield _FileUpdate(self, replacement)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Say what goes wrong with the file while it is locked or written.

        Raises:
            AcumaticaError: Something went wrong.
        """
        try:
            yield
        except Timeout as error:
            message = (
                f"The token file {self.path} was locked by another run for {self.patience:g} s: "
                "see what that run is waiting for."
            )
            raise AcumaticaError(message) from error
        except (OSError, NotImplementedError) as error:  # some file systems cannot lock
            reason = getattr(error, "strerror", None) or error
            message = (
                f"The token file {self.path} cannot be written ({reason}): let the tap write and "
                "lock it in its folder, then run `tap-acumatica login`."
            )
            raise AcumaticaError(message) from error

    def content(self) -> dict[str, StoredToken]:
        """What the file holds, by key.

        Raises:
            AcumaticaError: The file is none of ours, or may not be read.
        """
        try:
            body = self.path.read_bytes()
            return msgspec.json.decode(body, type=dict[str, StoredToken]) if body.strip() else {}
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            message = (
                f"The token file {self.path} cannot be read ({reason}): correct the setting "
                "token_file, or remove the file and run `tap-acumatica login`."
            )
            raise AcumaticaError(message) from error


class _FileUpdate:
    def __init__(self, file: FileTokenStore, replacement: _Replacement) -> None:
        self.token = file.read()
        self._file = file
        self._replacement = replacement

    def store(self, token: Token) -> None:
        content = self._file.content()
        before = content.get(self._file.key)
        began_with = self._file.began_with or (before.began_with if before else None)
        content[self._file.key] = StoredToken(token, began_with)
        with self._file.writing():
            self._replacement.write(msgspec.json.format(msgspec.json.encode(content), indent=2))
        self.token = token


class _Replacement:
    """A file beside another one, which takes its place as a whole.

    It is there before it is needed: what forbids to write is found before a refresh token is spent.
    """

    def __init__(self, place: Path) -> None:
        self._place = place

    def __enter__(self) -> Self:
        handle, name = tempfile.mkstemp(  # with the mode 0600
            prefix=f".{self._place.name}.", dir=self._place.parent
        )
        self._file, self._path = os.fdopen(handle, "wb"), Path(name)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._path.unlink(missing_ok=True)

    def write(self, body: bytes) -> None:
        with self._file as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        self._path.replace(self._place)
        if hasattr(os, "O_DIRECTORY"):
            folder = os.open(self._place.parent, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)  # or a power cut takes the rename back
            finally:
                os.close(folder)
