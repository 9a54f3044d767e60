"""The ledger of a batch: what became of every scene, in one SQLite file that the driving process alone writes.

A row is known by its output, which is unique in a batch. SQLite's write-ahead log lets `hsikit batch status` read meanwhile.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from hsikit.batch.file_states import State
from hsikit.batch.lock import Lock, require_local
from hsikit.batch.orders import Order
from hsikit.errors import OutputError, RunError
from hsikit.geo.remote import place_of
from hsikit.version import __version__
from hsikit.writers.failures import writing

LEDGER = ".hsikit-batch.sqlite"
FORMAT = 1
WAITING, RUNNING, DONE, FAILED = STATES = ("waiting", "running", "done", "failed")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS scene (
    output TEXT PRIMARY KEY, name TEXT NOT NULL, task TEXT NOT NULL, key TEXT NOT NULL, request TEXT NOT NULL, version TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL, error TEXT NOT NULL, seconds REAL, peak INTEGER, pixels INTEGER,
    inputs TEXT NOT NULL, files TEXT NOT NULL, before TEXT NOT NULL, changed TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class Row:
    """What the ledger knows of one scene.

    Attributes:
        output: the main raster.
        name: the scene, as the user named it.
        task: what is done with it.
        key: of the work, see `Order.key`.
        request: the order, as JSON.
        version: of hsikit.
        state: one of `STATES`.
        attempts: how often a worker began it.
        error: why it failed, or "".
        seconds: of the last attempt that ended; None before.
        peak: resident memory of its worker (bytes); None where it is not known.
        pixels: of the scene; None before it was opened.
        inputs: what it is made from, as it was.
        files: what was written, the main raster first, as it was then.
        before: the main raster as it was before the attempt that is under way.
        changed: UTC time of the last change of this row, ISO 8601.
    """

    output: Path
    name: str
    task: str
    key: str
    request: str
    version: str
    state: str
    attempts: int
    error: str
    seconds: float | None
    peak: int | None
    pixels: int | None
    inputs: tuple[State, ...]
    files: tuple[State, ...]
    before: tuple[State, ...]
    changed: str

    @classmethod
    def from_stored(cls, stored: Sequence[Any]) -> Self:
        """A row as SQLite gives it."""
        facts = dict(zip(_COLUMNS, stored, strict=True))
        states = {name: _states(facts[name]) for name in ("inputs", "files", "before")}
        return cls(**{**facts, **states, "output": place_of(facts["output"])})


_COLUMNS = tuple(field.name for field in fields(Row))


class BatchLedger:
    """The open ledger of the driving process; holds the lock until it is closed."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the ledger.

        Raises:
            RunError: another process runs this batch, or the file is no ledger.
            OptionError: it lies on a network file system.
            OutputError: it cannot be written.
        """
        require_local(path)
        self.path, self._lock = path, Lock(path)
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
            found = _format_of(self._db)
            if found not in (0, FORMAT):
                raise _no_ledger(path, f"its format is {found}, and this hsikit knows {FORMAT}")
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(_SCHEMA)
            self._db.execute(f"PRAGMA user_version={FORMAT}")
        except sqlite3.OperationalError as error:
            self._lock.release()
            raise OutputError(path, f"the ledger cannot be written ({error})", "Choose another place with --ledger") from None
        except sqlite3.DatabaseError as error:
            self._lock.release()
            raise _no_ledger(path, str(error)) from None
        except RunError:
            self._lock.release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rows(self) -> dict[Path, Row]:
        """All rows by output."""
        return {row.output: row for row in _rows(self._db)}

    def register(self, orders: Iterable[Order]) -> None:
        """Notes orders that are to be run: new rows, or older ones waiting again with what was written before."""
        lines = [(str(order.output), order.name, order.task, order.key, request_of(order), __version__, WAITING, _now()) for order in orders]
        with writing(self.path):
            self._db.execute("BEGIN")
            self._db.executemany(
                "INSERT INTO scene VALUES (?, ?, ?, ?, ?, ?, ?, 0, '', NULL, NULL, NULL, '[]', '[]', '[]', ?) ON CONFLICT (output) DO UPDATE SET "
                "name = excluded.name, task = excluded.task, key = excluded.key, request = excluded.request, version = excluded.version, "
                "state = excluded.state, error = '', changed = excluded.changed",
                lines,
            )
            self._db.execute("COMMIT")

    def begin(self, order: Order, inputs: Sequence[State], before: State) -> None:
        """A worker was given this scene."""
        self._set(order.output, state=RUNNING, error="", inputs=json.dumps(inputs), before=json.dumps([before]), more="attempts = attempts + 1")

    def opened(self, order: Order, inputs: Sequence[State], pixels: int) -> None:
        """The scene could be opened: the files that it really consists of."""
        self._set(order.output, inputs=json.dumps(inputs), pixels=pixels)

    def finish(self, output: Path, files: Sequence[State], seconds: float | None, peak: int | None) -> None:
        """All of its files are there."""
        self._set(output, state=DONE, error="", files=json.dumps(files), seconds=seconds, peak=peak)

    def fail(self, output: Path, error: str, seconds: float | None, peak: int | None) -> None:
        """It cannot be done."""
        self._set(output, state=FAILED, error=error, seconds=seconds, peak=peak)

    def wait(self, output: Path) -> None:
        """It was interrupted, and waits to be gone on with."""
        self._set(output, state=WAITING)

    def _set(self, output: Path, *, more: str = "", **values: Any) -> None:
        values["changed"] = _now()
        parts = [f"{name} = ?" for name in values] + ([more] if more else [])
        with writing(self.path):
            self._db.execute(f"UPDATE scene SET {', '.join(parts)} WHERE output = ?", [*values.values(), str(output)])

    def close(self) -> None:
        """Leaves one plain file, which can be read from a folder that cannot be written, and drops the lock."""
        with suppress(sqlite3.Error):  # the disk may be full, or the folder gone: the log is then read by the next one
            self._db.execute("PRAGMA journal_mode=DELETE")
        self._db.close()
        self._lock.release()


def read_rows(path: Path) -> list[Row]:
    """The rows of a ledger, also while a batch runs.

    Raises:
        RunError: there is none, or the file is no ledger.
    """
    if not path.is_file():
        raise RunError(path, "there is no ledger of a batch", f"Give the ledger, or the folder that holds {LEDGER}")
    try:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        try:
            if _format_of(db) != FORMAT:
                raise _no_ledger(path, "its format is not known")
            return _rows(db)
        finally:
            db.close()
    except sqlite3.Error as error:
        raise _no_ledger(path, str(error)) from None


def request_of(order: Order) -> str:
    """An order as the ledger keeps it."""
    return json.dumps(order.to_json(), sort_keys=True)


def _format_of(db: sqlite3.Connection) -> int:
    """The format of a ledger; 0 of an empty file, -1 of another program's."""
    version = int(db.execute("PRAGMA user_version").fetchone()[0])
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return version if tables in ([], ["scene"]) else -1


def _no_ledger(path: Path, why: str) -> RunError:
    return RunError(path, f"it is no ledger of a batch ({why})", "Choose another file with --ledger")


def _rows(db: sqlite3.Connection) -> list[Row]:
    return [Row.from_stored(stored) for stored in db.execute(f"SELECT {', '.join(_COLUMNS)} FROM scene ORDER BY rowid")]


def _states(text: str) -> tuple[State, ...]:
    return tuple((path, size, changed) for path, size, changed in json.loads(text))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
