"""Minimum noise fraction: components ordered by signal to noise, the noise in each of variance 1 and uncorrelated.

Green, Berman, Switzer and Craig, 1988 (doi:10.1109/36.3001). Noise is estimated from differences between neighbours, both of them
valid, halved in variance; `hsikit.spectral.mnf` says what differs from the paper. Stripes along the flight are noise across it:
differences along the rows see them, those along the columns do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from hsikit.errors import OptionError, SceneError
from hsikit.method import Halo, Partial, Tile
from hsikit.spectral.mnf import fold_bytes, mnf_moments, solve_mnf
from hsikit.spectral.moments import merge_moments
from hsikit.tasks.transformation.base import ComponentMethod, Components, Floats

NOISE: dict[str, Halo] = {"horizontal": (0, 1), "vertical": (1, 0), "both": (1, 1)}
"""Between which neighbours differences are taken, and how far around a tile that looks."""


@dataclass(frozen=True)
class MinimumNoiseFraction(ComponentMethod):
    """Minimum noise fraction.

    Attributes:
        components: how many are written; None: 20, or all of fewer bands.
        noise: "horizontal", "vertical" or "both": between which neighbours differences are taken.

    Raises:
        OptionError: a number of components below 1, or no such neighbours.
    """

    name: ClassVar[str] = "mnf"
    strength: ClassVar[str] = "total_over_noise_variance"
    unit: ClassVar[str] = "1"

    noise: str = "horizontal"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.noise not in NOISE:
            raise OptionError("noise", f"{self.noise!r} names no neighbours", f"Known are {', '.join(NOISE)}")

    @property
    def halo(self) -> Halo:
        """One pixel towards the neighbours."""
        return NOISE[self.noise]

    def gather(self, tile: Tile) -> Partial | None:
        """See `ComponentMethod`."""
        rows, cols = tile.cores["cube"]
        right, below = slice(cols.start, cols.stop + 1), slice(rows.start, rows.stop + 1)
        values, valid = tile.arrays["cube"], tile.valid["cube"]
        across = mnf_moments(values[:, rows, right], valid[rows, right], standardised=False) if self.noise != "vertical" else None
        if self.noise == "horizontal":
            return across
        along = mnf_moments(values[:, below, cols].transpose(1, 2), valid[below, cols].T, standardised=False)
        if across is None:
            return along
        noise = [{key: value for key, value in found.items() if key.startswith("noise_")} for found in (across, along)]
        return across | merge_moments(*noise)

    def solve(self, found: Mapping[str, Floats], scene: str) -> Components:
        """See `ComponentMethod`; strengths are total over noise variance.

        Raises:
            SceneError: fewer than two valid pixels, or none beside another.
        """
        total, pairs = float(found["total_count"]), float(found["noise_count"])
        if total < 2 or pairs < 1:
            raise SceneError(scene, f"{total:.0f} valid pixels with {pairs:.0f} neighbours are too few", "Check its nodata value and its mask")
        learned = solve_mnf(found["total_mean"], found["total_scatter"] / total, found["noise_scatter"] / pairs / 2)
        return Components(learned.mean, learned.vectors, learned.ratios)

    def gather_bytes(self, bands: int, tile: tuple[int, int]) -> int:
        """See `ComponentMethod`."""
        return fold_bytes(bands, 2 if self.noise == "both" else 1)

    def options(self) -> dict[str, Any]:
        """See `ComponentMethod`."""
        return {"noise": self.noise}
