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
from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Map, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.standardise import standardise
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.box_mean import box_mean
from hsikit.tasks.classification.decision import LEAST, decide, output_layers
from hsikit.tasks.classification.diffusion import STEPS_AT_ONCE, diffusion_loop
from hsikit.tasks.classification.edges import EDGE_LAYER, edge_bytes, edge_stage, median_stage
from hsikit.tasks.classification.mnf_lda import scene_transforms
from hsikit.tasks.classification.samples import Samples, refuse_unknown, training_samples
from hsikit.tasks.classification.shrinkage_lda import fit_lda
from hsikit.tasks.classification.trend import TREND, place_terms, trend_at, trend_stage

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene

PROJECTED, FAR, FAR_NOW, NEAR, JOINED, JOINED_NOW = "projected", "object", "object_diffused", "neighbourhood", "joined", "joined_diffused"
CHUNK = 1024
"""Pixels projected at once: bounds the temporary float64 arrays."""

USUAL: Mapping[str, Any] = {"components": 40, "width": 5, "detrend": True, "steps": 500, "keep": 0.005}


@dataclass(frozen=True, eq=False)
class MnfLdaEdge(PixelClassifier):
    """A trained model.

    Arrays: `mean` (C,); `object_weights` (K, C) and `object_intercepts` (K,), logits of diffused standardised spectra minus the
    mean; `neighbourhood_weights` and `neighbourhood_intercepts`, those of their spatial mean.
    """

    name: ClassVar[str] = "mnf-lda-edge"
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "mean": ("C",),
        "object_weights": ("K", "C"),
        "object_intercepts": ("K",),
        "neighbourhood_weights": ("K", "C"),
        "neighbourhood_intercepts": ("K",),
    }
    kinds: ClassVar[Mapping[str, tuple[type, ...]]] = {"width": (int,), "detrend": (bool,), "steps": (int,), "keep": (float,)}

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Learns from labelled scenes, and from all their unlabelled pixels.

        Args:
            scenes: see `PixelClassifier.train`.
            seed: which pixels are kept where a class has more than 2000.
            run: the engine's `compute`, for the components of whole scenes.
            progress: passed to `run`.
            options: `components` (40), `width` of the spatial mean (5), `detrend` (true), `steps` of each diffusion (500, a
                multiple of 25) and `keep`, the share of the data in each step (0.005).

        Raises:
            OptionError: an unknown option, or a value that makes no sense.
        """
        basis = Basis.of(scenes[0].source.info)
        settings = parse_settings(options, len(basis.bands))
        samples = training_samples(scenes, most=2000, seed=seed)
        transform = scene_transforms(scenes, basis, [True], run, progress)[True]
        vectors = transform.vectors[:, : settings["components"]]
        far, near = _features(scenes, samples, transform.mean, vectors, settings, run, progress)
        arrays: dict[str, NDArray[Any]] = {"mean": transform.mean}
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
        # What all classes share changes no probability, but would cost float32 its digits.
        far, near = (self.arrays[f"{name}_weights"] - self.arrays[f"{name}_weights"].mean(0) for name in ("object", "neighbourhood"))
        scratch = [*feature_layers(2 * classes, classes), *(Layer(name, bands=classes, delivered=False) for name in (JOINED, JOINED_NOW))]
        stages = (
            *feature_stages(self.arrays["mean"], np.concatenate([far, near]), (slice(classes), slice(classes, None)), info, self.settings),
            Map("join", (FAR_NOW, NEAR), (JOINED, JOINED_NOW), self._join),
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
                "classes": ", ".join(self.legend.names),
                "settings": json.dumps(dict(self.settings), sort_keys=True),
                "learned_from_this_scene": "edges" + (" and trends" if self.settings["detrend"] else "") + ", from its unlabelled pixels",
            },
        )

    def _join(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        learned = self.tensors(tile.arrays[NEAR].device)
        parts = []
        for layer, name in ((FAR_NOW, "object"), (NEAR, "neighbourhood")):
            logits = tile.inner(layer).double() + learned[f"{name}_intercepts"][:, None, None]
            parts.append(logits.log_softmax(0).clamp(min=LEAST))
        joined = (parts[0] + parts[1]).float()
        return {JOINED: joined, JOINED_NOW: joined}

    def _decide(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        return decide(tile.inner(JOINED_NOW).log_softmax(0), self.legend, self.extras, self.unknown_below)

    def cost(self, tile_shape: tuple[int, int]) -> Cost:
        """Memory and work of one tile."""
        return stage_cost(tile_shape, len(self.basis.bands), 2 * len(self.legend), len(self.legend), 2 * int(self.settings["steps"]))


def parse_settings(options: Mapping[str, Any], bands: int) -> dict[str, Any]:
    """All settings, the usual ones where the user gave none.

    Raises:
        OptionError: an unknown option, or a value out of range.
    """
    refuse_unknown("mnf-lda-edge", {key: value for key, value in options.items() if key not in USUAL})
    settings = {**USUAL, "components": min(40, max(1, bands - 1)), **{key: value for key, value in options.items() if value is not None}}
    if not _whole(settings["components"]) or not 1 <= settings["components"] <= bands:
        raise OptionError("components", f"{settings['components']!r} is not a whole number from 1 to {bands}, the number of bands")
    if not _whole(settings["width"]) or settings["width"] % 2 == 0 or not 1 <= settings["width"] <= 99:
        raise OptionError("width", f"{settings['width']!r} is not an odd number from 1 to 99")
    if not isinstance(settings["detrend"], bool):
        raise OptionError("detrend", f"{settings['detrend']!r} is neither true nor false")
    if not _whole(settings["steps"]) or settings["steps"] % STEPS_AT_ONCE or not STEPS_AT_ONCE <= settings["steps"] <= 10_000:
        raise OptionError("steps", f"{settings['steps']!r} is not a multiple of {STEPS_AT_ONCE} from {STEPS_AT_ONCE} to 10000")
    if not isinstance(settings["keep"], int | float) or isinstance(settings["keep"], bool) or not 0 < settings["keep"] <= 1:
        raise OptionError("keep", f"{settings['keep']!r} is not a share above 0 and up to 1")
    return {**settings, "keep": float(settings["keep"])}


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def feature_layers(projected: int, channels: int) -> tuple[Layer, ...]:
    """The scratch layers of `feature_stages`, with so many channels before and after they are parted."""
    sizes = {PROJECTED: projected, FAR: channels, FAR_NOW: channels, NEAR: channels}
    return (*(Layer(name, bands=count, delivered=False) for name, count in sizes.items()), EDGE_LAYER)


def feature_stages(mean: NDArray[Any], projection: NDArray[Any], parts: tuple[slice, slice], info: SceneInfo, settings: Mapping[str, Any]) -> tuple[Stage, ...]:
    """Stages that write `object_diffused` and `neighbourhood`: projections of standardised spectra, detrended, then diffused or averaged.

    Args:
        mean: subtracted from standardised spectra, shape (C,).
        projection: shape (d, C).
        parts: which of its rows are diffused, and which averaged; they may be the same.
        info: the scene.
        settings: `width`, `detrend`, `steps`, `keep`.
    """
    import torch

    shape, radius = info.grid.shape, int(settings["width"]) // 2
    matrix = torch.from_numpy(np.array(projection, np.float64))
    offset = torch.from_numpy(np.array(mean, np.float64))[:, None]

    def project(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values, valid = tile.inner("cube").flatten(1), tile.inner_valid("cube")
        weights, centre = matrix.to(values.device), offset.to(values.device)
        out = values.new_full((len(weights), values.shape[1]), float("nan"))
        usable = valid.flatten().nonzero()[:, 0]
        for start in range(0, len(usable), CHUNK):
            places = usable[start : start + CHUNK]
            # In float64: whitened weights are large and of both signs.
            out[:, places] = (weights @ (standardise(values[:, places].double()) - centre)).float()
        return {PROJECTED: out.view(-1, *valid.shape)}

    def part(tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values, valid = tile.arrays[PROJECTED].double(), ~tile.arrays[PROJECTED][0].isnan()
        if settings["detrend"]:
            values -= trend_at(store[TREND], place_terms(tile.windows[PROJECTED], shape, values.device))
        core = tile.cores[PROJECTED]
        far = values[(parts[0], *core)].float()
        near = box_mean(values[parts[1]], valid, radius).masked_fill_(~valid[core], float("nan")).float()
        return {FAR: far, FAR_NOW: far, NEAR: near}

    return (
        Map("project", ("cube",), (PROJECTED,), project),
        edge_stage(PROJECTED),
        median_stage(),
        *((trend_stage(PROJECTED, shape),) if settings["detrend"] else ()),
        Map("part", (PROJECTED,), (FAR, FAR_NOW, NEAR), part, halo=(radius, radius)),
        diffusion_loop("diffuse", FAR, FAR_NOW, int(settings["steps"]), float(settings["keep"])),
    )


def _features(
    scenes: Sequence[LabelledScene],
    samples: Samples,
    mean: NDArray[Any],
    vectors: NDArray[Any],
    settings: Mapping[str, Any],
    run: Callable[..., Any],
    progress: Any,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Diffused and averaged components (n, M) at the training pixels, by the stages that make maps."""
    count = vectors.shape[1]
    far, near = np.empty((len(samples.codes), count)), np.empty((len(samples.codes), count))
    for number, scene in enumerate(scenes):
        mine = np.flatnonzero(samples.scene == number)
        if not len(mine):
            continue
        info = scene.source.info
        job = Job(
            method="mnf-lda-edge features",
            identity={"settings": dict(settings)},
            reference="cube",
            inputs={"cube": Input(tuple(int(b) for b in samples.basis.match(info)))},
            layers=feature_layers(count, count),
            stages=feature_stages(mean, vectors.T, (slice(None), slice(None)), info, settings),
            cost=lambda shape: stage_cost(shape, len(vectors), count, count, int(settings["steps"])),
        )
        found = run(job, {"cube": scene.source}, layers=(FAR_NOW, NEAR), at=(samples.rows[mine], samples.cols[mine]), progress=progress).values
        far[mine], near[mine] = found[FAR_NOW].T, found[NEAR].T
    return far, near


def stage_cost(tile_shape: tuple[int, int], bands: int, projected: int, channels: int, steps: int) -> Cost:
    """Memory and work of one tile: of projecting, of taking trends out, or of diffusing for so many steps, whichever needs most."""
    pixels = tile_shape[0] * tile_shape[1]
    projecting = pixels * (4 * projected + 16) + CHUNK * 8 * (4 * bands + 2 * projected)
    # Values, trend and two box sums in float64; their results.
    parting = pixels * 8 * (2 * projected + 4 * channels + 12)
    # Diffusion holds the originals, anchor, and three versions of the channels, with fourteen planes of edges and shares, in float64.
    diffusing = pixels * 8 * (5 * channels + 14)
    flops = pixels * (2.0 * bands * projected + 10.0 * steps * channels + 30.0 * bands)
    return Cost(max(projecting, parting, diffusing, edge_bytes(bands) + pixels * 12), flops)
