"""HDF5 and NetCDF-4 files in a zip, as some agencies deliver them: found by their first bytes, read like the file itself."""

from __future__ import annotations

import zipfile
from pathlib import PurePosixPath

from hsikit.errors import SceneError
from hsikit.geo.zipped import METHODS, ZippedPath, zipped_path
from hsikit.sensors.archive import Delivery
from hsikit.sensors.probe import holds_hdf5

SUFFIXES = (".he5", ".h5", ".hdf5", ".hdf", ".nc", ".nc4", ".mat")
"""Of names that make an error of a file that cannot be looked into."""
HEAD_BYTES = 520
LISTED = 5


def hdf5_inside(delivery: Delivery) -> ZippedPath | None:
    """The HDF5 file of an archive; None where there is none.

    Args:
        delivery: a zip.

    Raises:
        SceneError: the archive is damaged or must not be opened, or holds several.
    """
    path = delivery.path
    if not delivery.names:  # which checks the archive
        return None
    found: list[zipfile.ZipInfo] = []
    unread: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                head = _head(archive, info)
                if head is None and PurePosixPath(info.filename).suffix.lower() in SUFFIXES:
                    unread.append(info.filename)
                elif head is not None and holds_hdf5(head):
                    found.append(info)
    except (zipfile.BadZipFile, OSError):
        raise SceneError(path, "is no zip archive, or it is truncated or damaged", "Fetch it again") from None
    if len(found) > 1:
        names = [info.filename for info in found]
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        raise SceneError(path, f"holds several HDF5 files: {', '.join(names[:LISTED])}{more}", "Unpack it, and open one of them")
    if unread and not found:
        raise SceneError(path, f"{unread[0]} in it is damaged, or packed by a method that is not read", "Fetch it again; where it is whole, unpack it")
    return zipped_path(path, found[0]) if found else None


def _head(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes | None:
    """The first bytes of a file; None where they cannot be had."""
    if info.compress_type not in METHODS:
        return None
    try:
        with archive.open(info) as file:
            return file.read(HEAD_BYTES)
    except Exception:  # zlib has an error of its own; which others there are depends on the byte that is wrong
        return None
