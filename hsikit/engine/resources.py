"""What this machine has: memory and cores at hand, container limits included; what this process occupies."""

from __future__ import annotations

import ctypes
import os
import re
from pathlib import Path

from hsikit.errors import OptionError

MIB = 2**20
LARGE_BLOCK = 32 * MIB
WORKER_BLOCK = 8 * MIB
_TUNABLES, _MALLOC = "GLIBC_TUNABLES", "glibc.malloc"  # see glibc's manual, "Memory Allocation Tunables"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_UNITS = {"": 1, "K": 2**10, "M": MIB, "G": 2**30, "T": 2**40}


def parse_memory(text: str) -> int:
    """Bytes from "700M", "700MiB", "2G", "1.5 GiB".

    Raises:
        OptionError: not a positive amount of memory.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?\s*", text, re.IGNORECASE)
    size = int(float(match[1]) * _UNITS[match[2].upper()]) if match else 0
    if size <= 0:
        raise OptionError("--memory", f"'{text}' is not an amount of memory", "Write it like 700M or 2G")
    return size


def resident_bytes() -> int:
    """Resident memory of this process (0 where the system does not say)."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return 0


def available_memory() -> int:
    """Bytes that could still be taken without swapping, within the container's limit."""
    free = [_meminfo_available(), *_cgroup_free()]
    return min(f for f in free if f > 0)


def _meminfo_available() -> int:
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    if found:
        return int(found[1]) * 1024
    return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)


def _cgroup_free() -> list[int]:
    pairs = [(f"{group}memory.max", f"{group}memory.current") for group in _cgroups()]
    pairs.append(("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    free = []
    for limit, usage in pairs:
        try:
            most = Path("/sys/fs/cgroup", limit).read_text().strip()
            used = Path("/sys/fs/cgroup", usage).read_text().strip()
            if most.isdigit() and int(most) < 2**60:
                free.append(max(int(most) - int(used), 1))
        except OSError:
            continue
    return free


def _cgroups() -> list[str]:
    """The groups that this process is in, from its own up to the root, as folders: each may limit it."""
    try:
        own = re.search(r"^0::/(.*)$", Path("/proc/self/cgroup").read_text(), re.MULTILINE)
    except OSError:
        own = None
    parts = own[1].split("/") if own and own[1] else []
    return ["".join(f"{part}/" for part in parts[:depth]) for depth in range(len(parts), -1, -1)]


def available_cores() -> int:
    """Cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota.isdigit():
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return cores


def keep_freed_memory_small() -> None:
    """Makes the C library give large blocks back to the system when they are freed.

    glibc keeps them otherwise, in an arena for each thread, and a process grows to about twice what it uses at any time.
    Where there is another C library, or the environment says how glibc keeps memory, nothing is done.
    """
    if _MALLOC in os.environ.get(_TUNABLES, ""):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for parameter, value in ((_M_ARENA_MAX, 1), (_M_MMAP_THRESHOLD, LARGE_BLOCK), (_M_TRIM_THRESHOLD, 2 * LARGE_BLOCK)):
        mallopt(parameter, value)


def malloc_variables() -> dict[str, str]:
    """Variables by which a process that does scene after scene takes as much memory for the last as for the first; what the environment says wins.

    Holes between arrays in the heap grow with the scenes, so all but small arrays get pages of their own; they cost a network some hundredths of
    its processor time. (Large pages would pay for that, but the system fills holes with them, and memory grows again.)
    """
    said = os.environ.get(_TUNABLES, "")
    if _MALLOC in said:
        return {}
    values = {"arena_max": 1, "mmap_threshold": WORKER_BLOCK, "trim_threshold": 2 * LARGE_BLOCK}
    return {_TUNABLES: ":".join([*filter(None, [said]), *(f"{_MALLOC}.{name}={value}" for name, value in values.items())])}


def gdal_cache(memory: int) -> int:
    """Bytes of GDAL's block cache: a small part of what is promised, since strips are read once; what the environment says wins."""
    set_by_user = os.environ.get("GDAL_CACHEMAX", "")
    if set_by_user.isdigit():
        return int(set_by_user) * (MIB if int(set_by_user) < 100_000 else 1)
    return min(max(memory // 64, 16 * MIB), 256 * MIB)


def limit_gdal_cache(memory: str | int | None) -> None:
    """Sets GDAL's block cache before the first scene is opened: by default it would take a twentieth of the machine's memory."""
    promised = parse_memory(memory) if isinstance(memory, str) else memory or available_memory() // 2
    os.environ.setdefault("GDAL_CACHEMAX", str(gdal_cache(promised) // MIB))
