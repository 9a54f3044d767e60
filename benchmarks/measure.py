"""What a piece of work costs, measured in a process of its own.

CPU time and wall time are taken around the work alone, after imports and a small warm-up: the same rule for everyone who is compared. Peak
memory is the whole process's, from its start: the highest resident size that the kernel saw (`VmHWM`; `ru_maxrss` would start from
the parent's). A sampler in the parent tells how much of it was the process's own (anonymous) and how much mapped libraries and files.
"""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
MIB = 2**20
INTERVAL = 0.05


@dataclass
class Spent:
    """CPU and wall seconds."""

    cpu: float = 0.0
    wall: float = 0.0

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Adds what the block takes, in all threads of the process."""
        wall, cpu = time.perf_counter(), _cpu()
        try:
            yield
        finally:
            self.cpu += _cpu() - cpu
            self.wall += time.perf_counter() - wall


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Inside:
    """CPU seconds that threads spend in a function, whatever else the process and the machine do meanwhile."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    def timed(self, work: Callable[P, R]) -> Callable[P, R]:
        """The function, with the time of each call added."""

        def run(*given: P.args, **named: P.kwargs) -> R:
            start = time.thread_time()
            try:
                return work(*given, **named)
            finally:
                with self._lock:
                    self.seconds += time.thread_time() - start

        return run


def peak_bytes() -> int:
    """Highest resident size of this process so far."""
    status = Path("/proc/self/status")
    if not status.exists():
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return _field(status.read_text(), "VmHWM")


def _field(status: str, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def tell(**figures: Any) -> None:
    """Hands figures to the process that started this one."""
    print("FIGURES " + json.dumps(figures), flush=True)


def run_fresh(module: str, *arguments: Any, threads: int | None = None) -> dict[str, Any]:
    """Runs `python -m module arguments` and returns what it told, with its peak and the sampler's figures.

    Args:
        module: what is run, from the root of the project.
        arguments: of its command line.
        threads: OpenMP threads; None: left to the environment.

    Returns:
        The figures, and "peak" and "own" (most anonymous memory) in bytes.

    Raises:
        RuntimeError: it failed; the message is what it wrote.
    """
    environment = dict(os.environ) if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment) as process:
        own = [0]
        sampler = threading.Thread(target=_sample, args=(process, own), daemon=True)
        sampler.start()
        text, _ = process.communicate()
        sampler.join()
    told = [line.removeprefix("FIGURES ") for line in text.splitlines() if line.startswith("FIGURES ")]
    if process.returncode or not told:
        raise RuntimeError(f"{' '.join(command)} failed:\n{text}")
    return {**json.loads(told[-1]), "own": own[0]}


def _sample(process: subprocess.Popen[str], own: list[int]) -> None:
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            own[0] = max(own[0], _field(status.read_text(), "RssAnon"))
        except OSError:
            return
        time.sleep(INTERVAL)


def warm_cache(path: Path) -> None:
    """Reads a file once, so that all who are compared find it in the page cache."""
    with path.open("rb", buffering=0) as file:
        while file.read(16 * MIB):
            pass
