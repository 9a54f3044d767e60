"""Rows of the accuracy table, and the short way from labels to log-probabilities for those that have one.

What a method learns without labels is made once for a scene by the product's own stages, and kept as .npy files. A draw is then
discriminants, one product of matrices and the diffusion of a few channels. `--check` holds this against the product itself.
"""

from __future__ import annotations

import ast
import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.accuracy_table_columns import far
from benchmarks.indian_pines import FIXED
from hsikit.engine import compute
from hsikit.engine.compute import Result
from hsikit.layers import Legend
from hsikit.models import load_method, save_method
from hsikit.scene import SceneInfo, Source
from hsikit.tasks.classification import lola_specvit as lola
from hsikit.tasks.classification import mnf_lda_edge as edge
from hsikit.tasks.classification import object_features as objects
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.decision import LEAST, decide
from hsikit.tasks.classification.diffusion import advance
from hsikit.tasks.classification.edges import EDGES, MEDIAN
from hsikit.tasks.classification.lola_specvit import LolaSpecVit
from hsikit.tasks.classification.mnf_lda import MnfLda, scene_transforms
from hsikit.tasks.classification.mnf_lda_edge import MnfLdaEdge
from hsikit.tasks.classification.nearest_label import NearestLabel
from hsikit.tasks.classification.random_forest import RandomForest
from hsikit.tasks.classification.samples import present_classes, training_samples
from hsikit.tasks.classification.shrinkage_lda import fit_lda
from hsikit.tasks.classification.spectral_network import network_from
from hsikit.tasks.classification.svm import Svm
from hsikit.train.labelled import LabelledScene

if TYPE_CHECKING:
    from torch import Tensor

ROOT = Path(__file__).parents[1]

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Features:
    """What a row learns from a scene without labels.

    Attributes:
        parts: features (M, rows, cols), NaN where not valid: the log-probabilities of one discriminant of each are added.
        edges: differences to the right and lower neighbour, (2, rows, cols).
        median: of the edges.
        steps: of the diffusion of the sum; 0 for none.
        keep: share of the sum in each step.
        bound: the most that a pixel says against a class to its object; None: whatever it says.
        alone: used in their place where `judged` says so of the labels.
        judged: whether these serve the labels; None: always.
    """

    parts: Sequence[NDArray[np.float32]]
    edges: NDArray[np.float32]
    median: float
    steps: int = 0
    keep: float = 1.0
    bound: float | None = None
    alone: Features | None = None
    judged: Callable[[LabelledScene], bool] | None = None


Make = Callable[[LabelledScene, Mapping[str, Any], Path], Features]


@dataclass(frozen=True, eq=False)
class Row:
    """One method of the table; it is scored as it is and smoothed.

    Attributes:
        name: in the table.
        kind: the classifier.
        options: of its training.
        features: the short way, from the scene, the row's options and the cache; None: every draw takes the product's way.
        edges: gives the edges that `--smooth` diffuses along; None: those of `features`, or of spectra.
    """

    name: str
    kind: type[PixelClassifier]
    options: Mapping[str, Any] = field(default_factory=dict)
    features: Make | None = None
    edges: Make | None = None


def place_of(cache: Path, kind: str, key: Any) -> Path:
    """Where something of this key is kept."""
    return cache / kind / hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()[:20]


def kept(place: Path, make: Callable[[], Arrays]) -> Arrays:
    """Arrays out of a folder of .npy files, made and put there if they are not; as memory maps."""
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as beside:
            made = Path(beside) / "made"
            made.mkdir()
            for name, values in make().items():
                np.save(made / f"{name}.npy", values)
            made.rename(place)
    return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in place.glob("*.npy")}


def learned(row: Row, scene: LabelledScene, cache: Path) -> PixelClassifier:
    """The row's model of `far`'s seed 0, for what it learned without labels: kept, and loaded by every process."""
    # Networks that learn the same without labels are trained once.
    options = {name: value for name, value in row.options.items() if name in lola.UNLABELLED} if row.kind is LolaSpecVit else dict(row.options)
    options |= {"head": "linear"} if options.get("pretrain") == "none" else {}
    place = place_of(cache, "models", [scene.source.info.identity, row.kind.name, options, code_digest(row.kind.__module__)])
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        train = scene.take(np.isin(np.arange(len(scene)), far(scene, 0).train))
        save_method(row.kind.train([train], seed=0, run=compute, **options), place)
    model = load_method(place)
    assert isinstance(model, PixelClassifier)
    return model


