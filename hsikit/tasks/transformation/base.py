"""What transforms into components share: a pass that gathers statistics, a pass that maps, and two tables of what was found."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsikit.errors import OptionError, SceneError
from hsikit.layers import Features, Layer
from hsikit.method import Cost, Finish, Halo, Input, Job, Map, Partial, Reduce, Store, Strips, Tile
from hsikit.scene import SceneInfo
from hsikit.spectral.moments import merge_moments

Floats = NDArray[np.float64]
USUAL = 20
"""Components where nobody says how many, or all of fewer bands."""
CHUNK_PIXELS = 1024
"""Pixels that are transformed at once, in float64: weights are large and of both signs."""
LEARNED = "transform"


@dataclass(frozen=True, eq=False)
class Components:
    """A linear transform of spectra: component = vectors.T @ (spectrum - mean).

    Attributes:
        mean: mean spectrum, shape (C,).
        vectors: weights, a component a column, strongest first, shape (C, C).
        strengths: what the components are ordered by, shape (C,).
    """

    mean: Floats
    vectors: Floats
    strengths: Floats


@dataclass(frozen=True)
class ComponentMethod(ABC):
    """A method that maps components of a scene; a subclass gathers statistics and solves for the transform.

    Attributes:
        components: how many are written; None: 20, or all of fewer bands.
    """

    task: ClassVar[str] = "transformation"
    roles: ClassVar[tuple[str, ...]] = ("cube",)
    name: ClassVar[str]
    strength: ClassVar[str]
    unit: ClassVar[str]

    components: int | None = None

    def __post_init__(self) -> None:
        if self.components is not None and self.components < 1:
            raise OptionError("components", f"{self.components} is no number of components", "Give 1 or more")

    @property
    @abstractmethod
    def halo(self) -> Halo:
        """Rows and columns around a tile that `gather` looks at."""

    @abstractmethod
    def gather(self, tile: Tile) -> Partial | None:
        """What a tile adds to the statistics: moments (`hsikit.spectral.moments`); None where it holds no valid pixel."""

    @abstractmethod
    def solve(self, found: Mapping[str, Floats], scene: str) -> Components:
        """The transform, out of the moments of the whole scene.

        Raises:
            SceneError: too little in the scene to learn it from.
        """

    @abstractmethod
    def gather_bytes(self, bands: int, tile: tuple[int, int]) -> int:
        """Peak of the temporary arrays of one `gather`."""

    @abstractmethod
    def options(self) -> dict[str, Any]:
        """What tells this method's options from others', but for `components`; JSON-able."""

    def bind(self, inputs: Mapping[str, SceneInfo]) -> Job:
        """The Job for one scene: layer "components" (float32), and tables "strengths" and "loadings".

        Raises:
            SceneError: the scene has no good band.
            OptionError: more components than good bands.
        """
        scene = inputs["cube"]
        used = scene.bands.used
        if not len(used):
            raise SceneError(scene.name, "none of its bands is good", "Look at its bad-band list")
        if self.components is not None and self.components > len(used):
            raise OptionError("components", f"{self.components} are more than the {len(used)} good bands of {scene.name}", "Ask for fewer")
        return _Transformation(self, scene, tuple(int(i) for i in used), self.components or min(USUAL, len(used))).job()


@dataclass(frozen=True, eq=False)
class _Transformation:
    """The stages for one scene.

    Attributes:
        method: the method.
        scene: facts of the scene.
        used: positions of its good bands.
        count: components that are written.
    """

    method: ComponentMethod
    scene: SceneInfo
    used: tuple[int, ...]
    count: int

    def job(self) -> Job:
        name, told = self.method.name.upper(), self.method.options()
        names = tuple(f"{name} {i + 1}" for i in range(self.count))
        layers = (
            Layer("components", bands=self.count, unit=self.method.unit, description=f"{name} components", band_names=names),
            Layer("strengths", "table", description=f"{self.method.strength} of every component"),
            Layer("loadings", "table", description="weight of every band in each component that is written"),
        )
        return Job(
            method=self.method.name,
            identity={**told, "components": self.count, "bands": list(self.used)},
            reference="cube",
            inputs={"cube": Input(self.used)},
            layers=layers,
            stages=(
                Reduce(LEARNED, ("cube",), lambda tile, store: self.method.gather(tile), merge_moments, self._learn, halo=self.method.halo),
                Map("components", ("cube",), ("components",), self._apply),
                Finish("tables", ("components",), self._tables),
            ),
            cost=self._cost,
            provenance={"bands_used": str(len(self.used)), **{key: str(value) for key, value in told.items()}},
        )

    def _cost(self, tile: tuple[int, int]) -> Cost:
        bands, pixels = len(self.used), tile[0] * tile[1]
        chunk = 8 * (3 * bands + 2 * self.count) * max(CHUNK_PIXELS, tile[1])
        return Cost(max(chunk, self.method.gather_bytes(bands, tile)), 2.0 * bands * (bands + self.count) * pixels)

    def _learn(self, found: Partial, store: Store) -> Partial:
        learned = self.method.solve({key: value.numpy() for key, value in found.items()}, self.scene.name)
        return {"mean": torch.tensor(learned.mean), "vectors": torch.tensor(learned.vectors), "strengths": torch.tensor(learned.strengths)}

    def _apply(self, tile: Tile, store: Store) -> Mapping[str, Tensor]:
        values, learned = tile.inner("cube"), store[LEARNED]
        vectors, mean = learned["vectors"][:, : self.count].T, learned["mean"][:, None]
        out = values.new_empty(self.count, *values.shape[1:])
        step = max(1, CHUNK_PIXELS // max(1, values.shape[2]))
        for row in range(0, values.shape[1], step):
            part = values[:, row : row + step]
            out[:, row : row + step] = (vectors @ (part.flatten(1).double() - mean)).view(self.count, *part.shape[1:])
        return {"components": out}

    def _tables(self, strips: Strips, store: Store) -> tuple[Partial, Mapping[str, Features]]:
        learned = {key: value.cpu().numpy() for key, value in store[LEARNED].items()}
        bands = self.scene.bands.take(np.array(self.used, np.intp))
        strengths = {"component": np.arange(1, len(bands) + 1), self.method.strength: learned["strengths"]}
        loadings: dict[str, NDArray[Any]] = {"band": np.array(bands.names), "wavelength_nm": bands.wavelength, "mean": learned["mean"]}
        loadings |= {f"component_{i + 1}": learned["vectors"][:, i] for i in range(self.count)}
        return {}, {"strengths": Features(strengths), "loadings": Features(loadings)}


def positive_largest(vectors: Floats) -> Floats:
    """The same directions, one a column, with signs such that each one's largest weight is positive."""
    sign = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(vectors.shape[1])])
    return vectors * np.where(sign == 0, 1.0, sign)
