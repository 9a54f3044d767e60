"""Support vector machine on single spectra: the classical reference, for a few labels and many bands.

Melgani and Bruzzone, 2004 (doi:10.1109/TGRS.2004.831865): one-against-rest machines with a Gaussian kernel. Bands are
standardised over the training pixels; a pixel gets the class of the highest decision value. Learned by scikit-learn, stored
as plain arrays and answered by torch: equal to `OneVsRestClassifier(SVC())`. Differs from the paper by the probabilities:
a softmax of the decision values with one temperature, fitted by cross-validation inside the labels.
Arithmetic is in float64: the sum over support vectors of weights up to C loses four digits, which float32 does not have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.method import Store
from hsikit.metrics.calibration import fit_temperature
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.samples import Samples, refuse_unknown, training_samples

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene

Floats = NDArray[np.float64]
VECTORS = 2048
"""Support vectors that the kernel is computed for at once: bounds the temporary arrays."""

CALIBRATION_PIXELS = 3000
"""The temperature is learned from at most this many pixels: it is a single number."""

USUAL: Mapping[str, float | str] = {"C": 100.0, "gamma": "scale"}


@dataclass(frozen=True, eq=False)
class Svm(PixelClassifier):
    """A trained machine. Arrays: band mean and deviation, support vectors, weight of each for each class, intercepts."""

    name: ClassVar[str] = "svm"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {"mean": ("C",), "scale": ("C",), "vectors": ("S", "C"), "weights": ("S", "K"), "intercepts": ("K",)}
    kinds: ClassVar[Mapping[str, tuple[type, ...]]] = {"kernel_width": (int, float), "temperature": (int, float)}

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Learns from labelled scenes.

        Args:
            scenes: see `PixelClassifier.train`.
            seed: which pixels the temperature is learned from.
            run: not needed.
            progress: not needed.
            options: `C` (100.0), `gamma` ("scale": 1 / (bands x variance); or a positive number).

        Raises:
            OptionError: C or gamma is not positive.
        """
        refuse_unknown(cls.name, options, USUAL)
        return cls.from_samples(training_samples(scenes), seed=seed, **options)

    @classmethod
    def from_samples(cls, samples: Samples, *, seed: int = 0, **options: Any) -> Self:
        """The same from spectra that were read already."""
        penalty, gamma = _checked(options.get("C", USUAL["C"]), options.get("gamma", USUAL["gamma"]))
        spectra, targets = samples.spectra.astype(np.float64), samples.targets
        temperature = _temperature(spectra, targets, len(samples.legend), penalty, gamma, seed)
        arrays = fit_machines(spectra, targets, len(samples.legend), penalty, gamma)
        width = float(arrays.pop("gamma"))
        return cls(samples.basis, samples.legend, arrays, {"C": penalty, "gamma": gamma, "kernel_width": width, "temperature": temperature})

    def decisions(self, spectra: Tensor) -> Tensor:
        """(n, K) decision values in float64; for two classes, the one machine's value with both signs."""
        import torch

        learned = self.tensors(spectra.device)
        scaled = spectra.to(torch.float64, copy=True).sub_(learned["mean"]).div_(learned["scale"])
        total = learned["intercepts"].expand(len(scaled), -1).clone()
        norm = torch.linalg.vector_norm(scaled, dim=1, keepdim=True).square_()
        for start in range(0, len(learned["vectors"]), VECTORS):
            vectors, weights = learned["vectors"][start : start + VECTORS], learned["weights"][start : start + VECTORS]
            distance = torch.addmm(torch.linalg.vector_norm(vectors, dim=1).square_(), scaled, vectors.T, alpha=-2.0).add_(norm).clamp_(min=0.0)
            total.addmm_(distance.mul_(-self.settings["kernel_width"]).exp_(), weights)
        return total

    def pixel_log_probabilities(self, spectra: Tensor, store: Store) -> Tensor:
        """(n, K) log-softmax of the decision values."""
        return (self.decisions(spectra) * float(self.settings["temperature"])).log_softmax(1).float()

    def check_arrays(self) -> None:
        """Raises ValueError where arrays or settings do not fit, or the kernel's width or the temperature is not positive."""
        super().check_arrays()
        for name in self.kinds:
            if not 0 < self.settings[name] < float("inf"):
                raise ValueError(f"setting {name!r} is {self.settings[name]}, not a positive number")

    def chunk_bytes(self) -> int:
        """Temporary memory of one chunk of pixels."""
        return self.chunk * 8 * (4 * len(self.basis.bands) + min(VECTORS, len(self.arrays["vectors"])) + 4 * len(self.legend))

    def pixel_flops(self) -> float:
        """Floating-point operations a pixel."""
        vectors = len(self.arrays["vectors"])
        return float(vectors * (2 * len(self.basis.bands) + 2 * len(self.legend) + 10))


