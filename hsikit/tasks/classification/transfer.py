"""What a model keeps of its training so that scenes of other sensors can be mapped: class statistics, and labelled spectra.

The statistics are those of `marginal-lda`: with them the classes can be read out for any sensor that sees enough of the model's
range; better, as a rule, with the networks of a `sensor-ensemble` beside them. From the spectra a method is fitted anew for another sensor
(`hsikit.tasks.classification.refitting`). None is part of the model itself: its identity and its answers are the same without them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.layers import Legend
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.labelled_windows import PREFIX, LabelledWindows
from hsikit.tasks.classification.marginal_lda import WIDTH, MarginalLda, class_statistics
from hsikit.tasks.classification.mnf_lda_choice import neighbourhood_means
from hsikit.tasks.classification.samples import draw_per_class, training_samples
from hsikit.tasks.classification.scene_moments import CONSTANT, scene_moments
from hsikit.tasks.classification.sensor_ensemble import NETWORKS, SensorEnsemble
from hsikit.train.labelled import LabelledScene

STATISTICS_PIXELS = 2000
"""Labelled pixels of a class that the statistics rest on, at most."""
SPECTRA, SPECTRA_OF_CLASS = 2000, 20
"""Labelled pixels that are kept as spectra, at most, each class by its share; and what a small class keeps nevertheless."""
STATISTICS, SCENE = tuple(MarginalLda.shapes), "scene_covariance"
SPECTRA_ARRAYS = ("spectra", "neighbourhoods", "codes")


@dataclass(frozen=True, eq=False)
class Transfer:
    """What another sensor needs of a training.

    Attributes:
        basis: bands and quantity of the scenes that the labels were seen in.
        legend: the classes.
        arrays: those of `MarginalLda`; `scene_covariance` (C, C), see `scene_moments`, which folders of older releases lack; by choice
            the networks of `SensorEnsemble`; and by choice, of n labelled pixels, `spectra` and `neighbourhoods` (means of 3 x 3 valid
            pixels), float32 (n, C), with their class `codes` (n,), and of a network that looks around a pixel those of `LabelledWindows`.
        pixels: of how many labelled pixels these were drawn.
        origin: for a model that was adapted to another sensor, from which; JSON-able.
    """

    basis: Basis
    legend: Legend
    arrays: Mapping[str, NDArray[Any]]
    pixels: int
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def has_spectra(self) -> bool:
        """Whether labelled spectra were kept."""
        return "codes" in self.arrays

    @property
    def knows_scene(self) -> bool:
        """Whether the covariance of the scene was kept."""
        return SCENE in self.arrays

    @property
    def has_networks(self) -> bool:
        """Whether networks for any sensor were learned."""
        return "axes" in self.arrays

    @property
    def windows(self) -> LabelledWindows | None:
        """Labelled windows, where they were kept."""
        if f"{PREFIX}index" not in self.arrays:
            return None
        return LabelledWindows.from_arrays(self.arrays, len(self.basis.bands), len(self.legend))

    @property
    def can_learn(self) -> bool:
        """Whether networks can learn from what is kept: the scene's covariance is known, and some bands vary."""
        if not (self.knows_scene and self.has_spectra):
            return False
        deviation = np.sqrt(np.maximum(np.diag(self.arrays[SCENE]), 0.0))
        return bool((deviation > CONSTANT * np.abs(self.arrays["scene_mean"])).any())

    @property
    def marginal(self) -> MarginalLda:
        """The discriminant that any sensor can read out."""
        return MarginalLda(self.basis, self.legend, {name: self.arrays[name] for name in STATISTICS}, {"width": WIDTH})

    @property
    def reader(self) -> MarginalLda | SensorEnsemble:
        """What reads the classes out for any sensor: the discriminant, with networks beside it where these were learned."""
        if not self.has_networks:
            return self.marginal
        arrays = {name: value for name, value in self.arrays.items() if name in SensorEnsemble.shapes or name.startswith(NETWORKS)}
        return SensorEnsemble(self.basis, self.legend, arrays)

    def with_networks(self, *, seed: int = 0, progress: Any = None) -> Transfer:
        """A copy whose networks have learned from the kept spectra, where these `can_learn`.

        Args:
            seed: of everything random.
            progress: told of their steps.
        """
        targets = np.searchsorted(np.array(self.legend.codes), self.arrays["codes"]).astype(np.intp)
        spectra = self.arrays["neighbourhoods"].astype(np.float64)
        statistics = {name: value for name, value in self.arrays.items() if name in (*STATISTICS, SCENE)}
        made = SensorEnsemble.learned(self.basis, self.legend, statistics, spectra, targets, seed=seed, progress=progress)
        return replace(self, arrays={**self.arrays, **made.arrays})

    def without_spectra(self) -> Transfer:
        """A copy that keeps no labelled spectra."""
        return replace(self, arrays={name: value for name, value in self.arrays.items() if name not in SPECTRA_ARRAYS and not name.startswith(PREFIX)})

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON-able facts, for the model folder."""
        return dict(self.arrays), {**self.basis.to_json(), "classes": self.legend.to_json(), "pixels": self.pixels, "origin": dict(self.origin)}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError, KeyError, TypeError: facts or arrays that do not fit together.
        """
        found = cls(Basis.from_json(facts), Legend.from_json(facts["classes"]), dict(arrays), int(facts["pixels"]), dict(facts["origin"]))
        found.marginal.check_arrays()
        if found.knows_scene and found.arrays[SCENE].shape != 2 * (len(found.basis.bands),):
            raise ValueError(f"array {SCENE!r} of the transfer is not of shape {2 * (len(found.basis.bands),)}")
        if found.has_networks:
            found.reader.check_arrays()
        _ = found.windows  # raises where they are damaged
        if found.has_spectra:
            _check_spectra(found)
        return found


