"""LoLA-SpecViT: a spectral transformer that learns the scene without labels, and objects judged by it and by MNF.

After "LoLA-SpecViT", arXiv:2506.17759 (JAG 144, 2025), with these differences, each for what was measured on ground that no label
touches (`benchmarks/accuracy_table.py`):

* The bands are on the spectral axis. (In the released code image rows are taken for bands.)
* The network learns from the scene's unlabelled pixels first: from fragments of a pixel's spectrum and of its 5 x 5 mean it predicts
  the noise-whitened components (MNF) of the *object* that the pixel lies in (`pretrain="object"`). What it predicts is a denoised
  spectrum. Masked autoencoding (`"masked"`) and training on the labels alone (`"none"`) can be had, and score far lower.
* By default shrinkage discriminants stand on top (`head="lda"`), two as in `mnf-lda-edge`: one of components diffused along edges over
  whole objects, one of the small spatial mean of components and of the network's predictions. The edges lie between the
  first ten components. `"linear"` trains a linear head on the frozen network, `"lora"` low-rank adapters on its attention and
  perceptrons besides (A and B alone are low-rank: the released code's gates are full matrices, and its cyclic scale has no effect).
* It is dense: a tile at once, and not a window for each pixel. (`preset="paper"` is the published network, see `window_network`.)

Everything after the network is linear up to the sum of the two discriminants' log-probabilities, so that a map detrends and
diffuses one logit for each class.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.layers import Layer
from hsikit.method import Cost, Input, Job, Map, Stage, Store, Tile
from hsikit.scene import SceneInfo, Source
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.decision import LEAST, decide, output_layers
from hsikit.tasks.classification.diffusion import diffusion_loop
from hsikit.tasks.classification.mnf_lda import scene_transforms
from hsikit.tasks.classification.mnf_lda_choice import Setting, choose, gain_is_clear, held_out_hits
from hsikit.tasks.classification.mnf_lda_edge import USUAL as USUAL_OBJECTS
from hsikit.tasks.classification.mnf_lda_edge import parse_settings as parse_objects
from hsikit.tasks.classification.network_tuning import tuned
from hsikit.tasks.classification.object_features import (
    FAR,
    FAR_NOW,
    JOINED,
    JOINED_NOW,
    NEAR,
    PROJECTED,
    LinearProjector,
    edge_stages,
    feature_job,
    feature_layers,
    feature_stages,
    features_at,
    guides_of,
    join_stage,
    joined_layers,
    project_stage,
    stage_cost,
    with_guides,
)
from hsikit.tasks.classification.samples import Samples, refuse_unknown, training_samples
from hsikit.tasks.classification.shrinkage_lda import fit_lda
from hsikit.tasks.classification.spectral_network import NORMALISATIONS, NetworkProjector, SpectralNetwork, learn_without_labels, network_from
from hsikit.tasks.classification.window_network import COMPONENTS, SLOW, WindowProjector, components_of, learn_windows_without_labels, window_network_from
from hsikit.tasks.classification.window_network import PRESETS as WINDOWED
from hsikit.tasks.telling import teller

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene

HEADS, PRETRAIN, PRESETS, OBJECTS = ("lda", "linear", "lora"), ("object", "masked", "none"), ("tiny", "paper"), ("auto", "yes", "no")
OWN: Mapping[str, str] = {"preset": "tiny", "pretrain": "object", "head": "lda", "normalise": "auto", "objects": "auto"}
BOUND = 9.0
USUAL: Mapping[str, Any] = {**USUAL_OBJECTS, "edges": "components", "bound": BOUND, **OWN}
ITSELF = 0.02
"""Where evidence is bounded: the weight of a pixel's own, unbounded, beside what its object says; it decides what is a pixel or two wide."""
GROUP = 10
"""Bands of a token of the tiny preset (`hsikit.nn.spectral_transformer.PRESETS`): fewer bands leave nothing to hide."""

UNLABELLED = ("components", "edges", "steps", "keep", "preset", "pretrain")
"""Settings that decide what is learned without labels."""

UNLABELLED_ARRAYS = ("mean", "vectors", "input_mean", "input_scale")