def fit_machines(spectra: Floats, targets: NDArray[np.intp], classes: int, penalty: float, gamma: float | str) -> dict[str, NDArray[Any]]:
    """One machine a class (one in all for two classes), as the arrays of `Svm` and the kernel's `gamma`.

    Args:
        spectra: shape (n, C).
        targets: class positions 0 to K - 1, shape (n,), each of them at least once.
        classes: K.
        penalty: scikit-learn's C.
        gamma: the kernel's, or "scale".
    """
    from sklearn.svm import SVC

    mean, scale = spectra.mean(0), spectra.std(0)
    scale[scale < 10 * np.finfo(float).eps * np.maximum(1.0, np.abs(mean))] = 1.0
    scaled = (spectra - mean) / scale
    width = 1.0 / (spectra.shape[1] * (scaled.var() or 1.0)) if gamma == "scale" else float(gamma)
    weights, intercepts = np.zeros((len(spectra), classes)), np.zeros(classes)
    for k in range(classes) if classes > 2 else (1,):
        machine = SVC(C=penalty, gamma=width).fit(scaled, targets == k)
        weights[machine.support_, k] = machine.dual_coef_[0]
        intercepts[k] = machine.intercept_[0]
    if classes == 2:
        weights[:, 0], intercepts[0] = -weights[:, 1], -intercepts[1]
    used = np.flatnonzero(weights.any(1))
    return {"mean": mean, "scale": scale, "vectors": scaled[used], "weights": weights[used], "intercepts": intercepts, "gamma": np.array(width)}


def _temperature(spectra: Floats, targets: NDArray[np.intp], classes: int, penalty: float, gamma: float | str, seed: int) -> float:
    """The factor of the decision values that suits pixels which the machines have not seen: threefold inside the labels."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(len(targets))[:CALIBRATION_PIXELS]
    decisions, truth = [np.zeros((0, classes))], [np.zeros(0, np.intp)]
    for train, test in _folds(targets[drawn], classes, 3):
        fitted = fit_machines(spectra[drawn[train]], targets[drawn[train]], classes, penalty, gamma)
        decisions.append(_decide(fitted, spectra[drawn[test]]))
        truth.append(targets[drawn[test]])
    return 1 / fit_temperature(np.concatenate(decisions), np.concatenate(truth))


def _folds(targets: NDArray[np.intp], classes: int, folds: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Stratified folds; one that would train without a class is left out."""
    turn = np.zeros(len(targets), np.intp)
    for k in range(classes):
        mine = np.flatnonzero(targets == k)
        turn[mine] = np.arange(len(mine)) % folds
    for fold in range(folds):
        train, test = np.flatnonzero(turn != fold), np.flatnonzero(turn == fold)
        if len(test) and len(np.unique(targets[train])) == classes:
            yield train, test


def _decide(fitted: Mapping[str, NDArray[Any]], spectra: Floats) -> Floats:
    """Decision values (n, K) in NumPy, for a few thousand pixels."""
    from scipy.spatial.distance import cdist

    distance = cdist((spectra - fitted["mean"]) / fitted["scale"], fitted["vectors"], "sqeuclidean")
    return np.asarray(np.exp(-float(fitted["gamma"]) * distance) @ fitted["weights"] + fitted["intercepts"], np.float64)


def _checked(penalty: Any, gamma: Any) -> tuple[float, float | str]:
    """C and gamma as numbers ("scale" stays).

    Raises:
        OptionError: one of them is not positive.
    """
    try:
        numbers = float(penalty), gamma if gamma == "scale" else float(gamma)
    except (TypeError, ValueError):
        raise OptionError("svm", f"C={penalty!r}, gamma={gamma!r} are not numbers", "gamma may also be 'scale'") from None
    if not numbers[0] > 0 or (numbers[1] != "scale" and not float(numbers[1]) > 0):
        raise OptionError("svm", f"C={penalty!r}, gamma={gamma!r} must be positive")
    return numbers
