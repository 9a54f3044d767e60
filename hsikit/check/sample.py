"""A sample of a scene's pixels, for the checks that look at numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsikit.scene import Source
from hsikit.sensors.inspection import sample_windows

MOST_SPECTRA = 20_000
EACH_WINDOW = 2_000
ENOUGH_BANDS = 3
"""From which on a pixel with one number in all its bands cannot be a measurement."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SceneSample:
    """Pixels spread over a scene.

    Attributes:
        spectra: physical values of at most 20,000 pixels that hold anything, float32 (n, bands), NaN where missing.
        missing: share of the sampled pixels without any value.
        alike: stored numbers that fill all bands of a pixel, each with its share of the sampled pixels, the largest first; empty
            for scenes of fewer than three bands.
    """

    spectra: Floats
    missing: float
    alike: tuple[tuple[float, float], ...]

    def percentile(self, rank: float) -> NDArray[np.float64]:
        """Of each band, shape (bands,); NaN where it holds nothing."""
        found = np.full(self.spectra.shape[1], np.nan)
        held = np.isfinite(self.spectra).any(axis=0)
        if held.any():
            found[held] = np.nanpercentile(self.spectra[:, held], rank, axis=0)
        return found


def take_sample(source: Source) -> SceneSample:
    """Reads the windows of `sensors.inspection.sample_windows`, at most some 48 MiB of stored numbers.

    Raises:
        SceneError: the scene is truncated or damaged.
    """
    bands, rng = np.arange(len(source.info.bands)), np.random.default_rng(0)
    kept: list[Floats] = []
    alike: Counter[float] = Counter()
    total = empty = 0
    for window in sample_windows(source):
        raw = source.read(window, bands)
        values = np.empty((len(bands), *window.shape), np.float32)
        raw.decode(window, values)
        spectra, stored = values.reshape(len(bands), -1).T, raw.values.reshape(len(bands), -1)
        held = np.asarray(np.isfinite(spectra).any(axis=1))
        total, empty = total + len(spectra), empty + int((~held).sum())
        if len(bands) >= ENOUGH_BANDS:
            same = held & (stored == stored[:1]).all(axis=0)
            numbers, counts = np.unique(stored[0, same], return_counts=True)
            alike.update(dict(zip(numbers.tolist(), counts.tolist(), strict=True)))
        chosen = np.flatnonzero(held)
        kept.append(spectra[rng.permutation(chosen)[:EACH_WINDOW]])
    joined = np.concatenate(kept)
    if len(joined) > MOST_SPECTRA:
        joined = joined[rng.permutation(len(joined))[:MOST_SPECTRA]]
    shares = tuple((float(number), count / total) for number, count in alike.most_common())
    return SceneSample(joined, empty / max(1, total), shares)
