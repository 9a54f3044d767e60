"""One worker process as the driving process sees it: started, spoken to, watched, ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

COMMAND = (sys.executable, "-m", "hsikit.batch.worker")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
READ_AT_ONCE = 65536
FROM_OUTSIDE = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
LEAST_CACHE = 16 << 20
"""Bytes of GDAL's block cache that a worker has at least."""
LAST_WORDS = 400
"""Characters of a dead worker's last output that are told."""


class Worker:
    """A worker process.

    Attributes:
        number: from 1; a worker that takes another's place has its number.
        kind: its variables and its command.
        ready: whether it has said that it can begin.
        peak: its largest resident memory since `begin_scene` (bytes), as far as it was looked at.
    """

    def __init__(self, number: int, environment: Mapping[str, str], command: Sequence[str] = COMMAND) -> None:
        self.number, self.ready, self.peak = number, False, 0
        self.kind = dict(environment), tuple(command)
        self._short_of_memory = memory_kills()
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in `end`
        # A process group of its own: Ctrl-C is for the driving process, which lets its workers finish their tiles.
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env={**os.environ, **environment}, process_group=0
        )
        self._held = b""

    def fileno(self) -> int:
        """Of what it says, for a selector."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    def send(self, message: Mapping[str, Any]) -> None:
        """Says something to it; where it has just died, its end is heard by `hear`."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(message).encode() + b"\n")
            self._process.stdin.flush()

    def hear(self) -> list[dict[str, Any]] | None:
        """What it has said since; None when it has ended."""
        data = os.read(self.fileno(), READ_AT_ONCE)
        if not data:
            return None
        *lines, self._held = (self._held + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def resident(self) -> int:
        """Its resident memory now (bytes; 0 where the system does not say); kept in `peak`."""
        try:
            pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return 0
        found = pages * os.sysconf("SC_PAGE_SIZE")
        self.peak = max(self.peak, found)
        return found

    def begin_scene(self) -> None:
        """Begins to look for the peak anew, and for processes that the system ends for memory: another scene."""
        self.peak, self._short_of_memory = 0, memory_kills()

    @property
    def killed_from_outside(self) -> bool:
        """Whether somebody ended it: by a signal that no fault of its own brings, with no process ended for memory meanwhile."""
        known = self._short_of_memory is not None and self._short_of_memory == memory_kills()
        return known and -self._process.wait() in FROM_OUTSIDE

    @property
    def alive(self) -> bool:
        """Whether its process runs."""
        return self._process.poll() is None

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()

    def end(self) -> str:
        """Waits for its end; says how it ended."""
        assert self._process.stdin is not None and self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        code = self._process.wait()
        self._process.stdout.close()
        said = self._last_words()
        self._errors.close()
        how = f"was killed by {_signal(-code)}" if code < 0 else f"ended with code {code}"
        return f"{how} ({said})" if said else how

    def _last_words(self) -> str:
        """The last line that it wrote to stderr."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - LAST_WORDS))
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return " ".join(lines[-1].split()) if lines else ""


def memory_kills() -> int | None:
    """Processes of this machine that the system has ended for want of memory; None where it does not say."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), None)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def environment_of(threads: int, memory: int) -> dict[str, str]:
    """Variables for a worker: as many threads for the libraries as for the engine, a block cache for its memory, little memory kept.

    The cache is half of what a single run has: its small blocks, freed at various times, leave holes among a scene's arrays.
    """
    from hsikit.engine.resources import MIB, gdal_cache, malloc_variables

    cache = {} if "GDAL_CACHEMAX" in os.environ else {"GDAL_CACHEMAX": str(max(LEAST_CACHE, gdal_cache(memory) // 2) // MIB)}
    return {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **cache, **malloc_variables()}
