"""Three classifiers for any sensor, as one: marginal LDA and two small networks, whose class probabilities are averaged.

The networks (`hsikit.tasks.classification.sensor_lessons`) learn once, through instruments drawn by chance, and read a sensor's
values through linear maps that follow from its bands. So the answer for a sensor, or for another, needs no label and no training of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import ModelError
from hsikit.method import Cost, Job, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.sensor_change import SensorChange, error_covariance
from hsikit.spectral.wiener import wiener_estimate
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.marginal_lda import WIDTH, MarginalLda, ReadOut, class_statistics
from hsikit.tasks.classification.mnf_lda_choice import neighbourhood_means
from hsikit.tasks.classification.samples import refuse_unknown, training_samples
from hsikit.tasks.classification.scene_moments import scene_moments
from hsikit.tasks.telling import teller

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.layers import Legend
    from hsikit.train.labelled import LabelledScene

Floats = NDArray[np.float64]

PER_CLASS = 2000
NETWORKS = WIENER, HYPER = "wiener.", "hyper."
"""What the names of the networks' arrays begin with."""


@dataclass(frozen=True, eq=False)
class SensorEnsemble(PixelClassifier):
    """A trained model.

    Arrays: those of `MarginalLda`; `scene_covariance` (C, C) of 3 x 3 means of the training scenes; `axes` (C, P) of its principal
    components; `wiener.*` and `hyper.*`, the networks.
    """

    name: ClassVar[str] = "sensor-ensemble"
    learned_unlabelled: ClassVar[str] = "mean and covariance of the bands"
    reading: ClassVar[str] = "marginal LDA and two networks"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {**MarginalLda.shapes, "scene_covariance": ("C", "C"), "axes": ("C", "P")}

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Learns from labelled scenes, and from mean and covariance of a lattice of all their pixels.

        Args:
            scenes: see `PixelClassifier.train`.
            seed: of the networks, and which pixels are kept where a class has more than 2000.
            run: not used.
            progress: told of the networks' steps.
            options: none.

        Raises:
            OptionError: any option.
            ModelError: scenes without wavelengths, or without a valid pixel.
        """
        refuse_unknown(cls.name, options, ())
        samples = training_samples(scenes, most=PER_CLASS, seed=seed)
        if not samples.basis.bands.spectral:
            raise ModelError(scenes[0].name, "it has no wavelengths, and no other sensor can be told of it", "Name them with --sensor or --wavelengths")
        moments = scene_moments([scene.source for scene in scenes], samples.basis)
        if moments is None:
            raise ModelError(scenes[0].name, "fewer than two valid pixels: no statistics can be learned", "Check its nodata value and its mask")
        spectra = neighbourhood_means(scenes, samples, {(False, WIDTH)})[False, WIDTH].astype(np.float64)
        statistics = {**class_statistics(spectra, samples.targets, len(samples.legend)), **moments}
        return cls.learned(samples.basis, samples.legend, statistics, spectra, samples.targets, seed=seed, progress=progress)

    @classmethod
    def learned(
        cls, basis: Basis, legend: Legend, statistics: Mapping[str, NDArray[Any]], spectra: Floats, targets: NDArray[np.intp], *, seed: int = 0,
        progress: Any = None,
    ) -> Self:  # fmt: skip
        """Learns the networks.

        Args:
            basis: bands of the training sensor.
            legend: the classes.
            statistics: the arrays of `MarginalLda`, and `scene_covariance`.
            spectra: labelled means of 3 x 3 pixels, shape (n, C).
            targets: their class positions, shape (n,).
            seed: of everything random.
            progress: told of steps.
        """
        from hsikit.tasks.classification.sensor_lessons import Lesson, learn_spectrum_network, learn_wiener

        bands = basis.bands
        lesson = Lesson(spectra, targets, bands.wavelength, bands.fwhm, statistics["scene_mean"], statistics["scene_covariance"], WIDTH**2, seed)
        axes, wiener = learn_wiener(lesson, teller(progress, "Wiener network"))
        hyper = learn_spectrum_network(lesson, tell=teller(progress, "hyper-weights"))
        states = {WIENER: wiener.state_dict(), HYPER: hyper.state_dict()}
        networks = {prefix + name: tensor.detach().numpy() for prefix, state in states.items() for name, tensor in state.items()}
        return cls(basis, legend, {**statistics, "axes": axes, **networks})

    @property
    def radius(self) -> int:
        """Radius of the spatial mean."""
        return WIDTH // 2

    @property
    def marginal(self) -> MarginalLda:
        """The discriminant alone, with the same options."""
        arrays = {name: self.arrays[name] for name in MarginalLda.shapes}
        return MarginalLda(
            self.basis, self.legend, arrays, {"width": WIDTH}, extras=self.extras, unknown_below=self.unknown_below, temperature=self.temperature
        )

    def change_to(self, info: SceneInfo) -> SensorChange:
        """See `MarginalLda.change_to`."""
        return self.marginal.change_to(info)

    def seen_by(self, info: SceneInfo) -> EnsembleReadOut:
        """The classifier for a scene's sensor.

        Raises:
            ModelError: see `change_to`.
        """
        found = self.marginal.seen_by(info)
        return EnsembleReadOut(
            found.basis, self.legend, {**found.arrays, **self._projections(self.change_to(info), found.basis)}, found.settings,
            extras=self.extras, unknown_below=self.unknown_below, temperature=self.temperature,
        )  # fmt: skip

    def _projections(self, change: SensorChange, seen: Basis) -> dict[str, NDArray[Any]]:
        """The linear maps from a sensor's values to what the networks' perceptrons take, and these."""
        import torch

        from hsikit.nn.hyper_weights import integral_weights
        from hsikit.tasks.classification.sensor_lessons import standardisation

        mean, covariance = (self.arrays[name].astype(np.float64) for name in ("scene_mean", "scene_covariance"))
        errors = error_covariance(change, self.basis.bands.wavelength, mean, WIDTH**2)
        found = wiener_estimate(change.weights, errors, covariance, self.arrays["axes"].astype(np.float64))
        centre, scale = standardisation(change.weights, mean, covariance)
        learned = [torch.from_numpy(np.array(self.arrays[f"{HYPER}adapter.{name}"])).double() for name in ("by_value", "by_cover", "bias")]
        weights, offset = (tensor.numpy() for tensor in integral_weights(*learned, *map(torch.from_numpy, (seen.bands.wavelength, seen.bands.fwhm))))
        integral = weights.T / scale
        layers = {name.replace(f"{HYPER}head.", HYPER): value for name, value in self.arrays.items() if name.startswith((WIENER, f"{HYPER}head."))}
        return {
            "estimate": found.weights, "estimate_offset": -found.weights @ centre, "deviation": found.deviation,
            "integral": integral, "integral_offset": offset - integral @ centre, **layers,
        }  # fmt: skip

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The job that maps a scene of any sensor that sees enough.

        Raises:
            ModelError: the scene's quantity is not the model's, or too little of what the model knows is seen.
        """
        job = self.seen_by(inputs["cube"]).bind(inputs)
        return replace(job, method=self.name, identity={**self.identity(), "read_out": job.identity["weights"]})

    def check_arrays(self) -> None:
        """Raises ValueError where arrays do not fit, or the networks are not whole."""
        from hsikit.nn.hyper_weights import network_shapes, perceptron_shapes

        super().check_arrays()
        components, classes = self.arrays["axes"].shape[1], len(self.legend)
        for prefix, named in ((WIENER, perceptron_shapes(2 * components, classes)), (HYPER, network_shapes(classes))):
            shapes = {f"{prefix}{name}": shape for name, shape in named.items()}
            found = {name: value.shape for name, value in self.arrays.items() if name.startswith(prefix)}
            if found != shapes or not all(np.isfinite(self.arrays[name]).all() for name in found):
                raise ValueError(f"the arrays {prefix}* are not those of a network for {classes} classes")


