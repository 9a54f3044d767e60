"""A gas over a push-broom scene, simulated: lines of absorption, a table of them, and radiance with a plume, for tests and benchmarks.

The lines are drawn from a seed and are no real gas's; they crowd where methane's do, and are as strong.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.spectral.absorption import GEOMETRY, AbsorptionTable

Floats = NDArray[np.float64]
COLUMNS = (0.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)
"""Concentrations of the table, ppm m."""
STRONGEST, FAINTEST = 1.835e-5, 1.1e-8
"""Absorption of the strongest band, 1/(ppm m), of a column so thin that no line is saturated, and what far lines take everywhere: over the table, in
73 bands of 2122 to 2488 nm, that is methane's 1.784e-5 and 2.3e-8."""
WIDTH = 5.5
"""Of the bands, nm."""
BRANCHES = ((2205.0, 10.0, 0.4), (2265.0, 12.0, 0.6), (2317.0, 8.0, 1.3), (2348.0, 7.0, 1.3), (2371.0, 6.0, 1.4), (2400.0, 8.0, 1.2), (2432.0, 9.0, 1.0))
"""Where methane's lines crowd: centre and spread (nm), and strength."""
LINES, HALF_WIDTH = 12, 1.0
"""Lines of a branch, and half their width (nm)."""


def gas_table(seed: int = 1, low: float = 2100.0, high: float = 2510.0, step: float = 0.25) -> AbsorptionTable:
    """A table of transmittance by Beer and Lambert, of lines between two wavelengths (nm)."""
    rng = np.random.default_rng(seed)
    wavelength = np.arange(low, high, step)
    centres = np.concatenate([rng.normal(centre, spread, LINES) for centre, spread, _ in BRANCHES])
    strengths = np.repeat([strength for _, _, strength in BRANCHES], LINES) * rng.lognormal(0, 0.5, LINES * len(BRANCHES))
    depth = (strengths / (1 + ((wavelength[:, None] - centres) / HALF_WIDTH) ** 2)).sum(1)
    kernel = np.exp(-0.5 * (np.arange(-40, 41) * step / (WIDTH / 2.3548)) ** 2)
    depth = FAINTEST + depth * (STRONGEST - FAINTEST) / np.convolve(depth, kernel / kernel.sum(), "same").max()
    columns = np.array(COLUMNS)
    values = np.exp(-columns[:, None] * depth)
    return AbsorptionTable(values[None, None, None], wavelength, columns, dict.fromkeys(GEOMETRY, np.array([np.nan])), "simulated gas")


@dataclass(frozen=True, eq=False)
class GasScene:
    """Radiance under a plume.

    Attributes:
        radiance: W m-2 sr-1 um-1, float32, shape (bands, rows, cols).
        truth: ppm m, shape (rows, cols).
        wavelength: nm, shape (bands,).
        fwhm: nm, shape (bands,).
        table: what the gas takes away.
    """

    radiance: NDArray[np.float32]
    truth: Floats
    wavelength: Floats
    fwhm: Floats
    table: AbsorptionTable


def gas_scene(rows: int = 512, cols: int = 32, bands: int = 73, *, seed: int = 0, plume: int = 30, amount: float = 1000.0, noise: float = 0.002,
              stripes: float = 0.0, covers: int = 4, brightness: tuple[float, float] = (0.5, 1.5)) -> GasScene:  # fmt: skip
    """A push-broom scene of mixed ground in 2122 to 2488 nm, with a plume in each column.

    Args:
        rows: pixels along the flight.
        cols: detectors.
        bands: in the window, `WIDTH` wide.
        seed: of all but the gas, which is one.
        plume: pixels of each column that have the gas.
        amount: ppm m.
        noise: standard deviation as a share of the radiance.
        stripes: standard deviation of each detector's gain in each band.
        covers: mixed in each pixel, 1 to 4.
        brightness: of the pixels, drawn from here to there.
    """
    if not 1 <= covers <= 4:
        raise ValueError(f"covers is {covers}; give 1 to 4")
    rng = np.random.default_rng(seed)
    centres = np.linspace(2122.0, 2488.0, bands)
    table = gas_table()
    share = (centres - centres[0]) / (centres[-1] - centres[0])
    base = (2.0 - 1.2 * share) * (1 - 0.1 * np.exp(-0.5 * ((centres - 2205) / 20) ** 2))
    spectra = np.stack([np.ones(bands), 1 + 0.15 * np.sin(2.5 * share), 1 - 0.12 * np.exp(-0.5 * ((centres - 2340) / 25) ** 2), 1 + 0.1 * share**2])
    mixed = rng.dirichlet(np.full(covers, 0.8), (rows, cols)) @ spectra[:covers]
    radiance = mixed * base * rng.uniform(*brightness, (rows, cols, 1))
    truth = np.zeros((rows, cols))
    for col, first in enumerate(rng.integers(0, rows - plume + 1, cols)):
        truth[first : first + plume, col] = amount
    radiance *= _transmittance(table, centres, WIDTH, truth)
    radiance *= 1 + stripes * rng.standard_normal((1, cols, bands))
    radiance *= 1 + noise * rng.standard_normal(radiance.shape)
    return GasScene(radiance.transpose(2, 0, 1).astype(np.float32), truth, centres, np.full(bands, WIDTH), table)


def _transmittance(table: AbsorptionTable, centres: Floats, fwhm: float, truth: Floats) -> Floats:
    """What is left of each band's light, shape (rows, cols, bands): of the fine lines, so not the filter's own linear law."""
    sigma = fwhm / 2.3548
    weights = np.exp(-0.5 * ((table.wavelength - centres[:, None]) / sigma) ** 2)
    weights /= weights.sum(1, keepdims=True)
    depth = -np.log(table.radiance[0, 0, 0, 1]) / table.concentration[1]
    amounts, place = np.unique(truth, return_inverse=True)
    left = np.exp(-amounts[:, None] * depth) @ weights.T
    return np.asarray(left[place.reshape(truth.shape)], np.float64)
