"""ENVI scenes: a header of text beside a file of plain numbers, in any interleave, type and byte order."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError
from hsikit.geo.grid import Window
from hsikit.geo.handles import HandlePool
from hsikit.geo.remote import RemotePath, place_of
from hsikit.geo.remote_files import RangeFile
from hsikit.scene import Indices, Source
from hsikit.sensors.envi_header import EnviLayout, Tokens, envi_facts, envi_layout, read_header
from hsikit.sensors.envi_read import ShortRead, read_stored
from hsikit.sensors.facts import FileFacts, Layout, Options, OrderedSource, layout
from hsikit.sensors.remote_envi import read_remote

DATA_SUFFIXES = ("", ".img", ".dat", ".bsq", ".bil", ".bip", ".raw", ".bin", ".hyspex", ".IMG", ".DAT", ".BSQ", ".BIL", ".BIP", ".RAW", ".BIN")
STRIP_BYTES = 32 << 20


@dataclass(frozen=True)
class EnviFile:
    """An ENVI scene before it is interpreted.

    Attributes:
        header: the header's path.
        data: the data file's path.
        tokens: the header's parameters.
        stored: how the numbers lie in the data file.
        facts: what the header says, which a reader of a product may correct.
    """

    header: Path
    data: Path
    tokens: Tokens
    stored: EnviLayout
    facts: FileFacts


class Reader:
    """Opens ENVI scenes, by their header or by their data file."""

    @staticmethod
    def open(path: Path, options: Options) -> Source:
        """Opens a scene.

        Raises:
            SceneError: header or data file are missing, disagree, or are of a kind that is not read.
        """
        file = envi_file(path)
        return EnviSource(layout(file.facts, options), file.stored, file.data)


def envi_file(path: Path) -> EnviFile:
    """What a header says, held against the size of its data file.

    Args:
        path: the header or the data file.

    Raises:
        SceneError: header or data file are missing, disagree, or are of a kind that is not read.
    """
    header = path if path.suffix.lower() == ".hdr" else find_header(path)
    if header is None:
        raise SceneError(path, "has no ENVI header beside it", f"Put {path.name}.hdr beside it")
    tokens = read_header(header)
    stored = envi_layout(header, tokens)
    data = path if path != header else find_data(header, stored.file_size)
    size = _size(data)
    if size != stored.file_size:
        what = "is truncated, or its header is wrong" if size < stored.file_size else "disagrees with its header"
        raise SceneError(data, f"{what}: {size} bytes where {header.name} says {stored.file_size}", "Correct lines, samples, bands, data type or header offset")
    return EnviFile(header, data, tokens, stored, envi_facts(str(path), header, data, tokens, stored))


class EnviSource(OrderedSource):
    """An open ENVI scene."""

    def __init__(self, scene: Layout, stored: EnviLayout, data: Path) -> None:
        super().__init__(scene)
        self._file, self._data = stored, data
        self.block = (1, stored.shape[2])
        self._handles = HandlePool(partial(os.open, data, os.O_RDONLY), os.close)
        self._ranges = HandlePool(partial(RangeFile, data), RangeFile.close) if isinstance(data, RemotePath) else None
        self._last: tuple[Any, ...] = ()
        self._strip: tuple[tuple[Any, ...], NDArray[Any]] | None = None
        self._read(Window(0, 0, 1, 1), np.zeros(1, np.intp))

    def _stored(self, window: Window, bands: Indices) -> NDArray[Any]:
        """A window. The second narrow one in a row of them reads their whole strip, where that is small, and the next are cut from it."""
        cols = self._file.shape[2]
        if window.cols == cols or len(bands) * window.rows * cols * self._file.dtype.itemsize > STRIP_BYTES:
            return self._read(window, bands)
        key, strip = (window.row, window.rows, bands.tobytes()), self._strip
        if strip is None or strip[0] != key:
            if self._last != key:
                self._last = key
                return self._read(window, bands)
            strip = self._strip = (key, self._read(Window(window.row, 0, window.rows, cols), bands))
        return strip[1][:, :, window.col : window.col_end]

    def _read(self, window: Window, bands: Indices) -> NDArray[Any]:
        if self._ranges is not None:
            with self._ranges.lend() as file:
                return read_remote(file, self._file, window, bands)
        try:
            with self._handles.lend() as fd:
                return read_stored(fd, self._file, window, bands)
        except ShortRead:
            raise SceneError(self._data, f"is truncated: rows {window.row} to {window.row_end} cannot be read", "Fetch the file again") from None
        except OSError as error:
            raise SceneError(self._data, f"cannot be read ({error.strerror})", "Check the file and its permissions") from None

    def close(self) -> None:
        """Closes the handles that no thread is using; a later read opens the file again."""
        self._last, self._strip = (), None
        self._handles.close()
        if self._ranges is not None:
            self._ranges.close()


def find_header(data: Path) -> Path | None:
    """The header of a data file: `scene.img.hdr` or `scene.hdr`; None where there is none."""
    beside = [place_of(f"{data}{suffix}") for suffix in (".hdr", ".HDR")] + [data.with_suffix(suffix) for suffix in (".hdr", ".HDR")]
    return next((path for path in beside if path != data and path.is_file()), None)


def find_data(header: Path, size: int) -> Path:
    """The data file of a header; where several stand beside it, the first whose size fits.

    Raises:
        SceneError: there is none.
    """
    stem = header.with_suffix("")
    found = [path for suffix in DATA_SUFFIXES if (path := place_of(f"{stem}{suffix}")).is_file()]
    if not found:
        raise SceneError(header, "has no data file beside it", f"Put {stem.name} or {stem.name}.img beside it")
    return next((path for path in found if path.stat().st_size == size), found[0])


def _size(data: Path) -> int:
    try:
        return data.stat().st_size
    except OSError as error:
        raise SceneError(data, f"cannot be read ({error.strerror})") from None
