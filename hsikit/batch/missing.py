"""What is left to do of a batch: the ledger's rows beside the orders and the disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hsikit.batch.executor import Assignment
from hsikit.batch.file_states import State, changed, is_there, state_of
from hsikit.batch.ledger import DONE, FAILED, RUNNING, Row, request_of
from hsikit.batch.orders import Order
from hsikit.errors import OutputError
from hsikit.version import __version__


@dataclass
class Found:
    """The orders of a batch, sorted.

    Attributes:
        missing: to be run.
        kept: outputs that are done.
        adopted: done, but the driving process was killed before it could note so.
        failed: outputs that failed before and are left so, each with the reason.
    """

    missing: list[Assignment] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    adopted: list[Row] = field(default_factory=list)
    failed: dict[Path, str] = field(default_factory=dict)


def find_missing(orders: Sequence[Order], rows: Mapping[Path, Row], *, retry_failed: bool, overwrite: bool) -> Found:
    """Sorts the orders of a batch.

    Raises:
        OutputError: outputs exist that the ledger does not know, or that somebody changed, and may not be overwritten.
    """
    found, strangers = Found(), []
    for order in orders:
        row = rows.get(order.output)
        if row is None or not _same(order, row):
            found.missing.append(Assignment(order, restart=row is not None))
        elif row.state == DONE and is_there(order.output):
            found.kept.append(order.output)
            continue
        elif row.state == FAILED and not retry_failed:
            found.failed[order.output] = row.error
            continue
        elif row.state == RUNNING and arrived(order.output, row.before):
            found.adopted.append(row)
            continue
        else:
            found.missing.append(Assignment(order, restart=not _resumable(order, row)))
        found.missing[-1].overwrite = overwrite or (row is not None and _ours(row))
        if order.output.exists() and not found.missing[-1].overwrite and not _committing(order.output):
            strangers.append(order.output)
    if strangers:
        more = f", as do {len(strangers) - 1} other outputs" if len(strangers) > 1 else ""
        advice = "Choose other names, or give --overwrite to replace it"
        raise OutputError(strangers[0], f"exists already{more}, and this batch did not make it as it is", advice)
    return found


def _same(order: Order, row: Row) -> bool:
    """Whether the ledger's row is about this work on these inputs; what is done stays so where they cannot be looked at."""
    return row.key == order.key and not changed(row.inputs)


def _resumable(order: Order, row: Row) -> bool:
    """Whether the engine would take up what an earlier run left: it asks for the same words and version."""
    return row.request == request_of(order) and row.version == __version__


def arrived(output: Path, before: Sequence[State]) -> bool:
    """Whether an output took its name, all others before it, in a run that was killed before it could say so."""
    return is_there(output) and (state_of(output),) != tuple(before) and not _committing(output)


def take_over(output: Path) -> list[Path]:
    """The main files of an output that arrived so; what is left of its working folder is removed."""
    from hsikit.engine.ledger import work_folder

    shutil.rmtree(work_folder(output), ignore_errors=True)
    return [path for path in (output, output.with_suffix(".json")) if is_there(path)]


def _ours(row: Row) -> bool:
    """Whether an output is as this batch left it."""
    return bool(row.files) and state_of(row.output) == row.files[0]


def _committing(output: Path) -> bool:
    """Whether outputs were taking their names when a run was killed; the engine then finishes that."""
    from hsikit.engine.ledger import COMMITTING, work_folder

    return (work_folder(output) / COMMITTING).exists()
