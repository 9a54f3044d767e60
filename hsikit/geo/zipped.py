"""Files inside zip archives, as paths: a stored one is read where it lies, a packed one from a copy without a name.

What was packed by deflate cannot be read from the middle. It is unpacked once into a file of the folder for temporary files (`TMPDIR`)
that has no name, so that nothing of it is left behind, whatever ends the process; the copy goes when the last open file of it closes.
"""

from __future__ import annotations

import io
import os
import shutil
import struct
import tempfile
import threading
import weakref
import zipfile
from pathlib import Path, PosixPath
from typing import IO, Any

from hsikit.errors import SceneError
from hsikit.geo.raw_file import RawFile

METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those whose memory is bounded when they are unpacked; of the others Python's module unpacks as much as the bytes give."""
PIECE = 1 << 20
_LOCAL = struct.Struct("<4s2xHH16xHH")
"""Mark, flags, method, and lengths of name and extra field of the header in front of an entry's bytes (APPNOTE 6.3.10, section 4.3.7)."""
_MARK = b"PK\x03\x04"


class Stretch:
    """Bytes of an open file from one place on; the file is closed when nothing refers to them any more.

    Args:
        file: the open file.
        start: where they begin.
        size: how many there are.
    """

    def __init__(self, file: IO[bytes], start: int, size: int) -> None:
        self.file, self.start, self.size = file, start, size
        weakref.finalize(self, file.close)


