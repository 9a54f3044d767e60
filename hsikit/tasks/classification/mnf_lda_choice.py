"""How `mnf-lda` chooses the number of components, the width of its mean, and raw or standardised spectra.

By cross-validation inside the labels, with spatially disjoint halves of each class: a random draw would favour wide means,
whose windows overlap from training to test. With few labels such scores are noisy, so the usual setting stays unless
another is better by more than one standard error of the paired difference (Breiman et al., "Classification and Regression
Trees", 1984: the one-standard-error rule).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.spectral.gaps import fill_gaps, valid_spectra
from hsikit.spectral.mnf import Mnf
from hsikit.spectral.standardise import standardise
from hsikit.tasks.classification.samples import Samples, refuse_unknown, spatial_halves
from hsikit.tasks.classification.shrinkage_lda import fit_lda
from hsikit.train.extract import windows_at

if TYPE_CHECKING:
    from hsikit.train.labelled import LabelledScene

BATCH_BYTES = 8 << 20
"""Of windows read at once; averaging them takes a dozen times as much."""

COMPONENTS, WIDTHS = (10, 20, 40, 60), (1, 3, 5, 7)


@dataclass(frozen=True)
class Setting:
    """Components of the transform, width of the spatial mean (pixels, odd), and whether spectra are standardised."""

    components: int = 40
    width: int = 5
    standardise: bool = True

    def to_json(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)


def parse_options(options: Mapping[str, Any], bands: int) -> dict[str, Any]:
    """What the user fixed.

    Raises:
        OptionError: an unknown option, or a value out of range.
    """
    fixed = {key: value for key, value in options.items() if value is not None}
    refuse_unknown("mnf-lda", fixed, (field.name for field in fields(Setting)))
    components, width, standardised = fixed.get("components", 1), fixed.get("width", 1), fixed.get("standardise", True)
    if not isinstance(components, int) or not 1 <= components <= bands:
        raise OptionError("components", f"{components!r} is not a whole number from 1 to {bands}, the number of bands")
    if not isinstance(width, int) or width < 1 or width % 2 == 0 or width > 99:
        raise OptionError("width", f"{width!r} is not an odd number from 1 to 99")
    if not isinstance(standardised, bool):
        raise OptionError("standardise", f"{standardised!r} is neither true nor false")
    return fixed


def candidates(fixed: Mapping[str, Any], bands: int) -> list[Setting]:
    """All settings to try, the usual one first: what is fixed stays; components go up to the bands."""
    most = max(1, bands - 1)  # a standardised spectrum has one dimension less than bands
    numbers = [fixed["components"]] if "components" in fixed else sorted({min(number, most) for number in COMPONENTS})
    widths = [fixed["width"]] if "width" in fixed else list(WIDTHS)
    kinds = [fixed["standardise"]] if "standardise" in fixed else [True, False]
    usual = Setting(fixed.get("components", min(40, most)), fixed.get("width", 5), fixed.get("standardise", True))
    every = [Setting(number, width, kind) for kind in kinds for width in widths for number in numbers]
    return [usual, *(setting for setting in every if setting != usual)]


def neighbourhood_means(scenes: Sequence[LabelledScene], samples: Samples, kinds: set[tuple[bool, int]]) -> dict[tuple[bool, int], NDArray[np.float64]]:
    """Spatial means (n, C) around the training pixels, over valid pixels; for each (standardised, width)."""
    radius = max(width for _, width in kinds) // 2
    means = {kind: np.empty(samples.spectra.shape) for kind in kinds}
    wavelength = samples.basis.bands.wavelength
    for number, scene in enumerate(scenes):
        mine = np.flatnonzero(samples.scene == number)
        bands = samples.basis.match(scene.source.info)
        for index, windows in windows_at(scene.source, samples.rows[mine], samples.cols[mine], bands, radius, budget=BATCH_BYTES):
            values, valid = filled_windows(windows, wavelength)
            for kind in {kind for kind, _ in kinds}:
                spectra = (standardise(values, 1) if kind else values).masked_fill_(~valid[:, None], 0.0)
                for width in {width for other, width in kinds if other == kind}:
                    cut = (..., slice(radius - width // 2, radius + width // 2 + 1), slice(radius - width // 2, radius + width // 2 + 1))
                    means[kind, width][mine[index]] = (spectra[cut].sum((-2, -1)) / valid[cut].sum((-2, -1))[:, None]).numpy()
    return means


def filled_windows(windows: NDArray[np.float32], wavelength: NDArray[np.float64]) -> tuple[Any, Any]:
    """Windows (m, C, w, w) in float64 with the few gaps of valid pixels interpolated, and which pixels are valid (m, w, w)."""
    import torch

    spectra = np.moveaxis(windows, 1, -1)
    shape = spectra.shape
    flat = np.ascontiguousarray(spectra.reshape(-1, shape[-1]))
    valid = valid_spectra(flat).reshape(shape[:-1])
    filled = np.moveaxis(fill_gaps(flat, wavelength).reshape(shape), -1, 1)
    return torch.from_numpy(np.ascontiguousarray(filled)).double(), torch.from_numpy(valid)


def choose(
    scenes: Sequence[LabelledScene], samples: Samples, transforms: Mapping[bool, Mnf], tried: Sequence[Setting], errors: float = 1.0
) -> tuple[Setting, float | None]:
    """The setting to use, and its accuracy in cross-validation (None where nothing was tried).

    Another than the first is used where it gains by more than so many standard `errors`.
    """
    if len(tried) == 1:
        return tried[0], None
    means = neighbourhood_means(scenes, samples, {(setting.standardise, setting.width) for setting in tried})
    right = {setting: _hits(samples, transforms[setting.standardise], means[setting.standardise, setting.width], setting.components) for setting in tried}
    usual = right[tried[0]]
    if not len(usual):
        return tried[0], None
    better = [setting for setting in tried[1:] if gain_is_clear(right[setting], usual, errors)]
    best = max(better, key=lambda setting: float(right[setting].mean()), default=tried[0])
    return best, float(right[best].mean())


def _hits(samples: Samples, transform: Mnf, means: NDArray[np.float64], components: int) -> NDArray[np.float64]:
    """Whether each held-out pixel was classified rightly, fold after fold."""
    return held_out_hits((means.astype(np.float32) - transform.mean) @ transform.vectors[:, :components], samples)


def held_out_hits(features: NDArray[np.float64], samples: Samples, fit: Callable[..., Any] = fit_lda) -> NDArray[np.float64]:
    """1 where a discriminant of features (n, M) is right about a pixel that was held out, else 0: one half of each class after the other.

    `fit` takes the arguments of `fit_lda`, and gives what it gives.
    """
    targets, hits = samples.targets, [np.zeros(0)]
    for train in spatial_halves(samples):
        test = ~train
        if len(np.unique(targets[train])) < len(samples.legend) or not test.any():
            continue
        weights, intercepts = fit(features[train], targets[train], len(samples.legend))
        hits.append((features[test] @ weights.T + intercepts).argmax(1) == targets[test])
    return np.concatenate(hits).astype(np.float64)


def gain_is_clear(hits: NDArray[np.float64], usual: NDArray[np.float64], errors: float) -> bool:
    """Whether the mean gain exceeds so many standard errors."""
    gain = hits - usual
    # Each pixel is held out in two folds, so only half the answers are independent.
    return bool(gain.mean() > errors * gain.std() / np.sqrt(len(gain) / 2))
