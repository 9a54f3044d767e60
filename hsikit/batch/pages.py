"""What a run writes at its end is checked at its beginning."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hsikit.batch.collection import check_collection
from hsikit.batch.orders import Order
from hsikit.batch.run import ledger_of, make_folders
from hsikit.batch.summary import check_summary
from hsikit.errors import OutputError
from hsikit.geo.remote import RemotePath, place_of


def check_pages(orders: Sequence[Order], ledger: Path | None, summary: Path | None, collection: Path | None, *, overwrite: bool = False) -> None:
    """Refuses a summary or collection that cannot be written, or that an output of the batch lies in the way of.

    Raises:
        OutputError: see `check_summary` and `check_collection`; or one is to lie on a server.
    """
    for path in (path for path in (summary, collection) if path is not None):
        if isinstance(place_of(path), RemotePath):
            raise OutputError(place_of(path), "a page of a batch is written to a local disk", "Name a local file, and copy it")
    make_folders(orders, ledger or ledger_of(orders))  # they may lie in a folder that the batch makes
    beside = {path for order in orders for path in (order.output, order.output.with_suffix(".json"))}
    for path in (path for path in (summary, collection) if path is not None):
        if path.absolute() in beside:
            raise OutputError(path, "is an output of the batch", "Choose another name")
    if summary is not None:
        check_summary(summary, overwrite=overwrite)
    if collection is not None:
        check_collection(collection, overwrite=overwrite)
