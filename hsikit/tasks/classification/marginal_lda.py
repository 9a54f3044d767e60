"""A linear discriminant for any sensor: it keeps what classes look like to the sensor it was trained on, and reads that out for another.

With class means mu_k, their pooled covariance S and priors pi_k on the training sensor, a sensor whose bands are the weighted
sums R of the first one's sees class means R mu_k and covariance R S R' + N, where N is what instruments differ by beyond their
responses (`hsikit.spectral.sensor_change`). The discriminant in that metric is exact conditioning on what the sensor sees: no
label of it, no resampled scene, nothing trained again. Without N, a discriminant of narrow bands rests on differences that no
second instrument shares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import ModelError, OptionError
from hsikit.method import Cost, Job, Store, Tile
from hsikit.scene import QUANTITIES, SceneInfo
from hsikit.spectral.sensor_change import SensorChange, error_covariance, sensor_change
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.box_mean import box_mean
from hsikit.tasks.classification.mnf_lda import scene_transforms
from hsikit.tasks.classification.mnf_lda_choice import neighbourhood_means
from hsikit.tasks.classification.samples import refuse_unknown, training_samples
from hsikit.tasks.classification.shrinkage_lda import shrunk_covariance

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene

Floats = NDArray[np.float64]

WIDTH = 3
LEAST_SEEN = 0.1
"""The least share of the model's bands that another sensor must see."""
LEAST_BANDS = 3


@dataclass(frozen=True, eq=False)
class MarginalLda(PixelClassifier):
    """A trained model.

    Arrays: `means` (K, C) of each class's spatial means, `covariance` (C, C) pooled over classes, `priors` (K,), and
    `scene_mean` (C,), the mean spectrum of the training scenes.
    """

    name: ClassVar[str] = "marginal-lda"
    learned_unlabelled: ClassVar[str] = "the mean spectrum"
    reading: ClassVar[str] = "marginal LDA"
    """What reads the classes of another sensor out, in words."""

    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {"means": ("K", "C"), "covariance": ("C", "C"), "priors": ("K",), "scene_mean": ("C",)}
    kinds: ClassVar[Mapping[str, tuple[type, ...]]] = {"width": (int,)}

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Learns from labelled scenes, and the mean of all their pixels.

        Args:
            scenes: see `PixelClassifier.train`.
            seed: which pixels are kept where a class has more than 2000.
            run: the engine's `compute`, for the mean of whole scenes.
            progress: passed to `run`.
            options: `width` of the spatial mean in pixels: 1, 3 (the default), 5, ...

        Raises:
            OptionError: an unknown option, or a width that makes no sense.
        """
        refuse_unknown(cls.name, options, ("width",))
        width = options.get("width", WIDTH)
        if not isinstance(width, int) or isinstance(width, bool) or width < 1 or width % 2 == 0:
            raise OptionError("width", f"{width!r} is not the width of a square around a pixel", "Give an odd number, such as 3")
        basis = Basis.of(scenes[0].source.info)
        samples = training_samples(scenes, most=2000, seed=seed)
        spectra = neighbourhood_means(scenes, samples, {(False, width)})[False, width].astype(np.float64)
        mean = np.asarray(scene_transforms(scenes, basis, [False], run, progress)[False].mean, np.float64)
        arrays = {**class_statistics(spectra, samples.targets, len(samples.legend)), "scene_mean": mean}
        return cls(samples.basis, samples.legend, arrays, {"width": width})

    def change_to(self, info: SceneInfo) -> SensorChange:
        """From the model's bands to a scene's good ones.

        Raises:
            ModelError: another quantity, no wavelengths, or too little of what the model knows is seen.
        """
        if info.quantity != self.basis.quantity:
            wrong = f"its values are {info.quantity} ({info.units}); the model was trained on {self.basis.quantity} ({QUANTITIES[self.basis.quantity]})"
            raise ModelError(info.name, wrong, "Convert the scene, or train a model on scenes of its kind")
        bands = info.bands.take(info.bands.used)
        if not len(bands) or not bands.spectral:
            raise ModelError(info.name, "it has no wavelengths to compare with the model's", "Name them with --sensor or --wavelengths")
        change = sensor_change(self.basis.bands.wavelength, self.basis.bands.fwhm, bands.wavelength, bands.fwhm)
        require_seen(change, info.name)
        return change

    def seen_by(self, info: SceneInfo) -> ReadOut:
        """The discriminant for a scene's sensor.

        Raises:
            ModelError: see `change_to`.
        """
        change = self.change_to(info)
        seen, width = statistics_through(self.arrays, change), int(self.settings["width"])
        errors = error_covariance(change, self.basis.bands.wavelength, self.arrays["scene_mean"].astype(np.float64), width**2)
        weights, intercepts = normal_discriminant(seen["means"], seen["covariance"] + errors, seen["priors"])
        bands = info.bands.take(info.bands.used).take(change.used)
        settings = {"width": width, "bands_used": len(change.used), "share_seen": round(float(change.seen.mean()), 4)}
        return ReadOut(
            Basis(info.sensor, info.quantity, bands), self.legend, {"weights": weights, "intercepts": intercepts}, settings,
            extras=self.extras, unknown_below=self.unknown_below, temperature=self.temperature,
        )  # fmt: skip

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The job that maps a scene of any sensor that sees enough.

        Raises:
            ModelError: the scene's quantity is not the model's, or too little of what the model knows is seen.
        """
        job = self.seen_by(inputs["cube"]).bind(inputs)
        return replace(job, method=self.name, identity={**self.identity(), "read_out": job.identity["weights"]})

    @property
    def radius(self) -> int:
        """Radius of the spatial mean."""
        return int(self.settings["width"]) // 2


