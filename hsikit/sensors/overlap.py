"""Two detectors that see the same wavelengths (PRISMA, EnMAP, PACE), joined into one axis.

Kept twice, the bands of the overlap alternate between two instruments, and every derivative along the wavelength is broken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hsikit.geo.grid import Window
from hsikit.scene import Bands, Decoding, Floats, Handled, Indices, Raw, SceneInfo, Source

LEAST_STEP = 0.25
"""Least distance of two neighbouring bands of two detectors, in their widths."""


@dataclass(frozen=True, eq=False)
class Mix:
    """How the bands of a joined axis come out of the measured ones.

    Attributes:
        index: positions of up to three measured bands for each joined one, shape (D, 3).
        weight: their weights, shape (D, 3); 0 for a position that does not count.
    """

    index: Indices
    weight: Floats


def join_detectors(source: Source, shorter: Sequence[bool], how: str) -> Source:
    """A scene whose overlapping detectors are joined.

    Args:
        source: a scene with the bands of both detectors, in ascending order.
        shorter: for each of its bands, whether it is of the detector for the shorter wavelengths (VNIR).
        how: "vnir" or "swir" keep that detector's bands in the overlap; "keep" keeps both; "average" keeps the VNIR's band
            centres, and gives each the mean of its own value and of the SWIR's, interpolated at that centre, with weights that
            pass linearly from VNIR to SWIR along the overlap, so that there is no step at either end. Where one of the two is
            missing, the other stands alone.

    Returns:
        The same scene where nothing overlaps, or with `keep`.
    """
    bands = source.info.bands
    vnir = np.asarray(shorter, bool)
    usable = bands.good
    first, second = np.flatnonzero(vnir & usable), np.flatnonzero(~vnir & usable)
    if how == "keep" or not first.size or not second.size:
        return source
    low, high = float(bands.wavelength[second[0]]), float(bands.wavelength[first[-1]])
    inside = (bands.wavelength >= low) & (bands.wavelength <= high)
    if low > high or not (inside & vnir).any() or not (inside & ~vnir).any():
        return source
    # A band of the other detector just beyond the overlap would nearly repeat the last one that is kept; where both are averaged
    # it does no harm, since that one has passed over to the other detector.
    beyond = np.nan_to_num(bands.fwhm) * (0.0 if how == "average" else LEAST_STEP)
    reach = (low - beyond, high) if how == "swir" else (low, high + beyond)
    drop = (vnir if how == "swir" else ~vnir) & (bands.wavelength >= reach[0]) & (bands.wavelength <= reach[1])
    kept = np.flatnonzero(~drop)
    joined = Handled(f"the detectors overlap from {low:.0f} to {high:.0f} nm, where {_said(how)} (--detector-overlap)")
    info = source.info.with_(bands=bands.take(kept), notices=(*source.info.notices, joined))
    mix = _average(bands, kept, inside & vnir, second) if how == "average" else Mix(np.repeat(kept[:, None], 3, axis=1), np.eye(3)[[0] * len(kept)])
    return JoinedSource(source, info.with_(dtype="float32", nodata=None) if how == "average" else info, mix, how)


def _said(how: str) -> str:
    return {"vnir": "the bands of the VNIR are kept", "swir": "the bands of the SWIR are kept"}.get(how, "both are averaged at the bands of the VNIR")


def _average(bands: Bands, kept: Indices, shared: NDArray[np.bool_], second: Indices) -> Mix:
    index, weight = np.repeat(kept[:, None], 3, axis=1), np.eye(3)[[0] * len(kept)].copy()
    centres = bands.wavelength
    low, high = float(centres[second[0]]), float(centres[shared].max())
    for row in np.flatnonzero(shared[kept]):
        centre = float(centres[kept[row]])
        right = int(np.clip(np.searchsorted(centres[second], centre), 1, len(second) - 1)) if len(second) > 1 else 0
        left = max(0, right - 1)
        one, two = int(second[left]), int(second[right])
        part = 0.0 if one == two else float(np.clip((centre - centres[one]) / (centres[two] - centres[one]), 0.0, 1.0))
        swir = (centre - low) / (high - low) if high > low else 0.5
        index[row], weight[row] = (kept[row], one, two), (1 - swir, swir * (1 - part), swir * part)
    return Mix(index, weight)


class JoinedSource:
    """A scene whose bands are chosen from, or mixed out of, another's. Closing it closes that one."""

    def __init__(self, base: Source, info: SceneInfo, mix: Mix, how: str) -> None:

        self.info = replace(info, identity=(*info.identity, ("detector overlap", how)))
        self._base, self._mix, self.block = base, mix, base.block
        self._chosen = how != "average"

    def read(self, window: Window, bands: Indices) -> Raw:
        """Stored numbers of a window; see `hsikit.scene.Source`."""
        index, weight = self._mix.index[bands], self._mix.weight[bands]
        if self._chosen:
            return self._base.read(window, index[:, 0])
        needed = np.unique(index[weight > 0])
        values = np.empty((len(needed), *window.shape), np.float32)
        self._base.read(window, needed).decode(window, values)
        place = np.searchsorted(needed, np.where(weight > 0, index, needed[0]))
        out = np.empty((len(bands), *window.shape), np.float32)
        for k in range(len(bands)):
            out[k] = _mixed(values, place[k], weight[k])
        return Raw(out, window, Decoding())

    def close(self) -> None:
        """Closes the scene that is joined."""
        self._base.close()


def _mixed(values: NDArray[np.float32], place: Indices, weight: Floats) -> NDArray[np.float32]:
    """A weighted mean of what is measured."""
    used = np.flatnonzero(weight > 0)
    if len(used) == 1:
        alone: NDArray[np.float32] = values[place[used[0]]]
        return alone
    total, share = np.zeros(values.shape[1:]), np.zeros(values.shape[1:])
    for k in used:
        part = values[place[k]]
        known = ~np.isnan(part)
        total += np.where(known, part, 0.0) * weight[k]
        share += known * weight[k]
    mean: NDArray[np.float32] = np.full(share.shape, np.nan, np.float32)
    np.divide(total, share, out=mean, where=share > 0, casting="unsafe")
    return mean
