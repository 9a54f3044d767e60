"""Where the windows of a pretraining come from: scenes on disk, read window by window, and scenes simulated on the fly.

A supply gives the same windows for the same number of the draw, so that a run that was killed goes on with what it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import SceneError, WavelengthError
from hsikit.geo.grid import Window
from hsikit.scene import Source, read_window
from hsikit.sensors.masking import MaskedSource
from hsikit.simulate.varied import draw_scene
from hsikit.spectral.gaps import fill_gaps, valid_spectra

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

FIRST, LAST = 380.0, 2520.0
"""What encoders see (nm): bands beyond are left out."""
FEWEST = 4
"""Bands of a scene, at least."""
TRIES = 30
"""Places that are tried for a window with enough data."""
LOOKED = 1000
"""Places that are looked at for one that a mask leaves open in half of its pixels, before its spectra are read."""
USABLE = 0.5
"""Share of a window's pixels that must have data."""
SAMPLED, SIDE = 48, 64
"""Windows of a scene that its statistics are taken from, and their side in pixels."""
SCENE_SIDE, REUSED = 64, 4
"""Side of a simulated scene in pixels, and how many draws are taken of one."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of a scene's spectra: mean (C,) and covariance (C, C), in the unit of the scene."""

    mean: Floats
    covariance: Floats

    @classmethod
    def of(cls, spectra: Floats32) -> Statistics:
        """Of spectra (n, C)."""
        exact = spectra.astype(np.float64)
        return cls(exact.mean(0), np.atleast_2d(np.cov(exact.T, bias=True)))


@dataclass(frozen=True, eq=False)
class Windows:
    """Windows of one scene.

    Attributes:
        values: in the unit of the scene, shape (n, rows, cols, C), finite.
        clean: the same without noise, where it is known; else the values.
        usable: the pixels with data, bool, shape (n, rows, cols).
        wavelength: band centres (nm), ascending, shape (C,).
        fwhm: widths (nm), NaN where unknown, shape (C,).
        statistics: of the scene.
    """

    values: Floats32
    clean: Floats32
    usable: NDArray[np.bool_]
    wavelength: Floats
    fwhm: Floats
    statistics: Statistics


class Supply(Protocol):
    """What gives windows."""

    @property
    def identity(self) -> Any:
        """JSON values that tell it from another."""
        ...

    def draw(self, number: int, count: int, side: int, seed: int) -> Windows:
        """Windows of side x side pixels; the same for the same numbers."""
        ...