def component_arrays(scene: LabelledScene, settings: Mapping[str, Any], cache: Path) -> Arrays:
    """`object` and `neighbourhood` (M, rows, cols), `edges` and `median` of `mnf-lda-edge`, by the stages that make its maps."""
    info = scene.source.info
    place = place_of(cache, "features", ["object features", info.identity, dict(settings), code_digest(edge.__name__)])

    def make() -> Arrays:
        basis = Basis.of(info)
        transform = scene_transforms([scene], basis, [True], compute, None)[True]
        vectors = transform.vectors[:, : settings["components"]]
        project = objects.LinearProjector(transform.mean, objects.with_guides(vectors.T, vectors, settings))
        guides = objects.guides_of(settings, vectors.shape[1])
        job = objects.feature_job(info, basis.match(info), project, guides, (slice(None), slice(None)), settings)
        found = compute(job, {"cube": scene.source}, layers=(objects.FAR_NOW, objects.NEAR, EDGES), threads=1)
        layers = {"object": found.layers[objects.FAR_NOW], "neighbourhood": found.layers[objects.NEAR], "edges": found.layers[EDGES]}
        return {**layers, "median": found.store[MEDIAN]["median"].numpy()}

    return kept(place, make)


def edge_features(scene: LabelledScene, options: Mapping[str, Any], cache: Path) -> Features:
    """Of `mnf-lda-edge`."""
    settings = edge.parse_settings(options, len(Basis.of(scene.source.info).bands))
    found = component_arrays(scene, settings, cache)
    return Features((found["object"], found["neighbourhood"]), found["edges"], float(found["median"]), settings["steps"], settings["keep"])


def mean_features(scene: LabelledScene, options: Mapping[str, Any], cache: Path) -> Features:
    """Of `mnf-lda` with fixed sizes and standardised spectra: the neighbourhoods of `mnf-lda-edge` without detrending."""
    settings = edge.parse_settings({"detrend": False, "components": options["components"], "width": options["width"]}, len(Basis.of(scene.source.info).bands))
    found = component_arrays(scene, settings, cache)
    return Features((found["neighbourhood"],), found["edges"], float(found["median"]))


def network_features(scene: LabelledScene, options: Mapping[str, Any], cache: Path) -> Features:
    """Of `lola-specvit` with its head "lda": the network has learned from the scene without labels, as the product trains it."""
    info, settings = scene.source.info, lola.parse_settings(options, len(Basis.of(scene.source.info).bands))
    place = place_of(cache, "features", ["network features", info.identity, dict(options), code_digest(lola.__name__)])

    def make() -> Arrays:
        model = learned(Row("lola-specvit", LolaSpecVit, options), scene, cache)
        mean, vectors, chosen = model.arrays["mean"], model.arrays["vectors"], model.settings
        network = network_from(model.arrays, settings["preset"], chosen["normalise"])
        both = lola.feature_projector(network, mean, vectors, chosen)
        plain = objects.LinearProjector(mean, vectors.T, chosen["standardise"])
        guided = objects.LinearProjector(mean, objects.with_guides(vectors.T, vectors, settings), chosen["standardise"])
        job = objects.feature_job(info, Basis.of(info).match(info), guided, objects.guides_of(settings, vectors.shape[1]), (slice(None), slice(0, 1)), settings)
        found = compute(job, {"cube": scene.source}, layers=(objects.FAR_NOW, EDGES), threads=1)
        untouched = {**settings, "detrend": False}
        return {
            "object": found.layers[objects.FAR_NOW],
            "edges": found.layers[EDGES],
            "median": found.store[MEDIAN]["median"].numpy(),
            "whole": _neighbourhoods(scene, both, settings),
            "alone": _neighbourhoods(scene, both, untouched),
            "components": _neighbourhoods(scene, plain, untouched),
        }

    found, of_spectra = kept(place, make), edge_features(scene, {}, cache)

    def judged(train: LabelledScene) -> bool:
        samples = training_samples([train], most=2000)
        far, alone = (part[:, samples.rows, samples.cols].T.astype(np.float64) for part in (found["object"], found["components"]))
        return lola.by_objects(samples, far, alone)

    alone = Features((found["alone"],), of_spectra.edges, of_spectra.median)
    parts, edges = (found["object"], found["whole"]), (found["edges"], float(found["median"]))
    return Features(parts, *edges, settings["steps"], settings["keep"], settings["bound"], alone, judged)