class StretchFile(RawFile):
    """A stretch as a file to read and seek in, for one thread at a time; several may be open on one stretch.

    Args:
        stretch: the bytes.
        name: of the file, for messages.
    """

    def __init__(self, stretch: Stretch, name: str) -> None:
        super().__init__(stretch.size)
        self._stretch: Stretch | None = stretch
        self._name = name

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer, but for the end of the stretch.

        Raises:
            ValueError: the file is closed.
            SceneError: the file on the disk is shorter than it was.
        """
        if self._stretch is None:
            raise ValueError(f"{self._name} is closed")
        view = memoryview(buffer).cast("B")
        wanted = max(0, min(len(view), self._stretch.size - self._at))
        done = 0
        while done < wanted:  # one call gives at most 2 GiB
            count = os.preadv(self._stretch.file.fileno(), [view[done:wanted]], self._stretch.start + self._at)
            if not count:
                raise SceneError(self._name, "became shorter while it was read", "Run the command again")
            done += count
            self._at += count
        return done

    def close(self) -> None:
        """Lets go of the stretch."""
        self._stretch = None
        super().close()


class Entry:
    """A file of an archive whose bytes can be read at any place.

    Args:
        archive: the archive, which was checked.
        info: the file's line in its directory.
    """

    def __init__(self, archive: Path, info: zipfile.ZipInfo) -> None:
        self.archive, self.info = archive, info
        self.name = f"{archive}/{info.filename}"
        self._was = _state(archive)
        self._lock = threading.Lock()
        self._kept: weakref.ref[Stretch] | None = None

    def keep(self) -> Stretch:
        """The bytes, which are at hand as long as something refers to what is returned.

        Raises:
            SceneError: the archive changed, is damaged, packs by a method that is not read, or there is no room for a copy.
        """
        with self._lock:
            kept = None if self._kept is None else self._kept()
            if kept is None:
                try:
                    kept = self._found()
                except OSError as error:
                    raise SceneError(self.archive, f"cannot be read ({error.strerror})") from None
                self._kept = weakref.ref(kept)
            return kept

    def _found(self) -> Stretch:
        if _state(self.archive) != self._was:
            raise SceneError(self.archive, "changed while it was read", "Run the command again")
        if self.info.compress_type not in METHODS:
            raise SceneError(self.archive, f"{self.info.filename} in it is packed by {_method(self.info)}, which is not read", "Unpack it")
        return self._in_place() if self.info.compress_type == zipfile.ZIP_STORED else self._unpacked()

    def _in_place(self) -> Stretch:
        info = self.info
        file = self.archive.open("rb", buffering=0)
        found = Stretch(file, 0, info.file_size)
        file.seek(info.header_offset)
        head = file.read(_LOCAL.size)
        mark, flags, method, name, extra = _LOCAL.unpack(head) if len(head) == _LOCAL.size else (b"", 0, 0, 0, 0)
        found.start = info.header_offset + _LOCAL.size + name + extra
        fits = info.file_size == info.compress_size and found.start + info.file_size <= self._was[0]
        if mark != _MARK or flags & 1 or method != zipfile.ZIP_STORED or not fits:
            raise SceneError(self.archive, f"{info.filename} in it is incomplete or damaged", "Fetch it again")
        return found

    def _unpacked(self) -> Stretch:
        info, folder = self.info, tempfile.gettempdir()
        room = shutil.disk_usage(folder).free
        if room < info.file_size:
            wrong = f"{info.filename} in it unpacks to {info.file_size / 1e6:.0f} MB, and {folder} has room for {room / 1e6:.0f} MB"
            raise SceneError(self.archive, wrong, "Name a folder with more by the variable TMPDIR, or unpack it")
        copy = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed with the stretch
        found = Stretch(copy, 0, info.file_size)
        try:
            with zipfile.ZipFile(self.archive) as archive, archive.open(info) as packed:
                left = info.file_size
                while piece := packed.read(PIECE):
                    left -= len(piece)
                    if left < 0:
                        break
                    _write(copy, piece, folder, self.archive)
        except (SceneError, OSError):
            raise
        except Exception as error:  # zlib has an error of its own
            raise SceneError(self.archive, f"{info.filename} in it is damaged ({type(error).__name__})", "Fetch it again") from None
        if left:
            raise SceneError(self.archive, f"{info.filename} in it has not the {info.file_size} bytes that it is said to have", "Fetch it again")
        return found


def _write(copy: IO[bytes], piece: bytes, folder: str, archive: Path) -> None:
    view = memoryview(piece)
    try:
        while view:
            view = view[copy.write(view) :]
    except OSError as error:
        advice = "Name a folder with more room by the variable TMPDIR, or unpack it"
        raise SceneError(archive, f"cannot be unpacked into {folder} ({error.strerror})", advice) from None


def _state(path: Path) -> tuple[int, int]:
    """Bytes, and time of the last change (ns)."""
    try:
        found = path.stat()
    except OSError as error:
        raise SceneError(path, f"cannot be read ({error.strerror})") from None
    return found.st_size, found.st_mtime_ns


def _method(info: zipfile.ZipInfo) -> str:
    return zipfile.compressor_names.get(info.compress_type, f"method {info.compress_type}")  # type: ignore[attr-defined, no-any-return]


class ZippedPath(PosixPath):
    """A file inside an archive; made by `zipped_path`. Its text is the archive's with the file's name behind.

    What is made from it in turn (its folder, neighbours) is the name of nothing.
    """

    _entry: Entry | None = None

    @property
    def archive(self) -> Path:
        """The archive, which tells whether the file is still the same."""
        return self if self._entry is None else self._entry.archive

    def keep(self) -> Stretch:
        """See `Entry.keep`.

        Raises:
            FileNotFoundError: it is the name of nothing.
            SceneError: the bytes cannot be had.
        """
        if self._entry is None:
            raise FileNotFoundError(2, "does not exist", str(self))
        return self._entry.keep()

    def costs(self) -> tuple[str, ...]:
        """What to tell the user of a file that is unpacked; nothing of one that is read in place."""
        if self._entry is None or self._entry.info.compress_type == zipfile.ZIP_STORED:
            return ()
        size = self._entry.info.file_size
        return (f"it is compressed in its zip: while it is open, {size / 1e6:.0f} MB of it lie unpacked in {tempfile.gettempdir()}",)

    def is_file(self) -> bool:
        """Whether it was made by `zipped_path`."""
        return self._entry is not None

    def exists(self, *, follow_symlinks: bool = True) -> bool:
        """The same."""
        return self.is_file()

    def is_dir(self) -> bool:
        """False: folders inside an archive are none."""
        return False

    def raw(self) -> StretchFile:
        """The file for reading, without a buffer.

        Raises:
            FileNotFoundError: it is the name of nothing.
            SceneError: the bytes cannot be had.
        """
        return StretchFile(self.keep(), str(self))

    def open(self, mode: str = "r", buffering: int = -1, encoding: str | None = None, errors: str | None = None, newline: str | None = None) -> IO[Any]:  # type: ignore[override]
        """The file for reading.

        Raises:
            FileNotFoundError: it is the name of nothing.
            SceneError: the bytes cannot be had.
            ValueError: it is to be written.
        """
        if mode not in ("r", "rb", "rt"):
            raise ValueError(f"{self} can only be read")
        file = io.BufferedReader(self.raw())
        return file if mode == "rb" else io.TextIOWrapper(file, encoding=encoding or "utf-8", errors=errors, newline=newline)


def zipped_path(archive: Path, info: zipfile.ZipInfo) -> ZippedPath:
    """A file of an archive whose names, links and sizes were checked.

    Raises:
        SceneError: the archive is not there any more.
    """
    path = ZippedPath(archive, info.filename)
    path._entry = Entry(archive, info)
    return path
