"""The ledger of one run: what is done, in one SQLite file in the run's working folder, so that a killed run resumes.

A run is known by its key: a hash of inputs, method, options and version. The folder is held by one process at a time
(a lock that the system drops with the process, so none is ever stale).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsikit.errors import OutputError, RunError

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.engine.layerfile import LayerFile

_SCHEMA = """
CREATE TABLE IF NOT EXISTS run (key TEXT NOT NULL, tile_rows INTEGER, tile_cols INTEGER);
CREATE TABLE IF NOT EXISTS done (stage TEXT NOT NULL, tile INTEGER NOT NULL, PRIMARY KEY (stage, tile)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS result (stage TEXT PRIMARY KEY, upto INTEGER NOT NULL, finished INTEGER NOT NULL, data BLOB NOT NULL);
"""
SYNC_SECONDS = 0.5


def run_key(facts: Mapping[str, Any]) -> str:
    """A hash of JSON-able facts."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def work_folder(output: Path) -> Path:
    """Where the ledger and the parts of an output lie until it is finished: `.OUTPUT.hsikit/` beside it."""
    return output.parent / f".{output.name}.hsikit"


def pack(arrays: Mapping[str, Tensor]) -> bytes:
    """Tensors as safetensors bytes."""
    from safetensors.torch import save

    return bytes(save({key: value.detach().cpu().contiguous() for key, value in arrays.items()}))


def unpack(data: bytes) -> dict[str, Tensor]:
    """The inverse of `pack`."""
    from safetensors.torch import load

    return dict(load(data))


class Ledger:
    """An open ledger; the process holds the folder's lock until `close` or `finish`.

    Raises:
        RunError: another process holds the folder, or an unfinished run of another command lies there.
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
            self._db = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(_SCHEMA)
            found = self._db.execute("SELECT key, tile_rows, tile_cols FROM run").fetchone()
        except sqlite3.DatabaseError as error:
            os.close(self._lock)
            raise RunError(folder, f"its ledger cannot be read ({error})", "Give --restart to drop the unfinished run") from None
        if found and found[0] != key:
            self.close()
            raise RunError(folder, "an unfinished run of another command lies here", "Finish it with the same command, or give --restart to drop it")
        if not found:
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
        except OSError:
            holder = os.pread(handle, 100, 0).decode(errors="replace") or "another process"
            os.close(handle)
            raise RunError(self.folder, f"{holder} is writing this output", "Wait for it, or stop it") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()}".encode(), 0)
        return handle

    def _clear(self) -> None:
        for path in self.folder.iterdir():
            if path.name == "lock":
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def set_tile(self, tile: tuple[int, int]) -> None:
        """Records the tile of this run; an unfinished run is resumed with the tile that it began with."""
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
        self._db.execute("INSERT OR REPLACE INTO result VALUES (?, ?, ?, ?)", (stage, upto, int(finished), pack(arrays)))

    def close(self) -> None:
        """Leaves the run as it is, to be resumed."""
        self._db.close()
        os.close(self._lock)

    def finish(self) -> None:
        """Removes the run's folder: it is finished, or leaves nothing worth resuming."""
        self._db.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
