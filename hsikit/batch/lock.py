"""One batch at a time on a ledger: a lock that the system drops with its process, so that none is ever stale."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from datetime import UTC, datetime
from pathlib import Path

from hsikit.errors import OptionError, OutputError, RunError
from hsikit.geo.remote import RemotePath, place_of

NETWORK = {
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "afs", "panfs", "fuse.sshfs", "fuse.s3fs",
    "fuse.glusterfs", "fuse.gcsfuse", "fuse.rclone", "fuse.juicefs", "fuse.ceph", "fuse.ceph-fuse", "fuse.goofys", "fuse.blobfuse2", "fuse.lustre",
    "mountpoint-s3",
}  # fmt: skip
"""File systems on which SQLite's locks and shared memory cannot be relied on."""
PLAIN_FUSE = "fuse"
"""The kind of those that say what they are by their source only, such as mountpoint-s3."""
TRIES, PAUSE = 5, 0.05
"""How often, and after how many seconds, the lock is tried again: `holder_of` takes it for a moment."""


class Lock:
    """The lock of a ledger, `LEDGER.lock` beside it, with who holds it."""

    def __init__(self, ledger: Path) -> None:
        """Takes the lock.

        Raises:
            RunError: another process holds it.
            OutputError: the folder cannot be written, or its disk has no locks.
        """
        self._path = ledger.with_name(f"{ledger.name}.lock")
        while True:
            try:
                self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
            except OSError as error:
                raise OutputError(ledger, f"the ledger cannot be made ({error.strerror})", "Choose another place with --ledger") from None
            self._take(ledger)
            if self._is_current():
                break
            os.close(self._handle)  # its holder removed it while we opened it
        facts = {"process": os.getpid(), "host": socket.gethostname(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, json.dumps(facts).encode(), 0)

    def _take(self, ledger: Path) -> None:
        for again in (*[True] * TRIES, False):
            try:
                return fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if again:
                    time.sleep(PAUSE)
            except OSError as error:
                os.close(self._handle)
                raise OutputError(ledger, f"its disk has no file locks ({error.strerror})", "Choose a local disk with --ledger") from None
        holder = told(os.pread(self._handle, 1000, 0))
        os.close(self._handle)
        raise RunError(ledger, f"{holder} is running this batch", "Wait for it, or stop it")

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._handle), self._path.stat())
        except FileNotFoundError:
            return False

    def release(self) -> None:
        """Drops the lock and its file."""
        self._path.unlink(missing_ok=True)
        os.close(self._handle)


def told(stored: bytes) -> str:
    """Who holds a lock, in words."""
    try:
        facts = json.loads(stored)
        return f"process {int(facts['process'])} on {facts['host']} (since {facts['since']})"
    except (ValueError, KeyError, TypeError):
        return "another process"


def holder_of(ledger: Path) -> str:
    """Who runs the batch of a ledger; "" where nobody does."""
    path = ledger.with_name(f"{ledger.name}.lock")
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return ""
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return told(os.pread(handle, 1000, 0))
    except OSError:
        return ""
    finally:
        os.close(handle)
    return ""


def require_local(ledger: Path) -> None:
    """Refuses a ledger on a network file system.

    Raises:
        OptionError: it lies on one, or on a server.
    """
    if isinstance(place_of(ledger), RemotePath):
        raise OptionError("ledger", f"{place_of(ledger)} lies on a server", "Give --ledger a file on a local disk")
    kind = file_system_of(ledger.parent)
    if kind in NETWORK:
        raise OptionError("ledger", f"{ledger} lies on a network file system ({kind})", "Give --ledger a file on a local disk")


def file_system_of(folder: Path) -> str:
    """The kind of the file system that holds a folder; "" where the system does not say."""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    place, best, kind = folder.resolve(), -1, ""
    for line in lines:
        before, _, after = line.partition(" - ")
        mount = Path(re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), before.split()[4]))
        if place.is_relative_to(mount) and len(mount.parts) >= best:
            names = after.split()
            best, kind = len(mount.parts), names[1] if names[0] == PLAIN_FUSE else names[0]
    return kind
