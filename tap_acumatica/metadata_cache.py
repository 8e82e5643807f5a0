"""Metadata in files, for the discovery that is repeated with every run under some orchestrators."""

from __future__ import annotations

import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tap_acumatica.odata.client import Reply
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.metadata import Model

if TYPE_CHECKING:
    from collections.abc import Callable


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

    def reply(self, source: Source, fetch: Callable[[], Reply[Model]]) -> Reply[Model]:
        """The model of a source, fetched where no file holds it.

        Files that cannot be read or written are no reason to fail: they are said in the log.
        """
        if self.folder is None:
            return fetch()
        path = self._path(self.folder, source)
        if model := self._load(path):
            return Reply(model, None, None)
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
            model = msgspec.msgpack.decode(path.read_bytes(), type=Model)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError) as error:
            logger.warning("The metadata in %s cannot be used: %s", path, error)
            return None
        logger.info("The metadata are those in %s, %d minutes old.", path, age // 60)
        return model

    @staticmethod
    def _store(path: Path, model: Model) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(msgspec.msgpack.encode(model))
            Path(file.name).replace(path)
        except OSError as error:
            logger.warning("The metadata cannot be kept in %s: %s", path, error)
