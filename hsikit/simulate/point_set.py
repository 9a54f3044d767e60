"""A set of pictures with small objects of eight classes, like SPOD, drawn from a seed: on simulated landscapes, with spectra that are made up.

For experiments that anyone can repeat without data. Two classes are always smaller than a pixel, two are easily confused, and three are made
of several materials. Training and test pictures come from different landscapes under the same sensor; the spectra are the same. Pixels of an object
differ as those of a patch of water do in the first training landscape: by some 5 % in the blue and a quarter at 2400 nm, noise above all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.simulate.landscape import WATER, Landscape, draw_landscape
from hsikit.simulate.library import resampled_library
from hsikit.simulate.light import cosine_of_incidence, diffuse_share, lit
from hsikit.simulate.materials import object_spectra
from hsikit.simulate.noise import enmap_like
from hsikit.simulate.objects import ObjectClass, PlantedObject, Planting, draw_objects, lake_variation, plant

if TYPE_CHECKING:
    import xarray as xr

Floats = NDArray[np.float64]
BANDS, FIRST, LAST, FWHM = 30, 420.0, 2420.0, 45.0
"""Band centres are evenly spaced (nm)."""
SIDE, ALONG = 128, 3
"""Side of a picture; pictures along each side of a landscape that they are cut from."""
PIXEL, SUN_ZENITH, SUN_AZIMUTH = 30.0, 52.0, 145.0
SPECTRA_STREAM, LAND_STREAM, OBJECT_STREAM = range(3)
ACROSS = 10
"""Pictures in a row where a set is one scene."""
SHORE, PATCH = 3, 200
"""Pixels that a patch of water keeps from the land, and pixels of the patch."""


@dataclass(frozen=True, eq=False)
class PointSet:
    """Pictures and what is in them.

    Attributes:
        images: reflectance, float32, shape (n, C, rows, cols).
        objects: of each picture.
        classes: what the objects are.
        wavelength: band centres (nm), shape (C,).
        fwhm: widths (nm), shape (C,).
    """

    images: NDArray[np.float32]
    objects: tuple[tuple[PlantedObject, ...], ...]
    classes: tuple[ObjectClass, ...]
    wavelength: Floats
    fwhm: Floats


def simulate_points(count: int, *, seed: int = 0, part: str = "training", planting: Planting | None = None) -> PointSet:
    """Draws pictures of 128 x 128 pixels and 30 bands.

    Args:
        count: pictures.
        seed: of everything; the spectra of the classes follow from it alone.
        part: a name, such as "training" or "test": other parts have other landscapes and objects.
        planting: how many objects, and how varied; as varied as water unless told.

    Raises:
        OptionError: no picture, or a seed below 0.
    """
    for option, value, least in (("--pictures", count, 1), ("--seed", seed, 0)):
        if value < least:
            raise OptionError(option, f"{value} is too small", f"Give {least} or more")
    wavelength, fwhm = np.linspace(FIRST, LAST, BANDS), np.full(BANDS, FWHM)
    classes = eight_classes(wavelength, np.random.default_rng([seed, SPECTRA_STREAM]))
    name = _stream(part)
    images = np.empty((count, BANDS, SIDE, SIDE), np.float32)
    for first in range(0, count, ALONG**2):
        _, land = _landscape(wavelength, fwhm, np.random.SeedSequence([seed, LAND_STREAM, name, first]))
        for number in range(first, min(count, first + ALONG**2)):
            row, col = divmod(number - first, ALONG)
            images[number] = land[:, row * SIDE : (row + 1) * SIDE, col * SIDE : (col + 1) * SIDE]
    planting = planting or _as_water(wavelength, fwhm, seed)
    objects = []
    for number in range(count):
        drawn = draw_objects((SIDE, SIDE), classes, planting, np.random.default_rng([seed, OBJECT_STREAM, name, number]))
        plant(images[number], drawn)
        objects.append(tuple(drawn))
    return PointSet(images, tuple(objects), classes, wavelength, fwhm)


def eight_classes(wavelength: Floats, rng: np.random.Generator) -> tuple[ObjectClass, ...]:
    """Classes like SPOD's, of spectra that are made up.

    Args:
        wavelength: band centres (nm), shape (C,).
        rng: where the spectra come from.
    """
    spectra = [made_up_spectrum(wavelength, rng) for _ in range(11)]
    near = spectra[3] * (1 + 0.12 * np.exp(-(((wavelength - 1700.0) / 180.0) ** 2)) - 0.12 * np.exp(-(((wavelength - 800.0) / 150.0) ** 2)))
    grown, faint = (1, 2, 3, 4), (0,)
    return (
        ObjectClass("C1", spectra[0][None], faint),
        ObjectClass("C2", spectra[1][None], faint),
        ObjectClass("C3", spectra[2][None], grown),
        ObjectClass("C4", spectra[3][None], grown),
        ObjectClass("C5", near[None], grown),
        ObjectClass("C6", np.stack(spectra[4:6]), grown),
        ObjectClass("C7", np.stack(spectra[6:8]), grown),
        ObjectClass("C8", np.stack(spectra[8:11]), grown, "parts"),
    )


def made_up_spectrum(wavelength: Floats, rng: np.random.Generator) -> Floats:
    """A smooth reflectance of 0.05 to 0.6 with a few broad absorptions, shape (C,)."""
    along = (wavelength - FIRST) / (LAST - FIRST)
    base = np.full(along.shape, 0.5)
    for k in (1, 2, 3):
        base = base + rng.normal(0, 0.35) / k * np.sin(np.pi * k * along + rng.uniform(0, 2 * np.pi))
    for _ in range(int(rng.integers(2, 5))):
        base = base * (1 - rng.uniform(0.15, 0.5) * np.exp(-(((along - rng.uniform(0, 1)) / rng.uniform(0.03, 0.1)) ** 2)))
    low, high = base.min(), base.max()
    return np.asarray(0.05 + (rng.uniform(0.35, 0.6) - 0.05) * (base - low) / (high - low))


def as_scene(points: PointSet, across: int = ACROSS) -> tuple[xr.DataArray, list[PlantedObject]]:
    """A set as one scene: its pictures side by side, row by row, without a place on Earth; what is left of the last row is missing.

    Args:
        points: the set.
        across: pictures in a row.

    Returns:
        A cube, and the objects in its rows and columns.
    """
    import xarray as xr

    count = len(points.images)
    across = min(across, count)
    high, side = -(-count // across), points.images.shape[2]
    values, moved = np.full((points.images.shape[1], high * side, across * side), np.nan, np.float32), []
    for number, (image, objects) in enumerate(zip(points.images, points.objects, strict=True)):
        row, col = (side * place for place in divmod(number, across))
        values[:, row : row + side, col : col + side] = image
        moved += [replace(planted, pixels=planted.pixels + np.array((row, col))) for planted in objects]
    axis = "wavelength"
    coords = {axis: (axis, points.wavelength, {"units": "nm"}), "fwhm": (axis, points.fwhm, {"units": "nm"})}
    return xr.DataArray(values, dims=(axis, "y", "x"), coords=coords, attrs={"quantity": "surface_reflectance"}, name="points"), moved


def _stream(part: str) -> int:
    """What chance begins with for a part; another for every name."""
    return int.from_bytes(part.encode(), "big")


def _as_water(wavelength: Floats, fwhm: Floats, seed: int) -> Planting:
    """Objects as varied as the pixels of the largest water of the first training landscape, around its middle."""
    from scipy.ndimage import binary_erosion, label

    plan, land = _landscape(wavelength, fwhm, np.random.SeedSequence([seed, LAND_STREAM, _stream("training"), 0]))
    waters, _ = label(binary_erosion(plan.truth() == WATER, iterations=SHORE))
    rows, cols = np.nonzero(waters == np.bincount(waters[waters > 0]).argmax())
    nearest = np.argsort((rows - np.median(rows)) ** 2 + (cols - np.median(cols)) ** 2, kind="stable")[:PATCH]
    common, banded = lake_variation(land[:, rows[nearest], cols[nearest]].T.astype(np.float64))
    return Planting(common=common, banded=banded)


def _landscape(wavelength: Floats, fwhm: Floats, seed: np.random.SeedSequence) -> tuple[Landscape, NDArray[np.float32]]:
    """A landscape, and how the sensor sees it, without its hole, shape (C, rows, cols)."""
    side = ALONG * SIDE
    land_rng, spectra_rng, noise_rng = (np.random.default_rng(s) for s in seed.spawn(3))
    land = draw_landscape(side, side, land_rng)
    objects = object_spectra(land, resampled_library(wavelength, fwhm), spectra_rng)
    slopes = cosine_of_incidence(land.elevation, PIXEL, SUN_ZENITH, SUN_AZIMUTH)
    cosine = np.where(land.truth() == WATER, np.float32(1.0), slopes) * land.texture
    everything = slice(0, side)
    clean = lit(objects.mix(land, everything, everything), cosine.astype(np.float32), diffuse_share(wavelength))
    return land, np.ascontiguousarray(enmap_like(wavelength).add(clean, noise_rng).transpose(2, 0, 1))
