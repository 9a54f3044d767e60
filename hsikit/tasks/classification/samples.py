"""Training spectra out of labelled scenes: what every classifier starts from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import LabelError, OptionError
from hsikit.layers import Legend
from hsikit.spectral.gaps import fill_gaps, valid_spectra
from hsikit.tasks.classification.basis import Basis
from hsikit.train.extract import spectra_at
from hsikit.train.labelled import LabelledScene


@dataclass(frozen=True, eq=False)
class Samples:
    """Labelled pixels of all scenes, one after another.

    Attributes:
        basis: bands and quantity of the first scene, which the others match.
        legend: the classes that have pixels.
        spectra: float32 (n, C), none missing.
        codes: class codes (n,).
        scene: index of each pixel's scene (n,).
        rows, cols: where it lies (n,).
    """

    basis: Basis
    legend: Legend
    spectra: NDArray[np.float32]
    codes: NDArray[np.uint8]
    scene: NDArray[np.intp]
    rows: NDArray[np.intp]
    cols: NDArray[np.intp]

    @property
    def targets(self) -> NDArray[np.intp]:
        """Positions of the codes in the legend (n,)."""
        return np.searchsorted(np.array(self.legend.codes), self.codes)

    def thinned(self, most: int, seed: int) -> Samples:
        """At most so many pixels of each class, drawn at random."""
        keep = draw_per_class(self.codes, np.arange(len(self.codes)), most, seed)
        return replace(self, spectra=self.spectra[keep], codes=self.codes[keep], scene=self.scene[keep], rows=self.rows[keep], cols=self.cols[keep])


def training_samples(scenes: Sequence[LabelledScene], most: int | None = None, seed: int = 0) -> Samples:
    """Spectra of the labelled pixels that hold data.

    Args:
        scenes: one or more, of one sensor, with one legend.
        most: pixels of a class beyond this number are left out at random.
        seed: of that draw.

    Raises:
        LabelError: fewer than two classes are left.
        ModelError: scenes that differ in bands, quantity or units.
    """
    basis = Basis.of(scenes[0].source.info)
    parts = [spectra_at(s.source, s.rows, s.cols, basis.match(s.source.info)) for s in scenes]
    spectra = np.concatenate([np.asarray(part, np.float32) for part in parts])
    codes = np.concatenate([s.codes for s in scenes])
    keep = draw_per_class(codes, np.flatnonzero(valid_spectra(spectra) & ~np.isnan(spectra).all(1)), most, seed)
    index = np.repeat(np.arange(len(scenes)), [len(s.codes) for s in scenes])
    rows, cols = np.concatenate([s.rows for s in scenes]), np.concatenate([s.cols for s in scenes])
    legend = present_classes(scenes, codes[keep])
    return Samples(basis, legend, fill_gaps(spectra[keep], basis.bands.wavelength), codes[keep], index[keep], rows[keep], cols[keep])


def draw_per_class(codes: NDArray[np.uint8], usable: NDArray[np.intp], most: int | None, seed: int) -> NDArray[np.intp]:
    """At most so many of the usable pixels in each class, in their order."""
    if most is None:
        return usable
    rng = np.random.default_rng(seed)
    parts = [usable[codes[usable] == code] for code in np.unique(codes[usable])]
    return np.sort(np.concatenate([part if len(part) <= most else rng.choice(part, most, replace=False) for part in parts] or [usable]))


def present_classes(scenes: Sequence[LabelledScene], codes: NDArray[np.uint8]) -> Legend:
    """The legend without classes that have no pixel.

    Raises:
        LabelError: fewer than two classes.
    """
    found = set(np.unique(codes).tolist())
    legend = Legend(tuple(entry for entry in scenes[0].legend.classes if entry.code in found))
    if len(legend) < 2:
        names = ", ".join(sorted({s.name for s in scenes}))
        wrong = "no labelled pixel holds data" if not len(legend) else f"only one class, {legend.names[0]!r}, has labelled pixels that hold data"
        raise LabelError(names, wrong, "A classifier needs at least two classes")
    return legend


def spatial_halves(samples: Samples) -> list[NDArray[np.bool_]]:
    """Four masks of training pixels: each class cut in two equal halves, along its longer and its shorter side; each half once.

    What is not in a mask is what to test on. Classes with one pixel always train.
    """
    masks = [np.zeros(len(samples.codes), bool) for _ in range(4)]
    for code in samples.legend.codes:
        mine = np.flatnonzero(samples.codes == code)
        place = np.stack([samples.rows[mine], samples.cols[mine]])
        longer = int(np.ptp(place[1]) > np.ptp(place[0]))
        for fold, axis in enumerate((longer, 1 - longer)):
            order = mine[np.lexsort((place[1 - axis], place[axis], samples.scene[mine]))]
            half = len(order) // 2
            masks[2 * fold][order[:half]] = True
            masks[2 * fold + 1][order[half:]] = True
            if len(order) == 1:
                masks[2 * fold][order] = True
    return masks


def refuse_unknown(method: str, options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises OptionError where options are given that are not among a method's own."""
    own = list(known)
    strange = sorted(set(options) - set(own))
    if strange:
        raise OptionError(strange[0], f"{method} has no such training option", f"Its options are {', '.join(own)}" if own else "It has none")
