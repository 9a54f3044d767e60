"""The ledger of one run: what is done, in one SQLite file in the run's working folder, so that a killed run resumes.

A run is known by its key: a hash of inputs, method, options and version. The folder is held by one process at a time
(a lock that the system drops with the process, so none is ever stale).
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsikit.errors import OutputError, RunError
from hsikit.geo.remote import RemotePath, place_of
from hsikit.writers.staging import undo

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.engine.layerfile import LayerFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (key TEXT NOT NULL, tile_rows INTEGER, tile_cols INTEGER);
CREATE TABLE IF NOT EXISTS done (stage TEXT NOT NULL, tile INTEGER NOT NULL, PRIMARY KEY (stage, tile)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS result (stage TEXT PRIMARY KEY, upto INTEGER NOT NULL, finished INTEGER NOT NULL, data BLOB NOT NULL);
"""
SYNC_SECONDS = 0.5
LEDGER, COMMITTING = "ledger.sqlite", "committing"


def run_key(facts: Mapping[str, Any]) -> str:
    """A hash of JSON-able facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def work_folder(output: Path) -> Path:
    """Where the ledger and the parts of an output lie until it is finished: `.OUTPUT.hsikit/` beside it; of one on S3, in a scratch folder.

    Raises:
        OutputError: the scratch folder cannot be made, or belongs to somebody else.
    """
    place = place_of(output)
    if isinstance(place, RemotePath):
        from hsikit.writers.remote import scratch_folder

        return scratch_folder(place)
    return output.parent / f".{output.name}.hsikit"


def pack(arrays: Mapping[str, Tensor]) -> bytes:
    """Tensors as safetensors bytes."""
    from safetensors.torch import save

    return bytes(save({key: value.detach().cpu().contiguous() for key, value in arrays.items()}))


def unpack(data: bytes) -> dict[str, Tensor]:
    """The inverse of `pack`."""
    from safetensors.torch import load

    return dict(load(data))


def _not_written(folder: Path, error: Exception) -> OutputError:
    full = "full" in str(error) or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return OutputError(folder.parent, "the disk is full" if full else f"cannot be written ({error})", "Make room; the same command then resumes")


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    """Says of what SQLite and the disk refuse which folder could not be written."""
    try:
        yield
    except (sqlite3.OperationalError, OSError) as error:
        raise _not_written(folder, error) from None


class FolderInUse(RunError):
    """Another process runs this output; it may be tried again."""


class Ledger:
    """An open ledger; the process holds the folder's lock until `close` or `finish`.

    Raises:
        FolderInUse: another process holds the folder.
        RunError: an unfinished run of another command lies there.
    """

    def __init__(self, folder: Path, key: str, *, restart: bool = False) -> None:
        self.folder = folder
        self._pending: list[tuple[str, int]] = []
        self._touched: dict[Path, LayerFile] = {}
        self._synced = time.monotonic()
        self._lock = self._acquire()
        if restart:
            self._clear()
        try:
            self._db = sqlite3.connect(folder / LEDGER, isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=TRUNCATE")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            found = self._db.execute("SELECT key, tile_rows, tile_cols FROM run").fetchone()
        except sqlite3.OperationalError as error:
            os.close(self._lock)
            raise _not_written(folder, error) from None
        except sqlite3.DatabaseError as error:
            os.close(self._lock)
            raise RunError(folder, f"its ledger cannot be read ({error})", "Give --restart to drop the unfinished run") from None
        if found and found[0] != key:
            self.close()
            raise RunError(folder, "an unfinished run of another command lies here", "Finish it with the same command, or give --restart to drop it")
        if not found:
            with _written(folder):
                self._db.execute("INSERT INTO run VALUES (?, NULL, NULL)", (key,))
        self.tile: tuple[int, int] | None = (found[1], found[2]) if found and found[1] else None

    def _acquire(self) -> int:
        try:
            self.folder.mkdir(exist_ok=True)
            handle = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise OutputError(self.folder.parent, f"cannot be written ({error.strerror})", "Choose another output folder") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if not isinstance(error, BlockingIOError):
                os.close(handle)
                raise OutputError(self.folder.parent, f"its disk has no file locks ({error.strerror})", "Write to a local disk") from None
            holder = os.pread(handle, 100, 0).decode(errors="replace") or "another process"
            os.close(handle)
            raise FolderInUse(self.folder, f"{holder} is writing this output", "Wait for it, or stop it") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()}".encode(), 0)
        return handle

    def _clear(self) -> None:
        """Drops an unfinished run; an interrupted commit is taken back first, so that the older outputs are whole."""
        undo(self.committing())
        for path in self.folder.iterdir():
            if path.name == "lock":
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()

    def committing(self) -> list[tuple[Path, Path]]:
        """The pairs (staged, final) of a commit that was begun."""
        marker = self.folder / COMMITTING
        return [(Path(new), Path(final)) for new, final in json.loads(marker.read_text())] if marker.exists() else []

    def begin_commit(self, pairs: Sequence[tuple[Path, Path]]) -> None:
        """Notes that all outputs are staged and their names are about to change."""
        beside = self.folder / f"{COMMITTING}.new"
        with _written(self.folder):
            beside.write_text(json.dumps([[str(new.absolute()), str(final.absolute())] for new, final in pairs]))
            beside.replace(self.folder / COMMITTING)

    def end_commit(self) -> None:
        """Notes that no commit is under way: it failed, and was taken back."""
        (self.folder / COMMITTING).unlink(missing_ok=True)

    def set_tile(self, tile: tuple[int, int]) -> None:
        """Records the tile of this run; an unfinished run is resumed with the tile that it began with."""
        with _written(self.folder):
            self._db.execute("UPDATE run SET tile_rows = ?, tile_cols = ?", tile)
        self.tile = tile

    def done(self, stage: str) -> set[int]:
        """Tiles of a Map stage that are finished."""
        return {row[0] for row in self._db.execute("SELECT tile FROM done WHERE stage = ?", (stage,))}

    def mark(self, stage: str, tile: int, files: Iterable[LayerFile] = ()) -> None:
        """Notes a finished tile; written down at most `SYNC_SECONDS` later, after its data is on disk."""
        self._pending.append((stage, tile))
        for file in files:
            self._touched[file.path] = file
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self.sync()

    def sync(self) -> None:
        """Writes down what is pending."""
        with _written(self.folder):
            for file in self._touched.values():
                file.sync()
            if self._pending:
                self._db.execute("BEGIN")
                self._db.executemany("INSERT OR IGNORE INTO done VALUES (?, ?)", self._pending)
                self._db.execute("COMMIT")
        self._pending, self._touched, self._synced = [], {}, time.monotonic()

    def result(self, stage: str) -> tuple[int, bool, dict[str, Tensor]] | None:
        """A stage's result: (steps folded so far, whether it is finished, tensors); None where there is nothing yet."""
        row = self._db.execute("SELECT upto, finished, data FROM result WHERE stage = ?", (stage,)).fetchone()
        return (row[0], bool(row[1]), unpack(row[2])) if row else None

    def keep(self, stage: str, upto: int, arrays: Mapping[str, Tensor], *, finished: bool) -> None:
        """Stores a stage's result, or how far it has come."""
        with _written(self.folder):
            self._db.execute("INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?)", (stage, upto, int(finished), pack(arrays)))
            if finished:
                self._db.execute("DELETE FROM done WHERE stage = ?", (stage,))

    def close(self) -> None:
        """Leaves the run as it is, to be resumed."""
        self._db.close()
        os.close(self._lock)

    def finish(self) -> None:
        """Removes the run's folder: it is finished, or leaves nothing worth resuming.

        The ledger goes first: a folder that is half removed must never look like one that can be resumed.
        """
        self._db.close()
        for name in (LEDGER, COMMITTING):
            (self.folder / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
