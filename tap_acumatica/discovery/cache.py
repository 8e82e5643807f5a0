"""Caches metadata in files, for orchestrators that run discovery before every sync."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from tap_acumatica.odata.http.client import Result
from tap_acumatica.odata.log import logger
from tap_acumatica.odata.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

DIGEST_SIZE: Final = sha256().digest_size
"""Length of the digest with which a file begins; it is of all bytes that follow."""


MISSING: Final = ".missing"
"""Suffix of the files that stand for an entity set which the server lacks."""


@dataclass(frozen=True, slots=True)
class Source:
    """Identifies metadata; the account is a part, since another one may see other entities."""

    site: str
    tenant: str | None
    account: str
    interface: str


@dataclass(frozen=True, slots=True)
class MetadataCache:
    """Holds one file for each source, which is written completely or not at all.

    Metadata that are equal, as those of many tenants are, become the same object. An empty file
    stands for each entity set that metadata declare and the server lacks.

    Attributes:
        folder: Folder of the files; None: nothing is cached.
        max_age: Age in seconds from which a file is ignored.
    """

    folder: Path | None = None
    max_age: float = 86_400
    _models: dict[bytes, Model] = field(default_factory=dict, compare=False)
    """The models so far, by the digest of their files."""

    def result(self, source: Source, fetch: Callable[[], Result[Model]]) -> Result[Model]:
        """Return the model of a source from its file, or fetch it if there is none.

        A file that cannot be read or written is no reason to fail: the log says so.
        """
        path = self._path(self.folder, source) if self.folder else None
        if path and (model := self._load(path)):
            return Result(model, None, None)
        result = fetch()
        body = msgspec.msgpack.encode(result.content)
        digest = sha256(body).digest()
        if path:
            self._store(path, digest + body)
        return replace(result, content=self._models.setdefault(digest, result.content))

    def forget(self, source: Source) -> None:
        """Remove the files of a source, so that the server is asked again."""
        if self.folder is not None:
            path = self._path(self.folder, source)
            with suppress(OSError):
                for file in (path, *self.folder.glob(f"{path.stem}-*{MISSING}")):
                    file.unlink(missing_ok=True)

    def is_missing(self, source: Source, entity_set: str) -> bool:
        """Whether the server lately said that it lacks an entity set which the metadata declare."""
        path = self._missing_path(source, entity_set)
        with suppress(OSError):
            return path is not None and self._age(path) is not None
        return False

    def add_missing(self, source: Source, entity_set: str) -> None:
        """Remember that the server lacks an entity set which the metadata declare."""
        if path := self._missing_path(source, entity_set):
            self._store(path, b"")

    def _missing_path(self, source: Source, entity_set: str) -> Path | None:
        if self.folder is None:
            return None
        path = self._path(self.folder, source)
        # The server decides on the name.
        return path.with_name(
            f"{path.stem}-{sha256(entity_set.encode()).hexdigest()[:24]}{MISSING}"
        )

    def _age(self, path: Path) -> float | None:
        """Return the age of a file in seconds, or None if it is to be ignored."""
        age = time.time() - path.stat().st_mtime
        return age if 0 <= age <= self.max_age else None

    @staticmethod
    def _path(folder: Path, source: Source) -> Path:
        # The name depends on the model's fields, which may differ in another release of the tap.
        shape = msgspec.json.encode(msgspec.json.schema(Model))
        digest = sha256(shape + msgspec.json.encode(source)).hexdigest()
        return folder / f"acumatica-{source.interface}-{digest[:24]}.msgpack"

    def _load(self, path: Path) -> Model | None:
        try:
            age = self._age(path)
            if age is None:
                return None
            with path.open("rb") as file:
                digest = file.read(DIGEST_SIZE)
                body = None if digest in self._models else file.read()
            if body is not None:
                if sha256(body).digest() != digest:
                    # Damaged bytes may still decode to a model, with other types or fewer columns.
                    logger.warning(
                        "The cached metadata in %s cannot be used: the file is damaged.", path
                    )
                    return None
                self._models[digest] = msgspec.msgpack.decode(body, type=Model)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:  # no model is a ValueError
            logger.warning("The cached metadata in %s cannot be used: %s", path, error)
            return None
        logger.info("Using the metadata cached in %s, %d minutes old.", path, age // 60)
        return self._models[digest]

    @staticmethod
    def _store(path: Path, content: bytes) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                Path(name).replace(path)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            logger.warning("The metadata cannot be cached in %s: %s", path, error)
