"""Batches: records in gzipped files, which BATCH messages name in their place.

Most targets do not delete the files that they have loaded, and a target may still load those of a
run that has ended. So each run has a folder of its own, locked as long as it goes on, and the next
run deletes the folders of runs that have ended: what a target has not loaded by then is read again,
since its state is not behind it.
"""

from __future__ import annotations

import re
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from tap_acumatica.odata import deflate
from tap_acumatica.odata.errors import OutputFailed, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from filelock import BaseFileLock

ENCODING: Final = {"format": "jsonl", "compression": "gzip"}
"""How BATCH messages describe the files."""

SUFFIX: Final = ".jsonl.gz"
FOLDERS: Final = "tap-acumatica-"
"""What the names of the runs' folders begin with."""
LOCK: Final = ".lock"
MAX_WAIT: Final = 60
"""Seconds to wait while another run creates its folder."""
MAX_NAME: Final = 100
"""Characters of a stream's name that the name of a file holds."""
LEVEL: Final = 1
"""Level of compression: the files live for one run, so time counts for more than room."""


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """Where batches are written, and when each of them ends.

    Attributes:
        root: The user's folder.
        prefix: What the names of the files begin with.
        size: Maximum number of records in a batch.
        age: Seconds after which a batch ends with the records that it has then.
    """

    root: Path
    prefix: str = ""
    size: int = 10_000
    age: int = 300


class Batch:
    """A file that records are written into.

    Attributes:
        stream: The name of the stream, as messages have it.
        begun: When it was begun, by the clock of `BatchFolder`.
    """

    def __init__(self, stream: str, path: Path, begun: float) -> None:
        """Create the file.

        Raises:
            OutputFailed: It cannot be written.
        """
        self.stream = stream
        self.begun = begun
        self._path = path
        self._error: BaseException | None = None
        self._compressor = deflate.library.compressobj(LEVEL, wbits=deflate.GZIP)
        self._file: BinaryIO | None = None
        with self._complete():
            self._file = path.open("xb")

    def write(self, lines: bytes) -> None:
        """Write lines, each with a record.

        Raises:
            OutputFailed: They cannot be written, or others before them could not.
        """
        with self._complete() as file:
            file.write(self._compressor.compress(lines))

    def end(self) -> str:
        """Complete the file; return its address.

        Raises:
            OutputFailed: It cannot be completed, or records could not be written before.
        """
        with self._complete() as file:
            file.write(self._compressor.flush())
            file.close()
        # Targets of the SDK take the path as it stands there, without decoding it.
        return f"file://{'' if self._path.root == '/' else '/'}{self._path.as_posix()}"

    @contextmanager
    def _complete(self) -> Iterator[Any]:
        """Write something to the file completely, or never again: records would be missing."""
        if self._error:
            raise self._error
        try:
            yield self._file
        except OSError as error:
            message = (
                f"The batch file {self._path} cannot be written ({error.strerror}): make room "
                "there, or name another folder in the setting batch_config."
            )
            self._error = OutputFailed(message)
            raise self._error from error
        except BaseException as error:
            self._error = error
            raise
        finally:
            if self._error:
                self._delete()

    def _delete(self) -> None:
        for step in (self._file and self._file.close, self._path.unlink):
            if step:
                with suppress(OSError):
                    step()


class BatchFolder:
    """The folder of one run.

    Attributes:
        settings: How batches are written.
    """

    def __init__(
        self, path: Path, settings: BatchSettings, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Begin to write batches.

        Args:
            path: The folder.
            settings: How batches are written.
            clock: Returns the time in seconds.
        """
        self._path = path
        self.settings = settings
        self._clock = clock
        self._number = 0

    def begin(self, stream: str) -> Batch:
        """Begin a batch of a stream.

        Raises:
            OutputFailed: Its file cannot be created.
        """
        self._number += 1
        name = re.sub(r"\W", "_", stream, flags=re.ASCII)[:MAX_NAME]
        file = f"{self.settings.prefix}{self._number:06}-{name}{SUFFIX}"
        return Batch(stream, self._path / file, self._clock())

    def is_old(self, batch: Batch) -> bool:
        """Whether a batch is to end, however few records it has."""
        return self._clock() - batch.begun >= self.settings.age


@contextmanager
def batch_folder(settings: BatchSettings, run: str) -> Iterator[BatchFolder]:
    """Create the folder of a run and lock it, after deleting those of runs that have ended.

    Args:
        settings: How batches are written.
        run: The name of the run.

    Raises:
        SettingsError: The folder cannot be used.
    """
    path = settings.root.absolute() / f"{FOLDERS}{run}"
    lock = _create(path)
    try:
        yield BatchFolder(path, settings)
    finally:
        lock.release()


def _create(path: Path) -> BaseFileLock:
    """Create the folder of a run; return its lock, which is held."""
    from filelock import FileLock  # noqa: PLC0415 - on demand

    root = path.parent
    if "?" in str(path):
        message = (
            f"The folder {root} of the setting batch_config has a question mark in its path, with "
            "which targets do not find files: name another one."
        )
        raise SettingsError(message)
    lock = FileLock(path / LOCK, mode=0o600)
    try:
        root.mkdir(parents=True, exist_ok=True)
        # FileLock mistakes a folder in which no file can be created for a locked one.
        tempfile.TemporaryFile(dir=root).close()
        # Nobody is to meet the folder before it is locked.
        with FileLock(root / f".{FOLDERS}lock", timeout=MAX_WAIT, mode=0o600):
            for other in root.glob(f"{FOLDERS}*"):
                _delete_if_free(other)
            path.mkdir(mode=0o700)
            lock.acquire()
    except (OSError, NotImplementedError) as error:
        message = (
            f"The folder {root} of the setting batch_config cannot be used "
            f"({getattr(error, 'strerror', None) or error}): correct it, or the rights to it."
        )
        raise SettingsError(message) from error
    return lock


def _delete_if_free(folder: Path) -> None:
    """Delete the folder of a run if that has ended, but nothing that is not the tap's."""
    from filelock import FileLock  # noqa: PLC0415 - on demand

    if folder.is_symlink() or not folder.is_dir():
        return
    # A lock that is held is an OSError, too, and so is a folder that is not empty.
    with suppress(OSError):
        with FileLock(folder / LOCK, timeout=0, mode=0o600):
            for file in folder.glob(f"*{SUFFIX}"):
                file.unlink()
        (folder / LOCK).unlink(missing_ok=True)
        folder.rmdir()