@dataclass(frozen=True, eq=False)
class SceneSupply:
    """Windows of a scene on disk; never more of it in memory than one draw.

    Raises:
        WavelengthError: fewer than four good bands between 380 and 2520 nm.
        SceneError: nothing in it is valid.
    """

    source: Source

    def __post_init__(self) -> None:
        if len(self.bands) < FEWEST:
            wrong = f"{len(self.bands)} good bands lie in {FIRST:g} to {LAST:g} nm, and a pretraining needs {FEWEST}"
            raise WavelengthError(self.source.info.name, wrong, "Name its sensor, or leave the scene out")

    @cached_property
    def bands(self) -> NDArray[np.intp]:
        """Positions of the bands that are used."""
        bands = self.source.info.bands
        return np.flatnonzero(bands.good & (np.nan_to_num(bands.wavelength) >= FIRST) & (np.nan_to_num(bands.wavelength) <= LAST))

    @property
    def identity(self) -> Any:
        """See `Supply`."""
        return ["scene", *(str(each) for each in self.source.info.identity)]

    @cached_property
    def statistics(self) -> Statistics:
        """From windows spread evenly over the scene."""
        rows, cols = self.source.info.grid.shape
        places = [(r, c) for r in range(0, rows, SIDE) for c in range(0, cols, SIDE)]
        windows = [Window(row, col, min(SIDE, rows - row), min(SIDE, cols - col)) for row, col in places]
        windows = [window for window in windows if self._open(window) > 0] or windows
        parts = []
        for place in np.unique(np.linspace(0, len(windows) - 1, SAMPLED).round().astype(int)):
            values, usable = self._read(windows[place])
            parts.append(values[usable])
        spectra = np.concatenate(parts)
        if len(spectra) < 2:
            raise SceneError(self.source.info.name, "has no valid pixel in any of the places looked at", "Leave the scene out, or look at it with quicklook")
        return Statistics.of(spectra)

    def draw(self, number: int, count: int, side: int, seed: int) -> Windows:
        """See `Supply`.

        Raises:
            SceneError: no window with enough data was found, or the scene is damaged.
        """
        rng = np.random.default_rng([seed, number])
        found = [self._one(rng, side) for _ in range(count)]
        values, usable = np.stack([each for each, _ in found]), np.stack([each for _, each in found])
        bands = self.source.info.bands.take(self.bands)
        return Windows(values, values, usable, bands.wavelength, bands.fwhm, self.statistics)

    def _one(self, rng: np.random.Generator, side: int) -> tuple[Floats32, NDArray[np.bool_]]:
        rows, cols = self.source.info.grid.shape
        if min(rows, cols) < side:
            raise SceneError(
                self.source.info.name, f"{rows} x {cols} pixels hold no window of {side} x {side}", "Leave the scene out, or give a smaller --window"
            )
        for _ in range(TRIES):
            for _ in range(LOOKED):
                window = Window(int(rng.integers(rows - side + 1)), int(rng.integers(cols - side + 1)), side, side)
                if self._open(window) >= USABLE:
                    break
            values, usable = self._read(window)
            if usable.mean() >= USABLE:
                return values, usable
        wrong = f"{TRIES} windows were drawn, and none has data in half of its pixels"
        raise SceneError(self.source.info.name, wrong, "Clip the scene to where it has data, or leave it out")

    def _open(self, window: Window) -> float:
        """The share of a window that no mask hides."""
        return 1.0 - float(self.source.mask.read(window).mean()) if isinstance(self.source, MaskedSource) else 1.0

    def _read(self, window: Window) -> tuple[Floats32, NDArray[np.bool_]]:
        """Spectra (rows, cols, C), 0 where not valid, and what is valid."""
        spectra = read_window(self.source, window, self.bands).reshape(len(self.bands), -1).T
        valid = valid_spectra(spectra)
        out = np.zeros(spectra.shape, np.float32)
        out[valid] = fill_gaps(spectra[valid], self.source.info.bands.wavelength[self.bands])
        return out.reshape(*window.shape, -1), valid.reshape(window.shape)


@dataclass(frozen=True, eq=False)
class SimulatedSupply:
    """Windows of scenes that are drawn on the fly, each once, and seen by one sensor.

    Attributes:
        sensor: its name, for `identity`.
        wavelength: band centres (nm), ascending, shape (C,).
        fwhm: widths (nm), shape (C,).
    """

    sensor: str
    wavelength: Floats
    fwhm: Floats
    _kept: dict[tuple[int, int], Any] = field(default_factory=dict, repr=False)

    @property
    def identity(self) -> Any:
        """See `Supply`."""
        return ["simulated", self.sensor]

    def draw(self, number: int, count: int, side: int, seed: int) -> Windows:
        """See `Supply`."""
        rng = np.random.default_rng([seed, number, 1])
        scene, statistics = self._scene(seed, number // REUSED)
        corners = rng.integers(0, SCENE_SIDE - side + 1, (count, 2))
        cut = [(slice(row, row + side), slice(col, col + side)) for row, col in corners]
        noisy, clean = (np.stack([whole[place] for place in cut]) for whole in (scene.noisy, scene.clean))
        return Windows(noisy, clean, np.ones(noisy.shape[:3], bool), self.wavelength, self.fwhm, statistics)

    def _scene(self, seed: int, number: int) -> Any:
        key = (seed, number)
        if key not in self._kept:
            self._kept.clear()
            scene = draw_scene(SCENE_SIDE, self.wavelength, self.fwhm, (seed, number, 2))
            self._kept[key] = scene, Statistics.of(scene.noisy.reshape(-1, len(self.wavelength)))
        return self._kept[key]