@dataclass(frozen=True, eq=False)
class EnsembleReadOut(ReadOut):
    """The mean of three class probabilities of spatial means, for one sensor.

    Arrays: those of `ReadOut`; `estimate` (P, C), `estimate_offset` and `deviation` (P,) of the Wiener network; `integral` (F, C) and
    `integral_offset` (F,) of the hyper-weights; their perceptrons.
    """

    name: ClassVar[str] = "sensor-ensemble"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **ReadOut.shapes, "estimate": ("P", "C"), "estimate_offset": ("P",), "deviation": ("P",), "integral": ("F", "C"), "integral_offset": ("F",),
    }  # fmt: skip

    def tensors(self, device: Any) -> dict[str, Tensor]:
        """The arrays on a device in double precision, put there once; `projection` (K + P + F, C) and `offset` are those of all three."""
        import torch

        if device not in self._placed:
            placed = {key: torch.from_numpy(np.array(value)).to(device).double() for key, value in self.arrays.items()}
            placed["projection"] = torch.cat([placed["weights"], placed["estimate"], placed["integral"]])
            placed["offset"] = torch.cat([placed["intercepts"], placed["estimate_offset"], placed["integral_offset"]])
            self._placed[device] = placed
        return self._placed[device]

    def log_probabilities(self, tile: Tile, store: Store) -> Tensor:
        """(K, rows, cols) logarithm of the mean probability; NaN where not valid."""
        learned = self.tensors(tile.valid["cube"].device)
        numbers = self.projected(tile, learned["projection"])
        valid = tile.inner_valid("cube")
        answers = numbers.new_full((len(self.legend), valid.numel()), float("nan")).float()
        flat, usable = numbers.flatten(1), valid.flatten().nonzero()[:, 0]
        for start in range(0, len(usable), self.chunk):
            places = usable[start : start + self.chunk]
            answers[:, places] = self.answers(flat[:, places].T + learned["offset"], learned).T.float()
        return answers.view(-1, *valid.shape)

    def answers(self, numbers: Tensor, learned: Mapping[str, Tensor]) -> Tensor:
        """(n, K) log-probabilities out of what was projected, (n, K + P + F)."""
        import torch

        from hsikit.nn.hyper_weights import perceptron_logits

        classes, known = len(learned["weights"]), len(learned["weights"]) + len(learned["estimate"])
        logits, estimate, integral = numbers[:, :classes], numbers[:, classes:known], numbers[:, known:]
        wiener = perceptron_logits(learned, WIENER, torch.cat([estimate, learned["deviation"].expand(len(estimate), -1)], 1))
        hyper = perceptron_logits(learned, HYPER, integral)
        three = torch.stack([each.log_softmax(1) for each in (logits, wiener, hyper)])
        return three.logsumexp(0) - math.log(len(three))

    def cost(self, tile_shape: tuple[int, int]) -> Cost:
        """Memory and work of one tile."""
        from hsikit.nn.hyper_weights import HIDDEN

        bands, classes, pixels = len(self.basis.bands), len(self.legend), tile_shape[0] * tile_shape[1]
        numbers = sum(len(self.arrays[name]) for name in ("weights", "estimate", "integral"))
        chunk = self.chunk * 8 * (3 * bands + 2 * numbers + 4 * HIDDEN + 4 * classes)
        flops = 2.0 * bands * numbers + 2.0 * 2 * HIDDEN * (HIDDEN + numbers)
        return Cost(pixels * 8 * 4 * numbers + chunk, pixels * flops)