def _neighbourhoods(scene: LabelledScene, project: objects.Projector, settings: Mapping[str, Any]) -> NDArray[np.float32]:
    """Averaged channels (d, rows, cols), nothing diffused."""
    info = scene.source.info
    job = objects.feature_job(info, Basis.of(info).match(info), project, 0, (None, slice(None)), settings)
    return np.asarray(compute(job, {"cube": scene.source}, layers=(objects.NEAR,), threads=1).layers[objects.NEAR])


def component_edges(scene: LabelledScene, options: Mapping[str, Any], cache: Path) -> Features:
    """Edges between components, as `lola-specvit` finds them."""
    return edge_features(scene, {"edges": "components"}, cache)


ROWS: Mapping[str, Row] = {
    row.name: row
    for row in (
        Row("nearest-label", NearestLabel),
        Row("svm", Svm),
        Row("random-forest", RandomForest),
        Row("mnf-lda 40/5/standardised", MnfLda, FIXED, mean_features),
        Row("mnf-lda-edge", MnfLdaEdge, {}, edge_features),
        Row("mnf-lda-edge, not detrended", MnfLdaEdge, {"detrend": False}, edge_features),
        Row("mnf-lda-edge, edges of components", MnfLdaEdge, {"edges": "components"}, edge_features),
        Row("mnf-lda-edge, edges of components, not detrended", MnfLdaEdge, {"edges": "components", "detrend": False}, edge_features),
        Row("lola-specvit", LolaSpecVit, {}, network_features),
        Row("lola-specvit, not detrended", LolaSpecVit, {"detrend": False}, network_features),
        Row("lola-specvit, edges of spectra", LolaSpecVit, {"edges": "spectra"}, network_features),
        Row("lola-specvit, masked", LolaSpecVit, {"pretrain": "masked"}, network_features),
        Row("lola-specvit, linear head", LolaSpecVit, {"head": "linear"}, edges=component_edges),
        Row("lola-specvit, lora head", LolaSpecVit, {"head": "lora"}, edges=component_edges),
        Row("lola-specvit, lora head, masked", LolaSpecVit, {"head": "lora", "pretrain": "masked"}, edges=component_edges),
        Row("lola-specvit, from scratch", LolaSpecVit, {"head": "linear", "pretrain": "none"}, edges=component_edges),
    )
}


@dataclass(frozen=True, eq=False)
class Answer:
    """A row's log-probabilities of a whole scene, trained by the short way or the product's; stands for a classifier in calibration.

    Attributes:
        legend: K classes.
        log_probabilities: float32 (K, rows, cols); NaN where not valid.
        features: of the short way; None: it cannot be trained anew.
    """

    legend: Legend
    log_probabilities: Tensor
    features: Features | None = None

    def refit(self, scenes: Sequence[LabelledScene], **_: Any) -> Answer:
        """The same features, other labels."""
        assert self.features is not None
        return answer_short(self.features, scenes[0])

    def with_options(self, **_: Any) -> Answer:
        """Itself: probabilities are at temperature 1."""
        return self

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Answer:
        """Itself: its map is there already."""
        return self

    def at(self, rows: NDArray[np.intp], cols: NDArray[np.intp]) -> dict[str, NDArray[Any]]:
        """`map` (1, n) and `probabilities` (K, n) at pixels."""
        found = decide(self.log_probabilities[:, rows, cols][:, None], self.legend, ("probabilities",))
        return {name: values[:, 0].numpy() for name, values in found.items()}


