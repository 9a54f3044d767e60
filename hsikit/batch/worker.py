"""A worker process: fills one order after the other, and says how far it is. Run as `python -m hsikit.batch.worker`.

Lines of JSON come in on stdin and go out on stdout. When stdin ends, the driving process is gone, and so is the worker at once:
what the engine has finished lies in the scene's own ledger.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from typing import Any, TextIO

from hsikit.batch.filling import fill_order, open_order
from hsikit.batch.orders import Order
from hsikit.engine.ledger import FolderInUse
from hsikit.engine.resources import resident_bytes
from hsikit.errors import HsikitError
from hsikit.geo.footprint import footprint
from hsikit.geo.grid import Grid
from hsikit.geo.remote import take_signatures

LOADED_FIRST = (
    "numpy.ma", "numpy.random", "torch", "safetensors.torch", "rasterio", "rasterio.shutil", "pyproj", "pystac", "shapely.geometry", "hsikit.api",
    "hsikit.engine", "hsikit.models", "hsikit.prepared", "hsikit.sensors.geotiff", "hsikit.sensors.quality", "hsikit.spectral.resample",
    "hsikit.tasks.classification.basis", "hsikit.train.extract", "hsikit.train.labelled", "hsikit.writers.geotiff",
)  # fmt: skip
"""What takes seconds to load, and would count as the first scene's time; what is loaded between two tiles' arrays would hold them apart for good."""


class Reporter:
    """The `Progress` of a run as messages; ends the run between two tiles when it is told to stop."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.stop = threading.Event()

    def say(self, kind: str, **facts: Any) -> None:
        """Sends a message."""
        self._out.write(json.dumps({"is": kind, **facts}) + "\n")
        self._out.flush()

    def begin(self, plan: str, total: int, done: int) -> None:
        """See `hsikit.engine.options.Progress`."""
        self.say("begin", total=total, done=done)

    def advance(self, stage: str, steps: int = 1) -> None:
        """See `hsikit.engine.options.Progress`."""
        self.say("advance", steps=steps)
        if self.stop.is_set():
            raise KeyboardInterrupt

    def note(self, message: str) -> None:
        """Stands in the products' metadata; ten thousand of them help nobody."""


def fill(order: Order, reporter: Reporter, how: Mapping[str, Any]) -> dict[str, Any]:
    """Opens the scene of an order, says so, and does it; see `hsikit.batch.filling.fill_order`.

    Raises:
        HsikitError: as `hsikit.run`.
    """
    source = open_order(order)
    try:
        reporter.say("opened", identity=list(source.info.identity), pixels=source.info.grid.whole.size)
        return fill_order(order, source, reporter, how)
    finally:
        source.close()


def serve(orders: queue.Queue[Mapping[str, Any] | None], reporter: Reporter, busy: threading.Event) -> None:
    """Fills orders until there are no more."""
    while (message := orders.get()) is not None:
        started = time.monotonic()
        try:
            take_signatures(message.get("signatures", {}))
            answer = fill(Order.from_json(message["order"]), reporter, message["how"])
        except KeyboardInterrupt:
            answer = {"is": "stopped"}
        except FolderInUse as error:
            answer = {"is": "busy", "error": str(error)}
        except HsikitError as error:
            answer = {"is": "failed", "error": str(error)}
        except Exception as error:  # one scene must not end the batch, whatever is wrong with it
            answer = {"is": "failed", "error": f"internal error: {type(error).__name__}: {error} (this is our mistake)"}
        resident = resident_bytes()
        give_back_memory()
        busy.clear()
        reporter.say(answer.pop("is"), seconds=time.monotonic() - started, resident=resident, **answer)


def give_back_memory() -> None:
    """Gives what a scene took back to the system: the engine plans the next one with what is left of the promised memory.

    Where there is another C library than glibc, only Python's own part is done.
    """
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


def set_up_once() -> None:
    """Has PROJ and GEOS set up what they keep for good: among the first scene's arrays it would hold those of all later scenes apart."""
    footprint(Grid((2, 2), (30.0, 0.0, 500_000.0, 0.0, -30.0, 4_000_000.0), "EPSG:32633"))


def _listen(lines: TextIO, orders: queue.Queue[Mapping[str, Any] | None], reporter: Reporter, busy: threading.Event) -> None:
    """Takes what the driving process says; when it is gone in the middle of a scene, ends this process."""
    for line in lines:
        message = json.loads(line)
        if message.get("stop"):
            reporter.stop.set()
        else:
            busy.set()
            orders.put(message)
    if busy.is_set():
        os._exit(1)
    orders.put(None)


def main() -> None:
    """Works for the process that started this one."""
    reporter = Reporter(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)  # what a library prints must not stand among the messages
    orders: queue.Queue[Mapping[str, Any] | None] = queue.Queue()
    busy = threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin, orders, reporter, busy), daemon=True).start()
    for name in LOADED_FIRST:
        import_module(name)
    set_up_once()
    reporter.say("ready")
    with suppress(BrokenPipeError):
        serve(orders, reporter, busy)


if __name__ == "__main__":
    main()
