"""How a batch stands: sums over its ledger, and its failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hsikit.batch.ledger import DONE, FAILED, LEDGER, STATES, Row, read_rows
from hsikit.batch.lock import holder_of


@dataclass(frozen=True)
class Status:
    """How a batch stands.

    Attributes:
        ledger: its file.
        rows: all scenes that the ledger knows, in the order in which they were given.
        holder: who runs it now; "" where nobody does.
    """

    ledger: Path
    rows: Sequence[Row]
    holder: str

    @property
    def counts(self) -> Mapping[str, int]:
        """Scenes by state, in the order of `STATES`."""
        found = Counter(row.state for row in self.rows)
        return {state: found[state] for state in STATES}

    @property
    def failures(self) -> list[Row]:
        """Scenes that failed."""
        return [row for row in self.rows if row.state == FAILED]

    @property
    def done(self) -> list[Row]:
        """Scenes that are done."""
        return [row for row in self.rows if row.state == DONE]

    @property
    def seconds(self) -> float:
        """Time that the scenes that are done took, one after the other."""
        return sum(row.seconds or 0.0 for row in self.done)

    @property
    def peak(self) -> int:
        """The largest resident memory of a worker (bytes); 0 where none is known."""
        return max((row.peak or 0 for row in self.rows), default=0)


def read_status(ledger: str | Path) -> Status:
    """The state of a batch, also while it runs.

    Args:
        ledger: its file, or the folder that holds it under its usual name.

    Raises:
        RunError: there is no ledger.
    """
    path = Path(ledger)
    path = path / LEDGER if path.is_dir() else path
    return Status(path, read_rows(path), holder_of(path))


def done_rate(rows: Sequence[Row], task: str) -> float | None:
    """Seconds for each pixel of the scenes of a task that are done; None where there is none yet."""
    timed = [(row.seconds, row.pixels) for row in rows if row.state == DONE and row.task == task and row.seconds and row.pixels]
    return sum(seconds for seconds, _ in timed) / sum(pixels for _, pixels in timed) if timed else None
