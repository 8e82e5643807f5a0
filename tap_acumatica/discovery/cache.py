"""Metadata in files, for the discovery that is repeated with every run under some orchestrators."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tap_acumatica.odata.http.client import Result
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST: Final = sha256().digest_size
"""Bytes at the beginning of a file: the digest of all others."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose metadata: another account may see other entities."""

    site: str
    tenant: str | None
    account: str
    interface: str


@dataclass(frozen=True, slots=True)
class MetadataCache:
    """One file for each source, written at once or not at all.

    Attributes:
        folder: Where the files are; None: there are none.
        max_age: Seconds after which a file counts no more.
    """

    folder: Path | None = None
    max_age: float = 86_400

    def result(self, source: Source, fetch: Callable[[], Result[Model]]) -> Result[Model]:
        """The model of a source, fetched where no file holds it.

        Files that cannot be read or written are no reason to fail: they are said in the log.
        """
        if self.folder is None:
            return fetch()
        path = self._path(self.folder, source)
        if model := self._load(path):
            return Result(model, None, None)
        reply = fetch()
        self._store(path, reply.content)
        return reply

    def forget(self, source: Source) -> None:
        """Let the next discovery ask the server, since something was not as it says."""
        if self.folder is not None:
            with suppress(OSError):
                self._path(self.folder, source).unlink()

    @staticmethod
    def _path(folder: Path, source: Source) -> Path:
        # Another release of the tap may keep other things in a model.
        shape = msgspec.json.encode(msgspec.json.schema(Model))
        digest = sha256(shape + msgspec.json.encode(source)).hexdigest()
        return folder / f"acumatica-{source.interface}-{digest[:24]}.msgpack"

    def _load(self, path: Path) -> Model | None:
        try:
            age = time.time() - path.stat().st_mtime
            if not 0 <= age <= self.max_age:
                return None
            content = path.read_bytes()
            digest, body = content[:DIGEST], content[DIGEST:]
            if sha256(body).digest() != digest:
                # A changed byte may well be a model: of other types, or without a column.
                logger.warning("The metadata in %s cannot be used: the file is damaged", path)
                return None
            model = msgspec.msgpack.decode(body, type=Model)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("The metadata in %s cannot be used: %s", path, error)
            return None
        logger.info("The metadata are those in %s, %d minutes old.", path, age // 60)
        return model

    @staticmethod
    def _store(path: Path, model: Model) -> None:
        body = msgspec.msgpack.encode(model)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(sha256(body).digest() + body)
                Path(name).replace(path)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("The metadata cannot be kept in %s: %s", path, error)
