"""One message for whatever goes wrong while an output is written.

GDAL, Zarr and the operating system each report a full disk in their own way; the user reads one sentence that names the file.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hsikit.errors import HsikitError, OutputError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}
_LIBRARIES = {"rasterio", "pyogrio", "zarr", "pyproj", "numcodecs", "sqlite3"}
_NEARLY_NOTHING = 1 << 20
"""Bytes: with less than this free, a failed write is put down to the full disk."""


INCOMPLETE = "could not be written to its end, most likely because the disk is full"


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns the errors of a write into an `OutputError` that names `path`; errors of hsikit pass unchanged.

    Raises:
        OutputError: the disk is full, permission is denied, or a library could not write.
    """
    try:
        yield
    except HsikitError:
        raise
    except (OSError, SystemError) as error:  # SystemError: how rasterio reports a failed copy
        raise failure(path, error) from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in _LIBRARIES:
            raise
        raise failure(path, error) from error


def failure(path: Path, error: BaseException) -> OutputError:
    """The `OutputError` that says what an exception means for the file at `path`."""
    number = error.errno if isinstance(error, OSError) else None  # the errno of GDAL's own errors counts something else
    text, signs = _text(error), _chain(error)
    if number in _FULL or "No space left" in signs or "File too large" in signs or _disk_is_full(path):
        return OutputError(path, "the disk is full", "Make room; the same command then resumes")
    if number in _DENIED or "Permission denied" in signs:
        return OutputError(path, "permission to write is denied", "Choose a folder that you may write to")
    # What libtiff says when the disk takes less than it was given, or has taken less as the file is looked through.
    if any(sign in signs for sign in ("TIFFAppendToStrip", "TIFFWriteDirectory", "TIFFReadDirectory")):
        return OutputError(path, INCOMPLETE, "Make room; the same command then resumes")
    return OutputError(path, f"could not be written ({text})", "Check the space and the permissions of its folder")


def _text(error: BaseException) -> str:
    """What the innermost exception says: rasterio's outer one only points to it."""
    while error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split()) or type(error).__name__
    return "GDAL gives no reason" if text.startswith("Unknown GDAL Error") else text


def _chain(error: BaseException | None) -> str:
    """What an exception and all its causes say."""
    return f"{error} {_chain(error.__cause__)}" if error is not None else ""


def _disk_is_full(path: Path) -> bool:
    try:
        return shutil.disk_usage(path.parent).free < _NEARLY_NOTHING
    except OSError:
        return False
