"""Bicubic interpolation of a cube onto a grid 2 to 8 times finer: the baseline of every super-resolution method.

For analysts who need a finer grid and nothing invented. Keys, "Cubic convolution interpolation for digital image processing",
1981 (doi:10.1109/TASSP.1981.1163711), a = -1/2. What differs: missing pixels are left out of the sums instead of spreading
(see `keys`), so that the fine scene has holes of exactly the coarse scene's shape.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from torch import Tensor

from hsikit.errors import OptionError
from hsikit.geo.relation import Relation
from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Map, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.tasks.superresolution.keys import REACH, resample, resample_bytes, taps

SMALLEST, LARGEST = 2, 8


@dataclass(frozen=True)
class Bicubic:
    """Bicubic interpolation.

    Attributes:
        zoom: fine pixels per pixel along each axis, 2 to 8.

    Raises:
        OptionError: another zoom.
    """

    name: ClassVar[str] = "bicubic"
    task: ClassVar[str] = "superresolution"
    roles: ClassVar[tuple[str, ...]] = ("cube",)

    zoom: int = 2

    def __post_init__(self) -> None:
        if not (isinstance(self.zoom, int) and SMALLEST <= self.zoom <= LARGEST):
            raise OptionError("--zoom", f"{self.zoom} is not a whole number from {SMALLEST} to {LARGEST}", "Choose one of these")

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "fine", float32, all of its bands and its spectral axis, `zoom` times finer."""
        scene = inputs["cube"]
        bands = scene.bands
        layer = Layer(
            "fine", bands=len(bands), unit=scene.units, description=f"cube interpolated to pixels {self.zoom} times smaller",
            band_names=bands.names, wavelength=bands.wavelength, fwhm=bands.fwhm, good=bands.good,
            sensor=scene.sensor, quantity=scene.quantity, zoom=Fraction(self.zoom),
        )  # fmt: skip
        return Job(
            method=self.name,
            identity={"zoom": self.zoom},
            reference="cube",
            inputs={"cube": Input(tuple(range(len(bands))), fill=False)},
            layers=(layer,),
            stages=(Map("interpolate", ("cube",), ("fine",), self._interpolate, halo=(REACH, REACH)),),
            cost=lambda tile: self._cost(len(bands), tile),
            provenance={"zoom": str(self.zoom), "kernel": "Keys cubic convolution, a = -1/2"},
        )

    def _cost(self, bands: int, tile: tuple[int, int]) -> Cost:
        fine = tile[0] * tile[1] * self.zoom**2
        return Cost(resample_bytes(bands, fine), 16.0 * bands * fine)

    def _interpolate(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values, window = tile.arrays["cube"], tile.windows["cube"]
        rows, cols = tile.inner_valid("cube").shape
        fine = Fraction(1, self.zoom)
        axes = []
        for axis, (first, count) in enumerate(((tile.core.row, rows), (tile.core.col, cols))):
            whole, remainder = Relation((fine, fine)).positions(first * self.zoom, count * self.zoom, 0)
            axes.append(taps(whole - window[axis], remainder, values.shape[1 + axis], values.device))
        return {"fine": resample(values, tile.valid["cube"], *axes)}
