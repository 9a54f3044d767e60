"""Brovey pansharpening: every band of the cube times the ratio of the panchromatic image to the cube's own intensity.

For analysts who want a sharp picture at once; ratios between bands, and so spectral angles, stay those of the cube. Gillespie,
Kahle and Walker, "Color enhancement of highly correlated images. II", 1987 (doi:10.1016/0034-4257(87)90088-5). What differs:

* Intensity is the mean of the cube's good bands under the panchromatic response, so that bands in the SWIR do not count.
* The panchromatic image may have any unit. It is averaged over the cube's pixels (exact shares of area), and one gain and one
  offset for the whole scene give these averages the mean and standard deviation of the cube's intensity. Matching at the
  cube's scale keeps the gain from being pulled down by detail that the cube cannot show.
* The cube is put onto the fine grid by Keys' cubic convolution at exact positions, holes left out.
* The ratio is bounded: intensity below a twentieth of its mean counts as a twentieth, and the ratio stays within 0 to 10.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from hsikit.errors import GridError, OptionError, SceneError, WavelengthError
from hsikit.geo.grid import Window
from hsikit.geo.relation import Relation, relate
from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Map, Partial, Reduce, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments, moments
from hsikit.tasks.pansharpening.average import average_over
from hsikit.tasks.superresolution.keys import resample, resample_bytes, taps

PAN_RANGE = (400.0, 700.0)
"""Response (nm) of a panchromatic image that says nothing of its own."""
HALO = 3
"""Cube pixels around a tile: the kernel reaches 2 beyond the pixel of a position, and borders are rounded by up to half a pixel."""
FLOOR = 0.05
LARGEST_RATIO = 10.0
COVERED = 1 - 1e-6
"""Share of a cube pixel that must be seen in the panchromatic image for the pixel to count in the matching."""


@dataclass(frozen=True)
class Brovey:
    """Brovey pansharpening.

    Attributes:
        pan_range: first and last wavelength (nm) of the panchromatic response; None: as the image's metadata say (centre and
            FWHM), else 400 to 700.

    Raises:
        OptionError: a range that is not ascending.
    """

    name: ClassVar[str] = "brovey"
    task: ClassVar[str] = "pansharpening"
    roles: ClassVar[tuple[str, ...]] = ("hs", "pan")

    pan_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.pan_range is not None and not 0 < self.pan_range[0] < self.pan_range[1]:
            raise OptionError("--pan-range", f"{self.pan_range[0]:g} {self.pan_range[1]:g} is not an ascending range", "Give two wavelengths in nm: 450 700")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for a cube and a panchromatic image: layer "sharp", float32, on the panchromatic grid.

        Raises:
            SceneError: the panchromatic image has several bands.
            WavelengthError: no good band of the cube lies under the panchromatic response.
            GridError: the grids do not fit, or the panchromatic pixels are larger than the cube's.
        """
        cube, pan = inputs["hs"], inputs["pan"]
        if len(pan.bands) != 1:
            raise SceneError(pan.name, f"a panchromatic image has one band, this one has {len(pan.bands)}", "Extract one band, or give another file")
        relation = relate(pan.grid, cube.grid, (pan.name, cube.name))
        if max(relation.zoom) > 1:
            raise GridError(pan.name, f"its pixels are larger than those of {cube.name}", "Check which file is the cube and which the panchromatic image")
        response, origin = self._response(pan)
        return _Sharpening(relation, cube, under_response(cube, response, pan.name)).job(self.name, response, origin)

    def _response(self, pan: SceneInfo) -> tuple[tuple[float, float], str]:
        """First and last wavelength of the panchromatic response, and where that was taken from."""
        if self.pan_range is not None:
            return self.pan_range, "option"
        centre, fwhm = float(pan.bands.wavelength[0]), float(pan.bands.fwhm[0])
        if math.isfinite(centre) and math.isfinite(fwhm) and fwhm > 0:
            return (centre - fwhm / 2, centre + fwhm / 2), "metadata"
        return PAN_RANGE, "assumed: the image does not name its response"


def under_response(cube: SceneInfo, response: tuple[float, float], pan_name: str) -> tuple[int, ...]:
    """Positions of the cube's good bands whose centres lie within a response (nm).

    Raises:
        WavelengthError: there are none.
    """
    wavelength = cube.bands.wavelength
    index = np.flatnonzero(cube.bands.good & (wavelength >= response[0]) & (wavelength <= response[1]))
    if not len(index):
        wrong = f"none of its good bands lies under the response of {pan_name} ({response[0]:g} to {response[1]:g} nm)"
        raise WavelengthError(cube.name, wrong, "Name the response with --pan-range, in nm")
    return tuple(int(i) for i in index)