Run = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class LolaSpecVit(PixelClassifier):
    """A trained model.

    Arrays: `mean` (C,) and `vectors` (C, M), the components; `encoder.*`, `top.*`, `input_mean`, `input_scale`, the network as it
    learned without labels. With the head "lda": `object_weights` (K, C), `object_intercepts` (K,), `neighbourhood_weights` (K, C),
    `neighbourhood_network` (K, d) and `neighbourhood_intercepts` (K,). With the others: `tuned.*`, the whole network that gives
    logits; for "lora" also `adapter.*`, by the names of PEFT.

    Attributes:
        history: losses of each epoch, by name.
    """

    name: ClassVar[str] = "lola-specvit"
    learned_unlabelled: ClassVar[str] = "components, edges, trends and the network"
    reuses_unlabelled: ClassVar[bool] = True
    keeps_snapshots: ClassVar[bool] = True
    kinds: ClassVar[Mapping[str, tuple[type, ...]]] = {
        "width": (int,), "detrend": (bool,), "edges": (str,), "steps": (int,), "keep": (float,), "standardise": (bool,), **dict.fromkeys(OWN, (str,)),
    }  # fmt: skip
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    _networks: dict[Any, SpectralNetwork] = field(default_factory=dict, repr=False)

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Run, progress: Any = None, workspace: Path | None = None, **options: Any) -> Self:
        """Learns from all pixels of the scenes without their labels, then from the labels.

        Args:
            scenes: see `PixelClassifier.train`.
            seed: of the network, and of which pixels are kept where a class has more than 2000.
            run: the engine's `compute`.
            progress: passed to `run`, and told of each epoch.
            workspace: folder for snapshots of the training; with the same arguments, a run that was killed goes on from there.
            options: those of `mnf-lda-edge`; `preset` ("tiny"; or "paper", see `window_network`), `pretrain` ("object"; "masked",
                with more than one group of bands; or "none": from the labels alone, with the head "linear", which then trains
                all weights), `head` ("lda", "linear", "lora"), and `normalise`: spectra "standardised", "raw", or "both" beside
                each other; "auto" chooses one of the first two by cross-validation inside the labels. `objects`: whether pixels
                are judged by their whole objects, detrended and diffused ("yes"), or by their neighbourhood alone, not
                detrended ("no"), which suits ground whose objects are a few pixels wide; "auto" decides by cross-validation
                inside the labels. `bound` (9): the most that one pixel says against a class to its object, in natural
                logarithms, with the head "lda"; a few pixels that are all too sure cannot outvote a field then.

        Raises:
            OptionError: an unknown option, or a value that makes no sense.
        """
        basis = Basis.of(scenes[0].source.info)
        settings = parse_settings(options, len(basis.bands))
        samples = training_samples(scenes, most=2000, seed=seed)
        settings, mean, vectors = _components(scenes, basis, samples, settings, run, progress)

        def objects(source: Source, rows: NDArray[Any], cols: NDArray[Any]) -> NDArray[np.float32]:
            project = LinearProjector(mean, with_guides(vectors.T, vectors, settings), settings["standardise"])
            plain = {**settings, "detrend": False}
            job = feature_job(source.info, basis.match(source.info), project, guides_of(settings, vectors.shape[1]), (slice(None), slice(0, 1)), plain)
            found = run(job, {"cube": source}, layers=(FAR_NOW,), at=(rows, cols), progress=progress).values[FAR_NOW]
            return np.ascontiguousarray(np.asarray(found, np.float32).T)

        asked = (scenes, lambda source: basis.match(source.info), basis.bands.wavelength, settings)
        kept: dict[str, Any] = {"seed": seed, "folder": None if workspace is None else workspace / "pretraining", "tell": teller(progress, "pretraining")}
        if settings["preset"] in WINDOWED and progress is not None:
            progress.note(SLOW)
        network, losses = (
            learn_windows_without_labels(*asked, components_of(mean, vectors, settings["standardise"]), objects, **kept)
            if settings["preset"] in WINDOWED
            else learn_without_labels(*asked, objects, **kept)
        )
        learned = {"mean": mean, "vectors": vectors, **network.arrays()}
        return cls._fitted(scenes, samples, network, learned, settings, {"pretraining": losses} if losses else {}, seed, run, progress, workspace)

    def refit(self, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Run, progress: Any = None, workspace: Path | None = None, **options: Any) -> Self:
        """Fitted on other labels; the components and the network stay as they were learned without labels."""
        settings = parse_settings(options, len(self.basis.bands))
        asked = settings["normalise"] in ("auto", self.settings["normalise"])
        if not asked or any(settings[name] != self.settings[name] for name in UNLABELLED):
            return type(self).train(scenes, seed=seed, run=run, progress=progress, workspace=workspace, **options)
        settings |= {name: self.settings[name] for name in ("normalise", "standardise")}
        samples = training_samples(scenes, most=2000, seed=seed)
        learned = {name: value for name, value in self.arrays.items() if name in UNLABELLED_ARRAYS or name.startswith(("encoder.", "top."))}
        network = self._network("")
        history = {name: losses for name, losses in self.history.items() if name == "pretraining"}
        return self._fitted(scenes, samples, network, learned, settings, history, seed, run, progress, workspace)

    @classmethod
    def _fitted(
        cls, scenes: Sequence[LabelledScene], samples: Samples, network: SpectralNetwork, learned: Mapping[str, NDArray[Any]],
        settings: Mapping[str, Any], history: Mapping[str, Sequence[float]], seed: int, run: Run, progress: Any, workspace: Path | None,
    ) -> Self:  # fmt: skip
        settings, far = _judged(scenes, samples, learned, settings, run, progress)
        if settings["head"] == "lda":
            arrays = _discriminants(scenes, samples, network, learned, settings, far, run, progress)
        else:
            folder = None if workspace is None else workspace / "tuning"
            arrays, losses, recorded = tuned(scenes, samples, network, settings, seed, folder, teller(progress, "tuning"))
            history, settings = {**history, **losses}, {**settings, **recorded}
        return cls(samples.basis, samples.legend, {**learned, **arrays}, dict(settings), history=history)

    def check_arrays(self) -> None:
        """Raises ValueError where arrays or settings do not fit, or a setting is out of range."""
        bands, classes, head = len(self.basis.bands), len(self.legend), self.settings.get("head")
        for name, kinds in self.kinds.items():
            if not isinstance(self.settings.get(name), kinds):
                raise ValueError(f"setting {name!r} is {self.settings.get(name, 'missing')}")
        try:
            parse_settings({name: value for name, value in self.settings.items() if name in USUAL}, bands)
        except OptionError as error:
            raise ValueError(f"setting {error}") from error
        shapes: dict[str, tuple[int, ...]] = {"mean": (bands,), "vectors": (bands, int(self.settings["components"]))}
        windowed = self.settings["preset"] in WINDOWED
        given = (1, min(COMPONENTS, int(self.settings["components"])), 1, 1) if windowed else (2 * len(NORMALISATIONS[self.settings["normalise"]]), bands)
        shapes |= dict.fromkeys(("input_mean", "input_scale"), given)
        if self.settings["objects"] == "auto":
            raise ValueError("setting 'objects' is not decided")
        if head == "lda":
            shapes |= {f"{part}_weights": (classes, bands) for part in self._parts}
            shapes |= {f"{part}_intercepts": (classes,) for part in self._parts}
        for name, shape in shapes.items():
            if name not in self.arrays or self.arrays[name].shape != shape:
                raise ValueError(f"array {name!r} has shape {self.arrays[name].shape if name in self.arrays else 'missing'}, not {shape}")
        try:
            width = self._network("" if head == "lda" else "tuned.").width
            self._network("")  # what a refit starts from
        except (KeyError, RuntimeError) as error:
            raise ValueError(f"the network's arrays do not fit together: {error}") from error
        if head == "lora" and not (isinstance(self.settings.get("adapter"), Mapping) and any(name.startswith("adapter.") for name in self.arrays)):
            raise ValueError("no adapter")
        if (head == "lda" and self.arrays["neighbourhood_network"].shape != (classes, width)) or (head != "lda" and width != classes):
            raise ValueError(f"a network of {width} features does not fit {classes} classes")

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What a model folder keeps: arrays, and JSON-able facts."""
        arrays, facts = super().state()
        return arrays, {**facts, "history": {name: list(losses) for name, losses in self.history.items()}}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """The inverse of `state`."""
        return replace(super().from_state(arrays, facts), history=dict(facts.get("history", {})))

    def adapter(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """The adapter in PEFT's layout, tensors and configuration; None where the head has none."""
        tensors = {name.removeprefix("adapter."): value for name, value in self.arrays.items() if name.startswith("adapter.")}
        return (tensors, dict(self.settings["adapter"])) if tensors else None

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The job that maps a scene.

        Raises:
            ModelError: the scene's bands, quantity or units are not the model's.
        """
        info = inputs["cube"]
        bands, layers = self.basis.match(info), output_layers(self.legend, self.extras)
        scratch, stages, answer = self._stages(info)
        needed = (answer,) if self._least is None or answer == NEAR else (answer, JOINED)
        from_scene = "edges" + (" and trends" if self.settings["head"] == "lda" and self.settings["detrend"] else "") + ", from its unlabelled pixels"
        return Job(
            method=self.name,
            identity=self.identity(),
            reference="cube",
            inputs={"cube": Input(tuple(int(b) for b in bands))},
            layers=(*layers, *scratch),
            stages=(*stages, Map("classify", needed, tuple(layer.name for layer in layers), self._decider(answer))),
            cost=self.cost,
            provenance={
                "method": self.name,
                "class_names": ", ".join(self.legend.names),
                "settings": json.dumps(dict(self.settings), sort_keys=True),
                **({"learned_from_this_scene": from_scene} if self._whole else {}),
            },
        )

    @property
    def _whole(self) -> bool:
        """Whether pixels are judged by whole objects."""
        return bool(self.settings["objects"] == "yes")

    @property
    def _parts(self) -> tuple[str, ...]:
        """The discriminants of the head "lda"."""
        return ("object", "neighbourhood") if self._whole else ("neighbourhood",)

    def _stages(self, info: SceneInfo) -> tuple[list[Layer], list[Stage], str]:
        """Scratch layers, the stages that fill them, and the one of them that holds logits of the classes."""
        classes, project, lda = len(self.legend), self._projector(), self.settings["head"] == "lda"
        guides = guides_of(self.settings, self.arrays["vectors"].shape[1]) if self._whole else 0
        if not self._whole:
            if lda:
                return list(feature_layers(classes, 0, classes, 0)), list(feature_stages(project, 0, (None, slice(None)), info, self.settings)), NEAR
            return list(feature_layers(classes, 0, 0, 0)), [project_stage(project)], PROJECTED
        scratch = [layer for layer in feature_layers((1 + lda) * classes, classes, classes, guides) if lda or layer.name not in (FAR, FAR_NOW, NEAR)]
        scratch += joined_layers(classes)
        stages: list[Stage]
        if lda:
            stages = [*feature_stages(project, guides, (slice(classes), slice(classes, None)), info, self.settings)]
            stages.append(join_stage(self.tensors, self._least))
        else:
            stages = [*edge_stages(project, guides), Map("join", (PROJECTED,), (JOINED, JOINED_NOW), _as_log_probabilities)]
        stages.append(diffusion_loop("smooth-classes", JOINED, JOINED_NOW, int(self.settings["steps"]), float(self.settings["keep"]), self._least))
        return scratch, stages, JOINED_NOW

    @property
    def _least(self) -> float | None:
        """The least log-probability that a pixel gives a class in its object; None where there is none: of other heads, and models of older releases."""
        return -float(self.settings["bound"]) if self.settings["head"] == "lda" and "bound" in self.settings else None

    def _projector(self) -> NetworkProjector | WindowProjector:
        classes, vectors = len(self.legend), self.arrays["vectors"]
        if self.settings["head"] == "lda":
            # What all classes share changes no probability, but would cost float32 its digits.
            near, net = (_centred(self.arrays[name]) for name in ("neighbourhood_weights", "neighbourhood_network"))
            far = [_centred(self.arrays["object_weights"])] if self._whole else []
            rows, matrix = np.concatenate([*far, near]), np.concatenate([*(np.zeros_like(net) for _ in far), net])
        else:
            rows, matrix = np.zeros((classes, len(vectors))), np.eye(classes)
        rows = with_guides(rows, vectors, self.settings) if self._whole else rows
        linear = LinearProjector(self.arrays["mean"], rows, self.settings["standardise"])
        if self.settings["preset"] in WINDOWED:
            return WindowProjector(linear, self._network_on, sum(value.nbytes for name, value in self.arrays.items() if name.startswith("tuned.")))
        return NetworkProjector(linear, matrix, self._network_on)

    def _network(self, prefix: str) -> SpectralNetwork:
        """The network that learned without labels (""), or the tuned one ("tuned.")."""
        own = {name.removeprefix(prefix): value for name, value in self.arrays.items() if name.startswith((f"{prefix}encoder.", f"{prefix}top."))}
        own |= {name: self.arrays[name] for name in ("input_mean", "input_scale")}
        if self.settings["preset"] in WINDOWED:
            components = components_of(self.arrays["mean"], self.arrays["vectors"], self.settings["standardise"])
            return window_network_from(own, self.settings["preset"], self.settings["normalise"], components)
        return network_from(own, self.settings["preset"], self.settings["normalise"])

    def _network_on(self, device: torch.device) -> SpectralNetwork:
        if device not in self._networks:
            self._networks[device] = self._network("" if self.settings["head"] == "lda" else "tuned.").on(device)
        return self._networks[device]

    def _decider(self, layer: str) -> Callable[[Tile, Store], Mapping[str, Tensor]]:
        def apply(tile: Tile, store: Store) -> Mapping[str, Tensor]:
            logits = tile.inner(layer)
            if layer == JOINED_NOW and self._least is not None:
                logits = logits + ITSELF * tile.inner(JOINED)
            if layer == NEAR:
                logits = logits + self.tensors(logits.device)["neighbourhood_intercepts"].float()[:, None, None]
            return decide(logits.log_softmax(0), self.legend, self.extras, self.unknown_below, self.temperature)

        return apply

    def cost(self, tile_shape: tuple[int, int]) -> Cost:
        """Memory and work of one tile."""
        return stage_cost(tile_shape, len(self.basis.bands), self._projector(), len(self.legend), 2 * int(self.settings["steps"]) if self._whole else 0)


def parse_settings(options: Mapping[str, Any], bands: int) -> dict[str, Any]:
    """All settings, the usual ones where the user gave none.

    Raises:
        OptionError: an unknown option, or a value out of range.
    """
    refuse_unknown("lola-specvit", options, USUAL)
    given = {**{name: USUAL[name] for name in ("edges", *OWN)}, **{name: value for name, value in options.items() if value is not None}}
    if given["preset"] in WINDOWED:
        _check_windowed(given, options)
    for name, known in (
        ("preset", (*PRESETS, *WINDOWED)),
        ("pretrain", PRETRAIN),
        ("head", HEADS),
        ("normalise", ("auto", *NORMALISATIONS)),
        ("objects", OBJECTS),
    ):
        if given[name] not in known:
            raise OptionError(name, f"{given[name]!r} is none of {', '.join(PRESETS if name == 'preset' else known)}")
    if given["pretrain"] == "none" and given["head"] != "linear":
        raise OptionError(
            "head", f"{given['head']!r} stands on a pretrained network", "Give head=linear with pretrain=none, which trains all weights on the labels"
        )
    if given["pretrain"] == "masked" and bands <= GROUP:
        raise OptionError("pretrain", f"'masked' hides groups of {GROUP} bands, and needs more than {GROUP} bands; there are {bands}", "Give pretrain=object")
    bound = given.get("bound", BOUND)
    if isinstance(bound, bool) or not isinstance(bound, int | float) or not 1 <= bound <= -LEAST:
        raise OptionError("bound", f"{bound!r} is not a number from 1 to {-LEAST:g}", f"The default is {BOUND:g}")
    objects = parse_objects({name: value for name, value in given.items() if name not in (*OWN, "bound")}, bands)
    return {**objects, "bound": float(bound), **{name: given[name] for name in OWN}}


def _check_windowed(given: dict[str, Any], options: Mapping[str, Any]) -> None:
    """What the presets of windows need; the head is theirs unless one was given."""
    if options.get("head") is None:
        given["head"] = "linear" if given["pretrain"] == "none" else "lora"
    if given["head"] == "lda":
        raise OptionError("head", f"preset {given['preset']} has no head 'lda': its network is tuned on the labels", "Give head=lora or head=linear")
    if given["pretrain"] == "masked":
        raise OptionError("pretrain", f"preset {given['preset']} does not learn 'masked'", "Give pretrain=object or pretrain=none")
    if given["normalise"] == "both":
        raise OptionError("normalise", f"preset {given['preset']} takes components of one kind of spectra", "Give normalise=standardised, raw or auto")


def _components(
    scenes: Sequence[LabelledScene], basis: Basis, samples: Samples, settings: Mapping[str, Any], run: Run, progress: Any
) -> tuple[dict[str, Any], NDArray[np.float64], NDArray[np.float64]]:
    """The settings with the normalisation decided, and mean and vectors of the components."""
    wanted, count = settings["normalise"], int(settings["components"])
    kinds = [True, False] if wanted == "auto" else [wanted != "raw"]
    transforms = scene_transforms(scenes, basis, kinds, run, progress)
    standardised = kinds[0]
    if wanted == "auto":
        tried = [Setting(components=count, width=int(settings["width"]), standardise=kind) for kind in kinds]
        # Brightness tells more inside the labels than on other ground, so raw spectra must be clearly better.
        standardised = choose(scenes, samples, transforms, tried, errors=2)[0].standardise
        wanted = "standardised" if standardised else "raw"
    transform = transforms[standardised]
    return {**settings, "normalise": wanted, "standardise": standardised}, transform.mean, transform.vectors[:, :count]


def by_objects(samples: Samples, far: NDArray[np.float64], alone: NDArray[np.float64]) -> bool:
    """Whether pixels are judged by whole objects: unless their neighbourhood alone, not detrended, is clearly better inside the labels.

    Args:
        samples: the training pixels.
        far: components diffused over objects, (n, M).
        alone: components averaged over the neighbourhood, not detrended, (n, M).
    """
    whole, own = held_out_hits(far, samples), held_out_hits(alone, samples)
    return not (len(own) and gain_is_clear(own, whole, 1))


def _judged(
    scenes: Sequence[LabelledScene], samples: Samples, learned: Mapping[str, NDArray[Any]], settings: Mapping[str, Any], run: Run, progress: Any
) -> tuple[dict[str, Any], NDArray[np.float64] | None]:
    """The settings with `objects` decided, and the diffused components (n, M) at the training pixels where they are needed."""
    vectors, far = learned["vectors"], None
    alone = {**settings, "objects": "no", "detrend": False}
    if settings["objects"] == "no":
        return alone, None
    if settings["objects"] == "auto" or settings["head"] == "lda":
        project = LinearProjector(learned["mean"], with_guides(vectors.T, vectors, settings), settings["standardise"])
        guides = guides_of(settings, vectors.shape[1])
        far, _ = features_at(scenes, samples, project, guides, (slice(None), slice(0, 1)), settings, run, progress)
    if settings["objects"] == "auto":
        project = LinearProjector(learned["mean"], vectors.T, settings["standardise"])
        _, own = features_at(scenes, samples, project, 0, (None, slice(None)), alone, run, progress)
        assert far is not None
        if not by_objects(samples, far, own):
            return alone, None
    return {**settings, "objects": "yes"}, far


def feature_projector(network: SpectralNetwork, mean: NDArray[Any], vectors: NDArray[Any], settings: Mapping[str, Any]) -> NetworkProjector:
    """Gives the neighbourhood's features of the head "lda" themselves: components, then the network's predictions."""
    count, width = vectors.shape[1], network.width
    rows = np.concatenate([vectors.T, np.zeros((width, len(vectors)))])
    matrix = np.concatenate([np.zeros((count, width)), np.eye(width)])
    return NetworkProjector(LinearProjector(mean, rows, settings["standardise"]), matrix, cache(network.on))


def _discriminants(
    scenes: Sequence[LabelledScene], samples: Samples, network: SpectralNetwork, learned: Mapping[str, NDArray[Any]], settings: Mapping[str, Any],
    far: NDArray[np.float64] | None, run: Run, progress: Any,
) -> dict[str, NDArray[Any]]:  # fmt: skip
    """The head "lda", fitted on features that the stages of a map give at the training pixels; `far`: those of objects, if it looks at them."""
    vectors, classes = learned["vectors"], len(samples.legend)
    count, project = vectors.shape[1], feature_projector(network, learned["mean"], vectors, settings)
    _, near = features_at(scenes, samples, project, 0, (None, slice(None)), settings, run, progress)
    weights, intercepts = fit_lda(near, samples.targets, classes)
    arrays = {
        "neighbourhood_weights": weights[:, :count] @ vectors.T,
        "neighbourhood_network": weights[:, count:],
        "neighbourhood_intercepts": intercepts,
    }
    if far is not None:
        weights, intercepts = fit_lda(far, samples.targets, classes)
        arrays |= {"object_weights": weights @ vectors.T, "object_intercepts": intercepts}
    return arrays


def _as_log_probabilities(tile: Tile, store: Store) -> Mapping[str, Tensor]:
    joined = tile.inner(PROJECTED).double().log_softmax(0).clamp(min=LEAST).float()
    return {JOINED: joined, JOINED_NOW: joined}


def _centred(weights: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(weights - weights.mean(0))
