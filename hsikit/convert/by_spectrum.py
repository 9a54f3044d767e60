"""Scenes whose pixels are computed from another scene's spectra, each from its own: read by pieces, in bounded memory."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import WavelengthError
from hsikit.geo.grid import Window, tile_windows
from hsikit.scene import Bands, Decoding, Indices, Raw, SceneInfo, Source, read_window

PIECE_BYTES = 24 << 20
"""Most bytes of spectra that are read at once, where the file's blocks allow it: a strip of few bands may need many."""
Change = Callable[[NDArray[np.float32]], NDArray[np.float32]]


class SpectrumSource(ABC):
    """A source whose pixels are functions of another's spectra; closing is left to whoever opened that one.

    Args:
        base: the other source.
        used: positions in its bands of those that may be needed, ascending.
        info: facts of the new scene.
        told: JSON-able, tells this function from another.
    """

    def __init__(self, base: Source, used: Indices, info: SceneInfo, told: object) -> None:
        identity = (*base.info.identity, told) if base.info.identity else ()
        self.info = info.with_(dtype="float32", nodata=None, identity=identity)
        self.block = base.block
        self._base, self._used = base, used

    def read(self, window: Window, bands: Indices) -> Raw:
        """Values of a window, float32, NaN where missing; see `hsikit.scene.Source`."""
        out = np.full((len(bands), *window.shape), np.nan, np.float32)
        needed, change = self._part(np.asarray(bands, np.intp))
        if needed.size and window.size:
            for piece in tile_windows(window, _piece(len(needed), window, self.block)):
                values = read_window(self._base, piece, self._used[needed])
                out[(slice(None), *piece.slices((window.row, window.col)))] = change(values)
        return Raw(out, window, Decoding())

    @abstractmethod
    def _part(self, bands: Indices) -> tuple[Indices, Change]:
        """Positions in `used` of what some bands need, and what makes them, (needed, rows, cols) to (bands, rows, cols)."""

    def close(self) -> None:  # noqa: B027 - whoever opened the scene closes it
        """Does nothing: the scene belongs to whoever opened it."""


def spectral_bands(info: SceneInfo) -> tuple[Bands, Indices]:
    """The good bands of a scene, and their positions.

    Raises:
        WavelengthError: it has no wavelengths, or all its bands are bad.
    """
    used = info.bands.used
    if not info.bands.spectral:
        raise WavelengthError(info.name, "its bands have no wavelengths", "Name them with --wavelengths FILE.csv or --sensor NAME")
    if not used.size:
        raise WavelengthError(info.name, "all its bands are marked bad", "Correct its list of bad bands")
    return info.bands.take(used), used


def _piece(bands: int, window: Window, block: tuple[int, int]) -> tuple[int, int]:
    """(rows, cols) that are read at once: full width where a row of blocks fits `PIECE_BYTES`, and whole blocks in any case."""
    pixels = max(1, PIECE_BYTES // (4 * bands))
    height = max(block[0], pixels // window.cols // block[0] * block[0])
    return height, window.cols if height * window.cols <= pixels else max(block[1], pixels // height // block[1] * block[1])
