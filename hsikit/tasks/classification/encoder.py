"""A pretrained encoder of any sensor as a classifier: read out by a discriminant, or tuned on the labels.

The base is frozen, and hsikit's own or one out of a folder that `hsikit pretrain` wrote. `head="lda"` fits shrinkage discriminants on its features
(`encoder_readout`), averaged over a small square; `"linear"` trains a linear head, `"lora"` (arXiv:2106.09685), `"dora"` (arXiv:2402.09353) and
`"adaptformer"` (arXiv:2205.13535) something small beside the frozen base, `"full"` all weights, with smaller steps in early layers.
Every scene is standardised by its own statistics. The encoder takes any bands, but what a head reads of its features holds for the bands that it was
fitted on alone: for a scene of another sensor these are estimated from what it measured (`hsikit.spectral.band_estimate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import ModelError, OptionError
from hsikit.method import Cost, Job, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.sensor_change import SensorChange
from hsikit.tasks.classification.any_sensor import READ_OUT
from hsikit.tasks.classification.base import PixelClassifier
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.encoder_features import feature_cost, features_at, pixel_numbers
from hsikit.tasks.classification.encoder_readout import axes_of, chosen_width, fit_both, principal_axes, read_out
from hsikit.tasks.classification.encoder_settings import OF_HEADS, layer_names, own_settings
from hsikit.tasks.classification.labelled_windows import LabelledWindows, keep_windows, standardised_response
from hsikit.tasks.classification.samples import Samples, refuse_unknown, training_samples
from hsikit.tasks.classification.scene_moments import scene_moments
from hsikit.tasks.classification.seen_bands import SeenBands
from hsikit.tasks.telling import PARAMETERS, TUNED, teller

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.nn.body import BandFacts, TaskNetwork
    from hsikit.tasks.band_scale import BandScale
    from hsikit.tasks.classification.encoder_views import EstimatedBands, OwnBands
    from hsikit.train.labelled import LabelledScene

HEADS = ("lda", "linear", "lora", "dora", "adaptformer", "full")
WIDTHS, USUAL_WIDTH = (1, 3, 5), 3
"""Squares whose mean is judged, where nobody says which; and the one that stays unless another is clearly better."""
PER_CLASS = 2000
BASE, ADAPTER, HEAD = "base.", "adapter.", "head."


@dataclass(frozen=True, eq=False)
class EncoderClassifier(PixelClassifier):
    """A trained model.

    Arrays: `base.*`, the weights of the encoder; `head.weight` (K, width) and `head.bias` (K,), the logits of its features; for
    the heads "lora", "dora" and "adaptformer" also `adapter.*`, by the names of PEFT; `scene_mean` (C,) and `scene_covariance` (C, C) of single
    pixels of the training scenes, which folders of older releases lack: they map no other sensor.

    Attributes:
        history: losses of each epoch, by name.
    """

    name: ClassVar[str] = "encoder"
    learned_unlabelled: ClassVar[str] = (
        "the mean and deviation of each band, their covariance (for other sensors) and, unless the head is linear, the principal components of the features"
    )
    keeps_snapshots: ClassVar[bool] = True
    shapes: ClassVar[Mapping[str, tuple[str, ...]]] = {"head.weight": ("K", "D"), "head.bias": ("K",)}
    kinds: ClassVar[Mapping[str, tuple[type, ...]]] = {"head": (str,), "width": (int,), "encoder": (dict,)}
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    _view: OwnBands | EstimatedBands | None = None
    _networks: dict[Any, TaskNetwork] = field(default_factory=dict, repr=False)

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Any, progress: Any = None, workspace: Path | None = None, **options: Any) -> Self:
        """Reads the base out, or tunes it, by the labels.

        Args:
            scenes: see `PixelClassifier.train`.
            seed: of the head, the batches, and which pixels are kept where a class has more than 2000.
            run: the engine's `compute`.
            progress: passed to it, and told of each step.
            workspace: folder for snapshots of the tuning.
            options: `base`, a folder that `hsikit pretrain` wrote, hsikit's own unless given; `head`, one of `HEADS`, "lda" unless given; `width`, the side
                of the square whose mean is judged: 1, 3, 5 ..., chosen inside the labels unless given; and what some heads have alone (`OF_HEADS`):
                `rank` (4), `alpha` (twice the rank) and `targets` ("enter,leave": last parts of the paths of linear layers in the encoder's stages; all
                of them) of "lora" and "dora"; `cyclic` of "lora" ("yes", or the steps of a cycle: its strength moves in training); `hidden` (8), channels of
                "adaptformer"; `decay` (0.8) of the learning rate of "full", from a layer to the one before; `bands` of these four: "drop" leaves out one in
                ten in each step of the training, "sample" draws how many are seen, from one to all, and which.

        Raises:
            OptionError: an unknown option, or a value that makes no sense.
            ModelError: the base is missing or damaged, has learned nothing, or is not exact over tiles.
        """
        from hsikit.nn.base_files import SHIPPED
        from hsikit.nn.snapshots import digest
        from hsikit.tasks.band_scale import scene_scale

        settings = parse_settings(options)
        folder = Path(options.get("base") or SHIPPED)
        network = _network_on_base(folder)
        _check_targets(network, settings)
        base = {"name": folder.resolve().name, "weights": digest(network.encoder.state_dict())}
        samples = training_samples(scenes, most=PER_CLASS, seed=seed)
        basis = SeenBands(samples.basis.sensor, samples.basis.quantity, samples.basis.bands)
        samples = replace(samples, basis=basis)
        scales = {id(scene.source): scene_scale(scene.source, basis.match(scene.source.info), run, progress) for scene in scenes}
        snapshots = None if workspace is None else workspace / "tuning"
        asked = (scenes, samples, network, scales, settings, seed, snapshots)
        arrays, settings, history = _read_out(*asked, run, progress) if settings["head"] in ("lda", "linear") else _tuned(*asked, run, progress)
        moments = scene_moments([scene.source for scene in scenes], basis, single=True)
        settings |= {"encoder": network.body.config(), "base": base}
        return cls(basis if moments else Basis.of(scenes[0].source.info), samples.legend, {**arrays, **(moments or {})}, settings, history=history)

    def refit(self, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Any, progress: Any = None, **options: Any) -> Self:
        """Fitted on other labels; a width that was chosen is chosen again."""
        return type(self).train(scenes, seed=seed, run=run, progress=progress, **options)

    @property
    def radius(self) -> int:
        """Radius of the spatial mean, and the encoder's halo around it."""
        return int(self.settings["width"]) // 2 + int(self._network("cpu").body.halo or 0)

    def statistics(self) -> tuple[Stage, ...]:
        """The fold that gathers mean and deviation of each band of the scene."""
        from hsikit.tasks.band_scale import scale_stage

        return (scale_stage(),)

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The job that maps a scene of any sensor that sees enough.

        Raises:
            ModelError: another quantity, or the scene sees too little of the model's range.
        """
        from hsikit.tasks.classification.encoder_views import OwnBands, view_of

        info = inputs["cube"]
        view = view_of(self.basis, self.arrays, info) if isinstance(self.basis, SeenBands) else OwnBands(info.bands.take(self.basis.match(info)))
        job = PixelClassifier.bind(replace(self, _view=view, _placed=self._placed, _networks=self._networks), inputs)
        told = self.sensor_notice(info)
        return replace(job, provenance={**job.provenance, READ_OUT: told}) if told else job

    def sensor_notice(self, info: SceneInfo) -> str:
        """How a scene of another sensor is mapped; "" for one of the model's own."""
        return self.basis.notice(info) if isinstance(self.basis, SeenBands) else ""

    def log_probabilities(self, tile: Tile, store: Store) -> Tensor:
        """(K, rows, cols) log-softmax of the logits of the neighbourhoods' mean; NaN where not valid."""
        from hsikit.tasks.band_scale import SCALE, BandScale

        assert self._view is not None
        network = self._network(str(tile.valid["cube"].device))
        standardised, bands = self._view.taken(BandScale.of(store[SCALE]))
        learned = self.tensors(tile.valid["cube"].device)
        weights, intercepts = learned["head.weight"].double(), learned["head.bias"].double()
        scores = pixel_numbers(network, tile, standardised, bands, lambda features: features @ weights.T, len(weights), int(self.settings["width"]) // 2)
        logits = scores + intercepts[:, None, None]
        return logits.log_softmax(0).float().masked_fill_(~tile.inner_valid("cube"), float("nan"))

    def tensors(self, device: Any) -> dict[str, Tensor]:
        """Weights and intercepts of the head on a device; the encoder's own are in its network."""
        import torch

        if device not in self._placed:
            self._placed[device] = {name: torch.from_numpy(np.array(self.arrays[name])).to(device) for name in ("head.weight", "head.bias")}
        return self._placed[device]

    def cost(self, tile_shape: tuple[int, int]) -> Cost:
        """Memory and work of one tile."""
        count = len(self.basis.bands) if self._view is None else self._view.count
        return feature_cost(self._network("cpu"), count, len(self.legend), tile_shape)

    def labelled_windows(self, scenes: Sequence[LabelledScene], *, seed: int = 0) -> LabelledWindows | None:
        """What the head is fitted on again for another sensor (`for_sensor`); None where no scene has two valid pixels."""
        if "scene_covariance" not in self.arrays:
            return None
        samples = training_samples(scenes, most=PER_CLASS, seed=seed)
        return keep_windows(scenes, samples, self.arrays["scene_covariance"].astype(np.float64), self.radius, seed)

    def for_sensor(self, windows: LabelledWindows, change: SensorChange, basis: Basis) -> Self:
        """A model of another sensor: the head `lda` on the same features, fitted on labelled windows as that sensor would see them.

        It maps that sensor alone: to estimate bands from what it sees of the training scenes would lose twice.

        Args:
            windows: of `labelled_windows` of the model that was trained.
            change: from that model's bands to the other's, D of them.
            basis: those D bands.

        Raises:
            ModelError: the windows are of another network.
        """
        import torch

        from hsikit.nn.adapter_files import PREFIX
        from hsikit.nn.body import BandFacts

        if windows.radius != self.radius:
            wrong = f"the windows in its folder reach {windows.radius} pixels around a label, and its network sees {self.radius}"
            raise ModelError(self.name, wrong, "Train it again")
        through = standardised_response(change, windows.covariance)
        bands = BandFacts(*(torch.from_numpy(each.copy()) for each in (basis.bands.wavelength, basis.bands.fwhm, through.any(1))))
        features, scatter = windows.features(self._network("cpu"), through, bands, int(self.settings["width"]))
        weights, intercepts = fit_both(axes_of(scatter), features, windows.targets.astype(np.intp), len(self.legend))
        intercepts = intercepts + np.log(windows.shares / np.bincount(windows.targets) * len(windows.targets))
        arrays = {name: value for name, value in self.arrays.items() if name not in ("scene_mean", "scene_covariance")}
        for name, value in (("weight", weights), ("bias", intercepts)):
            arrays[f"{HEAD}{name}"] = value
            if (beside := f"{ADAPTER}{PREFIX}{HEAD}{name}") in arrays:
                arrays[beside] = value.astype(np.float32)
        settings = {name: value for name, value in self.settings.items() if name not in (PARAMETERS, TUNED)} | {"refitted": "lda"}
        return replace(self, basis=basis, arrays=arrays, settings=settings, temperature=1.0, _placed={}, _networks={})

    def adapter(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]] | None:
        """The adapter in PEFT's layout, tensors and configuration; None where the head has none."""
        tensors = {name.removeprefix(ADAPTER): value for name, value in self.arrays.items() if name.startswith(ADAPTER)}
        return (tensors, dict(self.settings["adapter"])) if tensors else None

    def check_arrays(self) -> None:
        """Raises ValueError where arrays or settings do not fit, or a setting is out of range."""
        super().check_arrays()
        if self.settings["head"] not in HEADS or self.settings["width"] < 1 or self.settings["width"] % 2 == 0:
            raise ValueError(f"settings head {self.settings['head']!r} and width {self.settings['width']} make no sense")
        try:
            network = self._network("cpu")
        except (KeyError, RuntimeError, OptionError, ModelError) as error:
            raise ValueError(f"the encoder's arrays do not fit together: {error}") from error
        bands = len(self.basis.bands)
        if "scene_covariance" in self.arrays and (self.arrays["scene_covariance"].shape, self.arrays["scene_mean"].shape) != ((bands, bands), (bands,)):
            raise ValueError(f"mean and covariance of the scene do not fit {bands} bands")
        if self.arrays["head.weight"].shape[1] != network.body.width:
            raise ValueError(f"a head for {self.arrays['head.weight'].shape[1]} features on an encoder of {network.body.width}")

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What a model folder keeps: arrays, and JSON-able facts."""
        arrays, facts = super().state()
        return arrays, {**facts, "history": {name: list(losses) for name, losses in self.history.items()}}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Self:
        """The inverse of `state`."""
        found = super().from_state(arrays, facts)
        basis = found.basis
        if "scene_covariance" in arrays:
            basis = SeenBands(basis.sensor, basis.quantity, basis.bands)
        return replace(found, basis=basis, history=dict(facts.get("history", {})))

    def _network(self, device: str) -> TaskNetwork:
        """The encoder as it maps, adapters merged where they can be, put on a device once."""
        if device not in self._networks:
            self._networks[device] = _restored(self.arrays, self.settings, len(self.legend)).to(device)
        return self._networks[device]


def parse_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """The head, the width, None where it is to be chosen, and what the user gave of `OF_HEADS`.

    Raises:
        OptionError: an unknown option, or a value out of range.
    """
    refuse_unknown("encoder", options, ("base", "head", "width", *OF_HEADS))
    given = {name: value for name, value in options.items() if value is not None}
    if not isinstance(given.get("base", ""), str):
        raise OptionError("base", f"{given['base']!r} is not text, as the model's record of its training keeps it", "Give the folder's path as a string")
    head, width = given.get("head", "lda"), given.get("width")
    if head not in HEADS:
        raise OptionError("head", f"{head!r} is none of {', '.join(HEADS)}")
    if width is not None and (not isinstance(width, int) or isinstance(width, bool) or not 1 <= width <= 99 or width % 2 == 0):
        raise OptionError("width", f"{width!r} is not an odd number from 1 to 99")
    return {"head": head, "width": width, **own_settings(head, given)}


def _network_on_base(folder: Any) -> TaskNetwork:
    """A base out of its folder, under a head that is not there yet.

    Raises:
        ModelError: see `load_body`.
    """
    from torch import nn

    from hsikit.nn.base_files import load_body
    from hsikit.nn.body import TaskNetwork

    return TaskNetwork(load_body(folder), nn.Identity()).eval()


def _check_targets(network: TaskNetwork, settings: Mapping[str, Any]) -> None:
    """Raises OptionError, before any work, where low-rank adapters are to go on layers that the encoder lacks."""
    from hsikit.nn.body import linear_layers

    try:
        linear_layers(network, _targets(settings))
    except ValueError as error:
        raise OptionError("targets", str(error)) from error


def _targets(settings: Mapping[str, Any]) -> list[str]:
    return layer_names(settings["targets"]) if "targets" in settings else []


Found = tuple[dict[str, NDArray[Any]], dict[str, Any], dict[str, list[float]]]


def _read_out(
    scenes: Sequence[LabelledScene], samples: Samples, network: TaskNetwork, scales: Mapping[int, BandScale], settings: Mapping[str, Any], seed: int,
    folder: Path | None, run: Any, progress: Any,
) -> Found:  # fmt: skip
    """The heads that leave the base as it is, fitted on features that the stages of a map give at the training pixels."""
    from hsikit.nn.tuning import parameter_counts
    from hsikit.tasks.classification.encoder_tuning import linear_head

    tried = _tried(settings)
    features = features_at(scenes, samples, network, scales, tried, run, progress)
    losses: dict[str, list[float]] = {}
    if settings["head"] == "lda":
        width, weights, intercepts = read_out(features, samples, principal_axes(scenes, samples.basis, network, scales), tried)
    else:
        width = chosen_width(features, samples, tried)
        head, losses = linear_head(features[width], samples, seed, folder, teller(progress, "tuning"))
        weights, intercepts = (tensor.detach().numpy() for tensor in head.folded().parameters())
    own = weights.size + intercepts.size
    settings = {**settings, "width": width, PARAMETERS: parameter_counts(network).total + own, TUNED: own}
    return {**_base_arrays(network), f"{HEAD}weight": weights, f"{HEAD}bias": intercepts}, settings, losses


def _tried(settings: Mapping[str, Any]) -> list[int]:
    """Widths to choose from, the usual one first."""
    return [settings["width"]] if settings["width"] is not None else [USUAL_WIDTH, *(width for width in WIDTHS if width != USUAL_WIDTH)]


def _tuned(
    scenes: Sequence[LabelledScene], samples: Samples, network: TaskNetwork, scales: Mapping[int, BandScale], settings: Mapping[str, Any], seed: int,
    folder: Path | None, run: Any, progress: Any,
) -> Found:  # fmt: skip
    """The heads that change what the encoder says; they start from the head `lda`, and "full" from "linear".

    A discriminant weighs small components of the features, which steps of all weights blur at once.
    """
    import torch

    from hsikit.nn.body import HIDDEN, RANK, prepare
    from hsikit.nn.tuning import parameter_counts
    from hsikit.tasks.classification.encoder_tuning import discriminant_head, linear_head, tune

    head, rank = settings["head"], int(settings.get("rank", RANK))
    base = _base_arrays(network)
    tried = _tried(settings)
    features = features_at(scenes, samples, network, scales, tried, run, progress)
    axes = principal_axes(scenes, samples.basis, network, scales)
    width = read_out(features, samples, axes, tried)[0]
    if head == "full":
        network.head, _ = linear_head(features[width], samples, seed, folder and folder / "head", lambda *step: None)
    else:
        network.head = discriminant_head(features[width], samples, axes, seed)
    torch.manual_seed(seed)
    prepare(network, head, rank, float(settings.get("alpha", 2 * rank)), settings.get("hidden", HIDDEN), _targets(settings))
    counts = parameter_counts(network)
    bands = _shared_facts(samples, scales)
    losses = tune(network, settings, scenes, samples, bands, scales, seed, folder, teller(progress, "tuning"))
    network.head = network.head.folded()
    arrays = {f"{HEAD}{name}": tensor.detach().numpy() for name, tensor in network.head.named_parameters()}
    settings = {**settings, "width": width, PARAMETERS: counts.total, TUNED: counts.learning}
    if head in ("lora", "dora", "adaptformer"):
        config, state = network.own_part()
        arrays |= {f"{ADAPTER}{name}": tensor.numpy() for name, tensor in state.items()}
        settings["adapter"] = config
    elif head == "full":
        base = _base_arrays(network)
    return {**base, **arrays}, settings, losses


def _shared_facts(samples: Samples, scales: Mapping[int, BandScale]) -> BandFacts:
    """The bands as the encoder is told of them; a band that is constant in one scene is 0 there, and counts in the others."""
    from hsikit.tasks.band_scale import band_facts

    first, *others = scales.values()
    facts = band_facts(samples.basis.bands, first)
    varies = facts.valid
    for other in others:
        varies = varies | other.varies
    return replace(facts, valid=varies)


def _base_arrays(network: TaskNetwork) -> dict[str, NDArray[Any]]:
    """The encoder's weights by their names in a model folder."""
    return {f"{BASE}{name}": tensor.detach().cpu().numpy().copy() for name, tensor in network.encoder.state_dict().items()}


def _restored(arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any], classes: int) -> TaskNetwork:
    """The network of a model folder, in evaluation mode.

    Raises:
        KeyError, RuntimeError, OptionError, ModelError: arrays that do not fit.
    """
    import torch
    from torch import nn

    from hsikit.nn.adapter_files import attach_adapter
    from hsikit.nn.body import TaskNetwork
    from hsikit.nn.encoder import Encoder
    from hsikit.nn.lora import merge_adapters

    tensors = {name: torch.from_numpy(np.array(value)) for name, value in arrays.items()}
    encoder = Encoder.from_config(settings["encoder"])
    encoder.load_state_dict({name.removeprefix(BASE): value for name, value in tensors.items() if name.startswith(BASE)})
    network = TaskNetwork(encoder, nn.Linear(encoder.width, classes))
    if "adapter" in settings:
        attach_adapter(network, settings["adapter"], {name.removeprefix(ADAPTER): value for name, value in tensors.items() if name.startswith(ADAPTER)})
        if settings["head"] != "adaptformer":
            merge_adapters(network)
    return network.eval()