def require_seen(change: SensorChange, where: str) -> None:
    """Raises ModelError where another sensor sees too little of what a model knows."""
    if len(change.used) < LEAST_BANDS or change.seen.mean() < LEAST_SEEN:
        wrong = f"{len(change.used)} of its bands lie where the model's do, and see {change.seen.mean():.0%} of what the model knows"
        raise ModelError(where, wrong, f"Use a model of a like sensor: at least {LEAST_BANDS} bands and {LEAST_SEEN:.0%} are needed")


def class_statistics(spectra: Floats, targets: NDArray[np.intp], classes: int) -> dict[str, Floats]:
    """What normal classes are known by: `means` (K, C), pooled shrunk `covariance` (C, C) and `priors` (K,).

    Args:
        spectra: shape (n, C).
        targets: class positions 0 to K - 1, shape (n,), each of them at least once.
        classes: K.
    """
    priors = np.bincount(targets, minlength=classes) / len(targets)
    covariance = sum(priors[k] * shrunk_covariance(spectra[targets == k]) for k in range(classes))
    means = np.stack([spectra[targets == k].mean(0) for k in range(classes)])
    return {"means": means, "covariance": np.asarray(covariance), "priors": priors}


def statistics_through(arrays: Mapping[str, NDArray[Any]], change: SensorChange) -> dict[str, Floats]:
    """The arrays of a `MarginalLda` as another sensor sees them."""
    means, covariance, priors, scene_mean = (arrays[name].astype(np.float64) for name in ("means", "covariance", "priors", "scene_mean"))
    weights = change.weights
    return {"means": means @ weights.T, "covariance": weights @ covariance @ weights.T, "priors": priors, "scene_mean": weights @ scene_mean}


def normal_discriminant(means: Floats, covariance: Floats, priors: Floats) -> tuple[Floats, Floats]:
    """Weights (K, D) and intercepts (K,) of the logits of normal classes with one covariance (D, D)."""
    weights = np.asarray(np.linalg.solve(covariance, means.T).T, np.float64)
    return weights, np.log(priors) - 0.5 * (means * weights).sum(1)


@dataclass(frozen=True, eq=False)
class ReadOut(PixelClassifier):
    """A linear discriminant of spatial means for one sensor. Arrays: `weights` (K, C) and `intercepts` (K,)."""

    name: ClassVar[str] = "marginal-lda"
    chunk: ClassVar[int] = 2048
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {"weights": ("K", "C"), "intercepts": ("K",)}

    @property
    def radius(self) -> int:
        """Radius of the spatial mean."""
        return int(self.settings["width"]) // 2

    def log_probabilities(self, tile: Tile, store: Store) -> Tensor:
        """(K, rows, cols) log-softmax of the logits of the neighbourhoods' mean; NaN where not valid."""
        learned = self.tensors(tile.valid["cube"].device)
        logits = self.projected(tile, learned["weights"]) + learned["intercepts"][:, None, None]
        return logits.log_softmax(0).float().masked_fill_(~tile.inner_valid("cube"), float("nan"))

    def projected(self, tile: Tile, weights: Tensor) -> Tensor:
        """Products (M, rows, cols) of weights (M, C) with the spatial means of the tile's core, in double precision."""
        import torch

        values, valid = tile.arrays["cube"], tile.valid["cube"]
        numbers = torch.zeros(len(weights), valid.numel(), dtype=torch.float64, device=values.device)
        spectra = values.reshape(len(values), -1)
        for start in range(0, valid.numel(), self.chunk):
            part = slice(start, start + self.chunk)
            if valid.view(-1)[part].any():
                numbers[:, part] = weights @ spectra[:, part].double()
        return box_mean(numbers.view(-1, *valid.shape), valid, self.radius)

    def cost(self, tile_shape: tuple[int, int]) -> Cost:
        """Memory and work of one tile."""
        bands, classes, pixels = len(self.basis.bands), len(self.legend), tile_shape[0] * tile_shape[1]
        return Cost(max(pixels * 8 * 4 * classes, pixels * 8 * classes + self.chunk * bands * 8 * 3), pixels * 2.0 * bands * classes)
