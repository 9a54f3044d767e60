"""Cases of products: a builder writes a tiny file with the true structure, and says what reading it must give.

A builder shares no code with the reader. `tests/sensors/test_products.py` holds every case to the same conditions, and
`python -m tests.products` prints them as a table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Grid


@dataclass
class Built:
    """A product on disk, and the truth.

    Attributes:
        path: what a user would open.
        truth: physical values, float32 (bands, rows, cols) in ascending order of wavelength, NaN where missing.
        wavelength: band centres (nm), ascending; NaN throughout for layers that are no spectrum.
        fwhm: widths (nm), or None where the product has none.
        quantity: a key of `hsikit.scene.QUANTITIES`.
        sensor: the name in the sensor tables, "" where there is none.
        grid: the map's grid for map products; None for a swath or a scene without a place.
        good: good bands, or None where nothing is said of them.
        longitude: of pixel centres, for a swath.
        latitude: the same.
        table: for a swath with a lookup table, (grid of the map, rows, cols) with -1 for nothing.
        quality: truth of each flag that the product can tell.
        acquired: start of the ISO 8601 time, or "".
        attrs: attributes that must be there, with their values; all of `hsikit.sensors.describe.PROVENANCE` that the files tell.
        names: of the bands, or None where they do not matter.
        options: keyword arguments for opening it.
        tolerance: of values, relative to the largest.
    """

    path: Path
    truth: NDArray[np.float32]
    wavelength: NDArray[np.float64]
    fwhm: NDArray[np.float64] | None = None
    quantity: str = "surface_reflectance"
    sensor: str = ""
    grid: Grid | None = None
    good: NDArray[np.bool_] | None = None
    longitude: NDArray[np.float64] | None = None
    latitude: NDArray[np.float64] | None = None
    table: tuple[Grid, NDArray[np.int64], NDArray[np.int64]] | None = None
    quality: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    acquired: str = ""
    attrs: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    tolerance: float = 1e-6


@dataclass(frozen=True)
class Case:
    """A product.

    Attributes:
        name: unique, "family-level-variant".
        driver: the reader's name in `hsikit.sensors.products.PRODUCTS`, or in `hsikit.sensors.formats.FORMATS`.
        build: writes it into an empty folder.
        state: what the product's reading was held against, where that is not the best state of its reader.
    """

    name: str
    driver: str
    build: Callable[[Path], Built]
    state: str = ""


def outside_water_vapour(nm: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which band centres (nm) lie outside the ranges in which water vapour absorbs."""
    return ~(((nm >= 1340) & (nm <= 1445)) | ((nm >= 1790) & (nm <= 1955)))
