"""Which cluster does a batch, and the connection to it: a scheduler that runs, or a cluster made for this batch."""

from __future__ import annotations

import gc
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hsikit.errors import MissingExtraError, OptionError, RunError

if TYPE_CHECKING:
    from distributed import Client

KINDS = ("local", "slurm")
LISTS = ("job_extra_directives", "job_script_prologue", "job_directives_skip", "worker_extra_args")
"""Options of dask-jobqueue that are lists; their parts are separated by `;`."""
CONNECT_SECONDS = 30
_SCHEDULER = re.compile(r"inproc://\S+|((tcp|tls|ucx|wss?)://)?(\[[0-9A-Fa-f:.%]+\]|[^\s:/@\[\]]+):(?P<port>\d{1,5})")


@dataclass(frozen=True)
class Cluster:
    """The cluster that does a batch.

    Attributes:
        scheduler: address of one that runs, such as tcp://host:8786; "" where one is made.
        kind: of the one that is made: "local" or "slurm"; "" where `scheduler` is given.
        options: of the one that is made, by name, as `distributed.LocalCluster` and `dask_jobqueue.SLURMCluster` have them.

    Raises:
        OptionError: neither or both are given, an address that can be none, a kind that is not known, or options of none.
    """

    scheduler: str = ""
    kind: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.scheduler) == bool(self.kind):
            raise OptionError("cluster", "it is one that runs, or one that is made", "Give --scheduler ADDRESS, or --cluster local")
        match = _SCHEDULER.fullmatch(self.scheduler)
        if self.scheduler and (match is None or not 0 < int(match["port"] or 1) < 2**16):
            raise OptionError("scheduler", f"'{self.scheduler}' is no address of a scheduler", "Write one such as tcp://host:8786")
        if self.kind and self.kind not in KINDS:
            raise OptionError("cluster", f"'{self.kind}' is not known", f"Known are {', '.join(KINDS)}")
        if self.options and not self.kind:
            raise OptionError("cluster_option", "a scheduler that runs has no options here", "Leave them out, or give --cluster")


def read_option(text: str) -> tuple[str, Any]:
    """Name and value of `name=value`: a whole number, true or false, a list where the option is one, else text.

    Raises:
        OptionError: there is no name or no value.
    """
    name, found, value = text.partition("=")
    if not (found and name and value):
        raise OptionError("cluster_option", f"'{text}' is no option", "Write it like walltime=02:00:00")
    if name in LISTS:
        return name, [part.strip() for part in value.split(";") if part.strip()]
    if value.isdigit():
        return name, int(value)
    return name, {"true": True, "false": False}.get(value.lower(), value)


@contextmanager
def connected(cluster: Cluster, *, jobs: int, threads: int, memory: int | None) -> Iterator[Client]:
    """A connection to the cluster; one that was made is closed at the end.

    Args:
        cluster: which.
        jobs: workers of one that is made, each for one scene at a time.
        threads: cores of each.
        memory: what each may take (bytes); None: as its machine has.

    Raises:
        MissingExtraError: distributed or dask-jobqueue is not installed.
        RunError: the scheduler does not answer.
        OptionError: an option that this kind of cluster does not have, or a value that it refuses.
    """
    try:
        import distributed
    except ImportError:
        raise MissingExtraError("distributed", "batches on a cluster need it, and it is not installed", 'Run: pip install "hsikit[cluster]"') from None
    dask: Any = distributed
    if cluster.scheduler:
        with _client(cluster.scheduler) as client:
            yield client
        return
    with made(cluster, jobs=jobs, threads=threads, memory=memory) as own, dask.Client(own, set_as_default=False) as client:
        yield client


def _client(scheduler: str) -> Any:
    """A connection to a scheduler that runs.

    Raises:
        RunError: it does not answer.
    """
    import distributed

    dask: Any = distributed
    try:
        return dask.Client(scheduler, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, ImportError) as error:  # the latter two of protocols that are not set up here: tls, ucx
        why = _first_line(error)
    # Dask closes a client that could not be made when it is forgotten: not by an error that refers to it, at the end of the process, where that hangs.
    gc.collect()
    raise RunError(scheduler, f"no scheduler answers there ({why})", "Check the address, and that the scheduler runs: dask scheduler")


def made(cluster: Cluster, *, jobs: int, threads: int, memory: int | None) -> Any:
    """A cluster of the kind that is wanted, not yet waited for.

    Raises:
        MissingExtraError, OptionError: see `connected`.
    """
    try:
        return _local(cluster, jobs) if cluster.kind == "local" else _slurm(cluster, jobs, threads, memory)
    except (TypeError, ValueError, RuntimeError) as error:
        raise OptionError("cluster_option", f"the {cluster.kind} cluster refuses its options ({_first_line(error)})", "See the help of its class") from None


def _local(cluster: Cluster, jobs: int) -> Any:
    import distributed

    dask: Any = distributed
    # Each scene has a process of its own, which is watched: the memory of Dask's workers says nothing.
    defaults = {"n_workers": jobs, "threads_per_worker": 1, "memory_limit": 0, "dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    return dask.LocalCluster(**{**defaults, **cluster.options})


def _slurm(cluster: Cluster, jobs: int, threads: int, memory: int | None) -> Any:
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise MissingExtraError("dask-jobqueue", "clusters under Slurm need it, and it is not installed", 'Run: pip install "hsikit[cluster]"') from None
    if shutil.which("sbatch") is None:
        raise OptionError("cluster", "there is no sbatch on this machine", "Start it where jobs are submitted to Slurm")
    defaults: dict[str, Any] = {"cores": 1, "processes": 1, "job_cpu": threads, **({"memory": f"{memory}B"} if memory else {})}
    own: Any = SLURMCluster(**{**defaults, **cluster.options})
    own.scale(jobs=jobs)
    return own


def _first_line(error: BaseException) -> str:
    lines = str(error.__cause__ or error).strip().splitlines()
    return " ".join(lines[0].split()) if lines else type(error).__name__
