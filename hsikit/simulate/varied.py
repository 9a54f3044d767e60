"""Small scenes whose materials differ from scene to scene: what a network that must serve any scene is trained on.

The plan is that of `landscape`; what grows and lies there is new. A material is a mixture of library spectra, times a smooth curve, times
absorption features at places of their own, so that a dozen library spectra give thousands. Objects share the materials of a scene in
shares of their own; pixels mix at borders, and the sun lights a relief.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.simulate.landscape import Landscape, draw_landscape
from hsikit.simulate.library import resampled_library
from hsikit.simulate.light import cosine_of_incidence, diffuse_share, lit
from hsikit.simulate.materials import ObjectSpectra
from hsikit.simulate.noise import enmap_like

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]

PIXEL = 30.0
MATERIALS = (6, 25)
"""Materials of a scene: at least, and below."""
FEATURES = 5
"""Absorption features of a material are fewer than this."""
KINDS = 16
"""Kinds of objects in a scene."""
SHARE_SPREAD, BRIGHTNESS_SPREAD = 0.45, 0.1
OWN_SPREAD, OWN_LENGTHS = 0.03, (15.0, 400.0)
"""Deviation of what an object's spectrum differs by from all others, relative, and over which lengths (nm) it varies."""


@dataclass(frozen=True, eq=False)
class VariedScene:
    """A simulated scene in memory.

    Attributes:
        clean: reflectance without noise, shape (rows, cols, C).
        noisy: the same as a sensor delivers it.
        wavelength: band centres (nm), shape (C,).
        fwhm: widths (nm), shape (C,).
    """

    clean: Floats32
    noisy: Floats32
    wavelength: Floats
    fwhm: Floats


def draw_scene(side: int, wavelength: Floats, fwhm: Floats, seed: int | tuple[int, ...]) -> VariedScene:
    """Draws a scene of side x side pixels.

    Args:
        side: rows and columns, 32 or more.
        wavelength: band centres of the sensor (nm), ascending, shape (C,).
        fwhm: widths (nm), shape (C,).
        seed: of everything random; the same seed gives the same pixels.

    Raises:
        ValueError: a side below 32.
    """
    if side < 32:
        raise ValueError(f"side {side} is too small for a landscape: 32 pixels at least")
    rng = np.random.default_rng(seed)
    land = draw_landscape(side, side, rng)
    materials = draw_materials(wavelength, fwhm, int(rng.integers(*MATERIALS)), rng)
    spectra = _object_spectra(land, materials, wavelength, rng)
    slopes = cosine_of_incidence(np.float32(rng.uniform(0.0, 0.6)) * land.elevation, PIXEL, float(rng.uniform(20.0, 65.0)), float(rng.uniform(0.0, 360.0)))
    clean = lit(spectra.mix(land, slice(0, side), slice(0, side)), slopes * land.texture, diffuse_share(wavelength))
    noisy = enmap_like(wavelength, float(np.exp(rng.uniform(np.log(0.25), np.log(2.0))))).add(clean, rng)
    return VariedScene(clean, noisy, wavelength, fwhm)


def draw_materials(wavelength: Floats, fwhm: Floats, count: int, rng: np.random.Generator) -> Floats:
    """Reflectances of new materials, shape (count, C), 0 to 1."""
    known = resampled_library(wavelength, fwhm)
    shares = rng.dirichlet(np.full(len(known), 0.25), count)
    spectra = shares @ known
    length = np.exp(rng.uniform(np.log(40.0), np.log(500.0), count))
    for each, scale in zip(spectra, length, strict=True):
        each *= np.exp(rng.uniform(0.0, 0.5) * _smooth_curve(wavelength, scale, rng))
        for _ in range(int(rng.integers(FEATURES))):
            centre, width, depth = rng.uniform(wavelength[0], wavelength[-1]), np.exp(rng.uniform(np.log(8.0), np.log(90.0))), rng.uniform(0.02, 0.35)
            each *= 1.0 - depth * np.exp(-0.5 * ((wavelength - centre) ** 2 / (width**2 + (fwhm / 2.355) ** 2)))
    return np.clip(spectra, 0.001, 1.0)


def _smooth_curve(wavelength: Floats, length: float, rng: np.random.Generator) -> Floats:
    """A Gaussian process of unit variance along the wavelength, as a sum of waves with random phases."""
    waves = 24
    frequency = rng.standard_normal(waves) / length
    return np.asarray(np.sqrt(2.0 / waves) * np.cos(wavelength[:, None] * frequency + rng.uniform(0.0, 2 * np.pi, waves)).sum(1))


def _object_spectra(land: Landscape, materials: Floats, wavelength: Floats, rng: np.random.Generator) -> ObjectSpectra:
    """What each object is made of, at both ends of its vigour: kinds of objects are recipes, an object varies its kind's, by a curve of its own."""
    kinds, objects = KINDS, len(land.object_class)
    kind = rng.integers(0, kinds, objects)
    own = np.stack([_smooth_curve(wavelength, length, rng) for length in np.exp(rng.uniform(np.log(OWN_LENGTHS[0]), np.log(OWN_LENGTHS[1]), objects))])
    tints = OWN_SPREAD * (own + np.stack([_smooth_curve(wavelength, 60.0, rng) for _ in range(kinds)])[kind])
    brightness = np.exp(BRIGHTNESS_SPREAD * rng.standard_normal((objects, 1)) + rng.uniform(0.2, 1.0) * tints)
    factors = np.exp(SHARE_SPREAD * rng.standard_normal((objects, len(materials))))
    poor = rng.dirichlet(np.full(len(materials), 0.15), kinds)
    lush = 0.6 * poor + 0.4 * rng.dirichlet(np.full(len(materials), 0.15), kinds)
    ends = []
    for recipes in (poor, lush):
        shares = recipes[kind] * factors
        ends.append((brightness * (shares / shares.sum(1, keepdims=True) @ materials)).astype(np.float32))
    return ObjectSpectra(*ends)
