"""What the classes of a simulated scene are made of: recipes over the library's spectra, each object a little different."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.simulate.landscape import BROADLEAF, CEREAL, CONIFER, FALLOW, FINE, MEADOW, ROWCROP, SAND, SEALED, SOIL, WATER, Landscape
from hsikit.simulate.library import library

Floats32 = NDArray[np.float32]
Recipe = dict[str, float]

# (poor, lush): the two ends between which a pixel's vigour moves it. Shares of library spectra; what is missing to 1 is the
# shade inside a canopy.
RECIPES: dict[int, tuple[Recipe, Recipe]] = {
    SOIL: ({"soil": 0.9, "sand": 0.1}, {"soil": 0.7, "grass_dry": 0.15, "grass_green": 0.08}),
    BROADLEAF: (
        {"maple_leaf": 0.45, "grass_dry": 0.08, "spruce_needles": 0.05, "soil": 0.05},
        {"maple_leaf": 0.65, "walnut_leaf": 0.05, "spruce_needles": 0.05},
    ),
    CONIFER: (
        {"spruce_needles": 0.33, "maple_leaf": 0.12, "soil": 0.08, "grass_dry": 0.05},
        {"spruce_needles": 0.4, "maple_leaf": 0.22},
    ),
    FALLOW: ({"cheatgrass": 0.35, "soil": 0.4, "grass_dry": 0.2}, {"cheatgrass": 0.4, "grass_green": 0.3, "soil": 0.15, "grass_dry": 0.1}),
    MEADOW: ({"grass_green": 0.45, "grass_dry": 0.2, "cheatgrass": 0.2, "soil": 0.1}, {"grass_green": 0.85, "grass_dry": 0.05}),
    CEREAL: ({"grass_dry": 0.55, "soil": 0.35, "cheatgrass": 0.05}, {"grass_dry": 0.65, "cheatgrass": 0.2, "grass_green": 0.1}),
    ROWCROP: ({"walnut_leaf": 0.3, "grass_green": 0.1, "soil": 0.5}, {"walnut_leaf": 0.55, "grass_green": 0.2, "soil": 0.12}),
    SAND: ({"sand": 0.9, "soil": 0.1}, {"sand": 0.85, "grass_dry": 0.1}),
    SEALED: ({"asphalt": 0.45, "concrete": 0.3, "brick": 0.2}, {"asphalt": 0.35, "brick": 0.3, "concrete": 0.2, "grass_green": 0.1}),
    WATER: ({"water": 0.75}, {"water": 0.9}),
}
SHARE_SPREAD, PAVED_SPREAD = 0.55, 0.9
BRIGHTNESS_SPREAD = 0.12


@dataclass(frozen=True, eq=False)
class ObjectSpectra:
    """Spectra of every object at both ends of its vigour: two arrays of shape (objects, C), reflectance 0 to 1."""

    poor: Floats32
    lush: Floats32

    def mix(self, land: Landscape, rows: slice, cols: slice) -> Floats32:
        """Noise-free, evenly lit spectra of a window: what lies in each pixel, by area.

        Returns:
            Shape (rows, cols, C).
        """
        from scipy.sparse import csr_matrix

        fine = land.objects[rows.start * FINE : rows.stop * FINE, cols.start * FINE : cols.stop * FINE]
        height, width, cells = rows.stop - rows.start, cols.stop - cols.start, FINE * FINE
        members = fine.reshape(height, FINE, width, FINE).transpose(0, 2, 1, 3).ravel()
        shares = np.full(members.size, 1.0 / cells, np.float32)
        pixels = csr_matrix((shares, members, np.arange(0, members.size + 1, cells)), shape=(height * width, len(self.poor)))
        vigour = land.vigour[rows, cols].reshape(-1, 1)
        mixed = (pixels @ self.poor) * (1.0 - vigour) + (pixels @ self.lush) * vigour
        return np.asarray(mixed.reshape(height, width, -1), np.float32)


def object_spectra(land: Landscape, spectra: NDArray[np.float64], rng: np.random.Generator) -> ObjectSpectra:
    """Draws each object's own recipe around that of its class.

    Args:
        land: the plan.
        spectra: the library at the sensor's bands, shape (spectra, C).
        rng: where the differences between objects come from.
    """
    objects = len(land.object_class)
    spread = np.where(land.paved, PAVED_SPREAD, SHARE_SPREAD)[:, None]
    factors = np.exp(spread * rng.standard_normal((objects, len(spectra))))
    brightness = np.exp(BRIGHTNESS_SPREAD * rng.standard_normal((objects, 1)))
    ends = []
    for end in (0, 1):
        shares = _recipes(end)[land.object_class]
        varied = shares * factors
        varied *= shares.sum(axis=1, keepdims=True) / varied.sum(axis=1, keepdims=True)
        ends.append((brightness * (varied @ spectra)).astype(np.float32))
    return ObjectSpectra(*ends)


def _recipes(end: int) -> NDArray[np.float64]:
    """Shares by class code and library spectrum, shape (codes, spectra)."""
    names = library()[2]
    table = np.zeros((max(RECIPES) + 1, len(names)))
    for code, ends in RECIPES.items():
        for name, share in ends[end].items():
            table[code, names.index(name)] = share
    return table