def look_up(job: Answer, sources: Mapping[str, Source], *, at: tuple[NDArray[np.intp], NDArray[np.intp]], **_: Any) -> Result:
    """In place of the engine's `compute`, for an `Answer`."""
    return Result(values=job.at(*at))


def answer_short(features: Features, train: LabelledScene) -> Answer:
    """Discriminants at the labels, applied to the whole scene; their sum diffused."""
    usable = ~np.isnan(features.parts[0][0, train.rows, train.cols])
    train = train.take(usable)
    if features.judged is not None and features.alone is not None and not features.judged(train):
        return answer_short(features.alone, train)
    legend = present_classes([train], train.codes)
    targets = np.searchsorted(np.array(legend.codes), train.codes)
    joined = torch.zeros(())
    for part in features.parts:
        weights, intercepts = fit_lda(part[:, train.rows, train.cols].T.astype(np.float64), targets, len(legend))
        # What all classes share changes no probability.
        logits = np.tensordot(weights - weights.mean(0), part.astype(np.float64), 1) + intercepts[:, None, None]
        joined = joined + torch.from_numpy(logits).log_softmax(0).clamp(min=LEAST)
    if features.steps:
        joined = joined.float().double()
        edges, median = torch.from_numpy(np.array(features.edges)).double(), torch.tensor(features.median, dtype=torch.float64)
        bounded = joined if features.bound is None else joined.log_softmax(0).clamp(min=-features.bound)
        after = advance(bounded, bounded, edges, median, features.steps, features.keep)
        own = 0 if features.bound is None else lola.ITSELF * joined.log_softmax(0)
        joined = (after + own).float().log_softmax(0)
    return Answer(legend, joined.clamp(min=LEAST).float(), features)


def used_features(answer: Answer, otherwise: Features) -> Features:
    """Those that the answer was made with, whose edges smooth it; `otherwise` for an answer of the product."""
    return answer.features or otherwise


def trained(row: Row, scene: LabelledScene, train: LabelledScene, seed: int, cache: Path) -> PixelClassifier:
    """The row's model at these labels; what it learns without labels is that of `learned`, where it can be used again."""
    if row.kind.reuses_unlabelled:
        return learned(row, scene, cache).refit([train], seed=seed, run=compute, **row.options)
    return row.kind.train([train], seed=seed, run=compute, **row.options)


def answer_product(trained: PixelClassifier, train: LabelledScene) -> Answer:
    """By mapping as a user does."""
    method = trained.with_options(extras=("log_probabilities",))
    job = method.bind({"cube": train.source.info})
    found = compute(job, {"cube": train.source}, layers=("log_probabilities",), threads=1).layers["log_probabilities"]
    return Answer(method.legend, torch.from_numpy(np.array(found)))


def smoothed(answer: Answer, features: Features, steps: int = 60, keep: float = 0.05) -> Answer:
    """The answer after `--smooth` with its defaults, along the edges of these features."""
    data, edges = answer.log_probabilities, torch.from_numpy(np.array(features.edges))
    after = advance(data, data, edges, torch.tensor(features.median), steps, keep).log_softmax(0)
    return Answer(answer.legend, after)


def code_digest(*modules: str) -> str:
    """Digest of modules of hsikit, with all they import that turns spectra into classes."""
    texts: dict[str, str] = {}
    pending = list(modules)
    while pending:
        name = pending.pop()
        path = ROOT.joinpath(*name.split(".")).with_suffix(".py")
        if name not in texts and path.exists():
            texts[name] = path.read_text()
            pending += _imports(texts[name])
    return hashlib.sha256(json.dumps(texts, sort_keys=True).encode()).hexdigest()


def _imports(text: str) -> list[str]:
    """What may be modules among a module's imports."""
    found = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.module]
    near = [node for node in found if f"{node.module}.".startswith(("hsikit.tasks.", "hsikit.spectral.", "hsikit.nn."))]
    return [name for node in near for name in (str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names))]
