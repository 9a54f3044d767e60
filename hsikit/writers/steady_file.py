"""A file for libraries that break when a write fails: it notes the first failure, takes what follows as written, and tells at the end.

The HDF5 library flushes as it closes a file and as Python lets go of objects; where the disk is full, it then ends the whole process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class SteadyFile:
    """A new file, as h5py's driver "fileobj" uses one.

    Args:
        path: what is made; an older file is emptied.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
        self._at = 0
        self._failure: OSError | None = None

    def check(self) -> None:
        """Raises what a write has failed with."""
        if self._failure is not None:
            raise self._failure

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: os.fstat(self._descriptor).st_size}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """As of any file."""
        return self._at

    def read(self, size: int) -> bytes:
        """As of any file; h5py asks whether there is such a method."""
        found = os.pread(self._descriptor, size, self._at)
        self._at += len(found)
        return found

    def readinto(self, buffer: Any) -> int:
        """As of any file."""
        view, done = memoryview(buffer).cast("B"), 0
        while done < len(view) and (got := os.preadv(self._descriptor, [view[done:]], self._at + done)):
            done += got
        self._at += done
        return done

    def write(self, data: Any) -> int:
        """As of any file, but that it never fails."""
        view, done = memoryview(data).cast("B"), 0
        while self._failure is None and done < len(view):
            try:
                done += os.pwrite(self._descriptor, view[done:], self._at + done)
            except OSError as error:
                self._failure = error
        self._at += len(view)
        return len(view)

    def truncate(self, size: int) -> int:
        """As of any file, but that it never fails."""
        try:
            os.ftruncate(self._descriptor, size)
        except OSError as error:
            self._failure = self._failure or error
        return size

    def flush(self) -> None:
        """Does nothing: what is written goes to the system at once."""

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)