@dataclass(frozen=True, eq=False)
class _Sharpening:
    """The two stages for one pair.

    Attributes:
        relation: of the panchromatic grid to the cube's.
        cube: facts of the cube.
        seen: positions of the bands that make the intensity.
    """

    relation: Relation
    cube: SceneInfo
    seen: tuple[int, ...]

    def job(self, name: str, response: tuple[float, float], origin: str) -> Job:
        bands, scene = self.cube.bands, self.cube
        layer = Layer(
            "sharp", bands=len(bands), unit=scene.units, description="cube sharpened by a panchromatic image", band_names=bands.names,
            wavelength=bands.wavelength, fwhm=bands.fwhm, good=bands.good, sensor=scene.sensor, quantity=scene.quantity,
        )  # fmt: skip
        around = tuple(math.ceil(1 / zoom / 2) + 1 for zoom in self.relation.zoom)
        return Job(
            method=name,
            identity={"pan_range": list(response), "zoom": [str(z) for z in self.relation.zoom], "phase": [str(p) for p in self.relation.phase]},
            reference="pan",
            inputs={"hs": Input(tuple(range(len(bands))), fill=False), "pan": Input((0,), fill=False)},
            layers=(layer,),
            stages=(
                Reduce("match", ("hs", "pan"), self._measure, merge_moments, self._match, halo={"pan": (around[0], around[1])}),
                Map("sharpen", ("hs", "pan"), ("sharp",), self._sharpen, halo={"hs": (HALO, HALO)}),
            ),
            cost=self._cost,
            provenance={
                "pan_range_nm": f"{response[0]:g} {response[1]:g} ({origin})",
                "intensity_bands": " ".join(str(i + 1) for i in self.seen),
                "zoom": " x ".join(str(1 / z) for z in self.relation.zoom),
            },
        )

    def _cost(self, tile: tuple[int, int]) -> Cost:
        fine = tile[0] * tile[1]
        coarse = int(fine * self.relation.zoom[0] * self.relation.zoom[1]) + 1
        # Matching: the panchromatic tile and its mask in float64 with their prefix sums; the cube's bands in float32 and float64.
        matching = 8 * 8 * fine + 12 * (len(self.seen) + 4) * coarse
        sharpening = resample_bytes(len(self.cube.bands), fine) + 4 * 4 * fine
        return Cost(max(matching, sharpening), 20.0 * len(self.cube.bands) * fine)

    def _measure(self, tile: Tile, store: Store) -> Partial:
        """Moments of the pairs (panchromatic average, intensity) of the cube pixels that belong to the tile."""
        own = self.relation.window(tile.core).intersect(self.cube.grid.whole)
        rows, cols = own.slices(tile.windows["hs"][:2])
        intensity = tile.arrays["hs"][:, rows, cols][list(self.seen)].double().mean(0)
        average, covered = self._averages(tile, own)
        both = tile.valid["hs"][rows, cols] & intensity.isfinite() & (covered >= COVERED)
        return moments(torch.stack((average[both], intensity[both]), 1))

    def _averages(self, tile: Tile, own: Window) -> tuple[Tensor, Tensor]:
        """Panchromatic averages over cube pixels, and the share of each that is there."""
        pan, window = tile.arrays["pan"][0].double(), tile.windows["pan"]
        there = tile.valid["pan"] & pan.isfinite()
        values = torch.stack((pan.masked_fill(~there, 0.0), there.double()))
        back = self.relation.inverse
        for axis in (0, 1):
            whole, remainder = back.borders(own[axis], own.shape[axis] + 1, 0 if axis == 0 else 1)
            values = average_over(values, whole - window[axis], remainder, 1 + axis)
        return values[0], values[1]

    def _match(self, found: Partial, store: Store) -> Partial:
        """Gain and offset that give the averages the mean and deviation of the intensity."""
        if not bool(found["count"] > 0):
            raise SceneError(self.cube.name, "no pixel is valid in both scenes", "Check their nodata values and the area that they share")
        deviation = (found["scatter"].diagonal() / found["count"]).sqrt()
        mean = found["mean"]
        if not bool(deviation[0] > 1e-9 * mean[0].abs()):
            raise SceneError("pan", "it is constant over the scene", "Check that the file is a panchromatic image")
        if not bool(mean[1] > 0):
            raise SceneError(self.cube.name, f"its mean intensity is {float(mean[1]):.4g}: a ratio needs values above 0", "Give radiance or reflectance")
        gain = deviation[1] / deviation[0]
        correlation = found["scatter"][0, 1] / (found["scatter"][0, 0] * found["scatter"][1, 1]).sqrt()
        return {"gain": gain, "offset": mean[1] - gain * mean[0], "intensity": mean[1], "correlation": correlation}

    def _sharpen(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values, window = tile.arrays["hs"], tile.windows["hs"]
        pan = tile.inner("pan")[0]
        axes = []
        for axis, first in enumerate((tile.core.row, tile.core.col)):
            whole, remainder = self.relation.positions(first, pan.shape[axis], 0 if axis == 0 else 1)
            axes.append(taps(whole - window[axis], remainder, values.shape[1 + axis], values.device))
        sharp = resample(values, tile.valid["hs"], *axes)
        match = {key: float(value) for key, value in store["match"].items()}
        matched = pan * match["gain"] + match["offset"]
        # A pixel that lacks one of the bands under the response has no intensity, so it is missing in every band.
        intensity = sharp[self.seen[0]].clone()
        for band in self.seen[1:]:
            intensity += sharp[band]
        intensity /= len(self.seen)
        ratio = matched / intensity.clamp_(min=FLOOR * match["intensity"])
        return {"sharp": sharp.mul_(ratio.clamp_(0.0, LARGEST_RATIO))}
