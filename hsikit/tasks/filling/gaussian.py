"""Filling by the scene's own covariance: what is missing is the mean of normal spectra given what is there, exactly.

For bands that some pixels lack and others have: stripes, saturated or dropped values. The covariance is that of all pixels without a gap, in
float64, less what is set aside for the check; each estimate has a standard deviation. Of a band that no pixel has, the scene says nothing:
such bands are refused, unless a library of spectra tells how they go with the others.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from hsikit.errors import OptionError, SceneError
from hsikit.method import Cost, Partial, Reduce, Stage, Store, Tile
from hsikit.spectral.conditional import Conditional, Regression, conditional_means
from hsikit.spectral.moments import merge_moments, moments
from hsikit.tasks.detection.background import CHUNK_PIXELS, RIDGE, checked_ridge, scene_moments, temporary_bytes
from hsikit.tasks.detection.target_spectra import TargetSpectra
from hsikit.tasks.filling.base import BandFilling, Estimate, Filling, View
from hsikit.tasks.filling.known import KNOWN
from hsikit.tasks.filling.library_statistics import LibraryStatistics, library_statistics

if TYPE_CHECKING:
    from torch import Tensor

STATISTICS = "covariance"
Read = tuple[Regression, "Tensor"]
"""Bands out of a library: the regression, and positions among the known bands of those that it takes."""


@dataclass(frozen=True)
class Gaussian(BandFilling):
    """The conditional mean under the scene's mean and covariance.

    Attributes:
        library: spectra at all bands of the scene, from which bands that no pixel has are estimated; without, these are refused.
        sigma: whether the standard deviation of each estimate is written too.
        ridge: share of the mean eigenvalue that is added to the covariance.
    """

    name: ClassVar[str] = "gaussian"
    holds: ClassVar[bool] = False

    library: TargetSpectra | None = None
    sigma: bool = False
    ridge: float = RIDGE

    def __post_init__(self) -> None:
        super().__post_init__()
        checked_ridge(self.ridge)

    @property
    def gives_deviation(self) -> bool:
        """See `BandFilling`."""
        return self.sigma

    def options(self) -> dict[str, Any]:
        """See `BandFilling`."""
        told = "" if self.library is None else hashlib.sha256(self.library.values.tobytes()).hexdigest()
        return {"ridge": self.ridge, "sigma": self.sigma, **({"library": self.library.source, "library_checksum": told} if self.library else {})}

    def learn(self, filling: Filling) -> tuple[Stage, ...]:
        """The fold of the covariance.

        Raises:
            OptionError: bands that no pixel has, and no library, or one that does not fit.
        """
        if filling.filled:
            if self.library is None:
                told = ", ".join(f"{filling.bands.wavelength[band]:.0f}" for band in filling.filled[:5]) + (", ..." if len(filling.filled) > 5 else "")
                wrong = f"{len(filling.filled)} bands ({told} nm) are missing in all pixels: the scene's covariance says nothing of them"
                raise OptionError("--method gaussian", wrong, "Take --method interpolate, or encoder with --base; or give a --library; or --keep-bad")
            self._statistics(filling)
        return (Reduce(STATISTICS, ("cube",), _updating(filling), merge_moments, lambda total, store: self._solve(total, filling, store)),)

    def _statistics(self, filling: Filling) -> LibraryStatistics:
        assert self.library is not None
        return library_statistics(self.library, filling.scene, filling.filled, filling.known)

    def _solve(self, found: Partial, filling: Filling, store: Store) -> Partial:
        """Mean (K,) and precision (K, K) of the known bands; empty where no pixel lacks any."""
        if not store[KNOWN]["missing"].any():
            return {"mean": found["mean"][:0], "precision": found["scatter"][:0, :0]}
        count, bands = float(found["count"]), len(filling.known)
        seen = store[KNOWN]["count"].cpu()
        if nowhere := [filling.bands.names[band] for band in filling.known if not seen[band]]:
            wrong = f"no pixel has these bands: {', '.join(nowhere[:5])}"
            raise SceneError(filling.scene.name, wrong, "Name their wavelengths with --bands, and take --method interpolate or encoder")
        if count <= bands:
            wrong = f"{count:.0f} pixels lack no band, which is too few for a covariance of {bands} bands"
            raise SceneError(filling.scene.name, wrong, "Take --method interpolate; or name the bands that most pixels lack with --bands")
        covariance = found["scatter"] / (count - 1)
        if not (level := float(covariance.diagonal().mean())) > 0:
            raise SceneError(filling.scene.name, "all of its valid pixels are equal", "Check the scene and its nodata value")
        loaded = covariance + self.ridge * level * torch.eye(bands, dtype=covariance.dtype)
        return {"mean": found["mean"], "precision": torch.cholesky_inverse(torch.linalg.cholesky(loaded))}

    def estimate(self, view: View, filling: Filling, store: Store) -> Estimate:
        """See `BandFilling`."""
        spectra, valid = view.values.flatten(1), view.valid.flatten()
        out = torch.full_like(spectra, float("nan"))
        deviation = torch.zeros_like(spectra)
        places = valid.nonzero()[:, 0]
        for part in torch.split(places, CHUNK_PIXELS):
            self._chunk(spectra[:, part].T.double(), part, out, deviation, view, filling, store)
        return Estimate(out.view_as(view.values), deviation.view_as(view.values))

    def _chunk(self, spectra: Tensor, part: Tensor, out: Tensor, deviation: Tensor, view: View, filling: Filling, store: Store) -> None:
        """Fills some pixels: first what each lacks of the known bands, then the bands that none has out of all of these."""
        known = torch.tensor(filling.known, device=spectra.device)
        values = spectra[:, known]
        learned = store[STATISTICS]
        variance = torch.zeros_like(values)
        gaps = list(conditional_means(values, learned["mean"], learned["precision"])) if len(learned["mean"]) else []
        for gap in gaps:
            values[gap.spectra[:, None], gap.bands] = gap.values
            variance[gap.spectra[:, None], gap.bands] = gap.covariance.diagonal()
        out[known[:, None], part] = values.T.float()
        deviation[known[:, None], part] = variance.clamp(min=0.0).sqrt().T.float()
        wanted = tuple(band for band in view.whole if band not in filling.left)
        if wanted:
            read, given = self._read(wanted, view, filling, spectra.device)
            weights, left = torch.from_numpy(read.weights).to(spectra.device), torch.from_numpy(read.variance).to(spectra.device)
            places = torch.tensor(wanted, device=spectra.device)[:, None]
            out[places, part] = (weights @ values[:, given].T).float()
            open_ = left[:, None].expand(-1, len(part)).clone()
            for gap in gaps:
                open_[:, gap.spectra] += _carried(gap, weights, given)[:, None]
            deviation[places, part] = open_.sqrt().float()

    def _read(self, wanted: tuple[int, ...], view: View, filling: Filling, device: torch.device) -> Read:
        """How bands that no pixel has follow from the others; found once for each set of bands."""
        key = (wanted, view.whole, device)
        if key not in filling.memo:
            there = tuple(band for band in filling.known if band not in set(view.whole))
            read, given = self._statistics(filling).read(wanted, there)
            filling.memo[key] = read, torch.from_numpy(np.searchsorted(filling.known, given)).to(device)
        found: Read = filling.memo[key]
        return found

    def estimate_cost(self, filling: Filling, tile: tuple[int, int]) -> Cost:
        """See `BandFilling`."""
        bands, pixels = len(filling.bands), tile[0] * tile[1]
        # The results; of a chunk of pixels values, variances, patterns and what is sorted of them; the fold and the inverse.
        chunk = CHUNK_PIXELS * bands * (4 * 8 + 8) + 4 * 8 * bands**2
        return Cost(2 * 4 * bands * pixels + chunk + temporary_bytes(bands, tile[1]) + 4 * bands * pixels, 4.0 * pixels * bands**2)


def _updating(filling: Filling) -> Any:
    """What a tile adds to the moments of the known bands: its pixels without a gap that are not set aside, where any are needed."""

    def update(tile: Tile, store: Store) -> Partial | None:
        values = tile.inner("cube")
        if not store[KNOWN]["missing"].any():
            return moments(values.new_zeros((0, len(filling.known)), dtype=torch.float64))
        known = values[list(filling.known)]
        complete = tile.inner_valid("cube") & ~torch.from_numpy(filling.aside.within(tile.core)).to(values.device) & ~known.isnan().any(0)
        return scene_moments(known, complete) or moments(values.new_zeros((0, len(filling.known)), dtype=torch.float64))

    return update


def _carried(gap: Conditional, weights: Tensor, given: Tensor) -> Tensor:
    """Variance that the estimates of a gap carry into bands that are read from them, shape (k,)."""
    place = {band: column for column, band in enumerate(given.tolist())}
    both = [(own, place[band]) for own, band in enumerate(gap.bands.tolist()) if band in place]
    if not both:
        return weights.new_zeros(len(weights))
    own, columns = ([pair[k] for pair in both] for k in (0, 1))
    share = weights[:, columns]
    return ((share @ gap.covariance[own][:, own]) * share).sum(1)