def _check_spectra(found: Transfer) -> None:
    codes, shape = found.arrays["codes"], (len(found.arrays["codes"]), len(found.basis.bands))
    for name in ("spectra", "neighbourhoods"):
        if found.arrays[name].shape != shape or not np.isfinite(found.arrays[name]).all():
            raise ValueError(f"array {name!r} of the transfer is not whole or not of shape {shape}")
    if set(np.unique(codes).tolist()) != set(found.legend.codes):
        raise ValueError("the labelled spectra are not of the legend's classes")


def gather_transfer(scenes: Sequence[LabelledScene], *, spectra: bool = True, networks: bool = False, seed: int = 0, progress: Any = None) -> Transfer | None:
    """What other sensors need of a training.

    Args:
        scenes: the labels that the model was fitted on, of one sensor and legend.
        spectra: whether labelled spectra are kept, of about 2000 pixels at most.
        networks: whether networks learn from these, for some ten seconds.
        seed: which pixels are kept where there are more, which 2000 of a class the statistics rest on, and of the networks.
        progress: told of the networks' steps.

    Returns:
        None where the scenes have no wavelengths.

    Raises:
        LabelError, ModelError: as in training.
    """
    if not Basis.of(scenes[0].source.info).bands.spectral:
        return None
    samples = training_samples(scenes, most=STATISTICS_PIXELS, seed=seed)
    means = neighbourhood_means(scenes, samples, {(False, WIDTH)})[False, WIDTH]
    found = scene_moments([scene.source for scene in scenes], samples.basis) or {"scene_mean": samples.spectra.mean(0, dtype=np.float64)}
    keep = _kept(samples.codes, seed)
    labelled: dict[str, NDArray[Any]] = {"spectra": samples.spectra[keep], "neighbourhoods": means[keep].astype(np.float32), "codes": samples.codes[keep]}
    arrays: dict[str, NDArray[Any]] = {**class_statistics(means, samples.targets, len(samples.legend)), **found, **labelled}
    kept = Transfer(samples.basis, samples.legend, arrays, sum(len(scene) for scene in scenes))
    if networks and kept.can_learn:
        kept = kept.with_networks(seed=seed, progress=progress)
    return kept if spectra else kept.without_spectra()


def _kept(codes: NDArray[np.uint8], seed: int) -> NDArray[np.intp]:
    """Positions of the pixels that are kept: each class by its share, so that its frequency stays."""
    if len(codes) <= SPECTRA:
        return np.arange(len(codes))
    classes = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    return np.sort(np.concatenate([draw_per_class(codes, c, max(SPECTRA_OF_CLASS, round(SPECTRA * len(c) / len(codes))), seed) for c in classes]))
