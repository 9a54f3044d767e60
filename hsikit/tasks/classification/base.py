"""The base of classifiers that make one map in one stage, so that a new one is a few lines.

A subclass names its arrays, learns them in `train`, and answers `pixel_log_probabilities` for a few thousand spectra at a
time; or, where it looks at neighbours, `radius` and `log_probabilities` for a tile. Everything else is here: checking bands,
quantity and units against the scene, layers, unknown pixels, identity, cost, and what a model folder keeps.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from hsikit.errors import OptionError
from hsikit.layers import Legend
from hsikit.method import Cost, Input, Job, Map, Stage, Store, Tile
from hsikit.scene import SceneInfo
from hsikit.tasks.classification.basis import Basis
from hsikit.tasks.classification.decision import EXTRAS, decide, output_layers

if TYPE_CHECKING:
    from torch import Tensor

    from hsikit.train.labelled import LabelledScene

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class PixelClassifier:
    """A trained classifier: a frozen value.

    Attributes:
        basis: sensor, bands and quantity that it was trained on.
        legend: its classes; the order of the codes is the order of its probabilities.
        arrays: what was learned, by the names in `shapes`.
        settings: what was chosen in training, JSON-able.
        extras: layers beside the map, out of "confidence", "probabilities", "log_probabilities".
        unknown_below: pixels with a lower confidence get code 254.
        temperature: what log-probabilities are divided by for confidence and probabilities, above 0; above 1 where the
            classifier is surer than it is right. It never changes which class is the most probable.
    """

    name: ClassVar[str]
    task: ClassVar[str] = "classification"
    roles: ClassVar[tuple[str, ...]] = ("cube",)
    shapes: ClassVar[Mapping[str, tuple[str, ...]]]
    """Each array's shape in letters: C bands, K classes, any other letter a size that is equal wherever it stands."""

    kinds: ClassVar[Mapping[str, tuple[type, ...]]] = {}
    """Settings without which a model cannot map, and what they are."""

    chunk: ClassVar[int] = 1024
    """Pixels that are classified at once: bounds the temporary arrays whatever the tile."""

    learned_unlabelled: ClassVar[str] = ""
    """What it learns from all pixels of the training scenes without their labels, in words."""

    reuses_unlabelled: ClassVar[bool] = False
    """Whether `refit` keeps what was learned without labels, and so costs less than `train`."""

    basis: Basis
    legend: Legend
    arrays: Arrays
    settings: Mapping[str, Any] = field(default_factory=dict)
    extras: tuple[str, ...] = ()
    unknown_below: float = 0.0
    temperature: float = 1.0
    _placed: dict[Any, dict[str, Tensor]] = field(default_factory=dict, repr=False)

    @classmethod
    def train(cls, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """Learns from labelled scenes.

        Args:
            scenes: one or more, of one sensor, with one legend.
            seed: of everything random.
            run: the engine's `compute`, for classifiers that need statistics of whole scenes.
            progress: passed to `run`.
            options: the classifier's own.

        Raises:
            LabelError: fewer than two classes with usable pixels.
            ModelError: scenes that differ in bands, quantity or units.
            OptionError: an option that it does not have, or a value that makes no sense.
        """
        raise NotImplementedError

    def refit(self, scenes: Sequence[LabelledScene], *, seed: int = 0, run: Callable[..., Any], progress: Any = None, **options: Any) -> Self:
        """A model of the same kind that learns from other labels of the scenes that this one was trained on.

        A method that learns much without labels keeps that (`reuses_unlabelled`); else it is trained anew. For the arguments
        and errors see `train`. The temperature is 1 again.
        """
        return type(self).train(scenes, seed=seed, run=run, progress=progress, **options)

    @property
    def radius(self) -> int:
        """How many neighbours on each side a pixel's answer depends on."""
        return 0

    def pixel_log_probabilities(self, spectra: Tensor, store: Store) -> Tensor:
        """(n, K) log-probabilities of n spectra, float32 of shape (n, C), none missing."""
        raise NotImplementedError

    def log_probabilities(self, tile: Tile, store: Store) -> Tensor:
        """(K, rows, cols) of the tile's core; NaN where not valid."""
        valid = tile.inner_valid("cube")
        values = tile.inner("cube").flatten(1)
        answers = values.new_full((len(self.legend), valid.numel()), float("nan"))
        # Gathered chunk by chunk: the spectra of a whole tile would stand in memory twice.
        usable = valid.flatten().nonzero()[:, 0]
        for start in range(0, len(usable), self.chunk):
            places = usable[start : start + self.chunk]
            spectra = values[:, places].T.contiguous()
            answers[:, places] = self.pixel_log_probabilities(spectra, store).to(answers.dtype).T
        return answers.view(-1, *valid.shape)

    def chunk_bytes(self) -> int:
        """Temporary memory of one chunk of pixels."""
        return self.chunk * 8 * (4 * len(self.basis.bands) + 4 * len(self.legend))

    def pixel_flops(self) -> float:
        """Floating-point operations a pixel."""
        return 4.0 * len(self.basis.bands) * len(self.legend)

    def statistics(self) -> tuple[Stage, ...]:
        """Stages that run before the map is made."""
        return ()

    def check_scene(self, info: SceneInfo) -> None:
        """Raises ModelError where the model cannot map this scene for a reason other than its bands."""

    def with_options(self, **options: Any) -> Self:
        """A copy with other `extras`, `unknown_below`, `temperature`, or options of the subclass.

        Raises:
            OptionError: no such option or layer, a probability outside 0 to 1, or a temperature that is not above 0.
        """
        for name in options:
            if name.startswith("_") or name in ("basis", "legend", "arrays", "settings") or name not in self.__dataclass_fields__:
                raise OptionError(name, f"{self.name} has no such option")
        changed = replace(self, **options, _placed=self._placed)
        for extra in changed.extras:
            if extra not in EXTRAS:
                raise OptionError(extra, f"{self.name} writes no such layer", f"It writes {', '.join(EXTRAS)}")
        if not 0 <= changed.unknown_below <= 1:
            raise OptionError("unknown_below", f"{changed.unknown_below} is not a probability", "Give a number from 0 to 1")
        if not 0 < changed.temperature < float("inf"):
            raise OptionError("temperature", f"{changed.temperature} is not a number above 0")
        return changed

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The job that maps a scene.

        Raises:
            ModelError: the scene's bands, quantity or units are not the model's.
        """
        info = inputs["cube"]
        bands = self.basis.match(info)
        self.check_scene(info)
        layers = output_layers(self.legend, self.extras)
        halo = (self.radius, self.radius)
        stage = Map("classify", ("cube",), tuple(layer.name for layer in layers), self._apply, halo=halo)
        return Job(
            method=self.name,
            identity=self.identity(),
            reference="cube",
            inputs={"cube": Input(tuple(int(b) for b in bands))},
            layers=layers,
            stages=(*self.statistics(), stage),
            cost=self.cost,
            provenance={"method": self.name, "class_names": ", ".join(self.legend.names), "settings": json.dumps(dict(self.settings), sort_keys=True)},
        )

    def _apply(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        return decide(self.log_probabilities(tile, store), self.legend, self.extras, self.unknown_below, self.temperature)

    def identity(self) -> dict[str, Any]:
        """What tells this model and its options from another."""
        digest = hashlib.sha256(json.dumps([self.basis.to_json(), self.legend.to_json(), dict(self.settings)], sort_keys=True).encode())
        for key in sorted(self.arrays):
            digest.update(key.encode() + np.ascontiguousarray(self.arrays[key]).tobytes())
        return {"weights": digest.hexdigest(), "extras": list(self.extras), "unknown_below": self.unknown_below, "temperature": self.temperature}

    def cost(self, tile_shape: tuple[int, int]) -> Cost:
        """Memory and work of one tile."""
        pixels = tile_shape[0] * tile_shape[1]
        answering = pixels * (4 * len(self.legend) + 16) + self.chunk_bytes()
        deciding = pixels * (4 * 3 * len(self.legend) + 24)
        return Cost(max(answering, deciding), pixels * self.pixel_flops())

    def tensors(self, device: Any) -> dict[str, Tensor]:
        """The arrays on a device, put there once."""
        import torch

        if device not in self._placed:
            self._placed[device] = {key: torch.from_numpy(np.array(value)).to(device) for key, value in self.arrays.items()}
        return self._placed[device]

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """What a model folder keeps: arrays, and JSON-able facts."""
        facts = {**self.basis.to_json(), "classes": self.legend.to_json(), "options": dict(self.settings), "temperature": self.temperature}
        return dict(self.arrays), facts

    @classmethod
    def from_state(cls, arrays: Arrays, facts: Mapping[str, Any]) -> Self:
        """The inverse of `state`.

        Raises:
            ValueError, KeyError, TypeError: facts or arrays that do not fit together (`hsikit.models` says which folder).
        """
        temperature = float(facts.get("temperature", 1.0))  # models of the first release have none
        if not 0 < temperature < float("inf"):
            raise ValueError(f"temperature {temperature} is not a number above 0")
        model = cls(Basis.from_json(facts), Legend.from_json(facts["classes"]), dict(arrays), dict(facts["options"]), temperature=temperature)
        model.check_arrays()
        return model

    def check_arrays(self) -> None:
        """Raises ValueError where an array or a setting is missing, is of another kind, or does not fit the others."""
        sizes = {"C": len(self.basis.bands), "K": len(self.legend)}
        for key, letters in self.shapes.items():
            if key not in self.arrays:
                raise ValueError(f"no array {key!r}")
            shape = self.arrays[key].shape
            if len(shape) != len(letters) or any(sizes.setdefault(letter, size) != size for letter, size in zip(letters, shape, strict=False)):
                expected = ", ".join(f"{letter}={sizes.get(letter, 'any')}" for letter in letters)
                raise ValueError(f"array {key!r} has shape {shape}, not ({expected})")
        targets = self.arrays.get("targets")
        if targets is not None and not np.isin(targets, np.arange(len(self.legend))).all():
            raise ValueError("array 'targets' names classes that are not in the legend")
        for name, kinds in self.kinds.items():
            # A bool is an int to Python, not to a model.
            if name not in self.settings or not isinstance(self.settings[name], kinds) or (isinstance(self.settings[name], bool) and bool not in kinds):
                raise ValueError(f"setting {name!r} is {self.settings.get(name, 'missing')}")
