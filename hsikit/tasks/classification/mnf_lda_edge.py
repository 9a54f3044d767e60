"""MNF and linear discriminant analysis of whole objects: features and log-probabilities diffused along edges. No network.

Two discriminants with automatic shrinkage are added: one of the noise-whitened components diffused along edges, so that a
pixel is judged by its object, one of their small spatial mean; the sum of their log-probabilities is diffused again. Trends
across the scene are taken out first (`detrend`), fitted on all its pixels without a label. Green et al., 1988
(doi:10.1109/36.3001), for MNF; Perona and Malik, 1990 (doi:10.1109/34.56205), for the diffusion.

It suits ground whose objects are many pixels wide, such as fields. What is a few pixels wide is lost to its surroundings: on
EnMAP pixels of a city (30 m) it scored well below `mnf-lda` and single spectra.

Discriminant, trend, mean and diffusion are linear and act on each channel alike. So a map detrends and diffuses one logit for
each class; only training does it with the components themselves, through the same stages.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.method import Cost, Input, Job, Map, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.decision import decide, output_layers
from hsikit.tasks.classification.diffusion import STEPS_AT_ONCE, diffusion_loop
from hsikit.tasks.classification.mnf_lda import scene_transforms
from hsikit.tasks.classification.object_features import (
    EDGE_KINDS,
    JOINED,
    JOINED_NOW,
    LinearProjector,
    Projector,
    feature_layers,
    feature_stages,
    features_at,
    guides_of,
    join_stage,
    joined_layers,
    stage_cost,
    with_guides,
)
from hsikit.tasks.classification.samples import refuse_unknown, training_samples
from hsikit.tasks.classification.shrinkage_lda import fit_lda

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene


USUAL: Mapping[str, Any] = {"components": 40, "width": 5, "detrend": True, "edges": "spectra", "steps": 500, "keep": 0.005}


@dataclass(frozen=True, eq=False)
class MnfLdaEdge(PixelClassifier):
    """A trained model.

    Arrays: `mean` (C,) and `vectors` (C, M), the components; `object_weights` (K, C) and `object_intercepts` (K,), logits of
    diffused standardised spectra minus the mean; `neighbourhood_weights` and `neighbourhood_intercepts`, those of their spatial mean.
    """

    name: ClassVar[str] = "mnf-lda-edge"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "mean": ("C",),
        "vectors": ("C", "M"),
        "object_weights": ("K", "C"),
        "object_intercepts": ("K",),
        "neighbourhood_weights": ("K", "C"),
        "neighbourhood_intercepts": ("K",),
    }
    kinds: ClassVar[Mapping[str, tuple[type, ...]]] = {"width": (int,), "detrend": (bool,), "edges": (str,), "steps": (int,), "keep": (float,)}
    learned_unlabelled: ClassVar[str] = "components, edges and trends"
    reuses_unlabelled: ClassVar[bool] = True

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Learns from labelled scenes, and from all their unlabelled pixels.

        Args:
            scenes: see `PixelClassifier.train`.
            seed: which pixels are kept where a class has more than 2000.
            run: the engine's `compute`, for the components of whole scenes.
            progress: passed to `run`.
            options: `components` (40), `width` of the spatial mean (5), `detrend` (true), `edges` between objects, found in
                "spectra" (of 3 x 3 means) or in "components" (the first ten), `steps` of each diffusion (500, a multiple of 25)
                and `keep`, the share of the data in each step (0.005).

        Raises:
            OptionError: an unknown option, or a value that makes no sense.
        """
        basis = Basis.of(scenes[0].source.info)
        settings = parse_settings(options, len(basis.bands))
        transform = scene_transforms(scenes, basis, [True], run, progress)[True]
        return cls._fitted(scenes, transform.mean, transform.vectors[:, : settings["components"]], settings, seed, run, progress)

    def refit(self, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Fitted on other labels, in the components that were learned without any."""
        settings = parse_settings(options, len(self.basis.bands))
        if settings["components"] > self.arrays["vectors"].shape[1]:
            return type(self).train(scenes, seed=seed, run=run, progress=progress, **options)
        return self._fitted(scenes, self.arrays["mean"], self.arrays["vectors"][:, : settings["components"]], settings, seed, run, progress)

    @classmethod
    def _fitted(
        cls, scenes: Sequence[LabelledScene], mean: NDArray[Any], vectors: NDArray[Any], settings: Mapping[str, Any], seed: int, run: Any, progress: Any
    ) -> Self:
        samples = training_samples(scenes, most=2000, seed=seed)
        guides = guides_of(settings, vectors.shape[1])
        project = LinearProjector(mean, with_guides(vectors.T, vectors, settings))
        far, near = features_at(scenes, samples, project, guides, (slice(None), slice(None)), settings, run, progress)
        arrays: dict[str, NDArray[Any]] = {"mean": mean, "vectors": vectors}
        for name, features in (("object", far), ("neighbourhood", near)):
            weights, intercepts = fit_lda(features, samples.targets, len(samples.legend))
            arrays |= {f"{name}_weights": weights @ vectors.T, f"{name}_intercepts": intercepts}
        return cls(samples.basis, samples.legend, arrays, settings)

    def check_arrays(self) -> None:
        """Raises ValueError where arrays or settings do not fit, or a setting is out of range."""
        super().check_arrays()
        try:
            parse_settings({name: self.settings[name] for name in self.kinds}, len(self.basis.bands))
        except OptionError as error:
            raise ValueError(f"setting {error}") from error

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The job that maps a scene.

        Raises:
            ModelError: the scene's bands, quantity or units are not the model's.
        """
        info = inputs["cube"]
        bands = self.basis.match(info)
        layers = output_layers(self.legend, self.extras)
        classes = len(self.legend)
        steps, keep = int(self.settings["steps"]), float(self.settings["keep"])
        project, guides = self._projector(), guides_of(self.settings, self.arrays["vectors"].shape[1])
        scratch = [*feature_layers(2 * classes, classes, classes, guides), *joined_layers(classes)]
        stages = (
            *feature_stages(project, guides, (slice(classes), slice(classes, None)), info, self.settings),
            join_stage(self.tensors),
            diffusion_loop("smooth-classes", JOINED, JOINED_NOW, steps, keep),
            Map("classify", (JOINED_NOW,), tuple(layer.name for layer in layers), self._decide),
        )
        return Job(
            method=self.name,
            identity=self.identity(),
            reference="cube",
            inputs={"cube": Input(tuple(int(b) for b in bands))},
            layers=(*layers, *scratch),
            stages=stages,
            cost=self.cost,
            provenance={
                "method": self.name,
                "class_names": ", ".join(self.legend.names),
                "settings": json.dumps(dict(self.settings), sort_keys=True),
                "learned_from_this_scene": "edges" + (" and trends" if self.settings["detrend"] else "") + ", from its unlabelled pixels",
            },
        )

    def _projector(self) -> Projector:
        # What all classes share changes no probability, but would cost float32 its digits.
        far, near = (self.arrays[f"{name}_weights"] - self.arrays[f"{name}_weights"].mean(0) for name in ("object", "neighbourhood"))
        return LinearProjector(self.arrays["mean"], with_guides(np.concatenate([far, near]), self.arrays["vectors"], self.settings))

    def _decide(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        return decide(tile.inner(JOINED_NOW).log_softmax(0), self.legend, self.extras, self.unknown_below, self.temperature)

    def cost(self, tile_shape: tuple[int, int]) -> Cost:
        """Memory and work of one tile."""
        return stage_cost(tile_shape, len(self.basis.bands), self._projector(), len(self.legend), 2 * int(self.settings["steps"]))


def parse_settings(options: Mapping[str, Any], bands: int) -> dict[str, Any]:
    """All settings, the usual ones where the user gave none.

    Raises:
        OptionError: an unknown option, or a value out of range.
    """
    refuse_unknown("mnf-lda-edge", options, USUAL)
    settings = {**USUAL, "components": min(40, max(1, bands - 1)), **{key: value for key, value in options.items() if value is not None}}
    if not _whole(settings["components"]) or not 1 <= settings["components"] <= bands:
        raise OptionError("components", f"{settings['components']!r} is not a whole number from 1 to {bands}, the number of bands")
    if not _whole(settings["width"]) or settings["width"] % 2 == 0 or not 1 <= settings["width"] <= 99:
        raise OptionError("width", f"{settings['width']!r} is not an odd number from 1 to 99")
    if not isinstance(settings["detrend"], bool):
        raise OptionError("detrend", f"{settings['detrend']!r} is neither true nor false")
    if settings["edges"] not in EDGE_KINDS:
        raise OptionError("edges", f"{settings['edges']!r} is neither {' nor '.join(EDGE_KINDS)}")
    if not _whole(settings["steps"]) or settings["steps"] % STEPS_AT_ONCE or not STEPS_AT_ONCE <= settings["steps"] <= 10_000:
        raise OptionError("steps", f"{settings['steps']!r} is not a multiple of {STEPS_AT_ONCE} from {STEPS_AT_ONCE} to 10000")
    if not isinstance(settings["keep"], int | float) or isinstance(settings["keep"], bool) or not 0 < settings["keep"] <= 1:
        raise OptionError("keep", f"{settings['keep']!r} is not a share above 0 and up to 1")
    return {**settings, "keep": float(settings["keep"])}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
